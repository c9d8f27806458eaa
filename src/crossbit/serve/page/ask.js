// One request at a time: numbered, an older one is aborted, a busy or absent service is asked again.

import { ApiError, getJson, sendForm } from "./api.js";
import { pictureOf } from "./pictures.js";

const PAUSE = 60; // milliseconds without a key before a request goes out
const WAITS = [2, 4, 8, 15]; // seconds between attempts where the service does not say

/** The parts of a request as [name, value] pairs. */
function parts(search, modality, where, k) {
  const pairs = [["k", k], ["modality", modality], ["where", where], ["q", search.q.trim()]];
  return [...pairs, ...search.not.map((id) => ["not", id])].filter(([, value]) => value);
}

async function send(search, pairs, signal) {
  const words = search.q.trim();
  if (!search.picture && !(search.item && words)) {
    const all = search.item ? [...pairs, ["item", search.item]] : pairs;
    return getJson(`/api/search?${new URLSearchParams(all)}`, { signal });
  }
  const form = new FormData();
  pairs.forEach(([name, value]) => form.append(name, value));
  form.append("picture", await pictureOf(search, signal));
  return sendForm("/api/search", form, { signal });
}

const isWorthAnother = (error) => error instanceof ApiError && [0, 429, 502, 503].includes(error.status);

/** Asks the service; tells `onAnswer(answer, search)`, `onError(error, seconds)`, where `seconds` is null or the wait. */
export class Asker {
  #number = 0;
  #abort = new AbortController();
  #timer = 0;
  #attempts = 0;

  constructor({ onAnswer, onError }) {
    this.onAnswer = onAnswer;
    this.onError = onError;
  }

  /** Forget what is under way. */
  stop() {
    this.#number += 1;
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** Ask after a pause, unless something else is asked meanwhile. `request` is [search, modality, where, k]. */
  ask(request, { typing = false } = {}) {
    this.stop();
    this.#attempts = 0;
    this.#timer = setTimeout(() => this.#ask(request), typing ? PAUSE : 0);
  }

  /** The same once more, now. */
  again(request) {
    this.stop();
    this.#ask(request);
  }

  async #ask(request) {
    const number = ++this.#number;
    this.#abort = new AbortController();
    try {
      const answer = await send(request[0], parts(...request), this.#abort.signal);
      if (number === this.#number) this.onAnswer(answer, request);
    } catch (error) {
      if (number === this.#number && error.name !== "AbortError") this.#failed(error, request);
    }
  }

  #failed(error, request) {
    if (!(error instanceof ApiError)) throw error;
    const wait = WAITS[Math.min(this.#attempts, WAITS.length - 1)];
    const seconds = isWorthAnother(error) ? (error.retryAfter ?? wait) : null;
    this.#attempts += 1;
    if (seconds !== null) this.#timer = setTimeout(() => this.#ask(request), 1000 * seconds);
    this.onError(error, seconds);
  }
}

// What stands below the field: the hits of the last answer, or a notice in their place.

import { byId, make } from "./dom.js";
import { announce } from "./live.js";
import { nearest } from "./nearest.js";
import { lost, none, start, unanswered, unfit } from "./notices.js";
import { modalityName } from "./shows.js";

const MOST = 96; // hits that are shown; a service gives 100 at most unless told otherwise
const REFUSES = 500; // milliseconds after which a refusal is shown
const LIKELY = 0.1; // of what is less likely to fit, only what shares a word with the search is shown unasked
const DOUBTFUL = 0.2; // what shares none is doubted below it

const counted = (count) => count.toLocaleString("en");

export class Results {
  #place = byId("results");
  #run = null;
  #labels = [];
  #refusing = 0;
  #anyway = ""; // the search whose hits are shown though none fits
  hits = [];

  /** `on` has onMore(), onUnfilter(), onWords(words). */
  constructor(grid, on) {
    this.grid = grid;
    this.on = on;
  }

  /** What the run is, and labels to begin with. */
  know(run, labels) {
    this.#run = run;
    this.#labels = labels;
    if (this.#place.querySelector(".start")) this.begin();
  }

  /** Whether nothing was shown or waited for yet. */
  get isUntouched() {
    return !this.#place.hasAttribute("aria-busy");
  }

  /** Nothing is searched for; or a picture alone that this window does not have. */
  begin(isApart = false) {
    clearTimeout(this.#refusing);
    this.#notes([]);
    const begun = isApart ? lost(() => byId("file").click()) : start(this.#run?.items, this.#labels, this.on.onWords);
    begun.classList.toggle("start", !isApart);
    this.#put([], "", begun);
  }

  /** A request is under way; what is shown stays, dimmed. */
  wait() {
    clearTimeout(this.#refusing);
    this.#place.setAttribute("aria-busy", "true");
  }

  /** It failed, and is asked again. */
  stop() {
    if (this.#place.querySelector(".start")) this.#put([], "");
  }

  /** The service has no answer to this search. What was found before is not of it. Who types is not interrupted. */
  refuse(error, search) {
    clearTimeout(this.#refusing);
    this.#refusing = setTimeout(() => {
      this.#notes([]);
      const isSearch = error.status === 400;
      const said = nearest(error.message, search.q, this.on.onWords);
      this.#put([], "", isSearch ? none(said, search.where.length > 0, this.on.onUnfilter) : unanswered(error.message));
      announce(`${isSearch ? "Nothing found" : "No answer"}. ${error.message}`);
    }, REFUSES);
  }

  show(answer, [search, modality, where, k]) {
    const hits = answer.hits[modality] ?? [];
    const shares = hits.some((hit) => hit.why.length);
    const isBelow = (p) => answer.fits !== null && answer.fits < p;
    const isLow = isBelow(shares ? LIKELY : DOUBTFUL);
    const isHidden = isBelow(LIKELY) && this.#anyway !== key(search) && !shares;
    this.#notes(answer.notes, search.q);
    if (!hits.length) this.#put([], "Nothing found.", none([], Boolean(where), this.on.onUnfilter));
    else if (isHidden) this.#put([], "Nothing here seems to fit.", unfit(search.q.trim(), hits.length, () => this.#force(answer, search, modality, k)));
    else this.#found(answer, hits, modality, k, isLow);
  }

  #force(answer, search, modality, k) {
    this.#anyway = key(search);
    this.#found(answer, answer.hits[modality], modality, k, true);
    this.grid.enter();
  }

  #found(answer, hits, modality, k, isLow) {
    const beside = hits.some((hit) => hit.picture_cosine !== null) ? " and pictures" : ""; // compared, too
    const all = `${counted(answer.compared)} ${modalityName(modality).toLowerCase()}${beside}`;
    const among = answer.exact ? all : `the ${all} that were compared, nearer ones may be missing`;
    this.#put(hits, `The ${counted(hits.length)} nearest of ${among}${isLow ? "; perhaps none of them fits" : ""}`);
    this.grid.show(hits, modality);
    if (hits.length === k && k < MOST) this.#place.append(this.#more());
  }

  #notes(lines, words = "") {
    byId("notes").replaceChildren(...lines.map((line) => make("li", {}, ...nearest(line, words, this.on.onWords))));
  }

  #more() {
    return make("p", { class: "further" }, make("button", { class: "button", type: "button", onclick: this.on.onMore }, "Show more"));
  }

  #put(hits, said, ...content) {
    this.hits = hits;
    this.#place.setAttribute("aria-busy", "false");
    byId("status").textContent = hits.length ? said : ""; // without hits a notice says it
    if (said) announce(said);
    if (!hits.length) this.#place.replaceChildren(...content);
  }
}

const key = (search) => JSON.stringify([search.q.trim(), search.item, search.picture, search.not]);

// The page: everything is loaded once, and a search asks nobody.

import { byId, make } from "./dom.js";
import { readInteger } from "./integer.js";
import { announce } from "./live.js";
import { Codes } from "./search.js";
import { tiles } from "./tiles.js";
import { VectorFeatures } from "./vectors.js";
import { WordFeatures } from "./words.js";

const STEP = 24; // hits that are shown, and that "Show more" adds
const field = byId("words");
const place = byId("results");
const counted = (count) => count.toLocaleString("en");

async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is not there (${response.status})`);
  return response;
}
const json = async (name) => (await fetched(name)).json();
const bytes = async (name) => (await fetched(name)).arrayBuffer();

class Page {
  #number = 0; // of the last search: an answer to an older one is not shown
  #most = STEP;

  constructor(about, items, codes, encoder, features) {
    this.about = about;
    this.items = items;
    this.codes = new Codes(new Uint8Array(codes), about.bits / 8, items.things);
    this.encoder = encoder;
    this.features = features;
    this.pictures = about.pictures === "all" ? null : new Set(about.pictures);
  }

  /** Show what the address asks for: ?q=words, ?item=ID, or nothing. */
  fromAddress() {
    const asked = new URLSearchParams(location.search);
    field.value = asked.get("q") ?? "";
    this.#most = STEP;
    this.#ask(this.items.ids.indexOf(asked.get("item")));
  }

  /** Search for what is in the field now. */
  typed() {
    const words = field.value.trim();
    history.replaceState(null, "", words ? `?${new URLSearchParams({ q: field.value })}` : location.pathname);
    this.#most = STEP;
    this.#ask(-1);
  }

  /** Search for what is like an item. */
  like(at) {
    history.pushState(null, "", `?${new URLSearchParams({ item: this.items.ids[at] })}`);
    field.value = "";
    this.#most = STEP;
    this.#ask(at);
    scrollTo(0, 0);
    field.focus({ preventScroll: true });
  }

  async #ask(like) {
    const number = ++this.#number;
    byId("clear").hidden = !field.value && like < 0;
    try {
      const found = like < 0 ? await this.#found(field.value) : this.#near(this.codes.at(like), ` to “${this.#item(like).name}”`, like);
      if (number === this.#number) this.#show(found, like);
    } catch (error) {
      if (number === this.#number) this.#say(`That could not be loaded: ${error.message}`);
    }
  }

  /** The answer to a text: hits, what is said of them, and notes. */
  async #found(text) {
    if (!text.trim()) return this.#some();
    const wrong = this.features.wrong?.(text);
    if (wrong) return { hits: [], said: `${wrong}.`, notes: [] };
    const heard = this.features.heard?.(text) ?? { any: true, unknown: [] };
    if (!heard.any) return { hits: [], said: "This model knows no word of that; try other words.", notes: [] };
    const code = this.encoder.code(await this.features.features(text));
    const strange = heard.unknown.slice(0, 5).map((word) => `“${word}”`);
    const notes = strange.length ? [`${strange.join(", ")} ${strange.length === 1 ? "is not a word" : "are not words"} that this model knows`] : [];
    return { ...this.#near(code, ", by their codes"), notes };
  }

  #near(code, said, without = -1) {
    const hits = this.codes.nearest(code, this.#most + 1, without);
    const more = hits.length > this.#most;
    return { hits: hits.slice(0, this.#most), more, said: `The nearest of ${counted(this.codes.count)} items${said}`, notes: [] };
  }

  /** Some items, in even steps, to begin with. */
  #some() {
    const many = Math.min(STEP, this.codes.count);
    const hits = Array.from({ length: many }, (_, at) => ({ place: Math.floor((at * this.codes.count) / many), distance: null }));
    return { hits, more: false, said: `Some of ${counted(this.codes.count)} items`, notes: [] };
  }

  #item(at) {
    const { ids, captions, labels, names } = this.items;
    const own = labels[at].map((number) => names[number]);
    const hasPicture = this.pictures === null || this.pictures.has(at);
    return { id: ids[at], name: captions[at] || own.join(", ") || `item ${ids[at]}`, labels: own, hasPicture };
  }

  #show({ hits, more, said, notes }, like) {
    this.#say(said);
    announce(hits.length ? `${hits.length} hits` : said);
    byId("notes").replaceChildren(...notes.map((line) => make("li", {}, line)));
    const further = () => {
      const before = place.querySelectorAll(".hit").length;
      this.#most += STEP;
      this.#ask(like).then(() => place.querySelectorAll(".acts button")[before]?.focus());
    };
    const button = more ? make("p", { class: "further" }, make("button", { class: "button", type: "button", onclick: further }, "Show more")) : "";
    place.replaceChildren(tiles(hits, (at) => this.#item(at), this.about.bits, (at) => this.like(at)), button);
    place.setAttribute("aria-busy", "false");
  }

  #say(text) {
    byId("status").textContent = text;
  }
}

async function featuresOf(about) {
  if (about.reads === "vectors") return new VectorFeatures(await json("features.json"), about.dim);
  return new WordFeatures(await json("features.json"), await bytes("weights.bin"), (number) => bytes(`rare/${number}.bin`));
}

async function start() {
  const about = await json("page.json");
  document.title = `${about.data} - crossbit`;
  byId("name").textContent = about.data;
  if (about.reads === "vectors") {
    field.placeholder = `A vector: ${counted(about.dim)} numbers`;
    field.setAttribute("aria-label", `A vector to search for: ${about.dim} numbers`);
  }
  const [items, codes, encoder, features] = await Promise.all([json("items.json"), bytes("codes.bin"), bytes("encoder.safetensors"), featuresOf(about)]);
  const page = new Page(about, items, codes, readInteger(encoder), features);
  field.addEventListener("input", () => page.typed());
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => {
    field.value = "";
    page.typed();
    field.focus();
  });
  addEventListener("popstate", () => page.fromAddress());
  if (field.value) page.typed(); // typed while all was loading
  else page.fromAddress();
}

start().catch((error) => {
  byId("status").textContent = `The page could not be loaded: ${error.message}`;
});

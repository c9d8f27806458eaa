// The results as a grid in which arrows move. One hit can be reached by Tab, with its buttons.

import { make } from "./dom.js";
import { card } from "./hit.js";

const opener = (hit) => hit.querySelector(".open");

/** Shows hits in `place` and tells `onAct(act, id)`. */
export class Grid {
  #place;

  constructor(place, onAct) {
    this.#place = place;
    place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act]");
      if (button) onAct(button.dataset.act, button.closest(".hit").dataset.id);
    });
    place.addEventListener("focusin", (event) => this.#choose(event.target.closest(".hit")));
  }

  get hits() {
    return [...this.#place.querySelectorAll(".hit")];
  }

  /** The hit with the focus; undefined where none has it. */
  get focused() {
    return document.activeElement?.closest?.(".hit") ?? undefined;
  }

  /** Show hits in the place of others; pictures that are on the page stay. The focus stays with its hit, and goes from
   * the button that asks for more to the first that is new. */
  show(hits, modality) {
    const asksMore = document.activeElement?.closest?.(".further");
    const focused = asksMore ? hits[this.hits.length]?.id : this.focused?.dataset.id;
    const pictures = new Map(this.hits.map((hit) => [hit.dataset.id, hit.querySelector("img")]));
    const cards = hits.map((hit) => card(hit, modality, pictures.get(hit.id)));
    const isText = cards.some((each) => each.classList.contains("text"));
    this.#place.replaceChildren(make("ul", { class: isText ? "texts" : "grid", "aria-label": "Hits" }, ...cards));
    const chosen = cards.find((each) => each.dataset.id === focused) ?? cards[0];
    this.#choose(chosen);
    if (focused !== undefined) opener(chosen)?.focus({ preventScroll: !asksMore });
  }

  /** Focus the first hit; whether there is one. */
  enter() {
    const [first] = this.hits;
    if (first) opener(first).focus();
    return first !== undefined;
  }

  /** Focus an item's hit, if it is there. */
  focus(id) {
    const hit = this.hits.find((each) => each.dataset.id === id);
    if (hit) opener(hit).focus();
  }

  /** Move by an arrow key; whether there was a hit to move to. */
  move(key) {
    const hits = this.hits;
    const next = neighbour(hits, hits.indexOf(this.focused), key);
    if (next) opener(next).focus();
    return next !== undefined;
  }

  #choose(hit) {
    if (!hit) return;
    for (const button of this.#place.querySelectorAll("[data-act][tabindex='0']")) button.tabIndex = -1;
    for (const button of hit.querySelectorAll("[data-act]")) button.tabIndex = 0;
  }
}

/** The hit beside, above or below another: above and below it is the nearest of the next row. */
function neighbour(hits, at, key) {
  if (key === "ArrowLeft") return hits[at - 1];
  if (key === "ArrowRight") return hits[at + 1];
  const here = hits[at].getBoundingClientRect();
  const sign = key === "ArrowDown" ? 1 : -1;
  const boxes = hits.map((hit) => ({ hit, box: hit.getBoundingClientRect() }));
  const beyond = boxes.filter(({ box }) => sign * (box.top - here.top) > 1);
  const distance = ({ box }) => Math.abs(box.top - here.top) * 10 + Math.abs(box.left - here.left);
  return beyond.toSorted((a, b) => distance(a) - distance(b))[0]?.hit;
}

// All pictures of a label: choose several, decide about that one label at once.

import { byId, make } from "./dom.js";
import { framed } from "./audit_row.js";
import { percent } from "./labels.js";

export const SURE = 0.9; // probability from which a change counts as sure

function change(row, label) {
  if (row.settled) return make("span", { class: "change muted" }, "decided");
  if (row.p <= 0.5) return make("span", { class: "change muted" }, row.has ? "has it" : "lacks it");
  const said = make("span", { dir: "auto" }, `${row.has ? "−" : "+"} ${label}`);
  return make("span", { class: `change ${row.has ? "out" : "in"}` }, said, " ", make("span", { class: "sure" }, percent(row.p)));
}

export class Grid {
  #place = byId("grid");
  #rows = [];
  #chosen = new Set();
  #last = 0;
  #onChoose;

  /** `onChoose` is told when other pictures are chosen. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#place.addEventListener("click", (event) => {
      const at = this.#at(event.target);
      if (at >= 0) this.#choose(at, event.shiftKey);
    });
  }

  /** Show rows; `chosen` are the numbers of those that are chosen from the beginning. */
  show(rows, label, chosen) {
    this.#rows = rows;
    this.#chosen = new Set(chosen.filter((number) => rows.some((row) => row.row === number)));
    this.#last = 0;
    this.#place.setAttribute("aria-label", `Pictures of ${label}`);
    this.#place.replaceChildren(...rows.map((row, at) => this.#tile(row, at, label)));
    this.#mark();
  }

  #tile(row, at, label) {
    const name = row.caption ?? `Row ${row.row}`;
    const tile = make("div", { class: "tile", role: "option", "data-row": row.row, tabindex: at ? -1 : 0 });
    tile.append(framed(row.thumbnail, name), change(row, label), make("span", { class: "name", title: `${name}: ${row.given.join(", ")}` }, row.thumbnail ? name : row.given.join(", ")));
    tile.querySelector("img")?.setAttribute("loading", "lazy");
    return tile;
  }

  get chosen() {
    return this.#rows.filter((row) => this.#chosen.has(row.row));
  }

  get rows() {
    return this.#rows;
  }

  /** Mark rows that are others than before, and choose them no more: somebody else has decided about them. */
  markChanges(before) {
    const was = new Map(before.map((row) => [row.row, [row.given.join("\n"), row.settled].join("\n")]));
    this.#rows.forEach((row, at) => {
      if ((was.get(row.row) ?? "") === [row.given.join("\n"), row.settled].join("\n")) return;
      this.#chosen.delete(row.row);
      const said = this.#place.children[at].querySelector(".change");
      said.textContent = `${said.textContent}: changed meanwhile`;
      said.classList.add("out");
    });
    this.#mark();
  }

  get sure() {
    return this.#rows.filter((row) => row.p >= SURE && !row.settled && !(row.has && row.alone)).map((row) => row.row);
  }

  /** Whether all that are chosen are changes that are sure. */
  get isSureChosen() {
    return this.chosen.every((row) => row.p >= SURE && !row.settled);
  }

  choose(numbers) {
    this.#chosen = new Set(numbers);
    this.#mark();
  }

  #at(target) {
    const tile = target.closest?.("[role='option']");
    return tile ? [...this.#place.children].indexOf(tile) : -1;
  }

  #choose(at, isRange) {
    const [from, to] = isRange ? [Math.min(at, this.#last), Math.max(at, this.#last)] : [at, at];
    const number = this.#rows[at].row;
    const isOn = isRange || !this.#chosen.has(number);
    for (const row of this.#rows.slice(from, to + 1)) this.#chosen[isOn ? "add" : "delete"](row.row);
    this.#last = at;
    this.#focus(at);
    this.#mark();
  }

  #mark() {
    [...this.#place.children].forEach((tile, at) => tile.setAttribute("aria-selected", String(this.#chosen.has(this.#rows[at].row))));
    this.#onChoose();
  }

  #focus(at) {
    [...this.#place.children].forEach((tile, place) => tile.setAttribute("tabindex", place === at ? 0 : -1));
    this.#place.children[at].focus();
  }

  /** To the picture that Tab goes to, from anywhere on the page. */
  #enter() {
    const tile = this.#place.querySelector("[tabindex='0']");
    tile?.focus();
    return Boolean(tile);
  }

  /** Whether a key meant something here. */
  key(event) {
    const at = this.#at(event.target);
    if (at < 0) return ["ArrowLeft", "ArrowRight"].includes(event.key) && this.#enter();
    if (event.key === " ") {
      this.#choose(at, false);
      return true;
    }
    const across = getComputedStyle(this.#place).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    if (!step) return false;
    const to = Math.min(Math.max(at + step, 0), this.#rows.length - 1);
    if (event.shiftKey) {
      if (!this.#chosen.has(this.#rows[at].row)) this.#last = at;
      this.#choose(to, true);
    } else this.#focus(to);
    return true;
  }
}

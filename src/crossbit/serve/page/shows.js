// What is to be found: pictures or texts, as far as the run has them.

import { make } from "./dom.js";

const NAMES = { image: "Pictures", text: "Texts" };

/** A modality in words; the plural of what is found there. */
export const modalityName = (modality) => NAMES[modality] ?? modality;

export class Shows {
  #place;
  #modalities = ["image", "text"];

  constructor(place, onChoose) {
    this.#place = place;
    place.addEventListener("click", (event) => {
      const modality = event.target.closest("button")?.value;
      if (modality) onChoose(modality === this.#modalities[0] ? "" : modality);
    });
  }

  /** The modalities of the run. */
  offer(modalities) {
    const rank = (name) => ["image", "text"].indexOf(name) + 1 || 3;
    if (modalities.length) this.#modalities = modalities.toSorted((a, b) => rank(a) - rank(b));
  }

  /** The modality that a search looks in: the first where nothing was chosen. */
  of(search) {
    return this.#modalities.includes(search.show) ? search.show : this.#modalities[0];
  }

  show(search) {
    const chosen = this.of(search);
    const old = [...this.#place.children];
    if (old.map((button) => button.value).join() !== this.#modalities.join()) {
      this.#place.replaceChildren(...this.#modalities.map((name) => make("button", { class: "button", type: "button", value: name }, modalityName(name))));
    }
    for (const button of this.#place.children) button.setAttribute("aria-pressed", String(button.value === chosen));
  }
}

// One hit as a card: a picture or a text, its labels, why it was found, and what can be done with it.

import { strip } from "./bits.js";
import { keepForm, make } from "./dom.js";
import { labelList } from "./labels.js";

const SIDE = 192; // pixels of a thumbnail, at most

/** What a hit is called. */
export const nameOf = (hit) => hit.caption || hit.labels.map((label) => label.name).join(", ") || `item ${hit.id}`;

/** A picture that keeps its place while it loads. */
export function thumbnail(address, { lazy = true } = {}) {
  const picture = make("img", { alt: "", width: SIDE, height: SIDE, decoding: "async", loading: lazy ? "lazy" : "eager" });
  keepForm(picture);
  picture.src = address;
  return picture;
}

/** Whose words found it: not those that are shown, where another item of the same thing has them. */
export const wordsOf = (hit) => (hit.more && !hit.why.length ? "words of one of the same" : "its words");

/** Whether its picture was compared with that of the search; without embeddings only the way that found it tells. */
export const comparedByPicture = (hit) => hit.picture_cosine !== null || hit.by.includes("pictures");

/** Why it was found, in words. */
export function reason(hit) {
  if (hit.why.length) return `In common: ${hit.why.join(", ")}`;
  if (hit.by.includes("words")) return `By ${wordsOf(hit)}`;
  if (!comparedByPicture(hit)) return "By likeness alone";
  const of = { codes: "its text", pictures: "its picture" };
  return `By likeness of ${hit.by.map((way) => of[way]).join(" and ")}`;
}

function why(hit) {
  const line = make("p", { class: "why", title: reason(hit) }, reason(hit));
  return make("div", { class: "because" }, line, hit.bits ? strip(hit.bits) : null);
}

/** The buttons of a hit. They carry their act and the hit's id; the grid listens. */
export function acts(hit) {
  const button = (act, said) => {
    const about = make("span", { class: "unseen" }, `: ${nameOf(hit)}`);
    return make("button", { type: "button", "data-act": act, tabindex: -1 }, said, about);
  };
  return make("div", { class: "acts" }, button("more", "More like this"), button("not", "Not this"));
}

const more = (hit) => (hit.more ? make("span", { class: "count", title: `${hit.more} more of the same` }, `+${hit.more}`) : null);

function pictureCard(hit, picture) {
  const open = make("button", { class: "open mat", type: "button", "data-act": "open", tabindex: -1, "aria-label": nameOf(hit) });
  open.append(picture ?? thumbnail(hit.thumbnail));
  const caption = make("p", { class: "caption", title: nameOf(hit), dir: "auto" }, nameOf(hit), " ", more(hit));
  return make("li", { class: "hit", "data-id": hit.id }, open, caption, labelList(hit.labels, 2, hit.why), why(hit), acts(hit));
}

function textCard(hit, picture) {
  const open = make("button", { class: "open", type: "button", "data-act": "open", tabindex: -1, dir: "auto" }, nameOf(hit), " ", more(hit));
  const shown = hit.thumbnail ? make("div", { class: "mat" }, picture ?? thumbnail(hit.thumbnail)) : null;
  const about = make("div", { class: "about" }, labelList(hit.labels, 4, hit.why), why(hit), acts(hit));
  return make("li", { class: "hit text card", "data-id": hit.id }, shown, open, about);
}

/** The card of a hit. `picture` is its picture where it is on the page already. */
export function card(hit, modality, picture) {
  return modality === "text" || !hit.thumbnail ? textCard(hit, picture) : pictureCard(hit, picture);
}

// Hits as tiles: a picture or a text, its labels, its distance, and a button for more like it.

import { keepForm, make } from "./dom.js";

const SIDE = 192; // pixels of a picture, at most
const FOLDER = 1000; // pictures in a folder
const LABELS = 2; // that are shown of a tile with a picture

function picture(place) {
  const address = `pictures/${Math.floor(place / FOLDER)}/${place}.webp`;
  const image = make("img", { alt: "", width: SIDE, height: SIDE, decoding: "async", loading: "lazy" });
  keepForm(image);
  image.addEventListener("error", () => image.classList.add("missing"));
  image.src = address;
  return image;
}

function labelList(labels, most) {
  const chips = labels.slice(0, most).map((label) => make("li", { class: "chip" }, make("span", {}, label)));
  if (labels.length > most) chips.push(make("li", { class: "chip more" }, `+${labels.length - most}`));
  return make("ul", { class: "chips labels", "aria-label": "Labels" }, ...chips);
}

/** The list of hits. `of(place)` gives {id, name, labels, hasPicture}; `onMore(place)` is called by a tile's button. */
export function tiles(hits, of, bits, onMore) {
  const made = hits.map(({ place, distance }) => {
    const item = of(place);
    const said = distance === null ? null : make("p", { class: "count" }, distance === 0 ? "equal code" : `${distance} of ${bits} bits differ`);
    const more = make("button", { type: "button", onclick: () => onMore(place) }, "More like this", make("span", { class: "unseen" }, `: ${item.name}`));
    const shown = item.hasPicture ? make("div", { class: "mat" }, picture(place)) : null;
    const name = make("p", { class: item.hasPicture ? "caption" : "open", title: item.name }, item.name);
    const rest = [labelList(item.labels, item.hasPicture ? LABELS : 4), said, make("div", { class: "acts" }, more)];
    if (item.hasPicture) return make("li", { class: "hit", "data-id": item.id }, shown, name, ...rest);
    return make("li", { class: "hit text card", "data-id": item.id }, name, make("div", { class: "about" }, ...rest));
  });
  const isText = !hits.some(({ place }) => of(place).hasPicture);
  return make("ul", { class: isText ? "texts" : "grid", "aria-label": "Hits" }, ...made);
}

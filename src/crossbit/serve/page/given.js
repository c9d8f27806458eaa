// What a search was given beside its words: its picture or item in the field, and chips of all that narrows it.

import { byId, make } from "./dom.js";
import { filterName } from "./filters.js";
import { thumbnail } from "./hit.js";
import { picture } from "./kept.js";

const cross = () => make("span", { class: "cross", "aria-hidden": "true" }, "×");

function chip(style, image, said, label, onRemove) {
  const button = make("button", { class: `chip chosen ${style}`, type: "button", "aria-label": label, onclick: onRemove });
  if (image) button.append(image);
  if (said) button.append(make("span", {}, said));
  button.append(cross());
  return make("li", {}, button);
}

const ofItem = (id) => thumbnail(`/api/items/${encodeURIComponent(id)}/thumbnail`, { lazy: false });

/** A picture of one's own; its name where the browser cannot show it. */
function ofOwn({ file, url }) {
  const image = make("img", { alt: "", src: url });
  image.addEventListener("error", () => image.replaceWith(make("span", {}, file.name)));
  return image;
}

/** Show them; `change(parts)` is told what the search is without one of them. */
export function showGiven(search, change) {
  const given = [];
  const own = picture(search.picture);
  if (own) given.push(chip("picture", ofOwn(own), "", `Remove the picture ${own.file.name}`, () => change({ picture: 0 })));
  if (search.item) given.push(chip("picture", ofItem(search.item), "like this", "Remove: like this", () => change({ item: "" })));
  byId("given").replaceChildren(...given);
  const without = (name, one) => change({ [name]: search[name].filter((other) => other !== one) });
  byId("chosen").replaceChildren(
    ...search.where.map((one) => chip("", "", filterName(one), `Remove the filter ${filterName(one)}`, () => without("where", one))),
    ...search.not.map((id) => chip("picture", ofItem(id), "not this", "Allow this again", () => without("not", id))),
  );
}

// Labels as chips, with the probability that they are right.

import { make } from "./dom.js";

export const percent = (p) => `${Math.round(100 * p)} %`;

function kind({ p, given }) {
  if (!given) return ["proposed", "not given, but likely"];
  return p !== null && p < 0.5 ? ["wrong", "given, but unlikely"] : ["", "given"];
}

const DOUBT = 0.95; // a label that is more probable than this stands alone where room is scarce

/** A label as a list item; in a short one the probability stands only where there is doubt. */
export function labelChip(label, short = false) {
  const [style, said] = kind(label);
  const chip = make("li", { class: `chip ${style}`, title: said }, make("span", { dir: "auto" }, label.name));
  if (label.p !== null && !(short && label.p >= DOUBT)) chip.append(make("small", {}, percent(label.p)));
  if (style) chip.append(make("span", { class: "unseen" }, said));
  return chip;
}

/** A list of labels; of more than `most`, those first that the query shares, and how many there are besides. */
export function labelList(labels, most = Infinity, shared = []) {
  const first = labels.toSorted((a, b) => shared.includes(b.name) - shared.includes(a.name));
  const list = make("ul", { class: "chips labels", "aria-label": "Labels" }, ...first.slice(0, most).map((label) => labelChip(label, most < Infinity)));
  if (labels.length > most) list.append(make("li", { class: "chip more" }, `+${labels.length - most}`));
  return list;
}

// One row large: its picture and text, its labels, those proposed, why, and the rows that weigh most.

import { keepForm, make, sentence } from "./dom.js";
import { givenChips, proposedChips } from "./audit_labels.js";
import { percent } from "./labels.js";

/** A picture in its frame; without one, its words. */
export function framed(address, words, style = "") {
  if (!address) return make("div", { class: `mat words ${style}` }, words ?? "");
  const image = make("img", { src: address, alt: "", decoding: "async" });
  keepForm(image);
  return make("figure", { class: `mat ${style}` }, image);
}

function neighbour(one) {
  const weight = make("span", { class: "weight small" }, `weighs ${one.weight < 0 ? "−" : ""}${percent(Math.abs(one.weight))}`);
  const labels = make("ul", { class: "chips" }, ...one.labels.map((name) => make("li", { class: "chip" }, make("span", {}, name))));
  const picture = one.thumbnail ? framed(one.thumbnail, one.name) : null;
  const link = make("a", { href: `/audit?row=${one.row}`, "data-row": one.row, title: "Look at its labels" }, picture, make("span", { class: "name small" }, one.name));
  return make("li", {}, link, labels, weight);
}

function alike(row, rows) {
  if (!row.family) return null;
  const pictures = row.picture ? rows.slice(0, 8).map((number) => framed(`/api/audit/rows/${number}/thumbnail`, "")) : [];
  const said = row.family === 1 ? "One more shows the same and is decided with it" : `${row.family} more show the same and are decided with it`;
  return make("div", { class: "alike" }, make("span", { class: "muted small" }, said), ...pictures);
}

/** Whether other labels than the given ones are proposed; where not, the row is in doubt, and none is likelier. */
export const proposes = (row) => row.proposed.length !== row.given.length || row.proposed.some((name) => !row.given.includes(name));

function nothingProposed(row) {
  if (row.settled) return "Somebody has decided that these are right";
  return row.reason ? "In doubt, and no other labels are likelier: keep, or give others" : "No other labels are likelier";
}

const button = (act, name, key, style = "") =>
  make("button", { class: `button ${style}`, type: "button", "data-act": act }, name, make("kbd", { "aria-hidden": "true" }, key));

/** The row's content, for the article. */
export function rowContent(row) {
  const labels = make("dl", { class: "labels-of" });
  labels.append(make("dt", {}, "Given"), make("dd", {}, givenChips(row)), make("dt", {}, "Proposed"),
    make("dd", proposes(row) ? {} : { class: "muted" }, proposes(row) ? proposedChips(row) : nothingProposed(row)));
  if (row.wrong.length || row.missing.length) labels.append(make("dd", { class: "muted small" }, "Beside a label: how likely it is right."));
  const why = row.reason ? sentence(row.reason) : "";
  const what = make("div", { class: "what" },
    make("h2", { dir: "auto" }, row.caption || `Row ${row.row}`),
    labels,
    row.settled ? "" : make("p", {}, make("b", {}, `${percent(row.p)} likely wrong.`), " ", make("span", { class: "muted" }, why)),
    make("div", { class: "decide", role: "group", "aria-label": "Decide" },
      proposes(row) ? button("accept", "Accept", "a", "first") : "", button("keep", "Keep", "k", proposes(row) ? "" : "first"), button("other", "Other", "o"), button("skip", "Skip", "s")),
    alike(row, row.alike));
  const near = make("section", { class: "near", "aria-labelledby": "near-title" },
    make("h3", { id: "near-title" }, proposes(row) ? "What the proposal comes from" : "What the doubt comes from"),
    make("p", { class: "muted small" }, "The labelled rows that weigh most, with the labels that they have now."),
    make("ol", {}, ...row.neighbours.map(neighbour)));
  return [framed(row.picture, row.caption ?? `Row ${row.row}`, "large whole"), what, row.neighbours.length ? near : ""];
}

// What stands in the place of results: the start, nothing found, nothing that fits.

import { capital, make } from "./dom.js";

const button = (said, onclick, style = "") => make("button", { class: `button ${style}`, type: "button", onclick }, said);

const notice = (...children) => make("div", { class: "notice" }, ...children);

/** Before a search. `labels` are some to begin with, `onWords(words)` searches for one. */
export function start(items, labels, onWords) {
  const chips = labels.map((name) => make("button", { class: "chip", type: "button", onclick: () => onWords(name) }, make("span", {}, name)));
  const counted = items ? `${items.toLocaleString("en")} items. ` : "";
  return notice(
    make("h2", { class: "huge" }, "Find pictures by words, and words by pictures"),
    make("p", { class: "muted" }, `${counted}Type a few words, or choose or drop a picture.`),
    labels.length ? make("div", { class: "chips", role: "group", "aria-label": "Words to begin with" }, ...chips) : null,
  );
}

/** No hits at all: the service's own reason, as parts of a line, if it gave one. */
export function none([reason, ...more], hasFilter, onUnfilter) {
  const said = reason ? capital(reason) : hasFilter ? "" : "Try other words, or a picture.";
  return notice(
    make("h2", {}, hasFilter ? "Nothing found under this filter" : "Nothing found"),
    said ? make("p", { class: "muted" }, said, ...more) : null,
    hasFilter ? make("div", { class: "actions" }, button("Remove the filter", onUnfilter, "first")) : null,
  );
}

/** The service does not answer this search, for that reason. */
export function unanswered(reason) {
  return notice(make("h2", {}, "There is no answer to this search"), make("p", { class: "muted" }, capital(reason)));
}

/** Hits, of which none is likely to be what was meant. `words` are those of the search, if it had any. */
export function unfit(words, count, onShow) {
  const meant = words ? `is what “${words}” means` : "is like what was searched for";
  return notice(
    make("h2", {}, "Nothing here seems to fit"),
    make("p", { class: "muted" }, `The model doubts that any of the nearest ${meant}. It may be mistaken: look.`),
    make("div", { class: "actions" }, button(`Show the ${count} nearest anyway`, onShow, "first")),
  );
}

/** A search by a picture alone, which this window does not have. */
export function lost(onChoose) {
  return notice(
    make("h2", {}, "The picture of this search is not here"),
    make("p", { class: "muted" }, "An address does not hold a picture of your own: it stays in the window that it was given to. Choose it again."),
    make("div", { class: "actions" }, button("Choose a picture", onChoose, "first")),
  );
}

// One item, large: its picture, text, labels, columns, and why it was found.

import { getJson } from "./api.js";
import { compared, strip } from "./bits.js";
import { byId, icon, make } from "./dom.js";
import { acts, wordsOf, comparedByPicture, nameOf, reason, thumbnail } from "./hit.js";
import { labelList } from "./labels.js";

const dialog = byId("item");
let shown = "";
let openedAt = 0;

const DOUBLE = 600; // milliseconds in which the second click of a double click comes

const foundBy = (hit, way) =>
  ({ codes: comparedByPicture(hit) ? "likeness of its text" : "likeness", words: wordsOf(hit), pictures: "likeness of its picture" })[way] ?? way;

function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && String(value) !== "");
  const said = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
  return make("dl", { class: "facts" }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { dir: "auto" }, said(value)))));
}

function found(hit) {
  const pairs = [["Found by", hit.by.map((way) => foundBy(hit, way)).join(" and ")]];
  const likeness = [[comparedByPicture(hit) ? "Likeness of its text" : "Likeness", hit.cosine], ["Likeness of its picture", hit.picture_cosine]];
  pairs.push(...likeness.filter(([, cosine]) => cosine !== null).map(([name, cosine]) => [name, `${cosine.toFixed(2)} (cosine, 1 at most)`]));
  if (hit.bits) {
    const { bits, differing } = compared(hit.bits);
    pairs.push(["Bits that agree", `${bits - differing.length} of ${bits}`]);
  }
  if (hit.more) pairs.push(["Besides it", `${hit.more} more of the same`]);
  const part = make("section", {}, make("h3", {}, "Why it was found"), make("p", {}, reason(hit)));
  part.append(facts(pairs));
  if (hit.bits) part.append(strip(hit.bits), make("p", { class: "muted small" }, "The code of the search and that of this item, bit by bit: coloured where they agree."));
  return part;
}

function about(item, hit) {
  const columns = Object.entries(item.columns ?? {});
  const parts = [make("h2", { id: "item-title", dir: "auto" }, nameOf(item))];
  if (item.labels.length) parts.push(labelList(item.labels));
  if (item.labels.some((label) => label.p !== null)) parts.push(make("p", { class: "muted small" }, "Beside a label: how likely it is right. ", make("a", { href: `/audit?item=${encodeURIComponent(item.id)}` }, "Correct them")));
  if (hit) parts.push(found(hit));
  parts.push(facts([...columns, ["File", item.path], ["Id", item.id]]));
  return make("div", { class: "words" }, ...parts, hit ? acts(hit) : acts(item));
}

function picture(item) {
  if (!item.thumbnail) return null;
  const image = thumbnail(item.picture ?? item.thumbnail, { lazy: false });
  image.alt = nameOf(item);
  return make("a", { class: "mat whole", href: item.picture ?? item.thumbnail, target: "_blank", rel: "noopener", "aria-label": "The picture alone" }, image);
}

function tools(hits, at) {
  const button = (name, said, act, ready = true) =>
    make("button", { class: "button plain icon", type: "button", "aria-label": said, title: said, "data-act": act, disabled: !ready }, icon(name));
  const steps = at < 0 ? [] : [button("left", "The hit before", "before", at > 0), button("right", "The next hit", "after", at + 1 < hits.length)];
  return make("div", { class: "tools" }, ...steps, button("cross", "Close", "close"));
}

function open() {
  dialog.showModal();
  openedAt = performance.now();
}

/** The second of the two clicks that opened the item: it was not meant for what is under it now. */
const isEcho = (event) => event.detail > 1 && event.timeStamp - openedAt < DOUBLE;

/** Show an item; `hits` are those it stands among, if any. */
export async function showItem(id, hits) {
  shown = id;
  const at = hits.findIndex((hit) => hit.id === id);
  const hit = hits[at];
  const fill = (item) => {
    const focused = dialog.contains(document.activeElement) && document.activeElement.dataset.act;
    dialog.replaceChildren(tools(hits, at), make("div", { class: "sheet" }, picture(item), about(item, hit)));
    dialog.dataset.id = id;
    for (const one of dialog.querySelectorAll("[data-act]")) one.tabIndex = 0;
    if (focused) (dialog.querySelector(`[data-act="${focused}"]:not(:disabled)`) ?? dialog.querySelector("[data-act='close']")).focus();
  };
  if (hit) fill(hit);
  else dialog.replaceChildren(tools(hits, at), make("h2", { id: "item-title" }, "One moment"));
  dialog.setAttribute("aria-busy", "true"); // what only the service knows of it is still to come
  if (!dialog.open) open();
  try {
    const item = await getJson(`/api/items/${encodeURIComponent(id)}`);
    if (shown === id) fill(hit ? { ...hit, ...item } : item);
  } catch (error) {
    if (shown === id && !hit) dialog.replaceChildren(tools(hits, at), make("h2", { id: "item-title" }, error.message));
  }
  if (shown === id) dialog.setAttribute("aria-busy", "false");
}

export function hideItem() {
  shown = "";
  dialog.close();
}

/** Tells `onAct(act, id)`: "more", "not", "close", or "open" with the hit before or after. */
export function listenToItem(hitsNow, onAct) {
  const step = (by) => {
    const hits = hitsNow();
    const next = hits[hits.findIndex((hit) => hit.id === shown) + by];
    if (next && shown) onAct("open", next.id);
  };
  const does = { before: () => step(-1), after: () => step(1) };
  dialog.addEventListener("click", (event) => {
    if (isEcho(event)) return event.preventDefault();
    const act = event.target === dialog ? "close" : event.target.closest("[data-act]")?.dataset.act;
    if (act) (does[act] ?? (() => onAct(act, shown)))();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    onAct("close", shown);
  });
}

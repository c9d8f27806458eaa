// The search page: one search at a time, from the field or the address, to the service, to the grid.

import { getJson } from "./api.js";
import { NOTHING, fromAddress, isEmpty, keepCount, settle, write } from "./address.js";
import { Asker } from "./ask.js";
import { byId } from "./dom.js";
import { combined, loadColumns, showFilters } from "./filters.js";
import { showGiven } from "./given.js";
import { Grid } from "./grid.js";
import { hideItem, listenToItem, showItem } from "./item.js";
import { keep, picture } from "./kept.js";
import { listenToKeys } from "./keys.js";
import { listen } from "./pictures.js";
import { Results } from "./results.js";
import { Shows } from "./shows.js";
import { hideTrouble, showTrouble } from "./trouble.js";

const FIRST = 24; // hits of a search, until more are asked for
const SETTLES = 1200; // milliseconds without a key after which a query is one to go back to
const WORDS = 10; // to begin with, in the empty page
const APART = "This search had a picture, too, which its address does not hold: these are found by the words alone.";

const field = byId("words");
let search = { ...NOTHING };
let count = FIRST;
let settling = 0;

const shows = new Shows(byId("shows"), (show) => go({ show }));
const grid = new Grid(byId("results"), act);
const results = new Results(grid, { onMore: more, onUnfilter: () => go({ where: [] }), onWords: (q) => go({ q }) });
const asker = new Asker({
  onAnswer: (answer, request) => {
    hideTrouble();
    results.show(isApart() ? { ...answer, notes: [APART, ...answer.notes] } : answer, request);
    if (search.open) showItem(search.open, results.hits);
  },
  onError: (error, seconds) => {
    if (seconds === null) return results.refuse(error, search);
    results.stop();
    showTrouble(error, seconds, () => asker.again(request()));
  },
});

function more() {
  hideTrouble();
  ask({ k: count + FIRST });
  keepCount(count);
}

/** Whether the search has a picture that this window does not have. */
const isApart = () => Boolean(search.picture) && !picture(search.picture);

const request = () => [isApart() ? { ...search, picture: 0 } : search, shows.of(search), combined(search.where), count];

function ask({ k = FIRST, typing = false } = {}) {
  count = k;
  if (isEmpty(request()[0])) {
    asker.stop();
    results.begin(isApart());
    return;
  }
  results.wait();
  asker.ask(request(), { typing });
}

/** Show the search in all that stands above the results. */
function show() {
  if (field.value !== search.q) field.value = search.q;
  byId("clear").hidden = isEmpty(search) && !search.where.length;
  shows.show(search);
  showFilters(search.where, (where) => go({ where: toggled(search.where, where) }));
  showGiven(search, go);
  document.title = search.q.trim() ? `${search.q.trim()} - crossbit` : "Search - crossbit";
}

const toggled = (list, one) => (list.includes(one) ? list.filter((other) => other !== one) : [...list, one]);

/** Search for something else: `parts` are what changes. The nearest are shown, unless the page `stays` where it is. */
function go(parts, { typing = false, stays = false } = {}) {
  search = { ...search, ...parts };
  if (isApart()) search.picture = 0;
  if (isEmpty(search)) search.not = [];
  hideTrouble();
  write(search, { typing });
  show();
  ask({ typing });
  if (!stays) scrollTo({ top: 0 });
}

function act(what, id) {
  if (what === "open") open(id);
  else if (what === "close") history.state?.opened ? history.back() : open("");
  else if (what === "more") leave(() => go({ ...NOTHING, show: search.show, where: search.where, item: id }));
  else if (what === "not") leave(() => go({ not: [...search.not.filter((one) => one !== id), id] }, { stays: true }));
}

/** Close an open item, then search. */
function leave(then) {
  if (search.open) search.open = "";
  hideItem();
  then();
}

function open(id) {
  const wasOpen = search.open;
  search = { ...search, open: id };
  write(search, { opened: true, replacing: Boolean(wasOpen) });
  if (id) showItem(id, results.hits);
  else close(wasOpen);
}

function close(wasOpen) {
  hideItem();
  grid.focus(wasOpen);
}

function fromHistory(event) {
  const was = search;
  search = fromAddress(location.search, event?.state ?? history.state);
  settle();
  show();
  if (was.open && !search.open) close(was.open);
  if (search.open) showItem(search.open, results.hits);
  if (event && !differs(was, search)) return;
  if (event) hideTrouble(); // to begin with it stays: it is of what a person did before all was loaded
  ask({ k: history.state?.count });
}

const differs = (one, other) => JSON.stringify({ ...one, open: "" }) !== JSON.stringify({ ...other, open: "" });

function listenToField() {
  field.addEventListener("input", () => {
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLES);
    go({ q: field.value }, { typing: true });
  });
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    settle();
  });
  byId("clear").addEventListener("click", () => {
    go({ ...NOTHING, show: search.show });
    field.focus();
  });
}

async function start() {
  listenToField();
  listen((file) => go({ picture: keep(file), item: "" }), () => showTrouble(new Error("This file is not a picture. PNG, JPEG and WebP are."), null));
  listenToItem(() => results.hits, act);
  listenToKeys(grid, act);
  addEventListener("popstate", fromHistory);
  search = fromAddress(location.search, history.state);
  show();
  if (isEmpty(search) && matchMedia("(hover: hover)").matches) field.focus(); // not where a keyboard would cover the screen
  const [run, columns] = await Promise.all([getJson("/api/run").catch(() => null), loadColumns(show)]);
  const labels = columns.find((column) => column.kind === "labels")?.values ?? [];
  shows.offer(run?.modalities ?? []);
  results.know(run, labels.slice(0, WORDS).map((label) => String(label.value)));
  show();
  if (results.isUntouched) fromHistory();
}

start();

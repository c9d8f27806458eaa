// The audit's page: labels that look wrong, one by one or by label. A decision counts at once.

import { fromAddress, write } from "./audit_address.js";
import { askForLabels } from "./audit_labels.js";
import { Grid, SURE } from "./audit_grid.js";
import { proposes, rowContent } from "./audit_row.js";
import { decide, itemRow, oneRow, view } from "./audit_service.js";
import { byId, make, sentence } from "./dom.js";
import { percent } from "./labels.js";
import { announce } from "./live.js";
import { hideTrouble, showTrouble } from "./trouble.js";

const number = (value) => Math.round(value).toLocaleString("en");
const many = (count, one, several) => `${number(count)} ${count === 1 ? one : several}`;
// `alone` is a row that is looked at by itself, whether or not it is in the queue
const state = { told: null, label: null, alone: null, at: 0, skipped: new Set(), isBusy: false, asked: 0, timer: 0 };
const grid = new Grid(showDoing);

// --- what is shown -----------------------------------------------------------------------------------------------

const waiting = () => state.told.queue.filter((row) => !state.skipped.has(row.row));
const current = () => (state.label === null ? (state.alone ?? waiting()[state.at]) : undefined);

function show(told, chosen = [], alone = null) {
  state.told = told;
  state.alone = alone;
  hideTrouble();
  showProgress(told);
  const isQueue = state.label === null;
  for (const button of byId("ways").children) button.setAttribute("aria-pressed", String((button.value === "queue") === isQueue));
  const names = [...told.names, ...told.new];
  if (byId("names").children.length !== names.length || byId("names").lastElementChild?.value !== names.at(-1)) byId("names").replaceChildren(...names.map((name) => make("option", { value: name })));
  byId("class").hidden = isQueue;
  if (isQueue) showRow();
  else showClass(chosen);
}

function showProgress(told) {
  const all = told.settled + (state.label === null ? told.in_all : 0);
  const bar = make("progress", { max: Math.max(all, 1), value: told.settled, "aria-label": "Rows decided" });
  const left = make("b", {}, number(told.wrong_left));
  const wrong = `${number(told.wrong_left) === "1" ? "label" : "labels"} wrong or missing`;
  const decided = many(told.decided, "decision", "decisions");
  byId("progress").replaceChildren(...(state.label === null ? [bar] : []), make("span", {}, "about ", left, ` ${wrong}`), told.decided ? make("a", { class: "muted", href: "/api/audit/decisions", download: "", title: "All decisions as a file, also those that kept the labels" }, decided) : make("span", { class: "muted" }, decided));
  byId("undo").disabled = !told.can_undo || !told.writable;
  byId("export").hidden = false;
}

function showRow() {
  const rows = waiting();
  state.at = Math.min(Math.max(state.at, 0), Math.max(rows.length - 1, 0));
  const row = current();
  byId("row").hidden = !row;
  byId("notice").hidden = Boolean(row);
  if (!row) return showEmpty();
  byId("row").replaceChildren(...rowContent(row));
  if (state.alone) byId("said").replaceChildren("This row by itself. ", make("a", { href: "/audit", "data-row": "" }, "To the queue"));
  else byId("said").textContent = `${number(state.at + 1)} of ${number(state.told.in_all - state.skipped.size)}. ${sentence(state.told.words[0])}`;
  for (const next of rows.slice(state.at + 1, state.at + 4)) if (next.picture) new Image().src = next.picture;
  return undefined;
}

function notice(title, ...content) {
  byId("notice").hidden = false;
  byId("notice").replaceChildren(make("h2", {}, title), ...content);
}

/** The queue is being made: which step, of how many, each second. */
function showOpening(said) {
  const words = sentence(said.replace(/^the audit is being opened: /, ""));
  const [, at, of] = (words.match(/^Step (\d+) of (\d+)/) ?? []).map(Number);
  if (!byId("opening")) notice("The labels are being read", make("progress", { id: "opened", max: of ?? 1, "aria-label": "The labels are being read" }), make("p", { id: "opening" }),
    make("p", { class: "muted" }, "The first time all labels are compared, which takes seconds with ten of them and minutes with a thousand. This page goes on by itself."));
  byId("opening").textContent = words;
  if (at) byId("opened").value = at - 1; // are done
  const step = words.replace(/ \(.*/, "");
  if (step !== state.step) announce(step);
  state.step = step;
}

function showEmpty() {
  byId("said").textContent = "";
  const skipped = state.skipped.size;
  const again = make("button", { class: "button", type: "button", onclick: () => { state.skipped.clear(); load(); } }, "Look at them again");
  const after = make("p", { class: "muted" }, state.told.decided ? "Export the table, and train on it: crossbit train DATA --labels labels.csv" : "Nothing is to be done. By label shows all pictures of a label.");
  if (skipped) notice(`Only ${many(skipped, "row that you skipped is", "rows that you skipped are")} left`, make("div", { class: "actions" }, again), after);
  else notice("No label is left that looks wrong", after);
}

function showClass(chosen) {
  const told = state.told;
  byId("row").hidden = true;
  byId("notice").hidden = true;
  byId("said").textContent = "";
  byId("ranges").replaceChildren(make("span", { class: "muted small", "aria-hidden": "true" }, told.ranges.length ? "Sure changes" : ""), ...told.ranges.slice(0, 8).map(rangeChip));
  const found = told.classes.find((one) => one.label === state.label);
  byId("pick").value = state.label ?? "";
  byId("about").textContent = found ? `${many(found.given, "row has", "rows have")} ${found.label}. About ${number(found.wrong)} should not, and about ${number(found.missing)} more should.` : "";
  grid.show(told.queue, state.label, chosen);
}

function rangeChip(range) {
  const said = `${range.has ? "−" : "+"} ${range.label}`;
  const title = `${many(range.rows.length, "row", "rows")} ${range.has ? "have it and should not" : "lack it and should have it"}`;
  const chip = make("button", { class: "chip", type: "button", title, onclick: () => openClass(range.label, range.rows) }, make("span", {}, said), make("small", {}, number(range.rows.length)), make("span", { class: "unseen" }, title));
  return chip;
}

function showDoing() {
  const chosen = grid.chosen;
  const act = (kind, name, key, style) => make("button", { class: `button ${style}`, type: "button", "data-act": kind, disabled: !chosen.length }, name, make("kbd", { "aria-hidden": "true" }, key));
  byId("doing").replaceChildren(
    make("p", {}, chosen.length ? `${many(chosen.length, "picture", "pictures")} chosen${grid.isSureChosen ? `, each change at least ${percent(SURE)} likely` : ""}: one decision` : "Choose pictures: click, or Space; with Shift a range"),
    make("button", { class: "button plain", type: "button", onclick: () => grid.choose(grid.sure) }, `At least ${percent(SURE)}`),
    make("button", { class: "button plain", type: "button", onclick: () => grid.choose([]) }, "None"),
    act("accept", "Accept the change", "a", "first"), act("keep", "Keep as they are", "k", ""));
}

// --- what a person does ------------------------------------------------------------------------------------------

/** A decision is being kept: keys and buttons wait, and look so. */
function setBusy(isBusy) {
  state.isBusy = isBusy;
  byId("main").setAttribute("aria-busy", String(isBusy));
}

async function send(asked, said) {
  if (state.isBusy) return;
  setBusy(true);
  const mine = newer();
  try {
    const told = await decide(asked, state.label);
    if (mine !== state.asked) return await load(); // another label was chosen meanwhile
    state.at = 0;
    if (state.label === null) write({}); // from a row by itself to the queue
    show(told);
    announce(`${said}. About ${number(told.wrong_left)} labels wrong or missing.`);
  } catch (error) {
    const before = [grid.rows, grid.chosen.map((row) => row.row)];
    const row = asked.undo ? null : (current()?.row ?? null);
    const stay = () => load(state.label, before[1], state.alone?.row ?? null, row);
    if (error.status === 0) return stay(); // it may have been taken: what is shown then tells
    if (error.status === 400) await load(state.label, before[1], row); // what holds by now
    if (error.status === 503) {
      forget("; the last decision was not taken");
      return stay();
    }
    if (error.status === 400 && state.label !== null) grid.markChanges(before[0]);
    showTrouble(error, null, null);
  } finally {
    setBusy(false);
  }
}

function decideRow(kind, labels = [], added = []) {
  const row = current();
  if (!row || (kind === "accept" && !proposes(row))) return;
  const seen = { accept: row.proposed, keep: row.given, other: labels }[kind];
  const own = { row: row.row, kind, labels: seen, new: added, given: row.given, settled: row.settled }; // another person may have decided meanwhile
  send({ decisions: [own, ...row.alike.map((one) => ({ row: one, kind, labels, new: added }))] }, { accept: "Accepted", keep: "Kept", other: "Other labels" }[kind]);
}

function decideChosen(kind) {
  const decisions = grid.chosen.map((row) => ({ row: row.row, kind, about: state.label, given: row.given, settled: row.settled })); // as they were seen
  if (decisions.length) send({ decisions }, `${many(decisions.length, "picture", "pictures")} decided`);
}

const acts = {
  accept: () => (state.label === null ? decideRow("accept") : decideChosen("accept")),
  keep: () => (state.label === null ? decideRow("keep") : decideChosen("keep")),
  other: async () => {
    const row = current();
    if (!row) return;
    const other = await askForLabels({ names: [...state.told.names, ...state.told.new], single: state.told.single, first: state.told.single ? [] : row.given });
    if (other) decideRow("other", other.labels, other.added);
  },
  skip: () => {
    if (state.alone) return openQueue();
    if (!current()) return;
    state.skipped.add(current().row);
    if (waiting().length < 5 && state.told.queue.length < state.told.in_all) load();
    else showRow();
  },
  undo: () => (state.told?.can_undo ? send({ undo: true, version: state.told.version }, "Undone") : undefined),
  move: (step) => {
    if (state.alone) return openQueue();
    state.at += step;
    showRow();
  },
  ways: () => (state.label === null ? openClass(null) : openQueue()),
};

function openClass(label, chosen = []) {
  const first = state.told?.ranges[0];
  const opened = label ?? first?.label ?? state.told?.classes[0]?.label ?? null;
  write({ label: opened });
  load(opened, label === null ? (first?.rows ?? []) : chosen);
}

function openQueue() {
  state.at = 0;
  write({});
  load(null, [], null);
}

function openRow(row) {
  write({ row });
  load(null, [], row);
  scrollTo({ top: 0 });
}

/** The service was started again, and reads the labels anew. */
function forget(said = "") {
  state.told = null;
  for (const part of ["row", "class"]) byId(part).hidden = true;
  byId("progress").replaceChildren();
  byId("said").textContent = `The service was started again. What was decided before is kept${said}.`;
}

/** What is asked for from now on is newer: what comes of an older question is not shown. */
function newer() {
  clearTimeout(state.timer);
  state.asked += 1;
  return state.asked;
}

/** Show a label's pictures, or rows one by one: one by itself, or the queue, at a row of it if it is told. What is shown
 * stays until they are there. */
async function load(label = state.label, chosen = [], row = state.alone?.row ?? null, at = null) {
  const mine = newer();
  try {
    const told = await view(label);
    const alone = label === null && row !== null ? await oneRow(row) : null;
    if (mine !== state.asked) return;
    state.label = label;
    if (at !== null) state.at = told.queue.filter((one) => !state.skipped.has(one.row)).findIndex((one) => one.row === at);
    show(told, chosen, alone);
  } catch (error) {
    if (mine !== state.asked) return;
    const again = () => load(label, chosen, row, at);
    if (error.status === 503) {
      hideTrouble();
      if (state.told) forget();
      showOpening(error.message);
      state.timer = setTimeout(again, 1000 * (error.retryAfter ?? 1));
    } else if (error.status === 0 || error.status === 429) {
      showTrouble(error, error.retryAfter ?? 5, again);
      state.timer = setTimeout(again, 1000 * (error.retryAfter ?? 5));
    } else if (state.told) showTrouble(error, null, null);
    else if (row !== null || label !== null) notice("There is no such row or label", make("p", { class: "muted" }, error.message), make("div", { class: "actions" }, make("a", { class: "button", href: "/audit" }, "To the queue")));
    else notice("There is no audit of this run", make("p", { class: "muted" }, error.message));
  }
}

// --- keys and clicks ---------------------------------------------------------------------------------------------

const KEYS = { a: "accept", k: "keep", o: "other", s: "skip", u: "undo", l: "ways" };
const isTyping = (target) => target.matches("input, textarea, select");

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") byId("keys").showModal();
  else if (!state.told) return;
  else if (state.label !== null && grid.key(event)) event.preventDefault();
  else if (KEYS[event.key] && !event.repeat) acts[KEYS[event.key]]();
  else if (state.label === null && (event.key === "ArrowLeft" || event.key === "ArrowRight")) acts.move(event.key === "ArrowLeft" ? -1 : 1);
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act) acts[act]();
  const link = event.target.closest("a[data-row]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab, or window
  event.preventDefault();
  if (link.dataset.row) openRow(Number(link.dataset.row));
  else openQueue();
});
byId("ways").addEventListener("click", (event) => {
  const way = event.target.closest("button")?.value;
  if (way && state.told && (way === "queue") !== (state.label === null)) acts.ways();
});
byId("undo").addEventListener("click", acts.undo);
byId("export").addEventListener("click", () => {
  const how = "crossbit train DATA --labels labels.csv. What is decided is asked again there, unless the new run is given this run's decisions.jsonl";
  const added = state.told?.new.length ? ` It leaves out what is new (${state.told.new.join(", ")}): to train on that, put the table in the place of your own.` : "";
  byId("said").textContent = `To train on the table: ${how}.${added}`;
});
byId("show-keys").addEventListener("click", () => byId("keys").showModal());
byId("pick").addEventListener("change", () => {
  const label = byId("pick").value.trim();
  if (state.told?.names.includes(label)) openClass(label);
  else if (state.told?.new.includes(label)) byId("about").textContent = `“${label}” is new: its pictures can be looked at when the run was trained again.`;
});

/** Show what the address says. */
async function follow() {
  const { row, label, item } = fromAddress();
  if (item === null) return load(label, [], row);
  try {
    const found = await itemRow(item);
    write({ row: found.row }, { replacing: true });
    return follow();
  } catch (error) {
    if (error.status === 503) showOpening(error.message);
    if (error.status === 503 || error.status === 429) state.timer = setTimeout(follow, 1000 * (error.retryAfter ?? 1));
    else notice("This picture is not in the audit", make("p", { class: "muted" }, error.message), make("div", { class: "actions" }, make("a", { class: "button", href: "/audit" }, "To the queue")));
  }
  return undefined;
}

addEventListener("popstate", follow);
follow();

// Filters: a button a column, whose panel has the column's values as chips, and a field that finds its other values.

import { getJson } from "./api.js";
import { byId, make } from "./dom.js";
import { announce } from "./live.js";

const PAUSE = 120; // milliseconds without a key before values are looked for
const LATER = 5; // seconds until the columns are asked for again
let columns = [];
const found = new Map(); // by column: what was typed, and the values that hold it
let looking = 0;

/** The columns that can be filtered by. Where the service cannot tell yet none, and `onLate` is called when it can. */
export async function loadColumns(onLate) {
  try {
    columns = (await getJson("/api/columns")).columns.filter((one) => one.values.length);
  } catch (error) {
    setTimeout(() => loadColumns(onLate).then(onLate), 1000 * (error.retryAfter ?? LATER));
  }
  return columns;
}

const NAME = String.raw`"((?:[^"]|"")*)"`;
const VALUE = String.raw`(?:'((?:[^']|'')*)'|([^\s']+))`;
const FORMS = [`^list_contains\\(${NAME}, ${VALUE}\\)$`, `^${NAME} = ${VALUE}$`].map((form) => new RegExp(form, "u"));

/** The column and the value of a filter as the service writes it; null for another expression. */
function parsed(where) {
  const parts = FORMS.map((form) => form.exec(where)).find(Boolean);
  const column = parts && columns.find((one) => one.name === parts[1].replaceAll('""', '"'));
  return column ? { column, value: parts[2]?.replaceAll("''", "'") ?? parts[3] } : null;
}

/** What a filter is called. */
export function filterName(where) {
  const one = parsed(where);
  if (!one) return where;
  return one.column.kind === "labels" ? one.value : `${one.column.name}: ${one.value}`;
}

/** One expression for chosen filters: values of a column are alternatives, labels and columns must all hold. */
export function combined(chosen) {
  const groups = new Map();
  for (const where of chosen) {
    const column = parsed(where)?.column;
    const key = column && column.kind !== "labels" ? column.name : `only ${where}`;
    groups.set(key, [...(groups.get(key) ?? []), `(${where})`]);
  }
  return [...groups.values()].map((all) => (all.length > 1 ? `(${all.join(" OR ")})` : all[0])).join(" AND ");
}

function valueChip({ value, count, where }, isChosen, onToggle) {
  const chip = make("button", { class: "chip", type: "button", "aria-pressed": String(isChosen) });
  chip.append(make("span", { dir: "auto" }, String(value)), make("small", {}, count.toLocaleString("en")));
  chip.addEventListener("click", () => onToggle(where));
  return chip;
}

/** A panel's values: those that hold what was typed, or the most frequent; and whether there are more. */
function content(column, chosen, onToggle) {
  const { values, more } = found.get(column.name) ?? column;
  const said = !values.length ? "No value holds this." : more && found.has(column.name) ? "There are more: type more of it." : "";
  const chips = values.map((value) => valueChip(value, chosen.includes(value.where), onToggle));
  return [make("div", { class: "chips" }, ...chips), said ? make("p", { class: "muted small" }, said) : ""];
}

/** A field that finds values of a column, and puts them into `place`. */
function finder(column, number, place, chosen, onToggle) {
  const id = `find-${number}`;
  const field = make("input", { id, type: "search", autocomplete: "off", spellcheck: "false", maxlength: 200, placeholder: "Find another value", "aria-label": `Find a value of ${column.name}` });
  field.value = found.get(column.name)?.typed ?? "";
  const look = async () => {
    const typed = field.value.trim();
    if (!typed) found.delete(column.name);
    else {
      const said = await getJson(`/api/columns/values?${new URLSearchParams({ column: column.name, part: typed })}`).catch((error) => error);
      if (typed !== field.value.trim()) return; // an older answer
      if (said instanceof Error) return place.replaceChildren(make("p", { class: "muted small" }, said.message));
      found.set(column.name, { ...said, typed });
      announce(said.values.length === 1 ? "1 value" : `${said.more ? "More than " : ""}${said.values.length} values`);
    }
    place.replaceChildren(...content(column, chosen, onToggle));
  };
  field.addEventListener("input", () => {
    clearTimeout(looking);
    looking = setTimeout(look, PAUSE);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing && found.get(column.name)?.typed === field.value.trim()) place.querySelector("button")?.click();
  });
  return field;
}

/** Show a button and a panel for each column. */
export function showFilters(chosen, onToggle) {
  const open = byId("filters").querySelector("[aria-expanded='true']")?.dataset.column;
  const focused = document.activeElement?.closest("#filters") && (document.activeElement.id || document.activeElement.textContent);
  const shown = columns.map((column, number) => {
    const isOpen = column.name === open;
    const place = make("div", { class: "values" }, ...content(column, chosen, onToggle));
    const panel = make("div", { class: "panel", id: `panel-${number}`, hidden: !isOpen, role: "group", "aria-label": column.name });
    panel.append(...(column.more ? [finder(column, number, place, chosen, onToggle)] : []), place);
    const button = make("button", {
      class: "button plain", type: "button", "data-column": column.name,
      "aria-expanded": String(isOpen), "aria-controls": panel.id,
    }, column.name, make("span", { class: "caret", "aria-hidden": "true" }));
    button.addEventListener("click", () => toggle(button));
    return make("div", { class: "filter" }, button, panel);
  });
  byId("filters").replaceChildren(...shown);
  if (focused) [...byId("filters").querySelectorAll("button, input")].find((one) => [one.id, one.textContent].includes(focused))?.focus();
}

function toggle(button) {
  const opens = button.getAttribute("aria-expanded") === "false";
  closePanels();
  button.setAttribute("aria-expanded", String(opens));
  byId(button.getAttribute("aria-controls")).hidden = !opens;
}

/** Close the open panel, if any; its button, or null. */
export function closePanels() {
  const button = byId("filters").querySelector("[aria-expanded='true']");
  button?.setAttribute("aria-expanded", "false");
  if (button) byId(button.getAttribute("aria-controls")).hidden = true;
  return button;
}

document.addEventListener("click", (event) => {
  if (event.target.isConnected && !event.target.closest(".filter")) closePanels();
});

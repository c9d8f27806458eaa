// Filters: a button a column, whose panel has the column's values as chips.

import { getJson } from "./api.js";
import { byId, make } from "./dom.js";

let columns = [];

/** The columns that can be filtered by; none where the service cannot tell. */
export async function loadColumns() {
  columns = await getJson("/api/columns").then((said) => said.columns.filter((one) => one.values.length), () => []);
  return columns;
}

/** Every value that is known, as {column, value, where}. */
const known = () => columns.flatMap((column) => column.values.map((value) => ({ column, ...value })));

/** What a filter is called. */
export function filterName(where) {
  const found = known().find((one) => one.where === where);
  if (!found) return where;
  return found.column.kind === "labels" ? String(found.value) : `${found.column.name}: ${found.value}`;
}

/** One expression for chosen filters: values of a column are alternatives, labels and columns must all hold. */
export function combined(chosen) {
  const groups = new Map();
  for (const where of chosen) {
    const column = known().find((one) => one.where === where)?.column;
    const key = column && column.kind !== "labels" ? column.name : `only ${where}`;
    groups.set(key, [...(groups.get(key) ?? []), `(${where})`]);
  }
  return [...groups.values()].map((all) => (all.length > 1 ? `(${all.join(" OR ")})` : all[0])).join(" AND ");
}

function valueChip({ value, count, where }, isChosen, onToggle) {
  const chip = make("button", { class: "chip", type: "button", "aria-pressed": String(isChosen) });
  chip.append(make("span", {}, String(value)), make("small", {}, count.toLocaleString("en")));
  chip.addEventListener("click", () => onToggle(where));
  return chip;
}

/** Show a button and a panel for each column. */
export function showFilters(chosen, onToggle) {
  const open = byId("filters").querySelector("[aria-expanded='true']")?.dataset.column;
  const focused = document.activeElement?.closest("#filters") && document.activeElement.textContent;
  const shown = columns.map((column, number) => {
    const isOpen = column.name === open;
    const panel = make("div", { class: "panel chips", id: `panel-${number}`, hidden: !isOpen, role: "group", "aria-label": column.name });
    panel.append(...column.values.map((value) => valueChip(value, chosen.includes(value.where), onToggle)));
    const button = make("button", {
      class: "button plain", type: "button", "data-column": column.name,
      "aria-expanded": String(isOpen), "aria-controls": panel.id,
    }, column.name, make("span", { class: "caret", "aria-hidden": "true" }));
    button.addEventListener("click", () => toggle(button));
    return make("div", { class: "filter" }, button, panel);
  });
  byId("filters").replaceChildren(...shown);
  if (focused) [...byId("filters").querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
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

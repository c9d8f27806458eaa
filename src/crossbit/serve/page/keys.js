// What keys do. Letters act only where the focus is in the results or in an open item, so that nobody hits them by chance.

import { byId } from "./dom.js";
import { closePanels } from "./filters.js";

const LETTERS = { m: "more", n: "not" };
const isTyping = (target) => target.matches("input:not([type='file']), textarea, select");

/** `grid` moves; `onAct(act, id)` is told what to do. */
export function listenToKeys(grid, onAct) {
  const field = byId("words");
  const keys = byId("keys");
  byId("show-keys").addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const does = isTyping(event.target) ? inField(event, grid, keys) : elsewhere(event, { grid, field, keys, onAct });
    if (does) event.preventDefault();
  });
}

function inField(event, grid, keys) {
  if (event.target.id === "words" && !event.target.value && "/?".includes(event.key)) return event.key === "/" || !keys.showModal();
  if (event.key === "ArrowDown" && event.target.id === "words") return grid.enter();
  if (event.key !== "Escape") return false;
  const panel = closePanels();
  if (event.target.id !== "words") panel?.focus();
  return panel !== null;
}

/** Whether the key meant something. */
function elsewhere(event, { grid, field, keys, onAct }) {
  const open = document.querySelector("dialog[open]");
  const id = open?.dataset.id ?? grid.focused?.dataset.id;
  if (LETTERS[event.key] && id) {
    onAct(LETTERS[event.key], id);
    return true;
  }
  if (open) return false;
  if (event.key === "/") field.select();
  else if (event.key === "?") keys.showModal();
  else if (event.key === "Escape") (closePanels() ?? field).focus();
  else return Boolean(grid.focused) && event.key.startsWith("Arrow") && (grid.move(event.key) || toField(event, field));
  return true;
}

function toField(event, field) {
  if (event.key !== "ArrowUp") return false;
  field.focus();
  return true;
}

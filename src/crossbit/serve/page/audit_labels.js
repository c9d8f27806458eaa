// Labels of the audit as chips: what is wrong, what is new, and a field for others.

import { byId, make } from "./dom.js";
import { percent } from "./labels.js";

function chip(name, style, p, said) {
  const item = make("li", { class: `chip ${style}`, title: said }, make("span", {}, name));
  if (p !== null) item.append(make("small", {}, percent(p)));
  if (said) item.append(make("span", { class: "unseen" }, said));
  return item;
}

/** The labels that a row has; those that look wrong struck out, with the probability that they are wrong. */
export function givenChips({ given, wrong }) {
  const doubts = new Map(wrong);
  const chips = given.map((name) => (doubts.has(name) ? chip(name, "wrong", doubts.get(name), "probably wrong") : chip(name, "", null, "")));
  return make("ul", { class: "chips" }, ...chips);
}

/** The labels that are proposed; the new ones marked, with the probability that they are right. */
export function proposedChips({ given, proposed, missing }) {
  const sure = new Map(missing);
  const chips = proposed.map((name) => (given.includes(name) ? chip(name, "", null, "") : chip(name, "new", sure.get(name) ?? null, "probably right, not given")));
  return make("ul", { class: "chips" }, ...chips);
}

/** Asks for other labels; gives them, or null. `single`: one label alone. */
export function askForLabels({ names, single, first }) {
  const [dialog, field, list, wrong] = ["other", "find", "chosen", "other-wrong"].map(byId);
  let chosen = [...first];
  const show = () => {
    list.replaceChildren(...chosen.map((name) => {
      const remove = make("button", { class: "chip chosen", type: "button", "aria-label": `Remove ${name}`, onclick: () => { chosen = chosen.filter((one) => one !== name); show(); field.focus(); } }, make("span", {}, name), "×");
      return make("li", {}, remove);
    }));
  };
  const add = () => {
    const typed = field.value.trim();
    if (!typed) return true;
    const name = names.find((one) => one === typed) ?? names.find((one) => one.toLowerCase() === typed.toLowerCase());
    if (!name) { wrong.textContent = `There is no label “${typed}” in these data.`; return false; }
    chosen = single ? [name] : [...new Set([...chosen, name])];
    field.value = "";
    wrong.textContent = "";
    show();
    return true;
  };
  field.value = "";
  wrong.textContent = "";
  show();
  return new Promise((resolve) => {
    let isTaken = false;
    const take = (event) => {
      event.preventDefault();
      if (!add()) return;
      if (!chosen.length) { wrong.textContent = "A row needs at least one label."; return; }
      isTaken = true;
      dialog.close();
    };
    const enter = (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      if (field.value.trim() && !single) { event.preventDefault(); add(); } else take(event);
    };
    byId("take").addEventListener("click", take);
    field.addEventListener("keydown", enter);
    dialog.addEventListener("close", () => {
      byId("take").removeEventListener("click", take);
      field.removeEventListener("keydown", enter);
      resolve(isTaken ? chosen : null);
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
}

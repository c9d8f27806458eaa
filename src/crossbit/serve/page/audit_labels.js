// Labels of the audit as chips: what is wrong, what is new, and a field for others.

import { byId, make } from "./dom.js";
import { percent } from "./labels.js";

function chip(name, style, p, said) {
  const item = make("li", { class: `chip ${style}`, title: said }, make("span", {}, name));
  if (p !== null) item.append(make("small", {}, percent(p)));
  if (said) item.append(make("span", { class: "unseen" }, said));
  return item;
}

/** The labels that a row has; those that look wrong struck out. A percentage is how likely a label is right, on all pages. */
export function givenChips({ given, wrong }) {
  const doubts = new Map(wrong);
  const chips = given.map((name) => (doubts.has(name) ? chip(name, "wrong", 1 - doubts.get(name), "given, but unlikely") : chip(name, "", null, "")));
  return make("ul", { class: "chips" }, ...chips);
}

/** The labels that are proposed; the new ones marked, with the probability that they are right. */
export function proposedChips({ given, proposed, missing }) {
  const sure = new Map(missing);
  const chips = proposed.map((name) => (given.includes(name) ? chip(name, "", null, "") : chip(name, "new", sure.get(name) ?? null, "not given, but likely")));
  return make("ul", { class: "chips" }, ...chips);
}

/** Asks for other labels; gives them and those that are new, or null. `single`: one label alone. */
export function askForLabels({ names, single, first }) {
  const [dialog, field, list, wrong] = ["other", "find", "chosen", "other-wrong"].map(byId);
  const offer = byId("add-new");
  let chosen = [...first];
  const added = new Set();
  const show = () => {
    list.replaceChildren(...chosen.map((name) => {
      const remove = make("button", { class: "chip chosen", type: "button", "aria-label": `Remove ${name}`, onclick: () => { chosen = chosen.filter((one) => one !== name); show(); field.focus(); } }, make("span", {}, name), added.has(name) ? make("small", {}, "new") : null, "×");
      return make("li", {}, remove);
    }));
  };
  const clear = () => {
    field.value = "";
    wrong.textContent = "";
    offer.hidden = true;
    show();
  };
  const choose = (name) => {
    chosen = single ? [name] : [...new Set([...chosen, name])];
    clear();
  };
  const add = () => {
    const typed = field.value.trim();
    if (!typed) return true;
    const known = [...names, ...added];
    const name = known.find((one) => one === typed) ?? known.find((one) => one.toLowerCase() === typed.toLowerCase());
    if (name) choose(name);
    else {
      wrong.textContent = `There is no label “${typed}” in these data.`;
      offer.hidden = false;
      offer.firstElementChild.textContent = `It is new: add “${typed}”`;
    }
    return Boolean(name);
  };
  const addNew = () => {
    const typed = field.value.trim();
    if (!typed) return;
    added.add(typed);
    choose(typed);
    field.focus();
  };
  const retyped = () => {
    wrong.textContent = "";
    offer.hidden = true;
  };
  clear();
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
    offer.firstElementChild.addEventListener("click", addNew);
    field.addEventListener("input", retyped);
    field.addEventListener("keydown", enter);
    dialog.addEventListener("close", () => {
      byId("take").removeEventListener("click", take);
      field.removeEventListener("keydown", enter);
      field.removeEventListener("input", retyped);
      offer.firstElementChild.removeEventListener("click", addNew);
      resolve(isTaken ? { labels: chosen, added: chosen.filter((name) => added.has(name)) } : null);
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
}

const held = JSON.parse(document.getElementById("held").textContent);
const place = "crossbit-audit " + held.data;
const $ = (id) => document.getElementById(id);
let at = 0;
let saved = true;

function stored() {
  try { return JSON.parse(localStorage.getItem(place)); } catch { return null; }
}
const decisions = new Decisions(held, stored());

function element(name, words, kind) {
  const made = document.createElement(name);
  if (words !== undefined) made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

function labels(names, others, kind) {
  const made = element("span");
  for (const name of names) made.append(element("b", name, others.includes(name) ? "" : kind), " ");
  if (!names.length) made.append("none");
  return made;
}

function picture(row) {
  const source = held.pictures[row];
  const made = element(source ? "img" : "span");
  if (source) { made.src = source; made.alt = ""; }
  return made;
}

function show() {
  const item = held.items[at], decision = decisions.of(item.row);
  $("place").textContent = `${at + 1} of ${held.items.length}` + (item.first ? "" : ", alike with the one before");
  $("count").textContent = `${decisions.count} decided`;
  $("picture").replaceChildren(picture(item.row));
  $("name").textContent = [item.caption, item.path, `row ${item.row}`, item.modality].filter((one) => one).join("  ·  ");
  $("p").textContent = item.probability.toFixed(2);
  $("given").replaceChildren(labels(item.observed, item.suggested, "wrong"));
  $("suggested").replaceChildren(labels(item.suggested, item.observed, "missing"));
  $("reason").textContent = item.reason;
  $("pair").textContent = item.pair_reason ? `pair wrong with ${item.wrong_pair.toFixed(2)}: ${item.pair_reason}` : "";
  $("decision").textContent = decision ? `${decision.decision}: ${decision.labels.join(", ") || "none"}` : "";
  $("near").replaceChildren(...item.neighbours.map((one) => {
    const made = element("figure");
    made.append(picture(one.row), element("figcaption", `${one.name} [${one.labels.join(", ")}]`));
    return made;
  }));
  $("choice").hidden = true;
}

function keep() {
  try { localStorage.setItem(place, JSON.stringify(decisions.made)); saved = true; } catch { saved = false; }
}
function go(to) { at = Math.max(0, Math.min(held.items.length - 1, to)); show(); }
function decide(kind, names) { decisions.decide(held.items[at], kind, names); keep(); go(at + 1); }
function undo() {
  const row = decisions.undo();
  keep();
  go(row === null ? at : held.items.findIndex((item) => item.row === row));
}

function other() {
  const item = held.items[at];
  $("labels").replaceChildren(...held.names.map((name) => {
    const made = element("label"), box = element("input");
    box.type = held.single ? "radio" : "checkbox";
    box.name = "label";
    box.value = name;
    box.checked = item.observed.includes(name);
    made.append(box, " ", name);
    return made;
  }));
  $("choice").hidden = false;
  $("find").value = "";
  $("find").focus();
}
function narrow() {
  const words = $("find").value.toLowerCase();
  for (const one of $("labels").children) one.hidden = !one.textContent.toLowerCase().includes(words);
}
function chosen() { decide("other", [...$("labels").querySelectorAll("input:checked")].map((box) => box.value)); }

function save() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([decisions.lines()], { type: "application/x-ndjson" }));
  link.download = "decisions.jsonl";
  link.click();
  URL.revokeObjectURL(link.href);
  saved = true;
}

const commands = {
  accept: () => decide("accept"), keep: () => decide("keep"), other, undo,
  next: () => go(at + 1), back: () => go(at - 1), save,
};
const keys = { a: "accept", k: "keep", o: "other", u: "undo", n: "next", ArrowRight: "next", p: "back", ArrowLeft: "back", s: "save" };
for (const [name, run] of Object.entries(commands)) $(`do-${name}`).addEventListener("click", run);
$("find").addEventListener("input", narrow);
$("choose").addEventListener("click", chosen);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!$("choice").hidden) {
    if (event.key === "Enter") { event.preventDefault(); chosen(); }
    if (event.key === "Escape") show();
    return;
  }
  const name = keys[event.key];
  if (name) { event.preventDefault(); commands[name](); }
});
window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
if (held.items.length) go(Math.max(0, held.items.findIndex((item) => !decisions.of(item.row))));

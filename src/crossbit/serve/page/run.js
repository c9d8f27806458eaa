// The run's page: figures beside floor and chance, noise in words, curves, what it was made with.

import { getJson } from "./api.js";
import { curve, series, short } from "./curves.js";
import { byId, draw, make } from "./dom.js";

const known = (value) => value !== null && value !== undefined;
const bounded = (value) => Math.min(Math.max(value, 0), 1);

function scale(figure) {
  const said = [`${short(figure.value)}`, known(figure.floor) && `floor ${short(figure.floor)}`, known(figure.chance) && `chance ${short(figure.chance)}`];
  const picture = draw("svg", { class: "scale", viewBox: "0 0 1 28", preserveAspectRatio: "none", role: "img", "aria-label": said.filter(Boolean).join(", ") });
  picture.append(draw("rect", { class: "ground", width: 1, height: 12, y: 8 }));
  picture.append(draw("rect", { class: "bar-value", width: bounded(figure.value), height: 12, y: 8 }));
  for (const level of ["chance", "floor"]) {
    if (known(figure[level])) picture.append(draw("line", { class: level, x1: bounded(figure[level]), x2: bounded(figure[level]), y1: 3, y2: 25 }));
  }
  return picture;
}

function figureRow(figure) {
  const levels = ["floor", "chance"].filter((level) => known(figure[level])).map((level) => `${level} ${short(figure[level])}`);
  const value = known(figure.value) ? short(figure.value) : "not known";
  const words = make("div", {}, make("h3", {}, figure.asks || figure.name), make("p", { class: "muted small" }, figure.name));
  const measure = make("div", { class: "measure" }, make("span", { class: "value" }, value));
  if (known(figure.value)) measure.append(scale(figure), make("span", { class: "levels" }, levels.join(", ")));
  return make("li", {}, words, measure, make("p", { class: "protocol muted small" }, figure.protocol));
}

function madeRows(run) {
  const features = Object.entries(run.features).map(([modality, kind]) => `${modality}: ${typeof kind === "string" ? kind : JSON.stringify(kind)}`);
  const pairs = [
    ["Method", run.method], ["Bits", run.bits], ["Data", run.data], ["Items", run.items?.toLocaleString("en")],
    ["Modalities", run.modalities.join(", ")], ["Features", features.join(", ")], ["Classes", run.classes.length],
  ];
  return pairs.filter(([, value]) => known(value) && value !== "").map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
}

/** Fill a part of the page; one that has nothing stays hidden. */
function fill(id, content) {
  if (!content.length) return;
  byId(id).replaceChildren(...content);
  byId(id).closest("section").hidden = false;
}

function show(run) {
  byId("title").textContent = run.run;
  byId("lede").textContent = `${run.items?.toLocaleString("en") ?? "No"} items, found by codes of ${run.bits} bits that ${run.method} learned.`;
  fill("figures", run.figures.map(figureRow));
  fill("noise", run.noise.map((line) => make("li", {}, line)));
  fill("curves", series(run.history).map(([name, points]) => curve(name, points)));
  fill("made", madeRows(run));
}

async function load() {
  try {
    show(await getJson("/api/run"));
  } catch (error) {
    byId("lede").textContent = `${error.message} Trying again.`;
    setTimeout(load, 1000 * (error.retryAfter ?? 5));
  }
}

load();

// The run's page: figures beside floor and chance, noise in words, curves, what it was made with.

import { getJson } from "./api.js";
import { curve, series } from "./curves.js";
import { byId, draw, make, sentence } from "./dom.js";
import { modalityName } from "./shows.js";

const figureOf = (value) => value.toFixed(3);
const known = (value) => value !== null && value !== undefined;
const bounded = (value) => Math.min(Math.max(value, 0), 1);

const levelWords = (levels) => ["floor", "chance"].filter((level) => known(levels[level])).map((level) => `${level} ${figureOf(levels[level])}`);

function scale(levels) {
  const words = [figureOf(levels.value), ...levelWords(levels)].join(", ");
  const picture = draw("svg", { class: "scale", viewBox: "0 0 1 28", preserveAspectRatio: "none", role: "img", "aria-label": words });
  picture.append(draw("rect", { class: "ground", width: 1, height: 12, y: 8 }));
  picture.append(draw("rect", { class: "bar-value", width: bounded(levels.value), height: 12, y: 8 }));
  for (const level of ["chance", "floor"]) {
    const at = bounded(levels[level]);
    if (known(levels[level])) picture.append(draw("line", { class: level, x1: at, x2: at, y1: 3, y2: 25 }));
  }
  return picture;
}

/** "image->text" in words. */
const direction = (name) => name.split("->").map(modalityName).join(" find ").replace(/ (\w+)$/, (last) => last.toLowerCase());

/** The values of a figure as [direction, levels]: one of its own, or one for each direction. */
function valuesOf({ value, floor, chance }) {
  if (!known(value) || typeof value !== "object") return [["", { value, floor, chance }]];
  return Object.keys(value).map((name) => [direction(name), { value: value[name], floor: floor?.[name], chance: chance?.[name] }]);
}

function measure([name, levels]) {
  const words = make("span", { class: "levels" }, [name, ...levelWords(levels)].filter(Boolean).join(", "));
  const value = make("span", { class: "value" }, known(levels.value) ? figureOf(levels.value) : "-");
  return make("div", { class: "measure" }, value, known(levels.value) ? scale(levels) : null, words);
}

function figureRow(figure, protocol) {
  const about = [figure.asks ? figure.name : "", protocol].filter(Boolean).map((line) => make("p", { class: "muted small" }, line));
  const title = figure.asks ? figure.asks[0].toUpperCase() + figure.asks.slice(1) : figure.name;
  const words = make("div", { class: "asked" }, make("h3", {}, title), ...about);
  return make("li", {}, words, make("div", {}, ...valuesOf(figure).map(measure)));
}

function madeRows(run) {
  const features = Object.entries(run.features).map(([modality, kind]) => `${modalityName(modality)}: ${typeof kind === "string" ? kind : JSON.stringify(kind)}`);
  const pairs = [
    ["Method", run.method], ["Bits", run.bits], ["Data", run.data], ["Items", run.items?.toLocaleString("en")],
    ["Modalities", run.modalities.map(modalityName).join(", ")], ["Features", features.join(", ")], ["Labels", run.classes.length.toLocaleString("en")],
  ];
  return pairs.filter(([, value]) => known(value) && value !== "").map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
}

/** Fill a part of the page; one that has nothing stays hidden. */
function fill(id, content) {
  byId(id).closest("section").hidden = !content.length;
  byId(id).replaceChildren(...content);
}

function show(run) {
  byId("title").textContent = run.run;
  byId("lede").textContent = `${run.items?.toLocaleString("en") ?? "No"} items, found by codes of ${run.bits} bits. Method: ${run.method}.${run.figures.length ? "" : ` How well it finds was not measured yet: crossbit evaluate ${run.run}`}`;
  const protocols = new Set(run.figures.map((figure) => figure.protocol));
  byId("protocol").textContent = protocols.size === 1 ? [...protocols][0] : "";
  fill("figures", run.figures.map((figure) => figureRow(figure, protocols.size > 1 ? figure.protocol : "")));
  fill("curves", series(run.history).map(([name, points]) => curve(name, points)));
  fill("made", madeRows(run));
}

const said = (line) => make("li", {}, sentence(line));

const PATIENT = 10; // seconds between questions, at most

/** What an audit finds in the labels. It is made the first time that somebody asks, which can take minutes. */
async function showNoise(run, asked = 0) {
  try {
    const found = await getJson("/api/audit?top=0");
    fill("noise", [...run.noise, ...found.words].map(said));
  } catch (error) {
    if (error.status !== 503) return fill("noise", run.noise.map(said));
    fill("noise", [...run.noise, `The labels are being read; with many of them this takes minutes. ${sentence(error.message)}`].map(said));
    setTimeout(showNoise, 1000 * Math.min((error.retryAfter ?? 2) + asked, PATIENT), run, asked + 1);
  }
}

async function load() {
  try {
    const run = await getJson("/api/run");
    show(run);
    showNoise(run);
  } catch (error) {
    byId("lede").textContent = `${error.message} Trying again.`;
    setTimeout(load, 1000 * (error.retryAfter ?? 5));
  }
}

load();

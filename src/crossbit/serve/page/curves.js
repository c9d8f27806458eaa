// Curves of numbers over epochs, as small pictures with one axis each.

import { draw, make } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [280, 130, 40, 20]; // of the drawing, and of its axes

/** What a history tells as numbers, by name: lists of [epoch, value]. What never changes is left out. */
export function series(history) {
  const names = [...new Set(history.flatMap((line) => Object.keys(line)))].filter((name) => name !== "epoch");
  const points = (name) => history.map((line, at) => [line.epoch ?? at + 1, line[name]]).filter(([, value]) => Number.isFinite(value));
  const all = names.map((name) => [name, points(name)]);
  return all.filter(([, held]) => held.length > 1 && held.some(([, value]) => value !== held[0][1]));
}

/** A number with three digits that count. */
export const short = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

function axes([firstX, lastX, low, high], x, y) {
  const text = (content, attributes) => draw("text", attributes, content);
  return [
    draw("path", { class: "axis", d: `M${LEFT} ${y(high)}V${y(low)}H${WIDTH}`, fill: "none" }),
    text(short(high), { x: LEFT - 6, y: y(high) + 4, "text-anchor": "end" }),
    text(short(low), { x: LEFT - 6, y: y(low) + 4, "text-anchor": "end" }),
    text(`epoch ${firstX}`, { x: LEFT, y: HEIGHT - 2 }),
    text(String(lastX), { x: WIDTH, y: HEIGHT - 2, "text-anchor": "end" }),
  ];
}

/** One curve with its name and its last value. */
export function curve(name, points) {
  const [xs, ys] = [points.map(([at]) => at), points.map(([, value]) => value)];
  const box = [xs[0], xs.at(-1), Math.min(...ys), Math.max(...ys)];
  const x = (at) => LEFT + ((at - box[0]) / (box[1] - box[0] || 1)) * (WIDTH - LEFT - 4);
  const y = (value) => HEIGHT - BOTTOM - ((value - box[2]) / (box[3] - box[2])) * (HEIGHT - BOTTOM - 8);
  const d = points.map(([at, value], place) => `${place ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const said = `${name}: from ${short(ys[0])} in epoch ${xs[0]} to ${short(ys.at(-1))} in epoch ${xs.at(-1)}`;
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said }, ...axes(box, x, y));
  picture.append(draw("path", { class: "line", d }), draw("circle", { class: "dot", cx: x(xs.at(-1)), cy: y(ys.at(-1)), r: 3.5 }));
  return make("figure", { class: "card" }, make("figcaption", {}, name.replaceAll("_", " "), make("span", {}, short(ys.at(-1)))), picture);
}

// The bits of a hit's code and of the query's: a strip, coloured where they agree.

import { draw } from "./dom.js";

/** Places of the bits that differ, and how many there are. `hex` is one code XOR the other, the first bit in front. */
export function compared(hex) {
  const all = [...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => (Number.parseInt(digit, 16) & bit) !== 0));
  return { bits: all.length, differing: all.flatMap((differs, place) => (differs ? [place] : [])) };
}

const bars = (places) => places.map((place) => `M${place} 0h1v1h-1z`).join("");

/** The strip as a picture with a name. */
export function strip(hex) {
  const { bits, differing } = compared(hex);
  const differs = new Set(differing);
  const agreeing = Array.from({ length: bits }, (_, place) => place).filter((place) => !differs.has(place));
  const said = `${agreeing.length} of ${bits} bits agree`;
  const picture = draw("svg", {
    class: "strip", viewBox: `0 0 ${bits} 1`, preserveAspectRatio: "none", role: "img", "aria-label": said,
  });
  picture.append(draw("title", {}, said));
  picture.append(draw("path", { class: "agree", d: bars(agreeing) }), draw("path", { class: "differ", d: bars(differing) }));
  return picture;
}

// What a screen reader is told: after a pause, so that typing is not talked over.

import { byId } from "./dom.js";

const PAUSE = 800; // milliseconds
let timer = 0;

export function announce(text) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    byId("live").textContent = text;
  }, PAUSE);
}

// One line that says what went wrong, and when the service is asked again.

import { byId, capital } from "./dom.js";
import { announce } from "./live.js";

let ticking = 0;

export function hideTrouble() {
  clearInterval(ticking);
  byId("trouble").hidden = true;
}

function said(error, seconds) {
  if (seconds === null) return capital(error.message);
  const what = error.status === 429 ? "The service is busy." : error.status === 0 ? error.message : "The service is not ready.";
  return `${what} Trying again in ${Math.max(1, Math.round(seconds))} s.`;
}

/** Say it. With `seconds` it counts them down, and the button calls `onAgain`. */
export function showTrouble(error, seconds, onAgain) {
  hideTrouble();
  const place = byId("trouble");
  const [text, button] = [place.querySelector("span"), place.querySelector("button")];
  const until = Date.now() + 1000 * (seconds ?? 0);
  const show = () => {
    text.textContent = said(error, seconds === null ? null : (until - Date.now()) / 1000);
  };
  show();
  place.hidden = false;
  button.hidden = seconds === null;
  button.onclick = onAgain;
  if (seconds !== null) ticking = setInterval(show, 1000);
  announce(text.textContent);
}

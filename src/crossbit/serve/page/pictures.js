// Pictures to search with: chosen, dropped or pasted. They stay in this window, under a number.

import { ApiError } from "./api.js";
import { byId } from "./dom.js";

const kept = new Map(); // of {file, url}, by numbers that no earlier load of the page has given
let next = Date.now();

/** Keep a picture; its number. */
export function keep(file) {
  next += 1;
  kept.set(next, { file, url: URL.createObjectURL(file) });
  return next;
}

/** A picture that this window was given, as {file, url}; undefined after the page was loaded anew. */
export const picture = (number) => kept.get(number);

/** The bytes of a search's picture: the given one, or that of its item. */
export async function pictureOf(search, signal) {
  if (search.picture) return kept.get(search.picture).file;
  let response;
  try {
    response = await fetch(`/api/items/${search.item}/picture`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not answer.", 0);
  }
  if (response.ok) return response.blob();
  throw new ApiError("This item has no picture, so it cannot be searched with words. Remove one of both.", 400);
}

const firstPicture = (files) => [...(files ?? [])].find((file) => file.type.startsWith("image/"));

/** Tells `onPicture(file)` of every picture that a person gives, and `onOther()` of a file that is none. */
export function listen(onPicture, onOther) {
  const take = (files) => {
    const found = firstPicture(files);
    if (found) onPicture(found);
    else if (files?.length) onOther();
  };
  const input = byId("file");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
  listenToDrops(take);
}

function listenToDrops(take) {
  const cover = byId("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    cover.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    cover.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}

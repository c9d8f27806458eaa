// Pictures to search with: chosen, dropped or pasted.

import { ApiError } from "./api.js";
import { byId } from "./dom.js";
import { drawn } from "./drawn.js";
import { picture } from "./kept.js";

/** The bytes of a search's picture: the given one, or that of its item. */
export async function pictureOf(search, signal) {
  if (search.picture) return picture(search.picture).file;
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

const NAMED = /\.(avif|bmp|gif|hei[cf]|jpe?g|png|svg|tiff?|webp)$/i; // where the browser does not know the kind

const isPicture = (file) => (file.type ? file.type.startsWith("image/") : NAMED.test(file.name));

/** Tells `onPicture(file)` of every picture that a person gives, and `onOther()` of a file that is none. */
export function listen(onPicture, onOther) {
  let taken = 0;
  const take = (files) => {
    const mine = (taken += 1);
    const found = [...(files ?? [])].find(isPicture);
    if (found) drawn(found).then((file) => (mine === taken ? onPicture(file) : undefined)); // no other was given meanwhile
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

// A line of the service that names the known words nearest to an unknown one: each of them is a button.

import { make } from "./dom.js";

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The words of a search with another in the place of an unknown one; that one alone where it is not found in them. */
function exchanged(words, unknown, known) {
  const changed = unknown ? words.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escaped(unknown)}(?![\\p{L}\\p{N}])`, "giu"), () => known) : words;
  return changed === words ? known : changed;
}

/** The line as what an element can hold. `words` are those of the search, and `onWords(words)` searches for others. */
export function nearest(line, words, onWords) {
  const [, said, list] = line.match(/^(.*; nearest: )(.+)$/) ?? [];
  if (!list) return [line];
  const unknown = said.match(/^'(.+)' is not a word/)?.[1];
  const button = (known) => make("button", { class: "link", type: "button", onclick: () => onWords(exchanged(words, unknown, known)) }, known);
  return [said, ...list.split(", ").flatMap((known, at) => (at ? [", ", button(known)] : [button(known)]))];
}

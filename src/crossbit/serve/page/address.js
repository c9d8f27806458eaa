// A search as an address, so that it can be shared and gone back to.

/**
 * What is searched for. `item` is the one that hits are to be like, `picture` the number of a picture that this window
 * was given (the address says only that there is one), `where` and `not` are lists, `open` is the item shown large.
 */
export const NOTHING = Object.freeze({ q: "", item: "", picture: 0, not: [], where: [], show: "", open: "" });

export const isEmpty = (search) => !search.q.trim() && !search.item && !search.picture;

/** The address of a search, from the page's root. */
export function toAddress(search) {
  const parts = new URLSearchParams();
  for (const name of ["q", "item", "show", "open"]) if (search[name]) parts.set(name, search[name]);
  if (search.picture) parts.set("picture", "own");
  for (const name of ["where", "not"]) search[name].forEach((one) => parts.append(name, one));
  return parts.size ? `/?${parts}` : "/";
}

const ELSEWHERE = -1; // the number of a picture that another window was given

/** The search of an address; `held` is what the history keeps beside it. */
export function fromAddress(address, held = null) {
  const parts = new URLSearchParams(address);
  const one = (name) => parts.get(name) ?? "";
  const lists = { where: parts.getAll("where"), not: parts.getAll("not") };
  return { q: one("q"), item: one("item"), show: one("show"), open: one("open"), picture: held?.picture || (parts.has("picture") ? ELSEWHERE : 0), ...lists };
}

/** Keep how many hits are shown, for who comes back or loads the page anew. */
export function keepCount(count) {
  history.replaceState({ ...history.state, count }, "");
}

let isDraft = false; // whether the newest entry of the history is being typed

/**
 * Put a search into the address, as a new entry of the history. `typing`: the entry of what is being typed is replaced.
 * `opened`: the entry before is the same search without the open item.
 */
export function write(search, { typing = false, replacing = false, opened = false } = {}) {
  const same = toAddress(search) === location.pathname + location.search && search.picture === (history.state?.picture ?? 0);
  const replaces = replacing || same || (typing && isDraft);
  const count = opened ? history.state?.count : undefined; // an open item is beside the same hits
  const held = { picture: search.picture, count, opened: replaces ? Boolean(history.state?.opened) : opened };
  history[replaces ? "replaceState" : "pushState"](held, "", toAddress(search));
  isDraft = typing;
}

/** What was typed is a query of its own from now on. */
export function settle() {
  isDraft = false;
}

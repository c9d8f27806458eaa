// What the audit's page shows, as an address that can be shared and gone back to.

/** `row` is one row by itself, `label` all pictures of one; both null: the queue. `item` is the id of a row's item. */
export function fromAddress() {
  const parts = new URLSearchParams(location.search);
  const row = /^\d{1,15}$/.test(parts.get("row") ?? "") ? Number(parts.get("row")) : null;
  const item = parts.get("item");
  return { row, item, label: row === null && item === null ? parts.get("label") : null };
}

const toAddress = ({ row = null, label = null }) => (row !== null ? `/audit?${new URLSearchParams({ row })}` : label !== null ? `/audit?${new URLSearchParams({ label })}` : "/audit");

/** Put it into the address: as a new entry of the history, or in the place of the one that is there. */
export function write(shown, { replacing = false } = {}) {
  const address = toAddress(shown);
  if (address !== location.pathname + location.search) history[replacing ? "replaceState" : "pushState"](null, "", address);
}

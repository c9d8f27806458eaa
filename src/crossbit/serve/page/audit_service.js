// What the audit's page asks of the service: a view, a decision, the token where one is needed.

import { ApiError, getJson, sendJson } from "./api.js";
import { byId } from "./dom.js";

export const TOP = 20; // rows of the queue at a time
export const MOST = 500; // pictures of a label
let token = null;

const query = (label) => new URLSearchParams(label === null ? { top: TOP } : { top: MOST, label });

export const view = (label) => getJson(`/api/audit?${query(label)}`);

export const oneRow = (row) => getJson(`/api/audit/rows/${row}`);

/** The row that an item of the index was made of. */
export const itemRow = (id) => getJson(`/api/audit/items/${encodeURIComponent(id)}`);

/** Decide; where a token is needed it is asked for, until it is right or the person gives up. */
export async function decide(asked, label) {
  const body = { ...asked, top: label === null ? TOP : MOST, ...(label === null ? {} : { label }) };
  for (;;) {
    const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    try {
      return await sendJson("/api/audit/decisions", body, { headers });
    } catch (error) {
      if (error.status !== 401) throw error;
      token = await askForToken(token === null ? "" : "This token is not the service's.");
      if (!token) throw new ApiError("A token is needed, so nothing was decided.", 401);
    }
  }
}

function askForToken(wrong) {
  const dialog = byId("token");
  byId("token-wrong").textContent = wrong;
  byId("secret").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  byId("secret").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "take" ? byId("secret").value : null), { once: true });
  });
}

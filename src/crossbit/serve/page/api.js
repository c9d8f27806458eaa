// The service's answers as objects, and its refusals as `ApiError`.

/** `status` is 0 where the service does not answer at all; `retryAfter` in seconds, for a busy one. */
export class ApiError extends Error {
  constructor(message, status, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not answer.", 0);
  }
  const said = await response.json().catch(() => null);
  if (response.ok && said !== null) return said;
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  const message = said?.error ?? `The service answered ${response.status} ${response.statusText}.`;
  throw new ApiError(message, response.status, Number.isFinite(seconds) ? seconds : null);
}

/** @param {{signal?: AbortSignal}} options */
export const getJson = (path, options = {}) => answer(path, options);

export const sendForm = (path, form, options = {}) => answer(path, { method: "POST", body: form, ...options });

export const sendJson = (path, body, options = {}) =>
  answer(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
    ...options,
  });

// The service's answers as objects, and its refusals as `ApiError`.

/** `status` is 0 where the service does not answer at all; `retryAfter` in seconds, for a busy one. */
export class ApiError extends Error {
  constructor(message, status, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const PATIENCE = 30_000; // milliseconds: a service ends a request itself long before

async function answer(path, { signal, ...options }) {
  let response;
  const late = AbortSignal.timeout(PATIENCE);
  try {
    response = await fetch(path, { credentials: "same-origin", signal: signal ? AbortSignal.any([signal, late]) : late, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not answer.", 0);
  }
  const said = await response.json().catch(() => null);
  if (response.ok && said !== null) return said;
  const seconds = Math.max(1, Number.parseFloat(response.headers.get("Retry-After"))); // NaN where it does not say
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

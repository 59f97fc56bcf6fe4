// @ts-check
// Calls of the gateway's API, and its streams of events, which connect again by themselves.

const API = "/console/v1";

/** An error that the gateway has put into words. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {{ [name: string]: string | number | boolean | undefined | null | string[] }} [parameters]
 */
function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) for (const each of value) query.append(name, each);
    else if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return API + path + (text ? `?${text}` : "");
}

/**
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function read(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // The status says enough.
  }
  if (!response.ok)
    throw new ApiError(response.status, body?.message ?? `the gateway answered ${response.status}`);
  return body;
}

/**
 * @param {string} path
 * @param {{ [name: string]: string | number | boolean | undefined | null | string[] }} [parameters]
 * @param {AbortSignal} [signal]
 */
export async function get(path, parameters, signal) {
  return read(await fetch(address(path, parameters), { signal, headers: { accept: "application/json" } }));
}

/**
 * @param {string} path
 * @param {unknown} body
 */
export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return read(await fetch(API + path, { method: "POST", headers, body: JSON.stringify(body) }));
}

/**
 * Calls `work` now and then again after each `ms`, until the signal. An error goes to `failed`.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 * @param {(error: Error) => void} failed
 * @returns {() => void} calls it at once
 */
export function poll(ms, signal, work, failed) {
  /** @type {number | undefined} */
  let timer;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted || running) return;
    running = true;
    try {
      if (!document.hidden) await work();
      link(true);
    } catch (error) {
      if (!signal.aborted) report(/** @type {Error} */ (error), failed);
    }
    running = false;
    if (!signal.aborted) timer = setTimeout(run, ms);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  run();
  return run;
}

/**
 * A stream of server-sent events until the signal. After the gateway was away it connects again.
 *
 * @param {{ [name: string]: string | string[] }} parameters
 * @param {AbortSignal} signal
 * @param {{ [event: string]: (data: any) => void }} listeners
 * @param {(error: Error) => void} failed
 */
export function events(parameters, signal, listeners, failed) {
  /** @type {EventSource | undefined} */
  let source;
  /** @type {number | undefined} */
  let timer;
  const open = () => {
    if (signal.aborted) return;
    source = new EventSource(address("/events", parameters));
    source.addEventListener("open", () => link(true));
    source.addEventListener("error", () => {
      source?.close();
      link(false);
      // The browser's own attempts end with a status that is not 200, and it does not say which one.
      timer = setTimeout(async () => {
        try {
          await get("");
        } catch (error) {
          report(/** @type {Error} */ (error), failed);
        }
        open();
      }, 1000);
    });
    for (const [name, listener] of Object.entries(listeners))
      source.addEventListener(name, (event) =>
        listener(JSON.parse(/** @type {MessageEvent} */ (event).data)),
      );
  };
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    source?.close();
  });
  open();
}

/**
 * @param {Error} error
 * @param {(error: Error) => void} failed
 */
function report(error, failed) {
  if (error instanceof ApiError && error.status === 403) link(false, error.message);
  else if (error instanceof TypeError) link(false);
  else failed(error);
}

let connected = true;

/**
 * Shows whether the gateway answers.
 *
 * @param {boolean} now
 * @param {string} [message]
 */
function link(now, message) {
  const shown = document.getElementById("link");
  if (!shown || (now === connected && !message)) return;
  connected = now;
  const text = now ? "" : (message ?? "The gateway does not answer. This page connects again by itself.");
  // A text that is set again is read out again.
  if (shown.textContent !== text) shown.textContent = text;
  document.documentElement.toggleAttribute("data-away", !now);
}

// @ts-check
// The pages and their addresses. A page gets an element and a signal, which ends it when another one opens.

import { get } from "./api.js";
import { attemptsPage } from "./attempts.js";
import { authorizersPage } from "./authorizers.js";
import { clientPage } from "./client.js";
import { connectionsPage } from "./connections.js";
import { dataPage } from "./data.js";
import { announce, el, empty, fill } from "./dom.js";
import { policyPage } from "./policy.js";
import { readingsPage } from "./readings.js";
import { words } from "./text.js";

/**
 * @typedef {object} Page
 * @property {HTMLElement} root
 * @property {AbortSignal} signal
 * @property {URLSearchParams} query what comes after `?` in the address
 * @property {any} gateway what the gateway says of itself
 * @property {(error: Error) => void} failed shows an error
 */

/** @type {[string, string, string, (page: Page) => void][]} */
const PAGES = [
  [
    "attempts",
    "Attempts",
    "Who tried to connect, publish or subscribe, and why it was refused",
    attemptsPage,
  ],
  ["connections", "Connections", "Who is connected now, and what each one may do", connectionsPage],
  ["client", "Test client", "Publish and subscribe, as a device or as an observer", clientPage],
  ["readings", "Readings", "Temperature and humidity that the fleet publishes", readingsPage],
  ["policy", "Policy lab", "Ask policy documents what they allow, and why", policyPage],
  ["authorizers", "Authorizers", "The functions that decide who may connect", authorizersPage],
  ["data", "Stored data", "What stays when a connection ends", dataPage],
];

const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));

// The token is in a cookie now, and need not stay in the address or the history.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);

fill(
  nav,
  PAGES.map(([name, title]) => el("a", { href: `#/${name}`, "data-page": name }, title)),
);

/** @type {any} */
let gateway = null;
let current = new AbortController();

async function show() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const page = PAGES.find(([name]) => name === path) ?? PAGES[0];
  if (!page) return;
  const [name, title, lede, open] = page;
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.page === name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${title} · Latchkey console`;
  const alert = el("div", { class: "alert", role: "alert", hidden: true });
  const root = el("div", { class: `page ${name}` });
  fill(
    main,
    el("div", { class: "title" }, el("h1", {}, title), el("p", { class: "lede" }, lede)),
    alert,
    root,
  );
  /** @param {Error} error */
  const failed = (error) => {
    if (signal.aborted || error.name === "AbortError") return;
    alert.hidden = false;
    fill(
      alert,
      el("span", {}, words(error.message)),
      el("button", { type: "button", class: "quiet", onclick: () => (alert.hidden = true) }, "Dismiss"),
    );
  };
  try {
    gateway ??= await get("");
  } catch (error) {
    if (signal.aborted) return;
    fill(root, empty("The gateway does not answer", words(/** @type {Error} */ (error).message)));
    setTimeout(() => !signal.aborted && show(), 2000);
    return;
  }
  if (signal.aborted) return;
  const where = /** @type {HTMLElement} */ (document.getElementById("gateway"));
  where.textContent = gateway.door ? `${gateway.door} · ${gateway.region}` : gateway.region;
  open({ root, signal, query: new URLSearchParams(query), gateway, failed });
}

/** After a restart everything that a page knows may be different. */
window.addEventListener("latchkey-restarted", () => {
  gateway = null;
  announce("The gateway has started again");
  show();
});
window.addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
show();

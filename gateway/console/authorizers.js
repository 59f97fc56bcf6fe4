// @ts-check
// Authorizers: how each one does, a test call with a form, and the end of its own log.

import { get, poll, post } from "./api.js";
import { sparkline } from "./chart.js";
import { el, empty, field, fill, pairs } from "./dom.js";
import { clock, foreign, json, milliseconds, size, time, visible, words } from "./text.js";

/** @param {import("./main.js").Page} page */
export function authorizersPage({ root, signal, failed }) {
  const cards = el("div", { class: "cards" });
  fill(root, cards);
  /** @type {Map<string, { facts: HTMLElement, log: HTMLElement, lines: number }>} */
  const known = new Map();

  /** @param {any} authorizer */
  function facts(authorizer) {
    const { calls, latency, processes } = authorizer;
    const running = processes?.running ?? [];
    const bytes = running.reduce(
      (/** @type {number} */ sum, /** @type {any} */ it) => sum + (it.bytes ?? 0),
      0,
    );
    const restarts = processes ? Math.max(0, processes.ended) : 0;
    return [
      el(
        "div",
        { class: "figures" },
        figure("Calls", String((calls.allow ?? 0) + (calls.deny ?? 0) + (calls.error ?? 0))),
        figure("Let in", String(calls.allow ?? 0), "good"),
        figure("Refused", String(calls.deny ?? 0)),
        figure("Errors", String(calls.error ?? 0), calls.error ? "bad" : ""),
        figure("p50", milliseconds(latency.p50)),
        figure("p95", milliseconds(latency.p95)),
        processes && figure("Memory", size(bytes)),
        processes && figure("Instances", String(running.length)),
        processes && figure("Instances ended", String(restarts), restarts ? "bad" : ""),
      ),
      latency.last.length > 1 &&
        /** @type {any} */ (
          sparkline(
            latency.last.slice(-120),
            `Durations of the last ${Math.min(120, latency.last.length)} calls, at most ${milliseconds(latency.max)}`,
          )
        ),
      latency.last.length > 1 &&
        el(
          "p",
          { class: "note" },
          `How long the last ${Math.min(120, latency.last.length)} calls took, the newest at the right; at most ${milliseconds(latency.max)}`,
        ),
      pairs([
        ["Function", el("code", {}, visible(authorizer.functionArn))],
        ["Runs as", foreign(authorizer.place, 200)],
        ["Token signing", authorizer.signing ? "on" : "off"],
        ["Answers cached for HTTP", authorizer.cachingForHttp ? "yes" : "no"],
        [
          "Processes",
          running
            .map((/** @type {any} */ it) => `${it.pid}${it.bytes ? ` (${size(it.bytes)})` : ""}`)
            .join(", "),
        ],
        [
          "Last error",
          authorizer.lastError && [`${time(authorizer.lastError.at)} `, ...words(authorizer.lastError.text)],
        ],
      ]),
    ];
  }

  /** @param {any} authorizer */
  function card(authorizer) {
    const factsBox = el("div", {});
    const log = el("div", {
      class: "log",
      tabIndex: 0,
      role: "log",
      "aria-label": `Log of ${authorizer.name}`,
      "aria-live": "off",
    });
    const clientId = el("input", { spellcheck: false, autocomplete: "off" });
    const userName = el("input", { spellcheck: false, autocomplete: "off" });
    const password = el("input", { type: "password", autocomplete: "off" });
    const serverName = el("input", { spellcheck: false, autocomplete: "off", value: "localhost" });
    const queryString = el("input", { spellcheck: false, autocomplete: "off" });
    const token = el("input", { spellcheck: false, autocomplete: "off" });
    const signature = el("input", { spellcheck: false, autocomplete: "off" });
    const result = el("div", { role: "status" });
    const form = el(
      "form",
      { "aria-label": `Test ${authorizer.name}` },
      el(
        "div",
        { class: "grid" },
        field("Client id", clientId),
        field("User name", userName),
        field("Password", password),
        field("Server name (SNI)", serverName),
        field("Query string", queryString, "of an HTTP request"),
        field("Token", token),
        field("Token signature", signature),
      ),
      el("p", { class: "actions" }, el("button", { type: "submit" }, "Call it")),
      result,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const optional = (/** @type {HTMLInputElement} */ input) => input.value || undefined;
      try {
        const answer = await post("/authorizer/test", {
          authorizer: authorizer.name,
          clientId: optional(clientId),
          userName: optional(userName),
          password: optional(password),
          serverName: token.value ? undefined : optional(serverName),
          queryString: optional(queryString),
          token: optional(token),
          tokenSignature: optional(signature),
        });
        const { policyDocuments = [], ...rest } = answer;
        const isIn = answer.isAuthenticated === true;
        fill(
          result,
          el(
            "p",
            { class: isIn ? "good" : "bad" },
            el(
              "strong",
              {},
              answer.error ? "No answer that AWS accepts" : isIn ? "Authenticated" : "Refused",
            ),
            ` after ${milliseconds(answer.tookMs)}. `,
            answer.error ? words(answer.error) : "",
          ),
          el("pre", { tabIndex: 0, "aria-label": "Answer" }, json(rest)),
          ...policyDocuments
            .map((/** @type {string} */ text, /** @type {number} */ at) => [
              el("p", { class: "note" }, `Policy document ${at}`),
              el("pre", { tabIndex: 0, "aria-label": `Policy document ${at}` }, visible(text, true)),
            ])
            .flat(),
        );
      } catch (error) {
        failed(/** @type {Error} */ (error));
      }
    });
    known.set(authorizer.name, { facts: factsBox, log, lines: -1 });
    return el(
      "section",
      { class: "card authorizer", "aria-label": `Authorizer ${authorizer.name}` },
      el(
        "div",
        { class: "detail-head" },
        el("h2", {}, foreign(authorizer.name)),
        el("span", { class: `badge ${authorizer.status === "ACTIVE" ? "good" : "wait"}` }, authorizer.status),
        authorizer.default && el("span", { class: "badge plain-badge" }, "default"),
      ),
      factsBox,
      el("details", {}, el("summary", {}, "Test it"), form),
      el("details", { open: true }, el("summary", {}, "Its own log"), log),
    );
  }

  poll(
    2000,
    signal,
    async () => {
      const { authorizers } = await get("/authorizers", {}, signal);
      const names = authorizers.map((/** @type {any} */ it) => it.name).join();
      if (names !== [...known.keys()].join()) {
        known.clear();
        fill(
          cards,
          authorizers.map(card),
          authorizers.length === 0 && empty("No authorizer", "The settings and API calls have made none."),
        );
      }
      for (const authorizer of authorizers) {
        const parts = known.get(authorizer.name);
        if (!parts) continue;
        fill(parts.facts, facts(authorizer));
        if (parts.lines === authorizer.lines) continue;
        parts.lines = authorizer.lines;
        const { lines } = await get("/authorizer/log", { name: authorizer.name }, signal);
        const atEnd = parts.log.scrollTop + parts.log.clientHeight >= parts.log.scrollHeight - 8;
        const shown = lines
          .slice(-100)
          .map((/** @type {any} */ line) =>
            el("div", {}, el("time", {}, clock(line.at)), " ", el("bdi", {}, visible(line.text))),
          );
        fill(parts.log, shown.length > 0 ? shown : "It has written nothing here.");
        if (atEnd) parts.log.scrollTop = parts.log.scrollHeight;
      }
    },
    failed,
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} [tone]
 */
function figure(name, value, tone = "") {
  return el(
    "div",
    { class: `figure ${tone}` },
    el("span", { class: "figure-value" }, value),
    el("span", { class: "figure-name" }, name),
  );
}

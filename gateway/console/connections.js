// @ts-check
// Connections: who is connected, what its session is, and what a person may do to it.

import { get, poll, post } from "./api.js";
import { announce, dangerButton, detailHead, el, empty, field, fill, pairs, update } from "./dom.js";
import { virtualList } from "./list.js";
import { duration, foreign, time, words } from "./text.js";

/** @param {import("./main.js").Page} page */
export function connectionsPage({ root, signal, query, failed }) {
  /** @type {Map<string, { at: number, received: number, sent: number, rate: string }>} */
  const earlier = new Map();
  let selected = query.get("client") ?? "";
  let at = Date.now();
  const text = el("input", { type: "search", placeholder: "client id", spellcheck: false });
  const detail = el("section", { class: "detail", "aria-label": "Connection" });

  /** Messages a second, from this count and the one before. @param {any} row */
  function rate(row) {
    const before = earlier.get(row.clientId);
    const seconds = before ? (at - before.at) / 1000 : 0;
    if (before && seconds < 0.5) return before.rate;
    const per = (/** @type {number} */ now, /** @type {number} */ then) =>
      ((now - then) / seconds).toFixed(1);
    const text =
      before && row.received >= before.received
        ? `${per(row.received, before.received)} / ${per(row.sent, before.sent)}`
        : "–";
    // The oldest ones leave: clients with other names come and go for as long as the page is open.
    earlier.delete(row.clientId);
    earlier.set(row.clientId, { at, received: row.received, sent: row.sent, rate: text });
    const [oldest] = earlier.keys();
    if (earlier.size > 1000 && oldest !== undefined) earlier.delete(oldest);
    return text;
  }

  const list = virtualList({
    label: "Connections",
    template: "connections",
    columns: [
      "Client id",
      "Since",
      "Address",
      "MQTT",
      "Filters",
      "In / out a second",
      "In flight",
      "Waiting",
    ],
    async load(offset, limit) {
      const answer = await get("/connections", { offset, limit, text: text.value.trim() }, signal);
      at = answer.at;
      return { total: answer.total, rows: answer.connections };
    },
    key: (row) => row.clientId,
    cells: (row) => [
      foreign(row.clientId, 48),
      duration(at - row.since),
      row.source,
      row.version ?? "–",
      String(row.subscriptions),
      rate(row),
      String(row.inflight),
      String(row.waiting),
    ],
    open: (row) => {
      selected = row.clientId;
      history.replaceState(null, "", `#/connections?${new URLSearchParams({ client: selected })}`);
      show(true).catch(failed);
    },
    none: empty("Nobody is connected", "A device that connects appears here within two seconds."),
  });

  fill(
    root,
    el(
      "div",
      { class: "panes" },
      el(
        "div",
        { class: "master" },
        el(
          "form",
          {
            class: "filters",
            role: "search",
            "aria-label": "Filter connections",
            onsubmit: (/** @type {Event} */ e) => e.preventDefault(),
          },
          field("Client id", text),
        ),
        list.element,
      ),
      detail,
    ),
  );
  const hint = () =>
    el("p", { class: "hint" }, "Choose a connection to see its session and the policies in force.");
  fill(detail, hint());
  text.addEventListener("input", () => list.restart().catch(failed));

  function close() {
    selected = "";
    list.select("");
    detail.classList.remove("open");
    history.replaceState(null, "", "#/connections");
    fill(detail, hint());
    list.focus();
  }
  detail.addEventListener("keydown", (event) => event.key === "Escape" && selected && close());

  /** @param {boolean} [focus] */
  async function show(focus) {
    const client = selected;
    if (!client) return;
    const connection = await get("/connection", { clientId: client }, signal);
    if (client !== selected) return;
    const shown = connection.connected
      ? described(connection)
      : [
          detailHead(foreign(client), close),
          empty("It is not connected", "Its attempts say why, or how its last connection ended."),
          el(
            "p",
            { class: "actions" },
            el(
              "a",
              { class: "button quiet", href: `#/attempts?${new URLSearchParams({ text: client })}` },
              "Its attempts",
            ),
          ),
        ];
    if (focus) fill(detail, shown);
    else update(detail, shown);
    detail.classList.add("open");
    if (focus) detail.querySelector("h2")?.focus();
  }

  /** @param {any} connection */
  function described(connection) {
    const { session } = connection;
    const { clientId } = connection;
    const act = async (
      /** @type {string} */ path,
      /** @type {object} */ body,
      /** @type {string} */ said,
    ) => {
      try {
        await post(path, { clientId, ...body });
        announce(said);
        status.textContent = said;
        setTimeout(() => again(), 400);
      } catch (error) {
        failed(/** @type {Error} */ (error));
      }
    };
    const clean = el("input", { type: "checkbox" });
    const noWill = el("input", { type: "checkbox" });
    const status = el("p", { class: "note", role: "status" });
    const until = (/** @type {number | null | undefined} */ ms) =>
      ms ? `${time(ms)}, in ${duration(ms - Date.now())}` : "never";
    return [
      detailHead(foreign(clientId), close),
      el(
        "p",
        { class: "actions" },
        el(
          "button",
          {
            type: "button",
            disabled: !session?.canRefresh,
            title: session?.canRefresh ? undefined : "no authorizer let it in",
            onclick: () => act("/connection/refresh", {}, "The authorizer is asked again."),
          },
          "Call its refresh now",
        ),
        el(
          "a",
          { class: "button quiet", href: `#/attempts?${new URLSearchParams({ text: clientId })}` },
          "Its attempts",
        ),
        el(
          "a",
          { class: "button quiet", href: `#/policy?${new URLSearchParams({ client: clientId })}` },
          "Ask its policies",
        ),
      ),
      el(
        "fieldset",
        {},
        el("legend", {}, "Cut off"),
        el("label", { class: "check" }, clean, " end the session too"),
        el("label", { class: "check" }, noWill, " without its last will"),
        dangerButton("Cut off", "Cut it off?", () =>
          act(
            "/connection/disconnect",
            { cleanSession: clean.checked, preventWill: noWill.checked },
            "The connection is cut off.",
          ),
        ),
      ),
      status,
      pairs([
        ["Connected since", `${time(connection.since)}, for ${duration(Date.now() - connection.since)}`],
        ["Address", connection.source],
        ["MQTT", connection.version],
        ["Keep-alive", session ? `${session.keepAlive} s` : `${connection.keepAlive} s asked for`],
        [
          "Messages",
          `${connection.received.toLocaleString("en")} in, ${connection.sent.toLocaleString("en")} out`,
        ],
        ["In flight, waiting", `${connection.inflight}, ${connection.waiting}`],
        [
          "Session",
          `${connection.cleanSession ? "new" : "resumed if there was one"}; ${
            connection.sessionExpiry > 0
              ? `stays for ${duration(connection.sessionExpiry * 1000)} after the connection`
              : "ends with the connection"
          }`,
        ],
        ["Principal", session && el("code", {}, session.principalId)],
        ["Next refresh", session && until(session.refreshAt)],
        ["Has to end", session && until(session.disconnectAt)],
        ["Last will", session?.lastWill && foreign(session.lastWill)],
        ["Connection number", connection.connectionNumber + 1],
      ]),
      el("h3", {}, "Policies in force"),
      session
        ? [
            el(
              "p",
              { class: "note" },
              `${session.documents} ${session.documents === 1 ? "document" : "documents"}; what they allow, whatever their conditions:`,
            ),
            pairs(Object.entries(session.allows).map(([action, on]) => [action, words(String(on))])),
            session.findings && el("p", { class: "note" }, words(session.findings)),
          ]
        : el("p", { class: "note" }, "The connection is busy and did not tell them in time."),
      el("h3", {}, `Subscriptions (${connection.filters.length})`),
      connection.filters.length === 0
        ? el("p", { class: "note" }, "None.")
        : el(
            "ul",
            { class: "plain" },
            ...connection.filters.map((/** @type {any} */ it) =>
              el("li", {}, foreign(it.filter), ` QoS ${it.qos}`),
            ),
          ),
    ];
  }

  const again = poll(
    2000,
    signal,
    async () => {
      const total = await list.refresh();
      list.count.textContent = `${total.toLocaleString("en")} connected`;
      await show();
    },
    failed,
  );
}

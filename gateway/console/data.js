// @ts-check
// Retained messages, sessions and shadows: look at them, change them, delete them.

import { get, poll, post } from "./api.js";
import { announce, dangerButton, detailHead, el, empty, field, fill, pairs, select } from "./dom.js";
import { virtualList } from "./list.js";
import {
  base64Of,
  bytesOf,
  cut,
  duration,
  foreign,
  json,
  payload as shown,
  size,
  time,
  visible,
  words,
} from "./text.js";

const KINDS = [
  ["retained", "Retained messages"],
  ["sessions", "Sessions"],
  ["shadows", "Shadows"],
];

/** @param {import("./main.js").Page} page */
export function dataPage({ root, signal, query, failed }) {
  const kind = query.get("kind") ?? "retained";
  const list = el("div", { class: "master" });
  const detail = el("section", { class: "detail", "aria-label": "Details" });
  fill(
    root,
    el(
      "nav",
      { class: "tabs", "aria-label": "Kinds of data" },
      ...KINDS.map(([name, title]) =>
        el("a", { href: `#/data?kind=${name}`, "aria-current": name === kind ? "page" : undefined }, title),
      ),
    ),
    el("div", { class: "panes" }, list, detail),
  );
  closeDetail(detail);
  detail.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !detail.classList.contains("open")) return;
    closeDetail(detail);
    list.querySelector("button")?.focus();
  });
  const open = kind === "sessions" ? sessions : kind === "shadows" ? shadows : retained;
  open({ list, detail, signal, failed });
}

/** @typedef {{ list: HTMLElement, detail: HTMLElement, signal: AbortSignal, failed: (error: Error) => void }} Panes */

/** @param {HTMLElement} detail @param {string} [said] */
function closeDetail(detail, said = "Choose one to look at it.") {
  fill(detail, el("p", { class: "hint" }, said));
  detail.classList.remove("open");
}

/**
 * @param {Panes} panes
 * @param {() => Promise<any>} work
 * @param {string} said
 */
async function act({ failed }, work, said) {
  try {
    await work();
    announce(said);
    return true;
  } catch (error) {
    failed(/** @type {Error} */ (error));
    return false;
  }
}

/**
 * A list that is loaded page by page, after the last one.
 *
 * @param {string} label
 * @param {HTMLElement} none
 * @param {(after: any) => Promise<{ items: HTMLElement[], next: any }>} load
 */
function pages(label, none, load) {
  const items = el("ul", { class: "items", "aria-label": label });
  const more = el("button", { type: "button", class: "quiet", hidden: true }, "Show more");
  /** @type {any} */
  let next = null;
  const element = el("div", {}, items, none, more);
  /** @param {boolean} first */
  async function read(first) {
    const loaded = await load(first ? null : next);
    if (first) fill(items, loaded.items);
    else items.append(...loaded.items);
    next = loaded.next;
    more.hidden = !next;
    none.hidden = items.children.length > 0;
    items.hidden = !none.hidden;
  }
  more.addEventListener("click", () => read(false));
  return { element, restart: () => read(true) };
}

/** @param {Panes} panes */
function retained(panes) {
  const { list, detail, signal, failed } = panes;
  const all = pages(
    "Retained messages",
    empty(
      "No retained message",
      "A message that is published with retain is kept here, the last one of each topic.",
    ),
    async (after) => {
      const answer = await get("/retained", { after, limit: 100 }, signal);
      const items = answer.messages.map((/** @type {any} */ it) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "item", onclick: () => open(it.topic) },
            foreign(it.topic, 120),
            el("small", {}, `${size(it.bytes)}, QoS ${it.qos}, ${time(it.at)}`),
          ),
        ),
      );
      return { items, next: answer.next };
    },
  );
  const fresh = el("button", { type: "button", onclick: () => edit("", new Uint8Array(), 0) }, "New message");
  fill(
    list,
    el(
      "p",
      { class: "actions" },
      fresh,
      el(
        "button",
        { type: "button", class: "quiet", onclick: () => all.restart().catch(failed) },
        "Load again",
      ),
    ),
    all.element,
  );
  all.restart().catch(failed);

  /** @param {string} topic */
  async function open(topic) {
    try {
      const message = await get("/retained/message", { topic }, signal);
      edit(topic, bytesOf(message.payload), message.qos, message);
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  }

  /**
   * @param {string} topic
   * @param {Uint8Array} bytes
   * @param {number} qos
   * @param {any} [message]
   */
  function edit(topic, bytes, qos, message) {
    const { kind } = shown(bytes);
    // As it is, and not laid out: what is saved again must be what it was.
    const text = kind === "bytes" ? shown(bytes).text : new TextDecoder().decode(bytes);
    const isCut = message && message.bytes > bytes.length;
    const isText = kind !== "bytes" && !isCut;
    const name = el("input", { value: topic, readOnly: Boolean(message), spellcheck: false, required: true });
    const body = el("textarea", { class: "code", rows: 10, value: isText ? text : "", spellcheck: false });
    const quality = select([
      ["0", "QoS 0"],
      ["1", "QoS 1"],
    ]);
    quality.value = String(qos);
    const form = el(
      "form",
      { "aria-label": "Retained message" },
      field("Topic", name),
      isText
        ? field("Payload", body)
        : el(
            "div",
            {},
            el("p", { class: "note" }, `${size(message?.bytes)} that can't be edited here; the beginning:`),
            el("pre", { tabIndex: 0, "aria-label": "Payload" }, visible(cut(text, 4000), true)),
          ),
      field("QoS", quality),
      message &&
        pairs([
          ["Retained since", time(message.at)],
          ["Content type", message.contentType && foreign(message.contentType)],
          ["Response topic", message.responseTopic && foreign(message.responseTopic)],
          ...(message.userProperties ?? []).map((/** @type {string[]} */ [name, value]) => [
            visible(cut(name ?? "", 60)),
            foreign(value),
          ]),
        ]),
      el("p", { class: "note" }, "The console publishes it, outside every policy."),
      el(
        "p",
        { class: "actions" },
        isText && el("button", { type: "submit" }, "Save"),
        message && dangerButton("Delete", "Delete it?", () => save(new Uint8Array(), "Deleted")),
      ),
    );
    /** @param {Uint8Array} payload @param {string} said */
    async function save(payload, said) {
      const body = {
        topic: name.value,
        payload: base64Of(payload),
        qos: Number(quality.value),
        retain: true,
        contentType: message?.contentType,
        responseTopic: message?.responseTopic,
        userProperties: message?.userProperties,
      };
      if (await act(panes, () => post("/publish", body), said)) {
        closeDetail(detail, `${said}.`);
        all.restart().catch(failed);
      }
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      save(new TextEncoder().encode(body.value), "Saved");
    });
    fill(
      detail,
      detailHead(message ? foreign(topic, 120) : "New retained message", () => closeDetail(detail)),
      form,
    );
    detail.classList.add("open");
    detail.querySelector("h2")?.focus();
  }
}

/** @param {Panes} panes */
function sessions(panes) {
  const { list, detail, signal, failed } = panes;
  const text = el("input", { type: "search", placeholder: "client id", spellcheck: false });
  const all = virtualList({
    label: "Sessions",
    template: "sessions",
    columns: ["Client id", "State", "Filters", "Waiting", "In flight"],
    async load(offset, limit) {
      const answer = await get("/sessions", { offset, limit, text: text.value.trim() }, signal);
      return { total: answer.total, rows: answer.sessions };
    },
    key: (row) => row.clientId,
    cells: (row) => [
      foreign(row.clientId, 48),
      row.connected ? "connected" : "away",
      String(row.subscriptions),
      String(row.waiting),
      String(row.inflight),
    ],
    open: (row) => {
      fill(
        detail,
        detailHead(foreign(row.clientId), () => {
          closeDetail(detail);
          all.select("");
        }),
        pairs([
          [
            "State",
            row.connected
              ? "connected"
              : `away${row.endsAt ? `; it ends in ${duration(row.endsAt - Date.now())}` : ""}`,
          ],
          ["Outlives its connection", row.persistent ? "yes" : "no"],
          ["MQTT", row.version],
          ["Principal", el("code", {}, row.principalId)],
          ["Topic filters", row.subscriptions],
          ["Messages that wait", `${row.waiting}, ${size(row.bytes)} with those in flight`],
          ["In flight", row.inflight],
        ]),
        el(
          "p",
          { class: "actions" },
          dangerButton(
            row.connected ? "Delete it, and cut off its client" : "Delete it",
            "Delete the session?",
            async () => {
              const work = () => post("/session/delete", { clientId: row.clientId });
              if (!(await act(panes, work, "The session is deleted"))) return;
              closeDetail(detail, "The session is deleted, with what waited in it.");
              setTimeout(() => all.restart().catch(failed), 300);
            },
          ),
        ),
      );
      detail.classList.add("open");
      detail.querySelector("h2")?.focus();
    },
    none: empty(
      "No session",
      "A client that connects has one, and keeps it for some time if it asks for that.",
    ),
  });
  text.addEventListener("input", () => all.restart().catch(failed));
  fill(
    list,
    el(
      "form",
      {
        class: "filters",
        role: "search",
        "aria-label": "Filter sessions",
        onsubmit: (/** @type {Event} */ e) => e.preventDefault(),
      },
      field("Client id", text),
    ),
    all.element,
  );
  poll(
    3000,
    signal,
    async () => {
      const total = await all.refresh();
      all.count.textContent = `${total.toLocaleString("en")} sessions`;
    },
    failed,
  );
}

/** @param {Panes} panes */
function shadows(panes) {
  const { list, detail, signal, failed } = panes;
  const all = pages(
    "Shadows",
    empty(
      "No shadow",
      "A device makes one with a message on its topic ",
      el("code", {}, "$aws/things/THING/shadow/update"),
      ", and you with the button.",
    ),
    async (after) => {
      const answer = await get("/shadows", { limit: 100, ...(after ?? {}) }, signal);
      const items = answer.shadows.map((/** @type {any} */ it) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "item", onclick: () => open(it.thing, it.name) },
            foreign(it.thing, 80),
            el("small", {}, it.name ? `named ${it.name}` : "classic"),
          ),
        ),
      );
      return { items, next: answer.next };
    },
  );
  fill(
    list,
    el(
      "p",
      { class: "actions" },
      el("button", { type: "button", onclick: () => edit("", "", null) }, "New shadow"),
      el(
        "button",
        { type: "button", class: "quiet", onclick: () => all.restart().catch(failed) },
        "Load again",
      ),
    ),
    all.element,
  );
  all.restart().catch(failed);

  /** @param {string} thing @param {string} name */
  async function open(thing, name) {
    try {
      edit(thing, name, await get("/shadow", { thing, name }, signal));
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  }

  /** @param {string} thing @param {string} name @param {any} document */
  function edit(thing, name, document) {
    const owner = el("input", {
      value: thing,
      readOnly: Boolean(document),
      spellcheck: false,
      required: true,
    });
    const own = el("input", { value: name, readOnly: Boolean(document), spellcheck: false });
    const body = el("textarea", {
      class: "code",
      rows: 8,
      spellcheck: false,
      value: json({ state: { desired: document?.state?.desired ?? {} } }),
    });
    const said = el("p", { class: "state", role: "status" });
    const form = el(
      "form",
      { "aria-label": "Shadow" },
      !document && field("Thing", owner),
      !document && field("Shadow's name", own, "Empty for the classic shadow."),
      document && el("pre", { tabIndex: 0, "aria-label": "Document" }, json(document)),
      field("Update", body, "As a device writes it: what is null is deleted."),
      el(
        "p",
        { class: "actions" },
        el("button", { type: "submit" }, "Update"),
        document &&
          dangerButton("Delete", "Delete the shadow?", async () => {
            const work = () => post("/shadow/delete", { thing, name });
            if (!(await act(panes, work, "The shadow is deleted"))) return;
            closeDetail(detail, "The shadow is deleted.");
            all.restart().catch(failed);
          }),
      ),
      said,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await post("/shadow", { thing: owner.value, name: own.value, document: JSON.parse(body.value) });
        announce("The shadow is updated");
        all.restart().catch(failed);
        await open(owner.value, own.value);
      } catch (error) {
        said.className = "state bad";
        fill(said, words(/** @type {Error} */ (error).message));
      }
    });
    fill(
      detail,
      detailHead(
        [document ? foreign(thing, 80) : "New shadow", name ? [" / ", foreign(name, 60)] : null],
        () => closeDetail(detail),
      ),
      form,
    );
    detail.classList.add("open");
    detail.querySelector("h2")?.focus();
  }
}

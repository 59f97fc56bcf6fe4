// @ts-check
// Policy lab: documents, a question, and the statement that decides or comes nearest, marked in the text.

import { get, post } from "./api.js";
import { announce, el, field, fill, select } from "./dom.js";
import { foreign, visible, words } from "./text.js";

const ACTIONS = [
  "iot:Publish",
  "iot:Subscribe",
  "iot:Receive",
  "iot:Connect",
  "iot:RetainPublish",
  "iot:GetThingShadow",
  "iot:UpdateThingShadow",
  "iot:DeleteThingShadow",
];

/** @param {import("./main.js").Page} page */
export function policyPage({ root, signal, query, gateway, failed }) {
  const { partition, region, account, limits } = gateway;
  const arn = `arn:${partition}:iot:${region}:${account}`;
  const example = {
    Version: "2012-10-17",
    Statement: [
      { Sid: "OwnId", Effect: "Allow", Action: "iot:Connect", Resource: `${arn}:client/hall-1` },
      {
        Sid: "OwnTopics",
        Effect: "Allow",
        Action: ["iot:Publish", "iot:Receive"],
        Resource: `${arn}:topic/sensor/hall-1/*`,
      },
      {
        Sid: "OwnFilters",
        Effect: "Allow",
        Action: "iot:Subscribe",
        Resource: `${arn}:topic/sensor/hall-1/#`,
      },
    ],
  };
  const known = el("datalist", { id: "known-clients" });
  const client = el("input", { value: query.get("client") || "hall-1", spellcheck: false });
  client.setAttribute("list", "known-clients");
  const take = el("button", { type: "button", class: "quiet" }, "Take its last documents");
  const action = select(ACTIONS.map((name) => [name, name]));
  action.value = query.get("action") ?? "iot:Publish";
  if (!action.value) action.value = "iot:Publish";
  const resource = el("input", {
    value: query.get("resource") ?? "sensor/hall-2/temperature",
    spellcheck: false,
  });
  const persistent = el("input", { type: "checkbox" });
  const editors = el("div", { class: "editors" });
  const add = el("button", { type: "button", class: "quiet" }, "Add a document");
  const verdict = el("div", { class: "verdict", role: "status" });
  /** @type {HTMLTextAreaElement[]} */
  let texts = [];
  /** @type {HTMLElement[]} */
  let results = [];

  /** @param {string[]} documents */
  function edit(documents) {
    texts = documents.map((text) =>
      el("textarea", { class: "code", spellcheck: false, rows: 18, value: pretty(text) }),
    );
    results = documents.map(() => el("div", { class: "document-result" }));
    fill(
      editors,
      texts.map((text, at) =>
        el(
          "div",
          { class: "document card" },
          el(
            "div",
            { class: "detail-head" },
            field(`Document ${at}`, text),
            texts.length > 1
              ? el(
                  "button",
                  {
                    type: "button",
                    class: "quiet",
                    "aria-label": `Remove document ${at}`,
                    onclick: () => (
                      edit(texts.filter((_, other) => other !== at).map((it) => it.value)),
                      ask()
                    ),
                  },
                  "Remove",
                )
              : null,
          ),
          /** @type {HTMLElement} */ (results[at]),
        ),
      ),
    );
    for (const text of texts) text.addEventListener("input", later);
    add.disabled = texts.length >= limits.documents;
  }

  /** @type {number | undefined} */
  let timer;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, 250);
  }

  let asked = 0;
  async function ask() {
    asked += 1;
    const mine = asked;
    resource.disabled = action.value === "iot:Connect";
    try {
      const documents = texts.map((text) => text.value);
      const answer = await post("/policy", {
        documents,
        clientId: client.value,
        action: action.value,
        resource: resource.value,
        persistentSession: persistent.checked,
      });
      // An answer may come after the one to a later question.
      if (signal.aborted || mine !== asked) return;
      show(answer, documents);
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  }

  /** @param {any} answer @param {string[]} documents */
  function show(answer, documents) {
    const { decision } = answer;
    const place = decision?.statement ?? decision?.nearMiss?.statement;
    const isNear = decision && !decision.statement && decision.nearMiss;
    if (!decision) {
      fill(
        verdict,
        el(
          "p",
          { class: "bad" },
          el("strong", {}, "No decision."),
          " AWS refuses an answer in which one document can't be read, and the client with it.",
        ),
      );
    } else {
      fill(
        verdict,
        el(
          "p",
          { class: decision.allowed ? "good" : "bad" },
          el("strong", {}, decision.allowed ? "Allowed" : "Denied"),
          " ",
          words(decision.text.replace(/^(allowed|denied)[: ]*/, "")),
        ),
        isNear && el("p", {}, el("strong", {}, "Nearest: "), words(decision.nearMiss.text)),
        !decision.allowed &&
          decision.allows &&
          el("p", { class: "note" }, `They allow ${action.value} on `, words(decision.allows)),
        el("p", { class: "note" }, "Asked about ", foreign(decision.resource, 300, "code")),
      );
    }
    announce(verdict.textContent ?? "");
    answer.documents.forEach((/** @type {any} */ document, /** @type {number} */ at) => {
      const text = documents[at] ?? "";
      const isOf = place?.document === at;
      const elsewhere = decision && !decision.allowed && !place ? alike(text, action.value) : [];
      const spans = (isOf ? [place.statement] : elsewhere)
        .map((/** @type {number} */ number) => document.statements[number])
        .filter(Boolean);
      const why = isNear
        ? "The statement that comes nearest:"
        : place
          ? "The statement that decides:"
          : `Marked: what allows ${action.value}, and on other resources.`;
      const over = document.characters > document.maxCharacters;
      fill(
        /** @type {HTMLElement} */ (results[at]),
        el(
          "p",
          { class: over ? "limit bad" : "limit" },
          `${document.characters.toLocaleString("en")} of ${document.maxCharacters.toLocaleString("en")} characters, without white space`,
        ),
        el("meter", {
          min: 0,
          max: document.maxCharacters,
          value: document.characters,
          high: document.maxCharacters * 0.9,
          "aria-label": `Characters of document ${at}`,
        }),
        document.error && el("p", { class: "bad" }, words(document.error)),
        ...document.findings.map((/** @type {any} */ finding) =>
          el("p", { class: "finding" }, el("code", {}, visible(finding.place)), " ", words(finding.text)),
        ),
        !document.error &&
          document.findings.length === 0 &&
          el("p", { class: "note" }, "Lint has nothing to say."),
        spans.length > 0 && [
          el("p", { class: "note" }, why),
          el(
            "pre",
            { class: "code", tabIndex: 0, "aria-label": `Document ${at}, with the statement marked` },
            ...marked(text, spans, decision.statement ? (decision.allowed ? "allows" : "denies") : "near"),
          ),
        ],
      );
    });
    for (const mark of editors.querySelectorAll("mark")) {
      const shown = mark.parentElement;
      if (shown?.querySelector("mark") === mark) shown.scrollTop = mark.offsetTop - 40;
    }
  }

  add.addEventListener("click", () => {
    edit([
      ...texts.map((it) => it.value),
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Action: "iot:Publish", Resource: "*" }],
      }),
    ]);
    ask();
  });
  take.addEventListener("click", async () => {
    try {
      const answer = await get("/documents", { clientId: client.value }, signal);
      const found = answer.clients[0];
      if (!found)
        throw new Error(
          `The console's memory has no documents of \`${client.value}\`: they are there after it connects, or after you call its refresh`,
        );
      edit(found.documents);
      ask();
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  });
  for (const control of [client, resource]) control.addEventListener("input", later);
  for (const control of [action, persistent]) control.addEventListener("change", ask);

  fill(
    root,
    el(
      "div",
      { class: "lab" },
      el(
        "form",
        {
          class: "card question",
          "aria-label": "Question",
          onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), ask()),
        },
        el("h2", {}, "May the client do this?"),
        field("Client id", client),
        known,
        el("p", { class: "actions" }, take),
        field("Action", action),
        field("Topic or topic filter", resource),
        el("label", { class: "check" }, persistent, " it asks for a persistent session"),
        verdict,
      ),
      el("div", {}, editors, el("p", { class: "actions" }, add)),
    ),
  );
  edit([JSON.stringify(example)]);
  get("/documents", {}, signal)
    .then((answer) => {
      fill(
        known,
        answer.clients.map((/** @type {any} */ it) => el("option", { value: it.clientId })),
      );
      const own = answer.clients.find((/** @type {any} */ it) => it.clientId === query.get("client"));
      if (own) edit(own.documents);
      ask();
    })
    .catch(failed);
}

/**
 * The numbers of the statements that allow an action on something.
 *
 * @param {string} text
 * @param {string} action
 * @returns {number[]}
 */
function alike(text, action) {
  const list = (/** @type {unknown} */ value) => (Array.isArray(value) ? value : [value]);
  try {
    const matches = (/** @type {unknown} */ pattern) =>
      typeof pattern === "string" &&
      new RegExp(
        `^${pattern
          .split("*")
          .map((part) => part.replace(/[^\w:]/g, "\\$&"))
          .join(".*")}$`,
        "i",
      ).test(action);
    return list(JSON.parse(text).Statement).flatMap((statement, number) =>
      statement.Effect === "Allow" && list(statement.Action).some(matches) ? [number] : [],
    );
  } catch {
    return [];
  }
}

/**
 * A text with parts of it marked.
 *
 * @param {string} text
 * @param {[number, number][]} spans in their order
 * @param {string} tone
 */
function marked(text, spans, tone) {
  const parts = [];
  let end = 0;
  for (const [from, to] of spans) {
    parts.push(visible(text.slice(end, from), true));
    parts.push(el("mark", { class: tone }, visible(text.slice(from, to), true)));
    end = to;
  }
  parts.push(visible(text.slice(end), true));
  return parts;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

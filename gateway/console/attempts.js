// @ts-check
// Attempts: the live list, newest first, and the story of each one.

import { events, get } from "./api.js";
import { announce, copyButton, el, empty, field, fill, pairs, select } from "./dom.js";
import { clock, foreign, json, milliseconds, words } from "./text.js";

const SHOWN = 400;

/** @type {{ [outcome: string]: string }} */
const TONES = {
  connected: "good",
  refreshed: "good",
  published: "good",
  sent: "good",
  pending: "wait",
};

/** @param {any} row */
export function outcome(row) {
  const tone = row.problem ? "bad" : (TONES[row.outcome] ?? "good");
  return el("span", { class: `badge ${tone}` }, row.outcome);
}

/** @param {any} row */
function name(row) {
  const device = row.device ?? row.clientId;
  return device ? foreign(device, 64) : el("span", { class: "quiet-text" }, "no client id");
}

/** @param {import("./main.js").Page} page */
export function attemptsPage({ root, signal, query, failed }) {
  /** @type {Map<number, any>} */
  const rows = new Map();
  /** @type {Map<number, HTMLElement>} */
  const lines = new Map();
  let instance = "";
  let paused = false;
  let selected = Number(query.get("id")) || 0;
  /** @type {number | null} */
  let next = null;
  let skipped = 0;

  const text = el("input", {
    type: "search",
    value: query.get("text") ?? "",
    placeholder: "name, address, topic, id",
    spellcheck: false,
  });
  const outcomes = select(
    [
      ["", "all"],
      ["problem", "problems"],
    ],
    {},
  );
  const reasons = select([["", "all"]], {});
  const pause = el("button", { type: "button", class: "quiet", "aria-pressed": "false" }, "Pause");
  const count = el("p", { class: "count" });
  const note = el("p", { class: "note", role: "status", hidden: true });
  const list = el("ol", { class: "attempt-list", "aria-label": "Attempts, newest first" });
  const more = el("button", { type: "button", class: "quiet", hidden: true }, "Show earlier ones");
  const none = empty(
    "No attempt yet",
    "Connect a device, or open the ",
    el("a", { href: "#/client" }, "test client"),
    ": each handshake, CONNECT, HTTP request and refresh appears here as it happens.",
  );
  const detail = el("section", { class: "detail", "aria-label": "Story of the attempt" });
  const filters = el(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Filter attempts",
      onsubmit: (/** @type {Event} */ event) => event.preventDefault(),
    },
    field("Device or address", text),
    field("Outcome", outcomes),
    field("Reason", reasons),
    pause,
  );
  const panes = el(
    "div",
    { class: "panes" },
    el("div", { class: "master" }, filters, count, note, list, none, more),
    detail,
  );
  fill(root, panes);
  showHint();

  function showHint() {
    fill(
      detail,
      el(
        "p",
        { class: "hint" },
        "Choose an attempt to read its story: every step, why, and what to do about it.",
      ),
    );
  }

  const filter = () => ({ text: text.value.trim(), outcome: outcomes.value, reason: reasons.value });

  /** @param {any} row */
  function accepts(row) {
    const { text, outcome, reason } = filter();
    const wanted = text.toLowerCase();
    const texts = [row.device, row.clientId, row.address, row.topic].filter(Boolean);
    return (
      (outcome === "" || (outcome === "problem" ? row.problem : row.outcome === outcome)) &&
      (reason === "" || row.reason === reason) &&
      (wanted === "" ||
        row.connectionId.startsWith(wanted) ||
        texts.some((found) => found.toLowerCase().includes(wanted)))
    );
  }

  /** @param {any} row */
  function line(row) {
    const button = el(
      "button",
      {
        type: "button",
        class: "attempt",
        "aria-current": row.id === selected ? "true" : undefined,
        onclick: () => open(row.id),
      },
      el("time", { class: "when", dateTime: new Date(row.at).toISOString() }, clock(row.at)),
      el(
        "span",
        { class: "who" },
        name(row),
        row.device && row.clientId && row.device !== row.clientId
          ? [" as ", foreign(row.clientId, 48)]
          : null,
      ),
      outcome(row),
      el("span", { class: "what" }, row.kind, row.topic ? [" ", foreign(row.topic, 48)] : null),
      el("span", { class: "why" }, row.reason ?? ""),
      el("span", { class: "door" }, row.door ?? row.address ?? ""),
      el("span", { class: "took" }, milliseconds(row.tookMs)),
    );
    return el("li", { "data-id": row.id }, button);
  }

  /** @param {any} row */
  function put(row) {
    rows.set(row.id, row);
    const old = lines.get(row.id);
    if (!accepts(row)) {
      old?.remove();
      lines.delete(row.id);
      return;
    }
    const fresh = line(row);
    lines.set(row.id, fresh);
    if (old) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(fresh);
      if (focused) fresh.querySelector("button")?.focus();
      return;
    }
    const before = [...list.children].find(
      (other) => Number(/** @type {HTMLElement} */ (other).dataset.id) < row.id,
    );
    list.insertBefore(fresh, before ?? null);
  }

  function trim() {
    while (list.children.length > SHOWN && !paused) {
      const last = /** @type {HTMLElement} */ (list.lastElementChild);
      const id = Number(last.dataset.id);
      rows.delete(id);
      lines.delete(id);
      last.remove();
      next = next === null ? id : Math.max(next, id);
    }
    more.hidden = next === null;
    none.hidden = list.children.length > 0;
  }

  /** @param {any} summary */
  function summarize(summary) {
    const problems = Object.entries(summary.outcomes)
      .filter(([name]) => ["refused", "denied", "fault", "throttled", "dropped"].includes(name))
      .reduce((sum, [, number]) => sum + Number(number), 0);
    const forgotten =
      summary.forgotten > 0 ? "; older ones have left the console's memory, and the log file has them" : "";
    count.textContent = `${summary.total.toLocaleString("en")} attempts in memory, ${problems.toLocaleString("en")} with a problem${forgotten}`;
    options(outcomes, [["", "all"], ["problem", `problems (${problems})`], ...counted(summary.outcomes)]);
    options(reasons, [["", "all"], ...counted(summary.reasons)]);
  }

  /** @param {number} now */
  function sampled(now) {
    skipped += now;
    note.hidden = skipped === 0;
    note.textContent = `The list is a sample: ${skipped.toLocaleString("en")} changes came too fast to show. Filters and earlier ones find them.`;
  }

  async function load() {
    try {
      const answer = await get("/attempts", { ...filter(), limit: 100 }, signal);
      instance = answer.instance;
      rows.clear();
      lines.clear();
      fill(list);
      next = answer.next;
      for (const row of answer.attempts) put(row);
      summarize(answer.summary);
      skipped = 0;
      sampled(0);
      trim();
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  }

  more.addEventListener("click", async () => {
    try {
      const answer = await get("/attempts", { ...filter(), limit: 100, before: next }, signal);
      setPaused(true);
      for (const row of answer.attempts) put(row);
      next = answer.next;
      trim();
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  });

  /** @param {boolean} now */
  function setPaused(now) {
    paused = now;
    pause.setAttribute("aria-pressed", String(now));
    pause.textContent = now ? "Go on" : "Pause";
  }
  pause.addEventListener("click", () => {
    setPaused(!paused);
    announce(paused ? "The list is paused" : "The list goes on");
    if (!paused) load();
  });

  /** @type {number | undefined} */
  let typing;
  text.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(load, 200);
  });
  outcomes.addEventListener("change", load);
  reasons.addEventListener("change", load);
  list.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))]?.focus();
  });

  /** @param {number} id */
  async function open(id) {
    selected = id;
    for (const line of lines.values()) line.querySelector("button")?.removeAttribute("aria-current");
    lines.get(id)?.querySelector("button")?.setAttribute("aria-current", "true");
    history.replaceState(null, "", `#/attempts?id=${id}`);
    try {
      const story = await get("/attempt", { id }, signal);
      if (selected !== id) return;
      fill(detail, storyOf(story, close));
      detail.classList.add("open");
      detail.querySelector("h2")?.focus();
    } catch (error) {
      fill(detail, empty("The story is not there any more", words(/** @type {Error} */ (error).message)));
    }
  }

  function close() {
    const id = selected;
    selected = 0;
    detail.classList.remove("open");
    history.replaceState(null, "", "#/attempts");
    showHint();
    const button = lines.get(id)?.querySelector("button");
    button?.removeAttribute("aria-current");
    button?.focus();
  }
  detail.addEventListener("keydown", (event) => event.key === "Escape" && close());

  load().then(() => {
    if (selected) open(selected);
  });
  events(
    { of: "attempts" },
    signal,
    {
      hello(data) {
        if (instance && data.instance !== instance) window.dispatchEvent(new Event("latchkey-restarted"));
        else if (instance) load();
      },
      attempts(data) {
        summarize(data.summary);
        if (paused) return;
        for (const row of data.attempts.reverse()) {
          put(row);
          if (row.id === selected) open(selected);
        }
        sampled(data.skipped + data.lost);
        trim();
      },
    },
    failed,
  );
}

/** @param {{ [name: string]: number }} counts @returns {[string, string][]} */
function counted(counts) {
  return Object.entries(counts).map(([name, number]) => [name, `${name} (${number})`]);
}

/**
 * @param {HTMLSelectElement} control
 * @param {[string, string][]} wanted
 */
function options(control, wanted) {
  const { value } = control;
  if (value && !wanted.some(([name]) => name === value)) wanted.push([value, value]);
  const same =
    wanted.length === control.options.length &&
    wanted.every(([, label], at) => control.options[at]?.label === label);
  // An open list must not change under the pointer.
  if (same || document.activeElement === control) return;
  fill(
    control,
    wanted.map(([name, label]) => el("option", { value: name }, label)),
  );
  control.value = value;
}

/**
 * @param {any} story
 * @param {() => void} close
 */
function storyOf(story, close) {
  const { attempt, cause, answer, event, steps } = story;
  const documents = answer?.policyDocuments ?? [];
  const action = /(iot:\w+) denied/.exec(cause?.text ?? "")?.[1];
  const lab = new URLSearchParams({ client: attempt.clientId ?? "" });
  if (action) lab.set("action", action);
  if (attempt.topic) lab.set("resource", attempt.topic);
  return [
    el(
      "div",
      { class: "detail-head" },
      el("h2", { tabIndex: -1 }, name(attempt), " ", outcome(attempt)),
      el("button", { type: "button", class: "quiet", onclick: close }, "Close"),
    ),
    cause &&
      el(
        "div",
        { class: "cause" },
        el("p", { class: "cause-title" }, "Why, and what to do"),
        cause.reason && el("p", { class: "reason" }, cause.reason),
        el("p", { class: "cause-text" }, words(cause.text)),
        story.clientSaw &&
          el("p", { class: "saw" }, el("strong", {}, "The client saw "), words(story.clientSaw), "."),
      ),
    pairs([
      ["What", `${attempt.kind}${attempt.door ? `, door ${attempt.door}` : ""}`],
      ["Client id", attempt.clientId && foreign(attempt.clientId)],
      ["Topic", attempt.topic && foreign(attempt.topic)],
      ["Address", attempt.address],
      ["Authorizer", attempt.authorizer && foreign(attempt.authorizer)],
      ["Time taken", milliseconds(attempt.tookMs)],
      ["Ended", attempt.ended],
      ["Connection", el("code", {}, attempt.connectionId)],
    ]),
    el(
      "p",
      { class: "actions" },
      copyButton("Copy as JSON", () => json(story)),
      documents.length > 0 && el("a", { class: "button quiet", href: `#/policy?${lab}` }, "Ask its policies"),
      attempt.clientId &&
        el(
          "a",
          {
            class: "button quiet",
            href: `#/connections?${new URLSearchParams({ client: attempt.clientId })}`,
          },
          "Its connection",
        ),
    ),
    el("h3", {}, "Steps"),
    el(
      "ol",
      { class: "steps" },
      ...steps.map((/** @type {any} */ step) =>
        el(
          "li",
          { class: step.problem ? "problem" : "" },
          el("span", { class: "step-name" }, step.step),
          el("time", {}, clock(step.at)),
          el(
            "div",
            {},
            step.reason && el("span", { class: "reason" }, step.reason),
            step.text && el("p", {}, words(step.text)),
          ),
        ),
      ),
    ),
    story.omitted > 0 &&
      el("p", { class: "note" }, `${story.omitted} later records are left out; the log file has them.`),
    event && disclosure("The function's event", "Passwords, tokens and signatures are masked.", event),
    answer &&
      disclosure("The answer", "As the function gave it, without members that AWS does not know.", {
        ...answer,
        policyDocuments: undefined,
      }),
    ...documents.map((/** @type {string} */ text, /** @type {number} */ at) =>
      disclosure(`Policy document ${at}`, "", pretty(text)),
    ),
    disclosure("Lines of the log", "", story.lines),
  ];
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * @param {string} title
 * @param {string} note
 * @param {unknown} value
 */
function disclosure(title, note, value) {
  const text = typeof value === "string" ? value : json(value);
  return el(
    "details",
    {},
    el("summary", {}, title),
    note && el("p", { class: "note" }, note),
    el(
      "pre",
      { tabIndex: 0, "aria-label": title },
      el("bdi", {}, text.length > 20000 ? `${text.slice(0, 20000)}\n… (cut)` : text),
    ),
  );
}

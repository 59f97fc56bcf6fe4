// @ts-check
// Attempts: the live list, newest first, and the story of each one.

import { events, get } from "./api.js";
import { announce, copyButton, detailHead, el, empty, field, fill, pairs, select, update } from "./dom.js";
import { clock, cut, foreign, json, milliseconds, visible, words } from "./text.js";

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
  /** @type {Map<number, HTMLElement>} */
  const lines = new Map();
  let instance = "";
  let paused = false;
  let selected = Number(query.get("id")) || 0;
  /** @type {number | null} */
  let next = null;
  let skipped = 0;
  let lost = 0;
  /** New rows that wait, because a row must not move away under the pointer or the focus. */
  let waiting = 0;
  let pointed = false;

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
  const waitingNote = el("p", { class: "note", hidden: true });
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
    el("div", { class: "master" }, filters, count, note, waitingNote, list, none, more),
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
      el(
        "time",
        {
          class: "when",
          dateTime: new Date(row.at).toISOString(),
          title: new Date(row.at).toLocaleString("en-GB"),
        },
        clock(row.at),
      ),
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
      el(
        "span",
        { class: "why", title: row.reason ? visible(cut(row.reason, 200)) : undefined },
        foreign(row.reason, 64),
      ),
      el("span", { class: "door" }, row.door ?? row.address ?? ""),
      el("span", { class: "took" }, milliseconds(row.tookMs)),
    );
    return el("li", { "data-id": row.id }, button);
  }

  /** @param {any} row */
  function put(row) {
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
    let before = /** @type {HTMLElement | null} */ (list.firstElementChild);
    while (before && Number(before.dataset.id) > row.id)
      before = /** @type {HTMLElement | null} */ (before.nextElementSibling);
    list.insertBefore(fresh, before);
  }

  function trim() {
    while (list.children.length > SHOWN && !paused) {
      const last = /** @type {HTMLElement} */ (list.lastElementChild);
      const id = Number(last.dataset.id);
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

  /** @param {number} nowSkipped @param {number} nowLost */
  function sampled(nowSkipped, nowLost) {
    skipped += nowSkipped;
    lost += nowLost;
    note.hidden = skipped + lost === 0;
    const missing =
      lost > 0
        ? ` ${lost.toLocaleString("en")} records came too fast to keep: only the log file has them.`
        : "";
    const text = `The list is a sample: ${skipped.toLocaleString("en")} changes came too fast to show. Filters and earlier ones find them.${missing}`;
    if (!note.hidden) note.textContent = text;
  }

  const isHeld = () => pointed || list.contains(document.activeElement);

  /** @param {number} now */
  function wait(now) {
    waiting = now;
    waitingNote.hidden = waiting === 0;
    if (waiting > 0)
      waitingNote.textContent = `${waiting.toLocaleString("en")} new ones wait until you leave the list.`;
  }
  const release = () => setTimeout(() => !isHeld() && waiting > 0 && !paused && load());
  list.addEventListener("pointerenter", (event) => (pointed = event.pointerType === "mouse"));
  list.addEventListener("pointerleave", () => {
    pointed = false;
    release();
  });
  list.addEventListener("focusout", release);

  async function load() {
    try {
      const answer = await get("/attempts", { ...filter(), limit: 100 }, signal);
      instance = answer.instance;
      lines.clear();
      fill(list);
      next = answer.next;
      for (const row of answer.attempts) put(row);
      summarize(answer.summary);
      skipped = 0;
      lost = 0;
      sampled(0, 0);
      wait(0);
      trim();
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
  }

  /** @type {number | undefined} */
  let soon;
  function loadSoon() {
    soon ??= setTimeout(() => {
      soon = undefined;
      if (!paused && !isHeld() && !signal.aborted) load();
    }, 1000);
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

  /** Shows the story again, after its attempt has changed. @param {number} id */
  async function refresh(id) {
    try {
      const story = await get("/attempt", { id }, signal);
      if (selected === id) update(detail, storyOf(story, close));
    } catch {
      // It stays as it was.
    }
  }

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
        // What happened between the two answers is in neither of them.
        else load();
      },
      attempts(data) {
        summarize(data.summary);
        if (paused) return;
        const held = isHeld();
        let fresh = 0;
        for (const row of data.attempts.reverse()) {
          if (!held || lines.has(row.id)) put(row);
          else if (accepts(row)) fresh += 1;
          if (row.id === selected) refresh(selected);
        }
        wait(waiting + fresh + (held ? data.skipped : 0));
        sampled(data.skipped, data.lost);
        // What a filter is for may be among what was left out.
        if (data.skipped > 0 && Object.values(filter()).some(Boolean)) loadSoon();
        trim();
      },
    },
    failed,
  );
}

/** @param {{ [name: string]: number }} counts @returns {[string, string][]} */
function counted(counts) {
  return Object.entries(counts).map(([name, number]) => [name, `${visible(cut(name, 60))} (${number})`]);
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
    detailHead([name(attempt), " ", outcome(attempt)], close),
    cause &&
      el(
        "div",
        { class: "cause" },
        el("p", { class: "cause-title" }, "Why, and what to do"),
        cause.reason && el("p", { class: "reason" }, foreign(cause.reason)),
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
            step.reason && el("span", { class: "reason" }, foreign(step.reason)),
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

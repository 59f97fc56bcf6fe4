// @ts-check
// A list of any length of which only the rows in view exist: rows come in pages from the gateway.

import { el, fill } from "./dom.js";

const PAGE = 100;

/**
 * @template T
 * @typedef {object} Options
 * @property {string} label what the list has, for a screen reader
 * @property {string[]} columns
 * @property {string} template `grid-template-columns`' name in the style sheet
 * @property {(offset: number, limit: number) => Promise<{ total: number, rows: T[] }>} load
 * @property {(row: T) => (Node | string)[]} cells
 * @property {(row: T) => void} [open]
 * @property {(row: T) => string} key
 * @property {HTMLElement} [none]
 */

/**
 * A virtual list. `refresh` loads the pages in view again.
 *
 * @template T
 * @param {Options<T>} options
 */
export function virtualList(options) {
  let rowHeight = 36;
  let total = 0;
  let generation = 0;
  /** @type {Map<number, T>} */
  let rows = new Map();
  /** @type {Set<number>} */
  let loading = new Set();
  let selected = "";
  const spacer = el("div", { class: "spacer", role: "presentation" });
  const window_ = el("div", { class: "window", role: "presentation" });
  const body = el(
    "div",
    { class: "scroller", tabIndex: 0, role: "rowgroup", "aria-label": options.label },
    spacer,
    window_,
  );
  const head = el(
    "div",
    { class: "row head", role: "row" },
    ...options.columns.map((name) => el("span", { role: "columnheader" }, name)),
  );
  const count = el("p", { class: "count" });
  const table = el(
    "div",
    { class: `list ${options.template}`, role: "table", "aria-label": options.label },
    el("div", { role: "rowgroup" }, head),
    body,
  );
  const element = el("div", { class: "list-frame" }, count, table);
  if (options.none) element.append(options.none);

  function draw() {
    if (options.none) options.none.hidden = total > 0;
    table.hidden = total === 0 && Boolean(options.none);
    const first = Math.max(0, Math.floor(body.scrollTop / rowHeight) - 4);
    const visible = Math.ceil(body.clientHeight / rowHeight) + 8;
    const last = Math.min(total, first + visible);
    // Browsers limit the height of an element: 10,000 rows are far below.
    spacer.style.height = `${total * rowHeight}px`;
    window_.style.transform = `translateY(${first * rowHeight}px)`;
    const active = document.activeElement;
    const focused = window_.contains(active)
      ? /** @type {HTMLElement | null | undefined} */ (active?.closest(".row"))?.dataset.key
      : undefined;
    const shown = [];
    for (let at = first; at < last; at += 1) {
      const row = rows.get(at);
      if (!row) {
        need(Math.floor(at / PAGE));
        shown.push(
          el(
            "div",
            { class: "row waiting", role: "row", "aria-rowindex": at + 2 },
            el("span", { role: "cell" }, "…"),
          ),
        );
        continue;
      }
      const key = options.key(row);
      const open = () => {
        selected = key;
        options.open?.(row);
        draw();
      };
      const line = el(
        "div",
        {
          class: "row" + (options.open ? " opens" : ""),
          role: "row",
          "aria-rowindex": at + 2,
          "data-key": key,
          "aria-current": key === selected ? "true" : undefined,
          // The button in it is for the keyboard and for screen readers.
          onclick:
            options.open &&
            ((/** @type {MouseEvent} */ event) =>
              /** @type {Element} */ (event.target).closest("a") || open()),
        },
        ...options.cells(row).map((cell, column) =>
          el(
            "span",
            { role: "cell", "data-label": options.columns[column] },
            column === 0 && options.open
              ? el(
                  "button",
                  {
                    type: "button",
                    class: "row-open",
                  },
                  cell,
                )
              : cell,
          ),
        ),
      );
      shown.push(line);
    }
    fill(window_, shown);
    // The control that had the focus is another element now.
    if (focused !== undefined)
      for (const line of shown)
        if (line.dataset.key === focused)
          line.querySelector(active?.tagName === "A" ? "a" : "button")?.focus({ preventScroll: true });
    const real = window_.firstElementChild?.getBoundingClientRect().height;
    if (real && Math.abs(real - rowHeight) > 0.5) {
      rowHeight = real;
      draw();
    }
    table.setAttribute("aria-rowcount", String(total + 1));
  }

  /** @param {number} page */
  async function need(page) {
    if (loading.has(page)) return;
    loading.add(page);
    const mine = generation;
    try {
      const loaded = await options.load(page * PAGE, PAGE);
      if (mine !== generation) return;
      if (loaded.total !== total) rows = new Map([...rows].filter(([at]) => at < loaded.total));
      total = loaded.total;
      loaded.rows.forEach((row, at) => rows.set(page * PAGE + at, row));
      draw();
    } finally {
      loading.delete(page);
    }
  }

  let pending = false;
  body.addEventListener("scroll", () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      draw();
    });
  });
  body.addEventListener("keydown", (event) => {
    const buttons = [...window_.querySelectorAll("button.row-open")];
    const at = buttons.indexOf(/** @type {Element} */ (document.activeElement));
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const next = /** @type {HTMLElement | undefined} */ (buttons[Math.max(0, at + step)]);
    next?.focus();
  });

  return {
    element,
    count,
    /** Marks the row with this key. @param {string} key */
    select(key) {
      selected = key;
      draw();
    },
    /** Where the keyboard goes on after a row's details are closed. */
    focus() {
      body.focus({ preventScroll: true });
    },
    /** Loads the pages in view again. */
    async refresh() {
      const first = Math.floor(Math.max(0, body.scrollTop / rowHeight - 4) / PAGE);
      const last = Math.floor((body.scrollTop + body.clientHeight) / rowHeight / PAGE);
      for (let page = first; page <= Math.max(first, last); page += 1) await need(page);
      return total;
    },
    /** Begins again at the top, for another filter. */
    async restart() {
      generation += 1;
      loading = new Set();
      rows = new Map();
      body.scrollTop = 0;
      await need(0);
    },
  };
}

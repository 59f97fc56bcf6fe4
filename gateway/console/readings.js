// @ts-check
// Readings: temperature and humidity of the fleet over time, and the last value of each device.

import { get, poll } from "./api.js";
import { chart } from "./chart.js";
import { el, empty, field, fill, select } from "./dom.js";
import { virtualList } from "./list.js";
import { cut, duration, foreign, time, visible } from "./text.js";

/** @param {import("./main.js").Page} page */
export function readingsPage({ root, signal, query, failed }) {
  let selected = query.get("device") ?? "";
  let now = Date.now();
  /** @type {string | undefined} the device that the legend names */
  let legendOf;
  /** @type {any} */
  let last = null;
  const span = select(
    [
      ["120000", "2 minutes"],
      ["600000", "10 minutes"],
      ["3600000", "1 hour"],
    ],
    { value: "120000" },
  );
  const text = el("input", { type: "search", placeholder: "device", spellcheck: false });
  const charts = el("div", { class: "charts" });
  const legend = el("p", { class: "legend" });
  const none = empty(
    "No reading yet",
    "Readings are collected while this page is open. They are messages on ",
    el("code", {}, "sensor/DEVICE/temperature"),
    " and ",
    el("code", {}, "sensor/DEVICE/humidity"),
    ", JSON with a number in ",
    el("code", {}, "value"),
    ".",
  );

  /** @param {any} series @param {string} unit */
  const value = (series, unit) => {
    if (!series) return el("span", { class: "quiet-text" }, "–");
    const old = now - series.at > 30000;
    return el(
      "span",
      { class: old ? "stale" : "" },
      `${series.value.toFixed(2)} ${unit}`,
      old ? el("small", {}, ` ${duration(now - series.at)} ago`) : null,
    );
  };

  const list = virtualList({
    label: "Devices and their last readings",
    template: "devices",
    columns: ["Device", "Temperature", "Humidity", "Last", "Attempts"],
    async load(offset, limit) {
      const answer = await get("/readings", { offset, limit, text: text.value.trim() }, signal);
      last = answer;
      now = answer.now;
      return { total: answer.total, rows: answer.devices };
    },
    key: (row) => row.device,
    cells: (row) => {
      const at = Math.max(row.temperature?.at ?? 0, row.humidity?.at ?? 0);
      return [
        foreign(row.device, 48),
        value(row.temperature, "°C"),
        value(row.humidity, "%"),
        time(at),
        el(
          "a",
          {
            href: `#/attempts?${new URLSearchParams({ text: row.device })}`,
            "aria-label": `its attempts: ${visible(cut(row.device, 48))}`,
          },
          "its attempts",
        ),
      ];
    },
    open: (row) => {
      selected = row.device;
      history.replaceState(null, "", `#/readings?${new URLSearchParams({ device: selected })}`);
      draw().catch(failed);
    },
    none,
  });

  fill(
    root,
    el(
      "form",
      {
        class: "filters",
        "aria-label": "What is shown",
        onsubmit: (/** @type {Event} */ e) => e.preventDefault(),
      },
      field("Time", span),
      field("Device", text),
    ),
    charts,
    legend,
    list.element,
  );
  span.addEventListener("change", () => draw().catch(failed));
  text.addEventListener("input", () => list.restart().catch(failed));

  async function draw() {
    if (!last) return;
    const device = selected ? await get("/readings/device", { device: selected }, signal) : null;
    const to = last.now;
    const length = Number(span.value);
    const from = Math.max(to - length, Math.min(to - 20000, last.since ?? to));
    const gap = Math.max(3 * last.intervalMs, length / 60);
    const any = last.temperature.length + last.humidity.length > 0;
    charts.hidden = !any;
    legend.hidden = !any;
    // Drawn in the size of the window, so that letters keep theirs.
    const figure = charts.querySelector("svg") ?? charts;
    const columns = charts.clientWidth > 1000 ? 2 : 1;
    const width =
      figure === charts ? charts.clientWidth / columns - 34 : figure.getBoundingClientRect().width;
    /** @param {string} title @param {string} unit @param {number[][]} band @param {number[][] | undefined} line */
    const one = (title, unit, band, line) => {
      const latest = band.at(-1);
      const said = latest
        ? `${title} of the fleet: minimum ${latest[1]?.toFixed(1)}, mean ${latest[2]?.toFixed(1)}, maximum ${latest[3]?.toFixed(1)} ${unit}`
        : `${title}: no reading`;
      return el(
        "figure",
        { class: "card" },
        el(
          "figcaption",
          {},
          el("strong", {}, title),
          latest ? ` ${latest[2]?.toFixed(1)} ${unit} mean of the last interval` : "",
        ),
        /** @type {any} */ (chart({ label: said, unit, band, line: line ?? [], from, to, gap, width })),
      );
    };
    fill(
      charts,
      one("Temperature", "°C", last.temperature, device?.temperature),
      one("Humidity", "%", last.humidity, device?.humidity),
    );
    // It stays as it is while it says the same, with the focus that it may have.
    if (legendOf === selected) return;
    legendOf = selected;
    fill(
      legend,
      el(
        "span",
        {},
        el("span", { class: "key band-key" }),
        " the fleet's lowest to highest, and its mean; a hole is a gap",
      ),
      selected && [
        el("span", {}, el("span", { class: "key device-key" }), " ", foreign(selected, 60)),
        el("a", { href: `#/attempts?${new URLSearchParams({ text: selected })}` }, "its attempts"),
        el(
          "button",
          {
            type: "button",
            class: "quiet",
            onclick: () => (
              (selected = ""),
              history.replaceState(null, "", "#/readings"),
              draw().catch(failed)
            ),
          },
          "Only the fleet",
        ),
      ],
    );
  }

  poll(
    2000,
    signal,
    async () => {
      const total = await list.refresh();
      const unreadable = last?.unreadable
        ? `; ${last.unreadable.toLocaleString("en")} messages on these topics are no readings`
        : "";
      const sampled = last?.skipped
        ? `; a sample, as about ${last.skipped.toLocaleString("en")} more came too fast`
        : "";
      list.count.textContent =
        total > 0
          ? `${total.toLocaleString("en")} devices, collected since ${time(last.since)}${unreadable}${sampled}`
          : "";
      await draw();
    },
    failed,
  );
}

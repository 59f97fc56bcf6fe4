// @ts-check
// Charts as SVG: a line, a band around it, and gaps where nothing came.

import { svg } from "./dom.js";

/**
 * @typedef {object} Chart
 * @property {string} label what a screen reader says
 * @property {string} unit
 * @property {number[][]} band each interval: its time, minimum, mean and maximum
 * @property {number[][]} line points of one device: time and value
 * @property {number} from
 * @property {number} to
 * @property {number} gap milliseconds without a value that are a gap
 * @property {number} width in pixels
 */

const HEIGHT = 220;
const LEFT = 44;
const BOTTOM = 22;
const TOP = 10;

/** @param {Chart} chart */
export function chart({ label, unit, band, line, from, to, gap, width }) {
  const wide = Math.max(240, Math.round(width));
  const inRange = (/** @type {number[]} */ point) => (point[0] ?? 0) >= from;
  const shownBand = band.filter(inRange);
  const shownLine = line.filter(inRange);
  const values = [
    ...shownBand.flatMap((it) => [it[1] ?? 0, it[3] ?? 0]),
    ...shownLine.map((it) => it[1] ?? 0),
  ];
  const figure = svg("svg", {
    viewBox: `0 0 ${wide} ${HEIGHT}`,
    role: "img",
    "aria-label": label,
    class: "chart",
  });
  if (values.length === 0) return figure;
  let low = Math.min(...values);
  let high = Math.max(...values);
  const room = Math.max((high - low) * 0.1, 0.25);
  low -= room;
  high += room;
  const x = (/** @type {number} */ time) =>
    LEFT + ((time - from) / Math.max(1, to - from)) * (wide - LEFT - 8);
  const y = (/** @type {number} */ value) =>
    TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  for (const tick of ticks(low, high, 4)) {
    figure.append(
      svg("line", { x1: LEFT, x2: wide - 8, y1: y(tick), y2: y(tick), class: "grid-line" }),
      svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, `${Number(tick.toFixed(2))}`),
    );
  }
  figure.append(svg("text", { x: 4, y: 12, class: "unit" }, unit));
  const times = Math.max(2, Math.min(5, Math.floor(wide / 130)));
  for (let at = 0; at <= times; at += 1) {
    const time = from + ((to - from) * at) / times;
    const anchor = at === 0 ? "start" : at === times ? "end" : "middle";
    figure.append(
      svg(
        "text",
        { x: x(time), y: HEIGHT - 5, "text-anchor": anchor },
        new Date(time).toLocaleTimeString("en-GB"),
      ),
    );
  }
  for (const part of split(shownBand, gap)) {
    const upper = part.map((it) => `${x(it[0] ?? 0).toFixed(1)},${y(it[3] ?? 0).toFixed(1)}`);
    const lower = part.map((it) => `${x(it[0] ?? 0).toFixed(1)},${y(it[1] ?? 0).toFixed(1)}`).reverse();
    figure.append(svg("polygon", { points: [...upper, ...lower].join(" "), class: "band" }));
    figure.append(
      svg("polyline", {
        points: part.map((it) => `${x(it[0] ?? 0).toFixed(1)},${y(it[2] ?? 0).toFixed(1)}`).join(" "),
        class: "mean",
      }),
    );
    if (part.length === 1)
      figure.append(
        svg("circle", { cx: x(part[0]?.[0] ?? 0), cy: y(part[0]?.[2] ?? 0), r: 2, class: "mean-dot" }),
      );
  }
  for (const part of split(shownLine, gap)) {
    figure.append(
      svg("polyline", {
        points: part.map((it) => `${x(it[0] ?? 0).toFixed(1)},${y(it[1] ?? 0).toFixed(1)}`).join(" "),
        class: "device-line",
      }),
    );
    if (part.length === 1)
      figure.append(
        svg("circle", { cx: x(part[0]?.[0] ?? 0), cy: y(part[0]?.[1] ?? 0), r: 2.5, class: "device-dot" }),
      );
  }
  return figure;
}

/**
 * A small line of numbers, without axes.
 *
 * @param {number[]} values
 * @param {string} label
 */
export function sparkline(values, label) {
  const high = Math.max(...values, 0.001);
  const step = 160 / Math.max(1, values.length - 1);
  const points = values.map(
    (value, at) => `${(at * step).toFixed(1)},${(30 - (value / high) * 27).toFixed(1)}`,
  );
  return svg(
    "svg",
    { viewBox: "0 0 160 32", preserveAspectRatio: "none", class: "spark", role: "img", "aria-label": label },
    svg("polyline", { points: points.join(" "), class: "mean" }),
  );
}

/** Parts without a gap. @param {number[][]} points @param {number} gap */
function split(points, gap) {
  /** @type {number[][][]} */
  const parts = [];
  let last = -Infinity;
  for (const point of points) {
    if ((point[0] ?? 0) - last > gap) parts.push([]);
    parts.at(-1)?.push(point);
    last = point[0] ?? 0;
  }
  return parts;
}

/** Round numbers in a range. @param {number} low @param {number} high @param {number} count */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw) ?? raw;
  const all = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) all.push(tick);
  return all;
}

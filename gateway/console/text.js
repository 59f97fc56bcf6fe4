// @ts-check
// Text of others, shown as text: characters that are not seen become visible, and a long text is cut.

import { el } from "./dom.js";

// Controls, characters that turn the direction of text, and those without a shape: what crates/cli calls unprintable.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/**
 * A text whose unprintable characters are written as `\u202e`. With `lines`, line ends and tabs stay.
 *
 * @param {string} text
 * @param {boolean} [lines]
 */
export function visible(text, lines = false) {
  return text.replace(UNPRINTABLE, (found) =>
    lines && (found === "\n" || found === "\t")
      ? found
      : `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The first characters of a text, and how many more there are.
 *
 * @param {string} text
 * @param {number} max
 */
export function cut(text, max) {
  const characters = text.length > max ? Array.from(text.slice(0, max * 2)) : null;
  if (!characters || characters.length <= max) return text;
  return `${characters.slice(0, max).join("")}… (${(text.length - max).toLocaleString("en")} more characters)`;
}

/**
 * A text of others in an element that the text around it does not turn.
 *
 * @param {unknown} value
 * @param {number} [max]
 * @param {string} [className]
 */
export function foreign(value, max = 160, className = "foreign") {
  const text = value === null || value === undefined ? "" : String(value);
  const shown = visible(cut(text, max));
  return el("bdi", { class: className, title: shown === text ? undefined : visible(cut(text, 2000)) }, shown);
}

/**
 * The words of the gateway, in which texts in backticks are set as code.
 *
 * @param {string} words
 * @param {number} [max]
 */
export function words(words, max = 1200) {
  const parts = visible(cut(words, max)).split("`");
  return parts.map((part, at) => (at % 2 === 1 && at < parts.length - 1 ? el("code", {}, part) : part));
}

/** @param {number} n @param {number} [digits] */
const padded = (n, digits = 2) => String(n).padStart(digits, "0");

/**
 * A time of this day with its milliseconds, or the day and the time.
 *
 * @param {number} ms
 */
export function clock(ms) {
  return otherDay(ms) ?? `${time(ms)}.${padded(new Date(ms).getMilliseconds(), 3)}`;
}

/**
 * A time of this day, or the day and the time.
 *
 * @param {number} ms
 */
export function time(ms) {
  const date = new Date(ms);
  return (
    otherDay(ms) ?? `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}`
  );
}

/** As long as a time with its milliseconds. @param {number} ms */
function otherDay(ms) {
  const date = new Date(ms);
  if (date.toDateString() === new Date().toDateString()) return null;
  const day = `${date.getDate()} ${date.toLocaleDateString("en", { month: "short" })}`;
  return `${day} ${padded(date.getHours())}:${padded(date.getMinutes())}`;
}

/**
 * How long ago or in how long, in one unit.
 *
 * @param {number} ms
 */
export function duration(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** @param {number | null | undefined} ms */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 10
    ? `${ms.toFixed(1)} ms`
    : ms < 10000
      ? `${Math.round(ms)} ms`
      : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/**
 * A payload as a person reads it: JSON laid out, other text as it is, and bytes that are no UTF-8 in hexadecimal.
 *
 * @param {Uint8Array} bytes
 * @returns {{ kind: "JSON" | "text" | "bytes" | "empty", text: string }}
 */
export function payload(bytes) {
  if (bytes.length === 0) return { kind: "empty", text: "" };
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const shown = Array.from(bytes.slice(0, 256), (byte) => byte.toString(16).padStart(2, "0"));
    const lines = [];
    for (let at = 0; at < shown.length; at += 16) lines.push(shown.slice(at, at + 16).join(" "));
    return { kind: "bytes", text: lines.join("\n") + (bytes.length > 256 ? "\n…" : "") };
  }
  if (text.length <= 65536 && /^\s*[{["]/.test(text)) {
    try {
      return { kind: "JSON", text: JSON.stringify(JSON.parse(text), null, 2) };
    } catch {
      // It only looks like JSON.
    }
  }
  return { kind: "text", text };
}

/** @param {string} base64 */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
export function base64Of(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/**
 * JSON in which unprintable characters are escaped, so that it can be copied into an issue.
 *
 * @param {unknown} value
 */
export function json(value) {
  return visible(JSON.stringify(value, null, 2) ?? "", true);
}

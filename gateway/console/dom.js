// @ts-check
// Elements, made without HTML: a text of others becomes a text node, and nothing else.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Child | Child[] | (Child | Child[])[]} Children */
/** @typedef {{ [name: string]: any }} Properties */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `on…` are listeners, `class`, `data-…`, `aria-…` and `role` are attributes, and the rest are properties.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Properties} [properties]
 * @param {...Children} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "role" || name === "for" || /^(aria|data)-/.test(name))
      element.setAttribute(name, String(value));
    else /** @type {any} */ (element)[name] = value;
  }
  add(element, children);
  return element;
}

/**
 * An element of SVG, whose properties are all attributes.
 *
 * @param {string} tag
 * @param {{ [name: string]: string | number }} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  add(element, children);
  return element;
}

/**
 * Replaces everything in an element.
 *
 * @param {Element} element
 * @param {...Children} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/**
 * @param {Element} element
 * @param {Children[]} children
 */
function add(element, children) {
  for (const child of /** @type {Child[]} */ (children.flat(Infinity))) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * A field of a form with its label.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
export function field(label, control, hint) {
  control.id ||= `f${(next += 1)}`;
  const note = hint ? el("small", { id: `${control.id}h` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, note);
}
let next = 0;

/**
 * A choice.
 *
 * @param {[string, string][]} options each value and its label
 * @param {Properties} [properties]
 */
export function select(options, properties = {}) {
  return el("select", properties, ...options.map(([value, label]) => el("option", { value }, label)));
}

/**
 * A list of names and values.
 *
 * @param {[string, Children][]} pairs
 */
export function pairs(pairs) {
  const shown = pairs.filter(
    ([, value]) => value !== null && value !== undefined && value !== "" && value !== false,
  );
  return el(
    "dl",
    { class: "pairs" },
    ...shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

/**
 * A message in the place of a list.
 *
 * @param {string} title
 * @param {...Children} more
 */
export function empty(title, ...more) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), el("p", {}, ...more));
}

/**
 * The head of a pane with details.
 *
 * @param {Children} title
 * @param {() => void} close
 */
export function detailHead(title, close) {
  return el(
    "div",
    { class: "detail-head" },
    el("h2", { tabIndex: -1 }, title),
    el("button", { type: "button", class: "quiet", onclick: close }, "Close"),
  );
}

/**
 * Replaces everything in a pane with newer details, unless a person uses a control in it or has selected a text in it.
 *
 * @param {HTMLElement} pane
 * @param {...Children} children
 */
export function update(pane, ...children) {
  const used = document.activeElement;
  const isInside = pane.contains(used);
  const selection = getSelection();
  if (isInside && used?.tagName !== "H2") return;
  if (selection && !selection.isCollapsed && pane.contains(selection.anchorNode)) return;
  fill(pane, ...children);
  if (isInside) pane.querySelector("h2")?.focus({ preventScroll: true });
}

/**
 * A button for what can't be undone: the first press asks, and the second one within five seconds does it.
 *
 * @param {string} label
 * @param {string} question
 * @param {() => void} work
 */
export function dangerButton(label, question, work) {
  const button = el("button", { type: "button", class: "danger" }, label);
  /** @type {number | undefined} */
  let asked;
  const forget = () => {
    clearTimeout(asked);
    asked = undefined;
    button.textContent = label;
    button.classList.remove("asked");
  };
  button.addEventListener("click", () => {
    if (asked !== undefined) {
      forget();
      work();
      return;
    }
    asked = setTimeout(forget, 5000);
    button.textContent = question;
    button.classList.add("asked");
    announce(`${question} Press again`);
  });
  button.addEventListener("blur", forget);
  return button;
}

/**
 * What a screen reader says now.
 *
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}

/**
 * A button that copies a text, and says so.
 *
 * @param {string} label
 * @param {() => string} text
 */
export function copyButton(label, text) {
  const button = el("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
      announce("Copied");
    } catch {
      button.textContent = "This browser does not let the page copy";
    }
    setTimeout(() => (button.textContent = label), 2000);
  });
  return button;
}

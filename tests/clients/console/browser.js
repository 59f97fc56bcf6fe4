"use strict";

// The console's pages, and reports, in Chromium: reads a list of steps as JSON, writes what it finds as JSON lines.
//
// A task: browser, link, folder (for screenshots), width, height, scheme, and steps. A step is a list: its name and its values.
// `ready` is what shows that the page is there; that of the console's pages is the default.

const { mkdirSync, readFileSync } = require("node:fs");
const { join } = require("node:path");
const { chromium } = require("playwright-core");

const LIMIT_MS = 20_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const write = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

async function run(task) {
  const browser = await chromium.launch({ executablePath: task.browser, headless: true, args: FLAGS });
  try {
    const context = await browser.newContext({
      viewport: { width: task.width, height: task.height },
      colorScheme: task.scheme,
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(LIMIT_MS);
    const page = await context.newPage();
    // A file has no origin: it may load itself only.
    const { protocol, origin } = new URL(task.link);
    const home = protocol === "file:" ? task.link : origin;
    // What the page reports, loads from elsewhere, or lets a hostile text do.
    page.on("console", (message) => {
      const isAway =
        task.quietWhileAway && /ERR_(CONNECTION|EMPTY|INCOMPLETE)|status of 403/.test(message.text());
      if (["error", "warning"].includes(message.type()) && !isAway)
        write({ event: "console", text: message.text() });
    });
    page.on("pageerror", (error) => write({ event: "error", text: String(error) }));
    page.on("dialog", (dialog) => {
      write({ event: "dialog", text: dialog.message() });
      dialog.dismiss();
    });
    let bytes = 0;
    page.on("request", (request) => {
      if (!request.url().startsWith(home)) write({ event: "foreign", url: request.url() });
    });
    page.on("response", async (response) => {
      const length = Number(response.headers()["content-length"] ?? 0);
      bytes += length;
    });
    await page.goto(task.link);
    await page.waitForSelector(task.ready ?? ".page > *");
    write({ event: "opened", url: page.url(), bytes });
    for (const [name, ...values] of task.steps) await STEPS[name](page, task, ...values);
  } finally {
    await browser.close();
  }
}

const STEPS = {
  /** Opens a page, and waits for an element. */
  async open(page, _, address, selector) {
    await page.evaluate((address) => (location.hash = address), address);
    await page.waitForSelector(selector);
  },
  async wait(page, _, selector) {
    await page.waitForSelector(selector);
  },
  async waitForText(page, _, selector, text) {
    await page.locator(selector, { hasText: text }).first().waitFor();
  },
  async click(page, _, selector) {
    await page.locator(selector).first().click();
  },
  async hover(page, _, selector) {
    await page.locator(selector).first().hover();
  },
  async focus(page, _, selector) {
    await page.locator(selector).first().focus();
  },
  /** Waits until a script finds that it is so. */
  async until(page, _, script) {
    for (const end = Date.now() + LIMIT_MS; !(await page.evaluate(script)); ) {
      if (Date.now() > end) throw new Error(`it is not so after ${LIMIT_MS} ms: ${script}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  },
  /** Scrolls to the top, with the pointer and the focus nowhere. */
  async top(page) {
    await page.mouse.move(0, 0);
    await page.evaluate(() => (document.activeElement?.blur(), window.scrollTo(0, 0)));
  },
  async press(page, _, key) {
    await page.keyboard.press(key);
  },
  async fill(page, _, label, value) {
    await page.getByLabel(label, { exact: true }).first().fill(value);
  },
  async choose(page, _, label, value) {
    await page.getByLabel(label, { exact: true }).first().selectOption(value);
  },
  async button(page, _, name) {
    await page.getByRole("button", { name, exact: true }).first().click();
  },
  /** Writes the text of the first element. */
  async text(page, _, name, selector) {
    write({ event: "text", name, text: await page.locator(selector).first().innerText() });
  },
  /** Writes how many elements there are. */
  async count(page, _, name, selector) {
    write({ event: "count", name, count: await page.locator(selector).count() });
  },
  async value(page, _, name, script) {
    write({ event: "value", name, value: await page.evaluate(script) });
  },
  async say(_page, _task, name) {
    write({ event: "said", name });
  },
  /** Looks for what axe finds, and for a page that is wider than its window. */
  async check(page, _, name) {
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() =>
      window.axe.run(document, { resultTypes: ["violations"] }),
    );
    for (const { id, nodes, help } of violations) {
      const places = nodes.slice(0, 3).map((node) => `${node.target.join(" ")}: ${node.failureSummary}`);
      write({ event: "axe", name, id, help, places });
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 0) write({ event: "wide", name, pixels: wide });
  },
  /** Presses Tab through the page: each control is reached, and is seen to have the focus. */
  async walk(page, _, name) {
    const wanted = await page.evaluate(() => {
      const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
      // A list is loaded again now and then, so an element is known by its description.
      window.described = (element) =>
        [
          element.tagName,
          element.id || element.className,
          (element.getAttribute("aria-label") || element.textContent || "").slice(0, 40).replace(/\d+/g, "#"),
        ].join(" ");
      document.activeElement?.blur();
      window.getSelection().removeAllRanges();
      return [...document.querySelectorAll(all)]
        .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0)
        .map(window.described);
    });
    const reached = new Set();
    for (let at = 0; at < wanted.length + 8; at += 1) {
      await page.keyboard.press("Tab");
      const { element, outline } = await page.evaluate(() => {
        const element = document.activeElement;
        const style = getComputedStyle(element);
        const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
        return { element: window.described(element), outline: element === document.body ? 1 : width };
      });
      reached.add(element);
      if (outline < 1) write({ event: "unfocused", name, element });
    }
    for (const element of new Set(wanted))
      if (!reached.has(element)) write({ event: "unreached", name, element });
  },
  /** Writes a picture of the window, or of the whole page. */
  async screenshot(page, task, name, fullPage = false) {
    mkdirSync(task.folder, { recursive: true });
    const path = join(task.folder, `${name}-${task.width}-${task.scheme}.png`);
    await page.screenshot({ path, fullPage });
    write({ event: "screenshot", path });
  },
};

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () =>
  run(JSON.parse(input)).catch((error) => {
    write({ event: "failed", text: String(error?.stack ?? error) });
    process.exitCode = 1;
  }),
);

"use strict";

// The console's pages in Chromium: reads a list of steps as JSON, writes what it finds as JSON lines.
//
// A task: browser, link, folder (for screenshots), width, height, scheme, and steps. A step is a list: its name and its values.

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
    const origin = new URL(task.link).origin;
    // What the page reports, loads from elsewhere, or lets a hostile text do.
    page.on("console", (message) => {
      const isAway = task.quietWhileAway && /ERR_(CONNECTION|EMPTY|INCOMPLETE)/.test(message.text());
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
      if (!request.url().startsWith(origin)) write({ event: "foreign", url: request.url() });
    });
    page.on("response", async (response) => {
      const length = Number(response.headers()["content-length"] ?? 0);
      bytes += length;
    });
    await page.goto(task.link);
    await page.waitForSelector(".page > *");
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
  async screenshot(page, task, name) {
    mkdirSync(task.folder, { recursive: true });
    const path = join(task.folder, `${name}-${task.width}-${task.scheme}.png`);
    await page.screenshot({ path });
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

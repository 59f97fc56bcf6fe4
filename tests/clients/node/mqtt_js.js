"use strict";

// Devices on MQTT.js: reads a list of attempts as JSON, writes what happens as JSON lines.
//
// An attempt: url, options (MQTT.js's own), files (options whose values are in files: ca, cert, key) and actions, each a
// list: ["subscribe", filter], ["publish", topic, payload], ["receive"]. A connection that is refused, or an action that
// fails, ends the attempt.

const { readFileSync } = require("node:fs");
const mqtt = require("mqtt");

const LIMIT_MS = 20_000;

/** OpenSSL's or the server's code; MQTT.js's own errors have a text alone. */
const nameOf = (error) => String(error.code ?? error.message);

class Device {
  constructor(task) {
    const files = Object.entries(task.files).map(([name, path]) => [name, readFileSync(path)]);
    // One attempt is one connection.
    const options = { ...task.options, ...Object.fromEntries(files), reconnectPeriod: 0 };
    this.messages = [];
    this.failure = "closed";
    this.client = mqtt.connect(task.url, options);
    this.client.on("error", (error) => (this.failure = nameOf(error)));
    this.client.on("message", (topic, payload) => {
      this.messages.push({ topic, payload: payload.toString() });
      this.client.emit("queued");
    });
    this.connected = new Promise((resolve) => this.client.once("connect", resolve));
    this.closed = new Promise((resolve) => this.client.once("close", () => resolve("closed")));
  }

  /** What the work gives, unless the connection ends before. */
  async unlessClosed(work) {
    if ((await Promise.race([work, this.closed])) === "closed") throw new Error(this.failure);
    return work;
  }

  async subscribe(filter) {
    const [granted] = await this.unlessClosed(this.client.subscribeAsync(filter, { qos: 1 }));
    return ["subscribed", { code: granted.qos }];
  }

  async publish(topic, payload) {
    await this.unlessClosed(this.client.publishAsync(topic, payload, { qos: 1 }));
    return ["published", {}];
  }

  async receive() {
    if (this.messages.length === 0) {
      await this.unlessClosed(new Promise((resolve) => this.client.once("queued", resolve)));
    }
    return ["message", this.messages.shift()];
  }
}

async function run(number, task) {
  const say = (event, fields = {}) => console.log(JSON.stringify({ attempt: number, event, ...fields }));
  const device = new Device(task);
  try {
    await device.unlessClosed(device.connected);
  } catch (error) {
    return say("refused", { reason: error.message });
  }
  say("connected");
  try {
    for (const [name, ...parameters] of task.actions) say(...(await device[name](...parameters)));
    await device.client.endAsync();
    say("disconnected");
  } catch (error) {
    say("failed", { reason: nameOf(error) });
    await device.client.endAsync(true);
  }
}

async function main() {
  const tasks = JSON.parse(readFileSync(0, "utf8"));
  for (const [number, task] of tasks.entries()) {
    const limit = setTimeout(() => {
      console.error(`attempt ${number}: nothing happened any more`);
      process.exit(1);
    }, LIMIT_MS);
    await run(number, task);
    clearTimeout(limit);
  }
}

main();

// @ts-check
// The test client: subscribe and publish, as a device with its credentials or as an observer outside every policy.

import { events, get, post } from "./api.js";
import { announce, el, empty, field, fill, select } from "./dom.js";
import { MqttConnection, reason } from "./mqtt.js";
import { base64Of, bytesOf, clock, cut, foreign, payload as shown, size, visible, words } from "./text.js";

const KEPT = 200;
const SHOWN_PAYLOAD = 4000;

/** @param {import("./main.js").Page} page */
export function clientPage({ root, signal, query, gateway, failed }) {
  /** @type {MqttConnection | null} */
  let connection = null;
  /** @type {Map<string, AbortController | null>} the filters, and the observer's streams */
  const filters = new Map();
  let received = 0;
  let skipped = 0;

  const mode = select([
    ["device", "a device, with its credentials"],
    ["observer", "an observer, outside every policy"],
  ]);
  const clientId = el("input", { value: query.get("client") ?? "", autocomplete: "off", spellcheck: false });
  const userName = el("input", {
    autocomplete: "off",
    spellcheck: false,
    placeholder: "the client id, if you leave it empty",
  });
  const password = el("input", { type: "password", autocomplete: "off" });
  const authorizer = select(gateway.authorizers.map((/** @type {string} */ name) => [name, name]));
  const version = select([
    ["5", "MQTT 5"],
    ["3", "MQTT 3.1.1"],
  ]);
  const connect = el("button", { type: "submit" }, "Connect");
  const state = el("p", { class: "state", role: "status" });
  const observerNote = el(
    "p",
    { class: "warning", hidden: true },
    "An observer is not a client: it reads every topic and publishes to any, and no authorizer, policy or log sees it. What it can do says nothing about what a device can.",
  );
  const credentials = el(
    "div",
    { class: "grid" },
    field("Client id", clientId),
    field("User name", userName),
    field("Password", password, "It goes to the gateway's WebSocket door, and is kept nowhere."),
    field("Authorizer", authorizer),
    field("Version", version),
  );
  const login = el(
    "form",
    { class: "card login", "aria-label": "Connection" },
    el("h2", {}, "Connect as"),
    field("You are", mode),
    observerNote,
    credentials,
    el("p", { class: "actions" }, connect),
    state,
  );

  const filter = el("input", { value: "sensor/#", spellcheck: false, required: true });
  const filterQos = select([
    ["0", "QoS 0"],
    ["1", "QoS 1"],
  ]);
  const filterQosField = field("QoS, at most", filterQos);
  const subscriptions = el("ul", { class: "chips", "aria-label": "Subscriptions" });
  const subscribe = el("button", { type: "submit" }, "Subscribe");
  const subscribing = el(
    "form",
    { class: "card subscribing", "aria-label": "Subscribe" },
    el("h2", {}, "Subscribe"),
    el("div", { class: "grid" }, field("Topic filter", filter), filterQosField),
    el("p", { class: "actions" }, subscribe),
    subscriptions,
  );

  const topic = el("input", { spellcheck: false, required: true, placeholder: "sensor/hall-1/temperature" });
  const body = el("textarea", { rows: 4, spellcheck: false, value: '{"value":21.5,"unit":"Cel"}' });
  const qos = select([
    ["0", "QoS 0"],
    ["1", "QoS 1"],
  ]);
  const retain = el("input", { type: "checkbox" });
  const contentType = el("input", { spellcheck: false });
  const responseTopic = el("input", { spellcheck: false });
  const properties = el("textarea", { rows: 2, spellcheck: false, placeholder: "name: value" });
  const publish = el("button", { type: "submit" }, "Publish");
  const published = el("p", { class: "state", role: "status" });
  const publishing = el(
    "form",
    { class: "card publishing", "aria-label": "Publish" },
    el("h2", {}, "Publish"),
    field("Topic", topic),
    field("Payload", body),
    el("div", { class: "grid" }, field("QoS", qos), el("label", { class: "check" }, retain, " retain")),
    el(
      "details",
      {},
      el("summary", {}, "Properties of MQTT 5"),
      field("Content type", contentType),
      field("Response topic", responseTopic),
      field("User properties", properties, "One in each line."),
    ),
    el("p", { class: "actions" }, publish),
    published,
  );

  const messages = el("ol", { class: "messages", "aria-label": "Messages, newest first", tabIndex: 0 });
  const count = el("p", { class: "count" });
  const clear = el("button", { type: "button", class: "quiet" }, "Clear");
  const none = empty("No message yet", "Subscribe to a topic filter: what matches appears here.");
  fill(
    root,
    el(
      "div",
      { class: "client-panes forms" },
      login,
      subscribing,
      el(
        "section",
        { class: "inbox", "aria-label": "Messages" },
        el("div", { class: "detail-head" }, el("h2", {}, "Messages"), clear),
        count,
        none,
        messages,
      ),
      publishing,
    ),
  );

  const isObserver = () => mode.value === "observer";

  function update() {
    const ready = isObserver() || Boolean(connection && !connection.closed && connected);
    credentials.hidden = isObserver();
    connect.hidden = isObserver();
    observerNote.hidden = !isObserver();
    filterQosField.hidden = isObserver();
    subscribe.disabled = !ready;
    publish.disabled = !ready;
    connect.textContent = connection ? "Disconnect" : "Connect";
    for (const control of [clientId, userName, password, authorizer, version])
      control.disabled = connection !== null;
    fill(
      subscriptions,
      [...filters.keys()].map((name) =>
        el(
          "li",
          {},
          foreign(name, 80),
          el(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": `Unsubscribe from ${visible(name)}`,
              onclick: () => remove(name),
            },
            "×",
          ),
        ),
      ),
    );
    none.hidden = messages.children.length > 0;
    messages.hidden = !none.hidden;
    const sampled = skipped > 0 ? `; ${skipped.toLocaleString("en")} more came too fast to show` : "";
    count.textContent = received > 0 ? `${received.toLocaleString("en")} received${sampled}` : "";
  }
  let connected = false;

  /**
   * @param {import("./mqtt.js").Message & { bytes?: number }} message
   * @param {number} at
   */
  function add(message, at) {
    received += 1;
    const { kind, text } = shown(message.payload);
    const total = message.bytes ?? message.payload.length;
    const extras = [
      `QoS ${message.qos}`,
      message.retain ? "retained" : "",
      `${kind}, ${size(total)}`,
      message.contentType ? `type ${visible(cut(message.contentType, 60))}` : "",
      message.responseTopic ? `answer to ${visible(cut(message.responseTopic, 60))}` : "",
      ...(message.userProperties ?? []).map(
        ([name, value]) => `${visible(cut(name ?? "", 40))}: ${visible(cut(value ?? "", 60))}`,
      ),
    ];
    messages.prepend(
      el(
        "li",
        {},
        el(
          "div",
          { class: "message-head" },
          foreign(message.topic, 200, "topic"),
          el("time", { dateTime: new Date(at).toISOString() }, clock(at)),
        ),
        el("pre", {}, el("bdi", {}, visible(cut(text, SHOWN_PAYLOAD), true) || "(empty)")),
        el("p", { class: "extras" }, extras.filter(Boolean).join(" · ")),
      ),
    );
    while (messages.children.length > KEPT) messages.lastElementChild?.remove();
  }

  mode.addEventListener("change", () => {
    connection?.disconnect();
    for (const name of [...filters.keys()]) remove(name);
    state.textContent = "";
    update();
  });

  login.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (connection) {
      connection.disconnect();
      return;
    }
    const own = userName.value || clientId.value;
    const named = own.includes("?") ? own : `${own}?x-amz-customauthorizer-name=${authorizer.value}`;
    const attempt = new MqttConnection({
      version: version.value === "3" ? 3 : 5,
      clientId: clientId.value,
      userName: named,
      password: password.value,
      query: "",
    });
    connection = attempt;
    state.className = "state";
    state.textContent = "Connecting…";
    attempt.onmessage = (message) => {
      add(message, Date.now());
      update();
    };
    attempt.onclose = (text) => {
      if (connection === attempt) connection = null;
      connected = false;
      filters.clear();
      state.className = "state bad";
      fill(state, "Not connected: ", words(text), ". ");
      if (clientId.value && !signal.aborted)
        state.append(
          el(
            "a",
            { href: `#/attempts?${new URLSearchParams({ text: clientId.value })}` },
            "Read why in Attempts",
          ),
        );
      update();
    };
    update();
    try {
      const id = await attempt.connect();
      connected = true;
      state.className = "state good";
      fill(state, "Connected as ", foreign(id, 80));
      announce("Connected");
    } catch {
      // `onclose` has said it.
    }
    update();
  });

  subscribing.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = filter.value;
    if (filters.has(wanted)) return;
    try {
      if (isObserver()) {
        observe(wanted);
      } else if (connection) {
        const code = await connection.subscribe(wanted, Number(filterQos.value));
        if (code >= 0x80)
          throw new Error(
            `SUBACK ${reason(code)} for \`${wanted}\`: the policies or the gateway refuse it; Attempts has the reason`,
          );
        filters.set(wanted, null);
      }
    } catch (error) {
      failed(/** @type {Error} */ (error));
    }
    update();
  });

  /** @param {string} wanted */
  async function observe(wanted) {
    const control = new AbortController();
    signal.addEventListener("abort", () => control.abort());
    filters.set(wanted, control);
    events(
      { of: "messages", filter: [wanted] },
      control.signal,
      {
        messages(data) {
          skipped += data.skipped;
          received += data.skipped;
          for (const message of data.messages)
            add({ ...message, payload: bytesOf(message.payload) }, message.at);
          update();
        },
      },
      (error) => {
        remove(wanted);
        failed(error);
      },
    );
    // A stream that is refused says no more than that.
    const levels = wanted.split("/");
    const wrong = levels.some(
      (level, at) =>
        (level.includes("#") && (level !== "#" || at < levels.length - 1)) ||
        (level.includes("+") && level !== "+"),
    );
    if (wrong || wanted.startsWith("$share/")) {
      remove(wanted);
      failed(new Error(`\`${wanted}\` is not a topic filter that an observer can use`));
    }
  }

  /** @param {string} name */
  async function remove(name) {
    filters.get(name)?.abort();
    filters.delete(name);
    update();
    if (connection && connected) await connection.unsubscribe(name).catch(() => {});
  }

  publishing.addEventListener("submit", async (event) => {
    event.preventDefault();
    const userProperties = properties.value
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => {
        const at = line.indexOf(":");
        return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      });
    const payload = new TextEncoder().encode(body.value);
    const message = {
      topic: topic.value,
      payload,
      qos: Number(qos.value),
      retain: retain.checked,
      contentType: contentType.value || undefined,
      responseTopic: responseTopic.value || undefined,
      userProperties,
    };
    published.className = "state";
    try {
      if (isObserver()) {
        await post("/publish", { ...message, payload: base64Of(payload) });
        published.textContent = "Published, outside every policy.";
      } else if (connection) {
        const code = await connection.publish(message);
        const ack =
          message.qos === 0
            ? "Sent at QoS 0, which nobody acknowledges."
            : `Acknowledged: ${code === 0 ? "success" : reason(code)}.`;
        published.textContent = ack;
      }
      published.classList.add("good");
      announce(published.textContent ?? "");
    } catch (error) {
      published.classList.add("bad");
      fill(published, words(/** @type {Error} */ (error).message));
    }
  });

  clear.addEventListener("click", () => {
    fill(messages);
    received = 0;
    skipped = 0;
    update();
  });
  signal.addEventListener("abort", () => connection?.disconnect());
  if (!gateway.testClient) {
    mode.value = "observer";
    mode.disabled = true;
    failed(
      new Error(
        "The port that stands for AWS's 443 is closed, so there is no WebSocket door: you can only observe.",
      ),
    );
  }
  get("").catch(failed);
  update();
}

// @ts-check
// MQTT 3.1.1 and 5 over a WebSocket, as much as the test client needs: QoS 0 and 1.

/**
 * @typedef {object} Login
 * @property {3 | 5} version
 * @property {string} clientId
 * @property {string} userName
 * @property {string} password
 * @property {string} query names the authorizer, in the address of the WebSocket
 *
 * @typedef {object} Message
 * @property {string} topic
 * @property {Uint8Array} payload
 * @property {number} qos
 * @property {boolean} retain
 * @property {string} [contentType]
 * @property {string} [responseTopic]
 * @property {string[][]} [userProperties]
 */

const REASONS = /** @type {{ [code: number]: string }} */ ({
  0x80: "unspecified error",
  0x81: "malformed packet",
  0x82: "protocol error",
  0x83: "implementation specific error",
  0x85: "client identifier not valid",
  0x87: "not authorized",
  0x89: "server busy",
  0x8b: "server shutting down",
  0x8d: "keep alive timeout",
  0x8e: "session taken over",
  0x8f: "topic filter invalid",
  0x90: "topic name invalid",
  0x93: "receive maximum exceeded",
  0x95: "packet too large",
  0x96: "message rate too high",
  0x97: "quota exceeded",
  0x98: "administrative action",
  0x9b: "QoS not supported",
  0xa0: "maximum connect time",
});

/** A reason code in words. @param {number} code */
export function reason(code) {
  return `0x${code.toString(16).padStart(2, "0").toUpperCase()} ${REASONS[code] ?? ""}`.trim();
}

class Writer {
  /** @type {number[]} */
  bytes = [];
  /** @param {...number} bytes */
  raw(...bytes) {
    this.bytes.push(...bytes);
    return this;
  }
  /** @param {number} n */
  short(n) {
    return this.raw(n >> 8, n & 0xff);
  }
  /** @param {Uint8Array} bytes */
  data(bytes) {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  /** @param {string} text */
  text(text) {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length > 65535) throw new Error("a text in a packet has at most 65,535 bytes");
    return this.short(bytes.length).data(bytes);
  }
  /** @param {number} n */
  variable(n) {
    let rest = n;
    do {
      const digit = rest % 128;
      rest = Math.floor(rest / 128);
      this.raw(rest > 0 ? digit | 0x80 : digit);
    } while (rest > 0);
    return this;
  }
  /** @param {number} first */
  packet(first) {
    const head = new Writer().raw(first).variable(this.bytes.length);
    return Uint8Array.from([...head.bytes, ...this.bytes]);
  }
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  byte() {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new Error("the server's packet ends too early");
    this.at += 1;
    return byte;
  }
  short() {
    return this.byte() * 256 + this.byte();
  }
  /** @param {number} length */
  data(length) {
    const data = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return data;
  }
  text() {
    return new TextDecoder().decode(this.data(this.short()));
  }
  variable() {
    let value = 0;
    for (let factor = 1, more = true; more; factor *= 128) {
      const digit = this.byte();
      value += (digit & 0x7f) * factor;
      more = digit > 0x7f;
    }
    return value;
  }
  /** The properties of MQTT 5 that the page shows. */
  properties() {
    /** @type {{ reason?: string, assigned?: string, contentType?: string, responseTopic?: string, user: string[][] }} */
    const found = { user: [] };
    const end = this.variable() + this.at;
    while (this.at < end) {
      const id = this.byte();
      if (id === 0x1f) found.reason = this.text();
      else if (id === 0x12) found.assigned = this.text();
      else if (id === 0x03) found.contentType = this.text();
      else if (id === 0x08) found.responseTopic = this.text();
      else if (id === 0x26) found.user.push([this.text(), this.text()]);
      else if ([0x15, 0x1a, 0x1c].includes(id)) this.text();
      else if (id === 0x09 || id === 0x16) this.data(this.short());
      else if ([0x02, 0x11, 0x18, 0x27].includes(id)) this.data(4);
      else if ([0x13, 0x21, 0x22, 0x23].includes(id)) this.short();
      else if (id === 0x0b) this.variable();
      else this.byte();
    }
    return found;
  }
}

/** A connection of the test client. Its listeners are set before `connect`. */
export class MqttConnection {
  /** @param {Login} login */
  constructor(login) {
    this.login = login;
    /** @type {(message: Message) => void} */
    this.onmessage = () => {};
    /** @type {(text: string) => void} */
    this.onclose = () => {};
    /** @type {Map<number, (codes: number[]) => void>} */
    this.waiting = new Map();
    this.buffer = new Uint8Array();
    this.lastId = 0;
    this.closed = false;
    this.words = "";
  }

  /** @returns {Promise<string>} the client id */
  connect() {
    const { version, clientId, userName, password, query } = this.login;
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(
        `ws://${location.host}/console/v1/mqtt${query ? `?${query}` : ""}`,
        "mqtt",
      );
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      this.connected = (
        /** @type {number} */ code,
        /** @type {ReturnType<Reader["properties"]>} */ properties,
      ) => {
        if (code === 0) return resolve(properties.assigned ?? clientId);
        this.words = `CONNACK ${reason(code)}${properties.reason ? `: ${properties.reason}` : ""}`;
        socket.close();
      };
      socket.onopen = () => {
        const flags = 0x02 | (userName ? 0x80 : 0) | (password ? 0x40 : 0);
        const packet = new Writer()
          .text("MQTT")
          .raw(version === 5 ? 5 : 4, flags)
          .short(60);
        if (version === 5) packet.variable(0);
        packet.text(clientId);
        if (userName) packet.text(userName);
        if (password) packet.text(password);
        socket.send(packet.packet(0x10));
        this.pings = setInterval(
          () => socket.readyState === WebSocket.OPEN && socket.send(Uint8Array.of(0xc0, 0)),
          30000,
        );
      };
      socket.onmessage = (event) => {
        try {
          this.receive(new Uint8Array(event.data));
        } catch (error) {
          this.words = String(error);
          socket.close();
        }
      };
      socket.onclose = (event) => {
        clearInterval(this.pings);
        this.closed = true;
        const text =
          this.words ||
          event.reason ||
          "the server ended the connection without a word, as AWS does with MQTT 3.1.1";
        for (const answer of this.waiting.values()) answer([]);
        reject(new Error(text));
        this.onclose(text);
      };
    });
  }

  /** @param {Uint8Array} bytes */
  receive(bytes) {
    const all = new Uint8Array(this.buffer.length + bytes.length);
    all.set(this.buffer);
    all.set(bytes, this.buffer.length);
    let at = 0;
    for (;;) {
      let length = 0;
      let head = 1;
      for (let factor = 1; ; factor *= 128, head += 1) {
        const digit = all[at + head];
        if (digit === undefined) {
          this.buffer = all.slice(at);
          return;
        }
        length += (digit & 0x7f) * factor;
        if (digit < 0x80) break;
      }
      const begin = at + head + 1;
      if (begin + length > all.length) {
        this.buffer = all.slice(at);
        return;
      }
      this.packet(all[at] ?? 0, new Reader(all.subarray(begin, begin + length)));
      at = begin + length;
    }
  }

  /**
   * @param {number} first
   * @param {Reader} reader
   */
  packet(first, reader) {
    const isV5 = this.login.version === 5;
    const kind = first >> 4;
    if (kind === 2) {
      reader.byte();
      const code = reader.byte();
      this.connected?.(code, isV5 ? reader.properties() : { user: [] });
    } else if (kind === 3) {
      const qos = (first >> 1) & 3;
      const topic = reader.text();
      const id = qos > 0 ? reader.short() : 0;
      const properties = isV5 ? reader.properties() : { user: [] };
      const payload = reader.bytes.slice(reader.at);
      if (qos === 1) this.socket?.send(Uint8Array.of(0x40, 2, id >> 8, id & 0xff));
      const { contentType, responseTopic, user } = properties;
      this.onmessage({
        topic,
        payload,
        qos,
        retain: (first & 1) === 1,
        contentType,
        responseTopic,
        userProperties: user,
      });
    } else if (kind === 4 || kind === 9 || kind === 11) {
      const id = reader.short();
      let codes = [0];
      if (kind === 4) codes = [reader.at < reader.bytes.length ? reader.byte() : 0];
      else if (isV5 || kind === 9) {
        if (isV5) reader.properties();
        codes = [...reader.bytes.subarray(reader.at)];
      }
      this.waiting.get(id)?.(codes);
      this.waiting.delete(id);
    } else if (kind === 14) {
      const code = reader.at < reader.bytes.length ? reader.byte() : 0;
      const text = reader.at < reader.bytes.length ? reader.properties().reason : undefined;
      this.words = `DISCONNECT ${reason(code)}${text ? `: ${text}` : ""}`;
    }
  }

  /**
   * Sends a packet, and waits for the answer with its id.
   *
   * @param {number} first
   * @param {(id: number, packet: Writer) => void} write
   * @returns {Promise<number[]>}
   */
  ask(first, write) {
    this.lastId = (this.lastId % 65535) + 1;
    const id = this.lastId;
    const packet = new Writer();
    write(id, packet);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, (codes) =>
        codes.length > 0 ? resolve(codes) : reject(new Error("the connection ended before the answer")),
      );
      this.socket?.send(packet.packet(first));
    });
  }

  /** @param {string} filter @param {number} qos */
  async subscribe(filter, qos) {
    const codes = await this.ask(0x82, (id, packet) => {
      packet.short(id);
      if (this.login.version === 5) packet.variable(0);
      packet.text(filter).raw(qos);
    });
    return codes[0] ?? 0x80;
  }

  /** @param {string} filter */
  async unsubscribe(filter) {
    await this.ask(0xa2, (id, packet) => {
      packet.short(id);
      if (this.login.version === 5) packet.variable(0);
      packet.text(filter);
    });
  }

  /**
   * @param {Message} message
   * @returns {Promise<number>} the reason code; 0 at QoS 0
   */
  async publish(message) {
    const { topic, payload, qos, retain, contentType, responseTopic, userProperties } = message;
    const first = 0x30 | (qos << 1) | (retain ? 1 : 0);
    /** @param {number} id @param {Writer} packet */
    const write = (id, packet) => {
      packet.text(topic);
      if (qos > 0) packet.short(id);
      if (this.login.version === 5) {
        const properties = new Writer();
        if (contentType) properties.raw(0x03).text(contentType);
        if (responseTopic) properties.raw(0x08).text(responseTopic);
        for (const [name = "", value = ""] of userProperties ?? [])
          properties.raw(0x26).text(name).text(value);
        packet.variable(properties.bytes.length).raw(...properties.bytes);
      }
      packet.data(payload);
    };
    if (qos > 0) return (await this.ask(first, write))[0] ?? 0;
    const packet = new Writer();
    write(0, packet);
    this.socket?.send(packet.packet(first));
    return 0;
  }

  disconnect() {
    this.words ||= "you disconnected";
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(Uint8Array.of(0xe0, 0));
    this.socket?.close();
  }
}

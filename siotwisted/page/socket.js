/*
 * Socket.IO, revision 5, over one Engine.IO session after another: the namespace "/", events and acknowledgements.
 *
 *   const socket = new Socket(url, transports);
 *   socket.on(event, (...values) => {})   one listener for each event; set them before open()
 *   socket.open()   socket.close()
 *   socket.retryNow()     do not wait any longer for the next attempt
 *   socket.reconnect()    give this session up and open another one
 *   socket.emit(event, ...values)
 *   socket.call(event, ...values)   a Promise of the answer, which fails when the session is lost first
 *   socket.connected  socket.engine  socket.failures   attempts in a row that brought no connection
 *
 * Its own events: "connect", "disconnect" (reason), "changed" when anything above did, and "packet" (out, text,
 * transport) with every packet of the engine.
 */

import { Engine } from "./engine.js";

const CONNECT = "0";
const DISCONNECT = "1";
const EVENT = "2";
const ACK = "3";
const CONNECT_ERROR = "4";

/** How long it may take from the first request until the namespace is joined. */
const JOIN_TIMEOUT = 20_000;
const FIRST_DELAY = 500;
const LAST_DELAY = 10_000;
/** A session that lasted this long was a good one: the next delay starts small again. */
const STABLE_AFTER = 10_000;

/** A packet's type, namespace, id and data. Throws on what is none of this page's business, such as binary. */
function parse(text) {
  const found = /^([0-4])(?:(\/[^,]*)(?:,|$))?(\d*)(.*)$/s.exec(text);
  if (found === null) throw new SyntaxError("not a packet");
  const [, type, namespace = "/", id, data] = found;
  return { type, namespace, id, data: data === "" ? undefined : JSON.parse(data) };
}

export class Socket {
  connected = false;
  engine = null;
  failures = 0;
  #url;
  #transports;
  #listeners = new Map();
  #calls = new Map();
  #lastCall = 0;
  #delay = FIRST_DELAY;
  #retryTimer = 0;
  #joinTimer = 0;
  #connectedAt = 0;

  constructor(url, transports) {
    this.#url = url;
    this.#transports = transports;
  }

  on(event, listener) {
    this.#listeners.set(event, listener);
  }

  open() {
    if (this.engine !== null) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    const engine = new Engine(this.#url, this.#transports, {
      opened: () => engine.send(CONNECT),
      message: (text) => this.#received(text),
      closed: (reason) => this.#closed(reason),
      changed: () => this.#tell("changed"),
      packet: (...packet) => this.#tell("packet", ...packet),
    });
    this.engine = engine;
    this.#joinTimer = setTimeout(() => engine.close("nobody let us in"), JOIN_TIMEOUT);
    this.#tell("changed");
  }

  /** End the session and do not come back by itself. */
  close() {
    this.engine?.close();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
  }

  retryNow() {
    if (this.#retryTimer !== 0) this.open();
  }

  reconnect() {
    this.engine?.close("given up");
    this.retryNow();
  }

  emit(event, ...values) {
    if (this.connected) this.engine.send(EVENT + JSON.stringify([event, ...values]));
  }

  call(event, ...values) {
    return new Promise((resolve, reject) => {
      if (!this.connected) {
        reject(new Error("not connected"));
        return;
      }
      const id = String(++this.#lastCall);
      this.#calls.set(id, { resolve, reject });
      this.engine.send(EVENT + id + JSON.stringify([event, ...values]));
    });
  }

  #tell(event, ...values) {
    this.#listeners.get(event)?.(...values);
  }

  #received(text) {
    let packet;
    try {
      packet = parse(text);
    } catch {
      return;
    }
    const { type, namespace, id, data } = packet;
    if (namespace !== "/") return;
    if (type === CONNECT) {
      this.#joined();
    } else if (type === EVENT && this.connected && Array.isArray(data)) {
      this.#tell(...data);
      if (id !== "") this.engine.send(`${ACK}${id}[]`);
    } else if (type === ACK) {
      this.#calls.get(id)?.resolve(data?.[0]);
      this.#calls.delete(id);
    } else if (type === DISCONNECT || type === CONNECT_ERROR) {
      this.engine.close(data?.message ?? "the server sent us away");
    }
  }

  #joined() {
    clearTimeout(this.#joinTimer);
    this.connected = true;
    this.failures = 0;
    this.#connectedAt = performance.now();
    this.#tell("connect");
    this.#tell("changed");
  }

  /** The session is over: whoever waits for an answer is told so, and after a while another session is opened. */
  #closed(reason) {
    clearTimeout(this.#joinTimer);
    const { connected } = this;
    if (!connected) this.failures++;
    else if (performance.now() - this.#connectedAt >= STABLE_AFTER) this.#delay = FIRST_DELAY;
    this.connected = false;
    this.engine = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(new Error(reason));
    // Not all at the same moment, when a server comes back to many.
    this.#retryTimer = setTimeout(() => this.open(), this.#delay * (0.75 + Math.random() / 2));
    this.#delay = Math.min(this.#delay * 2, LAST_DELAY);
    if (connected) this.#tell("disconnect", reason);
    this.#tell("changed");
  }
}

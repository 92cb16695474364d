/*
 * Engine.IO, revision 4: one session, carried by HTTP requests, by a WebSocket, or by the one and then the other.
 *
 *   const engine = new Engine(url, ["polling", "websocket"], listener);   it opens at once, and once only
 *   engine.send(text)   engine.close()
 *   engine.transport    what carries it now, "" while none does
 *   engine.upgrading    whether a better one is being tried; engine.upgraded: whether that one has taken over
 *   engine.handshake    what the server said of itself: pingInterval, pingTimeout, maxPayload, upgrades
 *   engine.pinged       when the server asked last whether somebody is there, as performance.now() has it
 *   listener.opened()  listener.message(text)  listener.closed(reason)
 *   listener.changed()  listener.packet(out, text, transport)   for those who like to watch
 *
 * The first transport that answers carries the session. If that is polling, and a WebSocket is among the
 * transports on both sides, one is tried beside it, and takes over when it has proved that it works.
 *
 * All times are in milliseconds.
 */

const OPEN = "0";
const CLOSE = "1";
const PING = "2";
const PONG = "3";
const MESSAGE = "4";
const UPGRADE = "5";
const NOOP = "6";
const SEPARATOR = "\x1e";

/** How long a transport may take from its start to the handshake. */
const CONNECT_TIMEOUT = 6_000;
const PROBE_TIMEOUT = 10_000;

const encoder = new TextEncoder();

/*
 * A carrier moves packets: `received(packet)` and `lost(reason)` are called by it, until `stop` was called.
 * `address()` is the URL to use, which gets longer when the session has its id.
 */

class WebSocketCarrier {
  #socket;
  #early = [];

  constructor(address, received, lost) {
    const url = address("websocket");
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(url);
    this.#socket.onopen = () => {
      for (const packet of this.#early.splice(0)) this.send(packet);
    };
    // This page never asks for binary, so what is no text is not for it.
    this.#socket.onmessage = ({ data }) => typeof data === "string" && received(data);
    this.#socket.onclose = ({ code }) => lost(`the WebSocket closed (${code})`);
  }

  send(packet) {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#early.push(packet);
    else this.#socket.send(packet);
  }

  stop() {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  /** End the session, too. */
  leave() {
    this.stop();
  }
}

class PollingCarrier {
  /** The largest body to send, in bytes. */
  maxPayload = Infinity;
  #address;
  #received;
  #lost;
  #abort = new AbortController();
  #queue = [];
  #posting = false;
  #polling = false;
  /** Called when a pause has come: no request is under way, and no new one is made. */
  #paused = null;

  constructor(address, received, lost) {
    this.#address = address;
    this.#received = received;
    this.#lost = lost;
    this.#poll();
  }

  send(packet) {
    this.#queue.push(packet);
    if (!this.#posting) this.#post();
  }

  /** Send what is queued, wait for the answer to the poll that is out, and then be still. */
  pause() {
    return new Promise((resolve) => {
      this.#paused = resolve;
      this.#settle();
    });
  }

  resume() {
    this.#paused = null;
    if (!this.#polling) this.#poll();
  }

  stop() {
    this.#abort.abort();
  }

  leave() {
    this.stop();
    // The page may be going; this request outlives it.
    const body = [...this.#queue, CLOSE].join(SEPARATOR);
    fetch(this.#address("polling"), { method: "POST", body, keepalive: true }).catch(() => {});
  }

  async #poll() {
    this.#polling = true;
    while (this.#paused === null) {
      const payload = await this.#ask({});
      if (payload === null) return;
      for (const packet of payload.split(SEPARATOR)) {
        if (this.#abort.signal.aborted) return;
        this.#received(packet);
      }
    }
    this.#polling = false;
    this.#settle();
  }

  /** One POST at a time keeps the order; what is sent meanwhile goes together with the next. */
  async #post() {
    this.#posting = true;
    while (this.#queue.length > 0) {
      let count = 0;
      let size = 0;
      do {
        size += encoder.encode(this.#queue[count]).length + 1;
      } while (size <= this.maxPayload && ++count < this.#queue.length);
      const batch = this.#queue.splice(0, Math.max(count, 1));
      if ((await this.#ask({ method: "POST", body: batch.join(SEPARATOR) })) === null) return;
    }
    this.#posting = false;
    this.#settle();
  }

  #settle() {
    if (!this.#polling && !this.#posting) this.#paused?.();
  }

  /** The body of a good answer; null, after saying so to the owner, when there is none. */
  async #ask(options) {
    const { signal } = this.#abort;
    try {
      const answer = await fetch(this.#address("polling"), { ...options, cache: "no-store", signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const body = await answer.text();
      return signal.aborted ? null : body;
    } catch (error) {
      if (!signal.aborted) this.#lost(error.message);
      return null;
    }
  }
}

const CARRIERS = { polling: PollingCarrier, websocket: WebSocketCarrier };

export const TRANSPORTS = Object.keys(CARRIERS);

export class Engine {
  transport = "";
  upgrading = false;
  upgraded = false;
  handshake = null;
  pinged = 0;
  closed = false;
  #url;
  #transports;
  #listener;
  #carrier = null;
  #probe = null;
  /** What is sent while one carrier hands over to the next; null at all other times. */
  #held = null;
  #timer = 0;
  #probeTimer = 0;
  #stamp = 0;

  constructor(url, transports, listener) {
    this.#url = url;
    this.#transports = transports;
    this.#listener = listener;
    // Later, so that whoever made this has it in hand when the first call comes.
    queueMicrotask(() => this.#start(0));
  }

  send(text) {
    this.#send(MESSAGE + text);
  }

  close(reason = "closed here") {
    if (this.handshake !== null && !this.closed) this.#carrier.leave();
    this.#end(reason);
  }

  #end(reason) {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#timer);
    this.#dropProbe();
    this.#carrier?.stop();
    this.transport = "";
    this.#listener.closed(reason);
  }

  #address(transport) {
    const url = new URL(this.#url);
    url.searchParams.set("EIO", "4");
    url.searchParams.set("transport", transport);
    if (this.handshake !== null) url.searchParams.set("sid", this.handshake.sid);
    // No cache on the way may take one request for another.
    if (transport === "polling") url.searchParams.set("t", `${Date.now().toString(36)}.${this.#stamp++}`);
    return url;
  }

  #start(index) {
    if (this.closed) return;
    const name = this.#transports[index];
    const lost = (reason) => {
      if (this.handshake !== null || index + 1 >= this.#transports.length) return this.#end(reason);
      clearTimeout(this.#timer);
      this.#carrier?.stop();
      this.#carrier = null;
      this.#start(index + 1);
    };
    this.#timer = setTimeout(lost, CONNECT_TIMEOUT, "no answer in time");
    try {
      this.#carrier = this.#carry(name, (packet) => this.#received(packet, name), lost);
    } catch (error) {
      // Some browsers refuse to make a WebSocket at all under a strict content policy.
      lost(error.message);
    }
  }

  #carry(name, received, lost) {
    const watched = (packet) => {
      this.#listener.packet(false, packet, name);
      received(packet);
    };
    return new CARRIERS[name]((transport) => this.#address(transport), watched, lost);
  }

  #send(packet) {
    if (this.closed) return;
    if (this.#held !== null) {
      this.#held.push(packet);
      return;
    }
    this.#listener.packet(true, packet, this.transport);
    this.#carrier.send(packet);
  }

  #received(packet, name) {
    const data = packet.slice(1);
    switch (packet[0]) {
      case OPEN:
        this.#opened(data, name);
        break;
      case PING:
        this.#heard();
        this.#send(PONG + data);
        this.#listener.changed();
        break;
      case MESSAGE:
        this.#listener.message(data);
        break;
      case CLOSE:
        this.#end("the server closed the session");
        break;
      case NOOP:
      case "b": // binary, which this page never asks for
        break;
      default:
        this.#end("not Engine.IO");
    }
  }

  #opened(data, name) {
    try {
      this.handshake = JSON.parse(data);
    } catch {
      return this.#end("not Engine.IO");
    }
    this.transport = name;
    this.#heard();
    this.#listener.opened();
    if (name !== "polling" || this.closed) return;
    this.#carrier.maxPayload = this.handshake.maxPayload ?? Infinity;
    if (this.#transports.includes("websocket") && this.handshake.upgrades.includes("websocket")) this.#tryWebSocket();
  }

  /** The server is there, and has until this timer ends to say so again. */
  #heard() {
    const { pingInterval, pingTimeout } = this.handshake;
    this.pinged = performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end("the server fell silent"), pingInterval + pingTimeout);
  }

  #tryWebSocket() {
    const receive = (packet) => {
      if (this.#carrier === this.#probe) this.#received(packet, "websocket");
      else if (packet === `${PONG}probe`) this.#handOver();
      else this.#dropProbe();
    };
    const lost = (reason) => (this.#carrier === this.#probe ? this.#end(reason) : this.#dropProbe());
    try {
      this.#probe = this.#carry("websocket", receive, lost);
    } catch {
      return;
    }
    this.upgrading = true;
    this.#probeTimer = setTimeout(() => this.#dropProbe(), PROBE_TIMEOUT);
    this.#listener.packet(true, `${PING}probe`, "websocket");
    this.#probe.send(`${PING}probe`);
    this.#listener.changed();
  }

  /** The WebSocket works: let polling come to rest, and go on there. Nothing is lost, and nothing overtakes. */
  async #handOver() {
    this.#held = [];
    await this.#carrier.pause();
    if (this.closed) return;
    if (this.#probe === null) {
      this.#carrier.resume(); // the WebSocket broke meanwhile
    } else {
      clearTimeout(this.#probeTimer);
      this.#carrier.stop();
      this.#carrier = this.#probe;
      this.transport = "websocket";
      this.upgrading = false;
      this.upgraded = true;
      this.#held.unshift(UPGRADE);
    }
    const held = this.#held;
    this.#held = null;
    for (const packet of held) this.#send(packet);
    this.#listener.changed();
  }

  /** No WebSocket, then: polling carries on. */
  #dropProbe() {
    clearTimeout(this.#probeTimer);
    if (this.#probe !== null && this.#probe !== this.#carrier) this.#probe.stop();
    this.#probe = null;
    this.upgrading = false;
    if (!this.closed) this.#listener.changed();
  }
}

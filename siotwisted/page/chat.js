"use strict";

/*
 * The chat page's script, in two parts that meet at one small interface.
 *
 * Protocol: `SocketIO06`, a client of Socket.IO 0.6. It knows nothing of the page. Another generation's client
 * can take its place if it has:
 *
 *   new Client(base, transports, listener)   base: the endpoint's URL, ending in "/"; transports: names in order
 *   client.open()  client.close()  client.retryNow()
 *   client.send(value)   a Promise: fulfilled when the server has it, rejected when the session was lost first
 *   client.id  client.transport  client.connected
 *   client.failures      attempts in a row that brought no session
 *   listener.connected(id)  listener.message(value)  listener.disconnected()  listener.changed()
 *
 * Page: `Log` draws entries, `Chat` knows what the server's messages mean and keeps what is still to be sent.
 *
 * All times are in milliseconds.
 */

/* ------------------------------------------------------------------ protocol */

/** How long a transport may take from its start to the session id. */
const CONNECT_TIMEOUT = 5_000;
const FIRST_DELAY = 500;
const LAST_DELAY = 10_000;
/** A session that lasted this long was a good one: the next delay starts small again. */
const STABLE_AFTER = 10_000;
/** Frames that wait for one POST travel together, up to about this many UTF-16 units. */
const BATCH_UNITS = 50_000;

/** One frame: its length is counted in UTF-16 units, as `String.length` does. */
function frameOf(data) {
  return `~m~${data.length}~m~${data}`;
}

/** The data of each frame of a payload. Throws on anything that is not frames back to back. */
function framesIn(payload) {
  const header = /~m~(\d{1,10})~m~/y;
  const frames = [];
  while (header.lastIndex < payload.length) {
    const found = header.exec(payload);
    if (found === null) throw new SyntaxError("payload without a frame header");
    const start = found.index + found[0].length;
    const end = start + Number(found[1]);
    if (end > payload.length) throw new SyntaxError("payload shorter than its frame");
    frames.push(payload.slice(start, end));
    header.lastIndex = end;
  }
  return frames;
}

/** A value as frame data. Text that looks like a control frame goes as a JSON string. */
function dataOf(value) {
  return typeof value === "string" && !/^~[hj]~/.test(value) ? value : `~j~${JSON.stringify(value)}`;
}

/*
 * A carrier moves payloads for one session: `received(payload)` and `lost()` are called by it;
 * `send(data, delivered)`, `opened(id)` and `stop()` by its owner. `silence` is how long it may be quiet before
 * it counts as dead.
 */

class WebSocketCarrier {
  silence = 15_000;
  /** Callbacks of frames handed to the socket since the server was last heard. */
  #undelivered = [];

  constructor(base, received, lost) {
    const url = new URL("websocket", base);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.onmessage = (event) => {
      // There are no acknowledgements; a server still talking afterwards is the best sign there is.
      for (const delivered of this.#undelivered.splice(0)) delivered();
      received(event.data);
    };
    this.socket.onclose = lost;
  }

  opened() {}

  send(data, delivered) {
    this.socket.send(frameOf(data));
    this.#undelivered.push(delivered);
  }

  stop() {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }
}

class PollingCarrier {
  silence = 25_000;
  #base;
  #received;
  #lost;
  #id = "";
  #stamp = 0;
  #queue = [];
  #posting = false;
  #abort = new AbortController();

  constructor(base, received, lost) {
    this.#base = new URL("xhr-polling/", base).href;
    this.#received = received;
    this.#lost = lost;
    this.#poll();
  }

  opened(id) {
    this.#id = encodeURIComponent(id);
  }

  send(data, delivered) {
    this.#queue.push({ frame: frameOf(data), delivered });
    if (!this.#posting) this.#post();
  }

  stop() {
    this.#abort.abort();
  }

  async #poll() {
    while (!this.#abort.signal.aborted) {
      // No two polls of a session may have the same URL, even within one millisecond.
      this.#stamp = Math.max(this.#stamp + 1, Date.now());
      const payload = await this.#ask(`${this.#id}/${this.#stamp}`, {});
      if (payload === null) return;
      this.#received(payload);
    }
  }

  /** One POST at a time keeps the order; what is sent meanwhile goes together with the next. */
  async #post() {
    this.#posting = true;
    while (this.#queue.length > 0) {
      let units = 0;
      let count = 0;
      while (count < this.#queue.length && (count === 0 || units < BATCH_UNITS)) {
        units += this.#queue[count++].frame.length;
      }
      const batch = this.#queue.splice(0, count);
      const payload = batch.map((item) => item.frame).join("");
      const answer = await this.#ask(`${this.#id}/send`, {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8" },
        body: `data=${encodeURIComponent(payload)}`,
      });
      if (answer === null) return;
      for (const item of batch) item.delivered();
    }
    this.#posting = false;
  }

  /** The body of a good answer; null, after saying so to the owner, when there is none in time. */
  async #ask(path, options) {
    const timer = setTimeout(this.#lost, this.silence);
    try {
      const signal = this.#abort.signal;
      const answer = await fetch(this.#base + path, { ...options, cache: "no-store", signal });
      if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`);
      const body = await answer.text();
      return signal.aborted ? null : body;
    } catch {
      if (!this.#abort.signal.aborted) this.#lost();
      return null;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A client that falls back from transport to transport and comes back after a loss as a new session. */
class SocketIO06 {
  static transports = { "websocket": WebSocketCarrier, "xhr-polling": PollingCarrier };

  id = "";
  transport = "";
  failures = 0;
  #base;
  #names;
  #listener;
  #carrier = null;
  #timer = 0;
  #retryTimer = 0;
  #delay = FIRST_DELAY;
  #connectedAt = 0;
  #inFlight = new Set();

  constructor(base, transports, listener) {
    this.#base = base;
    this.#names = transports;
    this.#listener = listener;
  }

  get connected() {
    return this.id !== "";
  }

  open() {
    if (this.#carrier === null) this.#attempt(0);
  }

  /** End the session and do not come back by itself. */
  close() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#end();
    this.#listener.changed();
  }

  /** Do not wait any longer for the next attempt. */
  retryNow() {
    if (this.#retryTimer !== 0) this.#attempt(0);
  }

  send(value) {
    return new Promise((resolve, reject) => {
      if (!this.connected) {
        reject(new Error("not connected"));
        return;
      }
      this.#inFlight.add(reject);
      this.#carrier.send(dataOf(value), () => {
        this.#inFlight.delete(reject);
        resolve();
      });
    });
  }

  #attempt(index) {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.transport = this.#names[index];
    const Carrier = SocketIO06.transports[this.transport];
    const lost = () => this.#lost(index);
    this.#timer = setTimeout(lost, CONNECT_TIMEOUT);
    try {
      this.#carrier = new Carrier(this.#base, (payload) => this.#received(payload, lost), lost);
    } catch {
      // Some browsers refuse to make a WebSocket at all under a strict content policy.
      lost();
      return;
    }
    this.#listener.changed();
  }

  #received(payload, lost) {
    let frames;
    let values;
    const first = !this.connected;
    try {
      frames = framesIn(payload);
      if (first && !frames[0]) throw new SyntaxError("no session id");
      values = frames.slice(first ? 1 : 0).filter((data) => !data.startsWith("~h~"));
      values = values.map((data) => (data.startsWith("~j~") ? JSON.parse(data.slice(3)) : data));
    } catch {
      lost();
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(lost, this.#carrier.silence);
    if (first) this.#opened(frames[0]);
    for (const data of frames) if (data.startsWith("~h~")) this.#carrier.send(data, () => {});
    for (const value of values) this.#listener.message(value);
  }

  #opened(id) {
    this.id = id;
    this.failures = 0;
    this.#connectedAt = performance.now();
    this.#carrier.opened(id);
    this.#listener.changed();
    this.#listener.connected(id);
  }

  #lost(index) {
    const established = this.connected;
    if (established && performance.now() - this.#connectedAt >= STABLE_AFTER) this.#delay = FIRST_DELAY;
    this.#end();
    if (!established && index + 1 < this.#names.length) {
      this.#attempt(index + 1);
      return;
    }
    if (!established) this.failures++;
    this.#retryTimer = setTimeout(() => this.#attempt(0), this.#delay);
    this.#delay = Math.min(this.#delay * 2, LAST_DELAY);
    this.#listener.changed();
  }

  /** Forget the session; whatever has not surely arrived is given back to its senders. */
  #end() {
    const established = this.connected;
    clearTimeout(this.#timer);
    this.#carrier?.stop();
    this.#carrier = null;
    this.id = "";
    this.transport = "";
    for (const reject of this.#inFlight) reject(new Error("the session was lost"));
    this.#inFlight.clear();
    if (established) this.#listener.disconnected();
  }
}

/* ---------------------------------------------------------------------- page */

/** Entries the log keeps; older ones go while the reader is at the bottom. */
const LOG_ENTRIES = 500;
/** Distance in CSS pixels from the end that still counts as being at the end. */
const NEAR_END = 60;
/** Messages of one author closer than this share one heading. */
const SAME_BREATH = 5 * 60_000;
/** Sessions that may be lost with a message under way before a person has to decide about it. */
const TRIES = 3;

function shortId(id) {
  return Array.from(id).slice(0, 6).join("");
}

/** Give an element the colour of an author: the same id has the same hue everywhere. */
function paint(element, id) {
  let hash = 2166136261;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 16777619);
  // A last stir, so that ids which differ only at their end get hues far apart.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  element.style.setProperty("--hue", String(((hash ^ (hash >>> 12)) >>> 0) % 360));
  element.dataset.hue = "";
}

/** An element with a class and text. People's words become elements here and nowhere else, always as text. */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** The scrolling list of messages and announcements. */
class Log {
  #root = document.getElementById("log");
  #chip = document.getElementById("chip");
  #chipWords = document.getElementById("chip-words");
  #empty = document.getElementById("empty");
  #atEnd = true;
  #height = 0;
  #unread = 0;
  #quiet = 0;

  constructor() {
    this.#root.addEventListener("scroll", () => {
      // While the log's own height changes, a scroll is the browser's doing and tells nothing of the reader.
      if (this.#root.clientHeight !== this.#height) return;
      this.#atEnd = this.#root.scrollHeight - this.#root.scrollTop - this.#root.clientHeight < NEAR_END;
      if (this.#atEnd) this.#countUnread(0);
    }, { passive: true });
    // A keyboard that opens or a composer that grows must not hide the last message.
    new ResizeObserver(() => {
      this.#height = this.#root.clientHeight;
      if (this.#atEnd) this.#toEnd();
    }).observe(this.#root);
    this.#chip.addEventListener("click", () => {
      // The button is about to vanish; the keyboard's place should not.
      this.#root.focus({ preventScroll: true });
      this.#toEnd();
    });
  }

  /** An entry for a message. `value` may be anything JSON can hold; `time` is null when nobody knows it. */
  message(id, value, own, time) {
    const entry = make("div", own ? "entry message own" : "entry message");
    const meta = make("div", "meta");
    meta.append(make("bdi", "author", own ? "You" : shortId(id)));
    if (time !== null) {
      const clock = make("time", "", time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      clock.dateTime = time.toISOString();
      meta.append(clock);
      entry.dataset.time = String(time.getTime());
    }
    const isText = typeof value === "string";
    const bubble = make("div", isText ? "bubble" : "bubble json", isText ? value : JSON.stringify(value));
    if (value === "") {
      bubble.classList.add("blank");
      bubble.textContent = "empty message";
    }
    bubble.dir = "auto";
    if (!own) {
      const disc = make("span", "disc", Array.from(id).slice(0, 2).join(""));
      disc.setAttribute("aria-hidden", "true");
      entry.append(disc);
      paint(entry, id);
    }
    entry.append(meta, bubble);
    entry.dataset.author = own ? "" : id;
    return entry;
  }

  /** An entry for an announcement; `id` colours it when it is about one person. */
  note(text, id) {
    const entry = make("div", "entry note");
    if (id !== undefined) {
      const dot = make("span", "person");
      dot.setAttribute("aria-hidden", "true");
      paint(dot, id);
      entry.append(dot);
    }
    entry.append(make("span", "", text));
    return entry;
  }

  /** Add an entry, before those that still wait to be sent. `follow`: go to the end, wherever the reader is. */
  add(entry, follow = false) {
    entry.classList.add("fresh");
    const waits = entry.classList.contains("waiting");
    this.#root.insertBefore(entry, waits ? null : this.#root.querySelector(":scope > .waiting"));
    this.#group(entry);
    if (entry.nextElementSibling !== null) this.#group(entry.nextElementSibling);
    if (follow || this.#atEnd) {
      while (this.#root.childElementCount > LOG_ENTRIES) this.#root.firstElementChild.remove();
      this.#toEnd();
    } else if (entry.classList.contains("message")) {
      this.#countUnread(this.#unread + 1);
    }
    this.#showEmpty();
  }

  /** Everything in the log now. */
  entries() {
    return [...this.#root.children];
  }

  /** Take `old` entries out and put `history` first, without reading all of it aloud. */
  replace(old, history) {
    clearTimeout(this.#quiet);
    this.#root.setAttribute("aria-live", "off");
    this.#quiet = setTimeout(() => this.#root.setAttribute("aria-live", "polite"), 1000);
    const top = this.#root.scrollTop;
    for (const entry of old) entry.remove();
    this.#root.prepend(...history);
    for (const entry of this.#root.children) this.#group(entry);
    if (this.#atEnd) this.#toEnd();
    else this.#root.scrollTop = top;
    this.#showEmpty();
  }

  /** Continue the heading of the entry before, or have an own one. */
  #group(entry) {
    const before = entry.previousElementSibling;
    const follows = before !== null
      && entry.classList.contains("message")
      && before.dataset.author === entry.dataset.author
      && (entry.dataset.time ?? 0) - (before.dataset.time ?? entry.dataset.time ?? 0) < SAME_BREATH;
    entry.classList.toggle("follows", follows);
  }

  #toEnd() {
    this.#root.scrollTop = this.#root.scrollHeight;
    this.#atEnd = true;
    this.#countUnread(0);
  }

  #countUnread(count) {
    this.#unread = count;
    this.#chip.hidden = count === 0;
    this.#chipWords.textContent = count === 1 ? "1 new message" : `${count} new messages`;
  }

  #showEmpty() {
    this.#empty.hidden = this.#root.querySelector(":scope > .message") !== null;
  }
}

/** The ids this tab has had, so that its earlier messages stay its own after a reload or a reconnect. */
class OwnIds {
  static key = "siochat.ids";
  #ids = [];

  constructor() {
    try {
      this.#ids = JSON.parse(sessionStorage.getItem(OwnIds.key) ?? "[]");
    } catch {
      // Storage is blocked: ids last as long as the page.
    }
  }

  add(id) {
    this.#ids = [...this.#ids, id].slice(-100);
    try {
      sessionStorage.setItem(OwnIds.key, JSON.stringify(this.#ids));
    } catch {
      // As above.
    }
  }

  has(id) {
    return this.#ids.includes(id);
  }
}

/** Whether this is a message as the server tells it: who, and what. */
function isPair(said) {
  return Array.isArray(said) && said.length === 2;
}

/** What the server's messages mean, and what the person here does. */
class Chat {
  #log = new Log();
  #ownIds = new OwnIds();
  #client;
  #input = document.getElementById("input");
  #send = document.getElementById("send");
  #everConnected = false;
  /** True from a new session's id to its first message. */
  #greeting = false;
  /** Entries of earlier sessions, shown until this session's history takes their place. */
  #old = [];
  /** Own messages the server may not have: {text, entry, id, tries}; `id`: the session that tried last, or "". */
  #outbox = [];

  constructor(base, transports) {
    this.#client = new SocketIO06(base, transports, {
      connected: (id) => this.#connected(id),
      message: (value) => this.#received(value),
      disconnected: () => { this.#greeting = false; },
      changed: () => this.#showState(),
    });
    this.#listen();
    this.#client.open();
  }

  #listen() {
    document.getElementById("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#compose();
    });
    this.#input.addEventListener("keydown", (event) => {
      // While an input method is composing, Enter belongs to it (229: the same, said by older Safari).
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#compose();
    });
    this.#input.addEventListener("input", () => this.#fit());
    // A press must not take the focus from the field: a phone's keyboard would close at each message.
    this.#send.addEventListener("pointerdown", (event) => event.preventDefault());
    addEventListener("online", () => this.#client.retryNow());
    addEventListener("offline", () => this.#showState());
    document.addEventListener("visibilitychange", () => document.hidden || this.#client.retryNow());
    // A page kept in the back-forward cache must not keep a session, and needs one when it is shown again.
    addEventListener("pagehide", () => this.#client.close());
    addEventListener("pageshow", (event) => event.persisted && this.#client.open());
    this.#fit();
    if (matchMedia("(hover: hover) and (pointer: fine)").matches) this.#input.focus();
  }

  /** Make the field as high as its text, and the button fit for use. */
  #fit() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${this.#input.scrollHeight}px`;
    this.#send.disabled = this.#input.value.trim() === "";
  }

  #compose() {
    // Half a surrogate pair can be typed but not be sent by every transport.
    const text = this.#input.value.trimEnd().replace(/\p{Surrogate}/gu, "\ufffd");
    if (text.trim() === "") return;
    this.#input.value = "";
    this.#fit();
    const item = { text, entry: this.#log.message("", text, true, new Date()), id: "", tries: 0 };
    this.#mark(item, "waiting");
    this.#outbox.push(item);
    this.#log.add(item.entry, true);
    this.#flush();
  }

  /** Hand over what waits, once this session has said what it already knows. */
  #flush() {
    if (!this.#client.connected || this.#greeting) return;
    for (const item of this.#outbox) {
      if (!item.entry.classList.contains("waiting")) continue;
      this.#mark(item, "");
      item.id = this.#client.id;
      item.tries++;
      this.#client.send(item.text).then(
        () => { this.#outbox = this.#outbox.filter((other) => other !== item); },
        () => this.#mark(item, item.tries < TRIES ? "waiting" : "failed"),
      );
    }
  }

  /** Show what becomes of an own message: "waiting", "failed", or "" when it is on its way. */
  #mark(item, fate) {
    item.entry.classList.remove("waiting", "failed");
    item.entry.querySelector(".fate")?.remove();
    if (fate === "") return;
    item.entry.classList.add(fate);
    const line = make("div", "fate", fate === "waiting" ? "waiting to be sent" : "not sent");
    if (fate === "failed") {
      const again = make("button", "", "Try again");
      again.type = "button";
      again.addEventListener("click", () => {
        item.tries = 0;
        this.#mark(item, "waiting");
        this.#flush();
      });
      line.append(again);
    }
    item.entry.append(line);
  }

  #connected(id) {
    this.#everConnected = true;
    this.#greeting = true;
    this.#ownIds.add(id);
    this.#old = this.#log.entries();
    document.getElementById("own-id").textContent = shortId(id);
    paint(document.getElementById("self"), id);
  }

  #received(value) {
    const { buffer, message, announcement } = value ?? {};
    if (Array.isArray(buffer)) this.#history(buffer);
    else if (isPair(message)) this.#log.add(this.#said(message, new Date()));
    else if (typeof announcement === "string") this.#log.add(this.#announced(announcement));
    else this.#log.add(this.#log.note(typeof value === "string" ? value : JSON.stringify(value)));
    if (this.#greeting) {
      this.#greeting = false;
      this.#flush();
    }
  }

  /** The messages from before this session: they take the place of what was shown until now. */
  #history(buffer) {
    const said = buffer.map((item) => item?.message).filter(isPair);
    // A message whose fate was unknown when the session broke, and which is in here, did arrive.
    const arrived = said.slice();
    this.#outbox = this.#outbox.filter((item) => {
      const index = arrived.findIndex(([id, text]) => item.id !== "" && id === item.id && text === item.text);
      if (index >= 0) arrived.splice(index, 1);
      return index < 0;
    });
    const kept = new Set(this.#outbox.map((item) => item.entry));
    const old = this.#old.filter((entry) => !kept.has(entry));
    this.#log.replace(old, said.map((pair) => this.#said(pair, null)));
    this.#old = [];
  }

  #said([id, value], time) {
    return this.#log.message(String(id), value, this.#ownIds.has(id), time);
  }

  #announced(text) {
    const found = /^(connected|disconnected): (\S+)$/.exec(text);
    if (found === null) return this.#log.note(text);
    const [, what, id] = found;
    const name = shortId(id);
    if (id === this.#client.id) return this.#log.note(`you joined as ${name}`, id);
    return this.#log.note(what === "connected" ? `${name} joined` : `${name} left`, id);
  }

  #showState() {
    const { connected, failures, transport } = this.#client;
    const gone = !navigator.onLine || failures >= 4;
    const away = gone ? "offline" : this.#everConnected ? "reconnecting" : "connecting";
    const state = connected ? "connected" : away;
    const status = document.getElementById("status");
    // Attempts come and go; only a change of words is worth saying aloud.
    if (status.dataset.state !== state) {
      status.dataset.state = state;
      document.getElementById("state").textContent = state;
    }
    document.getElementById("transport").textContent = connected ? transport : "";
    document.getElementById("self").hidden = !connected;
    this.#input.placeholder = connected ? "Write a message" : "Write now, it is sent later";
  }
}

/** Follow the visible height where the on-screen keyboard covers the page instead of resizing it (iOS). */
function followKeyboard() {
  const view = window.visualViewport;
  if (!view) return;
  view.addEventListener("resize", () => {
    if (view.scale !== 1) return;
    document.documentElement.style.setProperty("--visible-height", `${view.height}px`);
    window.scrollTo(0, 0);
  });
}

followKeyboard();
{
  const names = Object.keys(SocketIO06.transports);
  const forced = new URLSearchParams(location.search).get("transport");
  // The URL that names this script's codec, whichever one the server gives its plain URLs.
  new Chat(new URL("/socket.io/sio/", location.href), names.includes(forced) ? [forced] : names);
}

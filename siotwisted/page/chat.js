/*
 * The chat page: what the server's events mean, what the person here does, and what is still to be sent.
 *
 * All times are in milliseconds.
 */

import { TRANSPORTS } from "./engine.js";
import { Log, make, paint } from "./log.js";
import { ConnectionPanel, Rooms, showPeople } from "./side.js";
import { Socket } from "./socket.js";

/** Sessions that may be lost with a message under way before a person has to decide about it. */
const TRIES = 3;
/** How often the round trip is measured, and how long one may take until the session counts as dead. */
const ECHO_INTERVAL = 5_000;
const ECHO_PATIENCE = 15_000;
/** How long somebody is said to be typing, and how often a page says it of its own person. */
const TYPING_LASTS = 4_000;
const TYPING_EVERY = 2_000;

const element = (id) => document.getElementById(id);

/** What this tab remembers through a reload; if storage is blocked, as long as the page lives. */
class Memory {
  #values = {};

  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`siochat.${name}`)) ?? this.#values[name];
    } catch {
      return this.#values[name];
    }
  }

  set(name, value) {
    this.#values[name] = value;
    try {
      sessionStorage.setItem(`siochat.${name}`, JSON.stringify(value));
    } catch {
      // As above.
    }
  }
}

class Chat {
  #memory = new Memory();
  #log = new Log();
  #panel = new ConnectionPanel();
  #rooms = new Rooms((name) => this.#join(name));
  #socket;
  /** By this the server knows that a new session is the one that was lost: nobody else can have it. */
  #key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  #id = "";
  #nick = "";
  #room = "";
  #roomList = [];
  /** The people of the room by id, or null when not all of them were told. */
  #people = null;
  #everConnected = false;
  /** Whether the server has said what is in the room since the connection was made. */
  #greeted = false;
  /** Whether the person here is on the way to another room; what is written meanwhile is said there. */
  #moving = false;
  /** Own messages the server may not have: {text, element, id, tries}; `id`: who was here at the last try, or "". */
  #outbox = [];
  #typed = -Infinity;
  #typingTimer = 0;
  #echoSent = 0;

  constructor(url, transports) {
    this.#socket = new Socket(url, transports);
    this.#socket.on("connect", () => this.#greet());
    this.#socket.on("disconnect", () => { this.#greeted = false; });
    this.#socket.on("changed", () => this.#showState());
    this.#socket.on("packet", (...packet) => this.#panel.packet(...packet));
    this.#socket.on("said", (entry) => this.#said(entry));
    this.#socket.on("people", (people, count) => this.#peopleChanged(people, count));
    this.#socket.on("rooms", (rooms) => this.#showRooms(rooms));
    this.#socket.on("typing", (id) => this.#showTyping(id));
    this.#listen();
    this.#showState();
    this.#socket.open();
  }

  #listen() {
    const input = element("input");
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#compose();
    });
    input.addEventListener("keydown", (event) => {
      // While an input method is composing, Enter belongs to it (229: the same, said by older Safari).
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#compose();
    });
    input.addEventListener("input", () => {
      this.#fit();
      this.#tellTyping();
    });
    // A press must not take the focus from the field: a phone's keyboard would close at each message.
    element("send").addEventListener("pointerdown", (event) => event.preventDefault());
    element("self").addEventListener("click", () => {
      element("nick").value = this.#nick;
      element("nick-error").textContent = "";
      element("nick-dialog").showModal();
      element("nick").select();
    });
    element("nick-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rename(element("nick").value);
    });
    element("nick-cancel").addEventListener("click", () => element("nick-dialog").close());
    addEventListener("hashchange", () => this.#join(roomOfAddress()));
    addEventListener("online", () => this.#socket.retryNow());
    addEventListener("offline", () => this.#showState());
    document.addEventListener("visibilitychange", () => document.hidden || this.#socket.retryNow());
    // A page kept in the back-forward cache must not keep a session, and needs one when it is shown again.
    addEventListener("pagehide", () => this.#socket.close());
    addEventListener("pageshow", (event) => event.persisted && this.#socket.open());
    setInterval(() => document.hidden || this.#measure(), ECHO_INTERVAL);
    this.#fit();
    if (matchMedia("(hover: hover) and (pointer: fine)").matches) input.focus();
  }

  /* Coming into a room */

  async #greet() {
    const wishes = { key: this.#key, nick: this.#memory.get("nick"), room: this.#room || roomOfAddress() };
    let there;
    try {
      there = await this.#socket.call("hello", wishes);
    } catch {
      return; // the session was lost again
    }
    const known = there.id === this.#id;
    this.#id = there.id;
    const ids = this.#memory.get("ids") ?? [];
    if (!ids.includes(there.id)) this.#memory.set("ids", [...ids, there.id].slice(-100));
    this.#everConnected = true;
    this.#greeted = true;
    const before = known ? this.#people : null;
    this.#called(there.nick);
    this.#entered(there);
    if (before !== null) this.#compare(before);
    this.#roomList = there.rooms;
    this.#showRooms(there.rooms);
    this.#showState();
    this.#flush();
  }

  /** Go to another room. The answer is why not, or "". */
  async #join(name) {
    if (name === this.#room || this.#moving) return "";
    this.#moving = true;
    try {
      const there = await this.#socket.call("join", name);
      if (there.error !== undefined) return there.error;
      // What was sent was said in the room that was left.
      this.#outbox = this.#outbox.filter((item) => item.element.classList.contains("waiting"));
      this.#entered(there);
      this.#showRooms(this.#roomList);
      return "";
    } catch (error) {
      return error.message;
    } finally {
      this.#moving = false;
      this.#flush();
    }
  }

  /** Show a room as the server tells it. */
  #entered({ room, history: entries, people, count }) {
    const anew = room !== this.#room;
    this.#room = room;
    element("room").textContent = `# ${room}`;
    element("input-room").textContent = room;
    history.replaceState(null, "", room === "lobby" && location.hash === "" ? null : `#${room}`);
    this.#showTyping("");
    this.#setPeople(people, count);
    const own = new Set(this.#memory.get("ids") ?? []);
    // A message whose fate was unknown when the session broke, and which is in here, did arrive.
    const said = entries.filter(({ id }) => own.has(id));
    this.#outbox = this.#outbox.filter((item) => {
      const index = said.findIndex(({ id, message }) => id === item.id && message === item.text);
      if (index >= 0) said.splice(index, 1);
      return index < 0;
    });
    const elements = entries.map((entry) => this.#log.message(entry, own.has(entry.id)));
    this.#log.replace([...elements, ...this.#outbox.map((item) => item.element)], anew);
    if (anew) this.#log.add(this.#log.note(`you joined # ${room} as ${this.#nick}`, this.#id));
  }

  /* People */

  #setPeople(people, count) {
    this.#people = people.length === count ? new Map(people.map((person) => [person.id, person])) : null;
    showPeople(people, count, this.#id);
  }

  #peopleChanged(people, count) {
    if (!this.#greeted) return;
    const before = this.#people;
    this.#setPeople(people, count);
    if (before !== null) this.#compare(before);
  }

  /** Tell who has come, gone, or got another name since these people were there. */
  #compare(before) {
    for (const { id, nick } of this.#people?.values() ?? []) {
      const known = before.get(id);
      if (id === this.#id) this.#called(nick);
      else if (known === undefined) this.#log.add(this.#log.note(`${nick} joined`, id));
      else if (known.nick !== nick) this.#log.add(this.#log.note(`${known.nick} is now ${nick}`, id));
    }
    for (const { id, nick } of before.values()) {
      if (this.#people !== null && !this.#people.has(id)) this.#log.add(this.#log.note(`${nick} left`, id));
    }
  }

  #called(nick) {
    this.#nick = nick;
    element("own-nick").textContent = nick;
    paint(element("self"), this.#id);
  }

  async #rename(name) {
    let answer;
    try {
      answer = await this.#socket.call("nick", name);
    } catch (error) {
      answer = { error: error.message };
    }
    element("nick-error").textContent = answer.error ?? "";
    if (answer.error !== undefined) return;
    this.#memory.set("nick", answer.nick);
    this.#called(answer.nick);
    element("nick-dialog").close();
  }

  #showRooms(rooms) {
    this.#roomList = rooms;
    this.#rooms.show(rooms, this.#room);
  }

  #showTyping(id) {
    clearTimeout(this.#typingTimer);
    const nick = this.#people?.get(id)?.nick;
    element("typing").textContent = nick === undefined ? "" : `${nick} is typing…`;
    this.#typingTimer = setTimeout(() => { element("typing").textContent = ""; }, TYPING_LASTS);
  }

  #tellTyping() {
    const now = performance.now();
    if (element("input").value === "" || now - this.#typed < TYPING_EVERY) return;
    this.#typed = now;
    this.#socket.emit("typing");
  }

  /* Messages */

  #said(entry) {
    if (!this.#greeted) return;
    this.#showTyping("");
    this.#log.add(this.#log.message(entry, false));
  }

  /** Make the field as high as its text, and the button fit for use. */
  #fit() {
    const input = element("input");
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
    element("send").disabled = input.value.trim() === "";
  }

  #compose() {
    const input = element("input");
    // Half a surrogate pair can be typed but not be sent by every transport.
    const text = input.value.trimEnd().replace(/\p{Surrogate}/gu, "\ufffd");
    if (text.trim() === "") return;
    input.value = "";
    this.#typed = -Infinity;
    this.#fit();
    const shown = this.#log.message({ id: "", nick: "", time: Date.now(), message: text }, true);
    const item = { text, element: shown, id: "", tries: 0 };
    this.#mark(item, "waiting");
    this.#outbox.push(item);
    this.#log.add(shown, true);
    this.#flush();
  }

  /** Hand over what waits, once the server has said what it already knows. */
  #flush() {
    if (!this.#greeted || this.#moving) return;
    for (const item of this.#outbox) {
      if (!item.element.classList.contains("waiting")) continue;
      this.#mark(item, "");
      item.id = this.#id;
      item.tries++;
      this.#socket.call("message", item.text).then(
        () => { this.#outbox = this.#outbox.filter((other) => other !== item); },
        () => this.#mark(item, item.tries < TRIES ? "waiting" : "failed"),
      );
    }
  }

  /** Show what becomes of an own message: "waiting", "failed", or "" when it is on its way. */
  #mark(item, fate) {
    item.element.classList.remove("waiting", "failed");
    item.element.querySelector(".fate")?.remove();
    if (fate === "") return;
    item.element.classList.add(fate);
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
    item.element.append(line);
  }

  /* The connection */

  /** Ask the server for an echo; a session on which none comes for long is given up. */
  #measure() {
    if (!this.#socket.connected) return;
    const now = performance.now();
    if (this.#echoSent !== 0) {
      if (now - this.#echoSent > ECHO_PATIENCE) this.#socket.reconnect();
      return;
    }
    this.#echoSent = now;
    const done = () => { this.#echoSent = 0; };
    this.#socket.call("echo", Math.round(now)).then(() => this.#panel.trip(performance.now() - now)).then(done, done);
  }

  #showState() {
    const { failures, engine } = this.#socket;
    const transport = this.#greeted ? engine.transport : "";
    const gone = !navigator.onLine || failures >= 4;
    const away = gone ? "offline" : this.#everConnected ? "reconnecting" : "connecting";
    const state = this.#greeted ? "connected" : away;
    const status = element("status");
    // Attempts come and go; only a change of words is worth saying aloud.
    if (status.dataset.state !== state) {
      status.dataset.state = state;
      element("state").textContent = state;
    }
    // The server sees another transport with the first packet that comes by it: let one come at once.
    if (element("transport").textContent !== transport) {
      element("transport").textContent = transport;
      if (this.#echoSent !== 0) this.#socket.emit("echo");
      this.#measure();
    }
    element("self").hidden = !this.#greeted;
    this.#rooms.enable(this.#greeted);
    this.#panel.show(engine);
    element("input").placeholder = this.#greeted ? "Write a message" : "Write now, it is sent later";
  }
}

/** The room that the page's address names behind its #. */
function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "lobby";
  } catch {
    return "lobby";
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

/** What opens over a narrow page is beside the log on a wide one, where nothing covers anything. */
function closeSidesWhenWide() {
  for (const [id, query] of [["rooms-side", "(width >= 64rem)"], ["people-side", "(width >= 48rem)"]]) {
    matchMedia(query).addEventListener("change", () => element(id).matches(":popover-open") && element(id).hidePopover());
  }
}

followKeyboard();
closeSidesWhenWide();
const forced = new URLSearchParams(location.search).get("transport");
new Chat(new URL("/socket.io/", location.href), TRANSPORTS.includes(forced) ? [forced] : TRANSPORTS);

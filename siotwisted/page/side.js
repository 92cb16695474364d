/*
 * What is beside the log: the rooms, the people, and the connection, drawn.
 */

import { disc, generationBadge, make } from "./log.js";

/** How many packets and round trips are shown. */
const PACKETS = 40;
const TRIPS = 24;
/** Fewer than these make no curve. */
const FEW_TRIPS = 4;
/** Characters of a packet that are shown. */
const PACKET_LENGTH = 120;
/** What packets are called: by the first digit, and, if that is a 4, by the second. */
const KINDS = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
const MESSAGE_KINDS = ["connect", "disconnect", "event", "ack", "error"];

const element = (id) => document.getElementById(id);
const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** The rooms there are; `join(name)` is called for the one that somebody chooses. */
export class Rooms {
  #list = element("rooms");
  #join;
  #rooms = [];
  #current = "";
  #enabled = false;

  constructor(join) {
    this.#join = join;
    element("new-room").addEventListener("submit", async (event) => {
      event.preventDefault();
      const input = element("new-room-name");
      if (input.value.trim() !== "" && (await this.#choose(input.value.trim().replace(/^#/, "")))) input.value = "";
    });
  }

  show(rooms, current) {
    this.#rooms = rooms;
    this.#current = current;
    this.#draw();
  }

  enable(enabled) {
    if (this.#enabled === enabled) return;
    this.#enabled = enabled;
    this.#draw();
  }

  async #choose(name) {
    const error = await this.#join(name);
    element("room-error").textContent = error;
    // On a narrow window the list covers the log that was just chosen.
    if (error === "" && element("rooms-side").matches(":popover-open")) element("rooms-side").hidePopover();
    return error === "";
  }

  #draw() {
    const focused = this.#list.contains(document.activeElement) ? document.activeElement.dataset.room : undefined;
    const items = this.#rooms.map(({ name, people }) => {
      const button = make("button", "room");
      button.type = "button";
      button.dataset.room = name;
      button.disabled = !this.#enabled;
      button.append(make("bdi", "", `# ${name}`), make("span", "count", String(people)));
      button.append(make("span", "unseen", people === 1 ? "person" : "people"));
      if (name === this.#current) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => this.#choose(name));
      const item = make("li", "");
      item.append(button);
      return item;
    });
    this.#list.replaceChildren(...items);
    if (focused !== undefined) this.#list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
    for (const each of element("new-room").elements) each.disabled = !this.#enabled;
  }
}

/** Who is in the room. `own` is the id of the person here. */
export function showPeople(people, count, own) {
  const items = people.map(({ id, nick, generation, transport }) => {
    const item = make("li", "member");
    const who = make("span", "who");
    who.append(make("bdi", "nick", nick));
    if (id === own) who.append(make("span", "you", "you"));
    const badges = make("span", "badges");
    const carrier = make("span", "badge transport-badge", transport);
    carrier.dataset.transport = transport;
    badges.append(generationBadge(generation), carrier);
    item.append(disc(id, nick), who, badges);
    if (id === own) item.dataset.own = "";
    return item;
  });
  if (count > people.length) items.push(make("li", "more", `and ${count - people.length} more`));
  element("people").replaceChildren(...items);
  element("people-count").textContent = element("people-button-count").textContent = String(count);
  const generations = new Set(people.map(({ generation }) => generation)).size;
  element("mix").replaceChildren(
    make("span", "wide", `${counted(count, "person", "people")}, `),
    counted(generations, "generation", "generations"),
    make("span", "wide", " of clients"),
  );
}

/** What passes between this page and the server, made visible. */
export class ConnectionPanel {
  #trips = [];
  #sent = 0;
  #received = 0;

  constructor() {
    setInterval(() => this.#beat(), 1_000);
  }

  engine = null;

  /** Show which transport carries the session, and whether a better one is being tried. */
  show(engine) {
    this.engine = engine;
    const transport = engine?.transport ?? "";
    for (const step of element("path").children) {
      const { name } = step.dataset;
      const passed = name === "polling" && transport === "websocket" && engine.upgraded;
      const tried = name === "websocket" && engine?.upgrading;
      step.dataset.step = name === transport ? "current" : tried ? "tried" : passed ? "passed" : "";
      if (name === transport) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    }
    if (engine === null) this.#trips = [];
    if (this.#trips.length === 0) element("trip").textContent = "–";
    this.#beat();
  }

  /** A round trip took this many milliseconds. */
  trip(duration) {
    this.#trips = [...this.#trips, duration].slice(-TRIPS);
    element("trip").textContent = duration < 10 ? `${duration.toFixed(1)} ms` : `${Math.round(duration)} ms`;
    const top = Math.max(...this.#trips, 1);
    const first = TRIPS - this.#trips.length;
    const points = this.#trips.map((each, index) => `${((first + index) * 100) / (TRIPS - 1)},${23 - (each / top) * 20}`);
    const curve = points.length < FEW_TRIPS ? "" : points.join(" ");
    element("trips").firstElementChild.setAttribute("points", curve);
  }

  /** A packet went out or came in. */
  packet(out, text, transport) {
    element("sent").textContent = String(out ? ++this.#sent : this.#sent);
    element("received").textContent = String(out ? this.#received : ++this.#received);
    // A session's id is as good as the session: it is not for a screen that others may see.
    const shown = text.replace(/("sid":"[^"]{0,4})[^"]*/, "$1…").replace(/("key":")[^"]*/, "$1…");
    const item = make("li", out ? "out" : "in");
    const direction = make("span", "direction", out ? "↑" : "↓");
    direction.setAttribute("aria-hidden", "true");
    const words = make("code", "", shown.slice(0, PACKET_LENGTH) + (shown.length > PACKET_LENGTH ? "…" : ""));
    const kind = make("span", "kind", (text[0] === "4" && MESSAGE_KINDS[text[1]]) || KINDS[text[0]]);
    item.append(direction, make("span", "unseen", out ? "sent" : "received"), kind, words);
    item.title = `${out ? "sent" : "received"} by ${transport}`;
    const list = element("packets");
    list.prepend(item);
    if (list.childElementCount > PACKETS) list.lastElementChild.remove();
  }

  #beat() {
    const handshake = this.engine?.handshake ?? null;
    if (handshake === null) {
      element("beat").textContent = "–";
      element("beat-bar").value = 0;
      return;
    }
    const age = performance.now() - this.engine.pinged;
    const every = Math.round(handshake.pingInterval / 1000);
    element("beat").textContent = `${Math.round(age / 1000)} s ago, every ${every} s`;
    element("beat-bar").value = Math.min(age / handshake.pingInterval, 1);
  }
}

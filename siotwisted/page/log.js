/*
 * The log of a room: messages and notes, drawn.
 */

/** Entries the log keeps; older ones go while the reader is at the bottom. */
const LOG_ENTRIES = 500;
/** Distance in CSS pixels from the end that still counts as being at the end. */
const NEAR_END = 60;
/** Messages of one author closer than this, in milliseconds, share one heading. */
const SAME_BREATH = 5 * 60_000;
/** For how long, in milliseconds, a log that was replaced is not read aloud. */
const QUIET = 1_000;

const clockFormat = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });

/** Give an element the colour of a person: the same id has the same hue everywhere. */
export function paint(element, id) {
  let hash = 2166136261;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 16777619);
  // A last stir, so that ids which differ only at their end get hues far apart.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  element.style.setProperty("--hue", String(((hash ^ (hash >>> 12)) >>> 0) % 360));
  element.dataset.hue = "";
}

/** An element with a class and text. People's words become elements here and nowhere else, always as text. */
export function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A disc in a person's colour, with the beginning of the nickname; a guest's is its number. */
export function disc(id, nick) {
  const element = make("span", "disc", Array.from(nick.replace(/^guest-/, "")).slice(0, 2).join(""));
  element.setAttribute("aria-hidden", "true");
  paint(element, id);
  return element;
}

/** A badge for a generation of clients, such as "Socket.IO 0.7-0.9"; `brief`: its numbers alone. */
export function generationBadge(generation, brief = false) {
  const numbers = generation.replace(/^Socket\.IO /, "");
  const badge = make("span", "badge generation", (brief ? numbers : generation).replaceAll("-", "\u2013"));
  badge.dataset.generation = numbers;
  if (brief) badge.title = generation;
  return badge;
}

/** The scrolling list of messages and notes. */
export class Log {
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

  /** An element for what somebody said: `entry` as the server tells it, its message anything JSON can hold. */
  message({ id, nick, generation, time, message }, own) {
    const element = make("div", own ? "entry message own" : "entry message");
    const date = new Date(time);
    const meta = make("div", "meta");
    meta.append(make("bdi", "author", own ? "You" : nick));
    if (!own) meta.append(generationBadge(generation, true));
    const clock = make("time", "", clockFormat.format(date));
    clock.dateTime = date.toISOString();
    meta.append(clock);
    const isText = typeof message === "string";
    const bubble = make("div", isText ? "bubble" : "bubble json", isText ? message : JSON.stringify(message));
    if (message === "") {
      bubble.classList.add("blank");
      bubble.textContent = "empty message";
    }
    bubble.dir = "auto";
    if (!own) {
      element.append(disc(id, nick));
      paint(element, id);
    }
    element.append(meta, bubble);
    element.dataset.author = own ? "" : `${id} ${nick}`;
    element.dataset.time = String(time);
    return element;
  }

  /** An element for an event; `id` colours it when it is about one person. */
  note(text, id) {
    const element = make("div", "entry note");
    if (id !== undefined) {
      const dot = make("span", "person");
      dot.setAttribute("aria-hidden", "true");
      paint(dot, id);
      element.append(dot);
    }
    element.append(make("span", "", text));
    return element;
  }

  /** Add an element, before those that still wait to be sent. `follow`: go to the end, wherever the reader is. */
  add(element, follow = false) {
    element.classList.add("fresh");
    const waits = element.classList.contains("waiting");
    this.#root.insertBefore(element, waits ? null : this.#root.querySelector(":scope > .waiting"));
    this.#date(element);
    this.#group(element);
    if (element.nextElementSibling !== null) this.#group(element.nextElementSibling);
    if (follow || this.#atEnd) {
      while (this.#root.childElementCount > LOG_ENTRIES) this.#root.firstElementChild.remove();
      this.#toEnd();
    } else if (element.classList.contains("message")) {
      this.#countUnread(this.#unread + 1);
    }
    this.#showEmpty();
  }

  /** Show these elements and no others, without reading all of them aloud. `follow`: go to the end. */
  replace(elements, follow = false) {
    clearTimeout(this.#quiet);
    this.#root.setAttribute("aria-live", "off");
    this.#quiet = setTimeout(() => this.#root.setAttribute("aria-live", "polite"), QUIET);
    const top = this.#root.scrollTop;
    this.#root.replaceChildren(...elements);
    for (const element of elements) {
      this.#date(element);
      this.#group(element);
    }
    if (follow || this.#atEnd) this.#toEnd();
    else this.#root.scrollTop = top;
    this.#showEmpty();
  }

  /** Put the day before the first message of a day. */
  #date(element) {
    if (element.dataset.time === undefined) return;
    let before = element.previousElementSibling;
    while (before !== null && before.dataset.time === undefined) before = before.previousElementSibling;
    const day = dayFormat.format(Number(element.dataset.time));
    if (before !== null && dayFormat.format(Number(before.dataset.time)) === day) return;
    element.before(make("div", "entry day", day));
  }

  /** Continue the heading of the entry before, or have an own one. */
  #group(element) {
    const before = element.previousElementSibling;
    const follows = before !== null
      && element.classList.contains("message")
      && before.dataset.author === element.dataset.author
      && element.dataset.time - before.dataset.time < SAME_BREATH;
    element.classList.toggle("follows", follows);
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

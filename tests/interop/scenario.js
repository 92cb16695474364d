// What every client does with the server of the matrix, over any driver. Each function of `application` can be called
// by name, in the order that the test chooses, and throws where something is not as it should be.
"use strict";

(function () {
  const SECONDS = 10;
  const MANY = 100;

  const TEXTS = [
    "plain text",
    "astral \u{1F600} a \u{10348}, and \u00e9 \u2665 \ufeff",
    "line\nbreak\n",
    "",
    "\u003c/script >\u003c!-- \\/ \\n \\\\ \u2028\u2029 ~m~3~m~abc 5:::{} %7E + & = \" '",
  ];
  const OBJECTS = [{ text: "\u{1F600}\n", list: [1, 2.5, null, true, {}], "": { nested: "\\/" } }, {}];
  // Clients of 0.5 and 0.6 send these as something else.
  const VALUES = [[1, [2, "three"]], [], 4.5, true, false];

  // What clients are told of the refusal that the server words as "not for you", and when it closes their session.
  const REFUSALS = { "0.7-0.9": "unauthorized", "1-2": "not for you", "3-4": "not for you" };
  const REASONS = { "0.7-0.9": "booted", "1-2": "io server disconnect", "3-4": "io server disconnect" };

  let options;
  let peer;
  let chat;
  const seen = { connects: 0, disconnects: [], messages: [], numbers: [], told: [], connectsWhenLost: 0 };
  const waiting = new Set();

  const notice = () => waiting.forEach((check) => check());

  // A promise of what `probe` returns once that is not undefined; `describe` tells what there was, should time run out.
  function until(probe, describe, seconds = SECONDS) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = probe();
        if (found === undefined) return;
        waiting.delete(check);
        clearTimeout(timer);
        resolve(found);
      };
      const timer = setTimeout(() => {
        waiting.delete(check);
        reject(new Error(`not within ${seconds} s: ${describe()}`));
      }, seconds * 1000);
      waiting.add(check);
      check();
    });
  }

  // A promise of the arguments of the next such event.
  function next(source, name) {
    let args;
    source.on(name, (...given) => {
      args ||= given;
      notice();
    });
    return until(() => args, () => `the event ${name}`);
  }

  // JSON in which binary, whatever its type, is told apart.
  function show(value) {
    return JSON.stringify(value, function (key) {
      const item = this[key]; // as it was before a Buffer made itself JSON
      if (item instanceof ArrayBuffer) return { binary: Array.from(new Uint8Array(item)) };
      return ArrayBuffer.isView(item) ? { binary: Array.from(item) } : item;
    });
  }

  function assertEqual(found, wanted) {
    if (show(found) !== show(wanted)) throw new Error(`${show(found)} and not ${show(wanted)}`.slice(0, 1000));
  }

  // A promise of the arguments of an answer.
  function request(source, name, ...args) {
    let answer;
    // Old clients look at the function's length to learn whether it wants arguments.
    source[name === "send" ? "send" : "emit"](...(name === "send" ? args : [name, ...args]), (one, two, ...rest) => {
      answer = [one, two, ...rest].filter((value) => value !== undefined);
      notice();
    });
    return until(() => answer, () => `the answer to ${name}`);
  }

  async function assertEchoed(source, ...args) {
    const echoed = next(source, "echoed");
    source.emit("echo", ...args);
    assertEqual(await echoed, args);
  }

  async function join(namespace) {
    const source = peer.of(namespace);
    await next(source, "connect");
    return source;
  }

  async function assertIn(source, namespace) {
    const here = next(source, "here");
    source.emit("where");
    assertEqual(await here, [namespace]);
  }

  async function assertReturned(values) {
    seen.messages.length = 0;
    for (const value of values) {
      peer.send(value);
      await until(() => seen.messages[0] !== undefined || undefined, () => `${show(value)} back`);
      assertEqual(seen.messages.splice(0), [value]);
    }
  }

  function use(fresh) {
    peer = fresh;
    peer.on("connect", () => {
      seen.connects += 1;
      notice();
    });
    peer.on("disconnect", (reason) => {
      seen.disconnects.push(reason);
      notice();
    });
    peer.on("message", (value) => {
      (value && value.told ? seen.told : seen.messages).push(value);
      notice();
    });
    peer.on("told", (word) => {
      seen.told.push(word);
      notice();
    });
    peer.on("number", (number) => {
      seen.numbers.push(number);
      notice();
    });
  }

  function lost(seconds) {
    return until(() => (seen.disconnects.length ? true : undefined), () => "disconnect", seconds);
  }

  const toASCII = (value) => JSON.parse(JSON.stringify(value).replace(/[^\0-\x7f]/g, "?"));

  const lacks = (ability) => options.lacks.includes(ability);

  // Clients before 2.1 know no views of buffers.
  const bytes = (...values) => (options.inNode ? Buffer.from(values) : new Uint8Array(values).buffer);

  globalThis.application = {
    // Make the client: `given` holds its generation, the transport, the address of the server and what it lacks.
    open(given) {
      options = given;
      if (lacks("unicode")) for (const list of [TEXTS, OBJECTS]) list.splice(0, list.length, ...toASCII(list));
      use(drivers[options.generation](options.address, options.transport));
    },

    async connect() {
      await until(() => (seen.connects > 0 ? true : undefined), () => "connect");
      assertEqual([seen.connects, seen.disconnects], [1, []]);
      // "polling-jsonp" and so on are polling, too.
      const [, name] = /^(polling|.*)/.exec(options.transport);
      if (name !== "upgrade") assertEqual(peer.transport(), name);
    },

    // Many messages each way at the same time.
    async order() {
      const numbers = Array.from({ length: MANY }, (_, number) => number);
      const tallied = next(peer, "tallied");
      peer.emit("count", MANY);
      numbers.forEach((number) => peer.emit("tally", number));
      peer.emit("total");
      assertEqual(await tallied, [numbers]);
      await until(() => seen.numbers[MANY - 1], () => `${seen.numbers.length} numbers`);
      assertEqual(seen.numbers, numbers);
    },

    text: () => assertReturned(TEXTS),

    json: () => assertReturned(options.generation < "0.7" ? OBJECTS : [...OBJECTS, ...VALUES]),

    async events() {
      await assertEchoed(peer, ...TEXTS);
      await assertEchoed(peer, ...OBJECTS, ...VALUES, null);
      await assertEchoed(peer);
    },

    async acks() {
      assertEqual(await request(peer, "answer", TEXTS[1], OBJECTS[0]), [TEXTS[1], OBJECTS[0]]);
      assertEqual(await request(peer, "answer"), []);
      assertEqual(await request(peer, "send", "with an answer"), []);
      peer.on("question", (value, answer) => answer(value, "second"));
      const answered = next(peer, "answered");
      peer.emit("ask", OBJECTS[0]);
      assertEqual(await answered, [[OBJECTS[0], "second"]]);
    },

    // Only who is in a room hears what is said there, and it is no longer heard after leaving.
    async rooms() {
      const heard = [];
      peer.on("shouted", (word) => heard.push(word));
      const room = String(Math.random());
      for (const verb of ["", "join", "leave"]) {
        if (verb) {
          peer.emit(verb, room);
          await assertEchoed(peer, verb);
        }
        peer.emit("shout", room, verb);
        await assertEchoed(peer, "shouted");
      }
      assertEqual(heard, ["join"]);
    },

    async namespaces() {
      chat = await join("/chat");
      await assertEchoed(chat, TEXTS[1], OBJECTS[0]);
      await assertIn(chat, "/chat");
      await assertIn(peer, "/");

      const brief = await join("/brief");
      const left = next(brief, "disconnect");
      brief.emit("leaveNamespace");
      await left;
      await assertIn(chat, "/chat");

      assertEqual(seen.disconnects, []);
      if (lacks("refusals")) return;
      const refused = await next(peer.of("/secret"), "refused");
      assertEqual(String((refused[0] && refused[0].message) || refused[0]), REFUSALS[options.generation]);
    },

    async binary() {
      const nested = { one: bytes(0, 1, 254, 255), list: ["text", [bytes()], bytes(4)], text: TEXTS[1] };
      await assertEchoed(peer, bytes(1, 2, 3), "between", nested);
      await assertReturned([nested]);
      if (lacks("binary answers")) return;
      assertEqual(await request(peer, "answer", nested), [nested]);
      peer.on("question", (value, answer) => answer(value, "second"));
      const answered = next(peer, "answered");
      peer.emit("ask", nested);
      assertEqual(await answered, [[nested, "second"]]);
    },

    // The upgrade goes on under the steps before.
    async upgrade() {
      while (peer.transport() !== "websocket") await new Promise((later) => setTimeout(later, 50));
      await assertEchoed(peer, "on the websocket");
    },

    tell(word) {
      peer.emit("tell", word);
    },

    // Wait until all these words were told, each as an event and in a message.
    async heard(words) {
      const found = (word) => seen.told.includes(word) && seen.told.some((value) => value.told === word);
      const missing = () => words.filter((word) => !found(word));
      const described = () => `${show(missing())}, but ${show(seen.told.slice(-9))}`;
      await until(() => (missing().length ? undefined : true), described);
    },

    // Wait until the client has noticed that its connection is gone. Some learn it only when they send.
    async lost() {
      await lost(1).catch(() => {
        peer.emit("void");
        return lost();
      });
      seen.connectsWhenLost = seen.connects;
      // Whatever else is under way fails now, too; old clients take that for a loss of the next connection.
      await new Promise((later) => setTimeout(later, 300));
    },

    async reconnect() {
      const fresh = peer.renew();
      if (fresh) use(fresh);
      await until(() => (seen.connects > seen.connectsWhenLost ? true : undefined), () => "connect");
      await assertEchoed(peer, "here again");
      if (chat && !lacks("rejoining")) await assertEchoed(chat, "here again");
    },

    async disconnect() {
      seen.disconnects.length = 0;
      peer.emit("close");
      await application.lost();
      assertEqual(seen.disconnects[0], REASONS[options.generation]);
    },
  };
})();

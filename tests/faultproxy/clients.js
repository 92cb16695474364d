// Stock clients of all generations, each with an identity, and the log of what they get. Works in a page and in Node.js.
// The log is an array for each line, as `oracle.py` reads it:
//   connect, identity, session, recovered    disconnect, identity, reason    renew, identity
//   got, identity, session, key, whether the text is whole                   said, identity, session, number
//   swallowed, identity, key                 a message that the client has got, and not its application
//   odd, identity, session, text             what is none of the application's messages
"use strict";

(function () {
  // For as long as this a client may try to connect by itself, in milliseconds; then its page would be loaded again.
  const PATIENCE = 12000;

  // Tell the texts of all good answers to polls. A client of 0.6 that begins two at a time drops what the first one brings.
  function watchPolls(answered) {
    const { send } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.send = function (body) {
      this.addEventListener("load", () => body || this.status !== 200 || setTimeout(answered, 0, this.responseText));
      return send.call(this, body);
    };
  }

  // Every client reconnects by itself. `tell` has: connected(recovered), lost(reason), got(value), swallowed(value).
  // Each returns: session() as the client knows it, say(value), close().
  const drivers = {
    0.6(io, { identity, transport, address }, tell) {
      document.cookie = `identity=${identity}; path=/`;
      const seen = new Set();
      if (transport === "xhr-polling") {
        watchPolls((text) => {
          for (const [, k] of text.matchAll(/~m~\d+~m~~j~{"k":"([^"]+)"/g)) if (!seen.has(k)) tell.swallowed({ k });
        });
      }
      const { hostname, port } = new URL(address);
      const socket = new io.Socket(hostname, {
        port,
        transports: [transport],
        connectTimeout: 2000,
        tryTransportsOnConnectTimeout: false,
        rememberTransport: false,
        reconnectionDelay: 50,
        maxReconnectionAttempts: 1e9,
      });
      socket.on("connect", () => {
        // A stream that the client has given up may have a message left, which it takes for the id of its next session.
        const { sessionid } = socket.transport;
        if (sessionid.startsWith("~j~")) tell.swallowed(JSON.parse(sessionid.slice(3)));
        tell.connected(false);
      });
      socket.on("disconnect", () => tell.lost("disconnect"));
      // The frame of a stream that the client has given up may bring more, and the client takes that for its new one's.
      const streams = new Map();
      let current = null;
      if (transport === "htmlfile") {
        const { _ } = socket.transport;
        socket.transport._ = function (data, frame) {
          if (!streams.has(frame)) streams.set(frame, data.replace(/^~m~\d+~m~/, "").slice(0, 27));
          current = streams.get(frame);
          _.call(this, data, frame);
        };
      }
      // The pause doubles each time without a limit of its own.
      socket.on("reconnecting", () => (socket.reconnectionDelay = Math.min(socket.reconnectionDelay, 400)));
      socket.on("message", (value) => {
        seen.add(value.k);
        tell.got(value);
      });
      socket.connect();
      return {
        session: () => current || String(socket.transport.sessionid).slice(0, 40),
        say: (value) => socket.send(value),
        close: () => socket.disconnect(),
      };
    },

    "0.7-0.9"(io, { identity, transport, address }, tell) {
      io.transports = [transport];
      if (!io.heard) {
        // It takes what comes on a transport that it has given up, of an earlier session, for its own.
        io.heard = io.Transport.prototype.onPacket;
        io.Transport.prototype.onPacket = function (packet) {
          io.hearing = this.sessid;
          io.heard.call(this, packet);
          io.hearing = null;
        };
      }
      const socket = io.connect(`${address}?id=${identity}`, {
        "force new connection": true,
        "connect timeout": 2000,
        "try multiple transports": false,
        "reconnection delay": 50,
        "reconnection limit": 400,
        "max reconnection attempts": Infinity,
      });
      socket.on("connect", () => tell.connected(false));
      socket.on("disconnect", tell.lost);
      socket.on("message", tell.got);
      socket.on("told", tell.got);
      socket.on("error", () => undefined);
      let odd = false;
      return {
        session: () => io.hearing || socket.socket.sessionid,
        say: (value) => ((odd = !odd) ? socket.emit("say", value) : socket.json.send(value)),
        close: () => socket.socket.disconnect(),
      };
    },

    modern(io, { identity, transport, address }, tell) {
      const socket = io(address, {
        forceNew: true,
        transports: transport === "upgrade" ? ["polling", "websocket"] : [transport],
        query: { id: identity },
        auth: { id: identity },
        timeout: 2000,
        reconnectionDelay: 50,
        reconnectionDelayMax: 300,
      });
      socket.on("connect", () => tell.connected(Boolean(socket.recovered)));
      socket.on("disconnect", tell.lost);
      // With recovery the server puts an offset behind the arguments.
      socket.on("message", (value) => tell.got(value));
      socket.on("told", (value) => tell.got(value));
      let odd = false;
      return {
        session: () => socket.id,
        say: (value) => ((odd = !odd) ? socket.emit("say", value) : socket.send(value)),
        close: () => socket.close(),
      };
    },
  };
  drivers["1-2"] = drivers["3-4"] = drivers.modern;

  let log = [];
  // In Node.js it can be written at once, for a client that is to be killed.
  const note = globalThis.note || ((...entry) => log.push(entry));
  let speaking = false;
  const clients = [];

  function isWhole({ t, h }) {
    let hash = 0x811c9dc5;
    for (let index = 0; index < t.length; index++) hash = Math.imul(hash ^ t.charCodeAt(index), 0x01000193) >>> 0;
    return hash === h;
  }

  function start(client) {
    const { io, given } = client;
    const { identity } = given;
    // What a driver that was given up still tells is nobody's.
    const life = (client.life = {});
    const ifCurrent = (listener) => (value) => client.life === life && listener(value);
    client.connected = false;
    client.since = Date.now();
    client.driver = drivers[given.generation](io, given, {
      connected(recovered) {
        if (client.life !== life) {
          driver.close(); // it was given up, and comes all the same
          return;
        }
        client.connected = true;
        client.connects += 1;
        note("connect", identity, driver.session(), recovered);
      },
      lost: ifCurrent((reason) => {
        client.connected = false;
        client.since = Date.now();
        note("disconnect", identity, String(reason));
      }),
      swallowed: ifCurrent((value) => note("swallowed", identity, value.k)),
      // Even if it comes to a driver that was given up: somebody has got it.
      got: (value) => {
        const session = driver.session();
        if (value && typeof value.t === "string") note("got", identity, session, value.k, isWhole(value));
        else note("odd", identity, session, JSON.stringify(value).slice(0, 99));
      },
    });
    const { driver } = client;
  }

  function beat() {
    for (const client of clients) {
      const { identity } = client.given;
      if (client.connected && speaking) {
        note("said", identity, client.driver.session(), ++client.said);
        client.driver.say({ n: client.said });
      } else if (!client.connected && Date.now() - client.since > PATIENCE) {
        note("renew", identity);
        client.driver.close();
        start(client);
      }
    }
  }

  globalThis.application = {
    // Make a client: its `identity`, `generation`, `transport` and `address`; and the `release`, in Node.js.
    add(given) {
      const client = { given, io: given.release ? releases[given.release] : io, said: 0, connects: 0 };
      clients.push(client);
      start(client);
    },

    // How many have been connected, and how many are.
    count: () => [clients.filter((each) => each.connects > 0).length, clients.filter((each) => each.connected).length],

    // Let the clients say something, or let them be silent.
    speak(wanted) {
      speaking = wanted;
    },

    // What was logged since the last time.
    take() {
      const taken = log;
      log = [];
      return taken;
    },
  };

  setInterval(beat, 400);
})();

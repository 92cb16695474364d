// One driver for each family of clients: they all give a test the same few verbs, over the `io` of their release.
//   drivers[generation](address, transport) -> peer, which is about to connect
//   peer.on(name, listener)        an event; "message", and of the connection: "connect", "disconnect", "refused"
//   peer.send(value, answer?)      a message
//   peer.emit(name, ...args)       an event; a function at the end takes the answer
//   peer.of(namespace) -> peer     where there are namespaces
//   peer.transport()               the name of the transport that is in use
//   peer.renew() -> peer?          after a lost connection: let it connect if it does not by itself, or make another
// Works in a page and in Node.js.
"use strict";

(function () {
  function listen(listeners, name, listener) {
    (listeners[name] ||= []).push(listener);
  }

  function tell(listeners, name, args) {
    (listeners[name] || []).forEach((listener) => listener(...args));
  }

  // 0.5 and 0.6 have messages alone. What is an event elsewhere is a JSON message {"name": NAME, "args": [ARGS]} here.
  function oldest(address, transport, knowsJSON) {
    // A jsonp transport puts its scripts before the page's first, which may not be one that comes and goes.
    document.body.prepend(document.createElement("script"));
    const { hostname, port } = new URL(address);
    // The timer of a connect is not always stopped, and would end a later connection.
    const socket = new io.Socket(hostname, { port, transports: [transport], connectTimeout: 0 });
    if (!socket.transport || socket.transport.type !== transport) throw new Error("no transport " + transport);
    const listeners = {};
    // Client 0.5 knows no JSON frames, so its applications see and write the prefix themselves.
    const send = (value) => socket.send(knowsJSON || typeof value === "string" ? value : "~j~" + JSON.stringify(value));
    socket.on("message", (frame) => {
      const value = !knowsJSON && frame.startsWith("~j~") ? JSON.parse(frame.slice(3)) : frame;
      if (value && value.name && value.args) tell(listeners, value.name, value.args);
      else tell(listeners, "message", [value]);
    });
    socket.on("disconnect", () => tell(listeners, "disconnect", [undefined]));
    socket.on("connect", () => tell(listeners, "connect", []));
    socket.connect();
    return {
      on: (name, listener) => listen(listeners, name, listener),
      send,
      emit: (name, ...args) => send({ name, args }),
      transport: () => socket.transport.type,
      renew() {
        // A socket of 0.5 can't be connected twice, and the form of jsonp-polling posts to its first session for ever.
        if (!knowsJSON || transport === "jsonp-polling") return oldest(address, transport, knowsJSON);
        if (io.version !== "0.6.3") socket.connect();
      },
    };
  }

  function protocol1(address, transport) {
    // The option `transports` does not select a transport; the list that it is checked against does.
    io.transports = [transport];
    const root = io.connect(address, { "force new connection": true });
    const manager = root.socket;
    const wrap = (socket) => ({
      on(name, listener) {
        if (name !== "refused") return socket.on(name, listener);
        socket.on("connect_failed", listener);
        socket.on("error", listener);
      },
      send: (value, ...answer) => (typeof value === "string" ? socket : socket.json).send(value, ...answer),
      emit: (...args) => socket.emit(...args),
      of: (namespace) => wrap(manager.of(namespace)),
      transport: () => manager.transport.name,
      renew: () => undefined,
    });
    return wrap(root);
  }

  // What the name of a transport in the matrix means in the options of 1.0 and later.
  const OPTIONS = {
    websocket: { transports: ["websocket"] },
    polling: { transports: ["polling"] },
    "polling-base64": { transports: ["polling"], forceBase64: true },
    "polling-jsonp": { transports: ["polling"], forceJSONP: true },
    upgrade: { transports: ["polling", "websocket"] },
  };

  function modern(address, transport, refusal) {
    const options = { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 300, ...OPTIONS[transport] };
    const root = io(address, options);
    const manager = root.io;
    const wrap = (socket) => ({
      on: (name, listener) => socket.on(name === "refused" ? refusal : name, listener),
      send: (...args) => socket.send(...args),
      emit: (...args) => socket.emit(...args),
      of: (namespace) => wrap(manager.socket(namespace)),
      transport: () => manager.engine.transport.name,
      renew: () => undefined,
    });
    return wrap(root);
  }

  globalThis.drivers = {
    0.5: (address, transport) => oldest(address, transport, false),
    0.6: (address, transport) => oldest(address, transport, true),
    "0.7-0.9": protocol1,
    "1-2": (address, transport) => modern(address, transport, "error"),
    "3-4": (address, transport) => modern(address, transport, "connect_error"),
  };
})();

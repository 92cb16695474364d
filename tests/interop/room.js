// The application in the page: chats through the bundle that the page has loaded, and keeps what it hears for the
// test to take. Every function of `application` can be called from Python by name.
"use strict";

(function () {
  const clients = [];
  const waiting = new Set();

  // Client 0.5.3 knows no JSON frames, so its applications see and write the prefix themselves.
  const knowsJSON = io.version !== "0.5.3";

  function fromWire(value) {
    return !knowsJSON && value.startsWith("~j~") ? JSON.parse(value.slice(3)) : value;
  }

  function toWire(value) {
    return !knowsJSON && Object.prototype.toString.call(value) === "[object Object]" ? "~j~" + JSON.stringify(value) : value;
  }

  function hear(client, value) {
    const kind = Object.keys(Object(value)).join();
    if (kind === "message") {
      const [id, text] = value.message;
      (client.heard[id] ||= []).push(text);
    } else if (kind === "announcement") {
      client.announcements.push(value.announcement);
    } else if (kind === "buffer") {
      client.buffers.push(value.buffer);
    } else {
      client.unexpected.push(value);
    }
    waiting.forEach((check) => check());
  }

  // A promise of what `probe` returns once that is not undefined; `describe` tells what there was, should time run out.
  function until(seconds, probe, describe) {
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

  window.application = {
    // Make a socket that knows this one transport, send it `queued` before it connects, connect it; its number.
    open(transport, queued) {
      // A jsonp transport puts its own scripts before what is now the page's first script; that may not be a script of
      // another such transport, for those come and go.
      document.body.prepend(document.createElement("script"));
      const socket = new io.Socket(null, { transports: [transport] });
      if (!socket.transport || socket.transport.type !== transport) throw new Error("no transport " + transport);
      const client = { socket, counts: { connect: 0, disconnect: 0 } };
      Object.assign(client, { heard: {}, announcements: [], buffers: [], unexpected: [] });
      for (const name of ["connect", "disconnect"]) {
        socket.on(name, () => {
          client.counts[name] += 1;
          waiting.forEach((check) => check());
        });
      }
      socket.on("message", (value) => hear(client, fromWire(value)));
      queued.forEach((value) => socket.send(toWire(value)));
      socket.connect();
      return clients.push(client) - 1;
    },

    connect(number) {
      clients[number].socket.connect();
    },

    // Wait until the event has been seen `count` times; the session id of that moment.
    happened(number, name, count, seconds) {
      const { counts, socket } = clients[number];
      return until(
        seconds,
        () => (counts[name] >= count ? String(socket.transport.sessionid) : undefined),
        () => `${name} ${counts[name]} of ${count} times`,
      );
    },

    send(number, values) {
      values.forEach((value) => clients[number].socket.send(toWire(value)));
    },

    // All values in one payload: an array is sent as one frame for each of its elements.
    sendTogether(number, values) {
      clients[number].socket.send(values.map(toWire));
    },

    // Wait until no message is under way to the server. A connection that is lost while one is leaves the client unable
    // to send for ever, even when it has connected again.
    async sent(number) {
      const { transport } = clients[number].socket;
      while (transport.posting || transport._posting) await new Promise((resolve) => setTimeout(resolve, 10));
    },

    // Send text that is no frame at all, the way the transport sends everything.
    sendGarbage(number, text) {
      const { transport } = clients[number].socket;
      const name = "encode" in transport ? "encode" : "_encode";
      transport[name] = () => text;
      transport.send("anything");
      delete transport[name];
    },

    // Wait until `count` messages came from `sender`; take these and no more.
    take(number, sender, count, seconds) {
      const { heard } = clients[number];
      return until(
        seconds,
        () => ((heard[sender] || []).length >= count ? heard[sender].splice(0, count) : undefined),
        () => `${(heard[sender] || []).length} of ${count} messages: ` + JSON.stringify(heard[sender] || []).slice(0, 200),
      );
    },

    // Wait for the messages of before that a new client is told; there must be one such list.
    async buffer(number, seconds) {
      const { buffers } = clients[number];
      await until(seconds, () => buffers[0], () => "no buffer");
      if (buffers.length !== 1) throw new Error(`${buffers.length} buffers`);
      return buffers[0];
    },

    // Wait until the text has been announced.
    announced(number, text, seconds) {
      const { announcements } = clients[number];
      return until(
        seconds,
        () => (announcements.includes(text) ? true : undefined),
        () => `${text} among ${JSON.stringify(announcements)}`,
      );
    },

    // What has come that no test has taken, and how often the socket connected and disconnected.
    remains(number) {
      const { heard, unexpected, counts } = clients[number];
      const left = Object.fromEntries(Object.entries(heard).filter(([, values]) => values.length));
      return { messages: left, unexpected, counts };
    },
  };
})();

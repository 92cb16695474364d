// The same application as `server.py` on Node.js's own server, for comparison.
// Usage: node peer.mjs FOLDER_OF_NODE_MODULES LOG_FILE BEAT_IN_SECONDS RECOVERY; the last is "recovery" or nothing
import { createWriteStream } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [modules, log, beat, recovery] = process.argv.slice(2);
const { Server } = createRequire(join(modules, "any.js"))("socket.io");
const journal = createWriteStream(log);
const write = (...entry) => journal.write(JSON.stringify(entry) + "\n");

const LENGTHS = [3, 40, 200, 1500];
const LARGE = 40000;
// The texts are counted in characters, as `traffic.py` does.
const PATTERN = [..."gr\u00fc\u00df dich \u2665 \u{1f600} ~m~3~m~abc \ufffd \n\\/"];
const texts = [...LENGTHS, LARGE].map((length) => {
  const text = Array.from({ length }, (_, index) => PATTERN[index % PATTERN.length]).join("");
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  return { t: text, h: hash };
});

const numbers = new Map();
let beats = 0;

function message(scope) {
  const number = (numbers.get(scope) || 0) + 1;
  numbers.set(scope, number);
  return { k: `${scope}:${number}`, ...texts[number % 101 === 50 ? LENGTHS.length : number % LENGTHS.length] };
}

const http = createServer();
const io = new Server(http, {
  allowEIO3: true,
  cors: { origin: "*" },
  pingInterval: 1000,
  pingTimeout: 1000,
  connectTimeout: 3000,
  upgradeTimeout: 2000,
  ...(recovery && { connectionStateRecovery: { maxDisconnectionDuration: 6000, skipMiddlewares: true } }),
});
const present = new Map();
const inRoom = (identity) => Number(identity.split("-").pop()) % 2 === 1;

io.on("connection", (socket) => {
  const identity = socket.handshake.auth.id || socket.handshake.query.id;
  present.set(identity, socket);
  write("open", identity, socket.id, socket.recovered);
  if (inRoom(identity)) socket.join("odd");
  const heard = (value) => write("heard", identity, socket.id, value.n);
  socket.on("say", heard);
  socket.on("message", heard);
  socket.on("disconnect", (reason) => {
    if (present.get(identity) === socket) present.delete(identity);
    write("end", identity, socket.id, reason);
  });
});

function tellAll(scope, channel, wanted) {
  const value = message(scope);
  write("told", value.k);
  for (const [identity, socket] of present) if (wanted(identity)) write("accepted", identity, socket.id, value.k);
  channel.emit("message", value);
}

const beating = setInterval(() => {
  beats += 1;
  for (const [identity, socket] of present) {
    const count = (beats + identity.length + (numbers.get(identity) || 0)) % 23 === 0 ? 12 : 1;
    for (let number = 0; number < count; number++) {
      const value = message(identity);
      write("accepted", identity, socket.id, value.k);
      socket.emit((number + beats) % 2 ? "message" : "told", value);
    }
  }
  if (beats % 8 === 0) tellAll("*", io, () => true);
  if (beats % 8 === 4) tellAll("odd", io.to("odd"), inRoom);
}, beat * 1000);

createInterface({ input: process.stdin })
  .on("line", () => clearInterval(beating))
  .on("close", () => {
    write("statistics", {});
    journal.end(() => process.exit());
  });
http.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${http.address().port}/`));

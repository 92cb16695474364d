// Node's server: node node.mjs MODULES PORT
import { createRequire } from "node:module";

const [modules, port] = process.argv.slice(2);
const { Server } = createRequire(`${modules}/`)("socket.io");
const io = new Server({ serveClient: false, perMessageDeflate: false });
io.on("connection", (socket) => {
  socket.on("echo", (value) => socket.emit("echo", value));
  socket.on("bcast", (value) => io.emit("bcast", value));
});
io.listen(Number(port));

// Stock clients as Node.js loads them, many in one process; commands and answers are those of `node.mjs`.
// Usage: node clients.mjs JSON [LOG_FILE]; JSON holds the folder of node modules of each release
import { openSync, readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runInThisContext } from "node:vm";

globalThis.releases = {};
for (const [release, modules] of Object.entries(JSON.parse(process.argv[2]))) {
  globalThis.releases[release] = createRequire(join(modules, "any.js"))("socket.io-client");
}
if (process.argv[3]) {
  const file = openSync(process.argv[3], "w");
  globalThis.note = (...entry) => writeSync(file, JSON.stringify(entry) + "\n");
}
runInThisContext(readFileSync(new URL("clients.js", import.meta.url), "utf8"), { filename: "clients.js" });

// A client that throws is a finding, and no reason to stop the others.
process.on("uncaughtException", (error) => process.stderr.write(String(error.stack || error) + "\n"));

function obey({ id, arguments: { name, values } }) {
  process.stdout.write(JSON.stringify({ id, result: globalThis.application[name](...values) ?? null }) + "\n");
}

process.stdout.write(JSON.stringify({ id: 0, result: process.version }) + "\n");
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

// A client as Node.js loads it, for the Python tests: it does what `drivers.js` and `scenario.js` have, by commands on
// standard input and answers on standard output, as `browser.mjs` does.
// Usage: node node.mjs FOLDER_OF_NODE_MODULES
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runInThisContext } from "node:vm";

globalThis.io = createRequire(join(process.argv[2], "any.js"))("socket.io-client");
for (const name of ["drivers.js", "scenario.js"]) {
  runInThisContext(readFileSync(new URL(name, import.meta.url), "utf8"), { filename: name });
}

async function obey({ id, arguments: { name, values } }) {
  let answer;
  try {
    answer = { id, result: (await globalThis.application[name](...values)) ?? null };
  } catch (error) {
    answer = { id, error: String(error.message || error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}

process.stdout.write(JSON.stringify({ id: 0, result: process.version }) + "\n");
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

// Drives one Chromium for the Python tests. Commands come as lines of JSON on standard input, answers go as lines of
// JSON to standard output, each with the number of its command:
//   {"id": 1, "command": "open", "arguments": {...}}  ->  {"id": 1, "result": ...} or {"id": 1, "error": "..."}
// Usage: node browser.mjs FOLDER_OF_NODE_MODULES CHROMIUM
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [modules, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "any.js"))("playwright-core");

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
args.push("--disable-background-networking", "--disable-component-update", "--disable-sync");
const browser = await chromium.launch({ executablePath, headless: true, args });

const script = (name) => `<script>${readFileSync(new URL(name, import.meta.url), "utf8")}</script>`;
const shims = script("shims.js");
const room = script("room.js");
const pages = new Map();
let count = 0;

const commands = {
  // Load a page of the server's own origin that has the bundle; the old clients find the server by the page's address.
  async open({ address, bundle, shim }) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error.stack || error)));
    // The server has no such page, but what it answers has the right origin, and came over the loopback interface:
    // to a page that did not, Chromium denies websockets to this machine.
    await page.goto(new URL("/interop", address).href);
    const install = shim ? `<script>shims[${JSON.stringify(shim)}]();</script>` : "";
    await page.setContent(
      `<!DOCTYPE html><title>interop</title><body>${shims}${install}<script src="${bundle}"></script>${room}`,
    );
    pages.set(++count, { context, page, errors });
    return { page: count, version: await page.evaluate("io.version") };
  },

  call({ page, name, values }) {
    return pages.get(page).page.evaluate(([name, values]) => window.room[name](...values), [name, values]);
  },

  async close({ page }) {
    const { context, errors } = pages.get(page);
    pages.delete(page);
    await context.close();
    return errors;
  },
};

async function obey({ id, command, arguments: values }) {
  let answer;
  try {
    answer = { id, result: (await commands[command](values)) ?? null };
  } catch (error) {
    answer = { id, error: String(error.message || error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}

process.stdout.write(JSON.stringify({ id: 0, result: browser.version() }) + "\n");
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => browser.close());

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

  // Load the server's own page in a window of this size. On its record come all the URLs it asks for; an error is
  // whatever it says on the console, a request to another host, and what is thrown.
  async visit({ address, width, height }) {
    const context = await browser.newContext({ viewport: { width, height }, reducedMotion: "reduce" });
    const page = await context.newPage();
    const errors = [];
    const requests = [];
    const requested = (url) => {
      requests.push(url);
      if (new URL(url).host !== new URL(address).host) errors.push(`a request to ${url}`);
    };
    page.on("pageerror", (error) => errors.push(String(error.stack || error)));
    page.on("console", (message) => errors.push(`${message.type()}: ${message.text()} (${message.location().url})`));
    page.on("request", (request) => requested(request.url()));
    page.on("websocket", (socket) => requested(socket.url()));
    await page.goto(address);
    pages.set(++count, { context, page, errors, requests });
    return count;
  },

  requests({ page }) {
    return pages.get(page).requests;
  },

  // Wait until the elements that are shown have these texts, as a reader sees them, and no others are there.
  async shows({ page, selector, texts, seconds }) {
    const differs = await pages.get(page).page.evaluate(showing, [selector, texts, seconds]);
    if (differs !== null) throw new Error(`${selector} shows ${differs} and not ${JSON.stringify(texts)}`);
  },

  texts({ page, selector }) {
    return pages.get(page).page.locator(selector).allInnerTexts();
  },

  async click({ page, selector }) {
    await pages.get(page).page.locator(selector).click();
  },

  // Click into a field, and put a text in the place of what it holds, with Shift+Enter between lines.
  async write({ page, selector, text }) {
    await pages.get(page).page.locator(selector).click();
    const { keyboard } = pages.get(page).page;
    await keyboard.press("Control+A");
    for (const [index, line] of text.split("\n").entries()) {
      if (index > 0) await keyboard.press("Shift+Enter");
      await keyboard.insertText(line);
    }
  },

  async press({ page, selector, key }) {
    await pages.get(page).page.locator(selector).press(key);
  },

  // Scroll an element to its top with the keyboard, and wait until it is there.
  async toTop({ page, selector }) {
    const element = pages.get(page).page.locator(selector);
    const there = element.evaluate(
      (scrolled) => new Promise((end) => scrolled.addEventListener("scrollend", () => end(), { once: true })),
    );
    await element.press("Home");
    await there;
  },

  box({ page, selector }) {
    return pages.get(page).page.locator(selector).boundingBox();
  },

  cutOff({ page }) {
    return pages.get(page).page.evaluate(cutOff);
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

// In the page: null once the texts are there, or what there was when time ran out.
async function showing([selector, texts, seconds]) {
  const wanted = JSON.stringify(texts);
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const shown = [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());
    const found = JSON.stringify(shown.map((element) => element.innerText));
    if (found === wanted) return null;
    if (performance.now() > end) return found;
    await new Promise((later) => setTimeout(later, 20));
  }
}

// In the page: all that its window does not show whole. The log may go on above and below, but not to a side.
function cutOff() {
  const found = [];
  const { scrollWidth, scrollHeight } = document.documentElement;
  if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push(`page: ${scrollWidth} x ${scrollHeight}`);
  for (const element of document.querySelectorAll("body *")) {
    // What is there for screen readers alone is clipped away.
    const clipped = [element, element.parentElement].some((each) => getComputedStyle(each).clipPath !== "none");
    if (clipped || !element.checkVisibility()) continue;
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const outside = left < 0 || right > innerWidth || (!element.closest("#log") && (top < 0 || bottom > innerHeight));
    if (outside || (element.clientWidth > 0 && element.scrollWidth > element.clientWidth)) {
      found.push(`${element.tagName} ${element.id} ${element.className}: ${[left, right, top, bottom]}`);
    }
  }
  return found;
}

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

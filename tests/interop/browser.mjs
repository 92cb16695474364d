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
const pages = new Map();
let count = 0;

const commands = {
  // Load a page of the server's own origin that has the bundle and these scripts of this folder; the old clients find
  // the server by the page's address.
  async open({ address, bundle, scripts, shim }) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error.stack || error)));
    // The server has no such page, but what it answers has the right origin, and came over the loopback interface:
    // to a page that did not, Chromium denies websockets to this machine.
    await page.goto(new URL("/interop", address).href);
    const install = shim ? `<script>shims[${JSON.stringify(shim)}]();</script>` : "";
    await page.setContent(
      `<!DOCTYPE html><title>interop</title><body>${shims}${install}<script src="${bundle}"></script>${scripts.map(script).join("")}`,
    );
    pages.set(++count, { context, page, errors });
    return { page: count, version: (await page.evaluate("io.version")) ?? null };
  },

  // Load the server's own page in a window of this size. On its record come all the URLs it asks for; an error is
  // whatever it says on the console, a request to another host, and what is thrown. `webSockets` is what becomes of
  // those that the page opens: "served", "held" until `release`, or "refused"; a poll takes `delay` milliseconds longer.
  async visit({ address, width, height, webSockets, delay }) {
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
    const release = await restrain(page, webSockets, delay);
    await page.goto(address);
    pages.set(++count, { context, page, errors, requests, release });
    return count;
  },

  release({ page }) {
    pages.get(page).release();
  },

  // Show the page as to someone with these preferences: `colorScheme`, `forcedColors`.
  async emulate({ page, media }) {
    await pages.get(page).page.emulateMedia(media);
  },

  // Describe the page as a screen reader would.
  spoken({ page }) {
    return pages.get(page).page.locator("body").ariaSnapshot();
  },

  // Press Tab; the answer names what has the focus then.
  async tab({ page }) {
    await pages.get(page).page.keyboard.press("Tab");
    return pages.get(page).page.evaluate("document.activeElement.id || document.activeElement.innerText");
  },

  async reload({ page }) {
    await pages.get(page).page.reload();
  },

  // The computed value of a property of the first such element.
  style({ page, selector, property }) {
    const value = (element, property) => getComputedStyle(element).getPropertyValue(property);
    return pages.get(page).page.locator(selector).first().evaluate(value, property);
  },

  faint({ page }) {
    return pages.get(page).page.evaluate(faint);
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
    return pages.get(page).page.evaluate(([name, values]) => window.application[name](...values), [name, values]);
  },

  async close({ page }) {
    const { context, errors } = pages.get(page);
    pages.delete(page);
    await context.close();
    return errors;
  },
};

// Let the page's websockets pass only as `webSockets` says, and its polls after a delay; the answer lets the former pass.
async function restrain(page, webSockets, delay) {
  if (delay > 0) {
    await page.route(/transport=polling/, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, delay));
      await route.continue().catch(() => {}); // it may have been given up meanwhile
    });
  }
  let release;
  const released = new Promise((resolve) => (release = resolve));
  if (webSockets === "held") {
    await page.routeWebSocket(/./, async (socket) => {
      await released;
      socket.connectToServer();
    });
  } else if (webSockets === "refused") {
    await page.routeWebSocket(/./, (socket) => socket.close());
  }
  return release;
}

// In the page: all text that is shown with less contrast than WCAG 2 asks for at level AA. Colours behind a text are
// those of its ancestors, the nearest that is not transparent; nothing here has pictures behind text.
function faint() {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => {
    const [red, green, blue] = parts(color)
      .slice(0, 3)
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const { backgroundColor } = getComputedStyle(each);
      if (parts(backgroundColor)[3] === 255) return backgroundColor;
    }
    return "white";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
    if (!own || !element.checkVisibility() || element.matches(":disabled, noscript *, .unseen")) continue;
    const [dark, light] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.id} ${element.className}: ${ratio.toFixed(2)}`);
  }
  return found;
}

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

// In the page: all that its window does not show whole. What scrolls may go on above and below, but not to a side, and
// a text in one line may end in dots.
function cutOff() {
  const found = [];
  const { scrollWidth, scrollHeight } = document.documentElement;
  if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push(`page: ${scrollWidth} x ${scrollHeight}`);
  for (const element of document.querySelectorAll("body *")) {
    // What is there for screen readers alone is clipped away.
    const clipped = [element, element.parentElement].some((each) => getComputedStyle(each).clipPath !== "none");
    if (clipped || !element.checkVisibility()) continue;
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const outside = left < 0 || right > innerWidth || (!element.closest("#log, .scrolls") && (top < 0 || bottom > innerHeight));
    const dots = getComputedStyle(element).textOverflow === "ellipsis";
    if (outside || (!dots && element.clientWidth > 0 && element.scrollWidth > element.clientWidth)) {
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

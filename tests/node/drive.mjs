// Drives the page in Chromium: node drive.mjs URL FOLDER STEPS, where STEPS is a JSON array of
// [action, ...arguments]. Prints one JSON line with what `read` steps found; fails at the first step
// that does not come true in time, naming it. Errors of the page's own scripts fail it too.
import { chromium } from "playwright-core";

const [url, folder, stepsText] = process.argv.slice(2);
const TIMEOUT_MS = 20000;
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await (await browser.newContext({ viewport: sizes.desktop })).newPage();
page.setDefaultTimeout(TIMEOUT_MS);
const problems = [];
page.on("pageerror", (error) => problems.push(`script error: ${error.message}`));
page.on("console", (message) => {
  const text = message.text();
  // A status that is not 2xx is logged by the browser itself; the page shows those.
  if (message.type() === "error" && !text.startsWith("Failed to load resource")) problems.push(`console: ${text}`);
});

const found = [];
const actions = {
  open: (path) => page.goto(new URL(path, url).href),
  size: (name) => page.setViewportSize(sizes[name]),
  dark: (on) => page.emulateMedia({ colorScheme: on ? "dark" : "light" }),
  see: (selector, text) => page.locator(selector, text ? { hasText: text } : {}).first().waitFor({ state: "visible" }),
  gone: (selector) => page.locator(selector).first().waitFor({ state: "detached" }),
  hidden: (selector) => page.locator(selector).first().waitFor({ state: "hidden" }),
  click: (selector) => page.locator(selector).first().click(),
  fill: (selector, value) => page.locator(selector).first().fill(value),
  press: (key) => page.keyboard.press(key),
  slide: (selector, value) => page.locator(selector).first().evaluate((input, to) => {
    input.value = to;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, value),
  read: async (selector) => found.push(await page.locator(selector).first().innerText()),
  count: async (selector) => found.push(await page.locator(selector).count()),
  wide: async () => found.push(await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)),
  wait: (ms) => page.waitForTimeout(ms),
  shot: (name) => page.screenshot({ path: `${folder}/${name}.png`, fullPage: true }),
};

let failed = null;
for (const [action, ...rest] of JSON.parse(stepsText)) {
  try {
    await actions[action](...rest);
  } catch (error) {
    failed = `${action} ${JSON.stringify(rest)}: ${error.message.split("\n")[0]}`;
    await page.screenshot({ path: `${folder}/failed.png`, fullPage: true }).catch(() => {});
    break;
  }
}
await browser.close();
console.log(JSON.stringify({ found, failed, problems }));

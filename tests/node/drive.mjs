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

// What cannot be read by its contrast (WCAG 2.1, 1.4.3: 4.5, or 3 for large text) on the page as it is.
function poorContrast() {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1,
  });
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const backOf = (element) => {
    const own = rgba(getComputedStyle(element).backgroundColor);
    const below = element.parentElement ? () => backOf(element.parentElement) : () => ({ r: 255, g: 255, b: 255, a: 1 });
    return own.a === 1 ? own : over(own, below());
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(":disabled, script")) continue;
    const style = getComputedStyle(element);
    const back = backOf(element);
    const [light, dark] = [luminance(over(rgba(style.color), back)), luminance(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    looked++;
    if ((light + 0.05) / (dark + 0.05) < wanted) poor.push(`${texts.currentNode.textContent.trim()} ${style.color}`);
  }
  return { looked, poor };
}

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
  select: (selector, value) => page.locator(selector).first().selectOption(value),
  type: (text) => page.keyboard.type(text),
  press: (key) => page.keyboard.press(key),
  slide: (selector, value) => page.locator(selector).first().evaluate((input, to) => {
    input.value = to;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, value),
  read: async (selector) => found.push(await page.locator(selector).first().innerText()),
  focused: async () => found.push(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim())),
  focus: (selector) => page.locator(selector).first().focus(),
  contrast: async () => found.push(await page.evaluate(poorContrast)),
  // As somebody else does it, meanwhile.
  request: async (method, path, body) => {
    const answer = await fetch(new URL(path, url), { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    found.push(answer.status);
  },
  // The daemon, as it may fail.
  break: (method, where) => page.route(where, (route) => (route.request().method() === method ? route.abort() : route.continue())),
  mend: () => page.unrouteAll(),
  title: async () => found.push(await page.title()),
  value: async (selector) => found.push(await page.locator(selector).first().inputValue()),
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

// Flags: a switch, a percentage, a way to turn it off at once; every change has a reason.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { element, number, ago } from "./show.js";

const path = (flag) => `/v1/flags/${encodeURIComponent(flag.name)}`;

function origin(flag) {
  const words = [];
  if (flag.killed) words.push("killed");
  if (flag.override) words.push(`changed by ${flag.override.who} ${ago(flag.override.when)}: ${flag.override.why}`);
  else words.push("as in the file");
  if (flag.owner) words.push(`owner ${flag.owner}`);
  if (flag.stale) words.push("at 100 % for long: it can be removed");
  return words.join("; ");
}

async function whoIsAffected(flag, percentage) {
  try {
    const preview = await call("GET", `${path(flag)}/preview?rollout_percentage=${percentage}`);
    return ` Of ${number(preview.sampled)} sample users ${number(preview.on_now)} are on now, ${number(preview.on_then)} will be.`;
  } catch {
    return "";
  }
}

async function decide(flag, question, refresh) {
  const done = await ask(question).catch((error) => toast(error.message));
  if (done) toast(`${flag.name} is changed.`);
  await refresh(); // in any case: the switch must show what is true
}

function setSwitch(flag, enabled, refresh) {
  return decide(flag, {
    title: `Turn ${flag.name} ${enabled ? "on" : "off"}?`,
    text: enabled ? `Its rules decide again; ${number(flag.rollout_percentage, 3).replace(/\.?0+$/, "")} % by percentage.` : "Everybody gets the answer from PostgreSQL.",
    ok: enabled ? "Turn on" : "Turn off", danger: !enabled,
    perform: ({ why }) => call("PATCH", path(flag), { version: flag.version, enabled, why }),
  }, refresh);
}

async function setPercentage(flag, percentage, refresh) {
  const affected = await whoIsAffected(flag, percentage);
  return decide(flag, {
    title: `${flag.name}: ${percentage} % of users`, text: `From ${flag.rollout_percentage} % to ${percentage} %.${affected}`, ok: "Set it",
    perform: ({ why }) => call("PATCH", path(flag), { version: flag.version, rollout_percentage: percentage, why }),
  }, refresh);
}

function makeRow(flag, refresh) {
  const on = element("input", { type: "checkbox", role: "switch", class: "switch", "aria-label": `${flag.name} enabled`, checked: flag.enabled && !flag.killed });
  const slider = element("input", { type: "range", min: "0", max: "100", step: "1", value: String(flag.rollout_percentage), "aria-label": `Percentage of ${flag.name}` });
  const shown = element("output", {}, `${flag.rollout_percentage} %`);
  const kill = element("button", { type: "button", class: "danger" }, flag.killed ? "Killed" : "Kill");
  const reset = element("button", { type: "button", hidden: !flag.override && !flag.killed }, "Back to the file");
  kill.disabled = flag.killed;
  on.addEventListener("change", () => setSwitch(flag, on.checked, refresh));
  slider.addEventListener("input", () => { shown.textContent = `${slider.value} %`; });
  slider.addEventListener("change", () => setPercentage(flag, Number(slider.value), refresh));
  kill.addEventListener("click", () => decide(flag, {
    title: `Kill ${flag.name}?`, text: "It is off for everybody within a second, whatever its rules say, until somebody resets it.", ok: "Kill", danger: true,
    perform: ({ why }) => call("POST", `${path(flag)}/off`, { why }),
  }, refresh));
  reset.addEventListener("click", () => decide(flag, {
    title: `Reset ${flag.name}?`, text: "Forgets what was changed at run time; the file decides again.", ok: "Reset",
    perform: ({ why }) => call("POST", `${path(flag)}/reset`, { why }),
  }, refresh));
  return element("div", { class: "row flag", "data-flag": flag.name },
    element("div", {}, element("div", { class: "head" }, on, element("h3", {}, flag.name)), element("p", {}, origin(flag))),
    element("div", { class: "slide" }, slider, shown),
    element("div", { class: "buttons" }, reset, kill));
}

export function showFlags(flags, refresh) {
  document.getElementById("no-flags").hidden = flags.length > 0;
  document.getElementById("flag-list").replaceChildren(...flags.map((flag) => makeRow(flag, refresh)));
}

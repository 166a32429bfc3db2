// Flags: a switch, a percentage, a way to turn it off at once; every change has a reason.
import { call } from "./api.js";
import { unconfirmed } from "./back.js";
import { ask, toast } from "./dialogs.js";
import { element, number, ago, mayChange, replaceRows } from "./show.js";

const path = (flag) => `/v1/flags/${encodeURIComponent(flag.name)}`;

function origin(flag) {
  const words = [];
  if (flag.killed) words.push("killed");
  if (flag.override) words.push(`changed by ${flag.override.who} ${ago(flag.override.when)}: ${flag.override.why}`);
  else words.push("as in the file");
  if (flag.owner) words.push(`owner ${flag.owner}`);
  if (flag.expired) words.push("expired: decide what becomes of it");
  if (flag.stale) words.push("at 100 % for long: it can be removed");
  const { on, off } = flag.evaluations;
  words.push(on + off ? `asked ${number(on + off)} times here, ${number(on)} on` : "not asked here yet");
  return words.join("; ");
}

// Rules and targeting have no one percentage.
export const percentOf = (flag) => (flag.rollout_percentage === null ? "by rules" : `${flag.rollout_percentage} %`);

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
  await refresh(); // in any case: the switch must show what is true
  if (!done) return;
  const late = await unconfirmed().catch((error) => error.message);
  toast(`${flag.name} is changed.${late && ` ${late}`}`);
}

function setSwitch(flag, enabled, refresh) {
  return decide(flag, {
    title: `Turn ${flag.name} ${enabled ? "on" : "off"}?`,
    text: enabled ? `Its rules decide again (${percentOf(flag)}).` : "Everybody gets the answer from PostgreSQL.",
    ok: enabled ? "Turn on" : "Turn off", danger: !enabled,
    perform: ({ why }) => call("PATCH", path(flag), { version: flag.version, enabled, why }),
  }, refresh);
}

async function setPercentage(flag, percentage, refresh) {
  const describe = async (to) => `From ${flag.rollout_percentage} % to ${to} %.${await whoIsAffected(flag, to)}`;
  return decide(flag, {
    title: `${flag.name}: percentage of users`, text: await describe(percentage), ok: "Set it",
    number: { name: "Percentage", value: percentage, max: 100, step: "any", describe },
    perform: ({ why, number: to }) => call("PATCH", path(flag), { version: flag.version, rollout_percentage: to, why }),
  }, refresh);
}

function makeRow(flag, refresh) {
  const on = element("input", { type: "checkbox", role: "switch", class: "switch", "aria-label": `${flag.name} enabled`, checked: flag.enabled && !flag.killed });
  const slider = element("input", { type: "range", min: "0", max: "100", step: "1", value: String(flag.rollout_percentage ?? 0), hidden: flag.rollout_percentage === null, "aria-label": `Percentage of ${flag.name}` });
  const shown = element("output", {}, percentOf(flag));
  const kill = element("button", { type: "button", class: "danger change" }, flag.killed ? "Killed" : "Kill");
  const reset = element("button", { type: "button", class: "change", hidden: !flag.override && !flag.killed }, "Back to the file");
  for (const control of [on, slider, kill]) control.disabled = flag.killed || !mayChange(); // killed: until it is reset
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

const FILTER_FROM = 8;

// `problem`: why the file is not in force; null: it is.
export function showFlags(flags, problem, refresh) {
  const list = document.getElementById("flag-list");
  const filter = document.getElementById("flag-filter");
  const place = document.getElementById("flags-problem");
  document.getElementById("no-flags").hidden = flags.length > 0;
  document.getElementById("flag-filter-label").hidden = flags.length < FILTER_FROM;
  place.hidden = !problem;
  place.textContent = problem ? `These are the flags of the last good file. ${problem}` : "";
  const draw = () => {
    if (list.querySelector("input[type=range]:active")) return; // somebody is pulling it, and decides then
    const wanted = filter.value.trim().toLowerCase();
    replaceRows(list, flags.filter((flag) => flag.name.toLowerCase().includes(wanted)).map((flag) => makeRow(flag, refresh)));
  };
  filter.oninput = draw;
  draw();
}

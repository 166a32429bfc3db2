// Who answers: each module's settings and where they come from, a way to change them, and what was measured.
import { call } from "./api.js";
import { unconfirmed } from "./back.js";
import { ask, toast } from "./dialogs.js";
import { percentOf } from "./flags.js";
import { element, number, ago, duration } from "./show.js";

const byId = (id) => document.getElementById(id);
const cards = new Map(); // by module: made once, so that focus stays where it is
const reads = {
  sql: "PostgreSQL answers all reads.", shadow: "PostgreSQL answers all reads; a sample is asked of MongoDB too, and compared.",
  flag: "The flag decides who answers each read; the other side is asked for a sample, and compared.", mongodb: "MongoDB answers all reads, whatever the flag says.",
};
const writes = {
  sql: "Writes go to PostgreSQL.", both: "Operations write to PostgreSQL, then to MongoDB; routes to PostgreSQL's service.", mongodb: "Writes go to MongoDB alone.",
};
const stages = { off: ["sql", "sql"], dualwrite: ["sql", "both"], shadow: ["shadow", "both"], live: ["flag", "both"], rampdown: ["mongodb", "both"], complete: ["mongodb", "mongodb"] };

// ---- what was measured ----

export function share({ sql, mongodb }) {
  const all = sql + mongodb;
  if (!all) return null;
  const percent = (100 * mongodb) / all;
  if (mongodb && percent < 1) return "less than 1 %";
  return sql && percent > 99 ? "more than 99 %" : `${number(percent)} %`;
}

function shareWords(answered, minutes) {
  const words = share(answered);
  if (!words) return `no reads in ${minutes} minutes`;
  return `${words} by MongoDB, of ${number(answered.sql + answered.mongodb)} reads`;
}

function bar(answered) {
  const all = answered.sql + answered.mongodb;
  return element("progress", { max: String(all || 1), value: String(answered.mongodb), "aria-hidden": "true", "data-empty": all ? null : "yes" });
}

const total = (module) => [...module.routes, ...module.operations].reduce((sum, { answered }) => ({
  sql: sum.sql + answered.sql, mongodb: sum.mongodb + answered.mongodb, rescued: sum.rescued + answered.rescued,
}), { sql: 0, mongodb: 0, rescued: 0 });

// ---- a change ----

function select(name, label, options, value) {
  const made = element("select", { name }, ...options.map(([key, words]) => element("option", { value: key, selected: key === value }, words)));
  return element("label", {}, label, made);
}

function makeFields(module) {
  const { set, configured } = module;
  const fields = [
    select("stage", "Stage (sets both)", [["", "as below"], ...Object.entries(stages).map(([name, both]) => [name, `${name}: reads ${both[0]}, writes ${both[1]}`])], module.stage ?? ""),
    select("reads", "Reads", [["auto", `auto (configured: ${configured.reads})`], ...Object.keys(reads).map((one) => [one, one])], set.reads ?? "auto"),
    select("writes", "Writes", [["auto", `auto (configured: ${configured.writes})`], ...Object.keys(writes).map((one) => [one, one])], set.writes ?? "auto"),
    select("fallback", "PostgreSQL answers where MongoDB fails", [["on", "on, as each route says"], ["off", "off, for all routes"]], module.fallback ? "on" : "off"),
  ];
  const [stage, toRead, toWrite] = fields.map((field) => field.querySelector("select"));
  stage.addEventListener("change", () => { if (stage.value) [toRead.value, toWrite.value] = stages[stage.value]; });
  for (const one of [toRead, toWrite]) one.addEventListener("change", () => { stage.value = Object.keys(stages).find((name) => stages[name].join() === [toRead.value, toWrite.value].join()) ?? ""; });
  return fields;
}

// Only what somebody has changed is sent: what is not named stays as it is.
function difference(module, { reads: toRead, writes: toWrite, fallback }) {
  const changed = {};
  if (toRead !== (module.set.reads ?? "auto")) changed.reads = toRead;
  if (toWrite !== (module.set.writes ?? "auto")) changed.writes = toWrite;
  if ((fallback === "on") !== module.fallback) changed.fallback = fallback === "on";
  return changed;
}

async function change(module) {
  const done = await ask({
    title: `Who answers ${module.module}`, ok: "Change it", fields: makeFields(module),
    text: "In force in all workers of the gateway within a second. By hand wins until it is set to auto again.",
    perform: async ({ why, fields }) => {
      const changed = difference(module, fields);
      if (!Object.keys(changed).length) throw new Error("Nothing is changed.");
      await call("PATCH", `/v1/routing/${encodeURIComponent(module.module)}`, { why, version: module.version, ...changed });
    },
  }).catch((error) => toast(error.message));
  await refreshRouting().catch((error) => toast(error.message));
  if (!done) return;
  const late = await unconfirmed().catch((error) => error.message);
  toast(`${module.module} is changed.${late && ` ${late}`}`);
}

// ---- cards ----

function origin({ set, configured, changed, fallback }) {
  const one = (name, value, from) => `${name}: ${value ? `${value}, by hand` : from === "auto" ? "by the phase" : `${from}, as configured`}`;
  const words = [one("Reads", set.reads, configured.reads), one("writes", set.writes, configured.writes), fallback ? "fallback: on" : "fallback: off, by hand"];
  const sentence = `${words.join("; ")}.`;
  return changed ? `${sentence} Last changed by ${changed.who} ${ago(changed.when)}: ${changed.why}` : sentence;
}

function target(name, cells, answered, minutes) {
  return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(([label, text]) => element("td", { "data-label": label }, text)),
    element("td", { "data-label": "Answered", class: "share" }, bar(answered), shareWords(answered, minutes)), element("td", { "data-label": "Rescued" }, number(answered.rescued)));
}

function makeTable(module, minutes) {
  const rows = [
    ...module.routes.map((one) => target(one.prefix, [["PostgreSQL", one.sql], ["MongoDB", one.mongodb], ["Fallback", one.fallback && module.fallback ? "on" : "off"]], one.answered, minutes)),
    ...module.operations.map((one) => target(one.name, [["PostgreSQL", "operation"], ["MongoDB", "operation"], ["Fallback", one.fallback && module.fallback ? "on" : "off"]], one.answered, minutes)),
  ];
  if (!rows.length) return element("p", { class: "empty" }, "No routes and no operations: its reads do not pass through Banyan, and what is set here is for those who ask.");
  const heads = ["Route or operation", "PostgreSQL", "MongoDB", "Fallback", `Last ${minutes} minutes`, "Rescued"];
  return element("div", { class: "scroll" }, element("table", { class: "figures" }, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, ...rows)));
}

function makeCard(name) {
  const made = {
    badge: element("span", { class: "badge" }), words: element("p"), share: element("p", { class: "big" }), origin: element("p", { class: "quiet" }),
    table: element("div"), change: element("button", { type: "button", class: "change" }, "Change…"),
  };
  made.change.setAttribute("aria-label", `Change who answers ${name}`);
  made.change.addEventListener("click", () => change(made.module));
  made.item = element("article", { class: "card", "data-routing": name }, element("div", { class: "head" }, element("h3", {}, name), made.badge), made.share, made.words, made.origin, made.table,
    element("p", { class: "buttons" }, made.change));
  return made;
}

function flagWords(flag) {
  if (!flag) return "The flag";
  const state = flag.killed ? "killed" : flag.enabled ? `on, ${percentOf(flag)} and who is listed` : "off";
  return `The flag ${flag.name} (${state})`;
}

function update(card, module, minutes, flags) {
  const sum = total(module);
  const words = share(sum);
  card.module = module;
  card.badge.textContent = module.stage ? `stage ${module.stage}` : `reads ${module.reads}, writes ${module.writes}`;
  card.share.hidden = !module.routes.length && !module.operations.length;
  card.share.textContent = words ? `${words[0].toUpperCase()}${words.slice(1)} of ${module.module} reads answered by MongoDB` : `No reads of ${module.module} in the last ${minutes} minutes`;
  card.words.textContent = `${reads[module.reads].replace("The flag", flagWords(flags.get(module.flag)))} ${writes[module.writes]}`;
  card.origin.textContent = origin(module);
  card.table.replaceChildren(makeTable(module, minutes));
}

function showGateway(gateway) {
  byId("gateway").textContent = gateway
    ? `nginx (${gateway.nginx}) ${gateway.running ? "listens" : "does not run"} on ${gateway.listen}.${gateway.problem ? ` ${gateway.problem}` : ""}`
    : "No gateway is configured: who asks Banyan's operations or flags is answered, requests do not pass through it.";
  byId("gateway").dataset.kind = gateway && (!gateway.running || gateway.problem) ? "bad" : "ok";
}

function edgeWords({ confirmed, away, nginx, same_routes: same, problem, seen_seconds_ago: age }) {
  const words = [confirmed ? "confirmed" : "not confirmed yet"];
  if (away) words.push(`not heard of for ${duration(age)}, goes on with what it had`);
  if (!nginx) words.push("its nginx does not run");
  if (!same) words.push("has other routes");
  if (problem) words.push(problem);
  return words.join("; ");
}

async function refreshInstances() {
  const { shared, problem, instances = [], edges = [] } = await call("GET", "/v1/instances");
  byId("no-instances").hidden = shared || edges.length > 0;
  byId("no-instances").textContent = "This daemon alone: flags are shared with no other through Redis. All workers of its gateway look every 200 ms.";
  byId("instance-list").replaceChildren(...(problem ? [element("li", { "data-level": "error" }, `Redis is away: ${problem}`)] : []),
    ...instances.map((one) => element("li", { "data-level": one.confirmed ? "info" : "warn" }, `${one.name}: ${one.confirmed ? "confirmed" : "not confirmed yet"}`)),
    ...edges.map((one) => element("li", { "data-level": one.confirmed && one.nginx && !one.problem ? "info" : "warn" }, `edge ${one.name}: ${edgeWords(one)}`)));
}

export async function refreshRouting() {
  const [{ modules, gateway, minutes }, list] = await Promise.all([call("GET", "/v1/routing"), call("GET", "/v1/flags"), refreshInstances()]);
  const flags = new Map(list.flags.map((flag) => [flag.name, flag]));
  showGateway(gateway);
  for (const module of modules) {
    if (!cards.has(module.module)) {
      cards.set(module.module, makeCard(module.module));
      byId("routing-cards").append(cards.get(module.module).item);
    }
    update(cards.get(module.module), module, minutes, flags);
  }
}

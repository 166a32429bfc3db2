// What the parallel run has shown in a time: the rate and what it is worth, both sides' speed, coverage.
import { call } from "./api.js";
import { element, number } from "./show.js";

const byId = (id) => document.getElementById(id);
const spans = { "5m": "5 minutes", "1h": "hour", "7d": "7 days" };
const kinds = { pass: "ok", fail: "bad", inconclusive: "warn" };
let range = "1h";

export function percent(value) {
  if (value === 0) return "0 %";
  return value < 0.01 ? "less than 0.01 %" : `${number(value, value < 1 ? 2 : 1)} %`;
}

// The verdict in words: whether the rate is surely over 1 %, surely not, or not to be told yet.
function verdictWords({ compared, divergent, verdict, net_rate_interval_percent: [low, high] }) {
  if (!compared) return "Nothing was compared, so nothing can be said.";
  const found = `${number(divergent)} of ${number(compared)} compared answers differ.`;
  const between = `between ${percent(low)} and ${percent(high)} of all`;
  if (verdict === "fail") return `Fail: ${found} Surely more than allowed: ${between}.`;
  if (verdict === "pass") return `Pass: ${found} Surely within what is allowed: at most ${percent(high)} of all.`;
  return `Inconclusive: ${found} Not enough was compared for a verdict: the true rate is probably ${between}. More traffic, or a larger sample, will tell.`;
}

function list(counts) {
  return Object.entries(counts).map(([name, n]) => `${name.replaceAll("_", " ")} ${number(n)}`).join(", ");
}

function facts(report) {
  const rows = [
    ["Compared", number(report.compared)], ["Divergent", number(report.divergent)],
    ["Rate", percent(report.rate_percent)],
    ["Noise of PostgreSQL", report.noise_runs ? `${percent(report.noise_percent)} of ${number(report.noise_runs)}` : "not measured"],
    ["Net rate", percent(report.net_rate_percent)],
    ["Only lag", number(report.lag)], ["Unsettled", number(report.unsettled)], ["Rescued", number(report.rescued)],
    ["Explained by a rule", list(report.explained) || "none"], ["Not compared", list(report.not_compared) || "none"],
  ];
  return element("dl", { class: "facts" }, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

const ms = (value) => (value === undefined ? "–" : number(value, value < 10 ? 2 : 1));

function improvement({ improvement_percent: p }) {
  if (p === undefined) return "–";
  const shown = number(Math.abs(p), 0);
  return shown === "0" ? "as fast" : `${shown} % ${p > 0 ? "faster" : "slower"}`;
}

const coverages = { never: "never exercised", not_sampled: "never asked of the other side", not_comparable: "nothing comparable", compared: "" };

function operationRow(one) {
  const { sql, mongodb } = one;
  const uncovered = coverages[one.coverage] ?? one.coverage.replaceAll("_", " ");
  const verdict = uncovered ? element("span", { class: "badge", "data-kind": "warn" }, uncovered)
    : element("span", { class: "badge", "data-kind": kinds[one.verdict] }, one.verdict);
  const cells = [["", verdict], ["Compared", number(one.compared)], ["Differ", number(one.divergent)], ["Net rate", one.compared ? percent(one.net_rate_percent) : "–"]];
  for (const name of ["mean_ms", "p50_ms", "p95_ms", "p99_ms"]) cells.push([name.replace("_ms", ""), `${ms(sql[name])} / ${ms(mongodb[name])}`]);
  cells.push(["MongoDB is", improvement(one)]);
  return element("tr", { "data-operation": one.name, "data-coverage": one.coverage },
    element("th", { scope: "row" }, one.name, element("small", {}, ` ${one.module}`)), ...cells.map(([label, value]) => element("td", { "data-label": label }, value)));
}

function operations(report) {
  const heads = ["Route or operation", "", "Compared", "Differ", "Net rate", "mean ms", "p50 ms", "p95 ms", "p99 ms", "MongoDB is"];
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Routes and operations" },
    element("table", { class: "figures" }, element("caption", {}, "Times are PostgreSQL / MongoDB."),
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...report.operations.map(operationRow))));
}

function top(report) {
  if (!report.top.length) return [];
  return [element("h3", {}, "Most divergent"), element("ol", { class: "top" }, ...report.top.map((one) => element("li", {},
    element("code", {}, one.name), ` ${percent(one.rate_percent)}, ${number(one.divergent)} found`)))];
}

function uncovered(report) {
  const never = report.operations.filter((one) => one.coverage !== "compared");
  if (!never.length) return [];
  return [element("p", { class: "coverage" }, `Not covered: ${never.map((one) => `${one.name} (${coverages[one.coverage] ?? one.coverage})`).join(", ")}. What was not compared may differ.`)];
}

function draw(report) {
  const body = byId("report-body");
  if (!report.operations.length) {
    body.replaceChildren(element("p", { class: "empty" }, "No module has routes or operations: nothing passes through Banyan that could be compared."));
    return;
  }
  const focused = document.activeElement?.closest?.("#report-body .scroll");
  body.replaceChildren(element("p", { class: "verdict", "data-kind": report.compared ? kinds[report.verdict] : "warn" }, `In the last ${spans[range]}. ${verdictWords(report)}`),
    facts(report), ...uncovered(report), ...top(report), operations(report));
  if (focused) body.querySelector(".scroll")?.focus();
}

export async function refreshReport() {
  const problem = byId("report-problem");
  const asked = range;
  try {
    const report = await call("GET", `/v1/report?range=${asked}`);
    problem.hidden = true;
    if (asked === range) draw(report);
  } catch (error) {
    if (error.status === 401) throw error;
    problem.hidden = false;
    problem.textContent = `The report cannot be had: ${error.message}`;
  }
}

byId("report-range").addEventListener("change", ({ target }) => {
  range = target.value;
  refreshReport();
});

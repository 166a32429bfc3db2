// The page: gets the status, shows it, and sends what people decide.
import { call, listen } from "./api.js";
import { refreshAudit } from "./audit.js";
import { goBack, steering } from "./back.js";
import { login, toast } from "./dialogs.js";
import { refreshDivergences } from "./divergences.js";
import "./explain.js";
import { showFlags } from "./flags.js";
import { showModules } from "./modules.js";
import { showParked } from "./parked.js";
import { refreshReport } from "./report.js";
import { refreshRouting } from "./routing.js";
import { ago, element } from "./show.js";
import { current, follow } from "./views.js";

const EVENTS_SHOWN = 100;
const STALE_MS = 5000;
const byId = (id) => document.getElementById(id);
let lastStatus = 0;
let source = null;

// ---- the first screen ----

function showHero(status) {
  const hero = byId("hero");
  const issues = status.issues ?? [];
  hero.dataset.severity = status.summary.severity;
  byId("words").textContent = status.summary.words;
  byId("issues").hidden = issues.length === 0;
  byId("issues").replaceChildren(...issues.map((issue) => element("li", {}, `${issue.module}: ${issue.words}`)));
  document.title = issues.length ? `(${issues.length}) Banyan` : "Banyan";
}

// ---- lists ----

async function refreshFlags() {
  const [{ flags, problem }, routing] = await Promise.all([call("GET", "/v1/flags"), call("GET", "/v1/routing")]);
  showFlags(flags, problem, refreshFlags);
  byId("back").hidden = steering(flags, routing).length === 0;
}

const PARKED_SHOWN = 100;
let parkedShown = 0;

async function refreshParked() {
  const { parked, all } = await call("GET", `/v1/parked?limit=${PARKED_SHOWN}`);
  parkedShown = parked.length;
  showParked(parked, all, refreshParked);
}

// An event may come before what it tells of is over; the status always tells how many there are.
function followParked(status) {
  const all = status.modules.reduce((sum, module) => sum + (module.pipeline?.parked ?? 0), 0);
  if (Math.min(all, PARKED_SHOWN) !== parkedShown) refreshParked().catch(report);
}

async function refreshAlerts() {
  const { alerts } = await call("GET", "/v1/alerts");
  const firing = alerts.filter((alert) => alert.state !== "inactive");
  byId("no-alerts").hidden = firing.length > 0;
  byId("alerts").dataset.firing = String(firing.some((alert) => alert.state === "firing"));
  byId("alert-list").replaceChildren(...firing.map((alert) => {
    const since = alert.since ? `, since ${ago(alert.since)}` : "";
    return element("li", { "data-level": alert.state === "firing" ? "error" : "warn" }, `${alert.state} (${alert.severity}): ${alert.words}${since}`);
  }));
}

const quiet = new Set(["time", "level", "event"]);

function showEvent(event) {
  const list = byId("event-list");
  const item = element("li", { "data-level": event.level }, element("time", { datetime: event.time, title: event.time }, new Date(event.time).toLocaleTimeString()));
  item.append(event.event.replaceAll("_", " "), " ",
    Object.entries(event).filter(([key]) => !quiet.has(key)).map(([key, value]) => `${key} ${value}`).join(", "));
  list.prepend(item);
  while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
  byId("no-events").hidden = true;
}

// ---- staying in touch ----

function showStatus(status) {
  lastStatus = Date.now();
  showHero(status);
  showModules(status.modules, refreshStatus);
  followParked(status);
}

async function refreshStatus() {
  showStatus(await call("GET", "/v1/status"));
}

// What is measured changes without an event; only what is looked at is asked for.
const FIGURES_MS = 5000;
const figures = { divergences: refreshReport, routing: refreshRouting };

// By the type of the event that says that something has changed.
const refreshers = {
  flag: [refreshFlags, refreshAudit], module: [refreshAudit], parked: [refreshParked, refreshAudit], alert: [refreshAlerts],
  divergence: [refreshDivergences, refreshAudit], routing: [refreshFlags, refreshRouting, refreshAudit],
};

function onEvent(type, data) {
  if (type === "status" && data.summary) showStatus(data);
  else if (type === "status") refreshStatus().catch(report); // longer than an event may be
  else if (type === "log") showEvent(data);
  else refreshers[type]?.forEach((refresh) => refresh().catch(report));
}

function setConnection(state) {
  const words = { live: "Live", lost: "Connection lost, trying again…", connecting: "Connecting…" };
  const shown = state === "closed" ? "lost" : state;
  byId("connection").dataset.state = shown;
  byId("connection").textContent = words[shown];
  byId("hero").dataset.stale = String(shown === "lost");
  if (shown === "lost") document.title = "(no contact) Banyan";
  if (state === "live") refreshAll().catch(report);
  if (state === "closed") setTimeout(() => start().catch(report), 2000);
}

function report(error) {
  if (error.status === 401) askLogin();
  else if (error.status !== 403) toast(error.message);
}

async function refreshAll() {
  document.body.dataset.role = (await call("GET", "/v1/session")).role;
  await Promise.all([refreshStatus(), refreshFlags(), refreshParked(), refreshAlerts(), refreshAudit(), refreshDivergences(), figures[current()]?.()]);
}

// The cookie itself cannot be seen from here.
const LOGIN = "banyan-logged-in";
function rememberLogin(is) {
  if (is) localStorage.setItem(LOGIN, "yes");
  else localStorage.removeItem(LOGIN);
  byId("logout").hidden = !is;
}

let asking = false;
async function askLogin() {
  if (asking) return;
  asking = true;
  await login((token) => call("POST", "/v1/login", { token }));
  asking = false;
  rememberLogin(true);
  await start();
}

async function start() {
  source?.close();
  try {
    await refreshAll();
  } catch (error) {
    if (error.status === 401) {
      askLogin();
      return;
    }
    setConnection("lost");
    setTimeout(() => start().catch(report), 2000);
    return;
  }
  source = listen(["status", "flag", "module", "parked", "alert", "divergence", "routing", "log"], onEvent, setConnection);
}

byId("back").addEventListener("click", () => goBack(refreshFlags).catch(report));
byId("logout").hidden = localStorage.getItem(LOGIN) !== "yes";
byId("logout").addEventListener("click", async () => {
  await call("POST", "/v1/logout").catch(report);
  rememberLogin(false);
  location.reload();
});
follow((view) => figures[view]?.().catch(report));
setInterval(() => {
  if (byId("connection").dataset.state === "live" && !document.hidden) figures[current()]?.().catch(report);
}, FIGURES_MS);
setInterval(() => {
  if (lastStatus && Date.now() - lastStatus > STALE_MS) byId("hero").dataset.stale = "true";
}, 1000);
start().catch(report);

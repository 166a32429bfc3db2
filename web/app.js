// The page: gets the status, shows it, and sends what people decide.
import { call, listen } from "./api.js";
import { ask, login, toast } from "./dialogs.js";
import { showFlags } from "./flags.js";
import { showModules } from "./modules.js";
import { showParked } from "./parked.js";

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
  byId("issues").replaceChildren(...issues.map((issue) => {
    const item = document.createElement("li");
    item.textContent = `${issue.module}: ${issue.words}`;
    return item;
  }));
}

async function goBack() {
  const { flags } = await call("GET", "/v1/flags");
  const on = flags.filter((flag) => flag.enabled && !flag.killed);
  const answer = await ask({
    title: "Send all reads back to PostgreSQL?",
    text: `Turns off ${on.length} flag${on.length === 1 ? "" : "s"}: ${on.map((f) => f.name).join(", ")}. ` +
      "Requests are answered by PostgreSQL within a second. Nothing is copied or deleted.",
    ok: "Send everything back", danger: true,
  });
  if (!answer) return;
  for (const flag of on) await call("POST", `/v1/flags/${encodeURIComponent(flag.name)}/off`, { why: answer.why });
  toast("All reads are back on PostgreSQL.");
  await refreshFlags();
}

// ---- lists ----

async function refreshFlags() {
  const { flags } = await call("GET", "/v1/flags");
  showFlags(flags, refreshFlags);
  byId("back").hidden = !flags.some((flag) => flag.enabled && !flag.killed);
}

const PARKED_SHOWN = 100;
let parkedShown = 0;

async function refreshParked() {
  const { parked } = await call("GET", `/v1/parked?limit=${PARKED_SHOWN}`);
  parkedShown = parked.length;
  showParked(parked, refreshParked);
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
  byId("alert-list").replaceChildren(...firing.map((alert) => {
    const item = document.createElement("li");
    item.dataset.level = alert.state === "firing" ? "error" : "warn";
    item.textContent = `${alert.state}: ${alert.words}`;
    return item;
  }));
}

const quiet = new Set(["time", "level", "event"]);

function showEvent(event) {
  const list = byId("event-list");
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(event.time).toLocaleTimeString();
  item.dataset.level = event.level;
  item.append(time, event.event.replaceAll("_", " "), " ",
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

const refreshers = { flag: refreshFlags, parked: refreshParked, alert: refreshAlerts };

function onEvent(type, data) {
  if (type === "status") showStatus(data);
  else if (type === "log") showEvent(data);
  else refreshers[type]?.().catch(report);
}

function setConnection(state) {
  const words = { live: "Live", lost: "Connection lost, trying again…", connecting: "Connecting…" };
  const shown = state === "closed" ? "lost" : state;
  byId("connection").dataset.state = shown;
  byId("connection").textContent = words[shown];
  byId("hero").dataset.stale = String(shown === "lost");
  if (state === "live") refreshAll().catch(report);
  if (state === "closed") setTimeout(() => start().catch(report), 2000);
}

function report(error) {
  if (error.status === 401) askLogin();
  else if (error.status !== 403) toast(error.message);
}

async function refreshAll() {
  await Promise.all([refreshStatus(), refreshFlags(), refreshParked(), refreshAlerts()]);
}

let asking = false;
async function askLogin() {
  if (asking) return;
  asking = true;
  await login((token) => call("POST", "/v1/login", { token }));
  asking = false;
  byId("logout").hidden = false;
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
  source = listen(["status", "flag", "parked", "alert", "log"], onEvent, setConnection);
}

byId("back").addEventListener("click", () => goBack().catch(report));
byId("logout").addEventListener("click", async () => {
  await call("POST", "/v1/logout");
  location.reload();
});
setInterval(() => {
  if (lastStatus && Date.now() - lastStatus > STALE_MS) byId("hero").dataset.stale = "true";
}, 1000);
start().catch(report);

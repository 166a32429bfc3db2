// The way back: which flags send reads to MongoDB, all of them off at once, and who has heard of it.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";

const CONFIRM_MS = 2000;
const STEP_MS = 250;
const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Flags that modules name, or that name a module; where none does, any flag may be asked by the
// application itself.
export function steering(flags, routing) {
  const on = flags.filter((flag) => flag.enabled && !flag.killed);
  const named = new Set(routing.modules.map((module) => module.flag).filter(Boolean));
  if (!named.size && !flags.some((flag) => flag.module)) return on;
  return on.filter((flag) => named.has(flag.name) || flag.module);
}

// What flags do not change: said before somebody relies on it.
function exceptions(routing) {
  const words = [];
  for (const { module, reads, writes } of routing.modules) {
    if (writes === "mongodb") words.push(`${module} writes to MongoDB alone: PostgreSQL lacks what was written, and its reads stay where they are.`);
    else if (reads === "mongodb") words.push(`Reads of ${module} stay on MongoDB, whatever its flag says: banyan reads ${module} sql sends them back.`);
  }
  return words;
}

// Who has not said yet that it uses what holds: daemons that share flags through Redis, gateways on other
// machines; in words, or "".
export async function unconfirmed() {
  const until = Date.now() + CONFIRM_MS;
  for (;;) {
    const { problem, instances = [], edges = [] } = await call("GET", "/v1/instances");
    if (problem) return `Redis is away, so other daemons have not heard of it: ${problem}`;
    const late = [...instances, ...edges].filter((one) => !one.confirmed).map((one) => one.name);
    if (!late.length) return "";
    if (Date.now() > until) return `Not confirmed by ${late.join(", ")}.`;
    await wait(STEP_MS);
  }
}

// Every flag is tried, whatever becomes of the others.
async function turnOff(flags, why) {
  const outcomes = await Promise.allSettled(flags.map((flag) => call("POST", `/v1/flags/${encodeURIComponent(flag.name)}/off`, { why })));
  const failed = flags.map((flag, i) => [flag.name, outcomes[i].reason]).filter(([, reason]) => reason);
  if (!failed.length) return;
  const done = flags.length - failed.length;
  throw new Error(`${done} of ${flags.length} are off. Still on: ${failed.map(([name, reason]) => `${name} (${reason.message})`).join(", ")}. Try again`);
}

export async function goBack(refresh) {
  const [{ flags }, routing] = await Promise.all([call("GET", "/v1/flags"), call("GET", "/v1/routing")]);
  const on = steering(flags, routing);
  const answer = await ask({
    title: "Send all reads back to PostgreSQL?",
    text: [`Turns off ${on.length} flag${on.length === 1 ? "" : "s"}: ${on.map((flag) => flag.name).join(", ")}. ` +
      "Requests are answered by PostgreSQL within a second. Nothing is copied or deleted.", ...exceptions(routing)].join(" "),
    ok: "Send everything back", danger: true, perform: ({ why }) => turnOff(on, why),
  });
  await refresh();
  if (!answer) return;
  const late = await unconfirmed();
  toast(late ? `Off here. ${late}` : exceptions(routing).length ? "The flags are off." : "All reads are back on PostgreSQL.");
}

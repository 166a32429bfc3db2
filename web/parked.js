// Parked documents: what could not be written, why, and two ways on.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { element, ago } from "./show.js";

async function decide(document_, action, text, refresh) {
  const done = await ask({
    title: `${action === "retry" ? "Write again" : "Give up"}: ${document_.collection} ${document_.document}?`, text,
    ok: action === "retry" ? "Write again" : "Give up", danger: action === "drop",
    perform: ({ why }) => call("POST", `/v1/parked/${document_.id}/${action}`, { why }),
  }).catch((error) => toast(error.message));
  if (done) toast("Asked the pipeline.");
  await refresh();
}

function makeRow(parked, refresh) {
  const retry = element("button", { type: "button" }, "Retry");
  const drop = element("button", { type: "button", class: "danger" }, "Drop");
  retry.addEventListener("click", () => decide(parked, "retry", "Reads the row again and writes its document.", refresh));
  drop.addEventListener("click", () => decide(parked, "drop", "MongoDB keeps what it has, until the row changes again. Verification will report it.", refresh));
  return element("div", { class: "row parked", "data-parked": String(parked.id) },
    element("div", {}, element("h3", {}, `${parked.collection} `, element("code", {}, parked.document)),
      element("p", {}, parked.reason + (parked.code ? ` (MongoDB error ${parked.code})` : "")),
      element("p", {}, `${parked.state}, tried ${parked.attempts} times, since ${ago(parked.since)}`)),
    element("div", { class: "buttons" }, retry, drop));
}

export function showParked(parked, refresh) {
  document.getElementById("no-parked").hidden = parked.length > 0;
  document.getElementById("parked-list").replaceChildren(...parked.map((one) => makeRow(one, refresh)));
}

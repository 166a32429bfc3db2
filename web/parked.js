// Parked documents: what could not be written, why, and two ways on.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { element, number, ago, replaceRows } from "./show.js";

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
  const retry = element("button", { type: "button", class: "change" }, "Retry");
  const drop = element("button", { type: "button", class: "danger change" }, "Drop");
  retry.addEventListener("click", () => decide(parked, "retry", "Reads the row again and writes its document.", refresh));
  drop.addEventListener("click", () => decide(parked, "drop", "MongoDB keeps what it has, until the row changes again. Verification will report it.", refresh));
  return element("div", { class: "row parked", "data-parked": String(parked.id) },
    element("div", {}, element("h3", {}, `${parked.collection} `, element("code", {}, parked.document)),
      element("p", {}, parked.reason + (parked.code ? ` (MongoDB error ${parked.code})` : "")),
      element("p", {}, `${parked.state}, tried ${parked.attempts} times, first ${ago(parked.since)}`)),
    element("div", { class: "buttons" }, retry, drop));
}

// `all`: how many there are, more than are shown perhaps.
export function showParked(parked, all, refresh) {
  const more = document.getElementById("more-parked");
  document.getElementById("no-parked").hidden = parked.length > 0;
  more.hidden = all <= parked.length;
  more.textContent = `And ${number(all - parked.length)} more: banyan parked list`;
  replaceRows(document.getElementById("parked-list"), parked.map((one) => makeRow(one, refresh)));
}

// What people changed: the end of the audit log.
import { call } from "./api.js";
import { element } from "./show.js";

const SHOWN = 20;

function makeLine(line) {
  const item = element("li");
  item.append(element("time", { datetime: line.time, title: line.time }, new Date(line.time).toLocaleString()),
    `${line.who}: ${line.action.replaceAll(/[._]/g, " ")} ${line.subject}`, line.why ? `, because: ${line.why}` : "");
  return item;
}

export async function refreshAudit() {
  const { audit } = await call("GET", `/v1/audit?limit=${SHOWN}`);
  document.getElementById("no-audit").hidden = audit.length > 0;
  document.getElementById("audit-list").replaceChildren(...audit.map(makeLine));
}

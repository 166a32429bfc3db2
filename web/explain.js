// What would happen to a request, as `banyan routes explain` says it.
import { call } from "./api.js";
import { element } from "./show.js";

const byId = (id) => document.getElementById(id);
const sides = { sql: "PostgreSQL", mongodb: "MongoDB" };

function because(x) {
  if (!x.read) return `it is a write, and ${x.writes === "mongodb" ? "writes go to MongoDB alone" : "PostgreSQL takes the writes"}`;
  if (x.reason !== "flag") return x.reads === "mongodb" ? "reads are set to MongoDB, whatever the flag says" : `reads are set to ${x.reads}: PostgreSQL answers all of them`;
  return x.flag ? `the flag is ${x.flag_on ? "on" : "off"} for this user: ${x.flag}` : "the flag is in no file, and so is off";
}

function words(x) {
  if (x.answer) return [element("p", { class: "big" }, `Nobody: the gateway answers ${x.answer.slice(0, 3)}.`), element("p", {}, element("code", {}, x.answer.slice(4)))];
  return [
    element("p", { class: "big" }, `${sides[x.target]} answers (${x.service})`),
    element("p", {}, `Because ${because(x)}.`),
    element("p", {}, `Route ${x.route} of module ${x.module}. ${x.fallback ? "If MongoDB fails, PostgreSQL answers, as long as budget and breaker let it. " : ""}` +
      `${x.sampled ? "A sample of these is asked of the other side too, and compared." : "It is not compared."}`),
    ...(x.migrated && x.read ? [element("p", { class: "quiet" }, "Only a worker of nginx knows whether the breaker is open, or whether this user has just written: then PostgreSQL answers.")] : []),
  ];
}

byId("explain-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = byId("explained");
  const query = new URLSearchParams({ method: byId("explain-method").value, path: byId("explain-path").value.trim() });
  for (const name of ["user", "tenant"]) if (byId(`explain-${name}`).value.trim()) query.set(name, byId(`explain-${name}`).value.trim());
  try {
    place.replaceChildren(...words(await call("GET", `/v1/routing/explain?${query}`)));
  } catch (error) {
    place.replaceChildren(element("p", { class: "error" }, [error.message, error.wayOut].filter(Boolean).join(". ")));
  }
});

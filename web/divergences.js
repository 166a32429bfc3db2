// What PostgreSQL and MongoDB disagree about, one row a cause; open, it shows examples of both sides.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { Exact, exactly, isMasked, rowsOf, shapeOf } from "./differs.js";
import { element, number, ago } from "./show.js";

const LIMIT = 200;
const byId = (id) => document.getElementById(id);
const rows = new Map(); // by id: made once, so that what is open stays open and focus where it is
const kinds = {
  other: "many causes", missing: "MongoDB lacks it", extra: "only MongoDB has it", mismatch: "values differ", type_difference: "types differ",
};

async function decide(question, done) {
  const answer = await ask(question).catch((error) => toast(error.message));
  await refreshDivergences().catch((error) => toast(error.message));
  if (answer && done) toast(done);
  return answer;
}

function markAnalyzed(divergence) {
  const analyzed = !divergence.analyzed;
  return decide({
    title: analyzed ? "Mark as analyzed?" : "Not analyzed after all?", ok: analyzed ? "Mark as analyzed" : "Open it again",
    text: `${divergence.name} ${divergence.path}: ${analyzed ? "leaves the list, and goes on being counted." : "is on the list again."}`,
    perform: ({ why }) => call("POST", `/v1/divergences/${divergence.id}/analyze`, { why, analyzed }),
  }, analyzed ? "Marked as analyzed." : "Open again.");
}

function resync(divergence, example) {
  return decide({
    title: "Write this document anew?", ok: "Resync this document",
    text: `Reads the row of this document of ${example.collection} again and writes it to MongoDB. Right where MongoDB is old; where the service is wrong, it changes nothing.`,
    perform: ({ why }) => call("POST", `/v1/divergences/${divergence.id}/resync`, { why, example: example.id }),
  }, "The pipeline was asked to write it.");
}

// ---- one example ----

function cell(side, row, marked) {
  const text = row.left === "" && row.right === "" ? "" : row[side === "PostgreSQL" ? "left" : "right"];
  const shown = row.differs ? element("mark", { "data-main": marked ? "yes" : "no" }, text) : text;
  return element("td", { "data-side": side }, shown);
}

// Whole documents where they are kept, else the differing values alone.
function sideBySide(example) {
  const whole = example.sql_document !== undefined && example.mongodb_document !== undefined;
  const found = whole ? rowsOf(example.sql_document, example.mongodb_document) : rowsOf(example.sql, example.mongodb);
  const at = shapeOf(example.path);
  const main = (row) => !whole || shapeOf(row.path) === at;
  const body = found.map((row) => element("tr", { "data-differs": row.differs ? (main(row) ? "main" : "also") : null },
    element("th", { scope: "row", "data-depth": String(Math.min(row.depth, 6)) }, row.name || example.path || "(all)"), cell("PostgreSQL", row, main(row)), cell("MongoDB", row, main(row))));
  const also = whole && found.some((row) => row.differs && !main(row));
  return [
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Both sides" }, element("table", { class: "sides" },
      element("thead", {}, element("tr", {}, element("td", {}), element("th", { scope: "col" }, "PostgreSQL"), element("th", { scope: "col" }, "MongoDB"))),
      element("tbody", {}, ...body))),
    also ? "What is marked faintly differs too: for another cause, or as a rule allows." : "",
    !whole ? "Only the differing values are kept; store: documents keeps whole answers." : "",
    [example.sql, example.mongodb].some(isMasked) ? "Masked values: a keyed hash, equal only where the values are." : "",
  ];
}

function copyButton(text) {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      toast("Selected: copy it with your keyboard.");
    }
  });
  return button;
}

function makeExample(divergence, example) {
  const [table, ...notes] = sideBySide(example);
  const again = element("button", { type: "button", class: "change", disabled: !example.collection }, "Resync this document");
  again.addEventListener("click", () => resync(divergence, example));
  const parameters = example.parameters === undefined ? [] : [element("p", {}, "Parameters ", element("code", {}, JSON.stringify(example.parameters, (_key, v) => v instanceof Exact ? v.text : v)))];
  return element("div", { class: "example" },
    element("p", {}, element("code", {}, example.path || divergence.path), ` ${kinds[divergence.kind] ?? divergence.kind}, ${ago(example.time)}`, example.request ? `, request ${example.request}` : ""),
    table, ...notes.filter(Boolean).map((note) => element("p", {}, note)), ...parameters,
    ...(example.reproducer ? [element("div", { class: "reproducer" }, element("code", {}, example.reproducer), copyButton(example.reproducer))] : []),
    element("div", { class: "buttons" }, again, example.collection ? "" : element("p", {}, "It is not known which document this is about: banyan verify --repair finds it.")),
    element("p", {}, "Asked again after everything that PostgreSQL had was in MongoDB: PostgreSQL said the same twice, MongoDB something else. So it is neither lag nor noise, and no rule explains it."));
}

// ---- one cause ----

function showExample(row, at) {
  const { examples } = row.detail;
  row.at = (at + examples.length) % examples.length;
  row.place.textContent = `Example ${row.at + 1} of ${examples.length}`;
  row.example.replaceChildren(makeExample(row.divergence, examples[row.at]));
}

async function open(row) {
  row.detail = await call("GET", `/v1/divergences/${row.divergence.id}`, undefined, exactly);
  const none = row.detail.examples.length === 0;
  row.pager.hidden = row.detail.examples.length < 2;
  if (none) row.example.replaceChildren(element("p", {}, "No example of it is kept any more."));
  else showExample(row, 0);
}

function makeRow(id) {
  const part = (name, attributes = {}, ...children) => element(name, attributes, ...children);
  const row = {
    title: part("h3"), kind: part("span", { class: "badge", "data-kind": "bad" }), state: part("span", { class: "badge", hidden: true }, "analyzed"), words: part("p"),
    analyze: part("button", { type: "button", class: "change" }), toggle: part("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": `divergence-${id}` }, "Show"),
    panel: part("div", { id: `divergence-${id}`, class: "panel", hidden: true }), example: part("div"), place: part("output"),
    before: part("button", { type: "button", "aria-label": "Newer example" }, "‹"), after: part("button", { type: "button", "aria-label": "Older example" }, "›"),
  };
  row.pager = part("div", { class: "pager", hidden: true }, row.before, row.place, row.after);
  row.panel.append(row.pager, row.example);
  row.item = part("article", { class: "row divergence", "data-divergence": String(id) },
    part("div", {}, part("div", { class: "head" }, row.title, row.kind, row.state), row.words), part("div", { class: "buttons" }, row.toggle, row.analyze), row.panel);
  row.toggle.addEventListener("click", () => {
    row.panel.hidden = !row.panel.hidden;
    row.toggle.textContent = row.panel.hidden ? "Show" : "Hide";
    row.toggle.setAttribute("aria-expanded", String(!row.panel.hidden));
    if (!row.panel.hidden) open(row).catch((error) => toast(error.message));
  });
  row.before.addEventListener("click", () => showExample(row, row.at - 1));
  row.after.addEventListener("click", () => showExample(row, row.at + 1));
  row.analyze.addEventListener("click", () => markAnalyzed(row.divergence));
  return row;
}

function update(row, divergence) {
  row.divergence = divergence;
  row.title.replaceChildren(`${divergence.name} `, element("code", {}, divergence.path || "(all of it)"));
  row.kind.textContent = divergence.kind.replaceAll("_", " ");
  row.state.hidden = !divergence.analyzed;
  row.words.textContent = `${number(divergence.count)} ${divergence.count === 1 ? "time" : "times"} in ${divergence.module}, first ${ago(divergence.first)}, last ${ago(divergence.last)}`;
  row.analyze.textContent = divergence.analyzed ? "Open again" : "Analyzed";
}

function place(list, wanted) {
  const keep = new Set(wanted.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (keep.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  const focused = document.activeElement;
  wanted.forEach((divergence, i) => {
    if (!rows.has(divergence.id)) rows.set(divergence.id, makeRow(divergence.id));
    const row = rows.get(divergence.id);
    update(row, divergence);
    if (list.children[i] !== row.item) list.insertBefore(row.item, list.children[i] ?? null);
  });
  if (list.contains(focused)) focused.focus();
}

// ---- the list ----

function offerModules(modules) {
  const select = byId("divergence-module");
  const known = new Set([...select.options].map((option) => option.value));
  for (const module of modules) if (!known.has(module)) select.append(element("option", {}, module));
}

// What nobody has looked at yet stands in the navigation, whatever the filter says.
async function countOpen() {
  const { divergences } = await call("GET", `/v1/divergences?analyzed=0&limit=${LIMIT}`);
  offerModules(divergences.map(({ module }) => module));
  const badge = byId("divergences-open");
  badge.hidden = divergences.length === 0;
  badge.textContent = divergences.length < LIMIT ? String(divergences.length) : `${LIMIT}+`;
  badge.setAttribute("aria-label", `${badge.textContent} not analyzed`);
}

export async function refreshDivergences() {
  const [module, kind, all] = [byId("divergence-module").value, byId("divergence-kind").value, byId("divergence-analyzed").checked];
  const query = new URLSearchParams({ limit: LIMIT, ...(module && { module }), ...(!all && { analyzed: 0 }) });
  const [{ divergences }] = await Promise.all([call("GET", `/v1/divergences?${query}`), countOpen()]);
  const wanted = divergences.filter((one) => !kind || one.kind === kind);
  place(byId("divergence-list"), wanted);
  byId("no-divergences").hidden = wanted.length > 0;
  byId("no-divergences").textContent = module || kind ? "None of this module and kind." : all
    ? "Nothing has been found that PostgreSQL and MongoDB disagree about." : "Nothing is open: all that PostgreSQL and MongoDB disagree about was analyzed, or nothing was found.";
}

function purge() {
  const user = element("input", { name: "user", type: "text", autocomplete: "off", maxlength: "500" });
  return decide({
    title: "Forget a user?", danger: true, ok: "Forget",
    text: "Deletes the examples of what this user has asked. How often each cause was found stays: it names nobody.",
    fields: [element("label", {}, "User, as the route knows who asks", user)],
    perform: async ({ why, fields }) => {
      if (!fields.user) throw new Error("Please say which user.");
      const { examples } = await call("POST", "/v1/divergences/purge", { why, user: fields.user });
      toast(`${number(examples)} ${examples === 1 ? "example is" : "examples are"} forgotten.`);
    },
  });
}

for (const id of ["divergence-module", "divergence-kind", "divergence-analyzed"])
  byId(id).addEventListener("change", () => refreshDivergences().catch((error) => toast(error.message)));
byId("purge").addEventListener("click", purge);

// One card for each pipeline: state, throughput and lag as plots, the copy, verification.
import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { element, number, ago, duration } from "./show.js";

const POINTS = 120;
const cards = new Map();
const kinds = { streaming: "ok", copying: "ok", catching_up: "ok", starting: "warn", waiting: "warn", paused: "warn", failed: "bad", stopped: "bad" };

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function makePlot(canvas) {
  const line = (label, axis, shade, dash) => ({
    label, data: [], yAxisID: axis, borderColor: color(shade), backgroundColor: color(shade), borderWidth: 1.5, borderDash: dash, pointRadius: 0, tension: 0.2,
  });
  const scale = (position) => ({ position, beginAtZero: true, grid: { drawOnChartArea: position === "left", color: color("--line") }, ticks: { maxTicksLimit: 4, color: color("--quiet") } });
  return new globalThis.Chart(canvas, {
    type: "line",
    data: { labels: [], datasets: [line("changes/s", "y", "--accent", []), line("lag s", "lag", "--bad", [4, 3])] },
    options: {
      animation: false, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
      scales: { x: { display: false }, y: scale("left"), lag: scale("right") },
      plugins: { legend: { labels: { boxWidth: 18, boxHeight: 2, color: color("--quiet") } } },
    },
  });
}

// Colours are of the scheme that holds now.
function paint(plot) {
  const { scales, plugins } = plot.options;
  const [rate, lag] = plot.data.datasets;
  rate.borderColor = rate.backgroundColor = color("--accent");
  lag.borderColor = lag.backgroundColor = color("--bad");
  for (const axis of [scales.y, scales.lag]) {
    axis.grid.color = color("--line");
    axis.ticks.color = color("--quiet");
  }
  plugins.legend.labels.color = color("--quiet");
  plot.update();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { plot } of cards.values()) if (plot) paint(plot);
});

function addPoint(plot, pipeline) {
  const rate = pipeline.state === "copying" ? pipeline.snapshot.per_second : pipeline.rates.written_per_second;
  plot.data.labels.push(new Date().toLocaleTimeString());
  plot.data.datasets[0].data.push(rate);
  plot.data.datasets[1].data.push(pipeline.lag_seconds);
  if (plot.data.labels.length > POINTS) {
    plot.data.labels.shift();
    plot.data.datasets.forEach((set) => set.data.shift());
  }
  plot.update();
}

async function change(name, action, question, refresh) {
  const path = `/v1/modules/${encodeURIComponent(name)}/${action}`;
  const done = await ask({ ...question, perform: (answer) => call("POST", path, { why: answer.why, ...question.body?.(answer) }) });
  if (done) toast(`${name}: ${action} done.`);
  await refresh();
}

function makeCard(name, refresh) {
  const card = element("article", { class: "card", "data-module": name });
  const parts = {
    badge: element("span", { class: "badge" }),
    facts: element("dl"),
    copy: element("div", { hidden: true }, element("progress", { max: "1", "aria-label": `Copy of ${name}` }), element("p", { class: "empty" })),
    canvas: element("canvas", { role: "img", "aria-label": `Changes a second and lag of ${name}, the last two minutes` }),
    pause: element("button", { type: "button", class: "change" }, "Pause"),
    throttle: element("button", { type: "button", class: "change" }, "Limit writes"),
    verify: element("button", { type: "button", class: "change" }, "Verify"),
    verified: element("p", { class: "empty" }),
    differs: element("details", { hidden: true }, element("summary", {}, "What differs"), element("ul", { class: "lines" })),
  };
  parts.pause.addEventListener("click", () => {
    const action = parts.pause.textContent === "Pause" ? "pause" : "resume";
    change(name, action, { title: `${parts.pause.textContent} ${name}?`, ok: parts.pause.textContent, text: action === "pause"
      ? "The pipeline drains and stops. PostgreSQL keeps its log until it goes on: mind the disk."
      : "The pipeline goes on where it stopped." }, refresh);
  });
  parts.throttle.addEventListener("click", () => change(name, "throttle", {
    title: `Limit the writes of ${name}`, text: "Documents a second, all lanes together; 0 is no limit. It holds at once.", ok: "Set the limit",
    number: { name: "Writes a second", value: card.dataset.limit ?? 0 }, body: (answer) => ({ writes_per_second: answer.number }),
  }, refresh));
  parts.verify.addEventListener("click", () => change(name, "verify", {
    title: `Verify ${name}`, text: "Compares every document with its rows, while both change.", ok: "Verify",
  }, refresh));
  card.append(element("div", { class: "head" }, element("h3", {}, name), parts.badge), parts.copy,
    element("div", { class: "plot" }, parts.canvas), parts.facts, parts.verified, parts.differs,
    element("p", { class: "buttons" }, parts.pause, parts.throttle, parts.verify));
  parts.differs.addEventListener("toggle", () => { if (parts.differs.open) showDifferences(parts.differs).catch((error) => toast(error.message)); });
  return { card, parts, plot: null };
}

function differenceWords({ kind, path, sql, mongodb }) {
  if (!path && kind === "missing") return "is not in MongoDB";
  if (!path && kind === "extra") return "is in MongoDB, and has no row";
  const sides = `PostgreSQL ${sql ?? "has none"}, MongoDB ${mongodb ?? "has none"}`;
  return kind === "type_difference" ? `has another type: ${sides}` : sides;
}

// The first hundred of each module, as they were when they were found.
async function showDifferences(details) {
  const found = await Promise.all(JSON.parse(details.dataset.of).map((name) => call("GET", `/v1/modules/${encodeURIComponent(name)}/verify`)));
  const lines = found.flatMap(({ last }) => last.differences ?? []).map((d) => element("li", {}, element("code", {}, `${d.collection} ${d.id} ${d.path}`), ` ${differenceWords(d)}`));
  details.lastElementChild.replaceChildren(...lines);
}

function facts(pipeline) {
  const rows = [
    ["Behind", `${number(pipeline.lag_seconds, 1)} s, ${number(pipeline.lag_bytes / 1e6, 1)} MB of log`],
    ["Changes", `${number(pipeline.received)} received, ${number(pipeline.rates.received_per_second, 0)}/s`],
    ["Written", `${number(pipeline.written)}, deleted ${number(pipeline.deleted)}`],
    ["Writes to MongoDB", `p50 ${number(pipeline.latency_us.p50 / 1000, 1)} ms, p99 ${number(pipeline.latency_us.p99 / 1000, 1)} ms`],
    ["Limit", pipeline.writes_per_second ? `${number(pipeline.writes_per_second)}/s` : "none"],
  ];
  if (pipeline.parked) rows.push(["Parked", number(pipeline.parked)]);
  if (pipeline.error) rows.push(["Error", pipeline.error]);
  if (pipeline.waiting_for) rows.push(["Waits for", pipeline.waiting_for]);
  return rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

function verificationWords(module) {
  if (module.verifying.running) {
    const of = module.verifying.expected ? ` of about ${number(module.verifying.expected)}` : "";
    return `Verifying${module.verifying.collection && " "}${module.verifying.collection}: ${module.verifying.stage}, ${number(module.verifying.done)}${of}`;
  }
  return module.verifications.map((v) => v.outcome === "never" ? `${v.module}: never verified`
    : `${v.module}: ${v.outcome}, ${number(v.compared)} compared, ${number(v.different)} different, ${ago(v.finished)}`).join("; ");
}

// Closed again when there is a newer result.
function offerDifferences(details, verifications) {
  const different = verifications.filter((v) => v.outcome === "different");
  const key = different.map((v) => v.finished).join();
  details.hidden = different.length === 0;
  if (details.dataset.key !== key) details.open = false;
  details.dataset.key = key;
  details.dataset.of = JSON.stringify(different.map((v) => v.module));
}

function showCopy(parts, pipeline) {
  const { copied, expected, eta_s: eta } = pipeline.snapshot;
  parts.copy.hidden = pipeline.state !== "copying";
  if (parts.copy.hidden) return;
  const [bar, words] = parts.copy.children;
  if (expected > 0) bar.value = Math.min(1, copied / expected);
  else bar.removeAttribute("value");
  words.textContent = `${number(copied)} ${expected > 0 ? `of about ${number(expected)} ` : ""}documents copied` + (eta ? `, ${duration(eta)} left` : "");
}

function update(entry, module) {
  const { card, parts } = entry;
  const { pipeline } = module;
  entry.plot ??= makePlot(parts.canvas);
  card.dataset.limit = pipeline.writes_per_second;
  parts.badge.textContent = pipeline.state.replaceAll("_", " ");
  parts.badge.dataset.kind = kinds[pipeline.state] ?? "warn";
  parts.pause.textContent = pipeline.state === "paused" ? "Resume" : "Pause";
  parts.verify.disabled = module.verifying.running;
  parts.facts.replaceChildren(...facts(pipeline));
  parts.verified.textContent = verificationWords(module);
  offerDifferences(parts.differs, module.verifications);
  showCopy(parts, pipeline);
  addPoint(entry.plot, pipeline);
}

export function showModules(modules, refresh) {
  document.getElementById("no-modules").hidden = modules.length > 0;
  for (const module of modules) {
    if (!cards.has(module.name)) {
      cards.set(module.name, makeCard(module.name, refresh));
      document.getElementById("cards").append(cards.get(module.name).card);
    }
    update(cards.get(module.name), module);
  }
}

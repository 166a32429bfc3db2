// Two JSON values side by side, as rows of [path, left, right]: what is the same stands on one line.

// A number as it was written, where JavaScript's would be another (12345678901234567890, 1.0).
export class Exact {
  constructor(text) {
    this.text = text;
  }
}

// For JSON.parse. Engines that do not give the source round, as they always did.
export function exactly(_key, value, context) {
  return typeof value === "number" && context?.source !== undefined && context.source !== String(value) ? new Exact(context.source) : value;
}

const isObject = (value) => typeof value === "object" && value !== null && !(value instanceof Exact);

function scalar(value) {
  return value instanceof Exact ? value.text : JSON.stringify(value);
}

// {"masked":"string","length":12,"hash":"..."} is all that is kept of some values.
export function isMasked(value) {
  return isObject(value) && typeof value.masked === "string" && "hash" in value;
}

export function show(value) {
  if (value === undefined) return "(not there)";
  if (isMasked(value)) return `masked ${value.masked}${value.length === undefined ? "" : `, ${scalar(value.length)} long`}, #${String(value.hash).slice(0, 8)}`;
  if (!isObject(value)) return scalar(value);
  return Array.isArray(value) ? `[${value.map(show).join(", ")}]` : `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${show(v)}`).join(", ")}}`;
}

// Elements belong together by their key where all of both sides have one, else by position.
function keyOf(left, right) {
  const all = [...left, ...right];
  return ["id", "_id"].find((name) => all.length > 0 && all.every((one) => isObject(one) && !isObject(one[name]) && one[name] !== undefined));
}

function pairs(left, right) {
  if (Array.isArray(left) && Array.isArray(right)) {
    const key = keyOf(left, right);
    if (!key) return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => [`[${i}]`, left[i], right[i]]);
    const ids = [...new Set([...left, ...right].map((one) => scalar(one[key])))];
    const by = (list, id) => list.find((one) => scalar(one[key]) === id);
    return ids.map((id) => [`[${key}=${id}]`, by(left, id), by(right, id)]);
  }
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].map((name) => [name, left[name], right[name]]);
}

const sameKind = (a, b) => isObject(a) && isObject(b) && !isMasked(a) && !isMasked(b) && Array.isArray(a) === Array.isArray(b);

// `depth` is how far a row is set in.
export function compare(left, right, path = "", depth = 0, rows = []) {
  for (const [name, a, b] of pairs(left, right)) {
    const at = name.startsWith("[") || !path ? path + name : `${path}.${name}`;
    if (sameKind(a, b)) {
      rows.push({ path: at, name, depth, left: "", right: "", differs: false });
      compare(a, b, at, depth + 1, rows);
    } else {
      rows.push({ path: at, name, depth, left: show(a), right: show(b), differs: show(a) !== show(b) });
    }
  }
  return rows;
}

// Paths of the daemon and ours, as both would write them: without positions, names in any spelling.
export function shapeOf(path) {
  return path.replace(/\[[^\]]*\]/g, "[]").replaceAll("_", "").toLowerCase();
}

export function rowsOf(left, right) {
  return sameKind(left, right) ? compare(left, right)
    : [{ path: "", name: "", depth: 0, left: show(left), right: show(right), differs: show(left) !== show(right) }];
}

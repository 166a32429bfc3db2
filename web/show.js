// Values as people read them.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Who may only look sees no controls of class "change" (style.css), and cannot move the others.
export function mayChange() {
  return document.body.dataset.role !== "viewer";
}

const reachable = "button, input, a[href], [tabindex]";

// Puts new rows in the place of the old ones. Who was on a control of a row is on it again: an event may
// come at any moment.
export function replaceRows(list, rows) {
  const old = list.contains(document.activeElement) ? document.activeElement : null;
  const at = old ? [...list.children].findIndex((row) => row.contains(old)) : -1;
  const key = at < 0 ? null : rowKey(list.children[at]);
  const which = at < 0 ? -1 : [...list.children[at].querySelectorAll(reachable)].indexOf(old);
  list.replaceChildren(...rows);
  const row = rows.find((one) => key !== null && rowKey(one) === key);
  row?.querySelectorAll(reachable)[which]?.focus();
}

function rowKey(row) {
  return row.dataset.flag ?? row.dataset.parked ?? null;
}

export function number(value, digits = 0) {
  return Number(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function ago(time) {
  return `${duration(Math.max(0, (Date.now() - new Date(time)) / 1000))} ago`;
}

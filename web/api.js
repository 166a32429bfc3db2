// The daemon's API as the page uses it: JSON in and out, errors in words, events.

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the daemon answered ${status}`);
    this.status = status;
    this.code = error?.code;
    this.wayOut = error?.way_out;
  }
}

// `reviver` is JSON.parse's.
export async function call(method, path, body, reviver) {
  const options = { method, headers: {}, credentials: "same-origin", cache: "no-store" };
  if (method !== "GET") {
    options.headers["X-Banyan-CSRF"] = "1";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  let json = null;
  try {
    json = text ? JSON.parse(text, reviver) : null;
  } catch {
    // An answer that is no JSON is told by its status.
  }
  if (!answer.ok) throw new ApiError(answer.status, json?.error);
  return json;
}

// Calls `on(type, data)` for each event, and `state("live" | "lost")`; reconnects by itself.
export function listen(types, on, state) {
  const source = new EventSource("/v1/events");
  source.onopen = () => state("live");
  source.onerror = () => state(source.readyState === EventSource.CLOSED ? "closed" : "lost");
  for (const type of types)
    source.addEventListener(type, (event) => on(type, JSON.parse(event.data)));
  return source;
}

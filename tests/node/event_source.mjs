// The part of a browser's EventSource that an OFREP provider uses, for Node: a GET without any header of the page's, a
// connection that is made again by itself after a break, and the end for ever (CLOSED) on any answer but 200.
const RETRY_MS = 100;

export class EventSource extends EventTarget {
  static CLOSED = 2;
  readyState = 0;
  #stop = new AbortController();
  #last = "";

  constructor(url) {
    super();
    this.url = url;
    this.#run();
  }

  close() {
    this.readyState = 2;
    this.#stop.abort();
  }

  async #run() {
    while (this.readyState !== 2) {
      const fatal = await this.#connect().catch(() => false);
      if (this.readyState === 2) return;
      this.readyState = fatal ? 2 : 0;
      this.dispatchEvent(new Event("error"));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  // True: there is no use in asking again.
  async #connect() {
    const headers = { Accept: "text/event-stream" };
    if (this.#last) headers["Last-Event-ID"] = this.#last;
    const answer = await fetch(this.url, { headers, signal: this.#stop.signal });
    if (answer.status !== 200) return true;
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
    let text = "";
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) this.#tell(text.slice(0, end));
    }
    return false;
  }

  #tell(block) {
    const fields = { event: "message", data: [] };
    for (const line of block.split("\n")) {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (name === "data") fields.data.push(value);
      else if (name) fields[name] = value;
    }
    if (fields.id) this.#last = fields.id;
    if (fields.data.length) this.dispatchEvent(new MessageEvent(fields.event, { data: fields.data.join("\n") }));
  }
}

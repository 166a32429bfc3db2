// OpenFeature's JavaScript web SDK against a daemon: node ofrep_web.mjs URL TOKEN FLAG USER MS [events]
// Prints a line at the start and at each change of the configuration that the provider tells. With `events` it never polls,
// as a browser's page by default: what it learns, it learns from the stream of events.
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { EventSource } from "./event_source.mjs";

const [baseUrl, token, flag, user, ms, events] = process.argv.slice(2);
if (events) globalThis.EventSource = EventSource;
const headers = token ? [["Authorization", `Bearer ${token}`]] : [];
await OpenFeature.setContext({ targetingKey: user, plan: "gold" });
await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl, headers, pollInterval: events ? 0 : 200 }));
const client = OpenFeature.getClient();
const show = () => {
  const details = client.getBooleanDetails(flag, true);
  console.log(JSON.stringify({ value: details.value, reason: details.reason, variant: details.variant, error: details.errorCode }));
};
show();
client.addHandler(ProviderEvents.ConfigurationChanged, show);
await new Promise((resolve) => setTimeout(resolve, Number(ms)));
await OpenFeature.close();
process.exit(0);

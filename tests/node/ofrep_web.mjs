// OpenFeature's JavaScript web SDK against a daemon: node ofrep_web.mjs URL TOKEN FLAG USER MS
// Prints a line at the start and at each change of the configuration that the provider tells.
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

const [baseUrl, token, flag, user, ms] = process.argv.slice(2);
const headers = token ? [["Authorization", `Bearer ${token}`]] : [];
await OpenFeature.setContext({ targetingKey: user, plan: "gold" });
await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl, headers, pollInterval: 200 }));
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

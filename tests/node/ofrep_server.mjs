// OpenFeature's JavaScript server SDK against a daemon: node ofrep_server.mjs URL TOKEN FLAG USER COUNT
// Prints one JSON line for each evaluation, one every 100 ms.
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const [baseUrl, token, flag, user, count] = process.argv.slice(2);
const headers = token ? [["Authorization", `Bearer ${token}`]] : [];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
const client = OpenFeature.getClient();
for (let i = 0; i < Number(count); i++) {
  const details = await client.getBooleanDetails(flag, true, { targetingKey: user, plan: "gold" });
  console.log(JSON.stringify({ value: details.value, reason: details.reason, variant: details.variant, error: details.errorCode }));
  if (i + 1 < Number(count)) await new Promise((resolve) => setTimeout(resolve, 100));
}
await OpenFeature.close();

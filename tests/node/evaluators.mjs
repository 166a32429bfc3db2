// What the evaluators of others need for one flag, in-process; `make bench` runs it.
// One JSON line: nanoseconds an evaluation.
import { OpenFeature, InMemoryProvider } from "@openfeature/server-sdk";
import { FlagdCore } from "@openfeature/flagd-core";

const ROUNDS = 5, CALLS = 200000;
const users = Array.from({ length: 1024 }, (_, i) => `user_${i * 37}`);
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

async function measure(call) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) {
      const result = call(users[i & 1023]);
      if (result instanceof Promise) await result;
    }
    times.push(Number(process.hrtime.bigint() - start) / CALLS);
  }
  return median(times);
}

await OpenFeature.setProviderAndWait(new InMemoryProvider({
  f: { disabled: false, variants: { on: true, off: false }, defaultVariant: "off", contextEvaluator: (c) => (c.targetingKey < "user_5" ? "on" : "off") },
}));
const client = OpenFeature.getClient();
const flagd = new FlagdCore();
flagd.setConfigurations(JSON.stringify({ flags: {
  fixed: { state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "on" },
  percentage: { state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "off", targeting: { fractional: [["on", 50], ["off", 50]] } },
} }));
console.log(JSON.stringify({
  "JavaScript OpenFeature SDK, in-memory provider": await measure((user) => client.getBooleanValue("f", false, { targetingKey: user })),
  "flagd's JavaScript evaluator, static": await measure(() => flagd.resolveBooleanEvaluation("fixed", false, {})),
  "flagd's JavaScript evaluator, fractional": await measure((user) => flagd.resolveBooleanEvaluation("percentage", false, { targetingKey: user })),
}));

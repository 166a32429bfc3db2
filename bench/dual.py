"""The part of `make bench` about asking both sides: what the primary's latency has of it, while the other side is fast, stalled, dead."""
import os
import re
import signal
import statistics
import time

import pymongo

from harness.api import serving
from harness.banyan import Banyan
from harness.process import end_group, free_port, start, wait_until
from measure import ROOT, ROUNDS, SECONDS, alternate, answers, pace

LIMIT, SLEEP_US, RATE = 100, 1000, 1000
STALL_US = 60_000_000
BUDGET = {"per_second": 100000, "concurrent": 16}
SHORT = {"breaker": {"open": "500ms"}}  # so that a side that is ill is tried again and again while it is measured


class Documents:
    """MongoDB's side of an operation: the stub, which finds one document after it has slept."""

    def __init__(self):
        self.port, self.process = free_port(), None
        self.fast()

    def uri(self):
        return f"mongodb://127.0.0.1:{self.port}/"

    def _find_us(self, microseconds):
        with pymongo.MongoClient(self.uri(), serverSelectionTimeoutMS=5000, directConnection=True) as client:
            client.admin.command({"banyanStub": 1, "find_us": microseconds})

    def fast(self):
        if not self.process:
            self.process = start([ROOT / "build/bench/banyan-stub", "--port", self.port, "--found", '{"_id": 7}'])
            wait_until(lambda: answers(self.port), 10, "the stub")
        self._find_us(SLEEP_US)

    def stall(self):
        self._find_us(STALL_US)

    def die(self):
        end_group(self.process)
        self.process = None


class Service:
    """One side of a route: a service that answers after it has slept."""

    def __init__(self):
        self.port, self.process = free_port(), None
        self.fast()

    def fast(self):
        if not self.process:
            self.process = start([ROOT / "build/bench/banyan-sleeper", "--port", self.port, "--us", SLEEP_US])
            wait_until(lambda: answers(self.port), 10, "the service")
        os.kill(self.process.pid, signal.SIGUSR2)

    def stall(self):
        os.kill(self.process.pid, signal.SIGUSR1)

    def die(self):
        end_group(self.process)
        self.process = None


def operation(collection):
    return {"sql": "SELECT s.id FROM pg_sleep(0.0009), serving s WHERE s.id = :id", "mongodb": {"find": collection, "filter": {"_id": ":id"}},
            "params": {"id": "int32"}, "returns": "one", "compare": {"sample": "100%"}, "fallback": SHORT}


def module(reads, name, sql, mongodb):
    return {"reads": reads, "budget": BUDGET, "collections": {f"c_{name}": {"table": "serving"}}, "operations": {name: operation(f"c_{name}")},
            "routes": [{"prefix": f"/{name}", "compare": {"sample": "100%"}, "fallback": SHORT,
                        "sql": {"url": f"http://127.0.0.1:{sql.port}", "service": "sql"},
                        "mongodb": {"url": f"http://127.0.0.1:{mongodb.port}", "service": "mongodb"}}]}


def times(port, path, body=None):
    found = pace(port, path, body, rate=RATE)
    return found["p50_us"], found["p99_us"]


class Dual:
    def __init__(self, say, source, _, folder):
        self.say, self.source = say, source
        self.folder = folder / "dual"
        self.folder.mkdir()
        self.gateway = free_port()

    def cases(self, other, ask):
        """Median and p99 in microseconds of the primary: alone, and with the other side in each of its states."""
        def with_other(change):
            def measure():
                change()
                time.sleep(0.7)  # a breaker that was opened before is tried again
                try:
                    return ask("both")
                finally:
                    other.fast()
                    time.sleep(0.7)
            return measure

        return {"alone": lambda: ask("alone"), "fast": with_other(other.fast), "stalled": with_other(other.stall), "dead": with_other(other.die)}

    def table(self, name, other, ask, sampled):
        ask("alone")  # connections
        ask("both")
        before = sampled()
        with_fast = ask("both") and sampled() - before
        found = alternate(self.cases(other, ask))
        alone = found.pop("alone")
        for state, values in found.items():
            half = statistics.median(value[0] - bare[0] for value, bare in zip(values, alone))
            added = statistics.median(value[1] - bare[1] for value, bare in zip(values, alone))
            was, now = (statistics.median(p99 for _, p99 in runs) for runs in (alone, values))
            self.say(f"| {name} | {state} | {half:+,.0f} | {was:,.0f} | {now:,.0f} | {added:+,.0f} | {LIMIT} |")
        return f"{name}: {with_fast / (RATE * SECONDS) * 100:.0f} %"

    def run(self):
        self.say("## Dual execution")
        self.say()
        self.say(f"The 99th percentile of the primary's latency, in µs, at {RATE:,} requests a second, alone and while every read is also "
                 f"asked of the other side, which answers after it has slept 1 ms as the primary does (fast), never answers (stalled), or "
                 "refuses connections (dead). Operations: a `pg_sleep` of PostgreSQL's that waits once for one, and a MongoDB that "
                 "discards. Routes: two services "
                 f"behind the gateway. Medians of {ROUNDS} alternating runs; what is added is the median of the differences within one.")
        self.say()
        documents, sql, mongodb = Documents(), Service(), Service()
        program = Banyan(self.folder / "banyan", {
            "source": {"uri": self.source}, "target": {"uri": documents.uri(), "database": "dual"}, "listen": f"127.0.0.1:{free_port()}",
            "gateway": {"listen": f"127.0.0.1:{self.gateway}", "workers": "1", "module": str(ROOT / "build/gateway/ngx_http_banyan_module.so")},
            "modules": {"alone": module("sql", "alone", sql, mongodb), "both": module("shadow", "both", sql, mongodb)}})
        try:
            with serving(program) as (api, _):
                wait_until(lambda: answers(self.gateway), 20, "the gateway")
                self.tables(api, documents, mongodb)
        finally:
            program.run("gateway", "stop")
            program.close()
            for part in (documents, sql, mongodb):
                part.die()

    def tables(self, api, documents, mongodb):
        port = int(api.address.rpartition(":")[2])

        def count(metric):
            page = api.get("/metrics").expect().body.decode()
            return sum(float(n) for n in re.findall(rf'^{metric}{{module="both",.*}} (.*)$', page, re.M))

        self.say("| what | the other side | added to the median | p99 alone | p99 with it | added | limit |")
        self.say("| --- | --- | --- | --- | --- | --- | --- |")
        shares = [self.table("operation", documents,
                             lambda name: times(port, f"/v1/operations/{name}", {"params": {"id": 7}}),
                             lambda: count("banyan_operation_samples_total")),
                  self.table("route", mongodb, lambda name: times(self.gateway, f"/{name}/7"),
                             lambda: count("banyan_shadow_calls_total"))]
        self.say()
        self.say(f"Of the reads with a fast other side it was asked: {', '.join(shares)}.")
        self.say()

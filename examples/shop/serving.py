"""The demo's second act: requests move from the service on SQL to the one on MongoDB.

Traffic of many users goes through the gateway all the while. The daemon of `banyan serve` takes the
pipelines over from `banyan run`; reads go to MongoDB by flag, in steps; the MongoDB service is
killed; the flag is switched off. Nothing of this may cost a client an error.
"""
import contextlib
import decimal
import http.client
import json
import math
import os
import pathlib
import signal
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/integration"))

from comparison import Comparison  # noqa: E402  (needs the path above)
from customers import Customers  # noqa: E402
from harness.process import end_group, wait_until  # noqa: E402
from harness.shop import ShopService  # noqa: E402
from show import headline, say  # noqa: E402

MODULES = {"catalogue": "catalogue_mongodb", "sales": "sales_mongodb"}
STEPS, STEP_SECONDS = (1, 5, 25, 50, 100), 4
SHADOW_SECONDS, QUIET_SECONDS, KILLED_SECONDS = 6, 5, 5
FIND_SECONDS, ASK_AGAIN_SECONDS = 30, 3
CENT = decimal.Decimal("0.01")
OWN_WRITES, OWN_WRITE_SECONDS = 20, 10
KILL_SWITCH_SECONDS = 1.0  # what is promised of `banyan flags off`
SETTLE_SECONDS = 0.5  # more than two looks of every nginx worker at the flags
USERS = 2000  # of traffic.py


def indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


class Serving:
    def __init__(self, demo, promises):
        self.demo, self.promises = demo, promises
        self.legacy = ShopService("shop-legacy", demo.shop.uri, demo.folder, outlives=demo.keep)
        self.documents = ShopService("shop-documents", demo.mongo.uri(), demo.folder, bug=True, outlives=demo.keep)
        self.customers = self.daemon = self.address = self.comparison = None
        self.different = 0  # differences that the bug has made

    # The parts

    def start(self):
        headline("banyan serve, and the shop's two services behind its gateway")
        self.legacy.start()
        self.documents.start()
        self.daemon = self.demo.banyan.start("serve", env=self.demo.environment())
        self.address = self.daemon.wait_for(r"serving address=(\S+)", 30).group(1)
        self.comparison = Comparison(self.address, self.banyan)
        wait_until(lambda: self.get("/api/products/1", "user-1")[0] == 200, 30, "the gateway answers")
        self.customers = Customers(f"http://{self.demo.gateway}", self.demo.folder, *self.demo.size.traffic,
                                   outlives=self.demo.keep)
        seen = self.customers.over(2)
        say(f"services {self.legacy.url} on SQL, {self.documents.url} on MongoDB; gateway http://{self.demo.gateway}")
        say(f"{seen.answers} answers in 2 s, {seen.latency()}, all of them from SQL: {seen.sources['sql'] == seen.reads}")

    def banyan(self, *arguments):
        return self.demo.banyan.run(*arguments, env=self.demo.environment()).expect(0)

    def show(self, *arguments):
        """A command and its answer."""
        say(f"$ banyan {' '.join(arguments)}")
        say(indented(self.banyan(*arguments).out))

    def get(self, path, user):
        """(status, who answered), through the gateway."""
        status, headers = self.call("GET", path, user)
        return status, headers.get("X-Data-Source")

    def call(self, method, path, user, body=None):
        connection = http.client.HTTPConnection(self.demo.gateway, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"X-User-Id": user} | ({"Content-Type": "application/json"} if body else {}))
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers

    def reads(self, value, why):
        for module in MODULES:
            self.banyan("reads", module, value, "--why", why)
        time.sleep(SETTLE_SECONDS)

    def shadow(self):
        headline("shadow: SQL answers, a sample is asked of MongoDB too and compared")
        self.reads("shadow", "first look")
        seen = self.customers.over(SHADOW_SECONDS)
        self.promises.check(seen.reads and seen.share == 0, f"{seen.reads} reads, all answered by SQL, {seen.latency()}")
        causes = self.comparison.wait_for_causes(FIND_SECONDS)
        say(f"{self.comparison.compared()} answers compared, {self.comparison.different()} differ for good, by cause:")
        for cause in causes:
            self.comparison.tell(cause)
        self.show("report", "--range", "5m")
        self.promises.check([(c["name"], c["path"], c["kind"]) for c in causes] == [("/api/orders", "total", "mismatch")],
                            "what somebody has put into shop-documents is found, and nothing else")
        cents = {e["sql"] - e["mongodb"] for c in causes for e in c["examples"] if c["path"] == "total"}
        self.promises.check(cents == {CENT}, "its explanation: always one cent too little, so it is cut and not rounded")
        return causes

    def repair(self, causes):
        headline("shop-documents again, without the bug")
        self.documents.kill9()
        self.documents.bug = False
        self.documents.start()
        for cause in causes:
            self.comparison.understood(cause, "totals were added up in binary floating point; fixed")
        time.sleep(ASK_AGAIN_SECONDS)  # what was sampled before is settled then
        compared, self.different = self.comparison.compared(), self.comparison.different()
        self.customers.over(QUIET_SECONDS)
        compared = self.comparison.compared() - compared
        self.promises.check(compared and self.comparison.different() == self.different,
                            f"{compared} more answers compared, none of them different")

    def set_share(self, percent, why):
        for flag in MODULES.values():
            self.banyan("flags", "set", flag, "--rollout", str(percent), "--why", why)

    def rollout(self):
        headline("rollout: " + ", ".join(map(str, STEPS)) + " %")
        self.set_share(0, "before the rollout")
        self.reads("flag", "rollout")
        for percent in STEPS:
            self.set_share(percent, f"step {percent} %")
            time.sleep(SETTLE_SECONDS)
            seen = self.customers.over(STEP_SECONDS)
            self.promises.check(self.is_share(seen, percent),
                                f"{percent:3} %: MongoDB answered {seen.share:5.1f} % of {seen.reads} reads, {seen.latency()}")

    @staticmethod
    def is_share(seen, percent):
        """A share of the users was chosen, and users were drawn: twice chance, four times its width."""
        if percent == 100:
            return seen.share == 100
        p = percent / 100
        width = math.sqrt(p * (1 - p) * (1 / max(seen.reads, 1) + 1 / USERS))
        return seen.sources["mongodb"] > 0 and abs(seen.share / 100 - p) < 4 * width + 0.002

    def own_writes(self):
        headline("read your own writes, at 100 %")
        took = []
        for number in range(OWN_WRITES):
            user = f"writer-{number}"
            order = {"customerId": 1 + number, "items": [{"productId": 1 + number, "quantity": 1}]}
            status, headers = self.call("POST", "/api/orders", user, json.dumps(order))
            start, path = time.monotonic(), headers.get("Location", "/")
            answers = [self.get(path, user)]
            while answers[-1] == (200, "sql") and time.monotonic() - start < OWN_WRITE_SECONDS:
                answers.append(self.get(path, user))
            took.append((time.monotonic() - start) * 1000)
            if status != 201 or answers[-1] != (200, "mongodb"):
                self.promises.check(False, f"order {path} of {user}: {status}, then {answers[0]} ... {answers[-1]}")
                return
        self.promises.check(True, f"{OWN_WRITES} orders read back by who placed them, never missing: from SQL until MongoDB has it,"
                                  f" which took {statistics.median(took):.0f} ms (median; longest {max(took):.0f} ms)")

    def query(self):
        headline("the same question to both sides, inside Banyan: banyan query")
        for question in (["get_product", "id=7"], ["search_products", "category=60", "query=e", "limit=2"]):
            answer = self.banyan("query", *question, "--side", "both", "--json")
            both = json.loads(answer.out)
            say(f"{' '.join(question)}: {json.dumps(both['mongodb']['result'], ensure_ascii=False)}")
            self.promises.check(both["equal"], f"both sides say so: SQL after {both['sql']['took_us'] / 1000:.1f} ms, MongoDB"
                                               f" after {both['mongodb']['took_us'] / 1000:.1f} ms")

    def kill_service(self):
        headline("kill -9 of shop-documents, at 100 %")
        before = time.monotonic()
        self.documents.kill9()
        self.customers.over(KILLED_SECONDS)
        seen = self.customers.since(before)
        why = ", ".join(f"{count} {word}" for word, count in sorted(seen.fallbacks.items()))
        self.promises.check(seen.error_count == 0,
                            f"{seen.answers} answers without it, {seen.error_count} errors, {seen.latency()}")
        self.promises.check(seen.fallbacks, f"SQL took over, as X-Banyan-Fallback says: {why}")
        self.documents.start()
        start = time.monotonic()
        wait_until(lambda: self.customers.over(1).share == 100, 30, "MongoDB answers again")
        say(f"started again: MongoDB answers every read after {time.monotonic() - start:.1f} s")

    def kill_switch(self):
        headline("banyan flags off, at 100 %")
        start = time.monotonic()
        answer = self.banyan("flags", "off", MODULES["catalogue"], "--why", "demo: back to SQL")
        took = time.monotonic() - start
        say(indented(answer.out))
        seen = self.customers.over(2)
        last = max(self.customers.since(start).last_mongodb - start, 0)
        self.promises.check(seen.reads and seen.share == 0 and last < KILL_SWITCH_SECONDS,
                            f"the last read that went to MongoDB was sent {last * 1000:.0f} ms after the command was"
                            f" started (it took {took * 1000:.0f} ms); then {seen.reads} reads, all from SQL")

    def play(self):
        self.start()
        self.repair(self.shadow())
        self.rollout()
        self.own_writes()
        self.query()
        self.kill_service()
        self.kill_switch()

        self.show("report", "--range", "5m")
        different = self.comparison.different() - self.different
        self.promises.check(different == 0, f"{self.comparison.compared()} answers compared in all,"
                                            f" {different} different since the repair")

    def leave_nice(self):
        """Something to look at, for who looks at the page."""
        self.banyan("flags", "reset", MODULES["catalogue"], "--why", "demo: the end")
        self.set_share(25, "demo: the end")

    # Ends

    def count(self):
        """What the clients saw in all."""
        seen = self.customers.since(0)
        self.promises.check(seen.error_count == 0, f"{seen.answers} answers in all, {seen.error_count} errors, {seen.latency()}")
        for error in seen.errors[:10]:
            say(f"        {error}")
        self.promises.check(seen.orders and seen.read_back == seen.orders and not seen.fallbacks["404"],
                            f"{seen.orders} orders placed, {seen.read_back} of them read back at once ({self.sources(seen)}),"
                            f" {seen.fallbacks['404']} of them asked of MongoDB too early")

    def finish(self):
        """Traffic and daemon end in good order."""
        self.customers.stop()
        self.count()
        stopped = self.daemon.stop()
        self.promises.check(stopped.code == 0, "banyan serve, asked to stop, ended with exit code 0")
        self.end_nginx()

    @staticmethod
    def sources(seen):
        return ", ".join(f"{count} by {name}" for name, count in sorted(seen.read_back_sources.items()))

    def nginx(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.demo.banyan.folder / "banyan.db.gateway/nginx.pid").read_text())
        return 0

    def end_nginx(self):
        """nginx outlives the daemon, on purpose: it is ended by its own pid file."""
        pid = self.nginx()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 10, "nginx has ended")

    def processes(self):
        """Pids for who ends the demo later: those that end by themselves, and then what served them."""
        return ([self.customers.process.pid, self.daemon.pid],
                [p for p in (self.nginx(), self.legacy.process.pid, self.documents.process.pid) if p])

    def remove(self):
        if self.customers:
            self.customers.kill()
        if self.daemon:
            end_group(self.daemon.process)  # first: it would start nginx again
        self.end_nginx()
        for service in (self.legacy, self.documents):
            if service.process:
                service.kill9()

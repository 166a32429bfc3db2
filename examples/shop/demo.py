#!/usr/bin/env python3
"""The demo: a live shop moves from PostgreSQL to MongoDB, in a few minutes.

Starts a private PostgreSQL and a private SecantusDB (MongoDB-compatible) on free loopback ports in
a temporary folder, loads the shop, lets a workload change it, runs `banyan run all` and `banyan
verify` meanwhile. Then (serving.py) `banyan serve` takes over, and requests move from the shop's
service on SQL to the one on MongoDB. On a terminal it says where the page is, and waits for Enter
with the load running. Stops what it started; --keep leaves it running and says how to look at it and
how to stop it; --small takes a tenth of the shop. Exit code 0: everything was proven equal, and every
promise kept.
"""
import argparse
import json
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from bson import json_util  # noqa: E402
from psycopg.rows import dict_row  # noqa: E402

from harness import process  # noqa: E402  (needs the path above)
from harness.banyan import Banyan  # noqa: E402
from harness.postgres import Database, Postgres  # noqa: E402
from harness.process import HarnessError, end_group, free_port, wait_until  # noqa: E402
from harness.secantus import Secantus  # noqa: E402
from harness.shop import small_data, variables  # noqa: E402
from serving import Serving  # noqa: E402
from show import Follower, Promises, headline, say  # noqa: E402

COLLECTIONS = ["categories", "products", "customers", "orders"]
TABLES = ["categories", "products", "product_images", "customers", "addresses", "orders",
          "order_items", "payments"]
RATE = 100  # transactions a second: what the target can follow with room to spare
SNAPSHOT_SECONDS, VERIFY_SECONDS, LAG_SECONDS = 600, 600, 60  # they only end what hangs
LAG_PROBES = 25


class Size:
    """How large the shop is, and what its workload and its traffic must know of that."""

    def __init__(self, small):
        self.data = small_data() if small else (HERE / "data.sql").read_text()
        self.workload = ["--products", 1000, "--spare", 200] if small else []
        self.traffic = ["--products", 899, "--spare", 200] if small else []


class Demo:
    def __init__(self, keep, small):
        self.keep, self.size = keep, Size(small)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-demo-"))
        self.folder.chmod(0o755)
        self.postgres = self.mongo = self.shop = self.banyan = self.run = self.workload = None
        self.serving, self.promises = None, Promises()
        self.gateway, self._listen = (f"127.0.0.1:{free_port()}" for _ in range(2))

    # The parts

    def start_servers(self):
        headline("PostgreSQL and SecantusDB on free ports")
        self.postgres = Postgres(self.folder / "postgres", outlives=self.keep).start()
        self.mongo = Secantus(self.folder / "mongodb", outlives=self.keep).start()
        self.postgres.execute("CREATE DATABASE shop")
        self.shop = Database(self.postgres, "shop")
        say(f"source {self.shop.uri}")
        say(f"target {self.mongo.uri()}")
        say(f"folder {self.folder}")

    def load(self):
        headline("the shop")
        start = time.monotonic()
        self.shop.execute((HERE / "schema.sql").read_text())
        self.shop.execute(self.size.data)
        counts = {table: self.shop.execute(f"SELECT count(*) FROM {table}")[0][0]
                  for table in TABLES}
        say(", ".join(f"{count:,} {table}" for table, count in counts.items()))
        say(f"{sum(counts.values()):,} rows loaded in {time.monotonic() - start:.1f} s")

    def start_workload(self):
        headline(f"a live workload: {RATE} transactions a second from here on")
        with open(self.folder / "workload.json", "wb") as out, \
                open(self.folder / "workload.log", "wb") as log:
            self.workload = process.start(
                [sys.executable, HERE / "workload.py", "--uri", self.shop.uri, "--rate", RATE,
                 *self.size.workload],
                death_signal=None if self.keep else "TERM", stdout=out, stderr=log)

    def start_run(self):
        """Starts `banyan run all` and waits until every collection has caught up."""
        headline("banyan run all")
        self.banyan = Banyan(self.folder / "banyan", (HERE / "banyan.yml").read_text(),
                             outlives=self.keep)
        shutil.copy(HERE / "feature-flags.yml", self.banyan.folder)
        self.serving = Serving(self, self.promises)
        self.run = self.banyan.start("run", "all", env=self.environment())
        follower, start = Follower(self.run, "run"), time.monotonic()
        try:
            wait_until(self._caught_up, SNAPSHOT_SECONDS, "all collections caught up", 0.2)
        finally:
            follower.close()
        say(f"copied and caught up after {time.monotonic() - start:.1f} s, and streaming")

    def environment(self):
        return variables(self.shop.uri, self.mongo.uri(), self.serving.legacy.url,
                         self.serving.documents.url, self.gateway, self._listen)

    def _caught_up(self):
        if not self.run.is_running():
            raise HarnessError(f"banyan run ended with {self.run.process.returncode}")
        done = set(re.findall(r"\bcaught_up\b.*?collection=\"?(\w+)", self.run.err))
        return done >= set(COLLECTIONS)

    def verify(self):
        """Compares everything while the workload goes on; returns the exit code."""
        headline("banyan verify all, while the workload goes on")
        running = self.banyan.start("verify", "all", env=self.environment())
        follower = Follower(running, "verify")
        try:
            result = running.wait(VERIFY_SECONDS)
        finally:
            follower.close()
        say(result.out.rstrip())
        return result.code

    def measure_lag(self, probes):
        """Milliseconds from a commit in PostgreSQL until MongoDB shows it, by writing and looking."""
        lags = []
        with self.mongo.client() as client, self.shop.connect() as connection:
            orders = client.shop.orders
            for number in range(probes):
                note = f"probe {number} at {time.time()}"
                order = connection.execute(
                    "UPDATE orders SET note = %s WHERE id = (SELECT max(id) FROM orders"
                    " WHERE id <= 40000) RETURNING id", [note]).fetchone()[0]
                start = time.monotonic()
                wait_until(lambda: self._shown(orders, connection, order, note), LAG_SECONDS,
                           "a change in MongoDB", 0.002)
                lags.append((time.monotonic() - start) * 1000)
        return lags

    @staticmethod
    def _shown(orders, connection, order, note):
        if orders.find_one({"_id": order, "note": note}, {"_id": 1}):
            return True
        # Overwritten or gone in the meantime by the workload: nothing to wait for.
        return connection.execute("SELECT 1 FROM orders WHERE id = %s AND note = %s",
                                  [order, note]).fetchone() is None

    def stop_workload(self):
        self.workload.send_signal(signal.SIGTERM)
        code = self.workload.wait(30)
        if code != 0:
            raise HarnessError("the workload failed: " + process.tail(self.folder / "workload.log"))
        return json.loads((self.folder / "workload.json").read_text())

    def show_order(self):
        """One order's rows and its document."""
        headline("one order, as rows and as a document")
        self.measure_lag(1)  # the last changes of the workload have arrived then
        with self.shop.connect(row_factory=dict_row) as connection:
            order = connection.execute(
                "SELECT order_id FROM order_items JOIN payments USING (order_id) GROUP BY 1"
                " HAVING count(DISTINCT line_no) = 2 AND count(DISTINCT payments.id) = 1"
                " ORDER BY 1 LIMIT 1").fetchone()["order_id"]
            for statement in (
                    "SELECT * FROM orders WHERE id = %s",
                    "SELECT i.*, p.sku, p.name FROM order_items i JOIN products p"
                    " ON p.id = product_id WHERE order_id = %s ORDER BY line_no",
                    "SELECT * FROM payments WHERE order_id = %s"):
                rows = connection.execute(statement, [order]).fetchall()
                table = re.search(r"FROM (\w+)", statement)[1]
                for row in rows:
                    say(f"{table}: " + " | ".join(f"{k} {v}" for k, v in row.items()))
        with self.mongo.client() as client:
            document = client.shop.orders.find_one({"_id": order})
        say(json_util.dumps(document, indent=2, ensure_ascii=False))

    def summary(self, lags, work):
        headline("summary")
        with self.mongo.client() as client:
            counts = {name: client.shop[name].count_documents({}) for name in COLLECTIONS}
        say("documents      " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
        if work:
            say(f"workload       {work['transactions']:,} transactions with {work['rows']:,} rows in"
                f" {work['seconds']:.0f} s, {work['kinds'].get('rolled_back', 0):,} rolled back")
        say(f"lag            median {statistics.median(lags):.0f} ms, longest {max(lags):.0f} ms,"
            f" from commit to visible in the target ({len(lags)} probes)")
        done = self.banyan.run("status", "all", env=self.environment())
        say("status")
        say("\n".join("    " + line for line in done.out.splitlines()))
        if self.keep:
            self.serving.count()
        else:
            self.serving.finish()
        say(self.promises.count())

    def take_over(self):
        """From `banyan run` to `banyan serve`."""
        stopped = self.run.stop()
        self.promises.check(stopped.code == 0, "banyan run, asked to stop, ended with exit code 0")
        self.serving.play()

    def show_page(self):
        self.serving.leave_nice()
        headline(f"banyan serve: http://{self.serving.address}/ with traffic and workload still running")
        say("Press Enter to end: ")
        sys.stdin.readline()  # or the end of an input that is no terminal

    # Ends

    def leave_running(self):
        stop = self.folder / "stop"
        clients, services = self.serving.processes()
        servers = [self.mongo.process.pid, self.postgres.process.pid]
        stop.write_text(
            "#!/bin/sh\n# Ends the demo and removes its folder.\n"
            + "".join(f"kill -TERM {pid}\n" for pid in [self.workload.pid, *clients]) + "sleep 5\n"
            + "".join(f"kill -TERM {pid}\n" for pid in services)
            + "".join(f"kill -INT {pid}\n" for pid in servers) + "sleep 2\n"
            + f"rm -rf {self.folder}\n")
        stop.chmod(0o755)
        exports = " ".join(f"{name}='{value}'" for name, value in self.environment().items())
        headline("left running")
        say(f"rows        psql '{self.shop.uri}'")
        say(f"documents   .venv/bin/python -c \"import pymongo; print(pymongo.MongoClient("
            f"'{self.mongo.uri()}').shop.orders.find_one())\"")
        say(f"            (any MongoDB client works: {self.mongo.uri()})")
        say(f"banyan      cd {self.banyan.folder}; export {exports}; {self.banyan.binary} status all")
        say(f"gateway     curl -i -H 'X-User-Id: user-1' http://{self.gateway}/api/orders/1")
        say(f"page        http://{self.serving.address}/")
        say(f"logs        {self.banyan.folder}/*.err, {self.folder}/*.log")
        say(f"stop        {stop}")

    def remove(self):
        """Whatever was started ends, in the order of the flow."""
        end_group(self.workload)
        if self.serving:
            self.serving.remove()
        if self.banyan:
            self.banyan.close()
        if self.mongo:
            self.mongo.remove()
        if self.postgres:
            self.postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def play(self):
        self.start_servers()
        self.load()
        self.start_workload()
        self.start_run()
        self.promises.check(self.verify() == 0, "every document equals its rows, while they change")
        headline("lag, with the workload going on")
        lags = self.measure_lag(LAG_PROBES)
        say(f"{len(lags)} changes followed into MongoDB")
        self.take_over()
        if self.keep:
            self.serving.leave_nice()
        elif sys.stdout.isatty():
            self.show_page()
        work = None if self.keep else self.stop_workload()
        self.show_order()
        self.summary(lags, work)
        if self.keep:
            self.leave_running()
        return self.promises.kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--small", action="store_true", help="a tenth of the shop")
    arguments, start, done = parser.parse_args(), time.monotonic(), False
    demo = Demo(arguments.keep, arguments.small)
    try:
        kept = demo.play()
        done = True
    except (HarnessError, subprocess.SubprocessError, AssertionError) as error:
        sys.exit(f"demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit("demo ended")
    finally:
        if not (done and demo.keep):
            demo.remove()
    say(f"\n{'every promise kept' if kept else 'NOT every promise kept'}, {time.monotonic() - start:.0f} s in all")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

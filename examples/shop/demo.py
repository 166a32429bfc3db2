#!/usr/bin/env python3
"""The demo: a live shop moves from PostgreSQL to MongoDB and is proven equal, in a few minutes.

Starts a private PostgreSQL and a private SecantusDB (MongoDB-compatible) on free loopback ports in
a temporary folder, loads the shop, lets a workload change it, runs `banyan run all` and `banyan
verify` meanwhile, and says what came of it. On a terminal it goes on with `banyan serve`, says where
its page is, and waits for Enter. Stops what it started; --keep leaves it running and says how to look
at it and how to stop it. Exit code 0: everything was proven equal.
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
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from bson import json_util  # noqa: E402
from psycopg.rows import dict_row  # noqa: E402

from harness import process  # noqa: E402  (needs the path above)
from harness.banyan import Banyan  # noqa: E402
from harness.postgres import Database, Postgres  # noqa: E402
from harness.process import HarnessError, end_group, wait_until  # noqa: E402
from harness.secantus import Secantus  # noqa: E402

COLLECTIONS = ["categories", "products", "customers", "orders"]
TABLES = ["categories", "products", "product_images", "customers", "addresses", "orders",
          "order_items", "payments"]
RATE = 100  # transactions a second: what the target can follow with room to spare
SNAPSHOT_SECONDS, VERIFY_SECONDS, LAG_SECONDS = 180, 180, 60
LAG_PROBES = 25


def say(text=""):
    print(text, flush=True)


def headline(text):
    say(f"\n== {text}")


class Follower:
    """Shows what a background command prints, as it comes."""

    def __init__(self, running, prefix):
        self._running, self._prefix = running, prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        shown = 0
        while True:
            ending = self._stop.wait(0.2)
            # A terminal's progress line is rewritten with carriage returns: here each is a line.
            lines = re.split(r"[\r\n]+", self._running.err)
            complete = lines if ending else lines[:-1]
            for line in complete[shown:]:
                if line.strip():
                    say(f"{self._prefix} | {line}")
            shown = len(complete)
            if ending:
                return

    def close(self):
        self._stop.set()
        self._thread.join()


class Demo:
    def __init__(self, keep):
        self.keep = keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-demo-"))
        self.folder.chmod(0o755)
        self.postgres = self.mongo = self.shop = self.banyan = self.run = self.workload = None

    # The parts

    def start_servers(self):
        headline("PostgreSQL and SecantusDB on free ports")
        self.postgres = Postgres(self.folder / "postgres", outlives=self.keep).start()
        self.mongo = Secantus(self.folder / "mongodb", outlives=self.keep).start()
        self.postgres.execute("CREATE DATABASE shop")
        self.shop = Database(self.postgres, "shop")
        say(f"source {self.shop.uri}")
        say(f"target {self.mongo.uri()}")

    def load(self):
        headline("the shop")
        start = time.monotonic()
        for name in ("schema.sql", "data.sql"):
            self.shop.execute((HERE / name).read_text())
        counts = {table: self.shop.execute(f"SELECT count(*) FROM {table}")[0][0]
                  for table in TABLES}
        say(", ".join(f"{count:,} {table}" for table, count in counts.items()))
        say(f"{sum(counts.values()):,} rows loaded in {time.monotonic() - start:.1f} s")

    def start_workload(self):
        headline(f"a live workload: {RATE} transactions a second from here on")
        with open(self.folder / "workload.json", "wb") as out, \
                open(self.folder / "workload.log", "wb") as log:
            self.workload = process.start(
                [sys.executable, HERE / "workload.py", "--uri", self.shop.uri, "--rate", RATE],
                death_signal=None if self.keep else "TERM", stdout=out, stderr=log)

    def start_run(self):
        """Starts `banyan run all` and waits until every collection has caught up."""
        headline("banyan run all")
        self.banyan = Banyan(self.folder / "banyan", (HERE / "banyan.yml").read_text(),
                             outlives=self.keep)
        self.run = self.banyan.start("run", "all", env=self.environment())
        follower, start = Follower(self.run, "run"), time.monotonic()
        try:
            wait_until(self._caught_up, SNAPSHOT_SECONDS, "all collections caught up", 0.2)
        finally:
            follower.close()
        say(f"copied and caught up after {time.monotonic() - start:.1f} s, and streaming")

    def environment(self):
        return {"SHOP_SOURCE": self.shop.uri, "SHOP_TARGET": self.mongo.uri(),
                "SHOP_LISTEN": "127.0.0.1:0"}

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

    def summary(self, code, lags, work):
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
        say("verification   " + ("every document equals its rows" if code == 0 else
                                 f"exit code {code}"))

    def show_page(self):
        """The daemon goes on where the run stopped, the workload still changes the shop."""
        shutil.copy(HERE / "feature-flags.yml", self.banyan.folder)
        daemon = self.banyan.start("serve", env=self.environment())
        address = daemon.wait_for(r"serving address=(\S+)", 30).group(1)
        headline(f"banyan serve: http://{address}/ with the workload still running")
        input("Press Enter to end: ")
        daemon.stop()

    # Ends

    def leave_running(self):
        stop = self.folder / "stop"
        groups = [p.pid for p in (self.workload, self.run.process) if p.poll() is None]
        servers = [self.mongo.process.pid, self.postgres.process.pid]
        stop.write_text(
            "#!/bin/sh\n# Ends the demo and removes its folder.\n"
            + "".join(f"kill -TERM {pid}\n" for pid in groups) + "sleep 2\n"
            + "".join(f"kill -INT {pid}\n" for pid in servers) + "sleep 2\n"
            + f"rm -rf {self.folder}\n")
        stop.chmod(0o755)
        variables = " ".join(f"{name}='{value}'" for name, value in self.environment().items())
        headline("left running")
        say(f"rows        psql '{self.shop.uri}'")
        say(f"documents   .venv/bin/python -c \"import pymongo; print(pymongo.MongoClient("
            f"'{self.mongo.uri()}').shop.orders.find_one())\"")
        say(f"            (any MongoDB client works: {self.mongo.uri()})")
        say(f"banyan      cd {self.banyan.folder}; export {variables}; {self.banyan.binary} status all")
        say(f"logs        {self.banyan.folder}/*.err, {self.folder}/workload.log")
        say(f"stop        {stop}")

    def remove(self):
        """Whatever was started ends, in the order of the flow."""
        end_group(self.workload)
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
        code = self.verify()
        headline("lag, with the workload going on")
        lags = self.measure_lag(LAG_PROBES)
        say(f"{len(lags)} changes followed into MongoDB")
        watched = sys.stdout.isatty() and not self.keep
        work = None if self.keep or watched else self.stop_workload()
        self.summary(code, lags, work)
        self.show_order()
        if self.keep:
            self.leave_running()
            return code == 0
        stopped = self.run.stop()
        headline(f"banyan run, asked to stop, ended with exit code {stopped.code}")
        if watched:
            self.show_page()
        return code == 0 and stopped.code == 0

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    demo, start, done = Demo(parser.parse_args().keep), time.monotonic(), False
    try:
        equal = demo.play()
        done = True
    except (HarnessError, subprocess.SubprocessError, AssertionError) as error:
        sys.exit(f"demo failed: {error}")
    finally:
        if not (done and demo.keep):
            demo.remove()
    say(f"\n{'proven equal' if equal else 'NOT proven equal'}, {time.monotonic() - start:.0f} s in all")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""make bench: the product beside its bound, over the same rows, on the same machine, in one run.

The target is a stub that discards documents, so the figures are Banyan's and not a server's. Bounds
are PostgreSQL's own clients: COPY thrown away for the snapshot, pg_recvlogical for the stream. Each
pair is run alternately, several times, and the median counts. Everything is printed as Markdown;
--write also puts it into docs/performance.md.
"""
import argparse
import contextlib
import os
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

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

import pymongo  # noqa: E402
from harness.postgres import Database, Postgres, binaries  # noqa: E402
from harness.process import end_group, free_port, start, wait_until  # noqa: E402
from harness.banyan import to_yaml  # noqa: E402
from dual import Dual  # noqa: E402
from serving import Serving  # noqa: E402
from shadow import Shadow  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
BINARY = ROOT / "build/src/cli/banyan"
STUB = ROOT / "build/bench/banyan-stub"
PARTS = ("snapshot", "stream", "latency", "flags", "comparison", "gateway", "shadow", "dual")


class Stub:
    """The discarding MongoDB."""

    def __init__(self, folder):
        self.port = free_port()
        self._log = open(folder / "stub.log", "wb")
        self.process = start([STUB, "--port", self.port, "--latency-field", "sent_us"],
                             stdout=self._log, stderr=self._log)
        self.client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=5000,
                                          directConnection=True)
        wait_until(self._answers, 20, "the stub to answer")

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.port}/"

    def _answers(self):
        with contextlib.suppress(pymongo.errors.PyMongoError):
            return self.client.admin.command("ping")
        return False

    def counts(self, reset=False):
        return self.client.admin.command({"banyanStub": 1, "reset": reset})

    def close(self):
        self.client.close()
        end_group(self.process)
        self._log.close()


class Ended:
    """A command that ended: how long it took and what it needed."""

    def __init__(self, seconds, usage, code, peak_mb):
        self.seconds, self.code, self.peak_mb = seconds, code, peak_mb
        self.cpu = usage.ru_utime + usage.ru_stime


class Peak(threading.Thread):
    """The high-water mark of a process's memory. Read while it lives, every 20 ms: what wait4 gives
    would count the pages of this script that the child had before it became another program."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._status = pathlib.Path(f"/proc/{pid}/status")
        self.mb = 0.0
        self.start()

    def run(self):
        while True:
            try:
                match = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text())
            except OSError:
                return
            if not match:
                return
            self.mb = int(match[1]) / 1024
            time.sleep(0.02)


def wait_for(process, begin):
    peak = Peak(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(seconds, usage, process.returncode, peak.mb)


def timed(command, **options):
    """Runs it, waits, measures."""
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
    return wait_for(process, begin)


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-bench-"))
        self.folder.chmod(0o755)
        self.pg = Postgres(self.folder / "postgres",
                           options={"shared_buffers": "1GB", "max_wal_size": "8GB",
                                    "checkpoint_timeout": "1h"}).start()
        self.database = Database(self.pg, self.pg.create_database("bench"))
        self.stub = Stub(self.folder)
        self.number = 0
        self.lines = []

    def close(self):
        self.stub.close()
        self.pg.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    # ---- pieces ----

    def config(self, collections):
        """A module of its own, with its own state and slot, so that runs do not meet."""
        self.number += 1
        folder = self.folder / f"run{self.number}"
        folder.mkdir()
        config = {"source": {"uri": self.database.uri, "slot": f"bench{self.number}",
                             "heartbeat": "1s"},
                  "target": {"uri": self.stub.uri, "database": "bench"},
                  "state": str(folder / "state.db"),
                  "modules": {"m": {"collections": collections}}}
        path = folder / "banyan.yml"
        path.write_text(to_yaml(config) + "\n")
        return folder, path

    def banyan(self, folder, path, *more):
        with open(folder / "err", "ab") as err:
            ended = timed([BINARY, "run", "m", "-c", path, *more], stdout=err, stderr=err)
        if ended.code:
            sys.exit(f"banyan run failed ({ended.code}):\n{(folder / 'err').read_text()[-3000:]}")
        return ended

    def drop_slot(self):
        self.database.execute(f"SELECT pg_drop_replication_slot('bench{self.number}_m')")

    def copy(self, table):
        """COPY of a table, thrown away: the bound."""
        return timed([binaries() / "psql", "-X", "-q", "-d", self.database.uri,
                      "-c", f"COPY {table} TO STDOUT"], stdout=subprocess.DEVNULL)

    def prepare(self):
        self.database.execute((HERE / "schema.sql").read_text())
        with self.database.connect(autocommit=True) as connection:
            sizes = {"flat": self.arguments.flat, "orders": self.arguments.orders}
            for statement in ((HERE / "load.sql").read_text() % sizes).split(";\n"):
                if statement.strip():
                    connection.execute(statement)

    # ---- snapshot ----

    def snapshot(self, collections, tables, rows):
        bounds, products, peaks, cpus = [], [], [], []
        for _ in range(self.arguments.rounds):
            bounds.append(sum(self.copy(table).seconds for table in tables))
            self.stub.counts(reset=True)
            ended = self.banyan(*self.config(collections), "--snapshot-only")
            written = self.stub.counts()["insert"]
            assert written == rows, f"{written} documents, not {rows}"
            self.drop_slot()
            products.append(ended.seconds)
            peaks.append(ended.peak_mb)
            cpus.append(ended.cpu)
        return (statistics.median(bounds), statistics.median(products), max(peaks),
                statistics.median(cpus))

    def snapshots(self):
        self.say("## Snapshot")
        self.say()
        self.say("Limits: 0.4 of COPY's rows a second for the flat table, 64 MB.")
        self.say()
        self.say("| what | documents | COPY, s | Banyan, s | rows/s of COPY | CPU, s | peak MB |")
        self.say("| --- | --- | --- | --- | --- | --- | --- |")
        flat, orders = self.arguments.flat, self.arguments.orders
        nested = {"table": "orders", "embed": {"items": {"table": "items",
                                                         "join": {"order_id": "id"}}}}
        for name, collections, tables, rows in (
                ("flat, 8 columns with jsonb", {"flat": {"table": "flat"}}, ["flat"], flat),
                ("orders with 4 embedded items", {"orders": nested}, ["orders", "items"], orders)):
            bound, product, peak, cpu = self.snapshot(collections, tables, rows)
            self.say(f"| {name} | {rows:,} | {bound:.2f} | {product:.2f} | {bound / product:.2f} | "
                     f"{cpu:.1f} | {peak:.0f} |")
        self.say()

    # ---- stream ----

    def write_stream(self, statements):
        with self.database.connect(autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def receive_logical(self, slot, publication, end):
        return timed([binaries() / "pg_recvlogical", "-d", self.database.uri, "--slot", slot,
                      "--start", "--endpos", end, "-f", "/dev/null", "--no-loop",
                      "-o", "proto_version=1", "-o", f"publication_names={publication}"],
                     stderr=subprocess.DEVNULL)

    def stream_case(self, name, changes, statements):
        folder, path = self.config({"stream": {"table": "stream"}})
        self.banyan(folder, path, "--snapshot-only")
        publication = f"bench{self.number}_m"
        self.database.execute("SELECT pg_create_logical_replication_slot('bound', 'pgoutput')")
        self.write_stream(statements)
        end = self.database.execute("SELECT pg_current_wal_insert_lsn()::text")[0][0]
        bound = self.receive_logical("bound", publication, end)
        if bound.code:
            sys.exit(f"pg_recvlogical failed ({bound.code})")
        ended = self.banyan(folder, path, "--catch-up")
        self.drop_slot()
        self.database.execute("SELECT pg_drop_replication_slot('bound')")
        self.say(f"| {name} | {changes:,} | {changes / bound.seconds:,.0f} | "
                 f"{changes / ended.seconds:,.0f} | {bound.seconds / ended.seconds:.2f} | "
                 f"{ended.cpu:.1f} | {ended.peak_mb:.0f} |")

    def streams(self):
        self.say("## Stream")
        self.say()
        self.say("The same log, read once by pg_recvlogical (thrown away) and once by Banyan. Limits: "
                 "0.5 of its changes a second, 64 MB.")
        self.say()
        self.say("| what | changes | pg_recvlogical, /s | Banyan, /s | ratio | CPU, s | peak MB |")
        self.say("| --- | --- | --- | --- | --- | --- | --- |")
        inserts, updates = self.arguments.inserts, self.arguments.updates
        self.stream_case("inserts, transactions of 1000", inserts, [
            "DO $$ BEGIN FOR i IN 0.." + str(inserts // 1000 - 1) + " LOOP INSERT INTO stream SELECT "
            "n, 'name ' || n, n % 1000, n % 2 = 0, now(), md5(n::text)::uuid, n, "
            "jsonb_build_object('n', n) FROM generate_series(i * 1000 + 1, i * 1000 + 1000) n; "
            "COMMIT; END LOOP; END $$"])
        self.stream_case("updates, transactions of 100", updates, [
            "DO $$ BEGIN FOR i IN 0.." + str(updates // 100 - 1) + " LOOP UPDATE stream SET price = "
            "price + 1 WHERE id BETWEEN i * 100 + 1 AND i * 100 + 100; COMMIT; END LOOP; END $$"])
        giant = self.arguments.giant
        self.stream_case("inserts, one transaction", giant, [
            "TRUNCATE stream",
            "INSERT INTO stream SELECT n, 'name ' || n, n % 1000, n % 2 = 0, now(), "
            f"md5(n::text)::uuid, n, '{{}}' FROM generate_series(1, {giant}) n"])
        self.say()

    # ---- latency ----

    def pulse(self, rate, seconds):
        """Single-row transactions at a rate, each with the time just before its commit."""
        with self.database.connect(autocommit=True) as connection:
            begin, sent = time.monotonic(), 0
            first = self.database.execute("SELECT coalesce(max(id), 0) FROM pulse")[0][0]
            while (now := time.monotonic() - begin) < seconds:
                due = int(now * rate)
                if sent >= due:
                    time.sleep(0.0005)
                    continue
                # what is due goes as one pipeline of single-row transactions
                with connection.pipeline():
                    while sent < due:
                        sent += 1
                        connection.execute(
                            "INSERT INTO pulse VALUES (%s, (extract(epoch FROM clock_timestamp()) "
                            "* 1000000)::bigint, 'x')", (first + sent,))
        return sent / seconds

    def latency_case(self, rate):
        folder, path = self.config({"pulse": {"table": "pulse"}})
        self.banyan(folder, path, "--snapshot-only")
        with open(folder / "err", "ab") as err:
            process = subprocess.Popen([BINARY, "run", "m", "-c", path], stdin=subprocess.DEVNULL,
                                       stdout=err, stderr=err)
        peak = Peak(process.pid)
        time.sleep(2)
        self.stub.counts(reset=True)
        achieved = self.pulse(rate, self.arguments.seconds)
        time.sleep(1)
        counts = self.stub.counts()
        process.send_signal(signal.SIGTERM)
        process.wait()
        self.drop_slot()
        self.say(f"| {rate:,} | {achieved:,.0f} | {counts['latency_p50_us'] / 1000:.1f} | "
                 f"{counts['latency_p99_us'] / 1000:.1f} | {peak.mb:.0f} |")

    def latencies(self):
        self.say("## Latency")
        self.say()
        self.say("From the clock in the INSERT (so before its commit) to the document's arrival at "
                 "the target. Limit: 64 MB; for the time there is none.")
        self.say()
        self.say("| changes/s asked | reached | p50 ms | p99 ms | peak MB |")
        self.say("| --- | --- | --- | --- | --- |")
        for rate in (1000, 5000):
            self.latency_case(rate)
        self.say()

    def run(self):
        self.say("# Performance")
        self.say()
        version = re.sub(r"\s+\(.*", "", self.pg.version() if callable(self.pg.version)
                         else str(self.pg.version))
        self.say(f"Output of `make bench`, as it is. {os.cpu_count()} cores shared by PostgreSQL "
                 f"{version}, Banyan and the discarding target; median of {self.arguments.rounds} "
                 "alternating runs; Banyan's time is the whole command, from start to exit.")
        self.say()
        parts = self.arguments.parts
        if parts & {"snapshot", "stream", "latency"}:
            self.prepare()
        for part, run in (("snapshot", self.snapshots), ("stream", self.streams), ("latency", self.latencies)):
            if part in parts:
                run()
        self.database.execute("CREATE TABLE serving (id int PRIMARY KEY)")
        self.database.execute("INSERT INTO serving VALUES (7)")
        where = (self.say, self.database.uri, self.stub.uri, self.folder)
        serving = Serving(*where)
        for part, run in (("flags", serving.flags), ("comparison", serving.comparison), ("gateway", serving.run),
                          ("shadow", Shadow(*where).run), ("dual", Dual(*where).run)):
            if part in parts:
                run()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flat", type=int, default=2_000_000)
    parser.add_argument("--orders", type=int, default=500_000)
    parser.add_argument("--inserts", type=int, default=500_000)
    parser.add_argument("--updates", type=int, default=250_000)
    parser.add_argument("--giant", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, fewer and shorter runs: whether it works")
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these, of {' '.join(PARTS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {' '.join(sorted(unknown))} (there are {' '.join(PARTS)})")
    if arguments.write and (arguments.parts or arguments.quick):
        parser.error("--write is for a whole run: all figures of the page belong together")
    if arguments.quick:
        for name in ("flat", "orders", "inserts", "updates", "giant"):
            setattr(arguments, name, getattr(arguments, name) // 100)
        arguments.rounds, arguments.seconds = 1, 3
    arguments.parts = set(arguments.parts or PARTS)
    bench = Bench(arguments)
    try:
        bench.run()
    finally:
        bench.close()
    if arguments.write:
        (ROOT / "docs/performance.md").write_text("\n".join(bench.lines).rstrip() + "\n")


if __name__ == "__main__":
    # Children of the harness end with the thread that started them, so nothing is left behind.
    threading.current_thread().name = "bench"
    main()

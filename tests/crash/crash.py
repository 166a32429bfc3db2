#!/usr/bin/env python3
"""Crash test: nothing is lost and nothing is doubled, whatever is killed and whenever.

    tests/crash/crash.py --kills 5 [--seed S] [--long] [--consistent] [--keep DIR]

Under a load of random DML, at random moments of copy and stream: kill -9 of banyan, of the target
and of PostgreSQL, cut networks on both sides, errors of the target that pass. Whatever was killed is
started again. In the end `run --catch-up` must succeed, and every document must be the one of a
fresh snapshot, byte for byte. A run of `banyan` that ends by itself once it copies or streams has
failed too: all of this must be waited out.

The seed fixes the faults, their order and the load; moments are those of the machine. The last line
counts the faults that were survived. Exit code 1: the test failed.
"""
import pathlib
import random
import re
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "property"), str(HERE.parent / "integration")]

from harness import trial  # noqa: E402  (needs the paths above)
from harness.banyan import Banyan  # noqa: E402
from harness.compare import differences  # noqa: E402
from harness.postgres import Database, Postgres  # noqa: E402
from harness.process import HarnessError  # noqa: E402
from harness.proxy import Proxy  # noqa: E402
from harness.secantus import Secantus  # noqa: E402
from faults import Faults  # noqa: E402
from load import COLLECTIONS, Writer, create  # noqa: E402

ROWS = 1500
CATCH_UP_SECONDS = 180
LIVE, FRESH = "live", "fresh"
_AT_WORK = re.compile(r"copying:|catching up:|streaming:")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Stage:
    """All that can be killed."""

    def __init__(self, folder, servers_folder, seed, consistent):
        self.pg = Postgres(servers_folder / "postgres").start()
        self.mongo = Secantus(servers_folder / "secantus", sync=True, test_commands=True).start()
        self.pg_proxy, self.mongo_proxy = Proxy(self.pg.port), Proxy(self.mongo.port)
        self.database = Database(self.pg, self.pg.create_database("crash"))
        self._consistent = consistent
        create(self.database.uri, ROWS, seed)
        for module in (LIVE, FRESH):  # a kept folder may hold the state of another time
            shutil.rmtree(folder / module, ignore_errors=True)
        self._programs = {module: Banyan(folder / module, self._configuration(module))
                          for module in (LIVE, FRESH)}
        self._running = None
        self.restarts = 0

    def _configuration(self, module):
        through = module == LIVE  # the fresh snapshot meets no proxy
        pg_port, mongo_port = ((self.pg_proxy.port, self.mongo_proxy.port) if through
                               else (self.pg.port, self.mongo.port))
        return {
            "source": {"uri": self.pg.uri(self.database.name, port=pg_port),
                       "snapshot": {"threads": 2, "chunk_rows": 100,
                                    "consistent": self._consistent}},
            # Slow enough that a copy takes seconds, in which something can be killed.
            "target": {"uri": self.mongo.uri(port=mongo_port), "database": module, "lanes": 3,
                       "batch": {"operations": 50}, **({"writes_per_second": 1000} if through else {})},
            "modules": {module: {"collections": COLLECTIONS}},
        }

    def start_banyan(self, *options):
        self._running = self._programs[LIVE].start("run", LIVE, *options)

    def kill_banyan(self):
        if self._running is not None:
            self._running.kill9()
        self._running = None

    def stop_banyan(self):
        if self._running is not None:
            running, self._running = self._running, None
            running.stop(timeout=CATCH_UP_SECONDS).expect(0)

    def look_after_banyan(self):
        """It must run; before it copies or streams, a server that is out of reach may end it."""
        running = self._running
        if running is not None and running.is_running():
            return
        if running is not None:
            result = running.wait()
            if result.code != 3 or _AT_WORK.search(result.err):
                raise HarnessError(f"banyan ended by itself, exit code {result.code}:\n{result.err[-3000:]}")
        self.restarts += 1
        self.start_banyan()

    def catch_up(self):
        self._programs[LIVE].run("run", LIVE, "--catch-up", timeout=CATCH_UP_SECONDS).expect(0)

    def compare(self):
        self._programs[FRESH].run("run", FRESH, "--snapshot-only",
                                  timeout=CATCH_UP_SECONDS).expect(0)
        with self.mongo.client() as client:
            documents = client[FRESH].journal.count_documents({})
            rows = self.database.execute("SELECT count(*) FROM journal")[0][0]
            found = differences(client[LIVE], client[FRESH])
        if documents != rows:
            found.append(f"journal: {rows} rows but {documents} documents in the fresh snapshot")
        if found:
            raise HarnessError("the streamed documents are not those of a fresh snapshot:\n"
                               + "\n".join(found))
        return documents

    def close(self):
        for program in self._programs.values():
            program.close()
        for each in (self.pg_proxy, self.mongo_proxy):
            each.close()
        self.mongo.remove()
        self.pg.remove()


def _wait_looking(stage, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stage.look_after_banyan()
        time.sleep(.1)


def _begin_phase(stage, rng):
    """Before a fault: in a third of the cases the copy begins anew, so that it is hit."""
    if rng.random() < .35:
        which = rng.choice(["all", "journal", "days", "orders"])
        stage.stop_banyan()
        stage.start_banyan("--recopy", which)
        return f"while copying {which} again", rng.uniform(.2, 2)
    return "while streaming", rng.uniform(.1, 2.5)


def run_faults(stage, rng, count, longest):
    """The number of faults survived."""
    for number, fault in enumerate(Faults(stage, rng).plan(count), 1):
        when, wait = ("in the first copy", rng.uniform(.2, 1.5)) if number == 1 else (
            _begin_phase(stage, rng))
        _wait_looking(stage, wait)
        say(f"{number}: {fault.__name__.replace('_', ' ')} {when}")
        fault()
        _wait_looking(stage, rng.uniform(.2, longest))


def run(arguments, folder, servers_folder):
    rng = random.Random(arguments.seed)
    stage = Stage(folder, servers_folder, arguments.seed, arguments.consistent)
    writer = Writer(stage.database.uri, arguments.seed, .02)
    try:
        stage.start_banyan()
        writer.start()
        run_faults(stage, rng, arguments.kills, 4 if arguments.long else 2)
        writer.stop()
        say(f"{writer.transactions} transactions written, banyan started {stage.restarts + 1} times")
        stage.stop_banyan()
        stage.catch_up()
        say(f"{stage.compare()} journal entries and all documents are as in a fresh snapshot")
    finally:
        writer.stop()
        stage.close()


def parse():
    parser = trial.parser(__doc__)
    parser.add_argument("--kills", type=int, default=5, help="how many faults")
    parser.add_argument("--long", action="store_true", help="more time between faults")
    parser.add_argument("--consistent", action="store_true",
                        help="copies read one snapshot, and begin anew when it is lost")
    return trial.parse(parser)


def main():
    arguments = parse()
    say(f"seed {arguments.seed}, {arguments.kills} faults")
    with trial.Folders("crash", arguments.keep) as folders:
        try:
            run(arguments, folders.logs, folders.servers)
        except (AssertionError, HarnessError) as error:
            folders.failed = True
            say(f"FAILED: {error}\nlogs: {folders.logs}")
    survived = 0 if folders.failed else arguments.kills
    print(f"{survived} passed, {int(folders.failed)} failed (seed {arguments.seed})")
    sys.exit(folders.failed)


if __name__ == "__main__":
    main()

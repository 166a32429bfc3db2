#!/usr/bin/env python3
"""Crash test of the daemon: what it has said yes to is there after kill -9, whenever that comes.

    tests/crash/daemon.py --kills 4 [--seed S] [--keep DIR]

While people change flags through the API and rows become documents that the target refuses, `banyan
serve` is killed at random moments and started again. Each time: every acknowledged change of a flag
holds, with its line in the audit log, once; a change that was cut off holds whole or not at all; and
every parked document is still listed. In the end the target takes the documents, they are retried,
and verification must find every document equal.

The seed fixes what is asked and in which order; moments are those of the machine. The last line counts
the kills that were survived. Exit code 1: the test failed.
"""
import http.client
import pathlib
import random
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from harness import trial  # noqa: E402  (needs the path above)
from harness.api import Api, listen_anywhere  # noqa: E402
from harness.banyan import Banyan  # noqa: E402
from harness.postgres import Database, Postgres  # noqa: E402
from harness.process import HarnessError, wait_until  # noqa: E402
from harness.secantus import Secantus  # noqa: E402

FLAGS = [f"flag_{i}" for i in range(5)]
ROWS = 300
SECONDS = 60


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Flag:
    """What was acknowledged, and what was asked when the answer was cut off (None: nothing)."""

    def __init__(self):
        self.version, self.killed, self.rollout, self.doubt = 0, False, 50, None


class People(threading.Thread):
    """Changes flags, one request after another, and remembers every answer."""

    def __init__(self, address, rng):
        super().__init__(daemon=True)
        self.api, self._rng, self._ended = Api(address), rng, threading.Event()
        self.flags, self.lines, self.doubtful = {name: Flag() for name in FLAGS}, [], []
        self.paused, self.problem = threading.Lock(), None

    def run(self):
        number = 0
        while not self._ended.is_set():
            with self.paused:
                number += 1
                try:
                    self._change(self._rng.choice(FLAGS), f"change {number}")
                except AssertionError as error:
                    self.problem = str(error)
                    return
            time.sleep(self._rng.uniform(0, .03))

    def end(self):
        self._ended.set()
        self.join(30)

    def _change(self, name, why):
        flag = self.flags[name]
        action = self._rng.choice(["set", "set", "set", "off", "reset"])
        rollout = self._rng.randrange(1, 100)
        asked = {"set": (flag.killed, rollout), "off": (True, flag.rollout), "reset": (False, 50)}[action]
        if flag.doubt is not None:
            return  # looked at after the restart
        try:
            if action == "set":
                answer = self.api.call("PATCH", f"/v1/flags/{name}", {"why": why, "version": flag.version, "rollout_percentage": rollout})
            else:
                answer = self.api.post(f"/v1/flags/{name}/{action}", {"why": why})
        except (OSError, http.client.HTTPException):
            flag.doubt = asked
            self.doubtful.append(why)
            return
        if answer.status == 503:
            return
        assert answer.status == 200, f"{action} {name}: {answer.status} {answer.body!r}"
        flag.version, flag.killed, flag.rollout = flag.version + 1, *asked
        self.lines.append(why)


class Stage:
    def __init__(self, folder, servers):
        self.pg = Postgres(servers / "postgres").start()
        self.mongo = Secantus(servers / "secantus", sync=True).start()
        self.database = Database(self.pg, self.pg.create_database("crash"))
        self.database.execute(f"CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT i, 'n' FROM generate_series(1, {ROWS}) i")
        self.address = listen_anywhere()
        self.program = Banyan(folder / "daemon", {
            "source": {"uri": self.database.uri}, "target": {"uri": self.mongo.uri(), "database": "live"},
            "listen": self.address, "flags": "feature-flags.yml", "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
        (self.program.folder / "feature-flags.yml").write_text("features:\n" + "".join(
            f"  - {{name: {name}, enabled: true, rollout_percentage: 50}}\n" for name in FLAGS))
        self.api, self.running = Api(self.address), None
        self.parked = set()

    def start(self):
        self.running = self.program.start("serve")
        self.running.wait_for("serving address", 30)

    def refuse(self, on):
        with self.mongo.client() as client:
            client.live.command("collMod", "t", validator={"note": {"$ne": "bad"}} if on else {})

    def listed(self):
        return {p["document"] for p in self.api.get("/v1/parked?limit=1000").expect().json["parked"]}

    def close(self):
        self.program.close()
        self.mongo.remove()
        self.pg.remove()


def check_flags(stage, people):
    for name, flag in people.flags.items():
        now = stage.api.get(f"/v1/flags/{name}").expect().json
        got = (now["killed"], now["rollout_percentage"])
        held = now["version"] == flag.version and got == (flag.killed, flag.rollout)
        whole = flag.doubt is not None and now["version"] == flag.version + 1 and got == flag.doubt
        if not held and not whole:
            raise HarnessError(f"{name}: version {now['version']} {got}, but {flag.version} {(flag.killed, flag.rollout)} was "
                               f"acknowledged (in doubt: {flag.doubt})")
        flag.version, (flag.killed, flag.rollout), flag.doubt = now["version"], got, None


def check_audit(stage, people):
    lines, before = [], 0
    while True:
        page = stage.api.get(f"/v1/audit?limit=1000{f'&before={before}' if before else ''}").expect().json["audit"]
        if not page:
            break
        lines += [line["why"] for line in page if line["action"].startswith("flag")]
        before = page[-1]["id"]
    lost = set(people.lines) - set(lines)
    if lost or len(lines) != len(set(lines)) or set(lines) - set(people.lines) - set(people.doubtful):
        raise HarnessError(f"the audit log: {len(lines)} lines, lost {sorted(lost)[:5]}, or one twice")


def check_parked(stage):
    wait_until(lambda: stage.api.module("m")["pipeline"]["state"] == "streaming", SECONDS, "it streams again")
    lost = stage.parked - stage.listed()
    if lost:
        raise HarnessError(f"parked documents were lost: {sorted(lost)[:10]}")


def park_some(stage, rng):
    ids = rng.sample(range(1, ROWS + 1), 3)
    stage.database.execute("UPDATE t SET note = 'bad' WHERE id = ANY(%s)", [ids])
    if rng.random() < .6:  # else the kill may come before they are parked
        wait_until(lambda: {str(i) for i in ids} <= stage.listed(), SECONDS, f"{ids} are parked")
        stage.parked |= {str(i) for i in ids}


def kill_and_check(stage, people, rng, number):
    park_some(stage, rng)
    time.sleep(rng.uniform(.05, .8))
    stage.running.kill9()
    with people.paused:
        stage.start()
        say(f"{number}: killed; {len(people.lines)} changes acknowledged, {len(stage.parked)} documents parked")
        check_flags(stage, people)
        check_audit(stage, people)
        check_parked(stage)
    if people.problem:
        raise HarnessError(people.problem)


def finish(stage):
    stage.refuse(False)
    with stage.mongo.client() as client:
        stage.program.run("parked", "retry", "all", "--why", "the cause is mended").expect(0)
        wait_until(lambda: not stage.listed(), SECONDS, "nothing is parked any more")
        bad = {r[0] for r in stage.database.execute("SELECT id FROM t WHERE note = 'bad'")}
        wait_until(lambda: {d["_id"] for d in client.live.t.find({"note": "bad"})} == bad, SECONDS, "all are written")
    stage.program.run("verify", "m", timeout=120).expect(0)
    stage.running.stop().expect(0)


def run(arguments, folders):
    rng = random.Random(arguments.seed)
    stage = Stage(folders.logs, folders.servers)
    people = People(stage.address, random.Random(arguments.seed + 1))
    try:
        stage.start()
        wait_until(lambda: stage.api.module("m")["pipeline"]["state"] == "streaming", SECONDS, "it streams")
        stage.refuse(True)
        people.start()
        for number in range(1, arguments.kills + 1):
            kill_and_check(stage, people, rng, number)
        people.end()
        check_flags(stage, people)
        check_audit(stage, people)
        finish(stage)
        say(f"{len(people.lines)} changes of flags and {len(stage.parked)} parked documents, none lost")
    finally:
        people.end()
        stage.close()


def main():
    parser = trial.parser(__doc__)
    parser.add_argument("--kills", type=int, default=4, help="how many times it is killed")
    arguments = trial.parse(parser)
    say(f"seed {arguments.seed}, {arguments.kills} kills")
    with trial.Folders("crash", arguments.keep) as folders:
        try:
            run(arguments, folders)
        except (AssertionError, HarnessError) as error:
            folders.failed = True
            say(f"FAILED: {error}\nlogs: {folders.logs}")
    print(f"{0 if folders.failed else arguments.kills} passed, {int(folders.failed)} failed (seed {arguments.seed})")
    sys.exit(folders.failed)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Property test: after any random history of DML, the streamed result equals a fresh snapshot.

    tests/property/property.py --histories 20 [--seed S] [--long] [--keep DIR] [--jobs N]
    tests/property/property.py --replay FILE [--times N]

Each history makes a few families of tables (zoo.py), changes them at random (history.py) while
`banyan run` copies and streams, stops and starts, and ends with `run --catch-up`; then a second
pipeline copies the same mapping afresh, and every document must be the same, byte for byte.
History n of a run has the seed S+n, so one is repeated with --histories 1 --seed S+n.

One that fails is shrunk and kept in tests/property/failures/; all that are kept there are replayed
first, as regression tests, unless --no-kept is given. The last line counts. Exit code 1: one failed.
"""
import argparse
import concurrent.futures
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from harness.postgres import Postgres  # noqa: E402  (needs the path above)
from harness.secantus import Secantus  # noqa: E402
from history import generate  # noqa: E402
from replay import replay  # noqa: E402
from shrink import shrink  # noqa: E402

FAILURES = HERE / "failures"
SHRINK_SECONDS = 180


def say(text):
    print(text, flush=True)


class Trial:
    """Runs histories on one pair of servers."""

    def __init__(self, servers, folder, keep):
        self._servers, self._folder, self._keep = servers, folder, keep

    def run(self, history, name):
        return replay(history, self._servers, self._folder / name, self._keep)

    def shrunk(self, history, seconds):
        """The smaller history and what is wrong with it."""
        last = {}
        count = 0

        def fails(candidate):
            nonlocal count
            count += 1
            problem = self.run(candidate, f"shrink-{history['seed']}-{count}")
            if problem:
                last[json.dumps(candidate)] = problem
            return problem is not None

        smaller = shrink(history, fails, seconds, lambda text: say(f"    shrunk to {text}"))
        return smaller, last.get(json.dumps(smaller))


def keep_failure(history, problem, folder=FAILURES):
    folder.mkdir(exist_ok=True)
    path = folder / f"seed-{history['seed']}.json"
    kept = {"replay": f"python tests/property/property.py --replay {path.name}",
            "problem": problem.splitlines()[:20]} | history
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return path


def load(path):
    path = pathlib.Path(path)
    return json.loads((path if path.exists() else FAILURES / path.name).read_text())


def run_histories(trial, histories, arguments):
    """[(name, history, problem)] of those that failed."""
    failed = []

    def one(item):
        name, history = item
        start = time.monotonic()
        problem = trial.run(history, name)
        say(f"{'FAILED' if problem else 'ok':<7}{name}  {', '.join(history['families'])}, "
            f"{len(history['steps'])} steps, {time.monotonic() - start:.1f} s")
        return name, history, problem

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, history, problem in pool.map(one, histories):
            if problem:
                failed.append((name, history, problem))
    return failed


def report_failures(trial, failed, arguments):
    for name, history, problem in failed:
        say(f"\n{name} failed: {problem}")
        if arguments.replay or name.startswith("kept") or arguments.shrink_seconds == 0:
            continue
        smaller, again = trial.shrunk(history, arguments.shrink_seconds)
        path = keep_failure(smaller, again or problem)
        say(f"    {len(smaller['steps'])} of {len(history['steps'])} steps are kept in {path}\n"
            f"    {again or problem}")


def histories_of(arguments):
    if arguments.replay:
        return [(f"replay-{n}", load(arguments.replay)) for n in range(arguments.times)]
    kept = [] if arguments.no_kept else sorted(FAILURES.glob("*.json"))
    return [(f"kept-{path.stem}", load(path)) for path in kept] + [
        (f"seed-{seed}", generate(seed, arguments.long))
        for seed in range(arguments.seed, arguments.seed + arguments.histories)]


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=20)
    parser.add_argument("--seed", type=int, help="default: a random one, which is printed")
    parser.add_argument("--long", action="store_true", help="longer histories")
    parser.add_argument("--keep", metavar="DIR", help="keep configurations, states and logs there")
    parser.add_argument("--jobs", type=int, default=2, help="histories at a time")
    parser.add_argument("--replay", metavar="FILE", help="run a kept history")
    parser.add_argument("--times", type=int, default=1, help="how often, with --replay")
    parser.add_argument("--no-kept", action="store_true")
    parser.add_argument("--shrink-seconds", type=int, default=SHRINK_SECONDS, help="0: do not")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.randrange(10**9)
    return arguments


def main():
    arguments = parse()
    # Not a private folder: the user postgres must be able to enter it.
    folder = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="banyan-property-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    servers_folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-property-servers-"))
    servers_folder.chmod(0o755)
    histories = histories_of(arguments)
    say(f"seed {arguments.seed}, {len(histories)} histories")
    pg = Postgres(servers_folder / "postgres")
    mongo = Secantus(servers_folder / "secantus", memory=True)
    try:
        trial = Trial((pg.start(), mongo.start()), folder, bool(arguments.keep))
        failed = run_histories(trial, histories, arguments)
        report_failures(trial, failed, arguments)
    finally:
        pg.remove()
        mongo.remove()
        shutil.rmtree(servers_folder, ignore_errors=True)
    if not arguments.keep and not failed:
        shutil.rmtree(folder, ignore_errors=True)
    elif failed:
        say(f"logs: {folder}")
    say(f"{len(histories) - len(failed)} passed, {len(failed)} failed (seed {arguments.seed})")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

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
import concurrent.futures
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from harness import trial  # noqa: E402  (needs the path above)
from harness.postgres import Postgres  # noqa: E402
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


def run_histories(tried, histories, arguments):
    """[(name, history, problem)] of those that failed."""
    failed = []

    def one(item):
        name, history = item
        start = time.monotonic()
        problem = tried.run(history, name)
        say(f"{'FAILED' if problem else 'ok':<7}{name}  {', '.join(history['families'])}, "
            f"{len(history['steps'])} steps, {time.monotonic() - start:.1f} s")
        return name, history, problem

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, history, problem in pool.map(one, histories):
            if problem:
                failed.append((name, history, problem))
    return failed


def report_failures(tried, failed, arguments):
    for name, history, problem in failed:
        say(f"\n{name} failed: {problem}")
        if arguments.replay or name.startswith("kept") or arguments.shrink_seconds == 0:
            continue
        smaller, again = tried.shrunk(history, arguments.shrink_seconds)
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
    parser = trial.parser(__doc__)
    parser.add_argument("--histories", type=int, default=20)
    parser.add_argument("--long", action="store_true", help="longer histories")
    parser.add_argument("--jobs", type=int, default=2, help="histories at a time")
    parser.add_argument("--replay", metavar="FILE", help="run a kept history")
    parser.add_argument("--times", type=int, default=1, help="how often, with --replay")
    parser.add_argument("--no-kept", action="store_true")
    parser.add_argument("--shrink-seconds", type=int, default=SHRINK_SECONDS, help="0: do not")
    return trial.parse(parser)


def run(arguments, histories, folders):
    """How many failed."""
    pg = Postgres(folders.servers / "postgres")
    mongo = Secantus(folders.servers / "secantus", memory=True)
    try:
        tried = Trial((pg.start(), mongo.start()), folders.logs, bool(arguments.keep))
        failed = run_histories(tried, histories, arguments)
        report_failures(tried, failed, arguments)
        return len(failed)
    finally:
        pg.remove()
        mongo.remove()


def main():
    arguments = parse()
    histories = histories_of(arguments)
    say(f"seed {arguments.seed}, {len(histories)} histories")
    with trial.Folders("property", arguments.keep) as folders:
        failed = run(arguments, histories, folders)
        folders.failed = failed > 0
    if failed:
        say(f"logs: {folders.logs}")
    say(f"{len(histories) - failed} passed, {failed} failed (seed {arguments.seed})")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

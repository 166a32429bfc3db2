"""Makes a failing history smaller: drops what it can still fail without.

Greedy, from large pieces to single steps, bounded in time. A history whose failure depends on
timing fails only sometimes; so a piece counts as needed after a few runs that pass.
"""
import time

from zoo import FAMILIES

_TRIES = 2


def _without_family(history, family):
    tables = {table.name for table in FAMILIES[family].tables}
    return history | {
        "families": [name for name in history["families"] if name != family],
        "full": [name for name in history["full"] if name not in tables],
        "steps": [step for step in history["steps"] if step.get("family") != family]}


def _without_steps(history, first, count):
    steps = history["steps"]
    return history | {"steps": steps[:first] + steps[first + count:]}


def _pass_over_steps(history, size, still_fails):
    """Tries to drop each run of `size` steps, from the end."""
    first = max(len(history["steps"]) - size, 0)
    while True:
        smaller = _without_steps(history, first, size)
        if still_fails(smaller):
            history = smaller
        if first == 0:
            return history
        first = max(min(first - size, len(history["steps"]) - size), 0)


def shrink(history, fails, seconds, report=lambda text: None):
    """The smallest history found for which `fails` (a function of a history) is true."""
    deadline = time.monotonic() + seconds

    def still_fails(candidate):
        return any(time.monotonic() < deadline and fails(candidate) for _ in range(_TRIES))

    for family in history["families"]:
        smaller = _without_family(history, family)
        if smaller["families"] and still_fails(smaller):
            history = smaller
    size = max(len(history["steps"]) // 2, 1)
    while time.monotonic() < deadline:
        before = len(history["steps"])
        history = _pass_over_steps(history, size, still_fails)
        report(f"{len(history['steps'])} steps")
        if size == 1 and len(history["steps"]) == before:
            break
        size = max(size // 2, 1)
    return history

#!/usr/bin/env python3
"""Runs the test suites and adds up what passed: tools/run_tests.py [SUITE ...]

Suites: lint, unit, integration, property, crash, asan, tsan; all of them by default. One line a step, the end of the
log where a step fails, "N passed, N failed" as the last line; exit code 1 if anything failed. A
step that runs no test has failed: nothing is skipped in silence. Whole logs: build/test-logs/.

A few integration tests of the release build that fail beside others are run once more, alone: one
that passes then is named as FLAKY and counts as passed. A sanitizer's finding is never asked again.

TEST_JOBS (default: the cores, at most 4) is the number of integration tests at a time.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import sanitizers  # noqa: E402  (needs the path above)

LOGS = ROOT / "build/test-logs"
TAIL_LINES = 60
SUITES = ("lint", "unit", "integration", "property", "crash", "asan", "tsan")
BUILDS = {"release": "build", "asan": "build-asan", "tsan": "build-tsan"}
# Generous: they only end what hangs.
BUILD_SECONDS, LINT_SECONDS, UNIT_SECONDS, PYTEST_SECONDS = 900, 1500, 600, 2700
TRIAL_SECONDS = 900
AGAIN_MAX = 5
TRIAL_COUNTS = re.compile(r"^(\d+) passed, (\d+) failed \((seed \d+)\)\n*\Z", re.M)


class Totals:
    """Counts, and the one place that prints results."""

    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name, passed, failed, seconds, log):
        self.passed += passed
        self.failed += failed
        word = "FAILED" if failed else "ok"
        print(f"{word:<7}{name:<34}{passed:>5} passed {failed:>3} failed {seconds:7.1f} s",
              flush=True)
        if failed:
            text = log.read_text(errors="replace").splitlines() if log.exists() else []
            for line in text[-TAIL_LINES:]:
                print("    " + line)
            print(f"    (whole log: {log.relative_to(ROOT)})", flush=True)


def execute(command, log, timeout, env=None):
    """Runs `command` in a process group of its own, output to `log`; returns its exit code."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=env, start_new_session=True)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            output.write(f"\nended after {timeout} s\n".encode())
            return -signal.SIGKILL
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def step(totals, name, command, timeout, env=None):
    """A step that is one test. Returns whether it passed."""
    log, start = LOGS / (name.replace(" ", "-") + ".log"), time.monotonic()
    ok = execute([str(c) for c in command], log, timeout, env) == 0
    totals.add(name, int(ok), int(not ok), time.monotonic() - start, log)
    return ok


def count_junit(path):
    """(passed, failed) of a JUnit file; (0, 0) where there is none. A skipped test has failed: one
    that cannot run here has no place in the suite."""
    if not path.exists():
        return 0, 0
    passed = failed = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if any(case.find(outcome) is not None for outcome in ("failure", "error", "skipped")):
            failed += 1
        else:
            passed += 1
    return passed, failed


def failed_programs(path):
    """Names of the programs that meson counts as failed (a crash has no failing test case)."""
    if not path.exists():
        return []
    results = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [r["name"] for r in results if r["result"] not in ("OK", "EXPECTEDFAIL")]


def build(totals, kind):
    command = [ROOT / "tools/build.sh", kind]
    return step(totals, f"build {kind}", command, BUILD_SECONDS)


def unit(totals, kind):
    """Unit tests and fuzz seeds: every case of every program counts."""
    name, start = f"unit tests and seeds {kind}", time.monotonic()
    logs, log = ROOT / BUILDS[kind] / "meson-logs", LOGS / f"unit-{kind}.log"
    for old in ("testlog.junit.xml", "testlog.json"):
        (logs / old).unlink(missing_ok=True)
    code = execute(["meson", "test", "-C", str(ROOT / BUILDS[kind]), "--no-rebuild",
                    "--print-errorlogs", "-t", "1" if kind == "release" else "5"],
                   log, UNIT_SECONDS, sanitizers.environment())
    passed, failed = count_junit(logs / "testlog.junit.xml")
    failed = max(failed, len(failed_programs(logs / "testlog.json")))
    if code != 0 or passed == 0:
        failed = max(failed, 1)
    totals.add(name, passed, failed, time.monotonic() - start, log)


def failed_names(path):
    """The test cases that failed, as pytest's arguments."""
    cases = ElementTree.parse(path).getroot().iter("testcase") if path.exists() else ()
    return [f"tests/integration/{c.get('classname')}.py::{c.get('name')}" for c in cases
            if any(c.find(outcome) is not None for outcome in ("failure", "error"))]


def run_again(command, junit, env):
    """The tests that failed, one after another. Whether all of them passed."""
    flaky, again = failed_names(junit), junit.with_suffix(".again.xml")
    if not 0 < len(flaky) <= AGAIN_MAX:
        return False
    again.unlink(missing_ok=True)
    kept = [c for c in command if not c.startswith("--junitxml") and c != "tests/integration"]
    command = [*kept, f"--junitxml={again}", *flaky]
    command[command.index("-n") + 1] = "0"
    code = execute(command, LOGS / "integration-again.log", PYTEST_SECONDS, env)
    passed, failed = count_junit(again)
    if code != 0 or failed or passed != len(flaky):
        return False
    for name in flaky:
        print(f"FLAKY  {name}: failed beside others, passed alone", flush=True)
    return True


def integration(totals, kind):
    """pytest against one build; sanitizer builds run the tests marked `sanitize`."""
    name, start = f"integration tests {kind}", time.monotonic()
    log, junit = LOGS / f"integration-{kind}.log", LOGS / f"integration-{kind}.xml"
    junit.unlink(missing_ok=True)
    jobs = os.environ.get("TEST_JOBS", str(min(os.cpu_count() or 1, 4)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", jobs, "--dist", "worksteal",
               "--durations=15", f"--junitxml={junit}", "tests/integration"]
    if kind != "release":
        command[4:4] = ["-m", "sanitize"]
    env = sanitizers.environment() | {"BANYAN_BIN": str(ROOT / BUILDS[kind] / "src/cli/banyan")}
    code = execute(command, log, PYTEST_SECONDS, env)
    passed, failed = count_junit(junit)
    if failed and kind == "release" and run_again(command, junit, env):
        passed, failed, code = passed + failed, 0, 0
    if code != 0 or passed == 0:
        failed = max(failed, 1)
    totals.add(name, passed, failed, time.monotonic() - start, log)


def trial(totals, name, tool, *arguments):
    """A tool that tries random things and counts them in its last line; the seed is in the log."""
    start, log = time.monotonic(), LOGS / f"{name.replace(' ', '-')}.log"
    command = [sys.executable, ROOT / "tests" / tool, *arguments]
    env = sanitizers.environment() | {"BANYAN_BIN": str(ROOT / BUILDS["release"] / "src/cli/banyan")}
    code = execute([str(part) for part in command], log, TRIAL_SECONDS, env)
    found = TRIAL_COUNTS.search(log.read_text(errors="replace"))
    passed, failed = (int(found[1]), int(found[2])) if found else (0, 0)
    if code != 0 or passed == 0:
        failed = max(failed, 1)
    totals.add(f"{name} {found[3] if found else ''}", passed, failed, time.monotonic() - start, log)


def lint(totals):
    python, tools = sys.executable, ROOT / "tools"
    checks = {
        "format": [tools / "check_format.sh"],
        "layers": [python, tools / "check_layers.py", "src", tools / "layers.txt"],
        "lengths": [python, tools / "check_length.py"],
        "generated docs": [tools / "check_docs.sh"],
        "clang-tidy": [python, tools / "check_tidy.py", "build"],
    }
    for name, command in checks.items():
        step(totals, f"lint {name}", command, LINT_SECONDS)


def main():
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        sys.exit(f"no suite named {unknown[0]}; there are {', '.join(SUITES)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    totals, start = Totals(), time.monotonic()
    if {"lint", "unit", "integration", "property", "crash"} & set(wanted):
        built = build(totals, "release")
        if "lint" in wanted:
            lint(totals)
        if built and "unit" in wanted:
            unit(totals, "release")
        if built and "integration" in wanted:
            integration(totals, "release")
        if built and "property" in wanted:
            trial(totals, "property", "property/property.py", "--histories", "20")
        if built and "crash" in wanted:
            trial(totals, "crash", "crash/crash.py", "--kills", "5")
            trial(totals, "crash of the daemon", "crash/daemon.py", "--kills", "5")
    for kind in ("asan", "tsan"):
        if kind in wanted and build(totals, kind):
            unit(totals, kind)
            integration(totals, kind)
    print(f"{time.monotonic() - start:.0f} s")
    print(f"{totals.passed} passed, {totals.failed} failed")
    sys.exit(bool(totals.failed))


if __name__ == "__main__":
    main()

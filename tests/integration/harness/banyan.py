"""Runs the program under test."""
import json
import os
import pathlib
import re
import signal
import subprocess

from . import sanitizers
from .process import HarnessError, end_group, start, tail, wait_until

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def binary():
    path = pathlib.Path(os.environ.get("BANYAN_BIN", _ROOT / "build/src/cli/banyan"))
    if not path.exists():
        raise HarnessError(f"no {path}: run make")
    return path.resolve()


def to_yaml(value, indent=0):
    """A dict as YAML: keys plain where they can be, every scalar as JSON (which YAML contains)."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    lines = []
    for key, item in value.items():
        name = key if _PLAIN_KEY.match(key) else json.dumps(key, ensure_ascii=False)
        text = to_yaml(item, indent + 2)
        nested = isinstance(item, dict) and item
        lines.append(" " * indent + name + (":\n" + text if nested else ": " + text))
    return "\n".join(lines)


class Result:
    """A command that ended."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def json(self):
        return json.loads(self.out)

    def expect(self, code=0):
        """Itself, if the exit code is `code`; else a failure that shows the output."""
        assert self.code == code, (f"banyan {' '.join(self.arguments)}: exit code {self.code}, "
                                   f"not {code}\n{self.out}\n{self.err}")
        return self


class Running:
    """A command in the background."""

    def __init__(self, arguments, process, out, err):
        self.arguments, self.process, self._out, self._err = arguments, process, out, err

    @property
    def pid(self):
        return self.process.pid

    @property
    def out(self):
        return self._out.read_text(errors="replace")

    @property
    def err(self):
        return self._err.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def wait_for(self, pattern, timeout=60):
        """The match of a regular expression in its output; a failure if it ends before."""

        def found():
            return re.search(pattern, self.err) or re.search(pattern, self.out)

        def found_or_ended():
            return found() or not self.is_running()

        wait_until(found_or_ended, timeout, f"'{pattern}' in the output ({tail(self._err)})")
        match = found()
        assert match, f"ended with {self.process.returncode} before '{pattern}':\n{tail(self._err)}"
        return match

    def wait(self, timeout=60):
        """Waits for its end; returns the Result."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HarnessError(f"banyan {' '.join(self.arguments)} still runs after {timeout} s:\n"
                               + tail(self._err)) from None
        return self._result(code)

    def _result(self, code):
        result = Result(self.arguments, code, self.out, self.err)
        check_reports(result)
        return result

    def stop(self, sig=signal.SIGTERM, timeout=60):
        """Asks it to stop, waits; returns the Result."""
        if self.is_running():
            self.process.send_signal(sig)
        return self.wait(timeout)

    def kill9(self):
        """Ends it without warning; what it wrote before is still checked for reports."""
        end_group(self.process)
        return self._result(self.process.returncode)


def check_reports(result):
    """A sanitizer's report fails the test, whatever the command returned."""
    report = sanitizers.REPORT.search(result.err)
    assert not report and result.code != sanitizers.EXIT_CODE, \
        f"banyan {' '.join(result.arguments)}:\n{result.err}"


class Banyan:
    """A working folder with a banyan.yml, and the commands run in it. outlives: those in the
    background run on when this process has ended."""

    def __init__(self, folder, config=None, *, path=None, outlives=False):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "banyan.yml"
        self.binary = pathlib.Path(path) if path else binary()
        self._environment = sanitizers.environment()
        self._death_signal = None if outlives else "KILL"
        self._runs = 0
        self._background = []
        if config is not None:
            self.configure(config)

    def configure(self, config):
        """Writes banyan.yml, from a dict or as text."""
        text = config if isinstance(config, str) else to_yaml(config) + "\n"
        self.config.write_text(text)

    def run(self, *arguments, timeout=60, env=None, stdin=subprocess.DEVNULL):
        """Runs a command to its end; returns its Result, whatever the exit code."""
        running = self.start(*arguments, env=env, stdin=stdin)
        try:
            return running.wait(timeout)
        finally:
            end_group(running.process)

    def start(self, *arguments, env=None, stdin=subprocess.DEVNULL):
        """Starts a command in the background; returns the Running."""
        self._runs += 1
        out, err = (self.folder / f"{self._runs}.{name}" for name in ("out", "err"))
        arguments = [str(argument) for argument in arguments]
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            process = start([self.binary, *arguments], cwd=self.folder, stdin=stdin,
                            death_signal=self._death_signal,
                            env=self._environment | (env or {}), stdout=out_file, stderr=err_file)
        running = Running(arguments, process, out, err)
        self._background.append(running)
        return running

    def close(self):
        """Ends whatever still runs."""
        for running in self._background:
            end_group(running.process)

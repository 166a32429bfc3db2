"""The demo, with a tenth of its shop, as somebody at a terminal sees it."""
import os
import pathlib
import pty
import re
import select
import socket
import sys
import time

from harness.api import Api
from harness.process import HarnessError, end_group, start, wait_until
from harness.shop import FOLDER

LIMIT_SECONDS = 280


class Terminal:
    """A program that believes it has a terminal; its output as it comes."""

    def __init__(self, command):
        self._ours, theirs = pty.openpty()
        self.process = start(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.output, self.until = "", time.monotonic() + LIMIT_SECONDS

    def _read(self):
        if not select.select([self._ours], [], [], 1)[0]:
            return True
        try:
            self.output += os.read(self._ours, 65536).decode(errors="replace")
            return True
        except OSError:  # its end is closed
            return False

    def wait_for(self, pattern):
        while not (found := re.search(pattern, self.output)):
            if not self._read() or time.monotonic() > self.until:
                raise HarnessError(f"no '{pattern}' in {LIMIT_SECONDS} s:\n{self.output[-5000:]}")
        return found

    def enter(self):
        os.write(self._ours, b"\n")

    def end(self):
        """Its exit code, once it has ended by itself."""
        while self._read():
            if time.monotonic() > self.until:
                raise HarnessError(f"still running:\n{self.output[-5000:]}")
        return self.process.wait(10)


def _answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_demo():
    """Every promise is kept, the page answers while it waits for Enter, and nothing is left behind."""
    terminal = Terminal([sys.executable, FOLDER / "demo.py", "--small"])
    try:
        address = terminal.wait_for(r"banyan serve: http://(\S+)/ with")[1]
        terminal.wait_for("Press Enter")
        folder = pathlib.Path(terminal.wait_for(r"folder (\S+)")[1])
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", terminal.output)}
        api = Api(address)
        assert api.get("/").expect().headers["Content-Type"].startswith("text/html")
        before = api.get("/v1/status").expect().json
        wait_until(lambda: api.get("/v1/status").expect().json != before, 10, "the load goes on")
        assert folder.exists() and len(ports) == 6 and all(map(_answers, ports)), ports
        terminal.enter()
        code = terminal.end()
    finally:
        end_group(terminal.process)
    assert code == 0, terminal.output[-6000:]
    assert "BROKEN" not in terminal.output and "every promise kept" in terminal.output
    for percent in (1, 5, 25, 50, 100):
        assert re.search(rf"kept +{percent} %: MongoDB answered", terminal.output)
    assert not folder.exists() and not any(map(_answers, ports))

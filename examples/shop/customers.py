"""The traffic of the demo in a process of its own (traffic.py), and sums of what it saw."""
import collections
import json
import pathlib
import signal
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/integration"))

from harness import process  # noqa: E402  (needs the path above)
from harness.process import HarnessError, end_group, tail, wait_until  # noqa: E402

LINE_SECONDS = 20  # the longest that a line may take: more than a client's patience


class Seen:
    """The sum of some lines of traffic.py."""

    def __init__(self, lines):
        self.reads, self.orders, self.read_back, self.error_count = (
            sum(line[name] for line in lines) for name in ("reads", "orders", "read_back", "error_count"))
        self.statuses, self.sources, self.fallbacks, self.read_back_sources = (
            sum((collections.Counter(line[name]) for line in lines), collections.Counter())
            for name in ("statuses", "sources", "fallbacks", "read_back_sources"))
        self.milliseconds = [ms for line in lines for ms in line["milliseconds"]]
        self.errors = [error for line in lines for error in line["errors"]]
        self.last_mongodb = max((line["last_mongodb"] or 0 for line in lines), default=0)

    @property
    def answers(self):
        return sum(self.statuses.values())

    @property
    def share(self):
        """Of the reads, how many percent MongoDB answered."""
        return 100 * self.sources["mongodb"] / self.reads if self.reads else 0

    def latency(self):
        if len(self.milliseconds) < 2:
            return "no latency"
        hundredths = statistics.quantiles(self.milliseconds, n=100)
        return f"{hundredths[49]:.1f} ms median, {hundredths[98]:.1f} ms p99"


class Customers:
    """traffic.py at work, against `url`."""

    def __init__(self, url, folder, *arguments, outlives=False):
        self.out, self.log = folder / "traffic.json", folder / "traffic.log"
        with open(self.out, "wb") as out, open(self.log, "wb") as log:
            self.process = process.start([sys.executable, HERE / "traffic.py", "--url", url, *arguments],
                                         death_signal=None if outlives else "TERM", stdout=out, stderr=log)

    def lines(self):
        if self.process.poll() not in (None, 0):
            raise HarnessError(f"the traffic ended: {tail(self.log)}")
        return [json.loads(line) for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def over(self, seconds):
        """What is asked from now on, for so long: a line that has begun before is left out."""
        first = len(self.lines()) + 1
        until = time.monotonic() + seconds
        enough = wait_until(lambda: (all_lines := self.lines())[first:] and all_lines[-1]["time"] >= until and all_lines,
                            seconds + LINE_SECONDS, "traffic goes on", 0.1)
        return Seen(enough[first:])

    def since(self, moment):
        """What came in after that time of the monotonic clock."""
        return Seen([line for line in self.lines() if line["time"] > moment])

    def stop(self):
        """Ends it; everything it saw."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            raise HarnessError(f"the traffic failed: {tail(self.log)}")
        return Seen(self.lines())

    def kill(self):
        end_group(self.process)

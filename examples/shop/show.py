"""What the demo says, and how it follows a command that works in the background."""
import re
import threading


def say(text=""):
    print(text, flush=True)


def headline(text):
    say(f"\n== {text}")


class Follower:
    """Shows what a background command prints, as it comes."""

    def __init__(self, running, prefix):
        self._running, self._prefix = running, prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        shown = 0
        while True:
            ending = self._stop.wait(0.2)
            # A terminal's progress line is rewritten with carriage returns: here each is a line.
            lines = re.split(r"[\r\n]+", self._running.err)
            complete = lines if ending else lines[:-1]
            for line in complete[shown:]:
                if line.strip():
                    say(f"{self._prefix} | {line}")
            shown = len(complete)
            if ending:
                return

    def close(self):
        self._stop.set()
        self._thread.join()


class Promises:
    """What was promised, and whether it was kept."""

    def __init__(self):
        self._all = []

    def check(self, kept, text):
        self._all.append((bool(kept), text))
        say(f"{'kept  ' if kept else 'BROKEN'}  {text}")

    @property
    def kept(self):
        return all(kept for kept, _ in self._all)

    def count(self):
        return f"{sum(kept for kept, _ in self._all)} of {len(self._all)} promises kept"

"""How much memory processes take."""
import re
import threading
import time


def _of(pid, what):
    """Bytes, by /proc/PID/status; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            match = re.search(rf"{what}:\s+(\d+) kB", status.read())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(match[1]) * 1024 if match else 0


def resident(pid):
    return _of(pid, "VmRSS")


def peak_of(running):
    """Watches a process until it ends; returns a function that waits and gives its VmHWM."""
    peak = [0]

    def watch():
        while running.is_running():
            peak[0] = max(peak[0], _of(running.pid, "VmHWM"))
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()

    def result():
        thread.join()
        return peak[0]

    return result

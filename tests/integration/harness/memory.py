"""How much memory a command of the program takes."""
import re
import threading
import time


def peak_of(running):
    """Watches a process until it ends; returns a function that waits and gives its VmHWM."""
    peak = [0]

    def watch():
        while running.is_running():
            try:
                with open(f"/proc/{running.pid}/status", encoding="ascii") as status:
                    match = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            except (FileNotFoundError, ProcessLookupError):
                return
            if match:
                peak[0] = max(peak[0], int(match[1]) * 1024)
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()

    def result():
        thread.join()
        return peak[0]

    return result

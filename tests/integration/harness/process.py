"""Child processes that cannot outlive the tests, ports, waiting.

Every child is started by one thread that lives as long as the tests do, with setpriv --pdeathsig:
the kernel ends the child when that thread ends, so even a killed test run leaves nothing behind.
(The signal is tied to the starting *thread*: a child of a short-lived test thread would die with
it.) Each child leads a process group of its own, which is ended as a whole.
"""
import concurrent.futures
import fcntl
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

_starter = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
_port_locks = []

# Below the range that the kernel gives to outgoing connections (32768 and up).
_PORTS = range(15000, 32000)


class HarnessError(Exception):
    """A server or program that does not do what the harness needs: a failure, never a skip."""


def start(command, *, user=None, death_signal="KILL", **options):
    """Popen for `command`, in its own process group; as `user` if we are root and one is given.
    It gets `death_signal` when the test run ends, however that ends; None lets it live on."""
    guard = ["setpriv", f"--pdeathsig={death_signal or 'clear'}"]
    if user and os.geteuid() == 0:
        guard += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    full = [*guard, "--", *map(str, command)]
    options.setdefault("stdin", subprocess.DEVNULL)
    return _starter.submit(
        lambda: subprocess.Popen(full, start_new_session=True, **options)).result()


def end_group(process, sig=signal.SIGKILL):
    """Ends a child of start() with its whole group, and reaps it."""
    if process is None:
        return
    try:
        os.killpg(process.pid, sig)
    except ProcessLookupError:
        pass
    process.wait(30)


def children(pid):
    """Pids of the direct children of `pid`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        # The name in brackets may contain anything; what follows the last bracket is fixed.
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            found.append(int(entry.name))
    return found


def free_port():
    """A loopback port that nothing listens on, kept from other test processes until we end."""
    folder = pathlib.Path(tempfile.gettempdir(), f"banyan-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for _ in range(200):
        port = random.choice(_PORTS)
        lock = open(folder / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _port_locks.append(lock)
        return port
    raise HarnessError("no free port")


def wait_until(condition, timeout=30, what=None, interval=0.05):
    """The first true result of condition(); HarnessError after `timeout` seconds.

    An exception of `condition` counts as not yet, and is shown when time is up; a HarnessError is
    one that waiting cannot mend, and passes through.
    """
    deadline, last = time.monotonic() + timeout, None
    while True:
        try:
            result = condition()
            last = None
            if result:
                return result
        except HarnessError:
            raise
        except Exception as error:  # pylint: disable=broad-except
            last = error
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise HarnessError(f"{name}: not within {timeout} s" + (f" ({last})" if last else ""))
        time.sleep(interval)


def tail(path, lines=40):
    """The last lines of a file, for error messages."""
    path = pathlib.Path(path)
    if not path.exists():
        return "(no output)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

"""A worker of nginx, as the daemon sees it: frames written by what src/route/frame.h says, with
whatever a test wants in them."""
import itertools
import json
import socket
import struct
import time

from .process import wait_until

_ids = itertools.count(1)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">I", len(data)) + data


def headers(values):
    return struct.pack(">H", len(values)) + b"".join(text(n) + text(v) for n, v in values.items())


def frame(kind, payload):
    return struct.pack(">IBB", len(payload) + 2, 2, kind) + payload


def sample(uri, body, *, module="catalogue", route="/api/products", method="GET", asked=None, asked_body=b"",
           side="sql", status=200, answered=None, truncated=False, weight=1, why="early", request=None):
    """One request that a side has answered; `body`: bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answered = {"Content-Type": "application/json"} if answered is None else answered
    return frame(1, b"".join((
        struct.pack(">Q", time.time_ns() // 1000), text(module), text(route),
        text(request or f"request-{next(_ids)}"), text(method), text("127.0.0.1"), text(uri), b"\0",
        headers({"Host": "shop.example"} | (asked or {})), text(asked_body),
        struct.pack(">BBBHQ", ("sql", "mongodb").index(side), 0, 0, status, 1000),
        headers(answered), text(data), struct.pack(">B", truncated),
        struct.pack(">BQ", ("early", "hashed", "missing").index(why), int(weight * 1e6)))))


def statistics(count=0, errors=0, rescued=0, *, module="catalogue", route="/api/products", side="sql", write=False,
               kept=(0, 0, 0), drops=(0, 0, 0, 0), latency=b""):
    """What came to the counters; `kept`: pinned, pins ended, spared; `latency`: a histogram's blob."""
    return frame(2, b"".join((
        text(module), text(route), struct.pack(">BB", ("sql", "mongodb").index(side), write),
        struct.pack(">7Q", count, errors, rescued, *kept, 0), struct.pack(f">B{len(drops)}Q", len(drops), *drops),
        text(latency))))


# Of docs/metrics.md: what test_every_metric_of_the_parallel_run_moves moves, and no other test has to.
METRICS = {f"banyan_{name}" for name in (
    "compared_total", "divergent_total", "divergence_ratio", "compared_lag_total", "compared_unsettled_total", "noise_runs_total",
    "noise_total", "explained_total", "not_compared_total", "samples_dropped_total", "samples_refused_total", "samples_waiting",
    "kept_on_sql_total", "own_writes_expired_total",
    "settling", "gateway_workers", "calls_total", "call_errors_total", "calls_rescued_total",
    "call_seconds", "shadow_calls_total", "shadow_errors_total", "shadow_seconds")}


class Worker:
    """Connected to the daemon's socket."""

    def __init__(self, folder):
        path = str(folder / "samples.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        wait_until(lambda: self._connect(path), 15, "the daemon listens for samples")

    def _connect(self, path):
        try:
            self.socket.connect(path)
        except OSError:
            return False
        return True

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def close(self):
        self.socket.close()

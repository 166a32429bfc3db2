"""The daemon's end of the gateway's samples, as nginx's workers see it: a reader that can be slow,
stopped, gone, and back. It decodes frames by what src/route/frame.h says."""
import contextlib
import os
import pathlib
import socket
import struct
import threading
import time

from .process import wait_until

_REASONS = ("setting", "flag", "own_write", "breaker", "no_snapshot")
_DROPS = ("away", "full", "large", "aborted")


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        (value,) = struct.unpack_from(">" + kind, self.data, self.at)
        self.at += struct.calcsize(">" + kind)
        return value

    def text(self):
        size = self.number("I")
        self.at += size
        assert self.at <= len(self.data)
        return bytes(self.data[self.at - size:self.at])

    def headers(self):
        return [(self.text().decode(), self.text().decode()) for _ in range(self.number("H"))]


class Sample:
    def __init__(self, c):
        self.at_us = c.number("Q")
        self.module, self.route, self.id, self.method, self.remote, self.uri = (c.text().decode() for _ in range(6))
        self.tls, self.asked, self.asked_body = c.number("B"), dict(c.headers()), c.text()
        self.side = ("sql", "mongodb")[c.number("B")]
        self.reason = _REASONS[c.number("B")]
        self.failure = (None, "connect", "timeout", "5xx", "404")[c.number("B")]
        self.status, self.upstream_us = c.number("H"), c.number("Q")
        self.answered, self.body, self.truncated = dict(c.headers()), c.text(), c.number("B")
        self.why, self.weight = ("early", "hashed", "missing")[c.number("B")], c.number("Q") / 1e6
        assert c.at == len(c.data)


class Statistics:
    def __init__(self, c):
        self.module, self.route = c.text().decode(), c.text().decode()
        self.side, self.write = ("sql", "mongodb")[c.number("B")], bool(c.number("B"))
        self.count, self.errors, self.rescued, self.pinned, self.pins_ended, self.spared, self.sampled = (c.number("Q") for _ in range(7))
        assert c.number("B") == len(_DROPS)
        self.dropped = dict(zip(_DROPS, (c.number("Q") for _ in _DROPS)))
        self.latency = c.text()
        assert c.at == len(c.data)


class Reader:
    """Listens where the daemon would. `paused`: takes nothing more from its connections, as a
    stopped process would not."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "samples.sock"
        self.samples, self.statistics, self.paused = [], [], False
        self._listener, self._connections = None, []
        self.start()

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """As if the process were killed."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def wait_for_workers(self, count=2):
        wait_until(lambda: len(self._connections) >= count, 15, "workers have connected")

    def clear(self):
        self.samples.clear()
        self.statistics.clear()

    def sum(self, what, **where):
        """Of statistics so far: sum("count", side="sql", write=False)."""
        rows = [s for s in list(self.statistics) if all(getattr(s, k) == v for k, v in where.items())]
        return sum(r.dropped[what[5:]] if what.startswith("drop_") else getattr(r, what) for r in rows)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        data = bytearray()
        with contextlib.suppress(OSError):
            while True:
                while self.paused:
                    time.sleep(0.02)
                some = connection.recv(1 << 16)
                if not some:
                    return
                data += some
                self._take(data)

    def _take(self, data):
        while len(data) >= 4:
            (size,) = struct.unpack_from(">I", data)
            if len(data) < 4 + size:
                return
            version, kind = data[4], data[5]
            assert version == 2 and kind in (1, 2)
            cursor = Cursor(bytes(data[6:4 + size]))
            if kind == 1:
                self.samples.append(Sample(cursor))
            else:
                self.statistics.append(Statistics(cursor))
            del data[:4 + size]

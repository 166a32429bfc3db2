"""Samples and statistics of the gateway: what the daemon gets to see, and that no client notices."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import statistics
import threading
import time

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.memory import resident
from harness.process import children, wait_until
from harness.samples import Reader

ALL = {"compare": {"sample": "100%"}}


@pytest.fixture
def sampled(gateway):  # noqa: F811
    """sampled(route=..., ...): a gateway whose daemon was killed, and a reader in its place."""
    made = []

    def make(route=None, wait_for=2, **more):
        gate = gateway(route=ALL | (route or {}), **more)
        with running(gate) as daemon:
            daemon.kill9()
        reader = Reader(gate.folder)
        made.append(reader)
        reader.wait_for_workers(wait_for)
        return gate, reader

    yield make
    for reader in made:
        reader.stop()


@pytest.mark.sanitize
def test_a_sample_is_the_request_and_its_answer(sampled):
    gate, reader = sampled({"read": ["POST /api/products/search"],
                            "compare": {"sample": "100%", "headers": ["X-Total"]}})
    gate.sql.answer = lambda a: (201, {"Content-Type": "application/json", "X-Total": "7", "X-Other": "1"}, b'{"a":1}' * 10)
    answer = gate.call("POST", "/api/products/search?q=%20a", {"X-User-Id": "u2", "Accept": "a/b", "If-None-Match": "x"}, b'{"q":"shoe"}')
    assert answer.status == 201 and answer.body == b'{"a":1}' * 10
    wait_until(lambda: reader.samples, 5, "a sample")
    s = reader.samples[0]
    assert (s.module, s.route, s.method, s.uri) == ("catalogue", "/api/products", "POST", "/api/products/search?q=%20a")
    assert (s.side, s.reason, s.failure, s.status, s.why, s.weight) == ("sql", "flag", None, 201, "early", 1)
    assert s.asked["X-User-Id"] == "u2" and s.asked["Accept"] == "a/b" and s.asked["Host"].startswith("127.0.0.1")
    assert "If-None-Match" not in s.asked and "Content-Length" not in s.asked
    assert s.asked_body == b'{"q":"shoe"}'
    assert s.answered == {"Content-Type": "application/json", "X-Total": "7"}
    assert (s.body, s.truncated, s.tls, s.remote) == (answer.body, 0, 0, "127.0.0.1")
    assert s.id == gate.sql.arrivals[0].headers["X-Request-Id"] and re.fullmatch("[0-9a-f]{32}", s.id)
    assert 0 < s.upstream_us < 5_000_000 and abs(s.at_us / 1e6 - time.time()) < 20
    assert gate.get(X_User_Id="u1").source == "mongodb"
    wait_until(lambda: len(reader.samples) == 2, 5, "the next")
    assert (reader.samples[1].side, reader.samples[1].status) == ("mongodb", 200)


class Holds:
    """A service that says the head of its answer, and the rest when it is let go on."""

    def __init__(self):
        self.listener, self.heads, self.go_on = socket.create_server(("127.0.0.1", 0), backlog=128), 0, threading.Semaphore(0)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            length = 0
            while (line := file.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            file.read(length)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
            self.heads += 1
            self.go_on.acquire()  # pylint: disable=consider-using-with
            connection.sendall(b"{}")


def test_copies_of_requests_have_a_limit(sampled):
    """As many of 256 KiB as are twice the 16 MiB that a worker may hold."""
    service, count = Holds(), 128
    gate, reader = sampled({"read": ["POST /api/products/search"], "sql": {"url": f"http://127.0.0.1:{service.port}", "service": "sql"}},
                           gateway={"workers": "1"}, wait_for=1)
    threads = [threading.Thread(target=gate.call, args=("POST", "/api/products/search"), kwargs={"body": b"x" * (256 << 10)})
               for _ in range(count)]
    worker = children(gate.pid())[0]
    before = resident(worker)
    for each in threads:
        each.start()
    wait_until(lambda: service.heads == count, 20, "all of them have the head of their answer")
    gate.get("/nowhere")  # the one worker has been through its events
    assert resident(worker) - before < 24 << 20
    service.go_on.release(count)
    for each in threads:
        each.join()
    wait_until(lambda: len(reader.samples) + reader.sum("drop_full") == count, 10, "each is a sample, or counted")
    assert 1 <= len(reader.samples) <= 64
    service.listener.close()


def test_large_bodies(sampled):
    gate, reader = sampled({"read": ["POST /api/products/search"]})
    body = os.urandom(1 << 20)
    gate.sql.answer = lambda a: (200, {}, body)
    asked = os.urandom(100 << 10)  # nginx keeps it in a file
    assert gate.call("POST", "/api/products/search", body=asked).body == body
    wait_until(lambda: reader.samples, 5, "a sample")
    assert reader.samples[0].asked_body == asked
    assert reader.samples[0].truncated and reader.samples[0].body == body[:256 << 10]
    assert gate.call("POST", "/api/products/search", body=asked * 3).body == body
    wait_until(lambda: reader.sum("drop_large") == 1, 5, "one too large")
    assert len(reader.samples) == 1


def test_what_is_never_sampled(sampled):
    gate, reader = sampled()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        gate.call(method, body=b"x")
    gate.get(Upgrade="websocket", Connection="Upgrade")
    gate.get(X_Banyan_Shadow="1")
    assert [a.headers["X-Banyan-Shadow"] for a in gate.sql.shadows] == ["1"]  # 127.0.0.1 is trusted here
    gate.get("/nowhere")
    gate.get("/api/products/last")
    wait_until(lambda: reader.samples, 5, "the last")
    wait_until(lambda: reader.sum("count", side="sql", write=True) == 4, 5, "writes are counted")
    assert [s.uri for s in reader.samples] == ["/api/products/last"]


def test_strangers_can_neither_fake_nor_see_the_shadow(sampled):
    gate, reader = sampled(gateway={"trusted": ["10.0.0.0/8"]})
    gate.sql.answer = lambda a: (200, {"X-Banyan-Shadow": "1"}, b"{}")
    assert "X-Banyan-Shadow" not in gate.get(X_Banyan_Shadow="1").headers
    wait_until(lambda: reader.samples, 5, "sampled all the same")
    assert "X-Banyan-Shadow" not in gate.sql.arrivals[-1].headers
    assert "X-Banyan-Shadow" not in reader.samples[0].asked


def test_shares_and_weights(sampled):
    gate, reader = sampled({"compare": {"sample": "10%"}})
    for _ in range(520):
        gate.get()
    wait_until(lambda: reader.sum("count", side="sql") == 520, 5, "all are counted")
    early = [s for s in reader.samples if s.why == "early"]
    hashed = [s for s in reader.samples if s.why == "hashed"]
    assert len(early) in (20, 40)  # all workers share the count; a minute may have ended
    assert {s.weight for s in early} == {1} and {s.weight for s in hashed} == {10}
    assert 20 <= len(hashed) <= 85  # 500 at 10 %: 50, and 5 standard deviations
    assert reader.sum("sampled") == len(reader.samples)


def test_a_404_that_sql_knows_is_always_handed_over(sampled):
    gate, reader = sampled({"fallback": True, "compare": {"sample": "0.0001%"}})
    for _ in range(20):
        gate.get()
    gate.mongodb.answer = lambda a: (404, {}, b"")
    for _ in range(5):
        assert gate.get(X_User_Id="u1").fallback == "404"
    wait_until(lambda: len([s for s in reader.samples if s.failure == "404"]) == 5, 5, "all five")
    missing = [s for s in reader.samples if s.failure == "404"]
    assert {(s.side, s.status, s.why, s.weight) for s in missing} == {("sql", 200, "missing", 1)}
    wait_until(lambda: reader.sum("rescued", side="mongodb") == 5, 5, "five rescued")
    assert reader.sum("errors") == 0 and reader.sum("count", side="mongodb") == 5


def test_statistics_add_up(sampled):
    gate, reader = sampled({"fallback": True})
    gate.sql.delay = 0.05
    for _ in range(6):
        gate.get()
    gate.sql.answer = lambda a: (503, {}, b"")
    gate.get()
    gate.mongodb.answer = lambda a: (500, {}, b"")
    assert gate.get(X_User_Id="u1").fallback == "5xx"
    wait_until(lambda: reader.sum("count") == 9, 5, "all are counted")
    assert (reader.sum("count", side="sql"), reader.sum("errors", side="sql")) == (8, 2)
    assert (reader.sum("count", side="mongodb"), reader.sum("errors", side="mongodb"), reader.sum("rescued")) == (1, 1, 1)
    assert {(s.module, s.route) for s in reader.statistics} == {("catalogue", "/api/products")}
    assert all(s.latency[0] == 1 for s in reader.statistics)
    wait_until(lambda: len(reader.samples) == 9 - 1, 5, "each answer once")
    assert all(50_000 <= s.upstream_us < 2_000_000 for s in reader.samples if s.failure is None)


def test_a_worker_that_ends_hands_over_what_it_has(sampled):
    gate, reader = sampled()
    for _ in range(30):
        gate.get()
    os.kill(gate.pid(), signal.SIGQUIT)
    wait_until(lambda: reader.sum("count") == 30, 5, "nothing is lost")


def times(gate, count):
    taken = []
    for _ in range(count):
        before = time.monotonic()
        assert gate.get().status == 200
        taken.append(time.monotonic() - before)
    return taken


def test_no_client_notices_a_daemon_that_stops(sampled):
    """Stopped as by SIGSTOP: the socket takes nothing more. Then gone, then back."""
    gate, reader = sampled()
    body = b"x" * (200 << 10)
    gate.sql.answer = lambda a: (200, {}, body)
    usual = statistics.median(times(gate, 50))
    wait_until(lambda: len(reader.samples) == 50, 5, "all are there")
    reader.paused = True
    stopped = times(gate, 150)  # 30 MB: more than both workers may keep
    assert statistics.median(stopped) < 3 * usual + 0.005 and max(stopped) < 1
    reader.paused = False
    wait_until(lambda: reader.sum("drop_full") > 0 and reader.sum("drop_full") + len(reader.samples) == 200, 10, "kept or counted")
    reader.stop()
    gone = times(gate, 50)
    assert statistics.median(gone) < 3 * usual + 0.005
    reader.clear()
    reader.start()
    reader.wait_for_workers()
    wait_until(lambda: reader.sum("drop_away") == 50, 10, "counted while nobody listened")
    gate.get()
    wait_until(lambda: reader.samples, 5, "samples again")


def test_a_reader_that_dies_in_the_middle(sampled):
    gate, reader = sampled()
    gate.sql.answer = lambda a: (200, {}, b"y" * (100 << 10))
    reader.paused = True
    for _ in range(30):
        assert gate.get().status == 200
    reader.stop()
    reader.paused = False
    time.sleep(0.3)
    reader.clear()
    reader.start()
    # Half a frame was sent: the next reader begins with a whole one.
    wait_until(lambda: reader.sum("count") > 0 and reader.sum("drop_away") > 0, 15, "statistics go on")
    assert gate.get().status == 200


def test_answers_that_break_off(sampled):
    gate, reader = sampled()
    gate.sql.delay = 1
    gate.raw("GET /api/products/7 HTTP/1.1\r\nHost: x\r\n\r\n", leave=True)
    wait_until(lambda: reader.sum("drop_aborted") == 1, 5, "the client has left")
    gate.sql.delay = 0
    assert reader.sum("errors") == 0 and not reader.samples


def test_load_while_workers_are_killed(sampled):
    """What is left is whole: no worker ever sends half of a frame as a whole one."""
    gate, reader = sampled()
    stop, bad = threading.Event(), []

    def load():
        while not stop.is_set():
            try:
                answer = gate.get()
                if answer.status != 200:
                    bad.append(answer.status)
            except OSError:
                pass  # its worker was killed

    threads = [threading.Thread(target=load) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(5):
        time.sleep(0.4)
        os.kill(children(gate.pid())[0], signal.SIGKILL)
    stop.set()
    for each in threads:
        each.join()
    assert not bad and len(reader.samples) > 50
    assert not re.search(r"\[(alert|emerg)\](?!.*(exited on signal 9|worker process))", pathlib.Path(gate.folder / "error.log").read_text())

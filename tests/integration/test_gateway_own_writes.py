"""Read your own writes: who has just written reads from SQL until MongoDB has what was written."""
import contextlib
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until
from harness.samples import Reader

FLAGS = "features: [{name: products_mongodb, enabled: true, rollout_percentage: 100}]"
USER = {"X-User-Id": "u1"}


class Writing:
    """A gateway whose SQL service writes a row into PostgreSQL with every POST."""

    def __init__(self, gate, pg, mongo):
        self.gate, self.pg, self.mongo, self.written = gate, pg, mongo, 0
        gate.sql.answer = self.answer

    def answer(self, arrival):
        if arrival.method == "POST":
            self.written += 1
            self.pg.execute("INSERT INTO products VALUES (%s, 'new')", (self.written,))
        return 200, {"Set-Cookie": "own=1"}, b"{}"

    def write(self, headers=None):
        return self.gate.call("POST", headers=headers or {}, body=b"{}")

    def source(self, headers=None):
        return self.gate.call("GET", headers=headers or {}).source

    def wait_until_streaming(self):
        self.gate.api.wait_for_state("catalogue", "streaming")


@pytest.fixture
def writing(gateway, pg, mongo):  # noqa: F811
    def make(wait="30s", max_age="60s", **route):
        gate = gateway(flags=FLAGS, route={"own_writes": {"wait": wait}} | route, gateway={"watermark_max_age": max_age})
        return Writing(gate, pg, mongo)

    return make


@contextlib.contextmanager
def stopped(process):
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.sanitize
def test_sql_until_it_is_applied(writing, mongo_server):
    w = writing()
    with running(w.gate):
        w.wait_until_streaming()
        assert w.source(USER) == "mongodb"
        with stopped(mongo_server.process):
            assert w.write(USER).source == "sql"
            for _ in range(10):
                assert w.source(USER) == "sql"
                assert w.source({"X-User-Id": "u2"}) == "mongodb"
                assert w.source() == "mongodb"
                time.sleep(0.1)
            line = wait_until(lambda: [json.loads(x) for x in w.gate.log() if '"own_write"' in x], 5, "in the log")[0]
            assert (line["target"], line["method"]) == ("sql", "GET")
        wait_until(lambda: w.source(USER) == "mongodb", 10, "MongoDB again")
        assert w.mongo.products.count_documents({}) == 1


def test_never_before_it_is_there(writing):
    """Many writes, and after each the user reads: whenever MongoDB answers, it has the row."""
    w = writing()
    w.gate.mongodb.answer = lambda a: (200, {}, str(w.mongo.products.count_documents({})).encode())
    with running(w.gate):
        w.wait_until_streaming()
        by_mongodb, slowest = 0, 0
        for _ in range(25):
            w.write(USER)
            before = time.monotonic()
            while (answer := w.gate.call(headers=USER)).source == "sql":
                time.sleep(0.01)
            slowest = max(slowest, time.monotonic() - before)
            assert int(answer.body) == w.written
            by_mongodb += 1
        assert by_mongodb == 25 and slowest < 5


def test_a_paused_pipeline(writing):
    w = writing(wait="1s", max_age="1s")
    with running(w.gate):
        w.wait_until_streaming()
        w.gate.api.post("/v1/modules/catalogue/pause").expect()
        w.gate.api.wait_for_state("catalogue", "paused")
        w.write(USER)
        until = time.monotonic() + 4  # longer than `wait`: nobody says how far MongoDB is
        while time.monotonic() < until:
            assert w.source(USER) == "sql" and w.source({"X-User-Id": "u2"}) == "mongodb"
            time.sleep(0.2)
        w.gate.api.post("/v1/modules/catalogue/resume").expect()
        wait_until(lambda: w.source(USER) == "mongodb", 20, "MongoDB again")
        assert w.mongo.products.count_documents({}) == 1


def test_a_dead_daemon(writing):
    w = writing(wait="1s", max_age="1s")
    with running(w.gate) as daemon:
        w.wait_until_streaming()
        daemon.kill9()
        w.write(USER)
        time.sleep(3)
        assert w.source(USER) == "sql" and w.source({"X-User-Id": "u2"}) == "mongodb"
    with running(w.gate):
        wait_until(lambda: w.source(USER) == "mongodb", 20, "MongoDB again")


def test_the_wait_ends(writing, mongo_server):
    w = writing(wait="1s")
    with running(w.gate):
        w.wait_until_streaming()
        reader = Reader(w.gate.folder)  # in the daemon's place, for workers that come after it
        os.kill(w.gate.pid(), signal.SIGHUP)
        reader.wait_for_workers()
        with stopped(mongo_server.process):
            w.write(USER)
            before = time.monotonic()
            assert w.source(USER) == "sql"
            wait_until(lambda: w.source(USER) == "mongodb", 5, "the wait is over")
            assert time.monotonic() - before >= 0.9
            assert w.source(USER) == "mongodb"
            wait_until(lambda: reader.sum("pins_ended") == 1 and reader.sum("pinned") >= 1, 10, "both are counted")
        reader.stop()


def test_a_wait_that_is_over_for_one_route_is_not_for_another(gateway, pg, mongo, mongo_server):  # noqa: F811
    gate = gateway(flags=FLAGS, route={"own_writes": {"wait": "1s"}}, routes=[{"prefix": "/api/orders", "own_writes": {"wait": "60s"}}])
    w = Writing(gate, pg, mongo)
    with running(gate):
        w.wait_until_streaming()
        with stopped(mongo_server.process):
            w.write(USER)
            wait_until(lambda: w.source(USER) == "mongodb", 10, "the wait is over")
            assert gate.get("/api/orders/1", X_User_Id="u1").source == "sql"
        wait_until(lambda: gate.get("/api/orders/1", X_User_Id="u1").source == "mongodb", 10, "it is applied")


def test_writes_that_overlap(writing):
    w = writing()
    with running(w.gate):
        w.wait_until_streaming()
        w.gate.sql.delay = 2
        slow = threading.Thread(target=w.write, args=(USER,))
        slow.start()
        wait_until(lambda: w.gate.sql.count("POST") == 1, 5, "the slow one has begun")
        w.gate.sql.delay = 0
        assert w.source(USER) == "sql"  # under way
        w.write(USER)
        time.sleep(1)  # the second one is applied by now
        assert w.source(USER) == "sql"
        slow.join()
        wait_until(lambda: w.source(USER) == "mongodb", 10, "both are applied")
        assert w.mongo.products.count_documents({}) == 2


def test_a_write_that_broke_off(writing):
    """The client left; the service goes on and commits."""
    w = writing(wait="3s")
    with running(w.gate):
        w.wait_until_streaming()
        w.gate.sql.delay = 1
        with socket.create_connection(("127.0.0.1", w.gate.port)) as client:
            client.sendall(b"POST /api/products/7 HTTP/1.1\r\nHost: x\r\nX-User-Id: u1\r\nContent-Length: 2\r\n\r\n{}")
            wait_until(lambda: w.gate.sql.count("POST") == 1, 5, "the service has it")
        w.gate.sql.delay = 0
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert w.source(USER) == "sql"
            time.sleep(0.1)
        assert w.written == 1
        wait_until(lambda: w.source(USER) == "mongodb", 10, "MongoDB again")


def test_the_cookie_of_who_is_not_known(writing, mongo_server):
    w = writing()
    with running(w.gate):
        w.wait_until_streaming()
        with stopped(mongo_server.process):
            cookies = w.write().headers.get_all("Set-Cookie")
            assert cookies[0] == "own=1" and len(cookies) == 2
            match = re.fullmatch("banyan_rw=([0-9a-f]{32}); Path=/; Max-Age=3600; HttpOnly; SameSite=Lax", cookies[1])
            mine = {"Cookie": f"a=b; banyan_rw={match[1]}"}
            assert w.source(mine) == "sql"
            assert w.source() == "mongodb"
            for foreign in ("x", "0" * 32, match[1].upper(), match[1] + "0", ""):
                assert w.source({"Cookie": f"banyan_rw={foreign}"}) == "mongodb", foreign
            # The next write keeps it; a known user gets none, nor does a read.
            assert match[1] in w.write(mine).headers.get_all("Set-Cookie")[1]
            assert w.write(USER).headers.get_all("Set-Cookie") == ["own=1"]
            assert w.gate.get().headers.get_all("Set-Cookie") is None
        wait_until(lambda: w.source(mine) == "mongodb", 10, "MongoDB again")
        w.gate.route(reads="shadow")
        assert w.write().headers.get_all("Set-Cookie") == ["own=1"]  # nobody reads MongoDB


def test_the_cookie_is_set_on_errors_too(writing):
    w = writing()
    with running(w.gate):
        w.gate.sql.stop()
        answer = w.write()
        assert answer.status == 502 and answer.headers["Set-Cookie"].startswith("banyan_rw=")


def test_where_writes_go_to_mongodb(writing):
    w = writing()
    w.gate.mongodb.answer = lambda a: (200, {}, b"{}")
    with running(w.gate):
        w.gate.route(stage="complete")
        assert w.write(USER).source == "mongodb" and w.source(USER) == "mongodb"


def test_no_wait(writing, mongo_server):
    w = writing(wait="0s")
    with running(w.gate):
        w.wait_until_streaming()
        with stopped(mongo_server.process):
            assert "banyan_rw" not in str(w.write().headers)
            w.write(USER)
            assert w.source(USER) == "mongodb"


def test_nothing_is_written_into_the_log_for_nobody(writing, pg):
    w = writing()

    def written(seconds):
        """Bytes of the log in so many seconds; the server itself writes some now and then."""
        position = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        before = pg.execute(position)[0][0]
        time.sleep(seconds)
        return pg.execute(position)[0][0] - before

    with running(w.gate):
        w.wait_until_streaming()
        for _ in range(20):
            w.source(USER)
        time.sleep(3)
        idle = min(written(2) for _ in range(4))
        w.write(USER)
        busy = written(1)
        assert idle < 2000 < busy


def test_all_workers_know(writing, mongo_server):
    """The mark is shared, and outlives a reload and the worker that made it."""
    w = writing()
    with running(w.gate):
        w.wait_until_streaming()
        with stopped(mongo_server.process):
            w.write(USER)
            assert {w.source(USER) for _ in range(40)} == {"sql"}
            os.kill(w.gate.pid(), signal.SIGHUP)
            time.sleep(1)
            assert {w.source(USER) for _ in range(20)} == {"sql"}

"""What the gateway adds to nginx's own rules, each with a test that fails under nginx's defaults."""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import certificates
from harness.api import serving
from harness.gateway import MODULE, change_config, gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import children, wait_until
from harness.websocket import echoes, open_websocket, websocket_service

U1 = {"X-User-Id": "u1"}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def hangs_up(_):
    return None


def test_writes_with_the_breaker_open_and_mongodb_away(gateway):  # noqa: F811
    """nginx alone would send the first POST after a failure to the backup, and PUT and DELETE twice."""
    gate = gateway(route={"fallback": {"breaker": {"of": 4, "errors": "50%", "open": "60s"}}})
    with running(gate):
        gate.mongodb.answer = hangs_up
        while gate.call(headers=U1).fallback != "breaker":
            pass
        for down in (False, True):
            if down:
                gate.mongodb.stop()
            gate.sql.arrivals.clear()
            gate.mongodb.arrivals.clear()
            for method in WRITES:
                answer = gate.call(method, headers=U1, body=b"w")
                assert (answer.status, answer.source, answer.fallback) == (200, "sql", None)
            assert [a.method for a in gate.sql.arrivals] == list(WRITES) and not gate.mongodb.arrivals


@pytest.mark.parametrize("stage, side", [("live", "sql"), ("complete", "mongodb")])
def test_a_write_whose_service_hangs_up_arrives_once(gateway, stage, side):  # noqa: F811
    gate = gateway()
    with running(gate):
        gate.route(stage=stage)
        assert gate.call(headers=U1).status == 200  # leaves idle connections behind
        service, other = (gate.sql, gate.mongodb) if side == "sql" else (gate.mongodb, gate.sql)
        service.answer = hangs_up
        service.arrivals.clear()
        other.arrivals.clear()
        for method in WRITES:
            answer = gate.call(method, headers=U1, body=b"w")
            assert (answer.status, answer.source) == (502, side)
        assert [a.method for a in service.arrivals] == list(WRITES) and not other.arrivals


class HangsUpOnTheSecond:
    """Answers one request a connection and hangs up when it gets another, unread, as a service does
    whose time for idle connections is over."""

    def __init__(self):
        self.listener, self.writes = socket.create_server(("127.0.0.1", 0)), 0
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                some = connection.recv(4096)
                if not some:
                    return
                request += some
            self.writes += not request.startswith(b"GET")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.recv(1)


def test_a_write_is_not_sent_on_a_connection_that_may_be_gone(gateway):  # noqa: F811
    service = HangsUpOnTheSecond()
    gate = gateway(route={"sql": {"url": f"http://127.0.0.1:{service.port}", "service": "sql"}}, gateway={"workers": "1"})
    with running(gate):
        for method in WRITES:
            assert gate.get().status == 200
            assert gate.call(method, body=b"w").status == 200
        assert service.writes == 4
    service.listener.close()


def test_the_headers_stand_on_nginx_own_errors(gateway):  # noqa: F811
    gate = gateway(gateway={"body_limit": "1k"}, route={"fallback": {"timeout": "200ms", "on": ["connect"]}})
    with running(gate):
        assert gate.call("POST", body=b"x" * 1024).status == 200
        too_long = gate.call("POST", body=b"x" * 1025)
        chunked = gate.raw("POST /api/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + "x" * 0x800 + "\r\n0\r\n\r\n")
        expecting = gate.raw("POST /api/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
        assert (too_long.status, too_long.source, too_long.headers["X-Service"]) == (413, "sql", "product-service-sql")
        for answer in (chunked, expecting):
            assert answer.startswith(b"HTTP/1.1 413") and b"X-Data-Source: sql" in answer
        assert gate.sql.count("POST") == 1
        gate.mongodb.delay = 1
        late = gate.call(headers=U1)
        assert (late.status, late.source, late.headers["X-Migrated"]) == (504, "mongodb", "true")
        gate.sql.stop()
        away = gate.call("DELETE")
        assert (away.status, away.source, away.headers["X-Migrated"]) == (502, "sql", "false")
        nowhere = gate.call("POST", "/nowhere", body=b"x" * 5000)
        assert nowhere.status == 404 and nowhere.source is None


def test_headers_with_underscores(gateway, tmp_path):  # noqa: F811
    """An nginx of others may let them in; its variables and many services take them for the others."""
    gate = gateway(gateway={"nginx": "external", "reload_command": "true", "trusted": ["10.0.0.0/8"]})
    with serving(gate.program) as (gate.api, _):
        wait_until((gate.folder / "http.conf").exists, 10, "the include is there")
        (gate.folder / "nginx.conf").write_text(
            f'include "{gate.folder}/main.conf"; user root; pid "{gate.folder}/nginx.pid"; error_log "{gate.folder}/error.log";'
            f'events {{}} http {{ underscores_in_headers on; include "{gate.folder}/http.conf"; client_body_temp_path "{tmp_path}/b"; '
            f'proxy_temp_path "{tmp_path}/p"; }}')
        gate.start_nginx()
        wait_until(lambda: gate.get().source == "sql", 5, "it answers")
        answer = gate.call(headers={"X_User_Id": "u1", "X_Banyan_Shadow": "1", "X_Own": "1"})
        assert answer.source == "sql"
        seen = {k.replace("_", "-") for k in gate.sql.arrivals[-1].headers}
        assert "X-Own" in seen and not seen & {"X-User-Id", "X-Banyan-Shadow"}


@pytest.mark.sanitize
def test_websockets_end_some_time_after_a_rollback(gateway):  # noqa: F811
    service = websocket_service()
    url = f"http://127.0.0.1:{service.getsockname()[1]}"
    gate = gateway(gateway={"drain": "3s"}, route={side: {"url": url, "service": side} for side in ("sql", "mongodb")})

    def connect(user):
        connection, head = open_websocket(gate.port, X_User_Id=user)
        assert head.startswith(b"HTTP/1.1 101")
        return connection, b"X-Data-Source: mongodb" in head

    with running(gate):
        sockets = [connect("u1") for _ in range(6)]  # more than workers
        on_sql, is_mongodb = connect("u2")
        assert not is_mongodb and all(m for _, m in sockets)
        gate.route(reads="shadow")
        assert all(echoes(c) for c, _ in sockets)  # they may finish
        gate.route(reads="flag")
        time.sleep(3.5)
        assert all(echoes(c) for c, _ in sockets)  # MongoDB again: nothing has happened
        began = time.monotonic()
        gate.route(reads="shadow")
        for connection, _ in sockets:
            assert connection.recv(10) == b""  # closed
        assert 2.5 < time.monotonic() - began < 8
        assert echoes(on_sql)
        gate.route(reads="flag")
        time.sleep(3.5)
        assert echoes(on_sql)  # a rollout ends nothing
    service.close()


def test_a_websocket_that_sql_took_over_is_sqls(gateway):  # noqa: F811
    """MongoDB's service refused the handshake: a rollback does not concern what SQL's accepted."""
    service = websocket_service()
    url = f"http://127.0.0.1:{service.getsockname()[1]}"
    gate = gateway(gateway={"drain": "200ms"}, route={"sql": {"url": url, "service": "sql"}})
    gate.mongodb.answer = lambda arrival: (503, {}, b"")
    with running(gate):
        connection, head = open_websocket(gate.port, X_User_Id="u1")
        with connection:
            assert head.startswith(b"HTTP/1.1 101") and b"X-Data-Source: sql" in head and b"X-Banyan-Fallback: 5xx" in head
            gate.route(reads="shadow")
            until = time.monotonic() + 1.5  # seven looks, and the drain long over
            while time.monotonic() < until:
                assert echoes(connection)
                time.sleep(0.1)
    service.close()


def test_never_stale_sql(gateway):  # noqa: F811
    """Without settings SQL answers, but for modules whose writes go to MongoDB: those answer 503."""
    gate = gateway()
    with running(gate):
        pid = gate.pid()
        gate.route(stage="complete")
        wait_until(lambda: "no_snapshot 503" in (gate.folder / "nginx.conf").read_text(), 5, "the configuration knows")
        assert gate.pid() == pid and gate.call(headers=U1).source == "mongodb"
    gate.end_nginx()
    (gate.folder / "settings").unlink()
    gate.start_nginx()
    answer = wait_until(lambda: gate.call(headers=U1), 5, "nginx answers")
    assert answer.status == 503 and gate.call("POST", body=b"x").status == 503
    assert gate.sql.count() == 0
    with running(gate):
        wait_until(lambda: gate.call(headers=U1).source == "mongodb", 5, "settings again")


def test_a_module_of_another_nginx(gateway, tmp_path):  # noqa: F811
    gate = gateway()
    gate.program.run("gateway", "check").expect(0)
    bytes_of = MODULE.read_bytes()
    mark = b"banyan: built for nginx/"
    at = bytes_of.index(mark) + len(mark)
    for name, damage, words in (
            ("version", lambda b: b[:at] + b"9" + b[at + 1:], "was built for nginx/9"),
            ("signature", lambda b: b[:b.index(b" ", at) + 1] + b"9" + b[b.index(b" ", at) + 2:], "with other options"),
            ("none", lambda b: b.replace(mark, b"x" * len(mark)), "is no module of Banyan")):
        other = tmp_path / f"{name}.so"
        other.write_bytes(damage(bytes_of))
        change_config(gate, lambda c, path=str(other): c["gateway"].update(module=path, program="/usr/sbin/nginx"))
        refused = gate.program.run("gateway", "check").expect(2)
        assert words in refused.err and "gateway/build.sh" in refused.err


def test_requests_of_other_workers_go_on_when_one_is_killed(gateway):  # noqa: F811
    gate = gateway(gateway={"workers": "2"})
    gate.sql.delay = 2
    with running(gate):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(_status(gate))) for _ in range(16)]
        for each in threads:
            each.start()
        wait_until(lambda: gate.sql.count() == 16, 5, "all are under way")
        busy = children(gate.pid())
        os.kill(busy[0], signal.SIGKILL)
        for each in threads:
            each.join()
        assert answers.count(200) + answers.count("cut") == 16
        gate.sql.delay = 0
        assert [_status(gate) for _ in range(20)] == [200] * 20


def _status(gate):
    try:
        return gate.get().status
    except OSError:
        return "cut"


def test_http2_with_bodies(gateway, tmp_path):  # noqa: F811
    files = certificates.make(tmp_path / "tls")
    gate = gateway(gateway={"tls": {"cert": str(files.cert), "key": str(files.key)}})
    body = tmp_path / "body"
    body.write_bytes(os.urandom(500_000))
    with running(gate):
        done = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", files.ca, "-D", "-", "--data-binary", f"@{body}", "-H", "X-Data-Source: me",
             "--resolve", f"localhost:{gate.port}:127.0.0.1", f"https://localhost:{gate.port}/api/products/7"],
            capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout.startswith("HTTP/2 200") and "x-data-source: sql" in done.stdout
        assert "set-cookie: banyan_rw=" in done.stdout and "; Secure" in done.stdout
        assert gate.sql.arrivals[-1].body == body.read_bytes() and "X-Data-Source" not in gate.sql.arrivals[-1].headers

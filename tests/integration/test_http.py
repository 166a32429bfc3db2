"""The HTTP server of src/http as its clients meet it: raw sockets, TLS, event streams, limits."""
import concurrent.futures
import contextlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from harness import certificates
from harness.http_server import (  # noqa: F401  (fixtures)
    EVALUATE, FOLDER, HOST, OPERATOR, Reader, Server, TOKENS, VIEWER, WAIT, ask, certs, request, shared, start, tls_client, tls_server)


def raw(server, data):
    with server.connect() as sock:
        sock.sendall(data)
        reader = Reader(sock)
        return reader.answer(), reader.closed()


@pytest.fixture(scope="module")
def guarded():
    server = Server(*TOKENS, "--origin", "https://app.example", "--host", "banyan.example")
    yield server
    server.stop()


# ---- messages ----

@pytest.mark.sanitize
def test_request_and_answer(shared):
    answer = ask(shared, "GET", "/items/a%2Fb/of/%C3%A9?q=x+y%26z&r", X_Test="v")
    assert answer.status == 200
    seen = answer.json()
    assert (seen["first"], seen["second"], seen["q"], seen["x"]) == ("a/b", "é", "x y&z", "v")
    assert seen["role"] == "operator" and seen["who"] == "local"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert ask(shared, "GET", "/items/%ff/of/b").status == 400
    assert ask(shared, "GET", "/files/a/b/c").json()["first"] == "a/b/c"


def test_methods(shared):
    assert ask(shared, "GET", "/nowhere").code() == "not_found"
    answer = ask(shared, "DELETE", "/echo")
    assert answer.status == 405 and answer.headers["allow"] == "POST, PATCH"
    with shared.connect() as sock:
        sock.sendall(request("HEAD", "/view") + request("GET", "/view"))
        reader = Reader(sock)
        head, get = reader.answer("HEAD"), reader.answer()
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
    answer = ask(shared, "OPTIONS", "/echo")
    assert answer.status == 204 and answer.headers["allow"] == "POST, PATCH, OPTIONS"
    assert answer.body == b"" and "content-length" not in answer.headers


def test_json_bodies(shared):
    ok = {"Content_Type": "application/json; charset=utf-8"}
    assert ask(shared, "POST", "/json/k", b'{"n":1}', **ok).json() == {"key": "k", "n": 2}
    answer = ask(shared, "POST", "/json/k", b'{"n":1,\n"n":2}', **ok)
    assert answer.status == 400 and "line 2, column 1: the name is there twice" in str(answer.json())
    assert ask(shared, "POST", "/json/k", b'{"n":1}', Content_Type="text/plain").status == 415
    assert ask(shared, "POST", "/json/k", b'{"n":1}').status == 415
    assert ask(shared, "POST", "/json/k", b"[" * 100000, **ok).status == 400
    assert ask(shared, "POST", "/json/k", b"[" + b"0," * 25000 + b"0]", **ok).status == 400


def test_etag(shared):
    assert ask(shared, "GET", "/tagged").headers["etag"] == '"v1"'
    answer = ask(shared, "GET", "/tagged", If_None_Match='"v0", W/"v1"')
    assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == '"v1"'
    for same in ("*", "v1", 'W/"v1"', '"x",v1'):
        assert ask(shared, "GET", "/tagged", If_None_Match=same).status == 304, same
    for other in ('"v2"', "v", '"v1', "v1x"):
        assert ask(shared, "GET", "/tagged", If_None_Match=other).status == 200, other


@pytest.mark.sanitize
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_pieces(shared, step):
    """Two pipelined requests, in pieces of any size."""
    chunks = b"5\r\nhello\r\n3\r\n, w\r\n4\r\norld\r\n0\r\n\r\n"
    data = (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks +
            request("PATCH", "/echo", b"second"))
    with shared.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), step):
            sock.sendall(data[at:at + step])
        reader = Reader(sock)
        assert reader.answer().json()["body"] == "hello, world"
        assert reader.answer().json()["body"] == "second"


@pytest.mark.sanitize
@pytest.mark.parametrize("data, status", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"GET / HTTP/1.1\n\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n", 400),
    (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"A" * 9000, 414),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 33000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n", 431),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST +
     b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000001\r\n\r\n", 413),
    (b"POST /anyone HTTP/1.1\r\n" + HOST + b"Content-Length: 16385\r\n\r\n", 413),
])
def test_bad_bytes_end_the_connection(shared, data, status):
    answer, closed = raw(shared, data)
    assert answer.status == status and answer.headers["connection"] == "close" and closed


def test_body_limits(shared):
    assert ask(shared, "POST", "/echo", b"x" * 1000000).json()["length"] == 1000000
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with shared.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                sock.sendall(chunk)
        assert Reader(sock).answer().status == 413
    tiny = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    tiny += b"1\r\nx\r\n" * 300000 + b"0\r\n\r\n"
    with shared.connect() as sock:
        sock.sendall(tiny)
        assert Reader(sock).answer().json()["length"] == 300000


@pytest.mark.sanitize
def test_what_points_into_a_head_follows_its_body(shared):
    """The buffer moves while a body arrives; the parts of the path and the origin were lost."""
    app = {"Origin": "https://app.example", "Content_Type": "application/json"}
    body = b'{"n":1,"x":"' + b"y" * 300000 + b'"}'
    answer = ask(shared, "POST", "/json/the%20key", body, **app)
    assert answer.json() == {"key": "the key", "n": 2}
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    head = request("POST", "/json/k", Transfer_Encoding="chunked", **app)
    head = head.replace(b"Content-Length: 0\r\n", b"")
    with shared.connect() as sock:
        sock.sendall(request("GET", "/view") + head)  # moved to the front, too
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        reader = Reader(sock)
        assert reader.answer().status == 200
        answer = reader.answer()
    assert answer.status == 413


def test_expect_continue(shared):
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with shared.connect() as sock:
        sock.sendall(head)
        reader = Reader(sock)
        assert reader.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        sock.sendall(b"abc")
        assert reader.answer().json()["body"] == "abc"


def test_keep_alive_and_close(shared):
    with shared.connect() as sock:
        reader = Reader(sock)
        for _ in range(50):
            sock.sendall(request("GET", "/view"))
            assert reader.answer().status == 200
        sock.sendall(request("GET", "/nowhere"))  # an error keeps the connection as well
        assert reader.answer().status == 404
        sock.sendall(request("GET", "/view", Connection="close"))
        assert reader.answer().headers["connection"] == "close" and reader.closed()
    answer, closed = raw(shared, b"GET /view HTTP/1.0\r\n" + HOST + b"\r\n")
    assert answer.status == 200 and closed


@pytest.mark.sanitize
def test_pipelining_is_bounded(shared):
    """Thousands of requests at once, read late: all are answered, in order, in bounded memory."""
    count = 5000
    with shared.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(
            b"".join(request("GET", f"/view?q={i}") for i in range(count)),))
        sender.start()
        time.sleep(0.5)
        reader = Reader(sock)
        for i in range(count):
            assert reader.answer().json()["q"] == str(i)
        sender.join(WAIT)


def test_answers_after_half_close(shared):
    with shared.connect() as sock:
        sock.sendall(request("GET", "/slow?ms=200") + request("GET", "/view"))
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert reader.answer().status == 200 and reader.answer().status == 200
        assert reader.closed()


def test_big_answers(shared):
    assert len(ask(shared, "GET", "/big?bytes=16000000").body) == 16000000
    assert ask(shared, "GET", "/big?bytes=20000000").code() == "too_long"


@pytest.mark.sanitize
def test_slow_routes_keep_nobody_waiting(start):
    server = start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(ask, server, "GET", "/slow?ms=1000") for _ in range(4)]
        time.sleep(0.2)
        begin = time.monotonic()
        for _ in range(20):
            assert ask(server, "GET", "/view").status == 200
        assert time.monotonic() - begin < 0.7
        assert [f.result().status for f in slow] == [200] * 4
    # Clients that go away while a worker has their request.
    for _ in range(10):
        with server.connect() as sock:
            sock.sendall(request("GET", "/slow?ms=50"))
    server.wait_for("connections", 0)


@pytest.mark.sanitize
def test_a_client_that_resets_while_a_worker_has_its_second_request(start):
    """The answer to the first could not be sent: the connection was freed under the worker."""
    server = start()
    for _ in range(10):
        with server.connect() as busy, server.connect() as sock:
            busy.sendall(request("GET", "/big?bytes=16000000"))  # the loop sees what follows together
            sock.sendall(request("GET", "/view") + request("GET", "/slow?ms=100"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.wait_for("connections", 0)
    assert ask(server, "GET", "/view").status == 200


# ---- who may ask ----

def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("token, view, change, evaluate", [
    (None, 401, 401, 401), ("wrong", 401, 401, 401), (VIEWER, 200, 403, 403),
    (OPERATOR, 200, 200, 200), (EVALUATE, 403, 403, 200)])
def test_roles(guarded, token, view, change, evaluate):
    body = (b'{"n":1}',)
    for headers in (bearer(token), {"X-API-Key": token}) if token else ({},):
        assert ask(guarded, "GET", "/", **({} if token == "wrong" else headers)).status == 200
        assert ask(guarded, "GET", "/view", **headers).status == view
        assert ask(guarded, "POST", "/echo", *body, **headers).status == change
        answer = ask(guarded, "POST", "/json/k", *body, Content_Type="application/json", **headers)
        assert answer.status == evaluate
        if evaluate == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
    assert ask(guarded, "GET", "/view", Authorization=f"Basic {token}").status == 401


def test_login(guarded):
    own = f"http://localhost:{guarded.port}"
    page = {"Host": f"localhost:{guarded.port}"}
    json_type = {"Content_Type": "application/json"}

    def login(token):
        return ask(guarded, "POST", "/v1/login", json.dumps({"token": token}).encode(), **page,
                   **json_type)

    for token in ("wrong", EVALUATE, ""):
        answer = login(token)
        assert answer.status == 401 and "set-cookie" not in answer.headers
    answer = login(OPERATOR)
    assert answer.json() == {"role": "operator"}
    cookie, *flags = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    name, value = cookie.split("=")
    assert name == f"banyan_{guarded.port}" and len(value) == 64 and OPERATOR not in value
    with_cookie = page | {"Cookie": f"a=b; {cookie}"}
    assert ask(guarded, "GET", "/view", **with_cookie).json()["who"] == "operator"
    # A change by cookie: only from our own page.
    csrf = {"X-Banyan-CSRF": "1"}
    assert ask(guarded, "POST", "/echo", b"x", **with_cookie).code() == "csrf"
    assert ask(guarded, "POST", "/echo", b"x", **with_cookie, **csrf).code() == "csrf"
    assert ask(guarded, "POST", "/echo", b"x", **with_cookie, Origin=own).code() == "csrf"
    assert ask(guarded, "POST", "/echo", b"x", **with_cookie, **csrf,
               Origin="http://localhost:1").code() == "cross_site"
    assert ask(guarded, "POST", "/echo", b"x", **with_cookie, **csrf, Origin=own).status == 200
    viewer = page | {"Cookie": login(VIEWER).headers["set-cookie"].split(";")[0]}
    assert ask(guarded, "GET", "/view", **viewer).status == 200
    assert ask(guarded, "POST", "/echo", b"x", **viewer, **csrf, Origin=own).status == 403
    for wrong in (value[:-1] + "g", value[:-1], "", "0" * 64):
        assert ask(guarded, "GET", "/view", **page, Cookie=f"{name}={wrong}").status == 401
    answer = ask(guarded, "POST", "/v1/logout", **with_cookie, **csrf, Origin=own)
    assert answer.status == 200 and "Max-Age=0" in answer.headers["set-cookie"]
    assert ask(guarded, "GET", "/view", **with_cookie).status == 401


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("LOCALHOST:99", 200), ("127.0.0.1:1", 200), ("[::1]:1", 200),
    ("banyan.example", 200), ("banyan.example:443", 200), ("evil.example", 421),
    ("localhost.evil.example", 421), ("127.0.0.2", 421), ("", 421), ("[::2]", 421)])
def test_host(guarded, host, status):
    assert ask(guarded, "GET", "/", Host=host).status == status
    assert ask(guarded, "GET", "/view", Host=host, **bearer(VIEWER)).status == status


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ""},
    {"Origin": "http://localhost:1"}, {"Origin": "https://app.example"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_cross_site_requests_change_and_read_nothing(shared, headers):
    assert ask(shared, "POST", "/echo", b"x", **headers).code() == "cross_site"
    assert ask(shared, "GET", "/view", **headers).code() == "cross_site"
    answer = ask(shared, "GET", "/events", **headers)
    assert answer.code() == "cross_site" and "access-control-allow-origin" not in answer.headers
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert ask(shared, "POST", "/echo", b"x", **own).status == 200


def test_a_link_from_elsewhere_opens_the_page(shared):
    assert ask(shared, "GET", "/", Sec_Fetch_Site="cross-site").status == 200
    assert ask(shared, "POST", "/anyone", b"x", Sec_Fetch_Site="cross-site").status == 403


def test_cors(guarded):
    app = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    answer = ask(guarded, "OPTIONS", "/json/k", **app, Access_Control_Request_Method="POST")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "If-None-Match", "X-API-Key"} <= set(allowed)
    assert "access-control-allow-credentials" not in answer.headers
    answer = ask(guarded, "POST", "/json/k", b'{"n":1}', Content_Type="application/json", **app,
                 **bearer(EVALUATE))
    assert answer.json()["n"] == 2
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-expose-headers"] == "ETag, Retry-After"
    assert answer.headers["vary"] == "Origin"
    # The page there must see that its token is wrong.
    answer = ask(guarded, "POST", "/json/k", b"{}", **app)
    assert answer.status == 401 and "access-control-allow-origin" in answer.headers
    evil = {"Origin": "https://evil.example"}
    answer = ask(guarded, "OPTIONS", "/json/k", **evil, Access_Control_Request_Method="POST")
    assert answer.status == 403 and "access-control-allow-origin" not in answer.headers
    assert ask(guarded, "OPTIONS", "/echo", **app).status == 403


@pytest.mark.parametrize("options, words", [
    (("--listen", "0.0.0.0:0"), "set tokens and tls.cert and tls.key"),
    (("--listen", "0.0.0.0:0", *TOKENS), "set tls.cert and tls.key"),
    (("--listen", "0.0.0.0:0", "--operator", "short", "--insecure"), None),
    (("--listen", "127.0.0.1"), "is not address:port"),
    (("--listen", "127.0.0.1:0", "--cert", "/gone.crt", "--key", "/gone.key"), "tls.cert: /gone.crt"),
    (("--operator", VIEWER, "--viewer", VIEWER), "a token is a role"),
])
def test_start(options, words):
    process = subprocess.run([str(FOLDER / "http_test_server"), *options], input="stop\n",
                             capture_output=True, text=True, timeout=WAIT, check=False)
    if words is None:
        assert process.returncode == 0
    else:
        assert process.returncode == 2 and words in process.stderr
        assert VIEWER not in process.stderr


def test_port_in_use(start):
    server = start("--threads", "2")
    for threads in ("1", "2"):
        process = subprocess.run(
            [str(FOLDER / "http_test_server"), "--listen", server.address, "--threads", threads],
            input="", capture_output=True, text=True, timeout=WAIT, check=False)
        assert process.returncode == 3 and "another program has the port" in process.stderr


# ---- clients that misbehave ----

def test_slow_headers(start):
    server = start()
    begin = time.monotonic()
    with server.connect() as dripping, server.connect() as silent:
        reader = Reader(dripping)
        dripping.settimeout(0.5)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 15:  # a byte now and then gives no more time
                dripping.sendall(b"G" if time.monotonic() - begin < 0.4 else b"x")
                with contextlib.suppress(TimeoutError):
                    if reader.more():
                        break
        assert reader.answer().status == 408
        assert 9.5 < time.monotonic() - begin < 12
        assert silent.recv(1) == b""
        assert ask(server, "GET", "/view").status == 200


def take_steadily(server, seconds):
    """Bytes of a body that is taken a little at a time, and whole in the end."""
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(request("GET", "/big?bytes=16000000"))
        reader = Reader(sock)
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            reader.more()
            time.sleep(0.5)
        return len(reader.answer().body)


def test_slow_bodies_slow_readers_and_idle_connections(start):
    """30 s for a body, 30 s without a byte of the answer taken, 60 s between requests: not while
    the answer is being taken, however long that takes."""
    server = start()
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, server.connect() as body, \
            server.connect() as unread, server.connect() as idle:
        for sock in (body, idle):
            sock.settimeout(70)
        steady = pool.submit(take_steadily, start(), 64)
        idle.sendall(request("GET", "/view"))
        idle_reader = Reader(idle)
        assert idle_reader.answer().status == 200
        body.sendall(request("POST", "/echo", Content_Length=5) + b"ab")
        unread.sendall(request("GET", "/big?bytes=16000000"))
        assert Reader(body).answer().status == 408
        assert 29.5 < time.monotonic() - begin < 33
        server.wait_for("connections", 1)  # after the two others: the idle one
        assert time.monotonic() - begin < 36
        assert idle_reader.closed()
        assert 59.5 < time.monotonic() - begin < 63
        assert steady.result() == 16000000


@pytest.mark.parametrize("threads", ["1", "3"])
def test_connections_are_bounded(start, threads):
    server = start("--threads", threads)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(1000)]
        server.wait_for("connections", 1000)
        with server.connect() as extra:
            reader = Reader(extra)
            answer = reader.answer()
            assert answer.status == 503 and answer.headers["retry-after"] == "1" and reader.closed()
        for sock in held:
            sock.sendall(request("GET", "/view"))
        for sock in held:
            assert Reader(sock).answer().status == 200
        assert server.counts()["refused"] == 1
        held.pop().close()
        server.wait_for("connections", 999)
        assert ask(server, "GET", "/view").status == 200
    server.wait_for("connections", 0)


def test_flood_of_connections_without_requests(start):
    """Connections over the limit that are never closed do not take descriptors for ever."""
    server = start()
    with contextlib.ExitStack() as stack:
        for _ in range(1200):
            stack.enter_context(server.connect())
        deadline = time.monotonic() + WAIT
        while server.counts()["connections"] > 1000 or server.counts()["refused"] < 200:
            assert time.monotonic() < deadline, server.counts()
            time.sleep(0.05)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 1100


# ---- event streams ----

class Stream:
    def __init__(self, server, **headers):
        self.sock = server.connect()
        self.sock.sendall(request("GET", "/events", **headers))
        self.reader = Reader(self.sock)
        self.head = self.reader.until(b"\r\n\r\n").decode()

    def event(self):
        fields = {}
        while "data" not in fields:
            fields = dict(line.split(": ", 1)
                          for line in self.reader.until(b"\n\n").decode().split("\n") if ": " in line)
        return fields

    def close(self):
        self.sock.close()


@pytest.mark.sanitize
def test_events(start):
    server = start("--threads", "2")
    streams = [Stream(server) for _ in range(6)]
    assert "200 OK" in streams[0].head and "text/event-stream" in streams[0].head
    server.wait_for("streams", 6)
    for i in range(20):
        assert server.order(f'publish 0 status {{"i":{i}}}') == "ok"
        assert server.order("publish 1 other {}") == "ok"
    for stream in streams:
        events = [stream.event() for _ in range(20)]
        assert [json.loads(e["data"])["i"] for e in events] == list(range(20))
        assert {e["event"] for e in events} == {"status"}
    # What was missed is sent again, once.
    again = Stream(server, Last_Event_ID=events[16]["id"])
    assert [json.loads(again.event()["data"])["i"] for _ in range(3)] == [17, 18, 19]
    server.order('publish 0 status {"i":20}')
    assert json.loads(again.event()["data"])["i"] == 20
    # Another run's id, or one that the ring has forgotten: everything is to be asked anew.
    assert Stream(server, Last_Event_ID="1-5").event()["event"] == "reset"
    server.order("flood 0 1200 10")
    assert Stream(server, Last_Event_ID=events[0]["id"]).event()["event"] == "reset"
    for stream in streams:
        stream.close()


def test_long_replay(start):
    """More than a stream may be behind, read at leisure: all of it arrives."""
    server = start()
    first = Stream(server)
    server.order("publish 0 first x")
    mark = first.event()["id"]
    first.close()
    server.order("flood 0 60 60000")
    again = Stream(server, Last_Event_ID=mark)
    time.sleep(0.3)
    assert [len(again.event()["data"]) for _ in range(60)] == [60000] * 60


@pytest.mark.sanitize
def test_slow_readers_are_cut(start):
    server = start()
    slow, fast = Stream(server), Stream(server)
    server.wait_for("streams", 2)
    for _ in range(400):  # 24 MB: more than the kernel keeps for a socket
        server.order("flood 0 1 60000")
        assert len(fast.event()["data"]) == 60000
    server.wait_for("streams_cut", 1)
    server.wait_for("streams", 1)
    slow.close()


def test_streams_are_bounded_and_beat(start):
    server = start()
    streams = [Stream(server) for _ in range(200)]
    server.wait_for("streams", 200)
    answer = ask(server, "GET", "/events")
    assert answer.code() == "too_many_streams" and answer.headers["retry-after"] == "5"
    begin = time.monotonic()
    assert streams[0].reader.until(b"\n\n") == b"retry: 1000"
    assert streams[0].reader.until(b"\n\n") == b":"
    assert 13 < time.monotonic() - begin < 17
    for stream in streams:
        stream.close()
    server.wait_for("streams", 0)


# ---- the end ----

@pytest.mark.sanitize
def test_graceful_stop(start):
    server = start("--threads", "2")
    stream, idle = Stream(server), server.connect()
    server.wait_for("streams", 1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, server, "GET", "/slow?ms=800")
        time.sleep(0.3)
        took = server.stop()
        answer = slow.result()
    assert answer.status == 200 and answer.headers["connection"] == "close"
    assert 0.3 < took < 3
    assert Reader(idle).closed()
    stream.reader.until(b"\n\n")
    assert stream.reader.closed()
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_stop_ends_what_takes_too_long(start):
    server = start()
    with server.connect() as half, server.connect() as slow:
        half.sendall(b"GET / HT")
        slow.sendall(request("GET", "/slow?ms=7000"))
        time.sleep(0.2)
        assert 4.5 < server.stop() < 9


# ---- TLS ----

@pytest.mark.sanitize
def test_tls(start, certs):
    server = tls_server(start, certs, *TOKENS)
    context = tls_client(certs)
    answer = ask(server, "POST", "/v1/login", json.dumps({"token": OPERATOR}).encode(),
                 Content_Type="application/json", context=context)
    assert "Secure" in answer.headers["set-cookie"]
    body = b"x" * 1000000
    assert ask(server, "POST", "/echo", body, context=context,
               **bearer(OPERATOR)).json()["length"] == len(body)
    assert len(ask(server, "GET", "/big?bytes=5000000", context=context,
                   **bearer(VIEWER)).body) == 5000000
    with server.connect(context) as sock:
        sock.sendall(b"".join(request("GET", f"/view?q={i}", **bearer(VIEWER))
                              for i in range(2000)))
        reader = Reader(sock)
        for i in range(2000):
            assert reader.answer().json()["q"] == str(i)
    old = tls_client(certs)
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        server.connect(old)
    with server.connect() as plain:
        plain.sendall(request("GET", "/view"))
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in plain.recv(100)
    assert ask(server, "GET", "/view", context=context, **bearer(VIEWER)).status == 200


def test_tls_pipelining_behind_a_slow_route(start, certs):
    """What OpenSSL had read and we had not, when a worker gave its request back, was forgotten."""
    server = tls_server(start, certs)
    many = b"".join(request("GET", f"/view?q={i}") for i in range(200))
    with server.connect(tls_client(certs)) as sock:
        sock.sendall(request("GET", "/slow?ms=50") + many)  # one record
        reader = Reader(sock)
        assert reader.answer().status == 200
        for i in range(200):
            assert reader.answer().json()["q"] == str(i)


def test_tls_client_certificates(start, certs):
    server = tls_server(start, certs, "--client-ca", certs.ca)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(server, "GET", "/view", context=tls_client(certs))
    assert ask(server, "GET", "/view", context=tls_client(certs, True)).status == 200


def test_tls_reload(start, certs, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(certs.cert.read_bytes())
    key.write_bytes(certs.key.read_bytes())
    server = start("--cert", cert, "--key", key)
    with server.connect(tls_client(certs)) as before:
        cert.write_text("nonsense")
        assert "tls.cert" in server.order("reload")
        assert ask(server, "GET", "/view", context=tls_client(certs)).status == 200
        other = certificates.make(tmp_path / "other")
        cert.write_bytes(other.cert.read_bytes())
        assert "tls.key" in server.order("reload")
        key.write_bytes(other.key.read_bytes())
        assert server.order("reload") == "ok"
        assert ask(server, "GET", "/view", context=tls_client(other)).status == 200
        with pytest.raises(ssl.SSLError):
            server.connect(tls_client(certs))
        before.sendall(request("GET", "/view"))  # who is here stays
        assert Reader(before).answer().status == 200


# ---- the cost of a request ----

def test_cpu_time_of_a_request(start):
    """The budget of an OFREP evaluation is 16 µs; what the server itself takes must leave room."""
    server = start(*TOKENS)
    count = 20000
    load = [str(FOLDER / "http_test_client"), "load", str(server.port), str(count), "16"]
    subprocess.run(load, check=True, timeout=60, capture_output=True)
    costs = []
    for _ in range(3):
        before = server.cpu_ns()
        done = subprocess.run(load, check=True, timeout=60, capture_output=True, text=True)
        assert done.stdout == f"{count} answered\n"
        costs.append((server.cpu_ns() - before) / 1000 / count)
    print(f"CPU time per request: {sorted(costs)[1]:.2f} µs")
    # Twice what a quiet machine shows (9 µs): this one is shared.
    assert min(costs) < 20

"""HTTP through the gateway is as through plain nginx."""
import http.client
import socket
import ssl
import subprocess
import time

from harness import certificates
from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until
from harness.websocket import echoes, open_websocket, websocket_service

U1 = {"X-User-Id": "u1"}


def test_one_connection_many_requests(gateway):  # noqa: F811
    gate = gateway(route={"own_writes": {"wait": "0s"}})
    with running(gate):
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
        for i in range(50):
            connection.request("GET" if i % 3 else "POST", f"/api/products/{i}", b"x" if i % 3 == 0 else None, U1 if i % 2 else {})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200 and answer.headers["X-Data-Source"] == ("mongodb" if i % 2 and i % 3 else "sql")
        connection.close()


def test_bodies(gateway):  # noqa: F811
    gate = gateway(gateway={"body_limit": "1m"})
    with running(gate):
        big = bytes(range(256)) * 3000
        assert gate.call("PUT", body=big).status == 200 and gate.sql.arrivals[-1].body == big
        answer = gate.raw("POST /api/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and gate.sql.arrivals[-1].body == b"hello world"
        assert gate.call("POST", body=b"x" * (1024 * 1024 + 1)).status == 413
        gate.sql.answer = lambda a: (200, {}, b"y" * 3_000_000)
        assert len(gate.get().body) == 3_000_000
        head = gate.call("HEAD")
        assert (head.headers["Content-Length"], head.body) == ("3000000", b"")


def test_100_continue(gateway):  # noqa: F811
    gate = gateway()
    with running(gate), socket.create_connection(("127.0.0.1", gate.port), 10) as connection:
        connection.sendall(b"POST /api/products HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"body")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert b" 200 OK" in answer and gate.sql.arrivals[-1].body == b"body"


def test_big_headers(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        assert gate.get(X_Big="b" * 20000).status == 200
        assert gate.sql.arrivals[-1].headers["X-Big"] == "b" * 20000
        assert gate.get(X_Big="b" * 40000).status == 400
        many = {f"X-H{i}": str(i) for i in range(90)}
        assert gate.call(headers=many | U1).source == "mongodb"


def test_headers_in_between(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        gate.get(Host="shop.example", X_Forwarded_For="9.9.9.9", Range="bytes=0-1", If_None_Match='"x"', Cookie="a=b")
        seen = gate.sql.arrivals[-1].headers
        assert seen["Host"] == "shop.example" and seen["X-Forwarded-For"] == "9.9.9.9, 127.0.0.1"
        assert (seen["Range"], seen["If-None-Match"], seen["Cookie"]) == ("bytes=0-1", '"x"', "a=b")
        gate.sql.answer = lambda a: (304, {"ETag": '"x"', "Set-Cookie": "c=d"}, b"")
        answer = gate.get()
        assert (answer.status, answer.headers["ETag"], answer.headers["Set-Cookie"]) == (304, '"x"', "c=d")


def test_clients_that_leave(gateway):  # noqa: F811
    """Their requests end as 499, and count against nobody."""
    gate = gateway(route={"fallback": {"breaker": {"of": 5, "errors": "50%", "open": "60s"}}})
    gate.mongodb.delay = 0.5
    with running(gate):
        for _ in range(12):
            with socket.create_connection(("127.0.0.1", gate.port), 10) as connection:
                connection.sendall(b"GET /api/products/7 HTTP/1.1\r\nHost: x\r\nX-User-Id: u1\r\n\r\n")
                time.sleep(0.05)
        wait_until(lambda: sum('"status":"499"' in line for line in gate.log()) == 12, 10, "499 in the log")
        gate.mongodb.delay = 0
        assert gate.call(headers=U1).source == "mongodb"


def test_nonsense(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        for text in ("GET\r\n\r\n", "GET /api/products HTTP/9.9\r\n\r\n", "\0\0\0\0", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
                     "GET /../.. HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://x/api/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            gate.raw(text, leave=True)
        path = "/api/products/" + "%2e%2e/" * 4000
        assert gate.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 4")
        assert gate.get().status == 200


def test_websockets(gateway):  # noqa: F811
    service = websocket_service()
    gate = gateway(route={"mongodb": {"url": f"http://127.0.0.1:{service.getsockname()[1]}", "service": "sockets"}})
    with running(gate):
        connection, head = open_websocket(gate.port, X_User_Id="u1")
        with connection:
            assert head.startswith(b"HTTP/1.1 101") and b"X-Data-Source: mongodb" in head
            for message in (b"\x81\x05hello", b"\x82\x03abc"):
                assert echoes(connection, message)
    service.close()


def test_https_and_http2(gateway, tmp_path):  # noqa: F811
    files = certificates.make(tmp_path / "tls")
    gate = gateway(gateway={"tls": {"cert": str(files.cert), "key": str(files.key)}})
    with running(gate):
        done = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", files.ca, "-H", "X-User-Id: u1", "-D", "-",
             "--resolve", f"localhost:{gate.port}:127.0.0.1", f"https://localhost:{gate.port}/api/products/7"],
            capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout.startswith("HTTP/2 200") and "x-data-source: mongodb" in done.stdout
        context = ssl.create_default_context(cafile=files.ca)
        with socket.create_connection(("127.0.0.1", gate.port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(b"GET /api/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert b"X-Data-Source: sql" in b"".join(iter(lambda: secure.recv(4096), b""))
        assert gate.sql.arrivals[-1].headers["X-Forwarded-Proto"] == "https"

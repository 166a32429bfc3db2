"""Our HTTP client (src/http/client.h) against our server, and against servers that are none."""
import contextlib
import socket
import subprocess
import threading
import time

import pytest

from harness import sanitizers
from harness.http_server import FOLDER, WAIT, certs, shared, start, tls_server  # noqa: F401  (fixtures)


def call(url, *arguments, limit_ms=5000):
    process = subprocess.run([str(FOLDER / "http_test_client"), "call", url, str(limit_ms),
                              *map(str, arguments)], capture_output=True, text=True, timeout=WAIT,
                             check=False)
    return process.stdout


@pytest.mark.sanitize
def test_client(shared, start, certs):
    assert call(f"http://localhost:{shared.port}/view?q=1").startswith('200 {"method":"GET"')
    answer = call(f"http://127.0.0.1:{shared.port}/json/k", "", '{"n":1}')
    assert answer == '200 {"key":"k","n":2}\n'
    assert call(f"http://127.0.0.1:{shared.port}/gone").startswith("404 ")
    assert "ERR_LIMIT" in call(f"http://127.0.0.1:{shared.port}/big?bytes=1200000")
    assert len(call(f"http://127.0.0.1:{shared.port}/big?bytes=900000")) == 900004
    begin = time.monotonic()
    slow = call(f"http://127.0.0.1:{shared.port}/slow?ms=3000&secret=1", limit_ms=300)
    assert "ERR_UNREACHABLE" in slow and "no answer in time" in slow and "secret" not in slow
    assert time.monotonic() - begin < 2
    assert "ERR_UNREACHABLE" in call("http://127.0.0.1:1/")
    assert "ERR_CONF" in call("ftp://127.0.0.1/")
    tls = tls_server(start, certs)
    assert call(f"https://localhost:{tls.port}/view", certs.ca).startswith("200 ")
    assert call(f"https://127.0.0.1:{tls.port}/view", certs.ca).startswith("200 ")
    assert "certificate is not accepted" in call(f"https://localhost:{tls.port}/view")


class Kept:
    """Our client with one connection: each `ask` is a call."""

    def __init__(self, url, *arguments):
        self.process = subprocess.Popen([str(FOLDER / "http_test_client"), "kept", url, "5000", *map(str, arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=sanitizers.environment())

    def ask(self):
        print(file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(WAIT) == 0


@pytest.mark.sanitize
def test_client_keeps_its_connection(start, certs):
    plain, tls = start(), tls_server(start, certs)
    for server, scheme, ca in ((plain, "http", ()), (tls, "https", (certs.ca,))):
        kept = Kept(f"{scheme}://localhost:{server.port}/gone", *ca)
        before = server.counts()["accepted"]
        for _ in range(5):
            assert kept.ask().startswith("404 ") and kept.process.stdout.readline() == "\n"
        assert server.counts()["accepted"] == before + 1
        kept.end()


def test_client_and_a_kept_connection_that_was_closed():
    """A server may close at any time: what it closed before the call costs nobody an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            for answers in (2, 1, 1):
                with listener.accept()[0] as sock:
                    for _ in range(answers):
                        sock.recv(65536)
                        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        thread = threading.Thread(target=serve)
        thread.start()
        kept = Kept(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for _ in range(4):
            assert kept.ask() == "200 x\n"
            time.sleep(0.1)  # until the close has come
        kept.end()
        thread.join(WAIT)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("sent, expected", [
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall", "200 all"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\n", "200 all"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nall", "ERR_WIRE"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nal", "ERR_WIRE"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302 "),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "ERR_WIRE"),
    (b"", "ERR_WIRE"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000, "ERR_WIRE"),
    (CHUNKED + b"a\r\n0123456789\r\n" * 90000 + b"0\r\n\r\n", "200 0123456789"),  # its framing has no limit
    (CHUNKED + b"f4241\r\n", "ERR_LIMIT"),
])
def test_client_and_odd_servers(sent, expected):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with listener.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(WAIT)
                with contextlib.suppress(OSError):
                    sock.recv(1)
        thread = threading.Thread(target=serve)
        thread.start()
        assert call(f"http://127.0.0.1:{listener.getsockname()[1]}/").startswith(expected)
        thread.join(WAIT)

"""A server of src/http for its tests, as its clients meet it: raw sockets, and programs of tests/http."""
import contextlib
import glob
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time

import pytest

from . import certificates, sanitizers

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = pathlib.Path(os.environ.get("BANYAN_BIN", ROOT / "build/src/cli/banyan")
                      ).resolve().parents[2] / "tests/http"
OPERATOR, VIEWER, EVALUATE = "operator-token-0123", "viewer-token-012345", "evaluate-token-0123"
TOKENS = ("--operator", OPERATOR, "--viewer", VIEWER, "--evaluate", EVALUATE)
HOST = b"Host: localhost\r\n"
WAIT = 20


class Server:
    """http_test_server: orders go to its standard input, one answer each."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [str(FOLDER / "http_test_server"), *map(str, options)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=sanitizers.environment())
        line = self.process.stdout.readline()
        assert line.startswith("listening "), line + self.process.stderr.read()
        self.address = line.split()[1]
        self.port = int(self.address.rsplit(":", 1)[1])

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def counts(self):
        return json.loads(self.order("counts"))

    def wait_for(self, name, value):
        deadline = time.monotonic() + WAIT
        while self.counts()[name] != value:
            assert time.monotonic() < deadline, self.counts()
            time.sleep(0.02)

    def stop(self):
        """Returns the seconds that it took."""
        start = time.monotonic()
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                assert self.order("stop") == "stopped"
        code = self.process.wait(WAIT)
        errors = self.process.stderr.read()
        assert code == 0 and errors == "", (code, errors)
        return time.monotonic() - start

    def connect(self, context=None):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        return context.wrap_socket(raw, server_hostname="localhost") if context else raw

    def cpu_ns(self):
        return sum(int(pathlib.Path(p).read_text().split()[0])
                   for p in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def code(self):
        return self.json()["error"]["code"]


class Reader:
    """Answers from a socket, one after the other."""

    def __init__(self, sock):
        self.sock, self.bytes = sock, b""

    def more(self):
        got = self.sock.recv(65536)
        self.bytes += got
        return got

    def until(self, mark):
        while mark not in self.bytes:
            assert self.more(), f"closed after {self.bytes[:200]!r}"
        head, self.bytes = self.bytes.split(mark, 1)
        return head

    def answer(self, method="GET"):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers.get("content-length", 0)) if method != "HEAD" else 0
        while len(self.bytes) < length:
            assert self.more(), "closed inside a body"
        body, self.bytes = self.bytes[:length], self.bytes[length:]
        return Answer(status, headers, body)

    def closed(self):
        """The server closes, and sends nothing more."""
        while not self.bytes:
            try:
                if not self.more():
                    return True
            except ConnectionResetError:
                return True
        return False


def request(method, target, body=b"", **headers):
    headers = {"Host": "localhost"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if body or method in ("POST", "PATCH"):
        headers.setdefault("Content-Length", len(body))
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def ask(server, method, target, body=b"", context=None, **headers):
    with server.connect(context) as sock:
        sock.sendall(request(method, target, body, **headers))
        return Reader(sock).answer(method)


def tls_server(start, certs, *options):
    return start("--cert", certs.cert, "--key", certs.key, *options)


def tls_client(certs, with_certificate=False):
    context = ssl.create_default_context(cafile=certs.ca)
    if with_certificate:
        context.load_cert_chain(certs.client_cert, certs.client_key)
    return context


@pytest.fixture
def start():
    made = []

    def make(*options):
        made.append(Server(*options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def shared():
    server = Server("--origin", "https://app.example")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certs"))

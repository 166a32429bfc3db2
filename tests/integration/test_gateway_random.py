"""Requests made of odd pieces, to a real nginx: every one is answered or refused, no worker ends, and
under ASan nothing is found."""
import contextlib
import os
import random
import socket

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import

PATHS = ["/api/products", "/api/products/7", "/", "//", "/.", "/..", "/%2e%2e", "/%252e%252e", "%2f", "%00", "%zz", "%", "?", "?a=b",
         "#", ";x", "\\", "/images", "/api", "é", "\x7f", "a" * 300, "%2f" * 200, "/../" * 50, "*", "http://x/api/products"]
NAMES = ["X-User-Id", "X_User_Id", "X-Tenant-Id", "Cookie", "Authorization", "X-Banyan-Shadow", "X-Data-Source", "Upgrade", "Connection",
         "Expect", "Content-Length", "Transfer-Encoding", "Host", "Range", "If-None-Match", "Accept-Encoding", "X-" + "y" * 200, "X-\x01", ""]
VALUES = ["u1", "u2", "", "1", "banyan_rw=", "banyan_rw=" + "0" * 32, "banyan_rw=" + "g" * 32 + "; a=b", "banyan_rw=x; banyan_rw=y", "Bearer ",
          "Bearer a.b.c", "Bearer " + "a" * 2000 + ".b.", "websocket", "upgrade", "close", "keep-alive", "100-continue", "5", "-1",
          "99999999999999999999", "chunked", "bytes=0-1", "\xff\xfe", "\t", "v" * 5000]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "X", "PRI", ""]
BODIES = ["", "x", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "zz\r\n", "{" * 3000]


def request(dice):
    """Odd in one place more often than in all: the oddest do not get far."""
    path = dice.choice(["/api/products", "/api/products/images", ""]) + "".join(dice.choice(PATHS) for _ in range(dice.randrange(3)))
    lines = [f"{dice.choice(['GET'] * 9 + METHODS)} {path} HTTP/1.{dice.choice('1111110' + '9')}", "Host: x"]
    lines += [f"{dice.choice(NAMES)}: {dice.choice(VALUES)}" for _ in range(dice.randrange(6))]
    return ("\r\n".join(lines) + "\r\n\r\n" + dice.choice(BODIES)).encode("latin-1")


def send(gate, text):
    """What comes back within a moment; a reset is an answer too."""
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError), socket.create_connection(("127.0.0.1", gate.port), 0.1) as connection:
        connection.sendall(text)
        while some := connection.recv(65536):
            answer += some
    return answer


@pytest.mark.sanitize
def test_random_requests(gateway):  # noqa: F811
    gate = gateway(route={"compare": {"sample": "100%"}, "read": ["POST /api/products/7"], "attributes": {"user": {"plan": "$cookie_plan"}}},
                   routes=[{"prefix": "/api/products/images", "user": {"jwt": "sub", "key": "k" * 32}}])
    seed = int(os.environ.get("BANYAN_SEED", "20261129"))
    dice = random.Random(seed)
    with running(gate):
        answered = 0
        for _ in range(400):
            answer = send(gate, request(dice))
            assert answer == b"" or answer.startswith((b"HTTP/1.", b"<html", b"\x00")), (seed, answer[:100])
            answered += answer.startswith(b"HTTP/1.1 200")
        assert answered > 20, seed
        assert gate.get(X_User_Id="u1").source == "mongodb"
        assert "exited on signal" not in (gate.folder / "error.log").read_text(errors="replace"), seed

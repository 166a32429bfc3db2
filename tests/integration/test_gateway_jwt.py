"""Who asks, by a signed token: through nginx, with tokens as identity providers make them."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import time

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.memory import resident
from harness.process import children, wait_until
from harness.websocket import echoes, open_websocket, websocket_service

SECRET = "0123456789abcdef0123456789abcdef"
FLAGS = """
features:
  - name: products_mongodb
    enabled: true
    rollout_percentage: 0
    enabled_for_users: [u1]
    enabled_for_tenants: [acme]
    conditions:
      - {type: user_attribute, attribute: level, operator: ">", value: 5}
      - {type: user_attribute, attribute: staff, operator: "=", value: true}
"""


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _openssl(*command, stdin=None):
    return subprocess.run(["openssl", *map(str, command)], input=stdin, capture_output=True, check=True).stdout


class Key:
    """A key of an identity provider, of one algorithm."""

    def __init__(self, folder, algorithm):
        self.algorithm, self._private = algorithm, folder / f"{algorithm}.pem"
        kind = {"RS256": ("RSA", "rsa_keygen_bits:2048"), "ES256": ("EC", "ec_paramgen_curve:P-256")}.get(algorithm)
        self.public = SECRET
        if kind:
            _openssl("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", self._private)
            self.public = _openssl("pkey", "-in", self._private, "-pubout").decode()

    def _sign(self, text):
        if self.algorithm == "HS256":
            return hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
        signature = _openssl("dgst", "-sha256", "-sign", self._private, stdin=text)
        return _raw(signature) if self.algorithm == "ES256" else signature

    def token(self, algorithm=None, **claims):
        header = {"alg": algorithm or self.algorithm, "typ": "JWT"}
        text = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        return (b"Bearer " + text + b"." + _base64(self._sign(text))).decode()


def _raw(der):
    """The two numbers of an ECDSA signature, 32 bytes each."""
    numbers, rest = [], der[2:]
    for _ in range(2):
        length = rest[1]
        numbers.append(int.from_bytes(rest[2:2 + length], "big").to_bytes(32, "big"))
        rest = rest[2 + length:]
    return b"".join(numbers)


@pytest.fixture(params=["HS256", "RS256", "ES256"])
def key(request, tmp_path):
    return Key(tmp_path, request.param)


def _route(key):
    claim = {name: {"jwt": name, "key": key.public} for name in ("sub", "org", "level", "staff")}
    return {"user": claim["sub"], "tenant": claim["org"], "attributes": {"user": {"level": claim["level"], "staff": claim["staff"]}}}


def test_claims_say_who_asks(gateway, key):  # noqa: F811
    gate = gateway(route=_route(key), flags=FLAGS)
    with running(gate):
        def source(**claims):
            return gate.get(Authorization=key.token(**claims)).source

        assert source(sub="u1") == "mongodb" and source(sub="u2") == "sql"
        assert source(sub="u2", org="acme") == "mongodb"
        assert source(sub="u2", level=6, staff=True) == "mongodb"
        assert source(sub="u2", level=5, staff=True) == "sql"
        assert source(sub="u2", level="6", staff=True) == "sql", "text is no number"
        assert source(sub="u2", level=6, staff="true") == "sql", "text is no boolean"
        assert source(sub="u1", exp=time.time() + 30) == "mongodb"
        assert source(sub="u1", exp=time.time() - 120) == "sql"
        assert source(sub="u1", nbf=time.time() + 120) == "sql"
        assert gate.get().source == "sql"
        sent = gate.mongodb.arrivals[-1].headers["Authorization"]
        assert sent.startswith("Bearer "), "the service sees the token"


def test_a_token_is_verified_once_for_all_its_claims(gateway, tmp_path):  # noqa: F811
    """Thirty more claims cost next to nothing; a signature of ES256 costs more than a whole request."""
    key = Key(tmp_path, "ES256")
    claim = {"jwt": "level", "key": key.public}
    many = {"user": {f"a{i}": claim for i in range(28)} | {name: claim for name in ("level", "staff")}}
    gate = gateway(route=_route(key), flags=FLAGS, gateway={"workers": "1"}, routes=[{"prefix": "/api/many", "attributes": many}])
    token = key.token(sub="u1", level=1)
    with running(gate):
        worker = children(gate.pid())[0]

        def seconds(path):
            before = _cpu(worker)
            for _ in range(300):
                assert gate.get(path, Authorization=token).source == "mongodb"
            return _cpu(worker) - before

        seconds("/api/products/1")
        few = seconds("/api/products/1")
        assert seconds("/api/many/1") < few * 2 + 0.1


def _cpu(pid):
    """Seconds so far, of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_is_not_signed_says_nothing(gateway, key, tmp_path):  # noqa: F811
    gate = gateway(route=_route(key), flags=FLAGS)
    (tmp_path / "other").mkdir()
    other = Key(tmp_path / "other", key.algorithm) if key.algorithm != "HS256" else None
    with running(gate):
        good = key.token(sub="u1")
        assert gate.get(Authorization=good).source == "mongodb"
        tampered = good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB")
        header, payload, _ = good.split(".")
        none = "Bearer " + _base64(b'{"alg":"none"}').decode() + "." + payload + "."
        confused = f"{_base64(json.dumps({'alg': 'HS256'}).encode()).decode()}.{payload}"
        forged = hmac.new(key.public.encode() if other else b"x" * 32, confused.encode(), hashlib.sha256).digest()
        for bad in (tampered, none, header, f"Bearer {confused}.{_base64(forged).decode()}", "Bearer x", "Basic dTE6eA==", "Bearer " + "x" * 9000,
                    *([other.token(sub="u1")] if other else [])):
            assert gate.get(Authorization=bad).source == "sql", bad
        assert gate.raw(f"GET /api/products HTTP/1.1\r\nHost: x\r\nAuthorization: {good}\r\nAuthorization: {good}\r\n"
                        "Connection: close\r\n\r\n").startswith(b"HTTP/1.1 400"), "two headers have two readings"


def test_a_websocket_is_whose_it_was_when_it_connected(gateway, tmp_path):  # noqa: F811
    """Its token may expire meanwhile: that is no rollback. And asking whether there was one costs
    no memory, however long it lives."""
    key, service = Key(tmp_path, "HS256"), websocket_service()
    url = f"http://127.0.0.1:{service.getsockname()[1]}"
    gate = gateway(route=_route(key), flags=FLAGS, gateway={"drain": "200ms"},
                   routes=[{"prefix": "/api/products/live", "mongodb": {"url": url, "service": "sockets"}}])
    with running(gate):
        def memory():
            return sum(resident(worker) for worker in children(gate.pid()))

        # The leeway is a minute.
        token = key.token(sub="u2", level=6, staff=True, exp=time.time() - 55)
        sockets = [open_websocket(gate.port, Authorization=token) for _ in range(40)]
        assert all(head.startswith(b"HTTP/1.1 101") and b"X-Data-Source: mongodb" in head for _, head in sockets)
        before = memory()
        wait_until(lambda: gate.get(Authorization=token).source == "sql", 20, "the token has expired")
        until = time.monotonic() + 1.5  # seven looks, and the drain long over
        while time.monotonic() < until:
            assert all(echoes(connection) for connection, _ in sockets)
            time.sleep(0.1)
        assert memory() - before < 3 * 1024 * 1024
        gate.api.post("/v1/flags/products_mongodb/off").expect()
        for connection, _ in sockets:
            assert connection.recv(10) == b""  # this is one
            connection.close()
    service.close()


def test_the_key_stands_nowhere_else(gateway, tmp_path):  # noqa: F811
    key = Key(tmp_path, "HS256")
    gate = gateway(route=_route(key), flags=FLAGS)
    with running(gate):
        assert gate.get(Authorization=key.token(sub="u1")).source == "mongodb"
        files = list(gate.folder.glob("jwt-*.key"))
        assert len(files) == 1 and files[0].read_text() == SECRET and files[0].stat().st_mode & 0o777 == 0o600
        assert SECRET not in (gate.folder / "nginx.conf").read_text()
        shown = gate.program.run("config", "show").expect(0)
        assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize("public, words", [
    ("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
    ("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", "no public key in PEM"),
])
def test_a_key_that_is_none_is_refused_with_its_place(gateway, public, words):  # noqa: F811
    gate = gateway(route={"user": {"jwt": "sub", "key": public}})
    refused = gate.program.run("serve").expect(2)
    assert words in refused.err and "banyan.yml:" in refused.err and "claim 'sub'" in refused.err

"""A gateway under test: `banyan serve` with a managed nginx in front of two small services."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest
import yaml

from .api import listen_anywhere, serving
from .banyan import binary
from .process import free_port, wait_until


MODULE = binary().parents[2] / "gateway/ngx_http_banyan_module.so"


def _nginx(folder):
    """nginx; for a module that was built with ASan, one that is started with ASan's runtime and
    writes what it finds into `folder`/asan.PID."""
    if b"libasan.so" not in MODULE.read_bytes():
        return "/usr/sbin/nginx"
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    script = folder / "nginx-asan"
    script.write_text(
        f'#!/bin/sh\nLD_PRELOAD={runtime} ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:log_path={folder}/asan '
        f'UBSAN_OPTIONS=print_stacktrace=1:log_path={folder}/asan exec /usr/sbin/nginx "$@"\n')
    script.chmod(0o755)
    return str(script)


class Arrival:
    """A request as a service has seen it."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Service:
    """An HTTP service that counts what arrives. `answer(arrival)` gives (status, headers, body), or
    None to hang up without a word; `delay` seconds come first. What the parallel run asks is in
    `shadows`, not in `arrivals`."""

    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.arrivals, self.shadows, self.answer, self.delay = [], [], self.usual, 0
        self._server = None
        self.start()

    def usual(self, arrival):
        return 200, {"Content-Type": "application/json"}, f'{{"from":"{self.name}"}}'.encode()

    def start(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer

            def _take(self):
                service.take(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _take

            def log_message(self, *args):  # pylint: disable=arguments-differ
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def __init__(self, *args):
                super().__init__(*args)
                self.connections = set()

            def process_request(self, request, client_address):
                self.connections.add(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """As if it were killed: its port is closed, connections end."""
        if not self._server:
            return
        self._server.shutdown()
        self._server.server_close()
        for connection in self._server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server = None

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if "chunked" in (handler.headers.get("Transfer-Encoding") or ""):
            body = b"".join(iter(lambda: self._chunk(handler.rfile), b""))
        arrival = Arrival(handler.command, handler.path, handler.headers, body)
        (self.shadows if "X-Banyan-Shadow" in arrival.headers else self.arrivals).append(arrival)
        time.sleep(self.delay)
        answer = self.answer(arrival)
        if answer is None:
            handler.close_connection = True
            return
        status, headers, content = answer
        with contextlib.suppress(OSError):
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(content)

    @staticmethod
    def _chunk(file):
        size = int(file.readline().split(b";")[0], 16)
        data = file.read(size)
        file.readline()
        return data

    def count(self, method=None):
        return sum(method in (None, a.method) for a in self.arrivals)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def source(self):
        return self.headers.get("X-Data-Source")

    @property
    def fallback(self):
        return self.headers.get("X-Banyan-Fallback")


class Gateway:
    """What clients talk to."""

    def __init__(self, program, port, sql, mongodb):
        self.program, self.port, self.sql, self.mongodb = program, port, sql, mongodb
        self.nginx, self.api, self.config = _nginx(program.folder), None, None

    def start_nginx(self):
        """As somebody else would: without a daemon."""
        subprocess.run([self.nginx, "-p", f"{self.folder}/", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"],
                       check=True)

    def check_reports(self):
        found = [f.read_text(errors="replace") for f in self.program.folder.glob("asan.*")]
        assert not found, found[0]

    @property
    def folder(self):
        return pathlib.Path(f"{self.program.folder}/banyan.db.gateway")

    def call(self, method="GET", path="/api/products/7", headers=None, body=None, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path="/api/products/7", **headers):
        return self.call("GET", path, {k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, text, leave=False, timeout=10):
        """Bytes on a connection of its own; what comes back until it ends. `leave`: nothing more is
        sent, which for nginx is a client that has left."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            connection.sendall(text if isinstance(text, bytes) else text.encode())
            if leave:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def route(self, **change):
        """Reads, writes, stage, fallback of the module, in effect when it returns."""
        self.api.call("PATCH", "/v1/routing/catalogue", change | {"why": "test"}).expect()
        time.sleep(0.5)  # more than two looks of every worker

    def pid(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "nginx.pid").read_text())
        return 0

    def end_nginx(self):
        pid = self.pid()
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 10, "nginx has ended")

    def log(self):
        file = self.folder / "access.log"
        return file.read_text().splitlines() if file.exists() else []


FLAGS = """
features:
  - {name: products_mongodb, enabled: true, rollout_percentage: 0, enabled_for_users: [u1], enabled_for_tenants: [t1]}
"""


def change_config(gate, change):
    """change(config) changes what it likes in banyan.yml."""
    config = yaml.safe_load(gate.program.config.read_text())
    change(config)
    gate.program.config.write_text(json.dumps(config))


@pytest.fixture
def gateway(pg, mongo, mongo_server, banyan):
    """gateway(route={...}, gateway={...}, module={...}, flags=...): configuration and services; the
    daemon runs inside `with running(g):`."""
    made = []

    def make(route=None, gateway=None, module=None, flags=FLAGS, routes=(), **more):
        pg.execute("CREATE TABLE IF NOT EXISTS products (id int PRIMARY KEY, name text)")
        sql, mongodb, port = Service("sql"), Service("mongodb"), free_port()
        first = {
            "prefix": "/api/products",
            "sql": {"url": f"http://127.0.0.1:{sql.port}", "service": "product-service-sql"},
            "mongodb": {"url": f"http://127.0.0.1:{mongodb.port}", "service": "product-service-mongo"},
            "user": "$http_x_user_id", "tenant": "$http_x_tenant_id"} | (route or {})
        config = {
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(), "flags": "feature-flags.yml",
            "gateway": {"listen": f"127.0.0.1:{port}", "trusted": ["127.0.0.1"], "workers": "2",
                        "module": str(MODULE)} | (gateway or {}),
            "modules": {"catalogue": {
                "flag": "products_mongodb", "reads": "flag",
                "collections": {"products": {"table": "products"}},
                "routes": [first, *(first | each for each in routes)]} | (module or {})}} | more
        program = banyan(config)
        (program.folder / "feature-flags.yml").write_text(flags)
        gate = Gateway(program, port, sql, mongodb)
        config["gateway"].setdefault("program", gate.nginx)
        change_config(gate, lambda written: written["gateway"].setdefault("program", gate.nginx))
        gate.config = config
        made.append(gate)
        return gate

    yield make
    for each in made:
        each.end_nginx()
        each.sql.stop()
        each.mongodb.stop()
        each.check_reports()


@contextlib.contextmanager
def running(gate):
    """The daemon and nginx, until both answer."""
    with serving(gate.program) as (api, daemon):
        gate.api = api
        wait_until(lambda: _answers(gate.port), 20, "nginx listens")
        yield daemon


def _answers(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True

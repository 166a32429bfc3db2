"""The example shop: its two services, and its data, also in small."""
import http.client
import os
import pathlib
import re
import time

from . import sanitizers
from .banyan import binary
from .process import HarnessError, end_group, free_port, start, tail, wait_until

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "examples/shop"
SIZES = {"10000": 1000, "20000": 2000, "40000": 4000}  # products, customers, orders: whole, and small


def build_folder():
    return binary().parents[2]


def small_data():
    """data.sql with a tenth of its rows."""
    return re.sub(r"\b(10000|20000|40000)\b", lambda m: str(SIZES[m[1]]), (FOLDER / "data.sql").read_text())


class ShopService:
    """shop-legacy or shop-documents, always on the same port."""

    def __init__(self, name, uri, folder, *, bug=False, database="shop", outlives=False):
        self.name, self.uri, self.bug, self.database = name, uri, bug, database
        self.port, self.process = free_port(), None
        self.log = pathlib.Path(folder) / f"{name}.log"
        self._death_signal = None if outlives else "KILL"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        program = build_folder() / "examples/shop/services" / self.name
        if not program.exists():
            raise HarnessError(f"no {program}: run make")
        command = [program, "--listen", f"127.0.0.1:{self.port}", "--uri", self.uri]
        if self.name == "shop-documents":
            command += ["--database", self.database, *(["--bug"] if self.bug else [])]
        with open(self.log, "ab") as log:
            self.process = start(command, death_signal=self._death_signal, env=sanitizers.environment(), stdout=log,
                                 stderr=log)
        wait_until(self._healthy, 20, f"{self.name} is healthy")
        return self

    def _healthy(self):
        if self.process.poll() is not None:
            raise HarnessError(f"{self.name} ended: {tail(self.log)}")
        return self.get("/health")[0] == 200

    def kill9(self):
        end_group(self.process)
        self._check_reports()

    def stop(self):
        """In good order; the exit code."""
        self.process.terminate()
        code = self.process.wait(20)
        self._check_reports()
        return code

    def _check_reports(self):
        report = sanitizers.REPORT.search(self.log.read_text(errors="replace"))
        assert not report, f"{self.name}: {tail(self.log)}"

    def call(self, method, path, body=None, connection=None):
        """(status, headers, body); on a connection of its own, or the caller's."""
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            own.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = own.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if own is not connection:
                own.close()

    def get(self, path):
        status, _, body = self.call("GET", path)
        return status, body


def timed(what):
    start_time = time.monotonic()
    result = what()
    return result, time.monotonic() - start_time


def variables(postgres_uri, mongo_uri, legacy, documents, gateway="127.0.0.1:0", listen="127.0.0.1:0"):
    """What examples/shop/banyan.yml takes from the environment."""
    return {"SHOP_SOURCE": postgres_uri, "SHOP_TARGET": mongo_uri, "SHOP_LISTEN": listen, "SHOP_GATEWAY": gateway,
            "SHOP_LEGACY": legacy, "SHOP_DOCUMENTS": documents,
            "SHOP_NGINX_MODULE": os.fspath(build_folder() / "gateway/ngx_http_banyan_module.so")}

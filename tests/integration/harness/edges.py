"""Edges under test: `banyan serve --edge` with an nginx of its own, beside the control daemon of a gateway fixture."""
import contextlib
import time

import pytest

from .api import Api, listen_anywhere
from .gateway import Gateway
from .process import free_port, wait_until

TOKENS = {"viewer": "viewer-token-0123456", "operator": "operator-token-01234", "edge": "edge-token-012345678"}


class Edge(Gateway):
    """A gateway that follows `control`. `api` asks the edge itself."""

    def __init__(self, control, program, port, name):
        super().__init__(program, port, control.sql, control.mongodb)
        self.control, self.name, self.daemon = control, name, None

    def start(self, *options, env=None):
        self.daemon = self.program.start("serve", "--edge", *options, env=env)
        self.api = Api(self.daemon.wait_for(r"serving address=(\S+)", 30).group(1))
        return self

    def known(self):
        """What the control daemon knows of it; None: nothing."""
        return next((e for e in self.control.api.get("/v1/edges").expect().json["edges"] if e["name"] == self.name), None)

    def wait_until_confirmed(self):
        return wait_until(lambda: (e := self.known()) and e["confirmed"] and not e["away"] and e, 20, f"{self.name} has confirmed")

    def wait_until_answers(self):
        def answers():
            with contextlib.suppress(OSError):
                return self.get().status < 600
        wait_until(answers, 20, f"nginx of {self.name} answers")


@pytest.fixture
def edges(banyan):
    """edges(control, count): edges with the control's routes, not started. Its `listen` must be known."""
    made = []

    def make(control, count=2, **change):
        names = [f"edge-{len(made) + i + 1}" for i in range(count)]
        for name in names:
            port = free_port()
            # The control's own file, but for what each machine has of its own; its secrets are not here.
            config = control.config | {
                "listen": listen_anywhere(), "tokens": {},
                "source": {"uri": "postgresql://u:${SECRET_OF_CONTROL}@h/d"},
                "target": {"uri": "mongodb://u:${SECRET_OF_CONTROL}@h", "database": "d"},
                "gateway": control.config["gateway"] | {"listen": f"127.0.0.1:{port}"},
                "edge": {"control": f"http://{control.config['listen']}", "token": TOKENS["edge"], "name": name}}
            config = {k: v for k, v in (config | change).items() if v is not None}
            made.append(Edge(control, banyan(config), port, name))
        return made[-count:]

    yield make
    for each in made:
        each.end_nginx()


def seconds_until(condition, limit, what):
    """How long until it holds; a failure after `limit`."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit, what
        time.sleep(0.01)
    return time.monotonic() - begin

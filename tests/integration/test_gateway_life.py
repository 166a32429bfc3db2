"""The gateway's life: nginx outlives the daemon, and the daemon brings it back."""
import contextlib
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from harness.api import Api, serving
from harness.gateway import change_config, gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import children, wait_until

U1 = {"X-User-Id": "u1"}


class Load:
    """Requests one after another, until the block ends; what was not 200 or an error is kept."""

    def __init__(self, gate):
        self.gate, self.done, self.bad, self._stop = gate, 0, [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            try:
                answer = self.gate.call("GET" if self.done % 2 else "POST", headers=U1, body=None if self.done % 2 else b"x")
                if answer.status != 200:
                    self.bad.append(answer.status)
            except OSError as error:
                self.bad.append(repr(error))
            self.done += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)


def test_a_killed_daemon_loses_no_request(gateway):  # noqa: F811
    gate = gateway()
    with running(gate) as daemon:
        pid = gate.pid()
        with Load(gate) as load:
            time.sleep(0.3)
            daemon.kill9()
            before = load.done
            time.sleep(0.5)
            with running(gate) as daemon:
                daemon.wait_for("gateway_adopted", 10)
                assert gate.pid() == pid
                gate.api.post("/v1/flags/products_mongodb/off").expect()
                wait_until(lambda: gate.call(headers=U1).source == "sql", 2, "the adopted one follows")
        assert load.done > before + 20 and not load.bad


def test_a_stopped_daemon_leaves_it_running(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        pass
    assert gate.call(headers=U1).source == "mongodb"
    gate.program.run("flags", "off", "products_mongodb", "--why", "without a daemon").expect(0)
    wait_until(lambda: gate.call(headers=U1).source == "sql", 1, "nginx takes it up without a daemon")
    gate.program.run("gateway", "stop").expect(0)
    assert not gate.pid() or not pathlib.Path(f"/proc/{gate.pid()}").exists()


def test_killed_workers_come_back(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        for _ in range(5):
            for worker in children(gate.pid()):
                os.kill(worker, signal.SIGKILL)
            wait_until(lambda: gate.call(headers=U1).source == "mongodb", 5, "new workers know the flags")


@pytest.mark.sanitize
def test_a_killed_nginx_is_started_again(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        pid = gate.pid()
        workers = children(pid)
        os.kill(pid, signal.SIGKILL)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gate.pid() not in (0, pid), 20, "another nginx")
        wait_until(lambda: gate.call(headers=U1).source == "mongodb", 10, "it answers")
        assert gate.api.get("/v1/routing").json["gateway"]["running"]


def test_a_refused_configuration_leaves_the_old_one(gateway, tmp_path):  # noqa: F811
    gate = gateway()
    with running(gate):
        pid = gate.pid()
    good = gate.program.config.read_text()
    change_config(gate, lambda c: c["gateway"].update(tls={"cert": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}))
    daemon = gate.program.start("serve")
    daemon.wait_for("gateway_refused .*none.pem", 20)
    assert gate.pid() == pid and gate.call(headers=U1).source == "mongodb"
    health = Api(daemon.wait_for(r"serving address=(\S+)", 20).group(1)).get("/health")
    assert health.status == 503 and "as it was configured before" in health.body.decode()
    daemon.stop().expect(0)
    gate.program.config.write_text(good)
    change_config(gate, lambda c: c["modules"]["catalogue"]["routes"][0].update(prefix="/api/goods"))
    with running(gate), Load(gate):
        assert gate.pid() == pid
        wait_until(lambda: gate.get("/api/goods/1").status == 200, 10, "the new route")
        wait_until(lambda: gate.get("/api/products/1").status == 404, 10, "the old route is gone")


def test_a_port_in_use(gateway):  # noqa: F811
    gate = gateway()
    change_config(gate, lambda c: c["gateway"].update(listen=f"127.0.0.1:{gate.sql.port}"))
    daemon = gate.program.start("serve")
    daemon.wait_for("gateway_refused .*Address already in use", 20)
    match = daemon.wait_for(r"serving address=(\S+)", 20)
    shown = Api(match.group(1)).get("/v1/routing").json["gateway"]
    assert not shown["running"] and "Address already in use" in shown["problem"]
    health = Api(match.group(1)).get("/health")
    assert health.status == 503 and "gateway" in health.body.decode()
    gate.sql.stop()
    wait_until(lambda: Api(match.group(1)).get("/v1/routing").json["gateway"]["running"], 30, "the port is free now")
    daemon.stop().expect(0)


def test_without_flags_sql_answers(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        pass
    gate.end_nginx()
    for name in ("banyan.db.flags.blob",):
        (gate.program.folder / name).unlink()
    gate.start_nginx()
    wait_until(lambda: gate.call(headers=U1).source == "sql", 5, "SQL answers")
    wait_until(lambda: json.loads(gate.log()[-1])["reason"] == "no_snapshot", 5, "and says why")


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 4096])
def test_damaged_flags_leave_the_last_good_ones(gateway, damage):  # noqa: F811
    gate = gateway()
    with running(gate):
        pass
    blob = gate.program.folder / "banyan.db.flags.blob"
    good = blob.read_bytes()
    for bad in (damage or good[:-1], good[:40] + b"\xff\xff" + good[42:]):
        (blob.parent / "new").write_bytes(bad)
        (blob.parent / "new").rename(blob)
        wait_until(lambda: "is refused" in (gate.folder / "error.log").read_text(), 5, "it is refused")
        assert gate.call(headers=U1).source == "mongodb"


def test_an_nginx_of_others(gateway, tmp_path):  # noqa: F811
    """external: two includes, and the command that reloads."""
    marker = tmp_path / "reloaded"
    gate = gateway(gateway={"nginx": "external", "reload_command": f"echo again >> {marker}"})
    with serving(gate.program) as (gate.api, _):
        wait_until(marker.exists, 10, "the command ran")
        (gate.folder / "nginx.conf").write_text(
            f'include "{gate.folder}/main.conf"; user root; pid "{gate.folder}/nginx.pid"; error_log "{gate.folder}/error.log";'
            f'events {{}} http {{ include "{gate.folder}/http.conf"; client_body_temp_path "{gate.folder}/b"; '
            f'proxy_temp_path "{gate.folder}/p"; }}')
        gate.start_nginx()
        wait_until(lambda: gate.call(headers=U1).source == "mongodb", 5, "it answers")
        gate.route(reads="sql")
        assert gate.call(headers=U1).source == "sql"
    with serving(gate.program):
        pass
    assert marker.read_text() == "again\n"  # nothing new, so not again


def test_a_reload_that_failed_is_tried_again(gateway, tmp_path):  # noqa: F811
    """At once, later, and by the next daemon: the files are equal then, but nginx was not told."""
    marker, fails = tmp_path / "reloaded", tmp_path / "fails"
    fails.touch()
    gate = gateway(gateway={"nginx": "external", "reload_command":
                            f"seq 1000; echo the reason >&2; test ! -e {fails} && echo again >> {marker}"})
    daemon = gate.program.start("serve")
    daemon.wait_for("gateway_refused .*1000;the reason", 20)
    daemon.wait_for("serving address", 20)
    fails.unlink()
    wait_until(marker.exists, 10, "it was tried again")
    daemon.stop().expect(0)
    fails.touch()
    change_config(gate, lambda c: c["modules"]["catalogue"]["routes"][0].update(prefix="/api/goods"))
    daemon = gate.program.start("serve")
    daemon.wait_for("gateway_refused .*the reason", 20)
    daemon.stop().expect(0)
    fails.unlink()
    for _ in range(2):
        with serving(gate.program):
            wait_until(lambda: marker.read_text() == "again\nagain\n", 10, "the next one tells nginx, once")


def test_two_publish_at_one_time(gateway):  # noqa: F811
    """The command line publishes what it has set, and so does the daemon that sees it."""
    gate = gateway()
    with running(gate):
        for i in range(100):
            gate.program.run("reads", "catalogue", ("sql", "flag")[i % 2], "--why", "test").expect(0)
        wait_until(lambda: gate.call(headers=U1).source == "mongodb", 2, "the last one holds")

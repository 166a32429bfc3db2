"""Alerts of a running daemon reach a webhook and a program: fired, over, and through a hook that is
away for a while."""
import contextlib
import http.server
import json
import signal
import threading

import pytest

from harness.api import listen_anywhere, serving
from harness.process import free_port, wait_until

TABLES = "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'x')"
# Always true, and true for no module.
MEMORY = {"metric": "banyan_process_resident_memory_bytes", "over": 1, "severity": "low"}
WAITING = {"metric": "banyan_pipeline_state", "over": 0.5, "for": "1h"}


class Hook:
    """A server that keeps what is posted to it."""

    def __init__(self, port, status=200):
        hook = self
        self.posts, self.status = [], status

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"].startswith("application/json")
                hook.posts.append((self.path, json.loads(body)))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def alerts(self, status):
        return [alert for _, body in self.posts for alert in body["alerts"]
                if alert["status"] == status]


@contextlib.contextmanager
def listening(port, **more):
    hook = Hook(port, **more)
    try:
        yield hook
    finally:
        hook.close()


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(alerts):
        pg.execute(TABLES)
        config = {
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(), "alerts": alerts,
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}}
        return banyan(config), config

    return make


@pytest.mark.sanitize
def test_fired_and_over(make):
    port = free_port()
    with listening(port) as hook:
        alerts = {"webhook": f"http://127.0.0.1:{port}/hook?team=data", "rules": [MEMORY, WAITING]}
        program, config = make(alerts)
        with serving(program) as (api, running):
            wait_until(lambda: hook.alerts("firing"), 30, "the post")
            path, body = hook.posts[0]
            assert path == "/hook?team=data"
            assert body["version"] == "4" and body["status"] == "firing"
            alert = body["alerts"][0]
            assert alert["labels"] == {"alertname": MEMORY["metric"], "severity": "low"}
            assert "over 1 bytes" in alert["annotations"]["summary"]
            shown = {a["metric"]: a["state"] for a in api.get("/v1/alerts").expect().json["alerts"]}
            assert shown[MEMORY["metric"]] == "firing"
            config["alerts"]["rules"] = [WAITING]
            program.configure(config)
            running.process.send_signal(signal.SIGHUP)
            wait_until(lambda: hook.alerts("resolved"), 30, "the end of it")
            assert hook.alerts("resolved")[0]["fingerprint"] == alert["fingerprint"]
            assert len(hook.alerts("firing")) == 1


def test_a_hook_that_is_away_is_told_later(make):
    port = free_port()
    program, _ = make({"webhook": f"http://127.0.0.1:{port}/secret-path", "rules": [MEMORY]})
    with serving(program) as (api, running):
        running.wait_for("alert_not_delivered", 30)
        api.wait_for_state("sales", "streaming")  # and nothing waits for it
        with listening(port) as hook:
            wait_until(lambda: hook.alerts("firing"), 60, "the post")
        assert "secret-path" not in running.err


def test_a_program_is_told(make, tmp_path):
    script = tmp_path / "page.sh"
    script.write_text(f'#!/bin/sh\ncat > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/"$1"\n')
    script.chmod(0o755)
    program, _ = make({"command": [str(script), "body of $(date)"], "rules": [MEMORY]})
    with serving(program):
        file = tmp_path / "body of $(date)"
        wait_until(file.exists, 30, "the program's file")
        body = json.loads(file.read_text())
        assert body["alerts"][0]["labels"]["alertname"] == MEMORY["metric"]


def test_a_wrong_rule_is_refused_with_its_place(make):
    program, config = make({"rules": [{"metric": "streaming_lga", "over": 1}]})
    refused = program.run("serve")
    assert refused.code == 2
    assert "there is no metric streaming_lga; did you mean streaming_lag?" in refused.err
    assert "banyan.yml:" in refused.err
    config["alerts"]["rules"] = [MEMORY]
    program.configure(config)
    with serving(program) as (api, running):
        config["alerts"]["rules"] = [{"metric": "kafka_lag", "over": "60s"}]
        program.configure(config)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("kafka_lag is not a time", 20)
        wait_until(lambda: [a["metric"] for a in api.get("/v1/alerts").expect().json["alerts"]]
                   == [MEMORY["metric"]], 20, "the rules before")

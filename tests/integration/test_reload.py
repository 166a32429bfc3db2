"""The configuration read again while the daemon runs: flags, alert rules, limits, certificates."""
import signal
import socket
import ssl

import pytest

from harness import certificates
from harness.api import listen_anywhere, serving
from harness.process import wait_until

OPERATOR = "operator-0123456789"
FLAGS = "features:\n  - {name: half, enabled: true, rollout_percentage: 50}\n"


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(**more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        program = banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(), "flags": "feature-flags.yml",
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}} | more)
        (program.folder / "feature-flags.yml").write_text(FLAGS)
        return program

    return make


def _replace(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


def _limited(text, limit):
    return text.replace("target:\n", f"target:\n  writes_per_second: {limit}\n")


def _limit(api):
    return api.module("sales")["pipeline"]["writes_per_second"]


def _issue(api, module):
    return next((i["words"] for i in api.get("/v1/status").expect().json["issues"] if i["module"] == module), None)


@pytest.mark.sanitize
def test_a_wrong_alert_rule_changes_no_limit(make):
    program = make()
    text = program.config.read_text()
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        for rules in ("[{metric: banyan_no_such, over: 1}]", "[{metric: banyan_lag_seconds, over: 5}, {metric: banyan_lag_seconds, over: 5}]"):
            _replace(program.config, _limited(text, 999) + f"alerts: {{rules: {rules}}}\n")
            running.wait_for(r"configuration_refused .*banyan.yml:\d+:\d+: ", 10)
            assert _limit(api) == 0
        words = wait_until(lambda: "twice" in (words := _issue(api, "configuration") or "") and words, 10, "health says so")
        assert "banyan.yml:" in words and _limit(api) == 0
        assert api.get("/health").expect(200).json["status"] == "warn", "what runs is good"
        _replace(program.config, _limited(text, 77))
        wait_until(lambda: _limit(api) == 77, 10, "the next good file")
        assert _issue(api, "configuration") is None


def test_a_wrong_flags_file_changes_no_limit(make):
    program = make()
    text, flags = program.config.read_text(), program.folder / "feature-flags.yml"
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        _replace(flags, FLAGS + "  - {name: other, enabled: 5}\n")
        words = wait_until(lambda: _issue(api, "flags"), 10, "health says so")
        assert "feature-flags.yml:3:28: " in words
        _replace(program.config, _limited(text, 999))
        running.wait_for(r"configuration_refused .*feature-flags.yml:3:28: ", 10)
        assert _limit(api) == 0
        assert api.get("/v1/flags").expect().json["problem"]
        _replace(flags, FLAGS)
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: _limit(api) == 999, 10, "both are good")
        assert _issue(api, "flags") is None and _issue(api, "configuration") is None


@pytest.mark.sanitize
def test_alert_rules_are_reloaded(make):
    program = make(alerts={"rules": [{"metric": "banyan_parked_changes", "over": 0}]})
    text = program.config.read_text()
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        _replace(program.config, text.replace("banyan_parked_changes", "banyan_process_resident_memory_bytes"))
        running.process.send_signal(signal.SIGHUP)

        def firing():
            return [a["metric"] for a in api.get("/v1/alerts").expect().json["alerts"] if a["state"] == "firing"]

        wait_until(lambda: firing() == ["banyan_process_resident_memory_bytes"], 20, "the new rule fires")
        _replace(program.config, text)
        wait_until(lambda: firing() == [], 20, "and the old one holds again")


@pytest.mark.parametrize("kind", ["token", "redis"])
def test_a_changed_secret_is_not_taken_for_no_change(make, tmp_path, kind):
    """A token that somebody took away would go on being accepted, while the log says 'loaded'."""
    more = {"tokens": {"operator": OPERATOR}} if kind == "token" else {"redis": f"redis://:{OPERATOR}@127.0.0.1:1/0"}
    program = make(**more)
    text = program.config.read_text()
    with serving(program, token=OPERATOR) as (api, running):
        api.wait_for_state("sales", "streaming")
        _replace(program.config, text.replace(OPERATOR, "another-one-0123456789"))
        running.wait_for(r"configuration_refused .*needs a restart of the daemon \(a token, a password", 10)
        assert "another-one" not in running.err and OPERATOR not in running.err
        assert "restart" in _issue(api, "configuration")


def _serial(api, certs):
    context = ssl.create_default_context(cafile=certs.ca)
    host, port = api.address.split(":")
    with socket.create_connection((host, int(port)), 10) as raw, context.wrap_socket(raw, server_hostname="localhost") as sock:
        return sock.getpeercert()["serialNumber"]


def test_a_renewed_certificate_is_used(make, tmp_path):
    old, new = certificates.make(tmp_path / "old"), certificates.make(tmp_path / "new")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(certs):
        cert.write_bytes(certs.cert.read_bytes())
        key.write_bytes(certs.key.read_bytes())

    install(old)
    with serving(make(tls={"cert": str(cert), "key": str(key)})) as (api, running):
        first = _serial(api, old)
        cert.write_text("nonsense")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(r"configuration_refused .*tls.cert", 10)
        assert _serial(api, old) == first
        install(new)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(r"configuration_loaded", 10)
        with pytest.raises(ssl.SSLError):
            _serial(api, old)
        assert _serial(api, new)

"""Commands that a running daemon carries out, and what they do where there is none."""
import json
import signal
import time

import pytest
import yaml

from harness import certificates
from harness.api import check_answer, listen_anywhere, serving
from harness.process import free_port

OPERATOR = "operator-0123456789"


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(**more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE products (id int PRIMARY KEY)")
        return banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"sales and more": {"collections": {"orders": {"table": "orders"}}},
                        "catalogue": {"collections": {"products": {"table": "products"}}}}} | more)

    return make


def _state(api, module):
    return api.get("/v1/modules").expect().json["modules"][["sales and more", "catalogue"].index(module)]["pipeline"]["state"]


@pytest.mark.parametrize("tokens", [{}, {"tokens": {"operator": OPERATOR}}])
def test_pause_throttle_resume(make, tokens):
    program = make(**tokens)
    with serving(program, token=OPERATOR if tokens else None) as (api, _):
        api.wait_for_state("catalogue", "streaming")
        api.wait_for_state("sales%20and%20more", "streaming")
        assert "done" in program.run("pause", "sales and more", "--why", "window").expect(0).out
        api.wait_for_state("sales%20and%20more", "paused")
        assert _state(api, "catalogue") == "streaming"
        program.run("throttle", "catalogue", "500", "--why", "gently").expect(0)
        assert api.module("catalogue")["pipeline"]["writes_per_second"] == 500
        program.run("throttle", "catalogue", "configured", "--why", "enough").expect(0)
        assert api.module("catalogue")["pipeline"]["writes_per_second"] == 0
        program.run("resume", "all", "--why", "over").expect(0)
        api.wait_for_state("sales%20and%20more", "streaming")
        lines = [json.loads(line) for line in program.run("--json", "audit").expect(0).out.splitlines()]
        assert ("module.pause", "sales and more", "window") in [(a["action"], a["subject"], a["why"]) for a in lines]


def test_without_a_daemon_it_holds_from_the_next_start(make):
    program = make()
    assert "no daemon" in program.run("pause", "catalogue", "--why", "not yet").expect(0).out
    with serving(program) as (api, _):
        api.wait_for_state("catalogue", "paused")
        api.wait_for_state("sales%20and%20more", "streaming")


def test_without_a_daemon_one_pipeline_of_all_modules(make):
    program = make()
    program.run("run", "all", "--catch-up").expect(0)
    program.run("pause", "catalogue", "--why", "not yet").expect(0)
    program.run("throttle", "sales and more", "500", "--why", "gently").expect(0)
    with serving(program) as (api, _):
        pipeline = api.wait_for_state("all", "paused")["pipeline"]
        assert pipeline["writes_per_second"] == 500


def test_a_flag_of_very_many_users_is_confirmed(make):
    program = make(flags="feature-flags.yml")
    users = "".join(f"      - a-user-of-this-shop-with-a-long-name-{i:06}\n" for i in range(25000))
    (program.folder / "feature-flags.yml").write_text(
        f"features:\n  - name: f\n    enabled: true\n    rollout_percentage: 5\n    enabled_for_users:\n{users}")
    with serving(program) as (api, _):
        assert len(api.get("/v1/flags/f").expect().body) > 1000000
        check_answer("GET", "/v1/flags/{flag}/version", api.get("/v1/flags/f/version").expect())
        assert "confirmed" in program.run("flags", "off", "f", "--why", "drill").expect(0).out


def test_certificates(make, tmp_path):
    """A daemon that wants one, and whose own has a name and no address."""
    certs = certificates.make(tmp_path / "c", names="DNS:localhost")
    port = free_port()
    tls = {"cert": str(certs.cert), "key": str(certs.key), "client_ca": str(certs.ca), "ca": str(certs.ca)}
    keys = {"client_cert": str(certs.client_cert), "client_key": str(certs.client_key)}
    program = make(listen=f"127.0.0.1:{port}", tls=tls | keys | {"name": "localhost"})
    config = yaml.safe_load(program.config.read_text())
    running = program.start("serve")
    running.wait_for("serving address", 30)
    assert "done" in program.run("pause", "catalogue", "--why", "window").expect(0).out
    for without, words in ((keys, "tls.client_cert"), (("name",), "certificate is not accepted"), (("ca",), "certificate is not accepted")):
        program.configure(config | {"tls": {key: value for key, value in config["tls"].items() if key not in without}})
        assert words in program.run("pause", "catalogue", "--why", "window").expect(3).err
    running.stop().expect(0)


def test_nothing_is_changed_without_a_line_in_the_audit_log(make):
    program = make()
    assert "more than 1000 bytes" in program.run("pause", "catalogue", "--why", "x" * 1001).expect(3).err
    with serving(program) as (api, _):
        api.wait_for_state("catalogue", "streaming")


def test_mistakes(make):
    program = make(tokens={"operator": OPERATOR})
    assert "unknown module" in program.run("pause", "nowhere", "--why", "x").expect(2).err
    assert "wants a reason" in program.run("pause", "catalogue").expect(2).err
    assert "documents a second" in program.run("throttle", "catalogue", "fast", "--why", "x").expect(2).err
    with serving(program, token=OPERATOR):
        text = program.config.read_text()
        program.config.write_text(text.replace(OPERATOR, "another-0123456789"))
        refused = program.run("pause", "catalogue", "--why", "x").expect(3)
        assert "status 401" in refused.err and OPERATOR not in refused.err
        program.config.write_text(text)


def test_one_that_hangs_is_no_daemon_that_is_not_there(make):
    """What it does not know of would be overwritten by what it knows."""
    program = make()
    with serving(program) as (api, running):
        api.wait_for_state("catalogue", "streaming")
        time.sleep(1)  # not in the middle of a write to the state
        running.process.send_signal(signal.SIGSTOP)
        try:
            refused = program.run("pause", "catalogue", "--why", "x").expect(3)
        finally:
            running.process.send_signal(signal.SIGCONT)
        assert api.address in refused.err and "no answer in time" in refused.err and "perhaps done" in refused.err
        assert len(api.get("/v1/audit").expect().json["audit"]) <= 1, "by the daemon alone"

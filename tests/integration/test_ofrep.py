"""OFREP: the contract on the wire, and OpenFeature's own SDKs."""
import contextlib
import http.client
import json
import pathlib
import re
import signal
import subprocess
import time

import pytest
from openfeature import api as openfeature
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from harness.api import listen_anywhere, serving
from harness.process import free_port, wait_until

_SDK = pathlib.Path(__file__).resolve().parents[1] / "node"
OPERATOR, EVALUATE, VIEWER = "operator-0123456789", "evaluate-0123456789", "viewer-0123456789"
FLAGS = """
features:
  - name: on_for_all
    enabled: true
    rollout_percentage: 100
    owner: team-orders
  - name: off_by_switch
    enabled: false
    rollout_percentage: 100
  - {name: nobody, enabled: true, rollout_percentage: 0}
  - {name: half, enabled: true, rollout_percentage: 50}
  - {name: listed, enabled: true, rollout_percentage: 0, enabled_for_users: [u1], enabled_for_tenants: [t1]}
  - name: gold
    enabled: true
    rollout_percentage: 0
    conditions:
      - {type: user_attribute, attribute: plan, operator: "=", value: gold}
      - {type: tenant_attribute, attribute: tier, operator: in, value: [enterprise]}
  - {name: needs_off, enabled: true, rollout_percentage: 100, requires: [off_by_switch]}
  - {name: "päth/with space", enabled: true, rollout_percentage: 100}
"""


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(flags=FLAGS, **more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        program = banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(), "flags": "feature-flags.yml",
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}} | more)
        (program.folder / "feature-flags.yml").write_text(flags)
        return program

    return make


def _one(api, flag, context=None, **more):
    return api.post(f"/ofrep/v1/evaluate/flags/{flag}", {"context": context or {}}, **more)


def _result(api, flag, context=None):
    found = _one(api, flag, context).expect().json
    return found["value"], found["reason"], found["variant"]


@pytest.mark.sanitize
def test_reasons_and_values(make):
    with serving(make()) as (api, _):
        user = {"targetingKey": "u9"}
        assert _result(api, "on_for_all", user) == (True, "STATIC", "on")
        assert _result(api, "off_by_switch", user) == (False, "DISABLED", "off")
        assert _result(api, "nobody", user) == (False, "STATIC", "off")
        assert _result(api, "half", user)[1] == "SPLIT"
        assert _result(api, "listed", {"userId": "u1"}) == (True, "TARGETING_MATCH", "on")
        assert _result(api, "listed", {"targetingKey": "x", "tenantId": "t1"}) == (True, "TARGETING_MATCH", "on")
        assert _result(api, "gold", {"plan": "gold", "tenantAttributes": {"tier": "enterprise"}})[:2] == (True, "TARGETING_MATCH")
        assert _result(api, "gold", {"userAttributes": {"plan": "gold"}, "tenantAttributes": {"tier": "enterprise"}})[0]
        assert not _result(api, "gold", {"plan": "gold"})[0]
        assert _result(api, "needs_off", user)[0] is False
        assert _result(api, "p%C3%A4th%2Fwith%20space", user)[0] is True
        on = sum(_result(api, "half", {"targetingKey": f"user-{i}"})[0] for i in range(400))
        assert 140 < on < 260


@pytest.mark.sanitize
def test_errors_are_those_of_the_contract(make):
    with serving(make()) as (api, _):
        unknown = _one(api, "none").expect(404).json
        assert unknown == {"key": "none", "errorCode": "FLAG_NOT_FOUND"}
        for body, code in ((b"{", "PARSE_ERROR"), (b'{"context": 5}', "INVALID_CONTEXT"), (b"[]", "INVALID_CONTEXT"),
                           (b'{"context": {"targetingKey": {}}}', "INVALID_CONTEXT"),
                           (b'{"context": {"userAttributes": 1}}', "INVALID_CONTEXT")):
            assert api.post("/ofrep/v1/evaluate/flags/half", body).expect(400).json["errorCode"] == code, body
            assert api.post("/ofrep/v1/evaluate/flags", body).expect(400).json["errorCode"] == code, body
        assert api.post("/ofrep/v1/evaluate/flags/on_for_all", b"").expect().json["value"] is True
        assert api.post("/ofrep/v1/evaluate/flags/on_for_all", b"x" * 1000001).status == 413
        assert api.get("/ofrep/v1/evaluate/flags/on_for_all").status == 405


@pytest.mark.sanitize
def test_bulk_and_its_etag(make):
    with serving(make()) as (api, _):
        body = {"context": {"targetingKey": "u1", "plan": "gold"}}
        first = api.post("/ofrep/v1/evaluate/flags", body).expect()
        assert {f["key"]: f["value"] for f in first.json["flags"]}["listed"] is True
        assert len(first.json["flags"]) == 8 and first.json["eventStreams"][0]["type"] == "sse"
        etag = first.headers["ETag"]
        same = api.post("/ofrep/v1/evaluate/flags", body, headers={"If-None-Match": etag}).expect(304)
        assert same.body == b"" and same.headers["ETag"] == etag
        assert api.post("/ofrep/v1/evaluate/flags/", body, headers={"If-None-Match": f'W/"x", {etag}'}).status == 304
        other = {"context": {"targetingKey": "u2", "plan": "gold"}}
        assert api.post("/ofrep/v1/evaluate/flags", other, headers={"If-None-Match": etag}).status == 200
        assert api.post("/ofrep/v1/evaluate/flags?flagConfigEtag=other", body, headers={"If-None-Match": etag}).status == 200


def test_browsers_of_the_named_origins_may_ask(make):
    with serving(make(ofrep={"listen": listen_anywhere(), "origins": ["https://app.example"]})) as (api, running):
        second = running.wait_for(r"ofrep=(\S+)").group(1)
        admin, api.address = api.address, second
        asked = api.call("OPTIONS", "/ofrep/v1/evaluate/flags", headers={
            "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,if-none-match"})
        assert asked.status == 204 and asked.headers["Access-Control-Allow-Origin"] == "https://app.example"
        answer = _one(api, "on_for_all", headers={"Origin": "https://app.example"}).expect()
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert _one(api, "on_for_all", headers={"Origin": "https://evil.example"}).status == 403
        assert api.get("/v1/status").status == 404, "the second listener evaluates, and no more"
        assert api.get("/health").status == 200
        api.address = admin
        assert api.get("/v1/status").status == 200


def _patch(api, flag, **change):
    version = api.get(f"/v1/flags/{flag}").expect().json["version"]
    return api.call("PATCH", f"/v1/flags/{flag}", {"version": version, "why": "test"} | change).expect().json


def _node(script, *arguments):
    return subprocess.Popen(["node", str(_SDK / script), *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def _lines(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("script, more", [("ofrep_server.mjs", 40), ("ofrep_web.mjs", 6000)])
def test_the_javascript_sdks_see_a_flip(make, script, more):
    program = make(tokens={"operator": OPERATOR, "evaluate": EVALUATE})
    with serving(program, token=OPERATOR) as (api, _):
        client = _node(script, api.url, EVALUATE, "on_for_all", "u1", more)
        assert json.loads(client.stdout.readline())["value"] is True
        _patch(api, "on_for_all", enabled=False)
        lines = _lines(client)
        assert lines[-1] == {"value": False, "reason": "DISABLED", "variant": "off"}, lines


def test_a_page_that_only_listens_sees_flips_across_a_restart(make):
    """A browser's EventSource sends no Authorization: the bulk answer's address has a ticket. After a restart of the daemon
    the ticket is not good any more, and the answer with the next one is no 304."""
    program = make(tokens={"operator": OPERATOR, "evaluate": EVALUATE}, listen=f"127.0.0.1:{free_port()}")
    with serving(program, token=OPERATOR) as (api, _):
        client = _node("ofrep_web.mjs", api.url, EVALUATE, "on_for_all", "u1", 25000, "events")
        assert json.loads(client.stdout.readline())["value"] is True
        wait_until(lambda: _streams(api) == 1, 10, "it listens")
        _patch(api, "on_for_all", enabled=False)
        assert json.loads(client.stdout.readline())["value"] is False
    with serving(program, token=OPERATOR) as (api, _):
        wait_until(lambda: _streams(api) == 1, 20, "it listens again")
        _patch(api, "on_for_all", enabled=True)
        assert _lines(client)[-1]["value"] is True


def _streams(api):
    found = re.search(r"^banyan_sse_streams (\d+)", api.get("/metrics").expect().body.decode(), re.M)
    return int(found.group(1))


@pytest.mark.sanitize
def test_a_ticket_is_for_the_events_only(make):
    program = make(tokens={"operator": OPERATOR, "evaluate": EVALUATE, "viewer": VIEWER})
    with serving(program, token=EVALUATE) as (api, running):
        body = {"context": {"targetingKey": "u1"}}
        first = api.post("/ofrep/v1/evaluate/flags", body).expect()
        address = first.json["eventStreams"][0]["endpoint"]["requestUri"]
        again = api.post("/ofrep/v1/evaluate/flags", body, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status == 304, "the address stays for a while, and the ETag with it"
        api.token = None
        ticket = address.partition("?ticket=")[2]
        assert len(ticket) == 32 and _stream_status(api, address) == 200
        for wrong in ("/ofrep/v1/events", "/ofrep/v1/events?ticket=", address[:-1], address + "0", "/ofrep/v1/events?ticket=" + "0" * 32,
                      address[:-1] + ("0" if address[-1] != "0" else "1"),
                      "/ofrep/v1/events?ticket=" + ("1" if ticket[0] != "1" else "2") + ticket[1:],
                      f"/v1/events?ticket={ticket}", f"/v1/status?ticket={ticket}", f"/metrics?ticket={ticket}"):
            assert _stream_status(api, wrong) == 401, wrong
        assert api.post(f"/ofrep/v1/evaluate/flags?ticket={ticket}", body).status == 401
        assert api.get(address, headers={"Authorization": "Bearer wrong-0123456789"}).status == 401, "a token that is sent is what counts"
        assert api.get(address, headers={"Authorization": f"Bearer {VIEWER}"}).status == 403
        assert ticket not in running.err + running.out
    with serving(program) as (api, _):
        assert _stream_status(api, address) == 401, "another run of the daemon has another key"


def _stream_status(api, path):
    """Of an answer that may be a stream without an end."""
    connection = http.client.HTTPConnection(api.address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_python_sdk_sees_a_flip(make):
    program = make(tokens={"operator": OPERATOR, "evaluate": EVALUATE})
    with serving(program, token=OPERATOR) as (api, _):
        provider = OFREPProvider(api.url, headers_factory=lambda: {"Authorization": f"Bearer {EVALUATE}"})
        openfeature.set_provider(provider)
        client = openfeature.get_client()
        context = EvaluationContext("u1", {"plan": "gold"})
        assert client.get_boolean_details("listed", False, context).value is True
        found = client.get_boolean_details("on_for_all", False, context)
        assert (found.value, str(found.reason), found.variant) == (True, "STATIC", "on")
        _patch(api, "on_for_all", rollout_percentage=0)
        assert client.get_boolean_value("on_for_all", True, context) is False
        assert client.get_boolean_details("none", True, context).error_code.value == "FLAG_NOT_FOUND"


def test_a_kill_is_seen_within_a_second(make):
    with serving(make()) as (api, _):
        api.post("/v1/flags/on_for_all/off").expect()
        start = time.monotonic()
        wait_until(lambda: _result(api, "on_for_all", {"targetingKey": "u"}) == (False, "DISABLED", "off"), 1, "it is off")
        assert time.monotonic() - start < 1
        assert api.get("/v1/flags/on_for_all").json["killed"] is True
        api.post("/v1/flags/on_for_all/reset").expect()
        wait_until(lambda: _result(api, "on_for_all", {"targetingKey": "u"})[0], 1, "it is on again")


def test_a_daemon_that_does_not_answer_has_not_confirmed(make):
    program = make()
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        time.sleep(1)  # not in the middle of a write to the state
        running.process.send_signal(signal.SIGSTOP)
        try:
            refused = program.run("flags", "off", "on_for_all", "--why", "drill").expect(1)
        finally:
            running.process.send_signal(signal.SIGCONT)
        assert "has not confirmed" in refused.err and api.address in refused.err
        wait_until(lambda: _result(api, "on_for_all", {"targetingKey": "u"}) == (False, "DISABLED", "off"), 5, "it takes it up")
        assert "confirmed" in program.run("flags", "off", "half", "--why", "drill").expect(0).out


def test_a_client_that_missed_events_is_told_to_ask_again(make):
    """By the one event that OFREP's clients know: after a restart of the daemon, say."""
    with serving(make()) as (api, _):
        with contextlib.closing(http.client.HTTPConnection(api.address, timeout=5)) as connection:
            connection.request("GET", "/ofrep/v1/events", headers={"Last-Event-ID": "5f-7"})
            stream = connection.getresponse()
            lines = [stream.readline().decode().rstrip() for _ in range(5)]
        assert "event: message" in lines and 'data: {"type":"refetchEvaluation"}' in lines


def test_kill_9_loses_no_override(make):
    program = make()
    for percentage in (10, 20, 30):
        with serving(program) as (api, running):
            _patch(api, "half", rollout_percentage=percentage)
            running.kill9()
    with serving(program) as (api, _):
        flag = api.get("/v1/flags/half").json
        assert flag["rollout_percentage"] == 30 and flag["source"] == "override" and flag["version"] == 3
        assert api.call("PATCH", "/v1/flags/half", {"version": 1, "why": "x", "enabled": False}).status == 409
        assert [line["subject"] for line in api.get("/v1/audit").json["audit"]].count("half") == 3


def test_the_file_is_read_again_and_a_bad_one_is_refused(make):
    program = make()
    path = program.folder / "feature-flags.yml"
    with serving(program) as (api, running):
        path.write_text(FLAGS.replace("name: nobody, enabled: true, rollout_percentage: 0", "name: nobody, enabled: true, rollout_percentage: 100"))
        wait_until(lambda: _result(api, "nobody", {"targetingKey": "u"})[0], 10, "the new file holds")
        path.write_text(FLAGS.replace("rollout_percentage: 50", "rollout_percentage: 500"))
        running.wait_for(r"feature-flags.yml:\d+:\d+", 10)
        assert _result(api, "nobody", {"targetingKey": "u"})[0], "the flags before stay"


def test_the_event_stream_tells_of_changes(make):
    with serving(make()) as (api, _):
        with subprocess.Popen(["curl", "-sN", f"{api.url}/ofrep/v1/events"], stdout=subprocess.PIPE, text=True) as stream:
            time.sleep(0.5)
            _patch(api, "half", rollout_percentage=60)
            lines = []
            while not lines or not lines[-1].startswith("data:"):
                lines.append(stream.stdout.readline().strip())
            stream.terminate()
        assert "event: message" in lines and json.loads(lines[-1][5:])["type"] == "refetchEvaluation"

"""The gateway: who answers a request, through a real nginx."""
import json

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

READS, WRITES = ("GET", "HEAD", "OPTIONS"), ("POST", "PUT", "PATCH", "DELETE")


def line_of(gate, path, **headers):
    """What the log says of a request. Two workers write: the next is asked when the line of the last one is there."""
    before = len(gate.log())
    gate.get(path, **headers)
    return json.loads(wait_until(lambda: gate.log()[before:], 5, "its line")[0])


@pytest.mark.sanitize
def test_the_flag_decides(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        answer = gate.get()
        assert answer.status == 200 and json.loads(answer.body) == {"from": "sql"}
        assert (answer.source, answer.headers["X-Service"], answer.headers["X-Migrated"]) == (
            "sql", "product-service-sql", "false")
        answer = gate.get(X_User_Id="u1")
        assert json.loads(answer.body) == {"from": "mongodb"}
        assert (answer.source, answer.headers["X-Service"], answer.headers["X-Migrated"]) == (
            "mongodb", "product-service-mongo", "true")
        assert gate.get(X_Tenant_Id="t1").source == "mongodb"
        assert gate.get(X_User_Id="u2").source == "sql"
        assert gate.call("POST", body=b"x", headers={"X-User-Id": "u1"}).source == "sql"


def test_reads_and_writes_are_two_settings(gateway):  # noqa: F811
    gate, user = gateway(route={"own_writes": {"wait": "0s"}}), {"X-User-Id": "u1"}
    with running(gate):
        for setting, read, write in (
                ({"reads": "sql"}, "sql", "sql"), ({"reads": "shadow"}, "sql", "sql"), ({"reads": "flag"}, "mongodb", "sql"),
                ({"reads": "mongodb"}, "mongodb", "sql"), ({"stage": "dualwrite"}, "sql", "sql"),
                ({"stage": "live"}, "mongodb", "sql"), ({"stage": "complete"}, "mongodb", "mongodb")):
            gate.route(**setting)
            assert {gate.call(m, headers=user).source for m in READS} == {read}, setting
            assert {gate.call(m, headers=user, body=b"{}").source for m in WRITES} == {write}, setting
        refused = gate.api.call("PATCH", "/v1/routing/catalogue", {"reads": "sql", "why": "back"}).expect(400)
        assert "SQL does not have what was written" in refused.json["error"]["message"]
        assert gate.get().source == "mongodb"


def test_a_flag_is_off_at_once(gateway):  # noqa: F811
    gate = gateway(flags="features: [{name: products_mongodb, enabled: true, rollout_percentage: 100}]")
    with running(gate):
        wait_until(lambda: gate.get(X_User_Id="a").source == "mongodb", 5, "on for all")
        gate.api.post("/v1/flags/products_mongodb/off").expect()
        wait_until(lambda: {gate.get(X_User_Id="a").source for _ in range(20)} == {"sql"}, 1, "off in all workers")


def test_an_unknown_route(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        for path in ("/", "/api", "/api/productsX", "/other"):
            answer = gate.get(path)
            assert (answer.status, json.loads(answer.body)) == (404, {"error": "Route not found"})
            assert answer.source is None and answer.headers["Content-Type"] == "application/json"
        for path in ("/api/products", "/api/products/", "/api/products?q=1", "/api/products/a/b"):
            assert gate.get(path).status == 200
        assert [a.path for a in gate.sql.arrivals] == ["/api/products", "/api/products/", "/api/products?q=1", "/api/products/a/b"]


def test_the_longest_prefix_wins(gateway):  # noqa: F811
    gate = gateway(routes=[{"prefix": "/api/products/images"}])
    with running(gate):
        routes = gate.api.get("/v1/routing").json["modules"][0]["routes"]
        assert [r["prefix"] for r in routes] == ["/api/products", "/api/products/images"]
        assert [line_of(gate, path)["route"] for path in ("/api/products/images/7", "/api/products/imagesX")] == [
            "/api/products/images", "/api/products"]
        # Another reading of the path would belong to another route.
        for path in ("/api/products/x/..%2fimages/7", "/api/products/%69mages%2f7%2f..%2f..%2fx", "/api/products/images/%2e%2e/7",
                     "/api/products/x/%252e%252e/images/7"):
            answer = gate.get(path)
            assert (answer.status, path) == (400, path) and json.loads(answer.body) == {"error": "Ambiguous path"}
        # As it came, byte by byte.
        gate.sql.arrivals.clear()
        for path in ("/api/products/a%20b", "/api/products/%C3%A9?x=%2F&y=a+b", "/api/products//double", "/api/products/a;b=c"):
            assert gate.get(path).status == 200
        assert [a.path for a in gate.sql.arrivals] == [
            "/api/products/a%20b", "/api/products/%C3%A9?x=%2F&y=a+b", "/api/products//double", "/api/products/a;b=c"]


@pytest.mark.parametrize("variable", ["$http_x_user_id", "$HTTP_X_USER_ID", "$http_x_User_Id"])
def test_headers_of_strangers_say_nothing(gateway, variable):  # noqa: F811
    """However the variable is spelt: to nginx, capitals are the same."""
    gate = gateway(gateway={"trusted": ["10.0.0.0/8"]}, route={"user": variable})
    with running(gate):
        assert gate.get(X_User_Id="u1").source == "sql"
        assert "X-User-Id" not in gate.sql.arrivals[-1].headers
        gate.get(X_Data_Source="mongodb", X_Banyan_Fallback="x", X_Migrated="true", X_Banyan_Shadow="1", X_Other="stays")
        seen = gate.sql.arrivals[-1].headers
        assert seen["X-Other"] == "stays"
        assert not {"X-Data-Source", "X-Banyan-Fallback", "X-Migrated", "X-Banyan-Shadow"} & set(seen.keys())


def test_what_a_service_says_of_itself_is_replaced(gateway):  # noqa: F811
    gate = gateway()
    gate.sql.answer = lambda a: (404, {"X-Data-Source": "mongodb", "X-Service": "me", "X-Migrated": "true", "X-Own": "1"}, b"no")
    with running(gate):
        answer = gate.get()
        assert answer.status == 404 and answer.body == b"no" and answer.headers["X-Own"] == "1"
        assert answer.headers.get_all("X-Data-Source") == ["sql"]
        assert answer.headers.get_all("X-Service") == ["product-service-sql"]
        assert answer.headers.get_all("X-Migrated") == ["false"]
        gate.sql.stop()
        answer = gate.get()
        assert answer.status == 502 and answer.source == "sql"  # nginx's own error says it too


def test_the_log_tells_who_answered(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        first = line_of(gate, "/api/products/7?secret=x", X_User_Id="u1", Authorization="Bearer secret")
        second, third = line_of(gate, "/api/products/8"), line_of(gate, "/nowhere")
        assert (first["route"], first["target"], first["migrated"], first["reason"]) == ("/api/products", "mongodb", "true", "flag")
        assert (second["target"], second["service"], second["status"]) == ("sql", "product-service-sql", "200")
        assert (third["route"], third["status"]) == ("", "404")
        assert not any("secret" in line or "u1" in line for line in gate.log())


@pytest.mark.parametrize("trusted", [["127.0.0.1"], ["127.0.0.0/8", "::1"]])
def test_tenants_and_attributes(gateway, trusted):  # noqa: F811
    gate = gateway(
        route={"attributes": {"user": {"plan": "$http_x_plan"}, "tenant": {"tier": "$http_x_tier"}}},
        gateway={"trusted": trusted},
        flags="""
features:
  - name: products_mongodb
    enabled: true
    rollout_percentage: 0
    conditions:
      - {type: user_attribute, attribute: plan, operator: "=", value: gold}
      - {type: tenant_attribute, attribute: tier, operator: in, value: [enterprise]}
""")
    with running(gate):
        assert gate.get(X_User_Id="a", X_Plan="gold", X_Tier="enterprise").source == "mongodb"
        assert gate.get(X_User_Id="a", X_Plan="gold").source == "sql"
        assert gate.get(X_User_Id="a", X_Plan="silver", X_Tier="enterprise").source == "sql"


def test_an_attribute_that_no_request_carries_is_refused(gateway):  # noqa: F811
    """Else the flag would be off for everybody, and nobody would know why."""
    gate = gateway(flags="""
features:
  - name: products_mongodb
    enabled: true
    rollout_percentage: 0
    conditions: [{type: user_attribute, attribute: plan, operator: "=", value: gold}]
""")
    refused = gate.program.run("serve").expect(2)
    assert "feature-flags.yml:6:" in refused.err and "the attribute 'plan' of the user" in refused.err
    assert "/api/products" in refused.err

"""The admin API: what it answers, what it changes, and that it lasts."""
import concurrent.futures
import contextlib
import json
import pathlib
import re
import shlex
import sqlite3
import subprocess

import pytest

from harness.api import check_answer, listen_anywhere, openapi, serving
from harness.process import wait_until

_ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE products (id int PRIMARY KEY, name text);
INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 500) i;
INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 500) i;
"""
HUGE = "repeat('x', 17 * 1024 * 1024)"
OPERATOR, VIEWER, EVALUATE = "operator-0123456789", "viewer-0123456789", "evaluate-0123456789"


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(**more):
        pg.execute(TABLES)
        return banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}},
                        "catalogue": {"collections": {"products": {"table": "products"}}}}} | more)

    return make


@pytest.mark.sanitize
def test_status_says_where_things_stand(make, pg, mongo):
    with serving(make()) as (api, _):
        for name in ("sales", "catalogue"):
            api.wait_for_state(name, "streaming")
        pg.execute("INSERT INTO orders VALUES (1000, 'x')")
        wait_until(lambda: mongo.orders.find_one({"_id": 1000}), 20, "the change")
        status = check_answer("GET", "/v1/status", api.get("/v1/status").expect()).json
        assert status["summary"]["severity"] == "ok"
        assert "sales follows PostgreSQL" in status["summary"]["words"]
        assert check_answer("GET", "/health", api.get("/health").expect()).json == {"status": "ok", "issues": []}
        modules = check_answer("GET", "/v1/modules", api.get("/v1/modules").expect()).json["modules"]
        assert {m["name"] for m in modules} == {"sales", "catalogue"}
        sales = check_answer("GET", "/v1/modules/{module}", api.get("/v1/modules/sales").expect()).json
        assert sales["collections"][0]["documents_copied"] == 500
        check_answer("GET", "/v1/modules/{module}", api.get("/v1/modules/none").expect(404))


def test_what_is_set_at_the_same_time_is_all_kept(make):
    program = make()
    with serving(program) as (api, _), concurrent.futures.ThreadPoolExecutor(4) as people:
        for i in range(1, 121):
            word = "pause" if i % 2 else "resume"
            list(people.map(lambda call: api.post(f"/v1/modules/sales/{call[0]}", {"why": "x"} | call[1]).expect(),
                            [("throttle", {"writes_per_second": i}), (word, {})]))
            with contextlib.closing(sqlite3.connect(program.folder / "banyan.db")) as state:
                kept = state.execute("SELECT paused, writes_per_second FROM control WHERE pipeline = 'sales'").fetchone()
            assert kept == (i % 2, i)


@pytest.mark.sanitize
def test_pause_holds_through_kill_9(make, pg, mongo):
    program = make()
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        check_answer("POST", "/v1/modules/{module}/pause", api.post("/v1/modules/sales/pause").expect())
        api.wait_for_state("sales", "paused")
        assert api.get("/v1/status").json["summary"]["severity"] == "warn"
        running.kill9()
    with serving(program) as (api, _):
        api.wait_for_state("catalogue", "streaming")
        assert api.module("sales")["pipeline"]["state"] == "paused"
        pg.execute("INSERT INTO orders VALUES (1000, 'x'); INSERT INTO products VALUES (1000, 'x')")
        wait_until(lambda: mongo.products.find_one({"_id": 1000}), 20, "the other module goes on")
        assert not mongo.orders.find_one({"_id": 1000})
        api.post("/v1/modules/sales/resume").expect()
        wait_until(lambda: mongo.orders.find_one({"_id": 1000}), 20, "it goes on where it stopped")
        actions = [(line["action"], line["subject"], line["why"], line["role"])
                   for line in check_answer("GET", "/v1/audit", api.get("/v1/audit").expect()).json["audit"]]
        assert ("module.pause", "sales", "test", "operator") in actions and actions[0][0] == "module.resume"


def test_throttle_holds_at_once(make, pg, mongo):
    program = make()
    with serving(program) as (api, _):
        api.wait_for_state("sales", "streaming")
        check_answer("POST", "/v1/modules/{module}/throttle",
                     api.post("/v1/modules/sales/throttle", {"why": "test", "writes_per_second": 100}).expect())
        pg.execute("UPDATE orders SET note = 'new'")
        wait_until(lambda: mongo.orders.find_one({"note": "new"}), 20, "the first ones")
        assert mongo.orders.count_documents({"note": "new"}) < 500
        api.post("/v1/modules/sales/throttle", {"why": "test", "writes_per_second": 0}).expect()
        wait_until(lambda: mongo.orders.count_documents({"note": "new"}) == 500, 20, "all of them")
        for body in ({"why": "x", "writes_per_second": -2}, {"why": "x", "writes_per_second": "5"}, {"why": "x"},
                     {"writes_per_second": 5}, {"why": "", "writes_per_second": 5}, [], "{", {"why": "x" * 1001}):
            check_answer("POST", "/v1/modules/{module}/throttle", api.post("/v1/modules/sales/throttle", body).expect(400))


@pytest.mark.sanitize
def test_a_verification_finds_what_differs(make, mongo):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        mongo.orders.update_one({"_id": 7}, {"$set": {"note": "other"}})
        check_answer("POST", "/v1/modules/{module}/verify", api.post("/v1/modules/sales/verify").expect(202))
        result = wait_until(lambda: (v := api.get("/v1/modules/sales/verify").expect().json)["state"] == "done" and v,
                            60, "the verification ends")
        check_answer("GET", "/v1/modules/{module}/verify", api.get("/v1/modules/sales/verify"))
        assert result["last"]["outcome"] == "different" and result["last"]["different"] == 1
        assert result["last"]["differences"][0]["id"] == "7" and result["last"]["differences"][0]["path"] == "note"
        health = check_answer("GET", "/health", api.get("/health").expect(503)).json
        assert "1 documents that differ" in health["issues"][0]["words"]


def test_parked_documents_are_retried_and_dropped(make, pg, mongo):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        pg.execute(f"INSERT INTO orders VALUES (1000, {HUGE}), (1001, {HUGE})")
        listed = wait_until(lambda: (p := api.get("/v1/parked").expect().json)["all"] == 2 and p, 20, "both are parked")
        check_answer("GET", "/v1/parked", api.get("/v1/parked"))
        first, second = sorted(listed["parked"], key=lambda p: p["document"])
        assert api.get("/health").expect().json["status"] == "warn"
        page = api.get("/v1/parked?limit=1").json
        assert len(page["parked"]) == 1 and api.get(f"/v1/parked?limit=1&after={page['next']}").json["parked"] != page["parked"]
        check_answer("POST", "/v1/parked/{id}/drop", api.post(f"/v1/parked/{second['id']}/drop").expect(202))
        wait_until(lambda: api.get("/v1/parked").json["all"] == 1, 20, "the dropped one leaves the list")
        check_answer("POST", "/v1/parked/{id}/retry", api.post(f"/v1/parked/{first['id']}/retry").expect(202))
        wait_until(lambda: api.get("/v1/parked").json["parked"][0]["attempts"] == 2, 20, "it was tried, and refused")
        pg.execute("UPDATE orders SET note = 'short' WHERE id = 1000")
        wait_until(lambda: api.get("/v1/parked").json["all"] == 0, 20, "it is written")
        assert mongo.orders.find_one({"_id": 1000})["note"] == "short"
        check_answer("POST", "/v1/parked/{id}/retry", api.post(f"/v1/parked/{first['id']}/retry").expect(404))


def test_what_the_run_tries_again_waits_for_nobody(banyan):
    program = banyan({"source": {"uri": "postgresql://nobody@127.0.0.1:1/none"}, "listen": listen_anywhere(),
                      "target": {"uri": "mongodb://127.0.0.1:1/", "database": "none"},
                      "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}})
    with serving(program):
        pass
    with contextlib.closing(sqlite3.connect(program.folder / "banyan.db")) as state:
        for i, deferred in enumerate((True, True, False)):
            state.execute("INSERT INTO parked (pipeline, collection, identity, key, reason, code, first_lsn, last_lsn, deferred, parked_us) "
                          "VALUES ('sales', 'orders', ?, x'', 'validation', 121, 1, 1, ?, 1)", (bytes([i]), deferred))
        state.commit()
    assert "parked: 1 documents wait for a person" in program.run("status", "--health").expect(1).out
    assert "3 parked changes" in program.run("status").expect().out
    with serving(program) as (api, _):
        words = [issue["words"] for issue in api.get("/health").json["issues"]]
        assert "1 documents are parked and wait for a person" in words
        assert api.module("sales")["pipeline"]["parked"] == 3


def test_roles(make):
    program = make(tokens={"operator": OPERATOR, "viewer": VIEWER, "evaluate": EVALUATE})
    with serving(program, token=OPERATOR) as (api, _):
        for token, look, change, evaluate in ((OPERATOR, 200, 200, 200), (VIEWER, 200, 403, 403), (EVALUATE, 403, 403, 200),
                                              (None, 401, 401, 401), ("wrong-0123456789", 401, 401, 401)):
            api.token = token
            assert api.get("/v1/status").status == look, token
            assert api.get("/metrics").status == look, token
            assert api.post("/v1/modules/sales/resume").status == change, token
            assert api.post("/ofrep/v1/evaluate/flags", {}).status == evaluate, token
            assert api.get("/health").status in (200, 503) or token == "wrong-0123456789"
        assert not re.search(rb"0123456789", api.get("/v1/status").body)


def test_another_site_changes_and_reads_nothing(make):
    with serving(make()) as (api, _):
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            assert api.get("/v1/status", headers=headers).status in (403, 421), headers
            assert api.post("/v1/modules/sales/pause", headers=headers).status in (403, 421), headers
        assert api.module("sales")["pipeline"]["state"] != "paused"
        page = api.get("/").expect()
        policy = page.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy and "script-src" in policy or "default-src 'self'" in policy
        assert b"<script>" not in page.body and b"onclick" not in page.body


def test_metrics_are_of_the_table(make, pg):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        pg.execute("UPDATE orders SET note = 'new'")
        wait_until(lambda: b'banyan_changes_applied_total{module="sales"} 500' in api.get("/metrics").expect().body, 20,
                   "the changes are counted")
        text = api.get("/metrics").body.decode()
        assert 'banyan_pipeline_state{module="sales",reason="streaming"} 1' in text
        assert "banyan_apply_latency_seconds_bucket" in text
        openmetrics = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).expect()
        assert openmetrics.body.rstrip().endswith(b"# EOF")


def test_every_path_of_the_description_is_there(make):
    """And nothing is answered that the description does not know."""
    with serving(make()) as (api, _):
        for template, methods in openapi()["paths"].items():
            path = re.sub(r"\{\w+\}", "1", template)
            for method in set(methods) & {"get", "post", "patch"}:
                if template in ("/v1/events", "/ofrep/v1/events"):
                    continue
                answer = api.call(method.upper(), path, None if method == "get" else {})
                assert answer.status not in (405, 501), template
                check_answer(method, template, answer)
            assert api.call("DELETE", path).status == 405, template
        assert api.get("/v1/nothing").status == 404


def test_the_description_has_every_path_of_the_server():
    routes = set()
    for file in (_ROOT / "src/admin").glob("*.c"):
        text = file.read_text()
        for name, path in re.findall(r'^#define (\w+_PATH) (".*")$', text, re.M):
            text = text.replace(f", {name},", f", {path},")
        found = re.findall(r'\{"(GET|POST|PATCH|PUT|DELETE)", "(/(?:v1|health|metrics|ofrep)[^"]*)"', text)
        routes |= {(method, path.replace("*}", "}").rstrip("/")) for method, path in found}
    described = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods
                 if method in ("get", "post", "patch", "put", "delete")}
    assert len(routes) > 20 and routes == described


def _examples():
    """(command, the answer as shown or None) of docs/api.md."""
    for block in re.findall(r"^```\n(curl .*?)^```", (_ROOT / "docs/api.md").read_text(), re.M | re.S):
        for part in re.split(r"^(?=curl )", block, flags=re.M)[1:]:
            command, _, answer = part.partition("\n")
            yield command, json.loads(answer) if answer.strip() else None


def _assert_shaped(shown, real, where):
    """Every member that is shown is there, with a value of that type; of a list, of its first item."""
    if isinstance(shown, dict):
        assert isinstance(real, dict) and not set(shown) - set(real), where
        for key, value in shown.items():
            _assert_shaped(value, real[key], f"{where}.{key}")
    elif isinstance(shown, list) and isinstance(real, list):
        for one, other in zip(shown[:1], real[:1]):
            _assert_shaped(one, other, f"{where}[]")
    elif shown is not None and real is not None:
        number = isinstance(shown, (int, float)) and isinstance(real, (int, float))
        assert number or type(shown) is type(real), f"{where}: {real!r}"


def _run_example(command, shown):
    done = subprocess.run([*command, "-w", "\n%{http_code}"], capture_output=True, text=True, timeout=20, check=True)
    body, status = done.stdout.rsplit("\n", 1)
    assert status[0] == "2", (command, body)
    assert command[-1].endswith("/metrics") or json.loads(body) is not None, command
    if shown:
        _assert_shaped(shown, json.loads(body), command[-1])
    return True


def test_the_examples_of_the_manual(make):
    examples = list(_examples())
    get_order = {"sql": "SELECT id, note FROM orders WHERE id = :id", "params": {"id": "int64"}, "returns": "one",
                 "mongodb": {"find": "orders", "filter": {"_id": ":id"}}}
    program = make(flags="feature-flags.yml", modules={
        "sales": {"collections": {"orders": {"table": "orders"}}, "operations": {"get_order": get_order}},
        "catalogue": {"collections": {"products": {"table": "products"}}}})
    (program.folder / "feature-flags.yml").write_text("features: [{name: products_mongodb, enabled: true, rollout_percentage: 0}]")
    with serving(program) as (api, _):
        api.wait_for_state("sales", "streaming")
        wait_until(lambda: "slot_status" in api.module("sales")["pipeline"], 20, "the slot is looked at")
        for example, shown in examples:
            command = shlex.split(example.replace("127.0.0.1:8420", api.address))
            if command[-1].endswith("/verify") and "--json" not in command:
                api.wait_for_state("sales", "streaming")
                wait_until(lambda: api.get("/v1/modules/sales/verify").json["state"] == "done", 60, "it is verified")
            _run_example(command, shown)
    assert len(examples) > 20 and len([shown for _, shown in examples if shown]) > 10


def test_a_port_in_use_is_named(make):
    program = make()
    with serving(program) as (api, _):
        other = program.run("serve", "--state", str(program.folder / "other.db"))
        assert other.code == 3 and api.address in other.err and "listen" in other.err


def test_texts_of_any_length_are_refused_in_words(make):
    """A long text without escapes was copied past the end of its buffer: the daemon died of one request."""
    program = make(flags="feature-flags.yml")
    (program.folder / "feature-flags.yml").write_text("features: [{name: half, enabled: true, rollout_percentage: 50}]")
    with serving(program) as (api, running):
        api.wait_for_state("sales", "streaming")
        for length in (1001, 5000, 900000):
            long = "x" * length
            for method, path, body in (
                    ("POST", "/v1/modules/sales/pause", {"why": long}),
                    ("PATCH", "/v1/routing/sales", {"why": "x", "reads": long}),
                    ("PATCH", "/v1/routing/sales", {"why": "x", "stage": long}),
                    ("PATCH", "/v1/flags/half", {"why": "x", "version": 0, long: 1}),
                    ("PATCH", "/v1/flags/half", {"why": long, "version": 0, "enabled": False}),
                    ("POST", "/v1/flags/half/off", {"why": "a\0b"})):
                assert api.call(method, path, body).status == 400, (path, length)
        assert api.module("sales")["pipeline"]["state"] == "streaming" and running.is_running()
        assert api.post("/v1/modules/sales/pause", {"why": "y" * 1000}).expect()
        assert api.get("/v1/audit").json["audit"][0]["why"] == "y" * 1000

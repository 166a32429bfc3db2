"""/metrics of a running daemon: both formats are taken by strict readers, every name is of the table,
and the numbers follow what happens."""
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from harness.api import check_answer, listen_anywhere, serving
from harness.process import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE products (id int PRIMARY KEY, name text);
INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 100) i;
"""
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# As Prometheus 2.53 asks.
PROMETHEUS_ACCEPT = ("application/openmetrics-text;version=1.0.0;q=0.5,"
                     "application/openmetrics-text;version=0.0.1;q=0.4,"
                     "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")


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


def _table():
    return set(re.findall(r"^\| `(banyan_\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))


def _values(text):
    """(name, labels as a frozenset) -> value"""
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in read_prometheus(text) for sample in family.samples}


def _value(api, name, **labels):
    text = api.get("/metrics").expect().body.decode()
    return _values(text).get((name, frozenset(labels.items())))


def _base(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


@pytest.mark.sanitize
def test_both_formats_are_read_by_strict_readers(make):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        plain, opened = api.get("/metrics").expect(), api.get(
            "/metrics", headers={"Accept": PROMETHEUS_ACCEPT}).expect()
        assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert opened.headers["Content-Type"].startswith(OPENMETRICS)
        for text, read in ((plain.body.decode(), read_prometheus),
                           (opened.body.decode(), read_openmetrics)):
            samples = [sample for family in read(text) for sample in family.samples]
            assert len(samples) > 50
            for sample in samples:
                known = {sample.name, _base(sample.name)} & _table()
                assert known, f"{sample.name} is not in docs/metrics.md"
                assert set(sample.labels) <= {"module", "collection", "operation", "route", "side",
                                              "reason", "version", "le"}, sample
        assert opened.body.endswith(b"# EOF\n")
        promtool = shutil.which("promtool") or pathlib.Path(sys.executable).parent / "promtool"
        checked = subprocess.run([promtool, "check", "metrics"], input=plain.body,
                                 capture_output=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert not checked.stderr, checked.stderr
        assert _values(plain.body.decode())[("banyan_scrape_series_dropped", frozenset())] == 0


def test_numbers_follow_what_happens(make, pg, mongo):
    with serving(make()) as (api, _):
        for module in ("sales", "catalogue"):
            api.wait_for_state(module, "streaming")
        assert _value(api, "banyan_pipeline_state", module="sales", reason="streaming") == 1
        assert _value(api, "banyan_pipeline_state", module="sales", reason="failed") == 0
        assert _value(api, "banyan_snapshot_documents_copied", module="sales") == 100
        before = _value(api, "banyan_changes_applied_total", module="sales")
        batches = _value(api, "banyan_apply_latency_seconds_count", module="sales")
        pg.execute("INSERT INTO orders SELECT i, 'x' FROM generate_series(1001, 1050) i;"
                   "DELETE FROM orders WHERE id <= 10")
        wait_until(lambda: mongo.orders.count_documents({}) == 140, 20, "the changes")
        wait_until(lambda: _value(api, "banyan_changes_applied_total", module="sales") >= before + 60,
                   20, "their count")
        assert _value(api, "banyan_apply_latency_seconds_count", module="sales") > batches
        assert _value(api, "banyan_apply_latency_seconds_bucket", module="sales", le="+Inf") \
            == _value(api, "banyan_apply_latency_seconds_count", module="sales")
        assert _value(api, "banyan_batch_operations_sum", module="sales") >= 60
        assert _value(api, "banyan_changes_applied_total", module="catalogue") == 0
        assert _value(api, "banyan_lag_seconds", module="sales") < 60
        assert _value(api, "banyan_process_resident_memory_bytes") > 1e6
        wait_until(lambda: _value(api, "banyan_slot_wal_retained_bytes", module="sales") is not None,
                   20, "what the slot keeps")


def test_a_pipeline_that_fails_is_seen(make, pg):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        pg.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders DROP COLUMN id;"
                   "INSERT INTO orders VALUES ('x')")
        wait_until(lambda: _value(api, "banyan_collections", module="sales", reason="stopped") == 1
                   or _value(api, "banyan_pipeline_state", module="sales", reason="failed") == 1,
                   40, "the failure in a metric")


def test_metrics_take_a_viewer(make):
    tokens = {"viewer": "viewer-0123456789", "operator": "operator-0123456789"}
    with serving(make(tokens=tokens)) as (api, _):
        api.get("/metrics").expect(401)
        api.token = tokens["viewer"]
        api.get("/metrics").expect(200)


def _rollups(program):
    with sqlite3.connect(program.folder / "banyan.db") as database:
        return database.execute("SELECT module, kind, side, sum(count), min(length(histogram)) "
                                "FROM rollup GROUP BY 1, 2, 3 ORDER BY 1").fetchall()


def test_a_minute_is_kept_over_restarts(make, pg, mongo):
    """What was measured since the last whole minute is stored at the end, and added to."""
    program, counts = make(), []
    for number in (1000, 2000):
        with serving(program) as (api, _):
            for module in ("sales", "catalogue"):
                api.wait_for_state(module, "streaming")
            pg.execute(f"INSERT INTO orders VALUES ({number}, 'x'); INSERT INTO products VALUES ({number}, 'x')")
            for name in ("orders", "products"):
                wait_until(lambda: mongo[name].find_one({"_id": number}), 20, f"{number} in {name}")  # pylint: disable=cell-var-from-loop
        rows = _rollups(program)
        assert rows[0][1] == "http" and rows[0][3] >= 2  # the requests of this test
        del rows[0]
        assert [row[:3] for row in rows] == [("catalogue", "apply", "mongodb"), ("sales", "apply", "mongodb")]
        assert all(size > 2 for *_, size in rows)
        counts.append([row[3] for row in rows])
    assert all(after > before for before, after in zip(*counts))


def test_minutes_are_summed_by_the_api(make, pg, mongo):
    program = make()
    for _ in range(2):
        with serving(program) as (api, _):
            for module in ("sales", "catalogue"):
                api.wait_for_state(module, "streaming")
            pg.execute("INSERT INTO orders SELECT coalesce(max(id), 0) + 1 FROM orders")
            wait_until(lambda: mongo.orders.count_documents({}) == pg.execute("SELECT count(*) FROM orders")[0][0], 20, "it is there")  # pylint: disable=cell-var-from-loop
    with serving(program) as (api, _):
        rows = check_answer("GET", "/v1/rollups", api.get("/v1/rollups?minutes=10").expect()).json["rollups"]
        http = [r for r in rows if r["kind"] == "http"]
        assert sum(r["count"] for r in http if r["name"] == "/v1/modules/{module}") >= 4
        apply, = [r for r in rows if (r["kind"], r["module"]) == ("apply", "sales")]
        assert apply["count"] >= 2 and 0 < apply["milliseconds"]["p50"] <= apply["milliseconds"]["p99"]
        by_minute = api.get("/v1/rollups?minutes=10&step=1").expect().json["rollups"]
        assert sum(r["count"] for r in by_minute) >= sum(r["count"] for r in rows)
        for bad in ("minutes=0", "minutes=50000", "step=-1", "step=x"):
            check_answer("GET", "/v1/rollups", api.get(f"/v1/rollups?{bad}").expect(400))


def _events(api, last=None):
    """A stream and a function that reads it until some bytes have come; it gives all ids so far."""
    host, port = api.address.split(":")
    connection = socket.create_connection((host, int(port)), 20)
    connection.sendall(f"GET /v1/events HTTP/1.1\r\nHost: {api.address}\r\n".encode()
                       + (f"Last-Event-ID: {last}\r\n".encode() if last else b"") + b"\r\n")
    seen = b""

    def until(words):
        nonlocal seen
        while words not in seen:
            more = connection.recv(65536)
            assert more, f"the stream ended before {words}: {seen[-500:]}"
            seen += more
        return [i.decode() for i in re.findall(rb"id: (\S+)\r?\n", seen)]

    return connection, until


def test_events_tell_what_happens(make):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        connection, until = _events(api)
        with connection:
            until(b"event: status")
            api.post("/v1/modules/sales/pause").expect()
            until(b'{"module":"sales"}')
            last = until(b'"state":"paused"')[-1]
        api.post("/v1/modules/sales/resume").expect()
        connection, until = _events(api, last)
        with connection:  # it goes on where it was cut off
            first = until(b'{"module":"sales"}')[0]
            assert first.split("-")[0] == last.split("-")[0] and int(first.split("-")[1]) > int(last.split("-")[1])


def test_a_port_in_use_is_told(make):
    program = make()
    with serving(program):
        program.config.write_text(program.config.read_text().replace("banyan.db", "other.db"))
        second = program.run("--state", "other.db", "serve")
        assert second.code == 2 or second.code == 3
        assert "in use" in second.err, second.err

"""Every row of docs/metrics.md moves: a day of trouble in one minute, and what /metrics said meanwhile."""
import http.client
import pathlib
import re
import socket
import threading

from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from harness import frames
from harness.api import listen_anywhere, serving
from harness.process import wait_until
from harness.redis import Redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = """
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, country text, note text);
CREATE TABLE products (id int PRIMARY KEY, name text);
INSERT INTO countries VALUES ('fr', 'France');
INSERT INTO orders SELECT i, 'fr', 'n' || i FROM generate_series(1, 3000) i;
INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 6000) i;
ANALYZE;
"""
FLAGS = """
features:
  - {name: all, enabled: true, rollout_percentage: 100}
  - {name: half, enabled: true, rollout_percentage: 50}
  - {name: listed, enabled: true, rollout_percentage: 0, enabled_for_users: [u1]}
  - {name: off, enabled: false, rollout_percentage: 100}
"""
# One value only, by what they are (the last one while a copy runs); it must be there and over 0.
CONSTANT = {"banyan_build_info", "banyan_process_start_time_seconds", "banyan_snapshot_documents_expected"}
# 0 unless something is wrong with Banyan itself, or unless megabytes wait for a reader: the unit tests
# of the page and test_slow_readers_are_cut move these.
NOT_HERE = {"banyan_scrape_series_dropped", "banyan_sse_cut_total"}
# Of edges, and on them: test_edges moves these.
OF_EDGES = {"banyan_edge_up", "banyan_edge_confirmed", "banyan_edge_samples_dropped_total", "banyan_control_up",
            "banyan_handed_over_total", "banyan_batches_waiting"}
NOT_HERE |= OF_EDGES
# Those of the parallel run are moved by test_parallel, but for what is 0 unless the state cannot be written.
NOT_HERE |= {"banyan_divergences_dropped_total"} | frames.METRICS


GET = {"sql": "SELECT id, name FROM products WHERE id = :id", "params": {"id": "int64"}, "compare": {"sample": "100%"},
       "mongodb": {"find": "products", "filter": {"_id": ":id"}},
       "fallback": {"timeout": "200ms", "breaker": {"of": 2, "open": "1s"}}}


class Watch:
    """What /metrics said, all the time: the distinct values of each series."""

    def __init__(self, api):
        self._api, self.seen, self._end = api, {}, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _look(self):
        while not self._end.wait(0.1):
            text = self._api.get("/metrics").expect().body.decode()
            for family in read_prometheus(text):
                for sample in family.samples:
                    name = re.sub(r"_(bucket|sum|count)$", "", sample.name)
                    name = name if name in TABLE else sample.name
                    series = self.seen.setdefault(name, {})
                    series.setdefault(frozenset(sample.labels.items()), set()).add(sample.value)

    def moved(self, name, **labels):
        return any(len(values) > 1 for key, values in self.seen.get(name, {}).items() if key >= frozenset(labels.items()))


TABLE = set(re.findall(r"^\| `(banyan_\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))


def _evaluate(api, flag, user):
    return api.post(f"/ofrep/v1/evaluate/flags/{flag}", {"context": {"targetingKey": user}})


def test_every_metric_moves(pg, mongo, mongo_server, banyan, proxy, tmp_path):
    pg.execute(TABLES)
    to_pg, to_mongo = proxy(pg.server.port), proxy(mongo_server.port)
    redis = Redis(tmp_path / "redis").start()
    program = banyan({
        "source": {"uri": pg.server.uri(pg.name, port=to_pg.port), "snapshot": {"rows_per_second": 2000, "chunk_rows": 500}},
        "target": {"uri": mongo_server.uri(port=to_mongo.port), "database": mongo.name, "fanout_documents": 100},
        "listen": listen_anywhere(), "flags": "feature-flags.yml", "redis": redis.uri,
        "alerts": {"rules": [{"metric": "banyan_parked_changes", "over": 0}]},
        "modules": {
            "sales": {"collections": {"orders": {"table": "orders", "embed": {
                "country_row": {"table": "countries", "one": True, "join": {"code": "country"}}}}}},
            "catalogue": {"collections": {"products": {"table": "products"}}, "operations": {"get": GET},
                          "reads": "shadow", "budget": {"per_second": 1, "concurrent": 1}}}})
    (program.folder / "feature-flags.yml").write_text(FLAGS)
    try:
        with serving(program) as (api, _), Watch(api) as watch:
            for module in ("sales", "catalogue"):
                api.wait_for_state(module, "streaming", 60)
            _trouble(pg, mongo, api, program, to_pg, to_mongo, redis, watch)
    finally:
        redis.kill9()
    missing = TABLE - OF_EDGES - frames.METRICS - set(watch.seen)
    assert not missing, f"rows that are never given: {sorted(missing)}"
    for name in CONSTANT:
        assert all(values and min(values) > 0 for values in watch.seen[name].values()), name
    still = {name for name in TABLE - CONSTANT - NOT_HERE if not watch.moved(name)}
    assert not still, f"rows that never moved: {sorted(still)}"


def _until_moved(watch, name, timeout=30, **labels):
    wait_until(lambda: watch.moved(name, **labels), timeout, f"{name} {labels} moves")


def _trouble(pg, mongo, api, program, to_pg, to_mongo, redis, watch):
    # Changes of every kind, and one that very many documents hold.
    pg.execute("INSERT INTO orders SELECT i, 'de', 'new' FROM generate_series(10001, 10500) i; DELETE FROM orders WHERE id <= 100")
    pg.execute("UPDATE countries SET name = 'FRANCE'")
    api.post("/v1/modules/sales/throttle", {"why": "test", "writes_per_second": 500}).expect()
    for operation in ("written", "deleted", "refreshed"):
        _until_moved(watch, "banyan_documents_written_total", module="sales", operation=operation)
    _until_moved(watch, "banyan_fanouts_waiting", 60)
    api.post("/v1/modules/sales/throttle", {"why": "test", "writes_per_second": 0}).expect()
    # One that is refused, and an alert for it.
    mongo.command("collMod", "products", validator={"name": {"$ne": "bad"}})
    pg.execute("UPDATE products SET name = 'bad' WHERE id = 7")
    _until_moved(watch, "banyan_parked_changes", module="catalogue")
    _until_moved(watch, "banyan_alert_state", 40)
    _until_moved(watch, "banyan_alert_deliveries_total", 40, operation="log", reason="delivered")
    # Something is verified, and differs: when nothing writes it anew.
    wait_until(lambda: api.module("sales")["collections"][0]["fanouts"] == 0, 60, "the fan-out ends")
    mongo.orders.update_one({"_id": 2000}, {"$set": {"note": "other"}})
    api.post("/v1/modules/sales/verify").expect(202)
    _until_moved(watch, "banyan_verification_different_total", 60, module="sales")
    pg.execute("UPDATE orders SET note = 'mended' WHERE id = 2000")
    wait_until(lambda: mongo.orders.find_one({"_id": 2000})["note"] == "mended", 20, "it is written anew")
    api.post("/v1/modules/sales/verify").expect(202)
    _until_moved(watch, "banyan_verification_last_different", 60)
    # Flags: asked, changed, and a file that cannot be read.
    for user in ("u1", "u2", "u3"):
        for flag in ("all", "half", "listed", "off", "none"):
            _evaluate(api, flag, user)
    api.post("/v1/flags/all/off").expect()
    (program.folder / "feature-flags.yml").write_text(FLAGS.replace("50", "500"))
    _until_moved(watch, "banyan_flags_loads_total", reason="refused")
    redis.kill9()
    _until_moved(watch, "banyan_redis_up")
    redis.start()
    # HTTP: a stream, a wrong host.
    host, port = api.address.split(":")
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(f"GET /v1/events HTTP/1.1\r\nHost: {api.address}\r\n\r\n".encode())
        _until_moved(watch, "banyan_sse_streams")
    connection = http.client.HTTPConnection(api.address)
    connection.request("GET", "/v1/status", headers={"Host": "evil.example"})
    assert connection.getresponse().status in (403, 421)
    connection.close()
    for reason in ("host", "malformed"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"NONSENSE\r\n\r\n")
        _until_moved(watch, "banyan_http_refused_total", reason=reason)
    _call_operations(watch, api)
    # Networks that break on both sides, and a slot that somebody dropped.
    to_mongo.refuse()
    for _ in range(4):
        api.post("/v1/operations/get", {"params": {"id": 7}}).expect()
    for name in ("rescued_total", "breaker_open"):
        _until_moved(watch, f"banyan_operation_{name}", module="catalogue")

    def behind():  # lanes hold some of it themselves, so the queue may need more
        pg.execute("UPDATE orders SET note = 'while the target was away' WHERE id > 2000")
        return api.module("sales")["pipeline"]["lag_seconds"] > 0 and watch.moved("banyan_queue_fill_ratio", module="sales")

    wait_until(behind, 30, "the queue fills and the lag grows")
    to_mongo.accept()
    wait_until(lambda: api.module("sales")["pipeline"]["lag_seconds"] == 0, 60, "it has caught up")
    to_mongo.cut_after(20000, "up")  # in the middle of a command
    pg.execute("UPDATE orders SET note = 'while the network broke' WHERE id > 2000")
    _until_moved(watch, "banyan_retries_total", module="sales")
    to_pg.cut()
    _lose_a_slot(pg, watch, api)
    _until_moved(watch, "banyan_rollup_writes_total", 75, reason="written")


def _call_operations(watch, api):
    """SQL answers and a sample is asked of MongoDB, one a second; then MongoDB answers."""

    def calls():
        return [api.post("/v1/operations/get", {"params": {"id": 7}}).expect().headers["X-Data-Source"] for _ in range(3)]

    for name in ("calls_total", "duration_seconds", "samples_total", "samples_dropped_total"):
        wait_until(lambda: calls() and watch.moved(f"banyan_operation_{name}", module="catalogue"), 20, name)
    _until_moved(watch, "banyan_operation_sessions")
    api.call("PATCH", "/v1/routing/catalogue", {"why": "test", "reads": "mongodb"}).expect()
    wait_until(lambda: calls()[-1] == "mongodb", 10, "MongoDB answers")


def _lose_a_slot(pg, watch, api):
    reserved = frozenset({"module": "catalogue", "reason": "reserved"}.items())
    wait_until(lambda: 1 in watch.seen.get("banyan_slot_state", {}).get(reserved, ()), 30, "the slot is seen")
    api.post("/v1/modules/catalogue/pause").expect()
    api.wait_for_state("catalogue", "paused")

    pg.execute("UPDATE products SET name = 'not copied while paused' WHERE id = 9")
    api.post("/v1/modules/catalogue/verify").expect(202)
    _until_moved(watch, "banyan_verification_unsettled_total", 90, module="catalogue")

    def dropped():
        rows = pg.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                          " WHERE slot_name LIKE '%catalogue' AND database = current_database() AND NOT active")
        return bool(rows)

    wait_until(dropped, 20, "the slot is dropped")
    _until_moved(watch, "banyan_slot_state", module="catalogue", reason="missing")
    api.post("/v1/modules/catalogue/resume").expect()
    _until_moved(watch, "banyan_errors_total", module="catalogue")

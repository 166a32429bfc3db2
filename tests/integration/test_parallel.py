"""The parallel run: real services on PostgreSQL and MongoDB, samples as nginx's workers send them."""
import contextlib
import gzip
import http.client
import itertools
import json
import re
import threading
import time
import zlib

import psycopg
import pytest
from harness import frames
from harness.api import check_answer
from harness.gateway import gateway, running  # noqa: F401  (a fixture)
from harness.process import wait_until

DDL = """
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), email text);
INSERT INTO products SELECT i, 'product ' || i, i + 0.50, 'user' || i || '@shop.example' FROM generate_series(1, 50) i
"""
JSON = {"Content-Type": "application/json"}
UNBOUNDED = {"budget": {"per_second": 1000000, "concurrent": 64}}


class Shop:
    """Two services of one API, each on its own database, and a worker that hands over samples."""

    def __init__(self, gate, pg, database):
        self.gate, self.worker = gate, None
        self.api = None
        self._pg = psycopg.connect(pg.uri, autocommit=True)
        self._lock = threading.Lock()
        self._database = database
        self.change = lambda document: document  # the bug of the MongoDB service
        gate.sql.answer, gate.mongodb.answer = self._sql, self._mongodb

    def row(self, number):
        with self._lock:
            found = self._pg.execute("SELECT id, name, price, email FROM products WHERE id = %s", (number,)).fetchone()
        return found and {"id": found[0], "name": found[1], "price": str(found[2]), "email": found[3]}

    @staticmethod
    def _number(arrival):
        return int(arrival.path.split("?")[0].rsplit("/", 1)[1])

    def _sql(self, arrival):
        row = self.row(self._number(arrival))
        return (200, JSON, json.dumps(row).encode()) if row else (404, JSON, b'{"error":"none"}')

    def _mongodb(self, arrival):
        found = self._database.products.find_one({"_id": self._number(arrival)})
        if not found:
            return 404, JSON, b'{"error":"none"}'
        document = {"id": found["_id"], "name": found["name"], "price": str(found["price"]), "email": found["email"]}
        return 200, JSON, json.dumps(self.change(document)).encode()

    def sampled(self, number, **more):
        """What the SQL service answers now, as a sample."""
        return frames.sample(more.pop("uri", f"/api/products/{number}"), more.pop("body", None) or self.row(number), **more)

    def rename(self, number, name):
        with self._lock:
            self._pg.execute("UPDATE products SET name = %s WHERE id = %s", (name, number))

    @staticmethod
    def statistics(*counts, **more):
        return frames.statistics(*counts, **more)

    def send_slowly(self, samples):
        """Never more at a time than the budget and small services take."""
        for i, each in enumerate(samples, 1):
            self.send(each)
            if i % 8 == 0 or i == len(samples):
                wait_until(lambda n=i: self.metric("banyan_compared_total") >= n and self.metric("banyan_settling") == 0, 30, f"{i} are compared")

    def send(self, *samples):
        self.worker.send(*samples)

    def page(self):
        return self.api.get("/metrics").expect().body.decode()

    def metric(self, name, page=None, **labels):
        page = page or self.page()
        total = 0
        for line in page.splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(f'{k}="{v}"' in (match.group(1) or "") for k, v in labels.items()):
                total += float(match.group(2))
        return total

    def counts(self):
        return {k: self.metric(f"banyan_{v}_total") for k, v in {
            "compared": "compared", "real": "divergent", "lag": "compared_lag", "unsettled": "compared_unsettled"}.items()}

    def wait_for(self, timeout=20, **counts):
        wait_until(lambda: all(self.counts()[k] >= v for k, v in counts.items()), timeout, f"{counts}")
        assert {k: self.counts()[k] for k in counts} == counts

    def divergences(self):
        return check_answer("GET", "/v1/divergences", self.api.get("/v1/divergences").expect()).json["divergences"]

    def report(self, time="1h"):
        return check_answer("GET", "/v1/report", self.api.get(f"/v1/report?range={time}").expect()).json

    def divergence(self, number):
        return check_answer("GET", "/v1/divergences/{id}", self.api.get(f"/v1/divergences/{number}").expect()).json


@pytest.fixture
def shop(gateway, pg, mongo):  # noqa: F811
    @contextlib.contextmanager
    def make(compare=None, route=None, **more):
        pg.execute(DDL)
        gate = gateway(route={"compare": {"sample": "100%"} | (compare or {})} | (route or {}),
                       module={"reads": "shadow"} | more.pop("module", {}), **more)
        made = Shop(gate, pg, mongo)
        with running(gate) as daemon:
            made.api, made.daemon = gate.api, daemon
            gate.api.wait_for_state("catalogue", "streaming")
            made.worker = frames.Worker(gate.folder)
            yield made
            made.worker.close()
    return make


def test_a_seeded_bug_is_found_with_path_and_kind(shop):
    with shop() as s:
        s.change = lambda d: d | {"name": d["name"].upper()}
        s.send(s.sampled(1), s.sampled(2))
        s.wait_for(compared=2, real=2)
        wait_until(lambda: s.divergences() and s.divergences()[0]["count"] == 2, 10, "both are stored")
        (found,) = s.divergences()
        assert (found["module"], found["name"], found["path"], found["kind"]) == (
            "catalogue", "/api/products", "name", "mismatch")
        example = s.divergence(found["id"])["examples"][0]
        assert example["path"] == "name"
        assert {example["sql"], example["mongodb"]} in ({"product 1", "PRODUCT 1"}, {"product 2", "PRODUCT 2"})
        listed = s.gate.program.run("divergences", "list").expect().out
        assert re.search(r"^1  2 times, .* catalogue /api/products  mismatch name$", listed, re.M), listed
        assert "sql:        " in s.gate.program.run("divergences", "show", "1").expect().out


def test_lag_is_not_reported_as_real(shop):
    with shop() as s:
        s.api.post("/v1/modules/catalogue/pause").expect()
        s.api.wait_for_state("catalogue", "paused")
        s.rename(7, "changed")
        s.send(s.sampled(7))
        s.wait_for(compared=1)
        wait_until(lambda: s.metric("banyan_settling") == 1, 10, "it is asked again")
        assert s.counts()["real"] == 0
        s.api.post("/v1/modules/catalogue/resume").expect()
        s.wait_for(timeout=30, lag=1, real=0, unsettled=0)
        assert s.divergences() == []


def test_a_pipeline_that_stays_behind_is_unsettled_and_never_real(shop):
    with shop() as s:
        s.api.post("/v1/modules/catalogue/pause").expect()
        s.api.wait_for_state("catalogue", "paused")
        s.rename(7, "changed")
        s.send(s.sampled(7))
        s.wait_for(timeout=75, unsettled=1, real=0, lag=0)
        assert s.divergences() == []


def test_sql_that_changes_all_the_time_is_unsettled(shop):
    with shop() as s:
        turns = itertools.count()
        usual = s.gate.sql.answer
        s.gate.sql.answer = lambda a: (200, JSON, json.dumps({"id": 7, "name": f"turn {next(turns)}"}).encode())
        s.send(s.sampled(7, body={"id": 7, "name": "first"}))
        s.wait_for(timeout=40, unsettled=1, real=0, lag=0)
        assert s.metric("banyan_noise_total") == 5  # each attempt has seen SQL differ from itself
        s.gate.sql.answer = usual


def test_masked_values_reach_neither_state_nor_api_nor_log(shop):
    with shop(compare={"mask": ["email"], "store": "documents"}) as s:
        s.change = lambda d: d | {"email": "mallory@secret.example"}
        s.send(s.sampled(3), s.sampled(3, uri="/api/products/3?token=hush", asked={"Authorization": "Bearer hush"}))
        s.wait_for(real=2)
        wait_until(lambda: s.divergences() and s.divergences()[0]["count"] == 2, 10, "both are stored")
        shown = s.divergence(1)
        assert shown["path"] == "email"
        example = shown["examples"][0]
        assert example["sql"]["masked"] == "string" and example["sql"]["length"] == len("user3@shop.example")
        assert example["sql"]["hash"] != example["mongodb"]["hash"]
        assert example["sql_document"]["name"] == "product 3" and "masked" in example["sql_document"]["email"]
        assert "/api/products/3?token=..." in shown["examples"][0]["reproducer"] + shown["examples"][1]["reproducer"]
        texts = [json.dumps(shown), s.gate.program.run("divergences", "show", "1").expect().out, s.daemon.err, s.daemon.out,
                 s.gate.program.run("--json", "divergences", "show", "1").expect().out,
                 s.api.get("/metrics").body.decode(), s.api.get("/v1/report?range=5m").body.decode()]
    for name in ("banyan.db", "banyan.db-wal"):
        file = s.gate.program.folder / name
        texts.append(file.read_bytes().decode("latin-1") if file.exists() else "")
    for secret in ("secret.example", "shop.example", "hush"):
        for text in texts:
            assert secret not in text.replace('"Host": "shop.example"', "")
    key = s.gate.program.folder / "banyan.db.mask-key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_budget_holds(shop):
    with shop(module={"budget": {"per_second": 20, "concurrent": 2}}) as s:
        now, most, lock = [0], [0], threading.Lock()
        usual = s.gate.mongodb.answer

        def slow(arrival):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return usual(arrival)

        s.gate.mongodb.answer = slow
        began = time.monotonic()
        while time.monotonic() - began < 3:
            s.send(*(s.sampled(i) for i in range(1, 21)))
            time.sleep(0.05)
        wait_until(lambda: s.metric("banyan_samples_waiting") == 0, 20, "all are worked on")
        took = time.monotonic() - began
        assert len(s.gate.mongodb.shadows) <= 20 * (took + 0.1) + 2
        assert len(s.gate.mongodb.shadows) >= 20 * 3 * 0.5
        assert most[0] <= 2
        assert s.metric("banyan_not_compared_total", reason="budget") > 100


def test_a_dead_service_is_left_alone_and_is_no_divergence(shop):
    with shop() as s:
        s.gate.mongodb.stop()
        for n in range(10, 61, 10):
            s.send(*(s.sampled(1) for _ in range(10)))
            wait_until(lambda n=n: s.metric("banyan_not_compared_total") == n, 20, "none is compared")
        assert s.metric("banyan_not_compared_total", reason="unreachable") >= 20
        assert s.metric("banyan_not_compared_total", reason="breaker") >= 20
        assert s.counts() == {"compared": 0, "real": 0, "lag": 0, "unsettled": 0}
        s.gate.mongodb.start()
        time.sleep(5)
        s.send(s.sampled(1))
        s.wait_for(compared=1)


def test_a_stalled_service_holds_nobody_else(shop):
    """Answers do not come within the deadline: counted, and the next ones are compared."""
    with shop() as s:
        usual = s.gate.mongodb.answer
        s.gate.mongodb.answer = lambda a: time.sleep(8) if a.path.endswith("/9") else usual(a)
        s.send(s.sampled(9), s.sampled(1))
        s.wait_for(timeout=3, compared=1)
        wait_until(lambda: s.metric("banyan_not_compared_total", reason="timeout") == 1, 10, "its time is over")


def test_only_reads_are_asked_of_the_other_side(shop):
    with shop(route={"read": ["POST /api/products/search"]}) as s:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            s.send(s.sampled(1, method=method, asked_body=b"{}"))
        wait_until(lambda: s.metric("banyan_not_compared_total", reason="write") == 4, 10, "none is asked")
        assert len(s.gate.mongodb.shadows) == 0
        s.gate.mongodb.answer = lambda a: (200, JSON, b'{"from":"mongodb"}')
        s.send(s.sampled(1, method="POST", uri="/api/products/search", asked_body=b'{"q":1}', body={"from": "sql"}))
        s.wait_for(compared=1, unsettled=1)  # it cannot be asked again
        (arrival,) = s.gate.mongodb.shadows
        assert (arrival.method, arrival.path, arrival.body) == ("POST", "/api/products/search", b'{"q":1}')


def test_what_the_other_side_is_asked(shop):
    with shop() as s:
        s.send(s.sampled(1, uri="/api/products/1?q=%20x&r=/../", asked={
            "Host": "shop.example:8080", "X-User-Id": "u1", "Cookie": "a=b", "If-None-Match": '"x"', "If-Modified-Since": "now",
            "Range": "bytes=0-1", "Accept-Encoding": "gzip", "Connection": "keep-alive", "X-Forwarded-For": "10.0.0.1"},
            request="the-id"))
        s.wait_for(compared=1)
        (arrival,) = s.gate.mongodb.shadows
        got = {k.lower(): v for k, v in arrival.headers.items()}
        assert arrival.path == "/api/products/1?q=%20x&r=/../"  # as it came
        assert got == {"host": "shop.example:8080", "x-user-id": "u1", "cookie": "a=b", "x-forwarded-for": "10.0.0.1, 127.0.0.1",
                       "x-forwarded-proto": "http", "x-request-id": "the-id", "x-banyan-shadow": "1"}


def test_a_shadow_is_never_sampled_again(shop):
    with shop() as s:
        s.send(s.sampled(1, asked={"x-banyan-shadow": "1"}), s.sampled(2))
        s.wait_for(compared=1)
        assert [a.path for a in s.gate.mongodb.shadows] == ["/api/products/2"]


def test_what_cannot_be_compared_is_counted_by_reason(shop):
    with shop() as s:
        reasons = {
            "head": {"method": "HEAD", "body": b""}, "not_modified": {"status": 304, "body": b""},
            "partial": {"status": 206}, "event_stream": {"answered": {"Content-Type": "text/event-stream"}},
            "encoding": {"answered": JSON | {"Content-Encoding": "br"}}, "too_large": {"truncated": True},
            "damaged": {"answered": JSON | {"Content-Encoding": "gzip"}, "body": b"no gzip"}}
        s.send(*(s.sampled(1, **more) for more in reasons.values()))
        for reason in reasons:
            wait_until(lambda r=reason: s.metric("banyan_not_compared_total", reason=r) == 1, 10, reason)
        assert len(s.gate.mongodb.shadows) == 0  # nothing could come of it
        row = json.dumps(s.row(1)).encode()
        s.send(s.sampled(1, answered=JSON | {"Content-Encoding": "gzip"}, body=gzip.compress(row)),
               s.sampled(1, answered=JSON | {"Content-Encoding": "deflate"}, body=zlib.compress(row)))
        s.wait_for(compared=2, real=0)


def test_what_is_too_large_for_us_is_no_failure_of_the_other_side(shop):
    """It opened the breaker of a service that was well; and its limit was below what SQL's may unpack to."""
    with shop(module=UNBOUNDED) as s:
        def list_of(count):
            return json.dumps([{"id": i, "name": "a name that is not short, so that it is large"} for i in range(count)]).encode()

        large, too_large = list_of(30000), list_of(80000)
        assert 1 << 20 < len(large) < 4 << 20 < len(too_large)
        usual = s.gate.mongodb.answer
        s.gate.mongodb.answer = lambda a: (200, JSON, large if a.path.endswith("/1") else too_large) if a.path < "/api/products/3" else usual(a)
        s.send(s.sampled(1, answered=JSON | {"Content-Encoding": "gzip"}, body=gzip.compress(large)))
        s.wait_for(compared=1, real=0)
        for n in range(1, 25):
            s.send(s.sampled(2))
            wait_until(lambda n=n: s.metric("banyan_not_compared_total") == n, 10, "it is not compared")
        assert s.metric("banyan_not_compared_total", reason="too_large") == 24
        assert s.metric("banyan_shadow_errors_total") == 0
        s.send(s.sampled(3))
        s.wait_for(compared=2, real=0)


def test_a_missing_document_is_found_and_resynced(shop, mongo):
    with shop() as s:
        mongo.products.delete_one({"_id": 5})
        mongo.products.update_one({"_id": 6}, {"$set": {"name": "wrong"}})
        s.send(s.sampled(5), s.sampled(6))
        s.wait_for(real=2)
        wait_until(lambda: len(s.divergences()) == 2, 10, "both are stored")
        kinds = {d["path"]: d for d in s.divergences()}
        assert kinds["(status)"]["kind"] == "missing" and kinds["name"]["kind"] == "mismatch"
        for d in kinds.values():
            assert s.divergence(d["id"])["examples"][0]["collection"] == "products"
            check_answer("POST", "/v1/divergences/{id}/resync", s.api.post(f"/v1/divergences/{d['id']}/resync").expect(202))
        wait_until(lambda: mongo.products.find_one({"_id": 5}) and mongo.products.find_one({"_id": 6})["name"] == "product 6",
                   20, "both documents are written again")
        audit = s.api.get("/v1/audit").expect().json
        assert [line["action"] for line in audit["audit"]].count("divergence.resync") == 2


def test_a_divergence_is_marked_and_a_user_forgotten(shop):
    with shop() as s:
        s.change = lambda d: d | {"name": "x"}
        s.send(s.sampled(1, asked={"X-User-Id": "u1"}), s.sampled(2, asked={"X-User-Id": "u2"}), s.sampled(3))
        s.wait_for(real=3)
        wait_until(lambda: s.divergences() and s.divergences()[0]["count"] == 3, 10, "all are stored")
        check_answer("POST", "/v1/divergences/{id}/analyze", s.api.post("/v1/divergences/1/analyze").expect())
        assert s.api.get("/v1/divergences?analyzed=0").expect().json == {"divergences": []}
        assert s.divergence(1)["analyzed"]
        run = s.gate.program.run
        run("divergences", "analyze", "1", "--undo", "--why", "was wrong").expect()
        assert run("divergences", "list", "--open").expect().out.startswith("1  3 times")
        answer = s.api.post("/v1/divergences/purge", {"why": "asked", "user": "u1"}).expect()
        assert check_answer("POST", "/v1/divergences/purge", answer).json == {"ok": True, "examples": 1}
        assert "1 examples forgotten" in run("divergences", "purge", "--user", "u2", "--why", "asked").expect().out
        left = s.divergence(1)
        assert left["count"] == 3 and len(left["examples"]) == 1
        run("divergences", "analyze", "99", "--why", "x").expect(1)
        run("divergences", "analyze", "1").expect(2)
        s.api.get("/v1/divergences/99").expect(404)


def test_copies_in_the_target_as_the_reference_has_them(shop, mongo):
    with shop(divergences={"collection": "divergences"}) as s:
        s.change = lambda d: d | {"name": "x"}
        s.send(s.sampled(1, asked={"X-User-Id": "u1"}))
        s.wait_for(real=1)
        found = wait_until(lambda: mongo.divergences.find_one(), 10, "a copy is there")
        assert (found["module"], found["operation"], found["analyzed"]) == ("catalogue", "/api/products", False)
        assert found["differences"] == [{"path": "name", "type": "mismatch", "sql": "product 1", "mongo": "x"}]
        s.api.post("/v1/divergences/purge", {"why": "asked", "user": "u1"}).expect()
        assert mongo.divergences.count_documents({}) == 0


def test_counts_and_divergences_survive_a_killed_daemon(shop):
    with shop() as s:
        s.change = lambda d: d | {"name": "x"}
        s.send(*(s.sampled(i) for i in range(1, 11)))
        s.wait_for(compared=10, real=10)
        wait_until(lambda: s.report()["divergent"] == 10, 15, "the counters are in the state")
        s.daemon.kill9()
        assert s.gate.program.run("report", "--range", "1h").expect().out.count("10 of 10 compared differ") == 2
        with running(s.gate):
            s.api = s.gate.api
            s.worker = frames.Worker(s.gate.folder)
            assert s.divergences()[0]["count"] == 10
            s.change = lambda d: d
            wait_until(lambda: s.metric("banyan_gateway_workers") > 0, 10, "the worker is back")
            s.send(s.sampled(1))
            wait_until(lambda: s.report()["compared"] == 11, 20, "both runs are added up")
            assert s.report()["divergent"] == 10


def test_frames_that_are_none_of_ours_end_only_their_connection(shop):
    with shop() as s:
        for garbage in (b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\2\7", b"\0\0\0\2\1\1"):
            other = frames.Worker(s.gate.folder)
            other.send(garbage)
            other.socket.settimeout(10)
            assert other.socket.recv(1) == b""
        s.send(frames.sample("/x", {}, route="/nowhere"), s.sampled(1, uri="/api/products/1 HTTP/1.1\r\nX: y"))
        s.send(s.sampled(1, asked={"X-A": "b\r\nX-Injected: 1"}), s.sampled(2))
        s.wait_for(compared=1)
        assert [a.path for a in s.gate.mongodb.shadows] == ["/api/products/2"]
        assert s.metric("banyan_samples_refused_total", reason="unknown") == 1
        assert s.metric("banyan_samples_refused_total", reason="broken") == 6


def test_credentials_that_no_longer_hold_are_unsettled(shop):
    with shop() as s:
        s.change = lambda d: d | {"name": "x"}
        usual = s.gate.sql.answer
        s.gate.sql.answer = lambda a: (401, JSON, b"{}")
        s.send(s.sampled(1))
        s.wait_for(compared=1, unsettled=1, real=0)
        s.gate.sql.answer = usual


def test_the_report_is_weighted_and_names_what_was_never_called(shop):
    with shop(routes=[{"prefix": "/api/orders"}], module=UNBOUNDED) as s:
        s.change = lambda d: d | ({"name": "x"} if d["id"] <= 20 else {})
        s.send_slowly([s.sampled(i) for i in range(1, 21)] + [s.sampled(21 + i % 30, weight=20, why="hashed") for i in range(200)])
        s.wait_for(compared=220, real=20)
        report = wait_until(lambda: (r := s.report())["divergent"] == 20 and r["compared"] == 220 and r, 15, "it is stored")
        assert abs(report["rate_percent"] - 100 * 20 / (20 + 200 * 20)) < 0.01
        assert report["top"] == [{"module": "catalogue", "kind": "route", "name": "/api/products", "divergent": 20,
                                  "rate_percent": pytest.approx(report["rate_percent"])}]
        by_name = {o["name"]: o for o in report["operations"]}
        assert by_name["/api/orders"]["coverage"] == "never" and by_name["/api/orders"]["verdict"] == "inconclusive"
        assert by_name["/api/products"]["coverage"] == "compared"
        side = by_name["/api/products"]["mongodb"]
        assert side["shadow_calls"] >= 220 and 0 < side["p50_ms"] <= side["p95_ms"] <= side["p99_ms"]
        low, high = by_name["/api/products"]["net_rate_interval_percent"]
        assert low <= by_name["/api/products"]["net_rate_percent"] <= high
        text = s.gate.program.run("report", "--range", "5m").expect().out
        assert "/api/orders  never called" in text and "20 of 220 compared differ" in text
        s.gate.program.run("report", "--range", "5 days").expect(2)
        s.api.get("/v1/report?range=x").expect(400)


def test_a_rate_over_its_limit_is_told(shop):
    with shop(module=UNBOUNDED) as s:
        s.change = lambda d: d | {"name": "x"}
        s.send_slowly([s.sampled(1 + i % 50) for i in range(120)])
        s.wait_for(timeout=30, compared=120, real=120)

        def fires():
            """More of them: those before the alerts were first looked at do not count."""
            s.send(*(s.sampled(1 + i % 50) for i in range(20)))
            return any(a["metric"] == "divergence_rate" and a["state"] == "firing" for a in s.api.get("/v1/alerts").json["alerts"])

        wait_until(fires, 30, "the alert fires", interval=1)
        wait_until(lambda: s.report()["modules"][0]["verdict"] == "fail", 15, "the counters are in the state")


def test_through_nginx(shop):
    """Requests of clients, from nginx's own workers to a stored divergence."""
    with shop() as s:
        s.change = lambda d: d | ({"name": "x"} if d["id"] == 4 else {})
        for number in (1, 2, 3, 4):
            answer = s.gate.get(f"/api/products/{number}", X_User_Id="u9", Accept_Encoding="gzip")
            assert answer.status == 200 and answer.source == "sql"
        s.gate.call("POST", "/api/products/5", body=b"{}")
        s.wait_for(compared=4, real=1)
        (found,) = wait_until(s.divergences, 10, "it is stored")
        assert found["path"] == "name"
        assert not any(a.method == "POST" for a in s.gate.mongodb.shadows)
        wait_until(lambda: s.report()["sql"]["calls"] >= 4, 40, "nginx has told how many there were")


def test_events_tell_of_divergences(shop):
    with shop() as s:
        connection = http.client.HTTPConnection(s.api.address, timeout=20)
        connection.request("GET", "/v1/events")
        stream = connection.getresponse()
        s.change = lambda d: d | {"name": "x"}
        s.send(s.sampled(1))
        seen = b""
        while b"event: divergence" not in seen:
            seen += stream.readline()
        assert json.loads(stream.readline().split(b": ", 1)[1]) == {"module": "catalogue"}
        connection.close()


def test_statistics_are_added_up(shop):
    with shop() as s:
        of_100_us = bytes((1, 0xAC, 2, 100, 3))  # version, sum 300, 100 empty buckets, 3 samples
        s.send(s.statistics(3, latency=of_100_us), s.statistics(4, 2, 1, side="mongodb"), s.statistics(5, write=True, latency=of_100_us),
               s.statistics(drops=(1, 2, 3, 4)), s.statistics(latency=b"\x07\x00"))
        report = wait_until(lambda: (r := s.report())["sql"]["calls"] == 8 and r, 15, "they are stored")
        assert report["mongodb"] == {"calls": 4, "errors": 2, "shadow_calls": 0, "shadow_errors": 0}
        assert report["rescued"] == 1
        assert 0.09 < report["sql"]["mean_ms"] < 0.11  # of reads
        assert s.metric("banyan_samples_dropped_total", reason="large") == 3
        assert s.metric("banyan_samples_refused_total", reason="broken") == 1
        s.send(s.statistics(2))
        wait_until(lambda: s.report()["sql"]["calls"] == 10, 15, "nothing is added twice")


def test_every_metric_of_the_parallel_run_moves(shop):
    with shop(module={"budget": {"per_second": 1000000, "concurrent": 4}}, compare={"rules": "reference"}) as s:
        seen, usual, turns = {}, s.gate.sql.answer, itertools.count()
        s.change = lambda d: d | ({"name": "x"} if d["id"] == 1 else {"price": float(d["price"])})
        mongodb = s.gate.mongodb.answer
        s.gate.sql.answer = lambda a: usual(a) if not a.path.endswith("/5") else (
            200, JSON, json.dumps({"id": 5, "name": f"turn {next(turns)}"}).encode())
        s.gate.mongodb.answer = lambda a: (500, JSON, b"{}") if a.path.endswith("/6") else mongodb(a)

        def moved():
            page = s.page()
            for name in frames.METRICS:
                seen[name] = max(seen.get(name, 0), s.metric(name + ("_count" if name.endswith("seconds") else ""), page))
            left = frames.METRICS - {n for n, v in seen.items() if v > 0}
            assert not left, left
            return True

        s.gate.mongodb.delay = 0.2
        s.send(s.statistics(3, 1, latency=bytes((1, 0xAC, 2, 100, 3))), s.statistics(4, 2, 1, side="mongodb"),
               s.statistics(kept=(1, 1, 1), drops=(1, 1, 1, 1)), frames.sample("/x", {}, route="/nowhere"))
        s.send(*(s.sampled(1 + i % 3) for i in range(60)))

        def once_more():
            """What SQL has said is not what it says now (lag), what it says every time (unsettled), MongoDB fails."""
            s.send(s.sampled(4, body={"id": 4, "name": "older"}), s.sampled(5, body={"id": 5, "name": "older"}), s.sampled(6))
            return moved()

        wait_until(once_more, 60, "all have moved", interval=0.2)

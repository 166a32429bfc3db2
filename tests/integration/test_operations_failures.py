"""Operations while a side is slow, stalled, cut off or gone: deadlines that cancel, fallback, breaker, samples."""
import concurrent.futures
import os
import signal
import time

import pytest

from harness.api import serving
from harness.operations import OPERATIONS, call, shop  # noqa: F401
from harness.process import wait_until
from harness.proxy import Proxy

GET = OPERATIONS["get_product"]
SLOW = {
    "sql": "SELECT id, pg_sleep(:seconds)::text AS s FROM products WHERE id = 1",
    "mongodb": {"find": "products", "filter": {"_id": 1, "n": {"$ne": ":seconds"}}, "projection": {"_id": 1}},
    "params": {"seconds": "double"}, "timeout": "300ms", "fallback": False}
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'banyan operations' AND state = 'active'"


def timed(function, *arguments, **more):
    start = time.monotonic()
    return function(*arguments, **more), time.monotonic() - start


def metric(api, name, **labels):
    for line in api.get("/metrics").expect().body.decode().splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


@pytest.mark.sanitize
def test_a_deadline_cancels_the_statement(shop, pg):  # noqa: F811
    with serving(shop({"slow": SLOW})) as (api, _):
        call(api, "slow", {"seconds": 0}).expect()
        answer, took = timed(call, api, "slow", {"seconds": 30})
        assert answer.expect(504).json["error"]["sides"]["sql"]["outcome"] == "timeout"
        assert 0.3 <= took < 2
        wait_until(lambda: pg.execute(BUSY)[0][0] == 0, 3, "the statement is cancelled")
        call(api, "slow", {"seconds": 0}).expect()
        # as many at one time as there are sessions, and more: none is left behind
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda _: call(api, "slow", {"seconds": 30}).status, range(32)))
        assert set(answers) <= {504, 502}
        wait_until(lambda: pg.execute(BUSY)[0][0] == 0, 3, "all statements are cancelled")
        call(api, "slow", {"seconds": 0}).expect()


@pytest.mark.sanitize
def test_a_stalled_mongodb(shop, private_mongo):  # noqa: F811
    """Stopped by a signal: connections stay, nothing is answered."""
    server = private_mongo(memory=True)
    get = GET | {"fallback": {"timeout": "300ms", "breaker": {"of": 4, "open": "2s"}}}
    program = shop({"get_product": get}, target=server.uri(), module={"reads": "shadow"})
    with serving(program) as (api, _):
        def side():
            answer = call(api, "get_product", {"id": 7}).expect()
            return answer.headers["X-Data-Source"], answer.headers.get("X-Banyan-Fallback")

        call(api, "get_product", {"id": 7}, side="mongodb").expect()
        wait_until(lambda: (side(), metric(api, "banyan_operation_samples_total", side="mongodb"))[1] > 0, 10, "samples")
        os.killpg(server.process.pid, signal.SIGSTOP)
        try:
            # as a shadow it delays nobody: far more calls than samples can wait
            times = sorted(timed(side)[1] for _ in range(200))
            assert times[-3] < 0.25, times[-5:]
            assert metric(api, "banyan_operation_samples_dropped_total", reason="busy") > 0
            # as the primary, SQL stands in after the time it has; then the breaker opens
            api.call("PATCH", "/v1/routing/catalogue", {"why": "test", "reads": "mongodb"}).expect()
            wait_until(lambda: side()[1] is not None, 5, "reads from MongoDB")
            seen = [side() for _ in range(8)]
            assert all(s[0] == "sql" for s in seen) and seen[-1] == ("sql", "breaker"), seen
            assert timed(side)[1] < 0.2
            assert metric(api, "banyan_operation_breaker_open") == 1
        finally:
            os.killpg(server.process.pid, signal.SIGCONT)
        wait_until(lambda: side() == ("mongodb", None), 20, "MongoDB is tried again")


def test_a_stalled_mongodb_leaves_threads_for_others(shop, private_mongo):  # noqa: F811
    """Calls that wait for MongoDB, with nobody behind it, are bounded: those that ask SQL go on."""
    server = private_mongo(memory=True)
    stuck = GET | {"fallback": False, "timeout": "3s"}
    program = shop({"stuck": stuck, "get_product": GET}, target=server.uri())
    with serving(program) as (api, _), concurrent.futures.ThreadPoolExecutor(64) as pool:
        call(api, "stuck", {"id": 7}, side="mongodb").expect()
        os.killpg(server.process.pid, signal.SIGSTOP)
        try:
            waiting = [pool.submit(call, api, "stuck", {"id": 7}, side="mongodb") for _ in range(64)]
            time.sleep(0.5)
            times = sorted(timed(lambda: call(api, "get_product", {"id": 7}, side="sql").expect())[1] for _ in range(50))
            assert times[-2] < 0.3, times[-5:]
            assert {w.result().status for w in waiting} <= {502, 504}
        finally:
            os.killpg(server.process.pid, signal.SIGCONT)
        wait_until(lambda: call(api, "stuck", {"id": 7}, side="mongodb").status == 200, 20, "it answers again")


def test_mongodb_is_gone_and_comes_back(shop, private_mongo):  # noqa: F811
    server = private_mongo()
    get = GET | {"fallback": {"breaker": {"of": 64, "errors": "100%"}}}
    bare = GET | {"fallback": False}
    program = shop({"get_product": get, "bare": bare}, target=server.uri(), module={"reads": "mongodb"})
    with serving(program) as (api, _):
        assert call(api, "get_product", {"id": 7}).expect().headers["X-Data-Source"] == "mongodb"
        server.stop()
        for _ in range(3):
            answer, took = timed(call, api, "get_product", {"id": 7})
            assert answer.expect().headers["X-Data-Source"] == "sql" and took < 1.5
            assert answer.headers["X-Migrated"] == "false"
            assert answer.headers["X-Banyan-Fallback"] in ("connect", "timeout", "5xx")
        assert metric(api, "banyan_operation_rescued_total", side="mongodb", operation="get_product") == 3
        assert metric(api, "banyan_operation_calls_total", side="sql", operation="get_product", reason="ok") == 3
        failed = call(api, "bare", {"id": 7}).expect(502)
        assert failed.headers["X-Data-Source"] == "mongodb" and "sql" not in failed.json["error"]["sides"]
        server.start()
        wait_until(lambda: call(api, "get_product", {"id": 7}).headers["X-Data-Source"] == "mongodb", 20, "it is back")


def test_a_row_that_mongodb_does_not_have(shop, mongo):  # noqa: F811
    program = shop({"get_product": GET, "only_5xx": GET | {"fallback": {"on": ["5xx"]}}}, module={"reads": "mongodb"})
    mongo.products.delete_one({"_id": 7})
    with serving(program) as (api, _):
        found = call(api, "get_product", {"id": 7}).expect()
        assert found.headers["X-Data-Source"] == "sql" and found.headers["X-Banyan-Fallback"] == "404"
        assert found.json["name"] == "product 7"
        none = call(api, "get_product", {"id": 999}).expect(404)
        assert none.json["error"]["code"] == "no_row" and none.headers["X-Banyan-Fallback"] == "404"
        kept = call(api, "only_5xx", {"id": 7}).expect(404)
        assert kept.headers["X-Data-Source"] == "mongodb" and not kept.headers.get("X-Banyan-Fallback")
        program.run("fallback", "off", "catalogue", "--why", "test").expect(0)
        wait_until(lambda: call(api, "get_product", {"id": 7}).status == 404, 5, "fallback is off")


def test_sql_fails_and_mongodb_stands_in(shop, pg_server, pg, mongo):  # noqa: F811
    """Only where it has caught up; and where both fail, both are told."""
    get = GET | {"sql": "SELECT id, name, unit_price / (:id - 7) AS price FROM products WHERE id = :id"}
    program = shop({"get_product": get}, module={"reads": "shadow"})
    with serving(program) as (api, _):
        api.wait_for_state("catalogue", "streaming")
        wait_until(lambda: call(api, "get_product", {"id": 7}).status == 200, 5, "it is known to have caught up")
        answer = call(api, "get_product", {"id": 7}).expect()
        assert answer.headers["X-Data-Source"] == "mongodb" and answer.headers["X-Banyan-Fallback"] == "5xx"
        api.call("PATCH", "/v1/routing/catalogue", {"why": "test", "reads": "sql"}).expect()
        wait_until(lambda: call(api, "get_product", {"id": 7}).status == 502, 5, "SQL alone answers")
        api.call("PATCH", "/v1/routing/catalogue", {"why": "test", "reads": "shadow"}).expect()
        wait_until(lambda: call(api, "get_product", {"id": 7}).status == 200, 5, "MongoDB stands in again")


def test_both_fail(shop):  # noqa: F811
    get = {"sql": "SELECT 1/(:id - :id) AS x", "returns": "one", "params": {"id": "int64"},
           "mongodb": {"aggregate": "products", "pipeline": [{"$project": {"x": {"$divide": [1, {"$subtract": [":id", ":id"]}]}}}]}}
    program = shop({"broken": get}, module={"reads": "mongodb"})
    with serving(program) as (api, _):
        error = call(api, "broken", {"id": 3}).expect(502).json["error"]
        assert error["message"] == "both sides failed" and set(error["sides"]) == {"sql", "mongodb"}
        assert "division by zero" in error["sides"]["sql"]["message"]
        assert error["sides"]["mongodb"]["outcome"] == "5xx" and error["sides"]["mongodb"]["message"]


def test_sql_is_cut_off(shop, pg_server, pg):  # noqa: F811
    """A network that swallows packets: deadlines hold without the server's help, and it comes back."""
    with Proxy(pg_server.port) as proxy:
        program = shop({"get_product": GET | {"timeout": "400ms", "fallback": False}})
        program = shop({"get_product": GET | {"timeout": "400ms", "fallback": False}}, ddl=None, copied=False,
                       source=pg_server.uri(pg.name, port=proxy.port))
        with serving(program) as (api, _):
            call(api, "get_product", {"id": 7}, side="sql").expect()
            proxy.pause()
            for _ in range(3):
                answer, took = timed(call, api, "get_product", {"id": 7}, side="sql")
                assert answer.status in (502, 504) and took < 1.5
            proxy.resume()
            wait_until(lambda: call(api, "get_product", {"id": 7}, side="sql").status == 200, 10, "it is back")
            proxy.cut()
            call(api, "get_product", {"id": 7}, side="sql").expect()


def test_answers_have_limits(shop, pg):  # noqa: F811
    huge = {"sql": "SELECT i AS id, repeat('x', 1000) AS t FROM generate_series(1, :n) i", "params": {"n": "int32"},
            "mongodb": {"find": "products"}, "timeout": "20s", "fallback": False}
    with serving(shop({"huge": huge})) as (api, _):
        assert len(call(api, "huge", {"n": 10000}, side="sql").expect().json) == 10000
        message = call(api, "huge", {"n": 1000000}, side="sql").expect(502).json["error"]["sides"]["sql"]["message"]
        assert "more than 16 MiB of rows" in message or "more than 100000 rows" in message
        wait_until(lambda: pg.execute(BUSY)[0][0] == 0, 5, "the statement is cancelled")

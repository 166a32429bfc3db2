"""SQL answers for a MongoDB service that fails: reads only, once, before the first byte."""
import contextlib
import socket
import time

import pytest

from harness.gateway import change_config, gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

READS, WRITES = ("GET", "HEAD", "OPTIONS"), ("POST", "PUT", "PATCH", "DELETE")
U1 = {"X-User-Id": "u1"}


def fails(status):
    return lambda arrival: (status, {}, b"broken")


def hangs_up(_):
    return None


def _rescued(gate, why):
    answer = gate.call(headers=U1)
    assert (answer.status, answer.source, answer.fallback) == (200, "sql", why)
    assert (answer.headers["X-Service"], answer.headers["X-Migrated"]) == ("product-service-sql", "false")
    assert answer.body == b'{"from":"sql"}'


def test_every_kind_of_failure(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"timeout": "300ms", "breaker": {"of": 64, "errors": "100%"}}})
    with running(gate):
        for status, why in ((500, "5xx"), (503, "5xx"), (511, "5xx"), (404, "404")):
            gate.mongodb.answer = fails(status)
            _rescued(gate, why)
        gate.mongodb.answer = hangs_up
        _rescued(gate, "5xx")
        gate.mongodb.answer = gate.mongodb.usual
        gate.mongodb.delay = 2
        start = time.monotonic()
        _rescued(gate, "timeout")
        assert time.monotonic() - start < 1.5
        gate.mongodb.delay = 0
        gate.mongodb.answer = fails(400)
        answer = gate.call(headers=U1)  # the client's mistake, not the service's
        assert (answer.status, answer.source, answer.fallback) == (400, "mongodb", None)
        gate.mongodb.stop()
        _rescued(gate, "connect")
        for method in READS:
            assert gate.call(method, headers=U1).status == 200


def test_what_sql_says_counts(gateway):  # noqa: F811
    gate = gateway()
    gate.mongodb.answer = gate.sql.answer = fails(404)
    with running(gate):
        answer = gate.call(headers=U1)
        assert (answer.status, answer.body, answer.source, answer.fallback) == (404, b"broken", "sql", "404")
        gate.mongodb.answer, gate.sql.answer = fails(500), fails(503)
        assert gate.call(headers=U1).status == 503


def test_only_what_is_named(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"on": ["connect"], "timeout": "300ms"}})
    with running(gate):
        for status in (404, 500, 503):
            gate.mongodb.answer = fails(status)
            answer = gate.call(headers=U1)
            assert (answer.status, answer.source, answer.fallback) == (status, "mongodb", None)
        gate.mongodb.delay = 1
        assert (gate.call(headers=U1).status, gate.sql.count()) == (504, 0)
        gate.mongodb.stop()
        _rescued(gate, "connect")


class Full:
    """A service that cannot take one more connection: whoever connects waits, and gets no answer."""

    def __init__(self):
        self.listener, self.waiting = socket.create_server(("127.0.0.1", 0), backlog=0), []
        self.port = self.listener.getsockname()[1]
        with contextlib.suppress(TimeoutError):
            for _ in range(8):
                self.waiting.append(socket.create_connection(("127.0.0.1", self.port), 0.2))

    def close(self):
        for each in (self.listener, *self.waiting):
            each.close()


def test_who_does_not_even_accept_is_away(gateway):  # noqa: F811
    """nginx says 504 of it, as it does of an answer that does not come."""
    service = Full()
    gate = gateway(route={"mongodb": {"url": f"http://127.0.0.1:{service.port}", "service": "product-service-mongo"},
                          "fallback": {"on": ["connect"], "connect": "200ms"}})
    with running(gate):
        _rescued(gate, "connect")
    service.close()


def test_a_timeout_of_the_service_itself_is_an_answer(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"on": ["5xx"], "timeout": "300ms"}})
    gate.mongodb.answer = fails(504)
    with running(gate):
        _rescued(gate, "5xx")
        gate.mongodb.delay = 1
        assert (gate.call(headers=U1).status, gate.sql.count()) == (504, 1)


def test_a_body_is_sent_again(gateway):  # noqa: F811
    gate = gateway(route={"read": ["POST /api/products/search"]})
    gate.mongodb.answer = fails(500)
    body = b'{"q": "' + b"x" * 300000 + b'"}'
    with running(gate):
        answer = gate.call("POST", "/api/products/search", U1, body)
        assert (answer.status, answer.source, answer.fallback) == (200, "sql", "5xx")
        assert [a.body for a in (*gate.mongodb.arrivals, *gate.sql.arrivals)] == [body, body]
        assert gate.call("POST", "/api/products/searchX", U1, b"x").source == "sql"
        assert gate.mongodb.count() == 1  # no read, so SQL's


@pytest.mark.parametrize("failure", [fails(500), hangs_up, "stopped", "slow"])
def test_a_write_is_never_sent_twice(gateway, failure):  # noqa: F811
    """Just after a failed read, with the breaker open, and with MongoDB away."""
    gate = gateway(route={"fallback": {"timeout": "300ms", "breaker": {"of": 4, "errors": "50%", "open": "2s"}}})
    with running(gate):
        gate.route(stage="complete")
        if failure == "stopped":
            gate.mongodb.stop()
        elif failure == "slow":
            gate.mongodb.delay = 1
        else:
            gate.mongodb.answer = failure
        for _ in range(6):
            gate.call(headers=U1)
        gate.mongodb.arrivals.clear()
        gate.sql.arrivals.clear()
        for method in WRITES:
            gate.call(method, headers=U1, body=b"write")
        assert gate.sql.count() == 0
        assert [a.method for a in gate.mongodb.arrivals] == ([] if failure == "stopped" else list(WRITES))


def test_writes_stay_on_sql_while_reads_fail(gateway):  # noqa: F811
    gate = gateway(route={"own_writes": {"wait": "0s"}})
    gate.mongodb.answer = hangs_up
    with running(gate):
        for method in WRITES:
            _rescued(gate, "5xx")
            assert gate.call(method, headers=U1, body=b"w").source == "sql"
        assert [a.method for a in gate.sql.arrivals if a.method != "GET"] == list(WRITES)
        assert not set(WRITES) & {a.method for a in gate.mongodb.arrivals}


def test_a_stale_connection_is_no_failure(gateway):  # noqa: F811
    """The service hangs up on idle connections: a read goes over a fresh one, on both sides."""
    gate = gateway(gateway={"workers": "1"}, route={"fallback": False})
    with running(gate):
        for service, headers in ((gate.sql, {}), (gate.mongodb, U1)):
            assert gate.call(headers=headers).status == 200
            service.stop()
            service.start()
            assert gate.call(headers=headers).status == 200


def test_the_breaker(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"breaker": {"of": 10, "errors": "50%", "open": "4s"}}})
    with running(gate):
        gate.mongodb.answer = fails(500)
        for _ in range(10):
            assert gate.call(headers=U1).fallback == "5xx"
        seen = gate.mongodb.count()
        for _ in range(20):
            answer = gate.call(headers=U1)
            assert (answer.status, answer.source, answer.fallback) == (200, "sql", "breaker")
        assert gate.mongodb.count() == seen
        spared = 'banyan_kept_on_sql_total{module="catalogue",route="/api/products",reason="breaker"} 20'
        wait_until(lambda: spared in gate.api.get("/metrics").expect().body.decode().splitlines(), 10, "they are counted")
        time.sleep(4.1)
        assert gate.call(headers=U1).fallback == "5xx"  # the one that tries
        assert gate.call(headers=U1).fallback == "breaker"
        gate.mongodb.answer = gate.mongodb.usual
        time.sleep(4.1)
        assert gate.call(headers=U1).source == "mongodb"
        assert gate.call(headers=U1).source == "mongodb"


def _three_of_four_fail(gate, count):
    """Answers of `count` calls."""
    answers = []
    for i in range(count):
        gate.mongodb.answer = gate.mongodb.usual if i % 4 == 0 else fails(500)
        answers.append(gate.call(headers=U1))
    return answers


def test_the_budget(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"budget": "0%", "breaker": {"of": 64, "errors": "100%"}}})
    with running(gate):
        answers = _three_of_four_fail(gate, 140)
        rescued = sum(a.fallback == "5xx" for a in answers)
        assert rescued == 100 and [a.status for a in answers].count(500) == 5
        assert gate.sql.count() == 100


def test_a_small_budget_is_one(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"budget": "0.09%", "breaker": {"of": 64, "errors": "100%"}}})
    with running(gate):
        answers = _three_of_four_fail(gate, 135)
        assert answers[-1].status == 500  # all of it is spent
        gate.mongodb.answer = gate.mongodb.usual
        for _ in range(1112):
            gate.call(headers=U1)
        gate.mongodb.answer = fails(500)
        _rescued(gate, "5xx")


def test_a_long_outage(gateway):  # noqa: F811
    """Each trial of the breaker is covered for, and costs nothing of the budget."""
    gate = gateway(route={"fallback": {"budget": "0%", "breaker": {"of": 4, "errors": "100%", "open": "200ms"}}},
                   gateway={"workers": "1"})  # so that they are counted in their order
    with running(gate):
        for i in range(134):
            gate.mongodb.answer = gate.mongodb.usual if i % 4 == 0 else fails(500)
            gate.call(headers=U1)
        gate.mongodb.answer = fails(500)
        assert gate.call(headers=U1).status == 500  # all of it is spent
        while gate.call(headers=U1).fallback != "breaker":
            pass
        before, answers = gate.mongodb.count(), []
        while gate.mongodb.count() < before + 3:
            answers.append(gate.call(headers=U1))
        assert {(a.status, a.fallback) for a in answers} == {(200, "breaker"), (200, "5xx")}


def test_a_client_that_leaves_a_trial(gateway):  # noqa: F811
    """It says nothing about MongoDB: the next one tries."""
    gate = gateway(route={"fallback": {"breaker": {"of": 4, "errors": "50%", "open": "2s"}}})
    gate.mongodb.answer = fails(500)
    with running(gate):
        while gate.call(headers=U1).fallback != "breaker":
            pass
        gate.mongodb.answer, gate.mongodb.delay = gate.mongodb.usual, 1
        before = gate.mongodb.count()

        def leave():
            gate.raw("GET /api/products/7 HTTP/1.1\r\nHost: x\r\nX-User-Id: u1\r\nConnection: close\r\n\r\n", leave=True)
            return gate.mongodb.count() > before

        wait_until(leave, 10, "one of them was the trial")
        wait_until(lambda: '"status":"499"' in gate.log()[-1], 5, "its client has left")
        gate.mongodb.delay = 0
        assert gate.call(headers=U1).source == "mongodb"


def test_what_nobody_covers_for_opens_no_breaker(gateway):  # noqa: F811
    gate = gateway(route={"fallback": {"breaker": {"of": 4, "errors": "50%", "open": "60s"}}})
    gate.mongodb.answer = fails(500)
    with running(gate):
        gate.route(fallback=False)
        assert [gate.call(headers=U1).status for _ in range(8)] == [500] * 8
        gate.mongodb.answer = gate.mongodb.usual
        gate.route(fallback=True)
        assert gate.call(headers=U1).source == "mongodb"


def test_the_breaker_is_the_routes(gateway):  # noqa: F811
    """After a reload another route stands in its place."""
    gate = gateway(route={"fallback": {"breaker": {"of": 4, "errors": "50%", "open": "60s"}}})
    gate.mongodb.answer = fails(500)
    with running(gate):
        while gate.call(headers=U1).fallback != "breaker":
            pass
    gate.mongodb.answer = gate.mongodb.usual
    with running(gate):
        assert gate.call(headers=U1).fallback == "breaker"  # the same route: a restart forgets nothing
    change_config(gate, lambda c: c["modules"]["catalogue"]["routes"][0].update(prefix="/api/goods"))
    with running(gate):
        wait_until(lambda: gate.call(path="/api/goods/7", headers=U1).status == 200, 10, "the new route")
        assert gate.call(path="/api/goods/7", headers=U1).source == "mongodb"


@pytest.mark.sanitize
def test_fallback_off_and_on(gateway):  # noqa: F811
    gate = gateway()
    gate.mongodb.answer = fails(500)
    with running(gate):
        gate.route(fallback=False)
        answer = gate.call(headers=U1)
        assert (answer.status, answer.source) == (500, "mongodb")
        gate.route(fallback=True)
        _rescued(gate, "5xx")


def test_sql_is_not_asked_once_mongodb_takes_writes(gateway):  # noqa: F811
    gate = gateway()
    gate.mongodb.answer = fails(500)
    with running(gate):
        gate.route(stage="complete")
        answer = gate.call(headers=U1)
        assert (answer.status, answer.source, gate.sql.count()) == (500, "mongodb", 0)


def test_no_client_sees_mongodb_die(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        wait_until(lambda: gate.call(headers=U1).source == "mongodb", 5, "MongoDB answers")
        answers = []
        for i in range(60):
            if i == 20:
                gate.mongodb.stop()
            if i == 40:
                gate.mongodb.start()
            answers.append(gate.call(headers=U1))
        assert {a.status for a in answers} == {200}
        assert {a.source for a in answers[:20]} == {"mongodb"} and {a.source for a in answers[20:40]} == {"sql"}

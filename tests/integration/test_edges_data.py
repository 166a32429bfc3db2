"""What goes back and forth between edges and their control daemon besides flags: how far a module is applied, statistics,
samples; and TLS."""
import pathlib
import time

import pytest

from harness import certificates
from harness.edges import TOKENS, edges  # noqa: F401  pylint: disable=unused-import
from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import free_port, wait_until

# Short names: sockets stand in folders that are called after the tests, and have 107 bytes.
ON = "features: [{name: products_mongodb, enabled: true, rollout_percentage: 100}]"
USER = {"X-User-Id": "u1"}


@pytest.fixture
def control(gateway):  # noqa: F811
    return lambda **more: gateway(flags=ON, tokens=TOKENS, **more)


def started(control, edge):
    control.api.token = TOKENS["operator"]
    edge.start()
    edge.wait_until_confirmed()
    edge.wait_until_answers()
    wait_until(lambda: edge.get(X_User_Id="u9").source == "mongodb", 5, "on for all")
    return edge


def calls(control, side):
    """Calls of the route by the control daemon's rollups."""
    rows = control.api.get("/v1/rollups").expect().json["rollups"]
    return sum(r["count"] for r in rows if r["kind"] == "route" and r["side"] == side and r["name"] == "/api/products")


@pytest.mark.sanitize
def test_own_write(control, edges, pg):  # noqa: F811
    """At the edge: SQL until the control daemon says that it is applied; without it SQL for good."""
    main = control(gateway={"watermark_max_age": "2s"}, route={"own_writes": {"wait": "3s"}})
    written = []

    def answer(arrival):
        if arrival.method == "POST":
            written.append(1)
            pg.execute("INSERT INTO products VALUES (%s, 'new')", (len(written),))
        return 200, {}, b"{}"

    main.sql.answer = answer
    with running(main) as daemon:
        edge = started(main, edges(main, 1)[0])
        main.api.wait_for_state("catalogue", "streaming")
        assert edge.call("POST", headers=USER, body=b"{}").source == "sql"
        assert edge.call("GET", headers=USER).source == "sql"
        assert edge.get(X_User_Id="u2").source == "mongodb"
        begin = time.monotonic()
        wait_until(lambda: edge.call("GET", headers=USER).source == "mongodb", 10, "applied")
        assert time.monotonic() - begin < 2.5, "by what is applied, not by the end of own_writes.wait"
        daemon.kill9()
        time.sleep(3)  # older than watermark_max_age
        assert edge.call("POST", headers=USER, body=b"{}").source == "sql"
        end = time.monotonic() + 5  # longer than own_writes.wait
        while time.monotonic() < end:
            assert edge.call("GET", headers=USER).source == "sql"
            assert edge.get(X_User_Id="u2").source == "mongodb"
            time.sleep(0.2)
    with running(main):
        main.api.token = TOKENS["operator"]
        wait_until(lambda: edge.call("GET", headers=USER).source == "mongodb", 30, "applied")


def test_once(control, edges):  # noqa: F811
    """Statistics: each call counts once, over an absence of the control daemon and a kill of the edge."""
    main = control()
    with running(main) as daemon:
        edge = started(main, edges(main, 1)[0])
        wait_until(lambda: edge.api.get("/v1/status").json["batches_sent"] > 0, 20, "what was asked so far is sent")
        time.sleep(6)
        before = calls(main, "mongodb")
        daemon.kill9()
        for _ in range(50):
            assert edge.get(X_User_Id="u1").source == "mongodb"
        wait_until(lambda: edge.api.get("/v1/status").json["batches_waiting"] > 0, 30, "a batch waits")
        time.sleep(1.5)  # until every worker has told
        kept = {f.name: f.read_bytes() for f in (edge.folder / "statistics").glob("*.batch")}
        edge.daemon.stop().expect(0)
        kept |= {f.name: f.read_bytes() for f in (edge.folder / "statistics").glob("*.batch")}
    with running(main):
        main.api.token = TOKENS["operator"]
        edge.start()
        wait_until(lambda: calls(main, "mongodb") >= before + 50, 30, "arrived")
        wait_until(lambda: not list((edge.folder / "statistics").glob("*.batch")), 10, "taken")
        # As if it had been killed before it could note that: everything is sent again.
        edge.daemon.kill9()
        for name, content in kept.items():
            (edge.folder / "statistics" / name).write_bytes(content)
        edge.start()
        wait_until(lambda: not list((edge.folder / "statistics").glob("*.batch")), 20, "sent again")
        assert calls(main, "mongodb") == before + 50
        text = edge.api.get("/metrics").expect().body.decode()
        assert 'banyan_handed_over_total{operation="statistics",reason="sent"}' in text and "banyan_control_up 1" in text
        up = ('banyan_edge_up{edge="edge-1"} 1', 'banyan_edge_confirmed{edge="edge-1"} 1')
        wait_until(lambda: all(line in main.api.get("/metrics").expect().body.decode() for line in up), 20, "the edge is up again")


def test_samples(control, edges):  # noqa: F811
    """Samples of an edge are compared at the control daemon."""
    main = control(route={"compare": {"sample": "100%"}})
    main.sql.answer = lambda arrival: (200, {"Content-Type": "application/json"}, b'{"price":1}')
    main.mongodb.answer = lambda arrival: (200, {"Content-Type": "application/json"}, b'{"price":2}')
    with running(main):
        edge = started(main, edges(main, 1)[0])
        main.api.wait_for_state("catalogue", "streaming")

        def found():
            edge.get(X_User_Id="u1")
            return main.api.get("/v1/divergences").expect().json["divergences"]
        assert "price" in str(wait_until(found, 60, "a divergence"))
        assert edge.api.get("/v1/status").json["samples_sent"] > 0
        assert main.sql.shadows, "the other side was asked by the control daemon"


@pytest.mark.sanitize
def test_tls(control, edges, tmp_path):  # noqa: F811
    """https, an authority of our own, and a certificate of the edge's."""
    certs = certificates.make(tmp_path / "c")
    port = free_port()
    main = control(listen=f"127.0.0.1:{port}", tls={"cert": str(certs.cert), "key": str(certs.key), "client_ca": str(certs.ca)})
    daemon = main.program.start("serve")
    daemon.wait_for("serving address", 30)
    edge_keys = {"control": f"https://localhost:{port}", "token": TOKENS["edge"], "name": "edge-1"}
    files = {"ca": str(certs.ca), "cert": str(certs.client_cert), "key": str(certs.client_key)}
    for missing, words in (("ca", "certificate is not accepted"), (("cert", "key"), "control_is_away")):
        edge, = edges(main, 1, tls=None, edge=edge_keys | {k: v for k, v in files.items() if k not in missing})
        edge.start()
        edge.daemon.wait_for(words, 10)
        assert edge.pid() == 0
        edge.daemon.stop().expect(0)
    edge, = edges(main, 1, tls=None, edge=edge_keys | files)
    edge.start()
    edge.wait_until_answers()
    wait_until(lambda: edge.get(X_User_Id="u1").source == "mongodb", 5, "on for all")
    wait_until(lambda: edge.api.get("/health").status == 200, 10, "healthy")
    assert TOKENS["edge"] not in pathlib.Path(f"/proc/{edge.daemon.pid}/cmdline").read_text() + edge.daemon.err
    daemon.stop().expect(0)

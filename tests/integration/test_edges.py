"""More than one gateway machine: edges that follow a control daemon, each with an nginx of its own."""
import signal
import threading
import time

import pytest

from harness.edges import TOKENS, edges, seconds_until  # noqa: F401  pylint: disable=unused-import
from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

# Short names: sockets stand in folders that are called after the tests, and have 107 bytes.
ON = "features: [{name: products_mongodb, enabled: true, rollout_percentage: 100}]"
FLAG = "/v1/flags/products_mongodb"


@pytest.fixture
def control(gateway):  # noqa: F811
    return gateway(flags=ON, tokens=TOKENS)


def started(control, pair):
    control.api.token = TOKENS["operator"]
    for edge in pair:
        edge.start()
    for edge in pair:
        edge.wait_until_confirmed()
        edge.wait_until_answers()
    return pair


def sources(edge, count=20):
    return {edge.get(X_User_Id=f"u{i}").source for i in range(count)}


@pytest.mark.sanitize
def test_kill_switch(control, edges):  # noqa: F811
    """Effective on both within a second, whoever throws it: at the clients."""
    with running(control):
        pair = started(control, edges(control))
        for edge in pair:
            wait_until(lambda e=edge: sources(e) == {"mongodb"}, 5, "on for all")
        for kill in (lambda: control.api.post(FLAG + "/off").expect(),
                     lambda: control.program.run("flags", "off", "products_mongodb", "--why", "test").expect()):
            control.program.run("flags", "on", "products_mongodb", "--why", "test").expect()
            for edge in pair:
                wait_until(lambda e=edge: sources(e) == {"mongodb"}, 5, "on again")
            off, last = threading.Event(), {}

            def ask(edge, off=off, last=last):
                """The last moment in which MongoDB answered."""
                while not off.is_set() or time.monotonic() - last[edge] < 2:
                    begin = time.monotonic()
                    if edge.get(X_User_Id="u1").source == "mongodb" or edge not in last:
                        last[edge] = begin

            askers = [threading.Thread(target=ask, args=(edge,)) for edge in pair]
            for asker in askers:
                asker.start()
            time.sleep(0.3)
            begin = time.monotonic()
            kill()
            off.set()
            for asker in askers:
                asker.join()
            for edge in pair:
                assert last[edge] - begin < 1, f"{edge.name}: MongoDB answered {last[edge] - begin:.2f} s after the kill"
                assert sources(edge) == {"sql"}


def test_settings(control, edges):  # noqa: F811
    with running(control):
        edge, = started(control, edges(control, 1))
        wait_until(lambda: sources(edge) == {"mongodb"}, 5, "on for all")
        control.api.call("PATCH", "/v1/routing/catalogue", {"reads": "sql", "why": "test"}).expect()
        seconds_until(lambda: sources(edge) == {"sql"}, 1.5, "reads are on SQL")
        edge.wait_until_confirmed()


def test_not_confirmed(control, edges):  # noqa: F811
    with running(control):
        one, two = started(control, edges(control))
        assert control.program.run("flags", "off", "products_mongodb", "--why", "test").expect().code == 0
        control.program.run("flags", "on", "products_mongodb", "--why", "test").expect()
        two.daemon.process.send_signal(signal.SIGSTOP)
        try:
            refused = control.program.run("flags", "off", "products_mongodb", "--why", "test").expect(1)
            assert f"not confirmed by {two.name}, heard of" in refused.err and one.name not in refused.err
            wait_until(lambda: two.known()["away"], 10, "away")
            listed = control.program.run("edges", "list").expect().out
            assert f"{two.name}  " in listed and "AWAY" in listed and "has NOT confirmed what holds" in listed
            issues = control.api.get("/health").json["issues"]
            assert any(two.name in i["words"] and i["severity"] == "bad" for i in issues), issues
        finally:
            two.daemon.process.send_signal(signal.SIGCONT)
        two.wait_until_confirmed()
        wait_until(lambda: sources(two) == {"sql"}, 5, "off there too")
        assert f"edge {two.name}: heard of about" in control.program.run("status").expect().out
        assert {e["name"] for e in control.api.get("/v1/status").expect().json["edges"]} == {one.name, two.name}
        # Known until somebody forgets it, over a restart of the control daemon as well.
        two.daemon.stop().expect(0)
        wait_until(lambda: two.known()["away"], 10, "away")
    with running(control):
        control.api.token = TOKENS["operator"]
        assert two.known()["away"] and not two.known()["confirmed"]
        assert control.program.run("edges", "forget", two.name).expect(2).err
        control.program.run("edges", "forget", two.name, "--why", "sold").expect()
        assert two.known() is None
        assert two.name in control.program.run("audit").expect().out
        control.program.run("edges", "forget", two.name, "--why", "sold").expect(1)


@pytest.mark.sanitize
def test_control_away(control, edges):  # noqa: F811
    with running(control) as daemon:
        pair = started(control, edges(control))
        for edge in pair:
            wait_until(lambda e=edge: sources(e) == {"mongodb"}, 5, "on for all")
        daemon.kill9()
        for edge in pair:
            assert sources(edge) == {"mongodb"}
            wait_until(lambda e=edge: "away for" in e.api.get("/health").expect().json["issues"][0]["words"], 15, "said")
        # An edge restarts from what it has kept; nginx has not noticed.
        one = pair[0]
        pid = one.pid()
        one.daemon.stop().expect(0)
        assert sources(one) == {"mongodb"} and one.pid() == pid
        one.start()
        one.daemon.kill9()
        assert sources(one) == {"mongodb"} and one.pid() == pid
        one.end_nginx()
        one.start()
        one.wait_until_answers()
        assert sources(one) == {"mongodb"}
    with running(control):
        control.api.token = TOKENS["operator"]
        for edge in pair:
            edge.wait_until_confirmed()
        control.api.post(FLAG + "/off").expect()
        for edge in pair:
            wait_until(lambda e=edge: sources(e) == {"sql"}, 2, "off")


def test_never_reached(control, edges):  # noqa: F811
    """It does not know whether SQL is still the truth: it must not answer from it."""
    edge, = edges(control, 1)
    edge.start()
    time.sleep(1.5)
    health = edge.api.get("/health").expect(503).json
    assert "nothing is known of flags and settings yet" in health["issues"][0]["words"] and edge.pid() == 0
    with running(control):
        control.api.token = TOKENS["operator"]
        edge.wait_until_answers()
        assert sources(edge) == {"mongodb"}
        wait_until(lambda: edge.api.get("/health").status == 200, 10, "healthy")


def test_a_wrong_token(control, edges):  # noqa: F811
    with running(control):
        control.api.token = TOKENS["operator"]
        edge, = edges(control, 1, edge={"control": f"http://{control.config['listen']}", "token": "x" * 20, "name": "edge-1"})
        edge.start()
        edge.daemon.wait_for("does not let us in .401 the token is not known.; is edge.token its tokens.edge", 10)
        assert edge.known() is None and "xxxxx" not in edge.daemon.err
        # Least privilege: an edge's token fetches and hands over, and nothing else.
        control.api.token = TOKENS["edge"]
        for method, path in (("GET", "/v1/flags"), ("GET", "/v1/status"), ("GET", "/metrics"), ("GET", "/v1/edges"),
                             ("POST", FLAG + "/off"), ("POST", "/v1/edges/edge-1/forget"), ("POST", "/ofrep/v1/evaluate/flags")):
            assert control.api.call(method, path, {"why": "x"} if method == "POST" else None).status == 403, path
        assert control.api.get("/v1/edge/flags").expect().headers["ETag"]
        control.api.token = TOKENS["viewer"]
        assert control.api.get("/v1/edge/flags").status == 403


def test_other_routes(control, edges):  # noqa: F811
    with running(control):
        control.api.token = TOKENS["operator"]
        modules = {"catalogue": control.config["modules"]["catalogue"] | {
            "routes": [r | {"prefix": "/api/other"} for r in control.config["modules"]["catalogue"]["routes"]]}}
        edge, = edges(control, 1, modules=modules)
        edge.start()
        wait_until(lambda: (e := edge.known()) and not e["same_routes"], 10, "said")
        edge.daemon.wait_for("routes_are_not_those_of_control", 10)
        issues = control.api.get("/health").json["issues"]
        assert any("edge-1" in i["words"] and "routes" in i["words"] for i in issues), issues
        # What is known by its name holds all the same: a kill switch above all.
        edge.wait_until_confirmed()


def test_one_name(control, edges):  # noqa: F811
    with running(control):
        one, = started(control, edges(control, 1))
        other, = edges(control, 1, edge={"control": f"http://{control.config['listen']}", "token": TOKENS["edge"], "name": one.name})
        other.start()
        other.daemon.wait_for("another edge is called 'edge-1' and asks too", 10)
        one.wait_until_confirmed()


def test_refuses(control, edges):  # noqa: F811
    edge, = edges(control, 1, edge={"control": "http://192.0.2.1:8420", "token": TOKENS["edge"]})
    assert "not https" in edge.program.run("serve", "--edge").expect(2).err
    for more in ("/", "#x", "/?x", "/x"):
        assert "no path" in edge.program.run("serve", "--edge", "--control", f"https://h{more}").expect(2).err
    assert "is an edge's configuration" in edge.program.run("serve").expect(2).err
    assert "add --edge" in edge.program.run("serve", "--control", "https://h").expect(2).err
    bare, = edges(control, 1, edge=None)
    assert "set edge.control" in bare.program.run("serve", "--edge").expect(2).err
    bare.program.run("gateway", "check").expect()
    assert "SECRET_OF_CONTROL" in bare.program.run("config", "show").expect(2).err
    bare.program.run("config", "show", "--edge").expect()
    none, = edges(control, 1, gateway=None)
    assert "needs a 'gateway'" in none.program.run("serve", "--edge").expect(2).err

"""Who answers, from the command line: explained, changed, checked."""
import json

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

U1 = {"X-User-Id": "u1"}


def _explain(gate, *words):
    return json.loads(gate.program.run("--json", "routes", "explain", *words).expect(0).out)


def test_explain_says_what_nginx_does(gateway):  # noqa: F811
    gate = gateway(route={"read": ["POST /api/products/search"], "own_writes": {"wait": "0s"}}, routes=[{"prefix": "/api/products/images"}])
    with running(gate):
        for reads in ("sql", "shadow", "flag", "mongodb"):
            gate.route(reads=reads)
            for method in ("GET", "POST"):
                for path in ("/api/products/7", "/api/products/search", "/api/productsX", "/api/products/images/1?x=1",
                             "/api/products/x/..%2fimages/7", "/api/products/%69mages/7"):
                    for user in ("u1", "u2"):
                        said = _explain(gate, method, path, "--user", user)
                        seen = gate.call(method, path, {"X-User-Id": user}, b"x" if method == "POST" else None)
                        if said["answer"]:
                            assert said["answer"].startswith(str(seen.status)), (method, path)
                            assert json.loads(said["answer"].split(" ", 1)[1]) == json.loads(seen.body)
                        else:
                            assert (said["target"], said["service"]) == (seen.source, seen.headers["X-Service"]), (method, path, user)
                            assert said["migrated"] == (seen.headers["X-Migrated"] == "true")
    words = gate.program.run("routes", "explain", "GET", "/api/products/7", "--user", "u1").expect(0).out
    assert "longest prefix" in words and "reads mongodb" in words


def test_changes_without_a_daemon(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        pass
    for command, target in ((("reads", "catalogue", "sql"), "sql"), (("reads", "catalogue", "mongodb"), "mongodb"),
                            (("stage", "catalogue", "off"), "sql"), (("reads", "catalogue", "auto"), "mongodb")):
        gate.program.run(*command, "--why", "by hand").expect(0)
        wait_until(lambda: gate.call(headers=U1).source == target, 1, f"{command}")  # pylint: disable=cell-var-from-loop
    gate.mongodb.answer = lambda a: (500, {}, b"")
    gate.program.run("fallback", "off", "catalogue", "--why", "to see errors").expect(0)
    wait_until(lambda: gate.call(headers=U1).status == 500, 1, "fallback is off")
    gate.program.run("fallback", "on", "catalogue", "--why", "enough").expect(0)
    wait_until(lambda: gate.call(headers=U1).status == 200, 1, "fallback is on")
    lines = [json.loads(line) for line in gate.program.run("--json", "audit").expect(0).out.splitlines()]
    assert [(a["action"], a["subject"], a["why"]) for a in lines[:2]] == [
        ("routing", "catalogue", "enough"), ("routing", "catalogue", "to see errors")]
    assert lines[0]["after"]["fallback"] is True and lines[0]["before"]["fallback"] is False
    listed = json.loads(gate.program.run("--json", "routes", "list").expect(0).out)["routes"]
    assert [(r["prefix"], r["reads"], r["writes"]) for r in listed] == [("/api/products", "flag", "sql")]


def test_mistakes(gateway):  # noqa: F811
    gate = gateway()
    for words, code, said in (
            (("reads", "catalogue", "both"), 2, "one of auto, sql, shadow, flag, mongodb"),
            (("reads", "nowhere", "sql"), 2, "unknown module 'nowhere'"),
            (("reads", "all", "sql"), 2, "one module at a time"),
            (("writes", "catalogue", "mongodb"), 2, "set reads to mongodb first"),
            (("stage", "catalogue", "on"), 2, "one of off, dualwrite"),
            (("routes", "explain", "GET", "x"), 2, "begins with /")):
        more = () if words[0] == "routes" else ("--why", "test")
        result = gate.program.run(*words, *more)
        assert result.code == code and said in result.err, result.err
    assert "wants a reason" in gate.program.run("reads", "catalogue", "sql").err


def test_check(gateway, tmp_path):  # noqa: F811
    gate = gateway()
    assert "takes the configuration" in gate.program.run("gateway", "check").expect(0).out
    assert "banyan_route" in gate.program.run("gateway", "conf").expect(0).out
    gate = gateway(gateway={"module": str(tmp_path / "none.so")})
    assert "gateway/build.sh" in gate.program.run("gateway", "check").expect(2).err
    gate = gateway(gateway={"program": "no-such-nginx"})
    assert "gateway.program" in gate.program.run("gateway", "check").expect(2).err
    (tmp_path / "other.so").write_bytes(b"not a module")
    gate = gateway(gateway={"module": str(tmp_path / "other.so")})
    assert "is no module of Banyan" in gate.program.run("gateway", "check").expect(2).err

"""Flags shared by several daemons through Redis."""
import contextlib
import json
import os
import signal
import sqlite3
import time

import pytest

from harness.api import listen_anywhere, serving
from harness.process import wait_until
from harness.redis import Redis

FLAGS = "features: [{name: f, enabled: true, rollout_percentage: 100}, {name: g, enabled: true, rollout_percentage: 50}]"


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path / "redis", password="s3cret:/@word")
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def pair(pg, mongo, mongo_server, banyan, redis):
    """Two programs with their own state, one Redis."""
    pg.execute("CREATE TABLE orders (id int PRIMARY KEY)")

    def make(name):
        program = banyan({
            "source": {"uri": pg.uri, "slot": f"{pg.name}_{name}", "publication": f"{pg.name}_{name}"},
            "target": {"uri": mongo_server.uri(), "database": f"{mongo.name}_{name}"},
            "listen": listen_anywhere(), "redis": redis.uri.replace("s3cret:/@word", "s3cret%3A%2F%40word"),
            "flags": "feature-flags.yml", "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}})
        (program.folder / "feature-flags.yml").write_text(FLAGS)
        return program

    yield make("a"), make("b")
    for name in "ab":
        mongo.client.drop_database(f"{mongo.name}_{name}")


def _value(api, flag, user="u"):
    return api.post(f"/ofrep/v1/evaluate/flags/{flag}", {"context": {"targetingKey": user}}).expect().json["value"]


def _document(redis):
    return json.loads(redis.call("GET", "banyan:flags").split(b"\r\n", 1)[1].decode().rstrip("\r\n"))


def _instances(api):
    return {i["name"].split("/")[1]: i["confirmed"] for i in api.get("/v1/instances").expect().json["instances"]}


@contextlib.contextmanager
def _both(pair):
    with serving(pair[0]) as (one, _), serving(pair[1]) as (two, running):
        wait_until(lambda: len(_instances(one)) == 2, 10, "both are there")
        yield one, two, running


@pytest.mark.sanitize
def test_a_change_at_one_holds_at_both(pair):
    with _both(pair) as (one, two, _):
        assert _value(two, "f") is True
        one.post("/v1/flags/f/off", {"why": "incident"}).expect()
        wait_until(lambda: _value(two, "f") is False, 1, "off at the other within a second")
        shown = two.get("/v1/flags/f").expect().json
        assert shown["killed"] and shown["override"]["why"] == "incident"
        two.call("PATCH", "/v1/flags/g", {"why": "more", "version": 0, "rollout_percentage": 100}).expect()
        wait_until(lambda: _value(one, "g", "nobody-special") is True, 1, "raised at the other")
        # The other's version counts.
        assert one.call("PATCH", "/v1/flags/g", {"why": "x", "version": 0, "rollout_percentage": 1}).status == 409
        two.post("/v1/flags/f/reset", {"why": "over"}).expect()
        wait_until(lambda: _value(one, "f") is True, 1, "on again at the first")
        actions = [(a["action"], a["subject"], a["why"]) for a in two.get("/v1/audit").json["audit"]]
        assert ("flag_shared", "f", "incident") in actions


def test_the_command_line_waits_for_all(pair):
    with _both(pair) as (_, two, running):
        assert "confirmed" in pair[0].run("flags", "off", "f", "--why", "drill").expect(0).out
        assert _value(two, "f") is False
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            refused = pair[0].run("flags", "off", "g", "--why", "drill").expect(1)
            assert f"not confirmed by" in refused.err and two.address in refused.err
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        wait_until(lambda: _value(two, "g") is False, 5, "it takes it up when it runs again")


def test_redis_away(pair, redis):
    with _both(pair) as (one, two, _):
        one.call("PATCH", "/v1/flags/g", {"why": "x", "version": 0, "rollout_percentage": 40}).expect()
        wait_until(lambda: two.get("/v1/flags/g").json["rollout_percentage"] == 40, 2, "shared")
        redis.kill9()
        wait_until(lambda: "redis" in one.get("/health").body.decode(), 10, "health says so")
        assert one.get("/health").status == 200  # what was shared goes on
        version = one.get("/v1/flags/g").json["version"]
        for change in ({"rollout_percentage": 60}, {"enabled_for_users": ["u"]}, {"enabled": True}):
            refused = one.call("PATCH", "/v1/flags/g", {"why": "x", "version": version} | change)
            assert refused.status == 503 and "Redis is away" in refused.body.decode(), change
        one.call("PATCH", "/v1/flags/g", {"why": "down", "version": version, "rollout_percentage": 10}).expect()
        two.post("/v1/flags/f/off", {"why": "apart"}).expect()
        assert _value(one, "f") is True
        assert "Redis is away" in pair[0].run("flags", "off", "g", "--why", "x").expect(1).err
        for words in (("set", "g", "--rollout", "60"), ("on", "g"), ("reset", "g")):
            assert "Redis is away" in pair[0].run("flags", *words, "--why", "x").expect(3).err, words
        redis.start()
        wait_until(lambda: _value(one, "f") is False, 15, "reconciled")
        wait_until(lambda: two.get("/v1/flags/g").json["killed"], 15, "reconciled the other way")
        wait_until(lambda: set(_instances(one).values()) == {True}, 10, "all confirm")


def test_the_command_line_without_a_daemon(pair):
    program = pair[0]
    assert "Redis is away" in program.run("flags", "set", "g", "--rollout", "60", "--why", "x").expect(3).err
    program.run("flags", "set", "g", "--rollout", "40", "--why", "x").expect(1)  # nobody has told Redis
    assert json.loads(program.run("--json", "flags", "list").expect(0).out)["flags"][1]["rollout_percentage"] == 40
    with serving(program) as (one, _):
        assert "confirmed" in program.run("flags", "set", "g", "--rollout", "60", "--why", "x").expect(0).out
        assert one.get("/v1/flags/g").json["rollout_percentage"] == 60


def test_changed_apart_on_both_sides(pair, redis):
    """Both changed the same version while they were apart: the kill holds."""
    with _both(pair) as (one, two, _):
        redis.kill9()
        wait_until(lambda: one.get("/v1/instances").json["problem"] and two.get("/v1/instances").json["problem"], 10, "away")
        one.call("PATCH", "/v1/flags/f", {"why": "lower", "version": 0, "rollout_percentage": 20}).expect()
        two.post("/v1/flags/f/off", {"why": "kill"}).expect()
        redis.start()
        wait_until(lambda: one.get("/v1/flags/f").json["killed"] and two.get("/v1/flags/f").json["killed"], 15, "killed at both")
        wait_until(lambda: one.get("/v1/flags/f").json["version"] == two.get("/v1/flags/f").json["version"], 5, "one version")


@pytest.mark.parametrize("garbage", ["", "{}", "nonsense", '{"version":99,"flags":[{"name":"f"}]}', '{"version":1,"flags":[]}', "x" * 5000000])
def test_bad_or_older_data_replaces_nothing(pair, redis, garbage):
    with _both(pair) as (one, two, _):
        one.post("/v1/flags/f/off", {"why": "incident"}).expect()
        wait_until(lambda: _value(two, "f") is False, 2, "shared")
        redis.call("SET", "banyan:flags", garbage)
        time.sleep(0.6)
        assert _value(one, "f") is False and _value(two, "f") is False
        one.post("/v1/flags/g/off", {"why": "again"}).expect()
        wait_until(lambda: _value(two, "g") is False, 5, "it is mended")
        assert {f["name"]: f["killed"] for f in _document(redis)["flags"]} == {"f": True, "g": True}


@pytest.mark.parametrize("override", [{"nonsense": 1}, {"rollout_percentage": "abc"}, {"enabled_for_users": "u"}])
def test_an_override_that_a_flag_cannot_have(pair, redis, override):
    """It is taken out; killing goes on working everywhere, and a daemon starts."""
    with _both(pair) as (one, two, _):
        two.call("PATCH", "/v1/flags/g", {"why": "x", "version": 0, "rollout_percentage": 100}).expect()
        wait_until(lambda: _document(redis)["flags"], 5, "it is shared")
        document = _document(redis)
        bad = {"name": "f", "version": 5, "killed": False, "override": override, "who": "x", "why": "y", "changed_us": 1}
        document["flags"].append(bad)
        document["version"] += 1
        redis.call("SET", "banyan:flags", json.dumps(document))
        wait_until(lambda: [f["name"] for f in _document(redis)["flags"]] == ["g"], 5, "the bad one is taken out")
        one.post("/v1/flags/f/off", {"why": "incident"}).expect()
        wait_until(lambda: _value(two, "f") is False, 2, "killed at both")
        one.post("/v1/flags/g/off", {"why": "incident"}).expect()
        wait_until(lambda: _value(two, "g") is False, 2, "killed at both")
    with serving(pair[0]) as (one, _):
        assert _value(one, "f") is False


def test_an_override_that_only_another_file_can_have(pair, redis):
    """Where rules decide a percentage is ignored; it stays with those where it means something."""
    (pair[1].folder / "feature-flags.yml").write_text(json.dumps({"flags": {name: {
        "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
        "targeting": {"if": [{"==": [{"var": "plan"}, "gold"]}, "on", "off"]}} for name in "fg"}}))
    with _both(pair) as (one, two, _):
        begun = _document(redis)["version"]
        one.call("PATCH", "/v1/flags/g", {"why": "all", "version": 0, "rollout_percentage": 100}).expect()
        one.post("/v1/flags/f/off", {"why": "incident"}).expect()
        wait_until(lambda: two.get("/v1/flags/f").json["killed"] and set(_instances(one).values()) == {True}, 5, "both have it")
        assert _value(one, "g", "anybody") is True and _value(two, "g", "anybody") is False
        document = _document(redis)
        assert document["version"] == begun + 2, "written once for each change"
        assert {f["name"]: f["override"] for f in document["flags"]} == {"f": None, "g": {"rollout_percentage": 100}}
        assert "flag_override_dropped" not in two.get("/v1/audit").body.decode()


def test_an_override_that_one_file_says_by_itself_holds_at_the_other(pair, redis):
    (pair[1].folder / "feature-flags.yml").write_text(FLAGS.replace("rollout_percentage: 50", "rollout_percentage: 10"))
    with _both(pair) as (one, two, _):
        one.call("PATCH", "/v1/flags/g", {"why": "incident", "version": 0, "rollout_percentage": 10}).expect()
        two.post("/v1/flags/f/off", {"why": "last"}).expect()
        wait_until(lambda: one.get("/v1/flags/f").json["killed"] and set(_instances(two).values()) == {True}, 5, "both have all")
        assert one.get("/v1/flags/g").json["rollout_percentage"] == two.get("/v1/flags/g").json["rollout_percentage"] == 10
        assert [f["override"] for f in _document(redis)["flags"] if f["name"] == "g"] == [{"rollout_percentage": 10}]


def test_a_change_is_confirmed_while_the_file_is_bad(pair):
    """It holds over the last good one."""
    with _both(pair) as (one, two, _):
        (pair[1].folder / "feature-flags.yml").write_text("features: [")
        wait_until(lambda: two.get("/v1/flags").json["problem"], 5, "the bad file is noticed")
        assert "confirmed" in pair[0].run("flags", "off", "f", "--why", "incident").expect(0).out
        assert _value(two, "f") is False


def test_who_may_not_be_asked_has_not_confirmed(pair, redis):
    with _both(pair) as (one, _, _running):
        redis.call("ACL", "SETUSER", "default", "-hgetall")
        assert "HGETALL" in wait_until(lambda: one.get("/v1/instances").json["problem"], 5, "the problem")
        pair[0].run("flags", "off", "f", "--why", "incident").expect(1)


def test_an_override_in_the_state_that_cannot_be_read(pair):
    """Whoever wrote it: that one flag is killed, the others work, and reset mends it."""
    program = pair[0]
    with serving(program) as (one, _):
        one.call("PATCH", "/v1/flags/f", {"why": "x", "version": 0, "rollout_percentage": 90}).expect()
    with contextlib.closing(sqlite3.connect(program.folder / "banyan.db")) as state:
        state.execute("""UPDATE flag_override SET changes = '{"nonsense":1}', version = 50 WHERE name = 'f'""")
        state.commit()
    with serving(program) as (one, _):
        assert one.get("/v1/flags/f").expect().json["killed"] and _value(one, "f") is False
        one.post("/v1/flags/g/off", {"why": "still works"}).expect()
        one.post("/v1/flags/f/reset", {"why": "mended"}).expect()
        assert _value(one, "f") is True


def test_who_ended_is_not_waited_for_and_who_hangs_is(pair, redis):
    with _both(pair) as (one, two, running):
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            redis.call("DEL", "banyan:flags")  # what was confirmed was of another document
            one.post("/v1/flags/f/off", {"why": "x"}).expect()
            assert _instances(one)[two.address] is False
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        wait_until(lambda: _instances(one)[two.address], 10, "it follows")
        running.stop().expect(0)
        assert list(_instances(one)) == [one.address]
        assert "confirmed" in pair[0].run("flags", "off", "g", "--why", "x").expect(0).out
        metrics = one.get("/metrics").expect().body.decode()
        assert "banyan_redis_up 1" in metrics


def test_a_redis_that_hangs_holds_up_nobody(pair, redis):
    with _both(pair) as (one, _, _running):
        os.kill(redis.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: one.get("/v1/instances").json["problem"], 10, "it is noticed")
            for _ in range(20):
                start = time.monotonic()
                assert one.get("/health").status == 200 and _value(one, "f") is True
                assert time.monotonic() - start < 1
            one.post("/v1/flags/f/off", {"why": "meanwhile"}).expect()
        finally:
            os.kill(redis.pid, signal.SIGCONT)


def test_a_start_without_redis(pair, redis):
    redis.kill9()
    with serving(pair[0]) as (one, running):
        assert _value(one, "f") is True
        assert "s3cret" not in running.err and "s3cret" not in one.get("/v1/instances").body.decode()
        redis.start()
        wait_until(lambda: one.get("/v1/instances").json["problem"] is None, 15, "it is found")
    assert "s3cret" not in pair[0].run("config", "show").expect(0).out


def test_a_wrong_password_is_told(pair, redis):
    config = pair[0].config.read_text()
    pair[0].config.write_text(config.replace("word@127", "wort@127"))
    with serving(pair[0]) as (one, _):
        shown = wait_until(lambda: one.get("/v1/instances").json["problem"], 10, "the problem")
        assert "refuses our password" in shown and "s3cret" not in shown

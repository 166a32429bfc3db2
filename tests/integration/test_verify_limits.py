"""banyan verify: large documents, interruptions, and positions that are kept."""
import contextlib
import json
import signal
import sqlite3

import pytest


@pytest.fixture
def table(pg, mongo, mongo_server, banyan):
    """A function that makes `t` from SQL, copies it, and gives the program."""

    def make(sql):
        pg.execute(sql)
        made = banyan({"source": {"uri": pg.uri},
                       "target": {"uri": mongo_server.uri(), "database": mongo.name},
                       "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
        made.run("run", "m", "--catch-up", timeout=240).expect(0)
        return made

    return make


NARROW = """CREATE TABLE t (id int PRIMARY KEY, v text);
            INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1200) i"""
# 500 rows are a page: 110 MB
WIDE = """CREATE TABLE t (id int PRIMARY KEY, v text);
          INSERT INTO t SELECT i, repeat(md5(i::text), 10000) FROM generate_series(1, 360) i"""


def kept_positions(banyan):
    paths = [p for p in banyan.folder.rglob("*") if p.is_file()
             and p.read_bytes()[:15] == b"SQLite format 3"]
    assert len(paths) == 1, paths
    with contextlib.closing(sqlite3.connect(paths[0])) as state:
        return state.execute("SELECT compared FROM verify").fetchall()


def last_line(result):
    return json.loads(result.out.splitlines()[-1])


def test_pages_of_large_documents(table, mongo):
    made = table(WIDE)
    assert last_line(made.run("verify", "m", "--json", timeout=120).expect(0))["compared"] == 360
    mongo.t.update_many({"_id": {"$lte": 250}}, {"$set": {"more": 1}})
    found = last_line(made.run("verify", "m", "--json", timeout=240).expect(1))
    assert found["different"] == 250 and found["unsettled"] == 0


def test_an_interruption_is_not_equal_and_goes_on(table, pg):
    """A stop ended with 0, as if all were equal."""
    made = table(NARROW)
    pg.execute("UPDATE t SET v = 'waits in the log' WHERE id = 1100")
    verify = made.start("verify", "m")
    verify.wait_for("asking again")
    result = verify.stop(signal.SIGTERM).expect(1)
    assert "interrupted" in result.err
    assert kept_positions(made) == [(1200,)]
    made.run("run", "m", "--catch-up").expect(0)
    assert last_line(made.run("verify", "m", "--json").expect(0))["compared"] == 1200
    assert kept_positions(made) == []


def test_what_was_passed_is_not_read_again_but_after_restart(table, pg, mongo):
    made = table(NARROW)
    pg.execute("UPDATE t SET v = 'waits in the log' WHERE id = 1100")
    verify = made.start("verify", "m")
    verify.wait_for("asking again")
    verify.stop().expect(1)
    made.run("run", "m", "--catch-up").expect(0)
    mongo.t.update_one({"_id": 1}, {"$set": {"v": "tampered with behind the position"}})
    made.run("verify", "m").expect(0)
    assert last_line(made.run("verify", "m", "--restart", "--json").expect(1))["different"] == 1


def test_more_late_documents_than_candidates(pg, mongo, mongo_server, banyan):
    """The target is so far behind that more documents than can be candidates are late: they are
    settled as it comes along, and the comparison goes on to its end."""
    pg.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 25000) i")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": mongo_server.uri(), "database": mongo.name, "writes_per_second": 4000},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    run = made.start("run", "m")
    run.wait_for("streaming: ", 60)
    mongo.t.update_one({"_id": 24999}, {"$set": {"v": "wrong"}})
    pg.execute("UPDATE t SET v = 'new' WHERE id <> 24999")
    found = last_line(made.run("verify", "m", "--json", timeout=240).expect(1))
    assert (found["compared"], found["different"], found["unsettled"], found["not_ready"]) == (25000, 1, 0, 0), found
    run.stop().expect(0)

"""banyan verify that is killed: the next one compares the rest, and tells what was found before."""
import contextlib
import json
import sqlite3

import bson
import pytest

from harness.process import wait_until

ROWS = 30000
ROWS_STAGE, DOCUMENTS_STAGE, SETTLING_STAGE = range(3)


def state_of(made, question):
    """Rows of a query of the state file, or none while it is being written."""
    path, = (p for p in made.folder.rglob("*") if p.is_file()
             and p.read_bytes()[:15] == b"SQLite format 3")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as state:
        return state.execute(question).fetchall()


def kill_in(made, stage, *options):
    """Starts a verification and kills it in the middle of a stage. Returns what it had passed."""
    verify = made.start("verify", "m", *options)
    column = "compared" if stage == ROWS_STAGE else "scanned"

    def in_the_middle():
        assert verify.is_running(), verify.err
        return state_of(made, f"SELECT {column} FROM verify WHERE collection = 't' AND direction = "
                              f"{stage} AND cursor IS NOT NULL AND {column} > {ROWS} / 3")

    wait_until(in_the_middle, 60, "a position in the middle", interval=0.002)
    verify.kill9()
    passed, = state_of(made, f"SELECT {column}, direction FROM verify WHERE collection = 't'")
    assert passed[1] == stage and ROWS / 3 < passed[0] < ROWS, passed
    return passed[0]


def differences(result):
    lines = [json.loads(line) for line in result.out.splitlines()]
    return {(d["collection"], d["_id"], d["path"]): d["kind"] for d in lines[:-1]}, lines[-1]


@pytest.fixture
def table(pg, mongo, mongo_server, banyan):
    pg.execute(f"""CREATE TABLE t (id int PRIMARY KEY, v text);
                   INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, {ROWS}) i""")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": mongo_server.uri(), "database": mongo.name},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    made.run("run", "m", "--catch-up", timeout=240).expect(0)
    return made


def test_killed_among_the_rows(table, mongo, tmp_path):
    mongo.t.update_one({"_id": 5}, {"$set": {"v": "before the kill"}})
    mongo.t.delete_one({"_id": 7})
    mongo.t.update_one({"_id": ROWS - 1}, {"$set": {"v": "after the kill"}})
    kill_in(table, ROWS_STAGE, "--json")
    # what was passed is not read again: this shows that the next one went on in the middle
    mongo.t.update_one({"_id": 9}, {"$set": {"v": "behind the position"}})
    result = table.run("verify", "m", "--json", "--report", tmp_path / "report").expect(1)
    found, totals = differences(result)
    assert found == {("t", "5", "v"): "mismatch", ("t", "7", ""): "missing",
                     ("t", str(ROWS - 1), "v"): "mismatch"}
    assert totals["compared"] == ROWS and totals["different"] == 3 and totals["resumed"]
    assert len((tmp_path / "report").read_text().splitlines()) == 3
    assert state_of(table, "SELECT * FROM verify") == []
    assert state_of(table, "SELECT * FROM verify_candidate") == []
    found, totals = differences(table.run("verify", "m", "--json").expect(1))
    assert len(found) == 4 and not totals["resumed"]


def test_killed_among_the_documents(table, mongo):
    """This direction began anew."""
    mongo.t.insert_one({"_id": -5, "v": "before the kill"})
    mongo.t.insert_one({"_id": None})
    mongo.t.insert_one({"_id": bson.Int64(ROWS + 5), "v": "after the kill"})
    mongo.t.insert_one({"_id": "after the kill, and of another type"})
    mongo.t.update_one({"_id": 3}, {"$set": {"v": "found among the rows"}})
    kill_in(table, DOCUMENTS_STAGE, "--json")
    mongo.t.insert_one({"_id": -6, "v": "behind the position"})
    found, totals = differences(table.run("verify", "m", "--json").expect(1))
    assert found == {("t", "-5", ""): "extra", ("t", "null", ""): "extra",
                     ("t", str(ROWS + 5), ""): "extra", ("t", "3", "v"): "mismatch",
                     ("t", '"after the kill, and of another type"', ""): "extra"}
    assert totals["compared"] == ROWS and totals["different"] == 5 and totals["resumed"]


def test_only_what_was_found_before_the_kill_differs(table, mongo):
    """Without what was found, the rest would be equal and the answer 0: a lie."""
    mongo.t.update_one({"_id": 1}, {"$set": {"v": "before the kill"}})
    kill_in(table, DOCUMENTS_STAGE)
    result = table.run("verify", "m").expect(1)
    assert "_id 1: mismatch at v" in result.out and "went on with a verification" in result.out


def test_killed_many_times(table, mongo):
    mongo.t.update_one({"_id": 1}, {"$set": {"v": "x"}})
    mongo.t.insert_one({"_id": 0, "v": "x"})
    kill_in(table, ROWS_STAGE)
    kill_in(table, DOCUMENTS_STAGE)
    verify = table.start("verify", "m")
    verify.wait_for("asking again")
    verify.kill9()
    found, _ = differences(table.run("verify", "m", "--json").expect(1))
    assert found == {("t", "1", "v"): "mismatch", ("t", "0", ""): "extra"}


def test_another_comparison_begins_anew(table, mongo):
    kill_in(table, ROWS_STAGE)
    mongo.t.delete_one({"_id": 9})  # behind the position
    _, totals = differences(table.run("verify", "m", "--keys", "--json").expect(1))
    assert totals["different"] == 1 and not totals["resumed"]


def test_a_sample_leaves_the_position_alone(table, mongo):
    passed = kill_in(table, ROWS_STAGE)
    table.run("verify", "m", "--sample", "10").expect(0)
    assert state_of(table, "SELECT compared FROM verify") == [(passed,)]


def test_a_collection_that_was_through_is_not_read_again_but_told(pg, mongo, mongo_server, banyan):
    pg.execute(f"""CREATE TABLE a (id int PRIMARY KEY, v text);
                   INSERT INTO a SELECT i, 'v' FROM generate_series(1, 10) i;
                   CREATE TABLE t (id int PRIMARY KEY, v text);
                   INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, {ROWS}) i""")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": mongo_server.uri(), "database": mongo.name},
                   "modules": {"m": {"collections": {"a": {"table": "a"}, "t": {"table": "t"}}}}})
    made.run("run", "m", "--catch-up", timeout=240).expect(0)
    mongo.a.update_one({"_id": 4}, {"$set": {"v": "x"}})
    kill_in(made, ROWS_STAGE)
    mongo.a.update_one({"_id": 5}, {"$set": {"v": "behind"}})
    found, totals = differences(made.run("verify", "m", "--json").expect(1))
    assert found == {("a", "4", "v"): "mismatch"} and totals["compared"] == ROWS + 10


def test_ids_of_every_type_in_their_order(table, mongo):
    """A range of one type would never see the next: {_id: {$gt: 7}} finds numbers only."""
    ids = [None, float("nan"), -1.5, bson.Decimal128("0.5"), "a", "b", {"a": 1}, {"a": 2, "b": 1},
           b"x", bson.ObjectId("0" * 24), False, True, bson.Timestamp(1, 1), bson.MaxKey()]
    mongo.t.insert_many([{"_id": i} for i in ids])
    kill_in(table, DOCUMENTS_STAGE)
    found, _ = differences(table.run("verify", "m", "--json").expect(1))
    assert len(found) == len(ids) and set(found.values()) == {"extra"}

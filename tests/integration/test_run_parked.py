"""Documents that cannot be written: deferred, then parked; the rest flows, and there is a way back."""
import json

import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v text, big text);
CREATE TABLE kids (id int PRIMARY KEY);
"""
HUGE = "repeat('x', 17 * 1024 * 1024)"
PLAIN = {"t": {"table": "t"}, "kids": {"table": "kids"}}
UNIQUE = {"t": {"table": "t", "indexes": [{"keys": {"v": 1}, "unique": True}]}, "kids": {"table": "kids"}}
NOT_NULL = "ALTER TABLE t ALTER v SET NOT NULL;"


def _parked(shop):
    return shop.program.run("parked", "list", "--json").expect(0).json()


def _vs(shop):
    return {d["_id"]: d["v"] for d in shop.documents("t")}


@pytest.mark.sanitize
def test_one_document_is_parked_and_the_rest_flows(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    with_one = shop.start()
    pg.execute(f"INSERT INTO t VALUES (1, 'ok', ''), (2, {HUGE}, ''), (3, 'after', ''); INSERT INTO kids VALUES (1)")
    shop.wait_for_document("kids", {"_id": 1})
    shop.wait_for_document("t", {"_id": 3})
    wait_until(lambda: _parked(shop), 10, "it is listed")
    parked, = _parked(shop)
    assert parked["document"] == "2" and parked["state"] == "parked" and "large" in parked["reason"]
    assert "1 documents are parked" in with_one.stop().expect(1).err
    assert sorted(_vs(shop)) == [1, 3]


def test_a_later_change_that_can_be_written_clears_it(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, ''), (2, {HUGE}, ''), (3, 'a', '')")
    shop.run("--catch-up").expect(1)
    assert len(_parked(shop)) == 2
    pg.execute("UPDATE t SET v = 'short' WHERE id = 1; DELETE FROM t WHERE id = 2")
    shop.catch_up()
    assert _parked(shop) == [] and _vs(shop) == {1: "short", 3: "a"}


def test_a_change_without_its_toast_is_not_built_upon_what_is_old(migrate, pg):
    """The refused update is missing in the target, so the next one must be a whole document."""
    shop = migrate(PLAIN, TABLE + "INSERT INTO t SELECT 1, 'old', string_agg(md5(i::text), '') FROM generate_series(1, 500) i")
    shop.snapshot()
    pg.execute(f"UPDATE t SET v = {HUGE} WHERE id = 1")
    shop.run("--catch-up").expect(1)
    pg.execute("UPDATE t SET v = 'new' WHERE id = 1")
    shop.catch_up()
    assert _vs(shop) == {1: "new"} and _parked(shop) == []
    shop.assert_like_fresh()


@pytest.mark.sanitize
@pytest.mark.parametrize("statements", [
    "UPDATE t SET v = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'a' ELSE v END",
    "UPDATE t SET v = v || '!' WHERE id = 1; UPDATE t SET v = 'a' WHERE id = 2; UPDATE t SET v = 'b' WHERE id = 3",
    "UPDATE t SET v = (ARRAY['b', 'c', 'd', 'a'])[id]",
    "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (9, 'a', ''); INSERT INTO t VALUES (1, 'z', '')",
])
def test_unique_values_that_move_between_documents(migrate, pg, statements):
    shop = migrate(UNIQUE, TABLE + NOT_NULL + "INSERT INTO t VALUES (1, 'a', ''), (2, 'b', ''), (3, 'c', ''), (4, 'd', '')",
                   target={"lanes": 4})
    shop.catch_up()
    with shop.streaming():
        pg.execute(statements)
    assert _parked(shop) == []
    shop.assert_like_fresh()


def test_a_value_that_stays_taken_is_parked(migrate, pg):
    shop = migrate(UNIQUE, TABLE + NOT_NULL + "INSERT INTO t VALUES (1, 'a', ''), (2, 'b', '')")
    shop.catch_up()
    running = shop.start()
    pg.execute("UPDATE t SET v = 'a' WHERE id = 2; INSERT INTO kids VALUES (1)")
    shop.wait_for_document("kids", {"_id": 1})
    wait_until(lambda: [p["state"] for p in _parked(shop)] == ["parked"], 20, "it is given up")
    parked, = _parked(shop)
    assert parked["code"] == 11000 and parked["attempts"] == 3
    assert _vs(shop) == {1: "a", 2: "b"}, "the old document is not lost"
    pg.execute("UPDATE t SET v = 'c' WHERE id = 1")
    shop.wait_for_document("t", {"_id": 1, "v": "c"})
    shop.program.run("parked", "retry", str(parked["id"])).expect(2)
    shop.program.run("parked", "retry", str(parked["id"]), "--why", "mended").expect(0)
    line, = [json.loads(text) for text in shop.program.run("--json", "audit").expect(0).out.splitlines()]
    assert (line["action"], line["subject"], line["why"]) == ("parked.retry", str(parked["id"]), "mended")
    shop.wait_for_document("t", {"_id": 2, "v": "a"})
    wait_until(lambda: _parked(shop) == [], 10, "it leaves the list")
    running.stop().expect(0)


def test_a_failed_validation(migrate, pg, mongo):
    shop = migrate(PLAIN, TABLE + "INSERT INTO t VALUES (1, 'a', '')")
    shop.snapshot()
    mongo.command("collMod", "t", validator={"v": {"$ne": "bad"}})
    pg.execute("UPDATE t SET v = 'bad' WHERE id = 1; INSERT INTO t VALUES (2, 'good', '')")
    shop.run("--catch-up").expect(1)
    parked, = _parked(shop)
    assert parked["code"] == 121 and _vs(shop) == {1: "a", 2: "good"}
    mongo.command("collMod", "t", validator={})
    assert "1" in shop.program.run("parked", "retry", "all", "--why", "mended").expect(0).out
    shop.catch_up()
    assert _vs(shop) == {1: "bad", 2: "good"} and _parked(shop) == []


@pytest.mark.parametrize("live", [False, True])
def test_one_is_given_up(migrate, pg, live):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, '')")
    shop.run("--catch-up").expect(1)
    parked, = _parked(shop)
    running = shop.start() if live else None
    shop.program.run("parked", "drop", str(parked["id"]), "--why", "mended").expect(0)
    wait_until(lambda: _parked(shop) == [], 10, "it leaves the list")
    if running:
        running.stop().expect(0)
    shop.catch_up()
    shop.program.run("parked", "drop", str(parked["id"]), "--why", "mended").expect(1)


def test_a_truncated_table_has_none_that_wait(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, ''), (2, 'ok', '')")
    shop.run("--catch-up").expect(1)
    pg.execute("TRUNCATE t")
    shop.catch_up()
    assert _parked(shop) == [] and _vs(shop) == {}


def test_a_collection_that_is_stopped_keeps_no_run_from_its_end(migrate, pg):
    """What was deferred is not tried again, so nobody waits for it; a new copy begins without it."""
    shop = migrate(UNIQUE, TABLE + NOT_NULL + "INSERT INTO t VALUES (1, 'a', ''), (2, 'b', '')")
    shop.catch_up()
    running = shop.start()
    with pg.connect(autocommit=False) as connection:
        connection.execute("UPDATE t SET v = 'a' WHERE id = 2; ALTER TABLE t ADD extra int; INSERT INTO t VALUES (3, 'c', '', 1)")
        connection.commit()
    running.wait_for("document_deferred")
    running.wait_for("collection_stopped")
    running.stop().expect(1)
    pg.execute("ALTER TABLE t DROP extra")
    assert "deferred" in [p.get("state") for p in _parked(shop)]
    assert "collection t is stopped" in shop.run("--catch-up", timeout=20).expect(1).err
    pg.execute("UPDATE t SET v = 'd' WHERE id = 2")
    shop.run("--catch-up", "--recopy", "t").expect(0)
    assert _vs(shop) == {1: "a", 2: "d", 3: "c"} and _parked(shop) == []


def test_a_new_copy_begins_without_those_of_the_old_one(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, '')")
    shop.run("--catch-up").expect(1)
    shop.config["modules"]["shop"]["collections"]["t"]["only"] = ["id"]
    shop.program.configure(shop.config)
    shop.run("--catch-up", "--recopy", "t").expect(0)
    assert _parked(shop) == [] and shop.documents("t") == [{"_id": 1}]


def test_one_is_given_up_though_its_collection_stopped(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, '')")
    shop.run("--catch-up").expect(1)
    parked, = _parked(shop)
    running = shop.start()
    pg.execute("ALTER TABLE t ADD extra int; INSERT INTO t VALUES (3, 'c', '', 1)")
    running.wait_for("collection_stopped")
    shop.program.run("parked", "drop", str(parked["id"]), "--why", "not needed").expect(0)
    wait_until(lambda: parked["id"] not in [p.get("id") for p in _parked(shop)], 10, "it leaves the list")
    running.stop()


def test_a_collection_that_leaves_the_mapping_takes_its_parked_ones_along(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (1, {HUGE}, '')")
    shop.run("--catch-up").expect(1)
    del shop.config["modules"]["shop"]["collections"]["t"]
    shop.program.configure(shop.config)
    shop.run("--catch-up").expect(0)
    assert _parked(shop) == []


def test_kill_9_loses_none(migrate, pg):
    shop = migrate(PLAIN, TABLE)
    shop.snapshot()
    for number in range(1, 4):
        running = shop.start()
        pg.execute(f"INSERT INTO t VALUES ({number}, {HUGE}, ''); INSERT INTO kids VALUES ({number})")
        shop.wait_for_document("kids", {"_id": number})
        wait_until(lambda: len(_parked(shop)) == number, 10, "all are listed")  # pylint: disable=cell-var-from-loop
        running.kill9()
    pg.execute("UPDATE t SET v = 'short'")
    shop.catch_up()
    assert _vs(shop) == {1: "short", 2: "short", 3: "short"} and _parked(shop) == []


def test_with_object_ids_and_embedded_rows(migrate, pg):
    shop = migrate({"t": {"table": "t", "id": "objectid", "add": {"legacy_id": {"column": "id"}}, "embed": {
        "kids": {"table": "kids", "join": {"id": "id"}}}}}, TABLE + f"INSERT INTO t VALUES (1, {HUGE}, '')")
    shop.run("--snapshot-only").expect(1)
    pg.execute(f"INSERT INTO t VALUES (2, {HUGE}, '')")
    shop.run("--catch-up").expect(1)
    assert len(_parked(shop)) == 2
    pg.execute("UPDATE t SET v = 'short'")
    shop.catch_up()
    assert _parked(shop) == []
    shop.assert_like_fresh()

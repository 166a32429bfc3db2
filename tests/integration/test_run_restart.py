"""Stopping and going on: signals, a second run, --recopy, several modules over one slot."""
import signal

import pytest

from harness.migration import Migration, migrate  # noqa: F401  pylint: disable=unused-import
from harness.postgres import Database
from harness.process import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');"
FLAT = {"t": {"table": "t"}}


@pytest.mark.sanitize
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_a_second_run_continues(migrate, pg, sig):
    shop = migrate(FLAT, TABLE)
    running = shop.start()
    pg.execute("INSERT INTO t SELECT i, 'b' FROM generate_series(2, 3000) i")
    shop.wait_for_document("t", {"_id": 2})
    running.stop(sig).expect(0)
    pg.execute("INSERT INTO t VALUES (5000, 'while it was down')")
    # A second copy would bring this document back.
    shop.mongo.t.delete_one({"_id": 1})
    running = shop.start()
    shop.wait_for_document("t", {"_id": 5000})
    running.stop(sig).expect(0)
    assert "copying" not in running.err
    assert shop.mongo.t.count_documents({}) == 3000 and shop.document("t", 1) is None


def test_a_stop_before_the_copy_is_done_continues_it(migrate, pg):
    shop = migrate(FLAT, TABLE + "INSERT INTO t SELECT i, 'x' FROM generate_series(2, 2000) i",
                   source={"snapshot": {"chunk_rows": 100}}, target={"writes_per_second": 1000})
    running = shop.start(wait=False)
    wait_until(lambda: shop.mongo.t.count_documents({}) > 200, 20, "some documents")
    running.stop().expect(0)
    copied = shop.mongo.t.count_documents({})
    assert copied < 2000
    pg.execute("UPDATE t SET v = 'y' WHERE id % 10 = 0; DELETE FROM t WHERE id % 10 = 1")
    shop.catch_up()
    shop.assert_like_fresh()


def test_a_stop_is_quick_even_while_a_slot_waits(migrate, pg):
    """Making a slot waits for open transactions, for ever if need be."""
    shop = migrate(FLAT, TABLE)
    with pg.connect(autocommit=False) as connection:
        connection.execute("INSERT INTO t VALUES (2, 'open')")
        running = shop.start(wait=False)
        wait_until(lambda: pg.execute("SELECT 1 FROM pg_replication_slots WHERE database = %s",
                                      [pg.name]), 20, "a slot that is being made")
        running.stop(timeout=15)
        connection.commit()
    shop.catch_up()
    assert [d["_id"] for d in shop.documents("t")] == [1, 2]


def test_a_stop_ends_while_the_target_is_away(migrate, pg, mongo_server, proxy):
    """The receiver waits for room in the lanes: half a minute and no longer."""
    network = proxy(mongo_server.port)
    shop = migrate(FLAT, TABLE, target={"uri": mongo_server.uri(port=network.port), "lanes": 1})
    running = shop.start()
    network.refuse()
    pg.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(10, 20000) i")
    running.wait_for(r"streaming: \d{4,} changes", 20)
    running.stop(timeout=45).expect(0)
    network.accept()
    shop.catch_up()
    assert shop.mongo.t.count_documents({}) == 19992


@pytest.mark.sanitize
def test_kill9_continues(migrate, pg):
    shop = migrate(FLAT, TABLE)
    running = shop.start()
    for n in range(3):
        pg.execute("INSERT INTO t SELECT i + %s, 'b' FROM generate_series(1, 1000) i", [1000 * n + 10])
        running.kill9()
        running = shop.start()
    running.stop().expect(0)
    shop.catch_up()
    assert shop.mongo.t.count_documents({}) == 3001


def test_catch_up_has_all_that_was_committed_before(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    for n in range(10, 15):
        pg.execute("INSERT INTO t VALUES (%s, 'x')", [n])
        shop.catch_up()
        assert shop.document("t", n) == {"_id": n, "v": "x"}


def test_catch_up_of_an_idle_database_ends(migrate):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    shop.catch_up()


def test_recopy_of_one_collection(migrate, pg):
    shop = migrate(FLAT | {"u": {"table": "t"}}, TABLE)
    shop.catch_up()
    shop.mongo.t.update_one({"_id": 1}, {"$set": {"v": "spoilt"}})
    shop.mongo.t.insert_one({"_id": 77})
    shop.mongo.u.insert_one({"_id": 77})
    pg.execute("INSERT INTO t VALUES (2, 'b')")
    shop.run("--catch-up", "--recopy", "t").expect(0)
    assert shop.documents("t") == [{"_id": 1, "v": "a"}, {"_id": 2, "v": "b"}]
    assert [d["_id"] for d in shop.documents("u")] == [1, 2, 77]


def test_recopy_all_makes_a_new_slot(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    pg.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
               [pg.name])
    pg.execute("INSERT INTO t VALUES (2, 'lost with the slot'); DELETE FROM t WHERE id = 1")
    shop.run("--catch-up", "--recopy", "all").expect(0)
    assert shop.documents("t") == [{"_id": 2, "v": "lost with the slot"}]
    pg.execute("INSERT INTO t VALUES (3, 'c')")
    shop.catch_up()
    assert len(shop.documents("t")) == 2


def test_recopy_all_that_ends_with_the_new_slot_copies_all_the_same(migrate, pg, mongo_server, proxy):
    """The old slot is gone, and with it what came before the new one: no copy may go on."""
    network = proxy(mongo_server.port)
    shop = migrate(FLAT, TABLE, target={"uri": mongo_server.uri(port=network.port, serverSelectionTimeoutMS=1000)})
    shop.catch_up()
    pg.execute("INSERT INTO t VALUES (2, 'between the slots')")
    network.refuse()
    assert "slot_created" in shop.run("--recopy", "all").expect(3).err
    network.accept()
    shop.catch_up()
    assert shop.documents("t") == [{"_id": 1, "v": "a"}, {"_id": 2, "v": "between the slots"}]


def test_a_changed_mapping_needs_a_recopy(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    shop.config["modules"]["shop"]["collections"]["t"]["fields"] = {"v": "value"}
    shop.program.configure(shop.config)
    result = shop.run("--catch-up").expect(2)
    assert "--recopy t" in result.err
    shop.run("--catch-up", "--recopy", "t").expect(0)
    assert shop.documents("t") == [{"_id": 1, "value": "a"}]


def test_a_new_collection_is_copied_and_the_others_are_not(migrate, pg):
    shop = migrate(FLAT, TABLE + "CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (5)")
    shop.catch_up()
    shop.mongo.t.update_one({"_id": 1}, {"$set": {"v": "kept"}})
    shop.config["modules"]["shop"]["collections"]["later"] = {"table": "later"}
    shop.program.configure(shop.config)
    running = shop.start()
    pg.execute("INSERT INTO later VALUES (6)")
    shop.wait_for_document("later", {"_id": 6})
    running.stop().expect(0)
    assert [d["_id"] for d in shop.documents("later")] == [5, 6]
    assert shop.document("t", 1)["v"] == "kept"


def test_a_collection_that_was_out_of_the_mapping_is_copied_again(migrate, pg):
    """Its table was published all the time, for another collection: the log went on without it."""
    both = FLAT | {"twin": {"table": "t"}}
    shop = migrate(both, TABLE)
    shop.catch_up()
    del shop.config["modules"]["shop"]["collections"]["twin"]
    shop.program.configure(shop.config)
    pg.execute("INSERT INTO t VALUES (2, 'missed')")
    assert "copy_left_the_mapping" in shop.catch_up().err
    pg.execute("UPDATE t SET v = 'changed' WHERE id = 1")
    shop.config["modules"]["shop"]["collections"] = both
    shop.program.configure(shop.config)
    shop.catch_up()
    assert shop.documents("twin") == shop.documents("t") == [{"_id": 1, "v": "changed"}, {"_id": 2, "v": "missed"}]


def test_a_prepared_transaction_is_waited_for(banyan, private_pg, mongo, mongo_server):
    """Its rows are in no chunk that is read before it ends, and the log has none of a table that was not published."""
    pg = Database(private_pg(options={"max_prepared_transactions": 5}), "postgres")
    pg.execute(TABLE + "CREATE TABLE later (id int PRIMARY KEY)")
    shop = Migration(banyan, pg, mongo, mongo_server.uri(), FLAT, {})
    shop.catch_up()
    with pg.connect(autocommit=True) as connection:
        connection.execute("BEGIN; INSERT INTO later VALUES (1); PREPARE TRANSACTION 'p'")
    shop.config["modules"]["shop"]["collections"]["later"] = {"table": "later"}
    shop.program.configure(shop.config)
    running = shop.start("--catch-up", wait=False)
    running.wait_for("1 transactions that began before the slot .one is prepared")
    pg.execute("COMMIT PREPARED 'p'")
    running.wait().expect(0)
    assert shop.documents("later") == [{"_id": 1}]


def test_all_modules_over_one_slot(migrate, pg):
    shop = migrate(FLAT, TABLE + "CREATE TABLE u (id int PRIMARY KEY)")
    shop.config["modules"]["second"] = {"collections": {"u": {"table": "u"}, "t2": {"table": "t"}}}
    shop.program.configure(shop.config)
    shop.module = "all"
    shop.snapshot()
    pg.execute("INSERT INTO u VALUES (9); UPDATE t SET v = 'z'")
    shop.catch_up()
    assert shop.documents("u") == [{"_id": 9}]
    assert shop.documents("t") == shop.documents("t2") == [{"_id": 1, "v": "z"}]
    assert pg.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s",
                      [pg.name]) == [(f"banyan_{pg.name}",)]


def test_the_names_of_slots_and_publications(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.snapshot()
    assert pg.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s",
                      [pg.name]) == [(f"banyan_{pg.name}_shop",)]
    assert pg.execute("SELECT pubname FROM pg_publication") == [(f"banyan_{pg.name}_shop",)]


def test_two_modules_run_side_by_side(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.config["modules"]["second"] = {"collections": {"t2": {"table": "t"}}}
    shop.program.configure(shop.config)
    one = shop.start()
    two = shop.program.start("run", "second")
    two.wait_for("streaming|catching up")
    pg.execute("INSERT INTO t VALUES (2, 'b')")
    for name in ("t", "t2"):
        shop.wait_for_document(name, {"_id": 2})
    one.stop().expect(0)
    two.stop().expect(0)


def test_networks_that_break_are_waited_out(migrate, pg, mongo_server, proxy):
    to_pg, to_mongo = proxy(pg.server.port), proxy(mongo_server.port)
    shop = migrate(FLAT, TABLE, source={"uri": pg.server.uri(pg.name, port=to_pg.port)},
                   target={"uri": mongo_server.uri(port=to_mongo.port)})
    running = shop.start()
    for n, network in enumerate([to_pg, to_mongo] * 2, 10):
        if n < 12:
            network.cut()
        else:
            network.refuse()
        pg.execute("INSERT INTO t VALUES (%s, 'x')", [n])
        network.accept()
        shop.wait_for_document("t", {"_id": n}, 30)
    running.stop().expect(0)


def test_another_reader_of_the_slot_is_noticed(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    pg.execute("INSERT INTO t VALUES (2, 'b')")
    pg.execute("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn())"
               " FROM pg_replication_slots WHERE database = %s", [pg.name])
    result = shop.run("--catch-up").expect(3)
    assert "ahead of our checkpoint" in result.err and "--recopy all" in result.err

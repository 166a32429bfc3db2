"""Unique indexes are built when a collection has caught up, while the stream goes on."""
import time

import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
INSERT INTO t SELECT i, i FROM generate_series(1, 50) i;
"""
MAPPING = {"t": {"table": "t", "indexes": [{"keys": {"v": 1}, "unique": True}]}}


@pytest.fixture
def slow(migrate, mongo_server, proxy):
    """A migration whose target takes as long for an index as the test wants."""
    network = proxy(mongo_server.port)
    network.hold_answers(b"createIndexes")
    shop = migrate(MAPPING, TABLE, target={"uri": mongo_server.uri(port=network.port)})
    return shop, network


def is_unique(shop):
    return shop.mongo.t.index_information().get("v_1", {}).get("unique", False)


def wait_until_held(network):
    wait_until(lambda: network.held, 30, "an index that is being built")


@pytest.mark.sanitize
def test_changes_arrive_while_an_index_is_built(slow, pg):
    shop, network = slow
    running = shop.start(wait=False)
    wait_until_held(network)
    confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = %s"
    before = pg.execute(confirmed, [pg.name])
    pg.execute("INSERT INTO t VALUES (100, 100); UPDATE t SET v = 200 WHERE id = 1")
    shop.wait_for_document("t", {"_id": 100})
    shop.wait_for_document("t", {"_id": 1, "v": 200})
    wait_until(lambda: pg.execute(confirmed, [pg.name]) > before, 20, "a position that moved")
    assert network.held
    network.release_answers()
    running.wait_for(" indexes_built ")
    running.stop().expect(0)
    assert is_unique(shop)


@pytest.mark.parametrize("option", ["--catch-up", "--snapshot-only"])
def test_an_end_with_an_exit_code_waits_for_the_index(slow, pg, option):
    shop, network = slow
    running = shop.start(option, wait=False)
    wait_until_held(network)
    pg.execute("INSERT INTO t VALUES (100, 100)")
    shop.wait_for_document("t", {"_id": 100})
    time.sleep(1)
    assert running.is_running()
    network.release_answers()
    running.wait().expect(0)
    assert is_unique(shop)


def test_a_stop_does_not_wait_for_a_build(slow):
    shop, network = slow
    running = shop.start(wait=False)
    wait_until_held(network)
    started = time.monotonic()
    running.stop(timeout=20).expect(0)
    assert time.monotonic() - started < 8
    network.release_answers()
    shop.mongo.t.drop_index("v_1")
    shop.catch_up()
    assert is_unique(shop)


def test_a_kill_during_a_build_is_made_up_for(slow):
    shop, network = slow
    running = shop.start(wait=False)
    wait_until_held(network)
    running.kill9()
    network.release_answers()
    shop.mongo.t.drop_index("v_1")
    shop.catch_up()
    assert is_unique(shop)


def test_a_network_that_breaks_during_a_build(slow):
    shop, network = slow
    running = shop.start(wait=False)
    wait_until_held(network)
    shop.mongo.t.drop_index("v_1")
    network.cut()
    running.wait_for("index_waits")
    wait_until_held(network)
    network.release_answers()
    running.wait_for(" indexes_built ", 40)
    running.stop().expect(0)
    assert is_unique(shop)


def test_an_error_that_passes_is_tried_again(migrate, private_mongo):
    server = private_mongo(memory=True, test_commands=True)
    shop = migrate(MAPPING, TABLE, target={"uri": server.uri()})
    server.fail(["createIndexes"], times=3, errorCode=91)
    result = shop.catch_up()
    assert result.err.count(" index_waits ") >= 2
    with server.client() as client:
        assert client[shop.mongo.name].t.index_information()["v_1"]["unique"]


def test_a_build_that_failed_is_said_until_it_succeeds(migrate, pg):
    shop = migrate(MAPPING, TABLE + "INSERT INTO t VALUES (51, 50)")
    assert "index of t" in shop.run("--catch-up").expect(1).err
    assert shop.mongo.t.count_documents({}) == 51
    status = shop.program.run("status").expect(0)
    assert "index of t" in status.out
    # Data flows on, and a later run succeeds where the cause is mended.
    pg.execute("DELETE FROM t WHERE id = 51; INSERT INTO t VALUES (52, 52)")
    shop.run("--catch-up")
    shop.catch_up()
    assert is_unique(shop)
    assert shop.mongo.t.count_documents({"_id": 52}) == 1
    assert "index of t" not in shop.program.run("status").expect(0).out


def test_a_recopy_after_a_build_that_was_left(slow):
    shop, network = slow
    running = shop.start(wait=False)
    wait_until_held(network)
    running.kill9()
    network.release_answers()
    shop.run("--recopy", "t", "--catch-up").expect(0)
    assert is_unique(shop)
    assert shop.mongo.t.count_documents({}) == 50


@pytest.mark.parametrize("policy, warned", [({}, True), ({"types": {"microseconds": "string"}}, False)])
def test_a_unique_index_over_values_that_bson_makes_equal_is_told(migrate, policy, warned):
    shop = migrate({"t": {"table": "t", "indexes": [{"keys": {"at": 1}, "unique": True}]}}, """
        CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, '2026-01-01 00:00:00.000001')""", **policy)
    done = shop.run("--catch-up").expect(0)
    assert ("unique_index_is_lossy collection=t column=at" in done.err) == warned

"""Bugs that were: each numbered, its first paragraph says what was wrong. They stay mended."""
from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until
from harness.stub import stub  # noqa: F401  pylint: disable=unused-import


def test_001_integer_keys_of_holders(migrate, pg):
    """A changed row of an embedded table stopped its collection ("value \"\" of type bigint is not a
    64-bit integer") where the old parent was looked up in the target and its `_id` is a document
    with an integer: that is int64 in `_id`, and was read back by the rule for int32 fields.
    """
    shop = migrate({"t": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"a": "a", "b": "b"}}}}}, """
        CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'x'), (2, 'x');
        CREATE TABLE kids (id int PRIMARY KEY, a int, b text); INSERT INTO kids VALUES (1, 1, 'x')""")
    shop.snapshot()
    pg.execute("UPDATE kids SET a = 2")
    shop.catch_up()
    assert [len(d["kids"]) for d in shop.documents("t")] == [0, 1]


def test_002_main_session_lost_while_copying(migrate, pg, proxy):
    """A network that broke while the workers copied ended the run: the workers connected again, but
    the session of the main thread, idle meanwhile, was used as if nothing had happened.
    """
    between = proxy(pg.server.port)
    shop = migrate({"t": {"table": "t"}}, """
        CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 2000)""",
        source={"uri": pg.server.uri(pg.name, port=between.port), "snapshot": {"chunk_rows": 100}},
        target={"writes_per_second": 1000})
    running = shop.start("--catch-up", wait=False)
    running.wait_for("copying")
    shop.wait_for_document("t", {"_id": 100})
    between.cut()
    running.wait().expect(0)
    assert shop.mongo.t.count_documents({}) == 2000


def test_003_side_session_lost_with_the_stream(migrate, pg, proxy):
    """When a cut took the stream and the main session together, the stream was never opened again:
    each attempt first asked the dead session who holds the slot.
    """
    between = proxy(pg.server.port)
    shop = migrate({"t": {"table": "t"}}, "CREATE TABLE t (id int PRIMARY KEY)",
                   source={"uri": pg.server.uri(pg.name, port=between.port), "heartbeat": "1h"})
    running = shop.start()
    between.cut()
    pg.execute("INSERT INTO t VALUES (1)")
    shop.wait_for_document("t", {"_id": 1})
    running.stop().expect(0)


def test_004_a_stop_while_a_table_is_locked(migrate, pg):
    """SIGTERM was not heard while the check of a join, or the copy, waited for a lock that the
    application held; a second one was needed.
    """
    shop = migrate({"t": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"t_id": "id"}}}}}, """
        CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE kids (id int PRIMARY KEY, t_id int)""")
    with pg.connect(autocommit=False) as connection:
        connection.execute("LOCK TABLE kids IN ACCESS EXCLUSIVE MODE")
        running = shop.start(wait=False)
        wait_until(lambda: pg.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'", [pg.name]),
            20, "a session that waits for the lock")
        running.stop(timeout=5).expect(0)


def test_005_a_unique_index_that_failed_once(migrate, private_mongo):
    """A unique index is made when its collection has caught up. An error that passes, or a kill, at
    that moment left the collection without it for good: later runs did not look again.
    """
    server = private_mongo(memory=True, test_commands=True)
    shop = migrate({"t": {"table": "t", "indexes": [{"keys": {"v": 1}, "unique": True}]}},
                   "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)", target={"uri": server.uri()})
    server.fail(["createIndexes"], times=1, errorCode=91)
    shop.run("--catch-up")
    server.heal()
    shop.catch_up()
    with server.client() as client:
        assert client[shop.mongo.name].t.index_information()["v_1"]["unique"]


def test_006_a_member_whose_name_cannot_be_resolved(pg, banyan, stub):  # noqa: F811
    """A replica set that named a member which could not be resolved at that moment hung every
    connection to it for ever: libmongoc 1.23 notes such a failure under a lock that it holds already
    (CDRIVER-4666).
    """
    pg.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
    uri = stub(member="nowhere.invalid:27017") + "&replicaSet=stub"
    made = banyan({"source": {"uri": pg.uri}, "target": {"uri": uri, "database": "d"},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    made.start("run", "m", "--catch-up").wait(30).expect(0)

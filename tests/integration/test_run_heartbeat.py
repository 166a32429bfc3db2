"""A quiet database lets its log go while others on the server write."""
import json

import pytest

from harness.migration import Migration, migrate  # noqa: F401  pylint: disable=unused-import
from harness.postgres import Database
from harness.process import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)"


def _confirmed(pg):
    return pg.execute("SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE database = current_database()")[0][0]


@pytest.mark.parametrize("table", [None, "public.beats", '"Odd s"."The beat"'])
def test_the_slot_moves(migrate, pg, table):  # noqa: F811
    if table and "Odd" in table:
        pg.execute('CREATE SCHEMA "Odd s"')
    source = {"heartbeat": "200ms"} | ({"heartbeat_table": table} if table else {})
    shop = migrate({"t": {"table": "t"}}, TABLE, source=source)
    with shop.streaming():
        target = pg.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]
        other = pg.server.create_database()
        pg.server.execute("CREATE TABLE busy AS SELECT generate_series(1, 50000) i", None, other)
        wait_until(lambda: _confirmed(pg) > target + 1_000_000, 20, "the slot is past what the other wrote")
        if table:
            (slot, first), = pg.execute(f"SELECT slot, beat FROM {table}")
            wait_until(lambda: pg.execute(f"SELECT beat FROM {table}")[0][0] > first, 10, "the next beat")
            assert slot == pg.execute("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")[0][0]
    assert shop.mongo.list_collection_names() == ["t"]
    pg.server.execute(f'DROP DATABASE "{other}"', None, "postgres")


@pytest.mark.parametrize("table", [None, "public.beats"])
def test_a_synchronous_standby_that_is_away_holds_nothing(banyan, private_pg, mongo, mongo_server, table):
    pg = Database(private_pg(), "postgres")
    pg.execute(TABLE)
    source = {"heartbeat": "200ms"} | ({"heartbeat_table": table} if table else {})
    shop = Migration(banyan, pg, mongo, mongo_server.uri(), {"t": {"table": "t"}}, {"source": source})
    with shop.streaming():
        pg.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        pg.execute("SELECT pg_reload_conf()")
        wait_until(lambda: pg.execute("SHOW synchronous_standby_names") == [("nobody",)], 10, "it waits for the standby")
        for _ in range(3):
            before, = pg.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0]
            wait_until(lambda: _confirmed(pg) > before, 10, "a beat that came back")  # pylint: disable=cell-var-from-loop
        pg.execute("SET synchronous_commit = local; INSERT INTO t VALUES (2)")
        shop.wait_for_document("t", {"_id": 2})
        pg.execute("ALTER SYSTEM RESET synchronous_standby_names")
        pg.execute("SELECT pg_reload_conf()")


def test_no_right_to_make_it(migrate, pg):  # noqa: F811
    name = f"quiet_{pg.name}"
    pg.execute(f"CREATE ROLE {name} LOGIN REPLICATION; GRANT CREATE ON DATABASE \"{pg.name}\" TO {name}")
    shop = migrate({"t": {"table": "t"}}, f"{TABLE}; ALTER TABLE t OWNER TO {name}; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                   source={"uri": pg.server.uri(pg.name, user=name), "heartbeat_table": "beats"})
    refused = shop.run("--catch-up")
    assert refused.code == 2 or refused.code == 3, refused.err
    assert 'CREATE TABLE IF NOT EXISTS "public"."beats" (slot text PRIMARY KEY' in refused.err and "GRANT" in refused.err
    pg.execute(f"CREATE TABLE beats (slot text PRIMARY KEY, beat timestamptz NOT NULL); ALTER TABLE beats OWNER TO {name}")
    shop.catch_up()


def test_not_a_table_that_is_migrated(migrate):  # noqa: F811
    shop = migrate({"t": {"table": "t"}}, TABLE, source={"heartbeat_table": "public.t"})
    assert "banyan.yml:" in (err := shop.run("--catch-up").expect(2).err) and "is a table that is migrated" in err


def test_a_beat_in_the_log_is_nothing_that_waits(migrate, pg):  # noqa: F811
    """Of another pipeline, or a last one: a verification without a run can prove a difference."""
    pg.execute('CREATE SCHEMA "Odd s"')
    shop = migrate({"t": {"table": "t"}}, TABLE, source={"heartbeat_table": '"Odd s"."The beat"'})
    shop.snapshot()
    pg.execute('INSERT INTO "Odd s"."The beat" VALUES (\'other\', now());'
               'UPDATE "Odd s"."The beat" SET beat = now()')
    shop.mongo.t.delete_one({"_id": 1})
    assert _counted(shop) == (1, 0)
    pg.execute("INSERT INTO t VALUES (2)")
    assert _counted(shop) == (0, 2)


def _counted(shop):
    *_, totals = shop.program.run("verify", shop.module, "--json").expect(1).out.splitlines()
    totals = json.loads(totals)
    return totals["different"], totals["unsettled"]

"""The whole pipeline against every PostgreSQL that is supported, besides Debian's own, which all
other tests use: copy, stream, kill -9, a second run, verification and repair."""
import uuid

import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.postgres import Database, Postgres
from harness.process import wait_until

VERSIONS = [12, 14, 16, 17]
TABLES = """
CREATE SCHEMA "Odd s";
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN price AS numeric(12, 2);
CREATE TABLE flat (id bigint PRIMARY KEY, b bool, n numeric, f float8, t text, x bytea, d date, ts timestamptz,
  i interval, u uuid, j json, jb jsonb, m mood, p price, a int[], r int4range);
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, note text,
  doubled int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE items (order_id int REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE, no int, what text,
  PRIMARY KEY (order_id, no));
CREATE TABLE "Odd s"."The ""T"".$x" ("a.b" int, "$c" text, "V v" text, PRIMARY KEY ("a.b", "$c"));
INSERT INTO flat SELECT i, i % 2 = 0, i / 7.0, i / 3.0, repeat('é', i % 5), '\\x00ff', '2026-01-01', 'epoch',
  '1 mon 2 days', md5(i::text)::uuid, '{"b": 1.50}', '{"a": [1, null]}', 'glad', i, ARRAY[i, NULL], int4range(1, i + 1)
  FROM generate_series(1, 150) i;
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 20) i;
INSERT INTO orders (id, customer_id, note) SELECT i, i % 20 + 1, repeat(md5(i::text), 300)
  FROM generate_series(1, 80) i;
INSERT INTO items SELECT i, n, 'w' FROM generate_series(1, 80) i, generate_series(1, 3) n;
INSERT INTO "Odd s"."The ""T"".$x" SELECT i, 'k' || i, 'v' FROM generate_series(1, 20) i;
"""
COLLECTIONS = {
    "flat": {"table": "flat"},
    "orders": {"table": "orders", "embed": {
        "customer": {"table": "customers", "one": True, "join": {"id": "customer_id"}},
        "items": {"table": "items", "join": {"order_id": "id"}}}},
    "items": {"table": "items"},
    "odd": {"table": '"Odd s"."The ""T"".$x"'},
}
CHANGES = """
BEGIN;
UPDATE flat SET t = t || 'x', n = n + 1, jb = jb || '{"z": 1}' WHERE id % 3 = 0;
SAVEPOINT a; DELETE FROM flat; ROLLBACK TO a;
DELETE FROM flat WHERE id % 7 = 0;
INSERT INTO flat (id, t) SELECT i, 'new' FROM generate_series(1001, 1100) i;
UPDATE flat SET id = id + 5000 WHERE id BETWEEN 1 AND 3;
COMMIT;
UPDATE orders SET customer_id = 7 WHERE id < 10;
UPDATE orders SET note = 'short' WHERE id % 10 = 0;
UPDATE items SET order_id = 2 , no = no + 10 WHERE order_id = 1;
UPDATE orders SET id = id + 10000 WHERE id BETWEEN 20 AND 25;
DELETE FROM orders WHERE id BETWEEN 50 AND 60;
UPDATE customers SET name = 'renamed' WHERE id = 7;
UPDATE "Odd s"."The ""T"".$x" SET "$c" = "$c" || '!' WHERE "a.b" % 2 = 0;
"""


@pytest.fixture(scope="module", params=VERSIONS)
def server(request, server_folder):
    postgres = Postgres(server_folder / f"postgres-{request.param}-{uuid.uuid4().hex[:8]}", version=request.param)
    try:
        yield postgres.start()
    finally:
        postgres.remove()


@pytest.fixture
def pg(server):
    """Instead of the shared server's; the whole cluster is removed afterwards."""
    return Database(server, server.create_database())


def slot(shop):
    (name,), = shop.pg.execute("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")
    return name


def test_the_whole_pipeline(migrate, pg, mongo):  # noqa: F811
    assert pg.server.version in VERSIONS
    consistent = pg.server.version in (12, 17)  # the two forms of CREATE_REPLICATION_SLOT
    shop = migrate(COLLECTIONS, TABLES, source={"snapshot": {"chunk_rows": 100, "consistent": consistent},
                                                "heartbeat_table": "public.banyan_beat", "heartbeat": "200ms"})
    shop.snapshot()
    assert shop.document("orders", 3)["customer"] == {"name": "c4"}
    running = shop.start()
    pg.execute(CHANGES)
    shop.wait_for_document("orders", {"_id": 5, "customer.name": "renamed"})
    running.kill9()
    pg.execute("TRUNCATE items; INSERT INTO items VALUES (3, 1, 'after')")
    shop.catch_up()
    shop.assert_like_fresh()
    shop.program.run("verify", shop.module).expect(0)
    before = shop.documents("orders")
    mongo.flat.update_one({"_id": 30}, {"$set": {"t": "wrong"}})
    mongo.orders.delete_one({"_id": 3})
    shop.program.run("verify", shop.module).expect(1)
    shop.program.run("verify", shop.module, "--repair").expect(0)
    shop.program.run("verify", shop.module).expect(0)
    assert shop.documents("orders") == before


def test_a_stream_follows_while_it_runs_and_lets_the_log_go(migrate, pg):  # noqa: F811
    shop = migrate({"flat": COLLECTIONS["flat"]}, TABLES, source={"heartbeat": "200ms"})
    with shop.streaming():
        pg.execute("UPDATE flat SET t = 'now' WHERE id = 1")
        shop.wait_for_document("flat", {"_id": 1, "t": "now"})
        (position,), = pg.execute("SELECT pg_current_wal_insert_lsn()::text")
        wait_until(lambda: pg.execute("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE"
                                      " slot_name = %s", [position, slot(shop)])[0][0], 20, "a confirmed position")
    if pg.server.version >= 17:
        assert pg.execute("SELECT failover FROM pg_replication_slots WHERE slot_name = %s", [slot(shop)])[0][0]


def test_slots_that_are_gone_or_invalidated(migrate, pg):  # noqa: F811
    """How a server says so differs with its version; the way out does not."""
    shop = migrate({"flat": COLLECTIONS["flat"]}, TABLES)
    shop.snapshot()
    if pg.server.version >= 13:
        pg.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'; ")
        pg.execute("SELECT pg_reload_conf()")
        pg.execute("CREATE TABLE filler AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 80000) i")
        pg.execute("SELECT pg_switch_wal()")
        pg.execute("CHECKPOINT")
        wait_until(lambda: pg.execute("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s",
                                      [slot(shop)])[0][0] == "lost", 30, "a lost slot")
        failed = shop.run("--catch-up").expect(3)
        assert "was invalidated" in failed.err and "--recopy all" in failed.err
        pg.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        pg.execute("SELECT pg_reload_conf()")
    else:
        pg.execute("SELECT pg_drop_replication_slot(%s)", [slot(shop)])
        failed = shop.run("--catch-up").expect(3)
        assert "is gone" in failed.err and "--recopy all" in failed.err
    shop.run("--recopy", "all", "--catch-up").expect(0)
    shop.assert_like_fresh()

"""The copy: every row once, in chunks, whatever happens to the tables meanwhile."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, customer text);
CREATE TABLE items (order_id int REFERENCES orders, no int, what text, PRIMARY KEY (order_id, no));
"""
TREE = {"orders": {"table": "orders", "embed": {
    "items": {"table": "items", "join": {"order_id": "id"}}}}}


@pytest.mark.sanitize
def test_rows_become_documents(migrate):
    shop = migrate(TREE | {"items": {"table": "items"}}, ORDERS + """
        INSERT INTO orders VALUES (1, 'Ada'), (2, NULL);
        INSERT INTO items VALUES (1, 2, 'pen'), (1, 1, 'ink')""")
    shop.snapshot()
    assert shop.documents("orders") == [
        {"_id": 1, "customer": "Ada", "items": [{"no": 1, "what": "ink"}, {"no": 2, "what": "pen"}]},
        {"_id": 2, "customer": None, "items": []}]
    assert shop.documents("items") == [{"_id": {"order_id": 1, "no": 1}, "what": "ink"},
                                       {"_id": {"order_id": 1, "no": 2}, "what": "pen"}]


def test_an_empty_table_gives_an_empty_collection(migrate):
    shop = migrate(TREE, ORDERS)
    shop.snapshot()
    assert shop.mongo.list_collection_names() == ["orders"]


@pytest.mark.parametrize("key, values", [
    ("k int", "i"),
    ("k text", "CASE WHEN i %% 3 = 0 THEN 'é' ELSE '''q\"' END || i"),
    ("k uuid", "md5(i::text)::uuid"),
    ("k numeric", "i / 7.0"),
    ("k timestamp", "timestamp '2000-01-01' + i * interval '1 hour'"),
], ids=["int", "text", "uuid", "numeric", "timestamp"])
def test_chunks_by_any_key_type(migrate, key, values):
    policy = {"types": {"microseconds": "string"}} if "timestamp" in key else {}
    shop = migrate({"t": {"table": "t"}}, f"""
        CREATE TABLE t ({key} PRIMARY KEY, v int);
        INSERT INTO t SELECT {values.replace('%%', '%')}, i FROM generate_series(1, 1050) i""",
        source={"snapshot": {"chunk_rows": 100, "threads": 3}}, **policy)
    shop.snapshot()
    assert sorted(shop.mongo.t.distinct("v")) == list(range(1, 1051))
    assert shop.mongo.t.count_documents({}) == 1050


def test_chunks_by_a_composite_key(migrate):
    shop = migrate({"t": {"table": "t"}}, """
        CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b));
        INSERT INTO t SELECT i / 250, 'b' || i, i FROM generate_series(1, 1000) i""",
        source={"snapshot": {"chunk_rows": 100}})
    shop.snapshot()
    assert sorted(shop.mongo.t.distinct("v")) == list(range(1, 1001))


def test_embedded_chunks_have_all_children(migrate):
    shop = migrate(TREE, ORDERS + """
        INSERT INTO orders SELECT i, 'c' || i FROM generate_series(1, 300) i;
        INSERT INTO items SELECT i, n, i || '/' || n FROM generate_series(1, 300) i,
          generate_series(1, 4) n WHERE (i + n) % 3 > 0""",
        source={"snapshot": {"chunk_rows": 100, "threads": 2}})
    shop.snapshot()
    expected = {i: [{"no": n, "what": f"{i}/{n}"} for n in range(1, 5) if (i + n) % 3]
                for i in range(1, 301)}
    assert {d["_id"]: d["items"] for d in shop.documents("orders")} == expected


def test_rows_that_change_during_the_copy(migrate, pg):
    """The copy is slowed down, so that changes hit chunks before, in and after."""
    shop = migrate(TREE, ORDERS + """
        INSERT INTO orders SELECT i, 'c' FROM generate_series(1, 1000) i;
        INSERT INTO items SELECT i, 1, 'first' FROM generate_series(1, 1000) i""",
        source={"snapshot": {"chunk_rows": 100, "threads": 2}}, target={"writes_per_second": 800})
    running = shop.start(wait=False)
    running.wait_for("copying")
    with pg.connect() as connection:
        for i in range(1, 1000, 7):
            connection.execute("UPDATE orders SET customer = 'changed' WHERE id = %s", [i])
            connection.execute("DELETE FROM items WHERE order_id = %s", [i + 1])
            connection.execute("DELETE FROM orders WHERE id = %s", [i + 1])
            connection.execute("UPDATE items SET no = 2 WHERE order_id = %s", [i + 2])
            connection.execute("INSERT INTO orders VALUES (%s, 'new')", [i + 2000])
    running.wait_for("catching up|streaming")
    running.stop().expect(0)
    shop.catch_up()
    shop.assert_like_fresh()
    assert shop.mongo.orders.count_documents({"customer": "changed"}) == 143


def test_a_transaction_open_since_before_the_start_is_waited_for(migrate, pg):
    """Its rows are neither in the log of a new slot nor visible to a copy that does not wait."""
    shop = migrate({"orders": {"table": "orders"}}, ORDERS)
    with pg.connect(autocommit=False) as connection:
        connection.execute("INSERT INTO orders VALUES (1, 'long')")
        running = shop.start("--snapshot-only", wait=False)
        wait_until(lambda: pg.execute("SELECT 1 FROM pg_replication_slots WHERE database = %s",
                                      [pg.name]), 20, "a slot that is being made")
        assert running.is_running()
        connection.commit()
    running.wait().expect(0)
    assert shop.documents("orders") == [{"_id": 1, "customer": "long"}]


def test_snapshot_only_ends_with_what_was_committed(migrate, pg):
    """It replays the log to the end of the copy, and leaves a slot from which a run continues."""
    shop = migrate({"orders": {"table": "orders"}}, ORDERS + "INSERT INTO orders VALUES (1, 'a')")
    shop.snapshot()
    pg.execute("INSERT INTO orders VALUES (2, 'b')")
    assert len(shop.documents("orders")) == 1
    shop.catch_up()
    assert [d["_id"] for d in shop.documents("orders")] == [1, 2]

"""The stream: whatever DML does, documents follow."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY,
  customer_id int REFERENCES customers ON UPDATE CASCADE ON DELETE CASCADE, note text);
CREATE TABLE items (id int PRIMARY KEY,
  order_id int REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE, sku text, n int);
CREATE TABLE products (sku text PRIMARY KEY, name text);
INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
INSERT INTO orders VALUES (10, 1, 'x'), (20, 2, 'y');
INSERT INTO items VALUES (100, 10, 'pen', 1), (101, 10, 'ink', 2), (200, 20, 'pen', 3);
INSERT INTO products VALUES ('pen', 'Pen'), ('ink', 'Ink');
"""
ITEMS = {"table": "items", "join": {"order_id": "id"}, "embed": {
    "product": {"table": "products", "one": True, "join": {"sku": "sku"}, "only": ["name"]}}}
MAPPING = {
    "flat": {"table": "orders"},
    "orders": {"table": "orders", "embed": {"items": ITEMS}},
    "customers": {"table": "customers", "embed": {
        "orders": {"table": "orders", "join": {"customer_id": "id"}, "embed": {"items": ITEMS}}}},
    "products": {"table": "products", "embed": {"sold": {"table": "items", "join": {"sku": "sku"}}}},
}


@pytest.fixture
def shop(migrate):
    shop = migrate(MAPPING, TABLES)
    shop.snapshot()
    return shop


def _item(number, sku, n, name):
    return {"id": number, "sku": sku, "n": n, "product": name and {"name": name}}


@pytest.mark.sanitize
def test_inserts_updates_and_deletes(shop, pg):
    with shop.streaming():
        pg.execute("INSERT INTO orders VALUES (30, 1, 'z'), (31, NULL, NULL);"
                   "INSERT INTO items VALUES (300, 30, 'ink', 9);"
                   "UPDATE items SET n = n + 1 WHERE order_id = 10; DELETE FROM items WHERE id = 101;"
                   "UPDATE orders SET note = NULL WHERE id = 20; DELETE FROM orders WHERE id = 31")
    assert shop.documents("flat") == [{"_id": 10, "customer_id": 1, "note": "x"},
                                      {"_id": 20, "customer_id": 2, "note": None},
                                      {"_id": 30, "customer_id": 1, "note": "z"}]
    assert shop.document("orders", 10)["items"] == [_item(100, "pen", 2, "Pen")]
    assert shop.document("orders", 30)["items"] == [_item(300, "ink", 9, "Ink")]
    assert [o["id"] for o in shop.document("customers", 1)["orders"]] == [10, 30]
    shop.assert_like_fresh()


STATEMENTS = {
    "multi-row statements": "UPDATE items SET n = n * 2; DELETE FROM items WHERE n > 3",
    "cascading delete": "DELETE FROM customers WHERE id = 1",
    "key update": "UPDATE customers SET id = 7 WHERE id = 2",
    "key update with children": "UPDATE orders SET id = id + 1000",
    "a key that was free": "UPDATE orders SET id = 11 WHERE id = 10; INSERT INTO orders VALUES (10, 2, 'new')",
    "key swap": "BEGIN; UPDATE orders SET id = 99 WHERE id = 10; UPDATE orders SET id = 10 WHERE id = 20;"
                "UPDATE orders SET id = 20 WHERE id = 99; COMMIT",
    "another parent": "UPDATE items SET order_id = 20 WHERE id = 100",
    "no parent": "UPDATE items SET order_id = NULL WHERE id = 100",
    "parents moved in a circle": "BEGIN; UPDATE items SET order_id = 20 WHERE id = 100;"
                                 "UPDATE items SET order_id = 10 WHERE id = 200; COMMIT",
    "an intermediate parent moves": "UPDATE orders SET customer_id = 2 WHERE id = 10",
    "look-up row changed": "UPDATE products SET name = 'Quill' WHERE sku = 'pen'",
    "look-up row deleted": "DELETE FROM products WHERE sku = 'pen'",
    "look-up key changed": "UPDATE products SET sku = 'quill' WHERE sku = 'pen'",
    "look-up row inserted later": "DELETE FROM products; INSERT INTO products VALUES ('ink', 'New ink')",
    "savepoints": "BEGIN; INSERT INTO orders VALUES (40, 1, 'kept'); SAVEPOINT a;"
                  "INSERT INTO orders VALUES (41, 1, 'lost'); UPDATE orders SET note = 'lost' WHERE id = 10;"
                  "ROLLBACK TO a; SAVEPOINT b; INSERT INTO orders VALUES (42, 1, 'kept too');"
                  "RELEASE b; COMMIT",
    "rollback": "BEGIN; DELETE FROM orders; TRUNCATE items; ROLLBACK",
    "insert, delete, insert": "BEGIN; INSERT INTO orders VALUES (50, 1, 'a'); DELETE FROM orders WHERE id = 50;"
                              "INSERT INTO orders VALUES (50, 2, 'b'); COMMIT",
    "delete and insert of one key": "BEGIN; DELETE FROM items WHERE id = 100;"
                                    "INSERT INTO items VALUES (100, 20, 'ink', 5); COMMIT",
    "truncate of a child": "TRUNCATE items",
    "truncate of a root": "TRUNCATE orders CASCADE",
    "truncate of all, then new rows": "BEGIN; TRUNCATE customers, orders, items, products;"
                                      "INSERT INTO customers VALUES (1, 'New'); COMMIT;"
                                      "INSERT INTO orders VALUES (10, 1, 'again')",
    "empty transaction": "BEGIN; SELECT txid_current(); COMMIT",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements(shop, pg, name):
    before = {c: shop.documents(c) for c in MAPPING}
    with pg.connect() as connection:
        for statement in STATEMENTS[name].split(";"):
            connection.execute(statement)
    shop.catch_up()
    shop.assert_like_fresh()
    unchanged = before == {c: shop.documents(c) for c in MAPPING}
    assert unchanged == (name in ("rollback", "empty transaction"))


@pytest.mark.parametrize("name", ["another parent", "cascading delete", "key swap", "truncate of a child",
                                  "look-up key changed", "delete and insert of one key"])
def test_statements_with_full_replica_identity(migrate, pg, name):
    full = "".join(f"ALTER TABLE {t} REPLICA IDENTITY FULL;"
                   for t in ("customers", "orders", "items", "products"))
    shop = migrate(MAPPING, TABLES + full)
    shop.snapshot()
    with pg.connect() as connection:
        for statement in STATEMENTS[name].split(";"):
            connection.execute(statement)
    shop.catch_up()
    shop.assert_like_fresh()


def test_one_transaction_of_many_rows(shop, pg):
    with shop.streaming():
        pg.execute("INSERT INTO orders SELECT i, 1, repeat('x', 100) FROM generate_series(1000, 5999) i")
    assert shop.mongo.flat.count_documents({}) == 5002


def test_transactions_that_interleave(shop, pg):
    with shop.streaming(), pg.connect(autocommit=False) as one, pg.connect(autocommit=False) as two:
        for round_number in range(5):
            one.execute("UPDATE orders SET note = %s WHERE id = 10", [f"one {round_number}"])
            two.execute("UPDATE items SET n = n + 1 WHERE id = 200")
            one.execute("INSERT INTO items VALUES (%s, 10, 'pen', 0)", [500 + round_number])
            two.execute("INSERT INTO items VALUES (%s, 20, 'ink', 0)", [600 + round_number])
            two.commit()
            one.commit()
    shop.assert_like_fresh()
    assert len(shop.document("orders", 10)["items"]) == 7


def test_changes_arrive_while_it_runs(shop, pg):
    with shop.streaming():
        pg.execute("UPDATE orders SET note = 'now' WHERE id = 10")
        assert shop.wait_for_document("flat", {"_id": 10, "note": "now"})
        assert shop.wait_for_document("orders", {"_id": 10, "note": "now"})


def test_a_quiet_database_lets_the_log_go(shop, pg):
    """Another database's changes move the end of the log: the slot must follow."""
    with shop.streaming():
        pg.server.execute("CREATE TABLE IF NOT EXISTS noise (t text)")
        pg.server.execute("INSERT INTO noise SELECT repeat('x', 500) FROM generate_series(1, 20000)")
        position = pg.execute("SELECT pg_current_wal_lsn()")[0][0]
        _wait_until_confirmed(pg, position)


def _wait_until_confirmed(pg, position):
    wait_until(lambda: pg.execute(
        "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE database = %s",
        [position, pg.name]) == [(True,)], 30, f"slot at {position}")

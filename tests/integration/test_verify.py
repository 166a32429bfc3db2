"""banyan verify: differences are found, named and repaired; lag is never one."""
import json
import random
import threading
import time

import bson
import pytest

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int REFERENCES customer,
                     total numeric(10, 2), placed timestamptz DEFAULT now());
CREATE TABLE item (id int PRIMARY KEY, order_id bigint REFERENCES orders ON DELETE CASCADE,
                   sku text, weight float8, extra jsonb);
CREATE INDEX ON item (order_id);
CREATE INDEX ON orders (customer_id);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 50) i;
INSERT INTO orders SELECT i, 1 + i % 50, i * 1.5 FROM generate_series(1, 700) i;
INSERT INTO item SELECT i, 1 + i % 700, 's' || i, sqrt(i), '{"a": [1, 2.5, null]}'
FROM generate_series(1, 2100) i;
"""


@pytest.fixture
def shop(pg, mongo, mongo_server, banyan):
    pg.execute(SCHEMA)
    customer = {"table": "customer", "one": True, "join": {"id": "customer_id"}}
    made = banyan({
        "source": {"uri": pg.uri},
        "target": {"uri": mongo_server.uri(), "database": mongo.name},
        "modules": {"m": {"collections": {
            "customers": {"table": "customer", "add": {"synced": {"now": True}}},
            "orders": {"table": "orders", "embed": {
                "customer": customer,
                "items": {"table": "item", "join": {"order_id": "id"}}}}}}}})
    made.run("run", "m", "--catch-up").expect(0)
    return made


def differences(result):
    """{(collection, _id, path): kind} of --json output, and its totals."""
    lines = [json.loads(line) for line in result.out.splitlines()]
    return {(d["collection"], d["_id"], d["path"]): d["kind"] for d in lines[:-1]}, lines[-1]


@pytest.mark.sanitize
def test_equal_is_0(shop):
    found, totals = differences(shop.run("verify", "m", "--json").expect(0))
    assert found == {}
    assert totals["compared"] == 750 and totals["equal"]


def test_every_kind_of_difference_with_its_path(shop, mongo):
    mongo.orders.update_one({"_id": 7}, {"$set": {"items.1.sku": "tampered"}})
    mongo.orders.update_one({"_id": 8}, {"$set": {"total": "12.00"}})
    mongo.orders.update_one({"_id": 9}, {"$unset": {"customer.name": 1}, "$set": {"more": 1}})
    mongo.customers.delete_one({"_id": 5})
    mongo.customers.insert_one({"_id": bson.Int64(1000), "name": "nobody"})
    mongo.customers.insert_one({"_id": "foreign"})
    found, totals = differences(shop.run("verify", "m", "--json").expect(1))
    assert found == {("orders", "7", "items.1.sku"): "mismatch",
                     ("orders", "8", "total"): "type_difference",
                     ("orders", "9", "customer.name"): "missing",
                     ("orders", "9", "more"): "extra",
                     ("customers", "5", ""): "missing",
                     ("customers", "1000", ""): "extra",
                     ("customers", '"foreign"', ""): "extra"}
    assert totals["different"] == 6 and totals["unsettled"] == 0


def test_stamps_are_not_compared(shop, mongo):
    mongo.customers.update_many({}, {"$currentDate": {"synced": True}})
    shop.run("verify", "m").expect(0)


def test_keys_look_only_at_keys(shop, mongo):
    mongo.orders.update_one({"_id": 7}, {"$set": {"total": 0}})
    shop.run("verify", "m", "--keys").expect(0)
    mongo.orders.delete_one({"_id": 8})
    shop.run("verify", "m", "--keys").expect(1)


def test_a_sample_compares_that_many(shop, mongo):
    _, totals = differences(shop.run("verify", "m", "--sample", "20", "--json").expect(0))
    assert totals["compared"] == 40
    mongo.orders.update_many({}, {"$set": {"total": 0}})
    shop.run("verify", "m", "--sample", "20").expect(1)


def test_the_report_has_everything(shop, mongo, tmp_path):
    mongo.orders.update_many({}, {"$set": {"total": 0}})
    shop.run("verify", "m", "--report", tmp_path / "report").expect(1)
    lines = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert len(lines) == 700
    assert lines[0]["sql"] == '{"$numberDecimal": "1.50"}' and lines[0]["mongodb"] == "0"


def test_repair_without_a_run(shop, mongo):
    mongo.orders.update_one({"_id": 7}, {"$set": {"items.1.sku": "tampered"}})
    mongo.customers.delete_one({"_id": 5})
    mongo.customers.insert_one({"_id": bson.Int64(1000), "name": "nobody"})
    _, totals = differences(shop.run("verify", "m", "--repair", "--json").expect(0))
    assert totals["repaired"] == 3
    shop.run("verify", "m").expect(0)
    assert mongo.customers.find_one({"_id": 1000}) is None


def test_repair_with_a_live_run(shop, mongo):
    running = shop.start("run", "m")
    mongo.orders.update_one({"_id": 7}, {"$set": {"items.1.sku": "tampered"}})
    _, totals = differences(shop.run("verify", "m", "--repair", "--json").expect(0))
    assert totals["repaired"] == 1
    running.stop().expect(0)


def test_changes_that_wait_in_the_log_are_no_differences(shop, pg):
    pg.execute("UPDATE orders SET total = 0 WHERE id = 3")
    found, totals = differences(shop.run("verify", "m", "--json").expect(1))
    assert found == {("orders", "3", ""): "unsettled"} and totals["different"] == 0
    shop.run("run", "m", "--catch-up").expect(0)
    shop.run("verify", "m").expect(0)


def test_nothing_copied_yet(pg, mongo, mongo_server, banyan):
    pg.execute("CREATE TABLE t (id int PRIMARY KEY)")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": mongo_server.uri(), "database": mongo.name},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    assert "nothing has been copied yet" in made.run("verify", "m").expect(1).err


def test_no_false_difference_under_load(shop, pg, mongo):
    running = shop.start("run", "m")
    stop = threading.Event()

    def applied():
        """The number of the last update that is known to have reached MongoDB."""
        names = [c["name"] for c in mongo.customers.find({"name": {"$regex": r"^n\d+$"}})]
        return max((int(name[1:]) for name in names), default=0)

    def load():
        generator = random.Random(7)
        with pg.connect(autocommit=True) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                connection.execute("UPDATE item SET sku = %s, order_id = %s WHERE id = %s",
                                   (f"u{number}", generator.randint(1, 700),
                                    generator.randint(1, 2100)))
                if number % 20 == 0:
                    connection.execute("UPDATE customer SET name = %s WHERE id = %s",
                                       (f"n{number}", generator.randint(1, 50)))
                    # always behind, by no more than a slow machine can take
                    while not stop.is_set() and number - 60 > applied():
                        time.sleep(0.01)
                time.sleep(0.01)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(3):
            shop.run("verify", "m", timeout=120).expect(0)
        # the load never touches placed, so this stays
        mongo.orders.update_one({"_id": 7}, {"$set": {"placed": None}})
        found, _ = differences(shop.run("verify", "m", "--json", timeout=120))
        assert set(found.values()) <= {"type_difference"}
    finally:
        stop.set()
        thread.join()
    running.stop().expect(0)
    shop.run("run", "m", "--catch-up").expect(0)
    found, _ = differences(shop.run("verify", "m", "--json"))
    assert set(found) <= {("orders", "7", "placed")}

"""The daemon: every module in one process."""
import pytest

from harness.api import listen_anywhere
from harness.process import wait_until

TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE products (id int PRIMARY KEY, name text);
INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 100) i;
INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 100) i;
"""


@pytest.fixture
def shop(pg, mongo, mongo_server, banyan):
    pg.execute(TABLES)
    return banyan({
        "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
        "listen": listen_anywhere(),
        "modules": {"sales": {"collections": {"orders": {"table": "orders"}}},
                    "catalogue": {"collections": {"products": {"table": "products"}}}}})


def _follows(pg, mongo, number):
    pg.execute(f"INSERT INTO orders VALUES ({number}, 'x'); INSERT INTO products VALUES ({number}, 'x')")
    for name in ("orders", "products"):
        wait_until(lambda: mongo[name].find_one({"_id": number}), 20, f"{number} in {name}")  # pylint: disable=cell-var-from-loop


@pytest.mark.sanitize
def test_every_module_is_copied_and_streams(shop, pg, mongo):
    daemon = shop.start("serve")
    wait_until(lambda: mongo.orders.count_documents({}) == mongo.products.count_documents({}) == 100, 30, "both copied")
    _follows(pg, mongo, 1000)
    daemon.stop().expect(0)
    daemon = shop.start("serve")
    _follows(pg, mongo, 1001)
    daemon.stop().expect(0)


def test_kill_9_and_again(shop, pg, mongo):
    for number in range(1000, 1003):
        daemon = shop.start("serve")
        _follows(pg, mongo, number)
        daemon.kill9()


def test_one_process_for_a_pipeline(shop, pg, mongo):
    daemon = shop.start("serve")
    _follows(pg, mongo, 1000)
    refused = shop.run("run", "sales")
    assert refused.code == 3 and "serve" in refused.err
    daemon.stop().expect(0)
    running = shop.start("run", "sales")
    running.wait_for("streaming: ")
    daemon = shop.start("serve")
    daemon.wait_for(r"module_failed module=sales .*run sales", 20)
    running.stop().expect(0)
    pg.execute("INSERT INTO orders VALUES (2000, 'x')")
    wait_until(lambda: mongo.orders.find_one({"_id": 2000}), 30, "sales goes on by itself")
    daemon.stop().expect(0)

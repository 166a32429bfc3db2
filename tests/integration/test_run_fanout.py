"""Fan-outs: one change in very many documents goes on in the background, and nothing waits for it."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

ORDERS = 30000
TABLES = """
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE regions (id int PRIMARY KEY, country text, name text);
CREATE TABLE orders (id int PRIMARY KEY, country text, note text);
CREATE TABLE items (id int PRIMARY KEY, order_id int, n int);
INSERT INTO countries VALUES ('fr', 'France'), ('de', 'Germany');
INSERT INTO regions VALUES (1, 'fr', 'Bretagne');
INSERT INTO orders SELECT i, 'fr', 'n' FROM generate_series(1, %d) i;
INSERT INTO items SELECT i, i, i FROM generate_series(1, 100) i;
"""
MAPPING = {"orders": {"table": "orders", "fields": {"country": "country_code"}, "embed": {
    "country": {"table": "countries", "one": True, "join": {"code": "country"},
                "embed": {"regions": {"table": "regions", "join": {"country": "code"}}}},
    "items": {"table": "items", "join": {"order_id": "id"}}}}}


def _shop(migrate, orders, **target):
    shop = migrate(MAPPING, TABLES % orders, target=target)
    shop.snapshot()
    return shop


def _left(shop):
    status = shop.program.run("status", "--json").expect(0).json()
    collection = status["pipelines"][0]["collections"][0]
    return collection["fanouts"], collection["fanout_documents"]


def _named(shop, name):
    return shop.collection("orders").count_documents({"country.name": name})


def test_the_stream_does_not_wait(migrate, pg):
    shop = _shop(migrate, ORDERS, writes_per_second=5000)
    with shop.streaming():
        pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
        wait_until(lambda: _left(shop)[0] == 1, 20, "the fan-out is stored")
        pg.execute("INSERT INTO countries VALUES ('it', 'Italy'); INSERT INTO orders VALUES (-1, 'it', 'x')")
        shop.wait_for_document("orders", {"_id": -1, "country.name": "Italy"}, 3)
        left, done = _left(shop)
        assert left == 1 and done < ORDERS, "the insert came while the fan-out ran"
        wait_until(lambda: _left(shop)[0] == 0, 60, "the fan-out ends")
    assert _named(shop, "FRANCE") == ORDERS
    shop.assert_like_fresh()


def test_a_second_change_while_it_runs_is_not_lost(migrate, pg):
    shop = _shop(migrate, ORDERS, writes_per_second=8000)
    with shop.streaming():
        for name in ("one", "two", "three", "four"):
            pg.execute(f"UPDATE countries SET name = '{name}' WHERE code = 'fr'")
            wait_until(lambda: _named(shop, name) > 100, 30, f"documents with {name}")  # pylint: disable=cell-var-from-loop
        wait_until(lambda: _left(shop)[0] == 0, 60, "the fan-outs end")
    assert _named(shop, "four") == ORDERS
    shop.assert_like_fresh()


@pytest.mark.parametrize("signal", ["kill9", "stop"])
def test_it_goes_on_after_an_end(migrate, pg, signal):
    shop = _shop(migrate, ORDERS, writes_per_second=6000)
    running = shop.start()
    pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
    wait_until(lambda: _left(shop)[1] >= 10000, 60, "the first page is written")
    getattr(running, signal)()
    left, done = _left(shop)
    assert left == 1 and 10000 <= done < ORDERS
    again = shop.start(wait=False)
    again.wait_for(r"fanout_started.*documents.*[12]0000", 20)
    again.wait_for("fanout_finished", 60)
    again.stop().expect(0)
    assert _named(shop, "FRANCE") == ORDERS
    shop.assert_like_fresh()


def test_what_it_has_not_reached_is_no_difference(migrate, pg):
    shop = _shop(migrate, ORDERS, writes_per_second=6000)
    with shop.streaming():
        pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
        wait_until(lambda: _left(shop)[0] == 1, 20, "the fan-out is stored")
        shop.program.run("verify", "shop", timeout=120).expect(0)
    assert _named(shop, "FRANCE") == ORDERS


def test_without_a_run_it_is_told_apart(migrate, pg):
    shop = _shop(migrate, 3000, fanout_documents=20, writes_per_second=500)
    running = shop.start()
    pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
    wait_until(lambda: _left(shop)[0] == 1, 20, "the fan-out is stored")
    running.stop().expect(0)
    found = shop.program.run("verify", "shop", "--json", timeout=120).expect(1)
    assert '"kind":"unsettled"' in found.out and '"different":0,' in found.out


def test_catch_up_waits_for_it(migrate, pg):
    shop = _shop(migrate, ORDERS)
    pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
    shop.catch_up()
    assert _named(shop, "FRANCE") == ORDERS


PAGE_QUERY = b"LIMIT 10001"  # of a fan-out; the resolver's has another limit


def test_a_page_that_is_looked_up_again_is_the_same_page(migrate, pg, proxy):
    """A table was written anew while the page was read: its keys are given up, not passed over."""
    network = proxy(pg.server.port)
    shop = _shop(migrate, 1500, fanout_documents=20)
    shop.config["source"]["uri"] = pg.server.uri(pg.name, port=network.port)
    shop.program.configure(shop.config)
    with shop.streaming() as running:
        network.hold_answers(PAGE_QUERY)
        pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
        wait_until(lambda: network.held, 20, "a page that is looked up")
        pg.execute("ALTER TABLE items ALTER COLUMN n TYPE int USING n + 0")
        network.release_answers()
        running.wait_for("fanout_waits.*written anew", 20)
        running.wait_for("fanout_finished", 60)
    assert _named(shop, "FRANCE") == 1500


CHANGES = {
    "a look-up row": "UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'",
    "a look-up row that goes": "DELETE FROM countries WHERE code = 'fr'",
    "a row below a look-up row": "UPDATE regions SET name = 'Breizh' WHERE id = 1",
    "a row below moves": "INSERT INTO orders VALUES (0, 'de', 'n'); UPDATE regions SET country = 'de' WHERE id = 1",
    "a row below goes": "DELETE FROM regions WHERE id = 1",
    "all embedded rows go": "TRUNCATE items",
    "all look-up rows go": "TRUNCATE countries; INSERT INTO countries VALUES ('fr', 'new')",
    "many look-up rows at once": "INSERT INTO countries SELECT 'c' || i, 'old' FROM generate_series(1, 3000) i;"
                                 "UPDATE orders SET country = 'c' || id; UPDATE countries SET name = 'new'",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", CHANGES)
def test_documents_follow(migrate, pg, name):
    shop = _shop(migrate, 1500, fanout_documents=20)
    with shop.streaming() as running:
        pg.execute(CHANGES[name])
        running.wait_for("fanout_finished", 60)
    shop.assert_like_fresh()


def test_a_stopped_collection_leaves_none_behind(migrate, pg):
    shop = _shop(migrate, 3000, fanout_documents=20, writes_per_second=500)
    running = shop.start()
    pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
    wait_until(lambda: _left(shop)[0] == 1, 20, "the fan-out is stored")
    pg.execute("ALTER TABLE orders RENAME note TO remark; INSERT INTO orders VALUES (-1, 'de', 'x')")
    wait_until(lambda: _left(shop)[0] == 0, 20, "the fan-out is gone with its collection")
    running.stop().expect(1)


def test_a_collection_that_left_the_mapping_leaves_none_behind(migrate, pg):
    shop = migrate(MAPPING | {"regions": {"table": "regions"}}, TABLES % 3000,
                   target={"fanout_documents": 20, "writes_per_second": 500})
    shop.snapshot()
    running = shop.start()
    pg.execute("UPDATE countries SET name = 'FRANCE' WHERE code = 'fr'")
    wait_until(lambda: _left(shop)[0] == 1, 20, "the fan-out is stored")
    running.kill9()
    del shop.config["modules"]["shop"]["collections"]["orders"]
    shop.program.configure(shop.config)
    shop.catch_up()
    assert _left(shop)[0] == 0

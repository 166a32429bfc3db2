"""source.snapshot.consistent: every chunk reads one snapshot, whatever happens to the session that
exported it; and in either mode no table that was written anew meanwhile is taken for an empty one."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.process import wait_until

ROWS = 1000
TABLES = f"""
CREATE TABLE orders (id int PRIMARY KEY, n int);
CREATE TABLE items (order_id int REFERENCES orders ON DELETE CASCADE, no int, n int,
  PRIMARY KEY (order_id, no));
INSERT INTO orders SELECT i, 0 FROM generate_series(1, {ROWS}) i;
INSERT INTO items SELECT i, 1, 0 FROM generate_series(1, {ROWS}) i;
"""
FLAT = {"orders": {"table": "orders"}}
TREE = {"orders": {"table": "orders", "embed": {
    "items": {"table": "items", "join": {"order_id": "id"}}}}}


def slow(migrate, mapping, consistent=True):  # noqa: F811
    """A copy of about two seconds."""
    return migrate(mapping, TABLES, target={"writes_per_second": 500},
                   source={"snapshot": {"chunk_rows": 100 if mapping is FLAT else 1000,
                                        "threads": 1, "consistent": consistent}})


def copied(shop, identity=1):
    return wait_until(lambda: shop.document("orders", identity), 20, f"document {identity}")


@pytest.mark.sanitize
@pytest.mark.parametrize("mapping", [FLAT, TREE], ids=["flat", "tree"])
@pytest.mark.parametrize("slot", ["new", "existing"])
@pytest.mark.parametrize("consistent", [True, False])
def test_chunks_read_one_snapshot_or_each_its_own(migrate, pg, mapping, slot, consistent):  # noqa: F811
    shop = slow(migrate, mapping, consistent)
    if slot == "existing":
        shop.snapshot()
    running = shop.start(*(["--recopy", "orders"] if slot == "existing" else []), wait=False)
    if slot == "existing":
        wait_until(lambda: shop.mongo.orders.count_documents({}) < ROWS, 20, "an emptied collection")
    copied(shop)
    pg.execute("UPDATE orders SET n = 7; UPDATE items SET n = 7; DELETE FROM orders WHERE id = 700")
    middle = copied(shop, 600)
    found = {middle["n"], *(item["n"] for item in middle.get("items", []))}
    assert found == ({0} if consistent else {7})
    assert (shop.document("orders", 700) is None) or consistent
    running.wait_for("catching up: |streaming: ", 30)
    running.stop().expect(0)
    shop.catch_up()
    shop.assert_like_fresh()
    assert shop.mongo.orders.count_documents({"n": 7}) == ROWS - 1


@pytest.mark.sanitize
@pytest.mark.parametrize("mapping", [FLAT, TREE], ids=["flat", "tree"])
def test_killed_in_the_middle_it_begins_anew(migrate, pg, mapping):  # noqa: F811
    shop = slow(migrate, mapping)
    for moment in (150, 450):
        running = shop.start(wait=False)
        copied(shop, moment)
        running.kill9()
        pg.execute(f"UPDATE orders SET n = n + 1; DELETE FROM items WHERE order_id = {moment}")
    done = shop.catch_up()
    assert "copy_begins_anew" in done.err and "source.snapshot.consistent" in done.err
    shop.assert_like_fresh()
    assert shop.mongo.orders.count_documents({"n": 2}) == ROWS


@pytest.mark.parametrize("how", ["stop", "other mode"])
def test_other_ways_through_an_interruption(migrate, pg, how):  # noqa: F811
    """A stop is one like a kill; without the option what is there is gone on with."""
    shop = slow(migrate, FLAT)
    running = shop.start(wait=False)
    copied(shop, 300)
    running.stop().expect(0)
    pg.execute("UPDATE orders SET n = 3")
    if how == "other mode":
        shop.config["source"]["snapshot"]["consistent"] = False
        shop.program.configure(shop.config)
    done = shop.catch_up()
    assert ("copy_begins_anew" in done.err) == (how == "stop")
    shop.assert_like_fresh()


@pytest.mark.sanitize
@pytest.mark.parametrize("slot", ["new", "existing"])
def test_a_session_that_is_lost_is_made_up_for(migrate, pg, slot):  # noqa: F811
    shop = slow(migrate, TREE)
    if slot == "existing":
        shop.snapshot()
    options = ["--catch-up"] + (["--recopy", "orders"] if slot == "existing" else [])
    running = shop.start(*options, wait=False)
    if slot == "existing":
        wait_until(lambda: shop.mongo.orders.count_documents({}) < ROWS, 20, "an emptied collection")
    copied(shop)
    pg.execute("UPDATE orders SET n = 9")
    pg.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
               " AND application_name LIKE 'banyan%%'", [pg.name])
    done = running.wait(60).expect(0)
    assert "copy_begins_anew" in done.err
    shop.assert_like_fresh()
    assert shop.mongo.orders.count_documents({"n": 9}) == ROWS


def test_vacuum_is_let_go_after_the_copy(migrate, pg):  # noqa: F811
    shop = slow(migrate, FLAT)
    with shop.streaming():
        old = pg.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s AND"
                         " application_name LIKE 'banyan%%' AND backend_xmin IS NOT NULL", [pg.name])
        assert old == []


def rewrite(pg, table):
    """ALTER TABLE that changes nothing the log would tell of, committed once a chunk waits for it."""
    with pg.connect(autocommit=False) as connection:
        connection.execute(f"ALTER TABLE {table} ALTER COLUMN n TYPE int USING n + 0")
        wait_until(lambda: pg.execute(
            "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND"
            " a.datname = %s AND a.application_name LIKE 'banyan%%'", [pg.name]), 20, "a chunk that waits")
        connection.commit()


def test_a_table_written_anew_is_not_empty(migrate, pg):  # noqa: F811
    """Batches of the chunk are in the target before it shows; the next reading takes their place."""
    shop = migrate(TREE, TABLES, source={"snapshot": {"chunk_rows": 1000, "threads": 1}},
                   target={"writes_per_second": 500, "batch": {"operations": 5}})
    running = shop.start("--catch-up", wait=False)
    wait_until(lambda: shop.mongo.orders.count_documents({}) > 0, 20, "a first batch")
    rewrite(pg, "items")
    done = running.wait(60).expect(0)
    assert "table public.items was written anew" in done.err
    shop.assert_like_fresh()
    assert shop.mongo.orders.count_documents({}) == ROWS


@pytest.mark.parametrize("statement", ["ALTER TABLE items ALTER COLUMN n TYPE int USING n + 0",
                                       "TRUNCATE items"])
def test_a_table_written_anew_is_not_in_the_one_snapshot(migrate, pg, statement):  # noqa: F811
    """It is read in a newer one, and the rest of the collection too."""
    shop = slow(migrate, TREE | {"others": {"table": "orders"}})
    running = shop.start(wait=False)
    copied(shop)
    pg.execute(statement)
    copied(shop, 600)
    pg.execute("INSERT INTO items VALUES (5, 2, 2), (995, 2, 2); UPDATE orders SET n = 3 WHERE id = 995")
    running.wait_for("catching up: |streaming: ", 30)
    done = running.stop().expect(0)
    assert "table public.items was written anew" in done.err and "copy_begins_anew" not in done.err
    assert done.err.count("one_snapshot_left collection=orders") == 1
    shop.catch_up()
    shop.assert_like_fresh()
    assert shop.mongo.others.count_documents({}) == ROWS


def test_a_refresh_does_not_see_an_empty_table(migrate, pg):  # noqa: F811
    """A document is read again while its table is written anew: its row is there all the same."""
    shop = migrate(TREE, TABLES)
    with shop.streaming():
        with pg.connect(autocommit=False) as connection:
            connection.execute("ALTER TABLE orders ALTER COLUMN n TYPE int USING n + 0")
            pg.execute("UPDATE items SET n = 5 WHERE order_id = 5")
            wait_until(lambda: pg.execute(
                "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND"
                " a.datname = %s AND a.application_name LIKE 'banyan%%'", [pg.name]), 20,
                "a refresh that waits")
            connection.commit()
        shop.wait_for_document("orders", {"items.n": 5})
    assert shop.mongo.orders.count_documents({}) == ROWS

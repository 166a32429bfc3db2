"""A table that is dropped and made again under its name is another table: its changes are not in the log that is followed."""
import pytest

from harness.migration import migrate  # pylint: disable=unused-import
from harness.process import wait_until

MAPPING = {"t": {"table": "t"}, "kept": {"table": "kept"},
           "parents": {"table": "parents", "embed": {"kids": {"table": "kids", "join": {"parent": "id"}}}}}
TABLES = """
    CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE kept (id int PRIMARY KEY, v text);
    CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE kids (id int PRIMARY KEY, parent int, v text); CREATE INDEX ON kids (parent);
    INSERT INTO t SELECT i, 'old' FROM generate_series(1, 300) i; INSERT INTO kept VALUES (1, 'a');
    INSERT INTO parents VALUES (1); INSERT INTO kids VALUES (1, 1, 'old')"""
T_AGAIN = """DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, 'new' FROM generate_series(1, 200) i"""
KIDS_AGAIN = """DROP TABLE kids; CREATE TABLE kids (id int PRIMARY KEY, parent int, v text); CREATE INDEX ON kids (parent);
    INSERT INTO kids VALUES (7, 1, 'new')"""
TOLD = r"collection_stopped collection={}.*table public.{} was dropped or made again"


@pytest.fixture
def shop(migrate):
    return migrate(MAPPING, TABLES, source={"heartbeat": "300ms"})


def _mend(shop, collection):
    """The way out: nothing of the old table stays, and the new one's changes are followed."""
    found = shop.run("--catch-up").expect(1).err
    assert f"--recopy {collection}" in found
    shop.run("--catch-up", "--recopy", collection).expect(0)
    shop.pg.execute("INSERT INTO t VALUES (1000, 'later'); INSERT INTO kids VALUES (1000, 1, 'later'); UPDATE kept SET v = 'later'")
    shop.catch_up()
    assert shop.document("t", 1000)
    shop.assert_like_fresh()


@pytest.mark.sanitize
@pytest.mark.parametrize("consistent", [False, True])
def test_during_the_copy(migrate, consistent):
    slow = {"threads": 1, "chunk_rows": 100, "rows_per_second": 100, "consistent": consistent}
    shop = migrate(MAPPING, TABLES, source={"heartbeat": "300ms", "snapshot": slow})
    running = shop.start(wait=False)
    wait_until(lambda: shop.mongo.t.count_documents({}), 20, "the copy has begun")
    shop.pg.execute("UPDATE t SET v = 'changed' WHERE id = 300; " + T_AGAIN)
    running.wait_for(TOLD.format("t", "t"), 30)
    shop.wait_for_document("kept", {"v": "a"})
    shop.pg.execute("UPDATE kept SET v = 'flows'")
    shop.wait_for_document("kept", {"v": "flows"})
    running.stop()
    _mend(shop, "t")


@pytest.mark.sanitize
@pytest.mark.parametrize("again, collection, table", [(T_AGAIN, "t", "t"), (KIDS_AGAIN, "parents", "kids"), ("DROP TABLE t", "t", "t")])
def test_while_it_streams(shop, again, collection, table):
    """The rows that the log still has of the old table are nothing of the new one's."""
    running = shop.start()
    shop.wait_for_document("t", {"_id": 300})
    shop.pg.execute("INSERT INTO t VALUES (5000, 'old'); " + again)
    running.wait_for(TOLD.format(collection, table), 20)
    shop.pg.execute("UPDATE kept SET v = 'flows'")
    shop.wait_for_document("kept", {"v": "flows"})
    running.stop()
    if again == "DROP TABLE t":
        shop.pg.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    _mend(shop, collection)


def test_while_it_does_not_run(shop):
    shop.catch_up()
    shop.pg.execute("INSERT INTO t VALUES (5000, 'old'); " + T_AGAIN)
    found = shop.run("--catch-up").expect(1).err
    assert "table public.t was dropped or made again" in found
    _mend(shop, "t")


def test_a_table_that_left_the_publication_while_it_does_not_run(shop):
    shop.catch_up()
    shop.pg.execute("""DO $$ BEGIN EXECUTE format('ALTER PUBLICATION %I DROP TABLE t', (SELECT pubname FROM pg_publication)); END $$;
                       UPDATE t SET v = 'unseen'""")
    assert "collection_stopped collection=t" in shop.run("--catch-up").expect(1).err
    _mend(shop, "t")

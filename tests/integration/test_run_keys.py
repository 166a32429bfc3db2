"""Identity: what `_id` becomes, key changes, and tables without a primary key."""
import pytest

from bson import Decimal128

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import


@pytest.mark.sanitize
def test_composite_keys_are_documents_in_key_order(migrate, pg):
    shop = migrate({"t": {"table": "t"}, "u": {"table": "t", "id": ["b", "a"], "keep_id": True}}, """
        CREATE TABLE t (b int, v int, a text, PRIMARY KEY (a, b), UNIQUE (b, a));
        INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'x')""")
    shop.snapshot()
    pg.execute("UPDATE t SET b = b + 2; UPDATE t SET v = 0 WHERE b = 3; DELETE FROM t WHERE b = 4")
    shop.catch_up()
    documents = shop.documents("t")
    assert documents == [{"_id": {"a": "x", "b": 3}, "v": 0}]
    assert list(documents[0]["_id"]) == ["a", "b"]
    other = shop.documents("u")
    assert other == [{"_id": {"b": 3, "a": "x"}, "b": 3, "v": 0, "a": "x"}]
    assert list(other[0]["_id"]) == ["b", "a"]


def test_equal_numeric_keys_are_one_document(migrate, pg):
    """1.0 becoming 1.00 is no key change; its children join by SQL's equality."""
    shop = migrate({"t": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"n": "n"}}}},
                    "flat": {"table": "t"}}, """
        CREATE TABLE t (n numeric PRIMARY KEY, v int); CREATE TABLE kids (id int PRIMARY KEY, n numeric);
        INSERT INTO t VALUES (1.0, 1), (100, 2), (-0.0, 3); INSERT INTO kids VALUES (1, 1.000), (2, 1e2)""")
    shop.snapshot()
    pg.execute("UPDATE t SET n = 1.00, v = 9 WHERE n = 1; INSERT INTO kids VALUES (3, 1)")
    shop.catch_up()
    assert shop.documents("flat") == [{"_id": Decimal128("0"), "v": 3}, {"_id": Decimal128("1"), "v": 9},
                                      {"_id": Decimal128("100"), "v": 2}]
    assert [k["id"] for k in shop.document("t", Decimal128("1"))["kids"]] == [1, 3]
    assert [k["id"] for k in shop.document("t", Decimal128("100"))["kids"]] == [2]


WEIRD = ["", " ", "a.b", "$x", "it's", '"', "\\", "NULL", "null", "é", "e\u0301", "日本", "🌳", "a\nb", "x" * 500]


def test_any_text_is_a_key(migrate, pg):
    shop = migrate({"t": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"k": "k"}}}},
                    "flat": {"table": "t"}}, """
        CREATE TABLE t (k text PRIMARY KEY, v int); CREATE TABLE kids (id int PRIMARY KEY, k text)""")

    def insert(keys, first):
        with pg.connect() as connection:
            for number, key in enumerate(keys, first):
                connection.execute("INSERT INTO t VALUES (%s, 0)", [key])
                connection.execute("INSERT INTO kids VALUES (%s, %s)", [number, key])

    insert(WEIRD[::2], 0)
    shop.snapshot()
    insert(WEIRD[1::2], 100)
    pg.execute("UPDATE t SET v = 1")
    shop.catch_up()
    assert sorted(d["_id"] for d in shop.documents("flat")) == sorted(WEIRD)
    assert all(d["v"] == 1 for d in shop.documents("flat"))
    assert all(len(d["kids"]) == 1 and d["v"] == 1 for d in shop.documents("t"))


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_two_rows_swap_keys_and_long_values(migrate, pg, identity):
    """The values are out of line and not in the log; they must not stay with the key."""
    shop = migrate({"t": {"table": "t"}}, f"""
        CREATE TABLE t (id int PRIMARY KEY, big text, v int);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL, REPLICA IDENTITY {identity};
        INSERT INTO t VALUES (1, repeat('one', 5000), 1), (2, repeat('two', 5000), 2)""")
    shop.snapshot()
    pg.execute("BEGIN; UPDATE t SET id = 3 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2;"
               "UPDATE t SET id = 2 WHERE id = 3; COMMIT")
    shop.catch_up()
    assert [(d["_id"], d["big"][:3], d["v"]) for d in shop.documents("t")] == [(1, "two", 2), (2, "one", 1)]


def test_a_unique_index_as_replica_identity(migrate, pg):
    shop = migrate({"t": {"table": "t"}}, """
        CREATE TABLE t (a int NOT NULL, b text NOT NULL, v int);
        CREATE UNIQUE INDEX ab ON t (a, b); ALTER TABLE t REPLICA IDENTITY USING INDEX ab;
        INSERT INTO t VALUES (1, 'x', 1), (1, 'y', 2)""")
    shop.snapshot()
    pg.execute("UPDATE t SET v = 3 WHERE b = 'x'; UPDATE t SET a = 2 WHERE b = 'y'")
    shop.catch_up()
    assert shop.documents("t") == [{"_id": {"a": 1, "b": "x"}, "v": 3}, {"_id": {"a": 2, "b": "y"}, "v": 2}]


def test_full_identity_with_a_unique_index(migrate, pg):
    shop = migrate({"t": {"table": "t"}}, """
        CREATE TABLE t (a int NOT NULL UNIQUE, v int); ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t VALUES (1, 1)""")
    shop.snapshot()
    pg.execute("UPDATE t SET a = 2; INSERT INTO t VALUES (1, 5); DELETE FROM t WHERE a = 2")
    shop.catch_up()
    assert shop.documents("t") == [{"_id": 1, "v": 5}]


REFUSED = {
    "no key at all": ("CREATE TABLE t (a int)", "primary key"),
    "full identity, equal rows": ("CREATE TABLE t (a int); ALTER TABLE t REPLICA IDENTITY FULL", "primary key"),
    "identity nothing": ("CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING",
                         "REPLICA IDENTITY"),
    "nullable unique column": ("CREATE TABLE t (a int UNIQUE); ALTER TABLE t REPLICA IDENTITY FULL", "NOT"),
    "timestamp key": ("CREATE TABLE t (at timestamptz PRIMARY KEY)", "microseconds"),
    "float key": ("CREATE TABLE t (f float8 PRIMARY KEY)", "cannot be part of _id"),
    "interval key": ("CREATE TABLE t (i interval PRIMARY KEY)", "cannot be part of _id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_keys_that_are_refused(migrate, pg, name):
    """With the repair; and before anything is created: publishing such a table would make the
    application's own UPDATE fail."""
    ddl, repair = REFUSED[name]
    shop = migrate({"t": {"table": "t"}}, ddl)
    result = shop.run("--snapshot-only").expect(2)
    assert "banyan.yml:" in result.err and repair in result.err
    assert pg.execute("SELECT count(*) FROM pg_publication") == [(0,)]
    assert pg.execute("SELECT count(*) FROM pg_replication_slots WHERE database = %s", [pg.name]) == [(0,)]
    assert shop.mongo.list_collection_names() == []


@pytest.mark.parametrize("mapping, place", [
    ({"id": ["v"]}, "v"), ({"id": ["a", "a"]}, "twice"), ({"id": ["b"]}, "unique"), ({"id": ["zz"]}, "zz")])
def test_declared_ids_that_are_refused(migrate, mapping, place):
    shop = migrate({"t": {"table": "t"} | mapping},
                   "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL, v int)")
    result = shop.run("--snapshot-only").expect(2)
    assert place in result.err and "banyan.yml:" in result.err

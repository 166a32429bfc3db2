"""Values that are stored out of line: an UPDATE that leaves them as they are does not log them."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import

TABLE = """
CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(md5(n || ':' || i), '') FROM generate_series(1, 400) i $$;
CREATE TABLE t (id int PRIMARY KEY, a text, b text, v int);
CREATE TABLE kids (id int PRIMARY KEY, t_id int, big text);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
ALTER TABLE kids ALTER big SET STORAGE EXTERNAL;
"""
ROWS = "INSERT INTO t SELECT i, noise(i), noise(-i), 0 FROM generate_series(1, 5) i;" \
       "INSERT INTO kids SELECT i, i, noise(100 + i) FROM generate_series(1, 5) i"


@pytest.fixture(params=["DEFAULT", "FULL"])
def shop(migrate, request):
    return migrate({
        "t": {"table": "t"},
        "omitting": {"table": "t", "nulls": "omit", "fields": {"a": {"as": "x", "type": "binary"}}},
        "tree": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"t_id": "id"}}}}},
        TABLE + f"ALTER TABLE t REPLICA IDENTITY {request.param};" + ROWS)


def test_updates_that_leave_long_values_unchanged(shop, pg):
    shop.snapshot()
    long_before = {d["_id"]: (d["a"], d["b"]) for d in shop.documents("t")}
    pg.execute("UPDATE t SET v = 1; UPDATE t SET v = 2, b = 'short' WHERE id = 2;"
               "UPDATE t SET a = NULL WHERE id = 3; UPDATE kids SET t_id = 1 WHERE id = 2")
    shop.catch_up()
    documents = {d["_id"]: d for d in shop.documents("t")}
    assert {i: d["v"] for i, d in documents.items()} == {1: 1, 2: 2, 3: 1, 4: 1, 5: 1}
    assert (documents[1]["a"], documents[1]["b"]) == long_before[1]
    assert documents[2]["b"] == "short" and documents[2]["a"] == long_before[2][0]
    assert documents[3]["a"] is None and documents[3]["b"] == long_before[3][1]
    shop.assert_like_fresh()


def test_many_changes_of_one_row_in_one_transaction(shop, pg):
    shop.snapshot()
    pg.execute("BEGIN; UPDATE t SET v = 1 WHERE id = 1; UPDATE t SET a = 'x' WHERE id = 1;"
               "UPDATE t SET v = 2 WHERE id = 1; UPDATE t SET a = noise(77) WHERE id = 1;"
               "UPDATE t SET v = 3 WHERE id = 1; COMMIT;"
               "BEGIN; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, noise(88), NULL, 0);"
               "UPDATE t SET v = 4 WHERE id = 2; COMMIT")
    shop.catch_up()
    assert [d["v"] for d in shop.documents("t")[:2]] == [3, 4]
    shop.assert_like_fresh()


@pytest.mark.sanitize
def test_a_long_value_of_a_row_that_is_gone(shop, pg):
    """The update finds no document and reads the row: it is deleted, or has another key, by then."""
    shop.snapshot()
    pg.execute("INSERT INTO t SELECT i, noise(i), noise(-i), 0 FROM generate_series(10, 30) i")
    pg.execute("UPDATE t SET v = 1 WHERE id >= 10")
    pg.execute("UPDATE t SET id = id + 100 WHERE id BETWEEN 10 AND 19")
    pg.execute("UPDATE t SET v = 2 WHERE id >= 10; DELETE FROM t WHERE id BETWEEN 20 AND 25")
    shop.catch_up()
    assert [d["_id"] for d in shop.documents("t")] == [1, 2, 3, 4, 5, *range(26, 31), *range(110, 120)]
    shop.assert_like_fresh()


def test_long_values_changed_while_streaming(shop, pg):
    shop.snapshot()
    with shop.streaming():
        for n in range(20):
            pg.execute("UPDATE t SET v = %s, a = CASE WHEN %s %% 4 = id %% 4 THEN noise(%s) ELSE a END",
                       [n, n, n])
    shop.assert_like_fresh()

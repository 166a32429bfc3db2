"""Memory stays flat however large a transaction is: the limit is 64 MB and three times the largest
row (`make bench` does this with five million rows)."""
import pytest

from harness.memory import peak_of
from harness.stub import stub  # noqa: F401  pylint: disable=unused-import

MEGABYTE = 1 << 20
ROWS = 200_000
TABLES = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE kids (t_id int, no int, v text, PRIMARY KEY (t_id, no))"
MAPPINGS = {
    "flat": {"t": {"table": "t"}},
    "embedded": {"t": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"t_id": "id"}}}}},
}
# Inserts and updates carry more text than the limit; the others many keys.
CHANGES = {
    "inserts": f"INSERT INTO t SELECT i, repeat('v', 400) FROM generate_series(1, {ROWS}) i",
    "updates": "UPDATE t SET v = repeat('w', 400)",
    "children": f"INSERT INTO kids SELECT i, 1, repeat('k', 400) FROM generate_series(1, {ROWS // 3}) i",
    "deletes": "DELETE FROM t",
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_one_transaction_of_very_many_rows(pg, banyan, stub, name):  # noqa: F811
    pg.execute(TABLES)
    made = banyan({"source": {"uri": pg.uri}, "target": {"uri": stub(), "database": "d"},
                   "modules": {"m": {"collections": MAPPINGS[name]}}})
    made.run("run", "m", "--catch-up").expect(0)
    for change, statement in CHANGES.items():
        pg.execute(statement)
        running = made.start("run", "m", "--catch-up")
        peak = peak_of(running)
        running.wait(200).expect(0)
        assert 0 < peak() < 64 * MEGABYTE, f"{change}: {peak() / MEGABYTE:.0f} MB"


def test_a_copy_of_very_many_rows(pg, banyan, stub):  # noqa: F811
    pg.execute(TABLES + ";" + CHANGES["inserts"] + ";" + CHANGES["children"])
    made = banyan({"source": {"uri": pg.uri}, "target": {"uri": stub(), "database": "d"},
                   "modules": {"m": {"collections": MAPPINGS["embedded"] | {"flat": {"table": "t"}}}}})
    running = made.start("run", "m", "--snapshot-only")
    peak = peak_of(running)
    running.wait(200).expect(0)
    assert 0 < peak() < 64 * MEGABYTE, f"{peak() / MEGABYTE:.0f} MB"

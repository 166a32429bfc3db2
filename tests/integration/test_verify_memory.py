"""banyan verify: memory, where every document is very large and different."""
import json

from harness.memory import peak_of

MEGABYTE = 1 << 20
DOCUMENT = 8 * MEGABYTE
COUNT = 40  # 200 behave alike, in two minutes
# What the program promises: 64 MB and three times the largest row.
PROMISE = 64 * MEGABYTE + 3 * DOCUMENT


def test_large_documents_that_all_differ(pg, private_mongo, banyan):
    server = private_mongo()  # on disk: the store in memory holds 64 MB of changes
    pg.execute(f"""CREATE TABLE t (id int PRIMARY KEY, v text);
                   INSERT INTO t SELECT i, repeat('{'x' * 64}', {DOCUMENT} / 64)
                   FROM generate_series(1, {COUNT}) i""")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": server.uri(), "database": "large"},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    made.run("run", "m", "--catch-up", timeout=400).expect(0)
    with server.client() as client:
        client.large.t.update_many({}, {"$set": {"more": 1}})
    verify = made.start("verify", "m", "--json")
    peak = peak_of(verify)
    result = verify.wait(400).expect(1)
    totals = json.loads(result.out.splitlines()[-1])
    assert totals["different"] == COUNT and totals["unsettled"] == 0
    assert 0 < peak() < PROMISE, f"{peak() / MEGABYTE:.0f} MB"

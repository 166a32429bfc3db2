"""What is refused, what stops, and what the user is told to do."""
import re
import sqlite3

import pytest

from harness.migration import MODULE, Migration, migrate  # noqa: F401  pylint: disable=unused-import
from harness.postgres import Database
from harness.process import wait_until
from harness.secantus import Secantus

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v text, j jsonb);
CREATE TABLE kids (id int PRIMARY KEY, t_id int, at timestamp, u uuid);
"""
UNIQUE = "ALTER TABLE t ALTER v SET NOT NULL;"
FLAT = {"t": {"table": "t"}}
HEAD = """source:
  uri: {pg}
target:
  uri: "{mongo}"
  database: {database}
modules:
  shop:
    collections:
"""
KIDS = "kids: {table: kids, join: {t_id: id}"
# What stands below `collections:`, with a @ before the place that the message must name; words of
# the message.
MISTAKES = {
    "unknown table": ("t: {table: @public.tt}", ["unknown table", "public.t"]),
    "unknown schema": ("t: {table: @other.t}", ["unknown table"]),
    "unknown column in only": ("t: {table: t, only: [id, @vv]}", ["unknown column 'vv'", "'v'"]),
    "unknown column in fields": ("t: {table: t, fields: {@x: y}}", ["unknown column 'x'"]),
    "unknown column in add": ("t: {table: t, add: {a: {column: @x}}}", ["unknown column 'x'"]),
    "unknown join column": ("t: {table: t, embed: {kids: {table: kids, join: {@x: id}}}}",
                            ["unknown column 'x'"]),
    "unknown parent column": ("t: {table: t, embed: {kids: {table: kids, join: {t_id: @x}}}}",
                              ["unknown column 'x'"]),
    "impossible join": ("t: {table: t, embed: {kids: {table: kids, join: {@u: id}}}}",
                        ["impossible", "uuid"]),
    "unknown order column": ("t: {table: t, embed: {kids: {table: kids, join: {t_id: id}, order: [@x]}}}",
                             ["unknown column 'x'"]),
    "unknown key": ("t: {@tabel: t}", ["unknown key 'tabel'", "'table'"]),
    "no table": ("@t: {only: [id]}", ["table"]),
    "two collections of one name": ("t: {table: t}\n      @t: {table: kids}", ["t"]),
    "two fields of one name": ("t: {table: @t, fields: {v: j}}", ["'j'"]),
    "impossible type": ("kids: {table: kids, fields: {u: {type: @int32}}}", ["uuid", "int32"]),
    "unknown type": ("t: {table: t, fields: {v: {type: @varchar}}}", ["varchar", "string"]),
    "a computed column": ("t: {table: t, fields: {m: {@sql: v}}}", ["sql"]),
    "where": ("t: {table: t, @where: v = 'a'}", ["where"]),
    "a validator": ("t: {table: t, @validator: auto}", ["validator"]),
    "time series": ("t: {table: t, @time_series: {time: v}}", ["time_series"]),
    "a dotted name": ("t: {table: t, fields: {v: @a.b}}", ["a.b"]),
    "a view": ("t: {table: @view}", ["view"]),
    "a partitioned table": ("t: {table: @parts}", ["partitioned"]),
    "a unique index over a column that may be null": (
        "t: {table: t, indexes: [{keys: {@v: 1}, unique: true}]}", ["NULL"]),
}


def _assert_nothing_was_made(shop, pg):
    assert pg.execute("SELECT count(*) FROM pg_publication") == [(0,)]
    assert pg.execute("SELECT count(*) FROM pg_replication_slots WHERE database = %s", [pg.name]) == [(0,)]
    assert shop.mongo.list_collection_names() == []


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_the_file(migrate, pg, mongo_server, name):
    mapping, words = MISTAKES[name]
    shop = migrate(FLAT, TABLE + "CREATE VIEW view AS SELECT 1 AS id;"
                   "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    head = HEAD.format(pg=pg.uri, mongo=mongo_server.uri(), database=shop.mongo.name)
    start = head + "      "
    at = mapping.index("@")
    lines = (start + mapping[:at]).split("\n")
    shop.program.configure(start + mapping.replace("@", "", 1) + "\n")
    result = shop.run("--catch-up").expect(2)
    assert f"banyan.yml:{len(lines)}:{len(lines[-1]) + 1}: " in result.err, result.err
    for word in words:
        assert word in result.err, result.err
    _assert_nothing_was_made(shop, pg)


def test_a_file_that_is_no_yaml(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.program.configure("source: {uri: x\n")
    assert "banyan.yml:" in shop.run("--catch-up").expect(2).err
    _assert_nothing_was_made(shop, pg)


@pytest.mark.parametrize("arguments, word", [
    (["run"], "one module"), (["run", "shop", "x"], "one module"), (["run", "nothing"], "unknown module"),
    (["run", "shop", "--catch-upp"], "--catch-up"), (["rnu", "shop"], "run"),
    (["run", "shop", "--recopy", "x"], "no collection 'x'"),
    (["run", "shop", "--catch-up", "--snapshot-only"], "exclude"), (["-c", "none.yml", "run", "shop"], "none.yml")])
def test_mistakes_on_the_command_line(migrate, pg, arguments, word):
    shop = migrate(FLAT, TABLE)
    result = shop.program.run(*arguments).expect(2)
    assert word in result.err
    _assert_nothing_was_made(shop, pg)


def test_a_feature_that_is_not_built_is_refused_by_name(migrate, pg):
    shop = migrate(FLAT, TABLE, target={"atomic": True})
    assert "atomic" in shop.run("--catch-up").expect(2).err
    _assert_nothing_was_made(shop, pg)


def test_servers_out_of_reach(migrate, pg, mongo_server, proxy):
    dead = proxy(1).port
    shop = migrate(FLAT, TABLE, source={"uri": f"postgresql://postgres@127.0.0.1:{dead}/x"})
    assert "source" in shop.run("--catch-up").expect(3).err
    shop = migrate(FLAT, target={"uri": f"mongodb://127.0.0.1:{dead}/?serverSelectionTimeoutMS=1000"})
    assert "target" in shop.run("--catch-up").expect(3).err


def test_wal_level(migrate, banyan, private_pg, mongo_server, mongo):
    server = private_pg(options={"wal_level": "replica"})
    server.execute("CREATE TABLE t (id int PRIMARY KEY)")
    program = banyan({"source": {"uri": server.uri()},
                      "target": {"uri": mongo_server.uri(), "database": mongo.name},
                      "modules": {"shop": {"collections": FLAT}}})
    result = program.run("run", "shop").expect(2)
    assert "wal_level" in result.err and "ALTER SYSTEM" in result.err


def test_a_target_that_is_not_empty(migrate, pg):
    shop = migrate(FLAT, TABLE + "INSERT INTO t VALUES (1)")
    shop.mongo.t.insert_one({"_id": "somebody's"})
    result = shop.run("--catch-up").expect(2)
    assert "already holds documents" in result.err and "--recopy t" in result.err
    assert shop.mongo.t.count_documents({}) == 1
    shop.run("--catch-up", "--recopy", "t").expect(0)
    assert [d["_id"] for d in shop.documents("t")] == [1]


@pytest.mark.sanitize
def test_a_slot_that_is_gone(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    pg.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
               [pg.name])
    result = shop.run("--catch-up").expect(3)
    assert "is gone" in result.err and "--recopy all" in result.err


def test_a_slot_that_was_invalidated(migrate, banyan, private_pg, mongo_server, mongo):
    server = private_pg(options={"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB",
                                 "min_wal_size": "32MB"})
    server.execute("CREATE TABLE t (id int PRIMARY KEY)")
    program = banyan({"source": {"uri": server.uri()},
                      "target": {"uri": mongo_server.uri(), "database": mongo.name},
                      "modules": {"shop": {"collections": FLAT}}})
    program.run("run", "shop", "--catch-up").expect(0)
    for _ in range(6):
        server.execute("SELECT pg_switch_wal()")
        server.execute("CREATE TABLE x AS SELECT 1; DROP TABLE x")
    server.execute("CHECKPOINT")
    result = program.run("run", "shop", "--catch-up").expect(3)
    assert "invalidated" in result.err and "--recopy all" in result.err
    server.execute("INSERT INTO t VALUES (1)")
    program.run("run", "shop", "--catch-up", "--recopy", "all").expect(0)
    assert mongo.t.count_documents({}) == 1


def test_a_server_of_another_system_identifier(migrate, pg, private_pg):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    other = private_pg()
    other.execute(f'CREATE DATABASE "{pg.name}"')
    other.execute(TABLE, database=pg.name)
    shop.config["source"]["uri"] = other.uri(pg.name)
    shop.program.configure(shop.config)
    result = shop.run("--catch-up").expect(3)
    assert "system" in result.err
    assert other.execute("SELECT count(*) FROM pg_replication_slots") == [(0,)]


@pytest.mark.parametrize("first, second", [(MODULE, MODULE), (MODULE, "all"), ("all", MODULE)])
def test_a_second_process_names_the_first(migrate, first, second):
    shop = migrate(FLAT, TABLE)
    shop.module = first
    running = shop.start()
    shop.module = second
    result = shop.run("--catch-up").expect(3)
    assert str(running.pid) in result.err and f"run {first}" in result.err
    running.stop().expect(0)


def test_a_document_that_is_too_large_in_the_copy(migrate, pg):
    shop = migrate({"t": {"table": "t"}, "kids": {"table": "kids"}}, TABLE +
                   "INSERT INTO t VALUES (1, 'ok'), (2, repeat('x', 17 * 1024 * 1024)); INSERT INTO kids VALUES (1)")
    assert "1 documents are parked" in shop.run("--snapshot-only").expect(1).err
    assert shop.mongo.kids.count_documents({}) == shop.mongo.t.count_documents({}) == 1
    pg.execute("UPDATE t SET v = 'short' WHERE id = 2")
    shop.catch_up()
    assert shop.mongo.t.find_one({"_id": 2})["v"] == "short"


def test_a_unique_index_that_cannot_be_built_is_reported_while_data_flows(migrate, pg):
    shop = migrate({"t": {"table": "t", "indexes": [{"keys": {"v": 1}, "unique": True}]}},
                   TABLE + UNIQUE + "INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    result = shop.run("--catch-up").expect(1)
    assert "index" in result.err
    assert shop.mongo.t.count_documents({}) == 2


@pytest.mark.parametrize("statement", [
    "ALTER TABLE t DROP COLUMN v", "ALTER TABLE t ALTER v TYPE int USING 1",
    "ALTER TABLE t RENAME v TO w", "ALTER TABLE t ADD extra int DEFAULT 5"])
def test_a_changed_table_stops_its_collection_only(migrate, pg, statement):
    shop = migrate({"t": {"table": "t"}, "kids": {"table": "kids"}}, TABLE + "INSERT INTO t VALUES (1, '1')")
    shop.snapshot()
    pg.execute(statement + "; INSERT INTO t (id) VALUES (2); INSERT INTO kids VALUES (1)")
    result = shop.run("--catch-up")
    # Where the file still fits the table, or names no column of it, the next run may find out first.
    assert result.code in (1, 2) and ("--recopy t" in result.err), result.err


def test_a_state_file_that_cannot_be_written(migrate):
    shop = migrate(FLAT, TABLE)
    result = shop.program.run("--state", "/proc/none/x.db", "run", "shop", "--catch-up").expect(3)
    assert "/proc/none/x.db" in result.err


def test_a_state_file_that_is_none(migrate):
    shop = migrate(FLAT, TABLE)
    (shop.program.folder / "bad.db").write_bytes(b"not a database" * 100)
    result = shop.program.run("--state", "bad.db", "run", "shop", "--catch-up").expect(3)
    assert "bad.db" in result.err


def test_a_damaged_chunk_bound_is_an_error(migrate):
    shop = migrate(FLAT, TABLE + "INSERT INTO t SELECT i FROM generate_series(1, 2000) i",
                   source={"snapshot": {"chunk_rows": 100}}, target={"writes_per_second": 500})
    running = shop.start(wait=False)
    wait_until(lambda: shop.mongo.t.count_documents({}) > 200, 20, "some documents")
    running.kill9()
    with sqlite3.connect(shop.program.folder / "banyan.db") as state:
        tables = [name for name, in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        chunks = next(name for name in tables if "chunk" in name)
        columns = [row[1] for row in state.execute(f"PRAGMA table_info({chunks})")]
        upper = next(name for name in columns if "upper" in name)
        state.execute(f"UPDATE {chunks} SET {upper} = x'ffffffff'")
    result = shop.run("--catch-up").expect(3)
    assert "--recopy t" in result.err


ERRORS = [{"errorCode": 112}, {"errorCode": 189}, {"errorCode": 91}, {"errorCode": 11600},
          {"closeConnection": True}, {"writeConcernError": {"code": 64, "errmsg": "timed out"}}]


@pytest.fixture(scope="module")
def failing_mongo(server_folder):
    server = Secantus(server_folder / "failing", memory=True, test_commands=True).start()
    yield server
    server.remove()


def test_target_errors_that_pass_are_retried(migrate, pg, failing_mongo):
    shop = migrate(FLAT | {"tree": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"t_id": "id"}}}}},
                   TABLE, target={"uri": failing_mongo.uri()})
    with failing_mongo.client() as client:
        target = client[shop.mongo.name].t
        running = shop.start()
        for n, error in enumerate(ERRORS):
            failing_mongo.fail(["insert", "update", "delete", "find"], times=3, **error)
            pg.execute("INSERT INTO t VALUES (%s, 'x')", [n])
            pg.execute("UPDATE t SET v = 'y' WHERE id = %s", [n])
            pg.execute("INSERT INTO kids (id, t_id) VALUES (%s, %s)", [n, n])
            wait_until(lambda n=n: target.find_one({"_id": n, "v": "y"}), 40, f"{error} survived")
            failing_mongo.heal()
        running.stop().expect(0)
        shop.catch_up()
        assert target.count_documents({}) == len(ERRORS)
        assert [len(d["kids"]) for d in client[shop.mongo.name].tree.find()] == [1] * len(ERRORS)


def test_a_delete_that_is_not_acknowledged_did_not_happen(migrate, failing_mongo):
    shop = migrate(FLAT, TABLE + "INSERT INTO t VALUES (1, 'a')", target={"uri": failing_mongo.uri()})
    shop.catch_up()
    failing_mongo.fail(["delete"], writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    ended = shop.run("--catch-up", "--recopy", "t").expect(3)
    assert "delete all documents" in ended.err and "waiting for replication timed out" in ended.err
    shop.catch_up()


def test_a_delete_that_takes_long_goes_on(migrate, failing_mongo):
    """Like every write it has a time limit, behind which nothing of an earlier process can still run."""
    shop = migrate(FLAT, TABLE + "INSERT INTO t VALUES (1, 'a')", target={"uri": failing_mongo.uri()})
    shop.catch_up()
    failing_mongo.fail(["delete"], times=2, errorCode=50)
    shop.run("--catch-up", "--recopy", "t").expect(0)


@pytest.mark.parametrize("command, statement", [
    ("find", "UPDATE kids SET t_id = 2"), ("delete", "TRUNCATE t")])
@pytest.mark.parametrize("code", [13, 18])
def test_a_target_that_lets_us_in_no_more_ends_the_run_only(migrate, pg, failing_mongo, command, statement, code):
    """As a source that does: no collection is stopped by it, and nothing is to be copied again."""
    shop = migrate({"tree": {"table": "t", "embed": {"kids": {"table": "kids", "join": {"t_id": "id"}}}}},
                   TABLE + "INSERT INTO t VALUES (1), (2); INSERT INTO kids (id, t_id) VALUES (7, 1)",
                   target={"uri": failing_mongo.uri()})
    shop.catch_up()
    running = shop.start()
    failing_mongo.fail([command], times="alwaysOn", errorCode=code)
    pg.execute(statement)
    try:
        assert "target: " in running.wait(30).expect(3).err
    finally:
        failing_mongo.heal()
    shop.catch_up()


@pytest.fixture
def watched(migrate, failing_mongo, proxy):  # noqa: F811
    """Documents with embedded rows, and the network before their target."""
    network = proxy(failing_mongo.port)
    shop = migrate(FLAT, TABLE + "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
                   target={"uri": failing_mongo.uri(port=network.port, appName="Cluster0")})
    with failing_mongo.client() as client:
        yield shop, network, client[shop.mongo.name].t


def test_the_name_of_a_connection_is_ours_whatever_the_uri_says(watched, pg):
    """What still runs after a cut is looked for by it."""
    shop, network, documents = watched
    shop.catch_up()
    network.hold_answers(f"banyan banyan_{pg.name}_shop: lane".encode())
    running = shop.start(wait=False)
    pg.execute("INSERT INTO t VALUES (3, 'c')")
    wait_until(lambda: network.held, 20, "a lane that names itself")
    network.release_answers()
    wait_until(lambda: documents.count_documents({}) == 3, 20, "the document")
    running.stop().expect(0)


def test_a_delete_of_all_that_may_still_run_is_waited_for(watched, pg, failing_mongo):
    """Late, it would take what was written behind the TRUNCATE."""
    shop, network, documents = watched
    running = shop.start()
    failing_mongo.fail(["delete"], closeConnection=True)
    network.hold_answers(b"$currentOp")
    pg.execute("TRUNCATE t; INSERT INTO t VALUES (3, 'behind')")
    wait_until(lambda: network.held, 20, "a look at what runs")
    assert documents.count_documents({}) == 2
    network.release_answers()
    wait_until(lambda: [d["_id"] for d in documents.find()] == [3], 20, "what came behind")
    running.stop().expect(0)


def test_health_says_what_needs_attention(migrate, pg):
    shop = migrate(FLAT, TABLE)
    shop.snapshot()
    result = shop.program.run("status", "--health").expect(1)
    assert "does not run" in result.out and "need attention" in result.err
    running = shop.start()
    assert "as it should be" in shop.program.run("status", "--health").expect(0).out
    pg.execute("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (5)")
    wait_until(lambda: shop.program.run("status", "--health").code == 1, 20, "the stopped collection")
    found = shop.program.run("status", "--health", "--json").expect(1)
    assert "is stopped" in found.out and '"status":"bad"' in found.out
    running.stop().expect(1)


def test_a_full_disk_under_the_state_file(migrate, pg):
    """The run ends with the way out, and loses nothing: nothing is confirmed that is not kept."""
    shop = migrate(FLAT, TABLE)
    shop.snapshot()
    program, whole = shop.program, shop.program.binary
    program.binary = program.folder / "little-room"
    program.binary.write_text("#!/bin/sh\nexec env --ignore-signal=XFSZ prlimit --fsize=200000 -- "
                              f'{whole} "$@"\n')
    program.binary.chmod(0o755)
    running = shop.start()
    for i in range(3000):
        pg.execute("INSERT INTO t VALUES (%s, 'v')", [i])
        if not running.is_running():
            break
    ended = running.wait(20).expect(3)
    assert "banyan.db" in ended.err and "the disk" in ended.err and "start again" in ended.err
    pg.execute("UPDATE t SET v = 'later'; INSERT INTO t VALUES (-1, 'later')")
    program.binary = whole
    shop.catch_up()
    shop.assert_like_fresh()
    assert shop.mongo.t.count_documents({"v": "later"}) == i + 2


@pytest.fixture
def guarded(migrate, pg):
    """A pipeline whose user is no superuser, and what it may do is in our hand."""
    role = f"role_{pg.name}"
    shop = migrate(FLAT | {"kids": {"table": "kids"}}, TABLE + f"""
        INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO kids (id) VALUES (1);
        CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {pg.name} TO {role};
        ALTER TABLE t OWNER TO {role}; ALTER TABLE kids OWNER TO {role}""")
    shop.config["source"]["uri"] = pg.server.uri(pg.name, user=role)
    shop.program.configure(shop.config)
    yield shop, role
    pg.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role} CASCADE")
    pg.server.execute(f"ALTER ROLE {role} NOLOGIN")


HIDDEN = """ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
            CREATE POLICY one ON t USING (id = 1)"""


@pytest.mark.sanitize
@pytest.mark.parametrize("taken, given, told", [
    ("REVOKE SELECT ON t FROM {role}", "GRANT SELECT ON public.t TO {role}", "permission denied"),
    (HIDDEN, "ALTER ROLE {role} BYPASSRLS", "row-level security"),
])
def test_what_may_not_be_read_stops_its_collection(guarded, pg, taken, given, told):
    """Row level security would leave rows out without a word. The text has the statement that helps, and the rest flows."""
    shop, role = guarded
    pg.execute(taken.format(role=role))
    given = given.format(role=role)
    found = shop.run("--catch-up").expect(1).err
    assert told in found and f"what the role lacks: {given}" in found and "--recopy t" in found
    assert given in shop.program.run("parked", "list").expect().out
    assert shop.documents("t") == [] and len(shop.documents("kids")) == 1
    pg.execute("INSERT INTO kids (id) VALUES (2)")
    shop.run("--catch-up").expect(1)
    assert len(shop.documents("kids")) == 2
    pg.execute(given)
    shop.run("--catch-up", "--recopy", "t").expect(0)
    shop.assert_like_fresh()


@pytest.fixture
def guarded_tree(migrate, pg):
    """Documents with embedded rows beside flat ones, for a user whose rights are in our hand."""
    role = f"role_{pg.name}"
    shop = migrate({"parents": {"table": "parents", "embed": {"kids": {"table": "kids", "join": {"parent": "id"}}}},
                    "others": {"table": "others", "embed": {"toys": {"table": "toys", "join": {"other": "id"}}}}}, f"""
        CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE others (id int PRIMARY KEY);
        CREATE TABLE kids (id int PRIMARY KEY, parent int, v text); CREATE INDEX ON kids (parent);
        CREATE TABLE toys (id int PRIMARY KEY, other int, v text); CREATE INDEX ON toys (other);
        INSERT INTO parents VALUES (1); INSERT INTO others VALUES (1); INSERT INTO kids VALUES (1, 1, 'a'); INSERT INTO toys VALUES (1, 1, 'a');
        CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {pg.name} TO {role};
        ALTER TABLE parents OWNER TO {role}; ALTER TABLE others OWNER TO {role};
        ALTER TABLE kids OWNER TO {role}; ALTER TABLE toys OWNER TO {role}""")
    shop.config["source"]["uri"] = pg.server.uri(pg.name, user=role)
    shop.program.configure(shop.config)
    yield shop, role
    pg.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role} CASCADE")
    pg.server.execute(f"ALTER ROLE {role} NOLOGIN")


@pytest.mark.sanitize
@pytest.mark.parametrize("denied", ["parents", "kids"])
def test_a_right_taken_away_while_it_streams_stops_its_collection(guarded_tree, pg, denied):
    """The refresh reads both tables. One transaction concerns both collections, and only one of them cannot be read."""
    shop, role = guarded_tree
    running = shop.start()
    shop.wait_for_document("parents", {"kids.v": "a"})
    pg.execute(f"REVOKE SELECT ON {denied} FROM {role}")
    pg.execute("UPDATE kids SET v = 'b'; UPDATE toys SET v = 'b'; INSERT INTO parents VALUES (2); INSERT INTO others VALUES (2)")
    running.wait_for(f"collection_stopped collection=parents.*GRANT SELECT ON public.{denied} TO {role}", 30)
    shop.wait_for_document("others", {"toys.v": "b"})
    shop.wait_for_document("others", {"_id": 2})
    running.stop()
    pg.execute(f"GRANT SELECT ON public.{denied} TO {role}")
    shop.run("--catch-up", "--recopy", "parents").expect(0)
    shop.assert_like_fresh()


def test_tables_that_may_not_be_read_are_told_together(guarded_tree, pg):
    shop, role = guarded_tree
    pg.execute(f"REVOKE SELECT ON parents, kids FROM {role}")
    found = shop.run("--catch-up").expect(1).err
    assert f"GRANT SELECT ON public.kids TO {role}; GRANT SELECT ON public.parents TO {role}" in found
    assert len(shop.documents("others")) == 1


def test_rights_to_columns_are_enough(guarded_tree, pg, mongo):
    """System columns cannot be granted so: a verification does without them."""
    shop, role = guarded_tree
    pg.execute(f"REVOKE SELECT ON kids FROM {role}; GRANT SELECT (id, parent, v) ON kids TO {role}")
    shop.run("--catch-up").expect(0)
    shop.program.run("verify", "all").expect(0)
    mongo.parents.update_one({"_id": 1}, {"$set": {"kids.0.v": "b"}})
    assert "mismatch at kids" in shop.program.run("verify", "all").expect(1).out


def test_too_many_connections_are_waited_out(guarded, pg):
    shop, role = guarded
    running = shop.start()
    shop.wait_for_document("t", {"_id": 2})
    pg.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    pg.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
    pg.execute("UPDATE t SET v = 'meanwhile'")
    running.wait_for("source_lost.*too many connections", 30)
    pg.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    shop.wait_for_document("t", {"v": "meanwhile"}, 40)
    running.stop().expect(0)


def test_a_slow_target_does_not_cost_the_connection(banyan, private_pg, mongo_server, mongo):
    """The server hears from us while lanes are full: several of its timeouts long."""
    pg = Database(private_pg(options={"wal_sender_timeout": "1s"}), "postgres")
    pg.execute(TABLE)
    shop = Migration(banyan, pg, mongo, mongo_server.uri(), FLAT,
                     {"target": {"writes_per_second": 500, "batch": {"operations": 20}}})
    shop.snapshot()
    running = shop.start()
    pg.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 150) FROM generate_series(1, 3000) i")
    wait_until(lambda: shop.mongo.t.count_documents({}) == 3000, 40, "all documents")
    assert "lost" not in running.stop().expect(0).err
    assert "terminating walsender" not in pg.server.log.read_text()

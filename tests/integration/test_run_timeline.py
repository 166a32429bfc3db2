"""A source that was promoted or restored: followed where it left our timeline behind our position,
refused where it left before it."""
import pytest

from harness.migration import Migration
from harness.postgres import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');"
FLAT = {"t": {"table": "t"}}


@pytest.fixture
def shop(private_pg, banyan, mongo, mongo_server):
    """A copied module over a cluster of its own, which is stopped."""
    pg = Database(private_pg(), "postgres")
    pg.execute(TABLE)
    shop = Migration(banyan, pg, mongo, mongo_server.uri(), FLAT, {})
    shop.catch_up()
    pg.server.stop()
    return shop


def values(shop):
    return {d["_id"]: d["v"] for d in shop.documents("t")}


def test_a_server_that_was_promoted_behind_our_position_is_followed(shop):
    shop.pg.server.promote()
    shop.pg.execute("INSERT INTO t VALUES (3, 'on the new timeline')")
    done = shop.catch_up()
    assert values(shop)[3] == "on the new timeline"
    assert "timeline" in done.err
    # It is noted: the next one is compared with this one, and nothing is said again.
    assert "timeline" not in shop.catch_up().err
    shop.pg.server.stop()
    shop.pg.server.promote()
    shop.pg.execute("DELETE FROM t WHERE id = 3")
    shop.catch_up()
    assert values(shop) == {1: "a", 2: "b"}


@pytest.fixture
def branch(shop):
    """branch(promote): the module streamed on, then the server is restored from before that."""

    def make(promote):
        server = shop.pg.server
        copy = server.save_copy()
        server.start()
        shop.pg.execute("UPDATE t SET v = 'lost' WHERE id = 1; DELETE FROM t WHERE id = 2;"
                        "INSERT INTO t VALUES (9, 'lost')")
        shop.catch_up()
        server.stop()
        server.restore_copy(copy)
        if promote:
            server.promote()
        else:
            server.start()
        return shop

    return make


@pytest.mark.parametrize("promote, says", [(True, "went from timeline 1 to 2"),
                                           (False, "restored from an older copy")])
@pytest.mark.parametrize("way_out", ["repair", "recopy"])
def test_a_fork_before_our_position_is_refused_with_its_ways_out(branch, promote, says, way_out):
    shop = branch(promote)
    shop.pg.execute("INSERT INTO t VALUES (3, 'first of the new branch')")
    for _ in range(2):
        refused = shop.run("--catch-up").expect(3)
        assert says in refused.err
        assert "verify --repair" in refused.err and "--recopy all" in refused.err
    assert values(shop) == {1: "lost", 9: "lost"}
    if way_out == "repair":
        shop.program.run("verify", "shop", "--repair").expect(0)
        shop.program.run("verify", "shop").expect(0)
    else:
        shop.run("--recopy", "all", "--catch-up").expect(0)
    shop.pg.execute("INSERT INTO t VALUES (4, 'goes on')")
    shop.catch_up()
    assert values(shop) == {1: "a", 2: "b", 3: "first of the new branch", 4: "goes on"}
    shop.assert_like_fresh()


def test_the_fork_shows_when_the_writes_of_the_new_branch_passed_our_position(branch):
    """The end of the log alone would say nothing any more."""
    shop = branch(True)
    shop.pg.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(100, 3000) i")
    assert "before our position" in shop.run("--catch-up").expect(3).err


def test_a_branch_that_does_not_come_from_ours_is_refused(shop):
    """Two promoted copies of one server; the archive they share gives each its own timeline."""
    server = shop.pg.server
    copy = server.save_copy()
    server.promote()
    shop.catch_up()
    history = (server.data / "pg_wal/00000002.history").read_text()
    server.stop()
    server.restore_copy(copy)
    (server.data / "pg_wal/00000002.history").write_text(history)
    (server.data / "pg_wal/00000002.history").chmod(0o644)
    server.promote(recovery_target_timeline="current")
    refused = shop.run("--catch-up").expect(3)
    assert "timeline 3" in refused.err and "does not come from 2" in refused.err
    server.stop()
    server.restore_copy(copy)
    server.start()
    assert "timeline 1, older than 2" in shop.run("--catch-up").expect(3).err


def test_a_standby_is_not_read(shop):
    """What the log announces may not be there yet; a run that meets one waits until it is promoted."""
    server = shop.pg.server
    server.stop()
    server.standby()
    for command in (["run", "shop", "--catch-up"], ["verify", "shop"]):
        refused = shop.program.run(*command).expect(3)
        assert "standby" in refused.err and "target_session_attrs" in refused.err
    server.execute("SELECT pg_promote()")
    shop.pg.execute("INSERT INTO t VALUES (3, 'promoted')")
    running = shop.start()
    shop.wait_for_document("t", {"_id": 3})
    server.stop()
    server.standby()
    running.wait_for("source_lost.*standby", 30)
    server.execute("SELECT pg_promote()")
    shop.pg.execute("INSERT INTO t VALUES (4, 'again')")
    shop.wait_for_document("t", {"_id": 4}, 60)
    running.stop().expect(0)

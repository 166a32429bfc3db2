"""The harness itself: servers come up, die as told, keep their data; the proxy does what it says."""
import concurrent.futures
import os
import pathlib
import signal

import psycopg
import pymongo.errors
import pytest

from harness import certificates
from harness.process import HarnessError, wait_until


def test_databases_are_fresh(pg, mongo):
    pg.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    assert pg.execute("SELECT count(*) FROM t") == [(1,)]
    mongo.t.insert_one({"_id": 1})
    assert mongo.list_collection_names() == ["t"]


def test_a_database_with_an_active_slot_can_be_dropped(pg_server):
    name = pg_server.create_database()
    pg_server.execute("SELECT pg_create_logical_replication_slot('left_over', 'pgoutput')",
                      database=name)
    pg_server.drop_database(name)
    assert pg_server.execute(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'left_over'") == []


def test_postgres_keeps_data_through_kill9(private_pg):
    server = private_pg()
    server.execute("CREATE TABLE t (id int PRIMARY KEY)")
    server.execute("INSERT INTO t SELECT generate_series(1, 1000)")
    server.kill9()
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    server.start()
    assert server.execute("SELECT count(*) FROM t") == [(1000,)]
    assert server.execute("SHOW wal_level") == [("logical",)]


def test_secantus_keeps_data_through_kill9(private_mongo):
    server = private_mongo(sync=True)
    with server.client() as client:
        client.shop.t.insert_many([{"_id": i} for i in range(1000)])
    server.kill9()
    server.start()
    with server.client() as client:
        assert client.shop.t.count_documents({}) == 1000
    server.restart()
    with server.client() as client:
        assert client.shop.t.count_documents({}) == 1000


def test_secantus_failpoints(private_mongo):
    server = private_mongo(memory=True, test_commands=True)
    server.fail(["insert"], times=1, errorCode=112)
    with server.client(retryWrites=False) as client:
        with pytest.raises(pymongo.errors.OperationFailure) as failure:
            client.shop.t.insert_one({"_id": 1})
        assert failure.value.code == 112
        client.shop.t.insert_one({"_id": 1})


def test_tls_and_passwords(private_pg, private_mongo, tmp_path):
    files = certificates.make(tmp_path / "tls")
    pg = private_pg(auth="scram-sha-256", password="s3cret", tls=files)
    assert pg.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(pg.uri(password="wrong"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(pg.uri(sslmode="disable"))
    mongo = private_mongo(users={"banyan": "s3cret"}, tls=files)
    with mongo.client() as client:
        client.shop.t.insert_one({"_id": 1})
    with mongo.client(login=False) as client:
        with pytest.raises(pymongo.errors.OperationFailure):
            client.shop.t.insert_one({"_id": 2})


@pytest.mark.parametrize("memory", [False, True])
def test_users_outlive_a_restart(private_mongo, memory):
    mongo = private_mongo(users={"banyan": "s3cret"}, memory=memory)
    for _ in range(2):
        with mongo.client() as client:
            client.shop.t.insert_one({})
        with mongo.client(login=False) as client:
            with pytest.raises(pymongo.errors.OperationFailure, match="authentication"):
                client.shop.t.insert_one({})
        mongo.restart()
    with mongo.client() as client:
        assert client.shop.t.count_documents({}) == (0 if memory else 2)


def test_client_certificates(private_pg, tmp_path):
    files = certificates.make(tmp_path / "tls", client_certificates=True)
    pg = private_pg(auth="trust", tls=files)
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        pg.connect()
    uri = pg.uri(sslcert=files.client_cert, sslkey=files.client_key)
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_proxy_cuts_holds_and_refuses(pg_server, proxy):
    between = proxy(pg_server.port)
    uri = pg_server.uri(port=between.port)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SELECT 1")
        between.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    between.refuse()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(uri)
    between.accept()
    with psycopg.connect(uri, autocommit=True) as connection:
        between.pause()
        before = between.bytes("down")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(connection.execute, "SELECT 1")
            with pytest.raises(concurrent.futures.TimeoutError):
                answer.result(0.3)
            assert between.bytes("down") == before
            between.resume()
            assert answer.result(10).fetchone() == (1,)


def test_proxy_cuts_in_the_middle(pg_server, proxy):
    between = proxy(pg_server.port)
    with psycopg.connect(pg_server.uri(port=between.port), autocommit=True) as connection:
        before = between.bytes("down")
        between.cut_after(1000)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT repeat('x', 100) FROM generate_series(1, 1000)")
        assert between.bytes("down") == before + 1000


def test_a_server_that_cannot_start_is_an_error(private_pg, private_mongo):
    with pytest.raises(HarnessError, match="ended"):
        private_pg(options={"shared_buffers": "nonsense"})
    with pytest.raises(HarnessError, match="ended"):
        private_mongo(arguments=["--nonsense"])


@pytest.mark.sanitize
def test_commands_run_and_end(banyan):
    program = banyan({"source": {"uri": "postgresql://127.0.0.1/shop"}, "a key": {}})
    assert program.config.read_text() == (
        'source:\n  uri: "postgresql://127.0.0.1/shop"\n"a key": {}\n')
    assert "banyan" in program.run("version").expect(0).out


def test_background_commands_are_waited_for_and_killed(banyan):
    program = banyan(path="/bin/sh")
    running = program.start("-c", "echo ready >&2; sleep 60")
    running.wait_for("ready", 5)
    assert running.is_running()
    assert running.stop(signal.SIGTERM, 5).code == -signal.SIGTERM
    running = program.start("-c", "echo 'x.c:1:1: runtime error: overflow' >&2")
    with pytest.raises(AssertionError, match="overflow"):
        running.wait(5)
    running = program.start("-c", "sleep 60 & wait")
    group = running.pid
    running.kill9()
    wait_until(lambda: not _alive_in_group(group), 5)


def _alive_in_group(group):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    return True
            except ProcessLookupError:
                continue
    return False

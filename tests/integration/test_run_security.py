"""Logins, TLS, secrets and hostile names."""
import pathlib

import psycopg
import pytest

from harness import certificates
from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import
from harness.postgres import Postgres
from harness.process import wait_until
from harness.secantus import Secantus

PASSWORD = "s3cr3t-Passw0rd"
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')"
FLAT = {"t": {"table": "t"}}


@pytest.fixture(scope="module")
def secure(server_folder):
    """Both servers with passwords and TLS; the target's files also for client certificates."""
    files = certificates.make(server_folder / "tls")
    pg = Postgres(server_folder / "secure-pg", auth="scram-sha-256", password=PASSWORD, tls=files).start()
    mongo = Secantus(server_folder / "secure-mongo", users={"banyan": PASSWORD}, tls=files).start()
    pg.execute(TABLE)
    yield pg, mongo
    pg.remove()
    mongo.remove()


@pytest.fixture
def clean(secure):
    """The slots and documents of one test do not meet the next one's."""
    pg, mongo = secure
    yield pg, mongo
    pg.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
    wait_until(lambda: pg.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
               is not None, 20, "slots dropped")
    for name, in pg.execute("SELECT pubname FROM pg_publication"):
        pg.execute(f'DROP PUBLICATION "{name}"')
    with mongo.client() as client:
        client.drop_database("shop")


def _config(servers, source=None, target=None):
    pg, mongo = servers
    return {"source": {"uri": pg.uri(**(source or {}))},
            "target": {"uri": mongo.uri(**(target or {})), "database": "shop"},
            "modules": {"shop": {"collections": FLAT}}}


@pytest.mark.sanitize
def test_passwords_and_tls_on_both_sides(clean, banyan):
    pg, mongo = clean
    program = banyan(_config((pg, mongo)))
    program.run("run", "shop", "--snapshot-only").expect(0)
    pg.execute("INSERT INTO t VALUES (2, 'b') ON CONFLICT DO NOTHING")
    program.run("run", "shop", "--catch-up").expect(0)
    with mongo.client() as client:
        assert client.shop.t.count_documents({}) == 2


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_wrong_password_is_an_error_without_it(clean, banyan, side):
    program = banyan(_config(clean, **{side: {"password": "wr0ng-One"}}))
    result = program.run("run", "shop", "--catch-up").expect(3)
    assert "wr0ng-One" not in result.err + result.out and PASSWORD not in result.err + result.out


@pytest.mark.parametrize("side, key", [("source", "sslrootcert"), ("target", "tlsCAFile")])
def test_a_server_of_an_unknown_authority_is_refused(clean, banyan, tmp_path, side, key):
    other = certificates.make(tmp_path / "other")
    program = banyan(_config(clean, **{side: {key: other.ca}}))
    result = program.run("run", "shop", "--catch-up", timeout=90).expect(3)
    assert PASSWORD not in result.err + result.out
    with clean[1].client() as client:
        assert client.shop.list_collection_names() == []


def test_client_certificates_on_both_sides(banyan, private_pg, private_mongo, tmp_path):
    files = certificates.make(tmp_path / "tls", client_certificates=True)
    pg = private_pg(auth="trust", tls=files)
    mongo = private_mongo(memory=True, tls=files)
    certified = {"sslcert": files.client_cert, "sslkey": files.client_key}
    pg_uri = pg.uri(**certified)
    with psycopg.connect(pg_uri, autocommit=True) as connection:
        connection.execute(TABLE)
    program = banyan(_config((pg, mongo), source=certified))
    program.run("run", "shop", "--catch-up").expect(0)
    with mongo.client() as client:
        assert client.shop.t.count_documents({}) == 1
    result = banyan(_config((pg, mongo))).run("run", "shop").expect(3)
    assert "certificate" in result.err


def test_secrets_come_from_outside_and_stay_inside(clean, banyan):
    """From the environment and from files; neither output, errors, logs, `ps`, `config show`, the
    state nor the servers' own lists of sessions have them."""
    pg, mongo = clean
    config = _config((pg, mongo))
    config["source"]["uri"] = pg.uri(password="${SOURCE_PASSWORD}")
    program = banyan(config)
    secret = program.folder / "secret"
    secret.write_text(PASSWORD + "\n")
    config["target"]["uri"] = mongo.uri(password="${file:" + str(secret) + "}")
    program.configure(config)
    env = {"SOURCE_PASSWORD": PASSWORD}
    running = program.start("run", "shop", "--verbose", env=env)
    running.wait_for("streaming: |catching up: ")
    command_line = pathlib.Path(f"/proc/{running.pid}/cmdline").read_bytes().decode()
    names = [name for name, in pg.execute("SELECT application_name || query FROM pg_stat_activity")]
    pg.kill9()
    wait_until(lambda: "source_lost" in running.err, 20, "a lost source in the log")
    pg.start()
    ended = running.stop()
    shown = program.run("config", "show", env=env).expect(0)
    json = program.run("config", "show", "--json", env=env).expect(0)
    status = program.run("status", env=env)
    assert "***" in shown.out and shown.out.count("127.0.0.1") >= 2
    for text in (command_line, *names, ended.out, ended.err, shown.out, shown.err, json.out, status.out,
                 status.err):
        assert PASSWORD not in text
    secret.unlink()
    for path in program.folder.iterdir():
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path


def test_a_missing_secret_is_named(clean, banyan):
    config = _config(clean)
    config["source"]["uri"] = "postgresql://postgres:${NO_SUCH_VARIABLE}@127.0.0.1/x"
    result = banyan(config).run("run", "shop").expect(2)
    assert "NO_SUCH_VARIABLE" in result.err and "banyan.yml:2:" in result.err


def test_the_state_is_for_its_owner_only(migrate):
    shop = migrate(FLAT, TABLE)
    shop.catch_up()
    files = [path for path in shop.program.folder.iterdir() if path.name.startswith("banyan.db")]
    assert files and all(path.stat().st_mode & 0o077 == 0 for path in files)


HOSTILE = ['x"; DROP TABLE victim; --', "x'; DROP TABLE victim; --", "$$; DROP TABLE victim", "\\'; x",
           "%s %n", "SELECT", "ü🌳", "a" * 63]


@pytest.mark.sanitize
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values(migrate, pg, name):
    """As schema, table, column, key value and embedded name."""
    quoted = '"' + name.replace('"', '""') + '"'
    pg.execute(f"CREATE TABLE victim (id int); CREATE SCHEMA {quoted};"
               f"CREATE TABLE {quoted}.{quoted} ({quoted} text PRIMARY KEY, v text);"
               f"CREATE TABLE {quoted}.kids (id int PRIMARY KEY, {quoted} text)")
    value = name + "\n{$gt: ''} \\. \x01 ' \" \\"
    with pg.connect() as connection:
        connection.execute(f"INSERT INTO {quoted.replace('%', '%%')}.{quoted.replace('%', '%%')} VALUES (%s, %s)",
                           [value, value])
    shop = migrate({"t": {"table": f"{quoted}.{quoted}", "embed": {
        "kids": {"table": f"{quoted}.kids", "join": {name: name}}}},
        "flat": {"table": f"{quoted}.{quoted}"}})
    shop.snapshot()
    with pg.connect() as connection:
        table = f"{quoted}.kids".replace("%", "%%")
        connection.execute(f"INSERT INTO {table} VALUES (1, %s)", [value])
        connection.execute(f"UPDATE {quoted}.{quoted} SET v = v || '!'")
        connection.execute(f"UPDATE {quoted}.kids SET id = 2")
    shop.catch_up()
    assert shop.documents("t") == [{"_id": value, "v": value + "!", "kids": [{"id": 2}]}]
    assert shop.documents("flat") == [{"_id": value, "v": value + "!"}]
    assert pg.execute("SELECT count(*) FROM victim") == [(0,)]

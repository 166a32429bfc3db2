"""Fixtures: servers that are really there (one that cannot start is a failure, not a skip), a fresh
database on both sides for each test, private servers for tests that kill them."""
import itertools
import pathlib
import shutil
import tempfile
import uuid

import pytest

from harness.banyan import Banyan
from harness.postgres import Database, Postgres
from harness.proxy import Proxy
from harness.secantus import Secantus


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitize: also runs against the sanitizer builds")


@pytest.fixture(scope="session")
def server_folder():
    # Not pytest's own temporary folder: the user postgres must be able to enter it.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pg_server(server_folder):
    """The cluster that tests share."""
    server = Postgres(server_folder / "postgres")
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def mongo_server(server_folder):
    """The SecantusDB that tests share."""
    server = Secantus(server_folder / "secantus", memory=True)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def pg(pg_server):
    """A fresh PostgreSQL database: pg.uri, pg.name, pg.execute(), pg.connect()."""
    database = Database(pg_server, pg_server.create_database())
    yield database
    database.drop()


@pytest.fixture
def mongo(mongo_server):
    """A fresh MongoDB database, as a pymongo Database."""
    with mongo_server.client() as client:
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def private_pg(server_folder):
    """private_pg(options={...}, ...) starts a cluster of the test's own."""
    yield from _factory(server_folder, Postgres, "own-postgres")


@pytest.fixture
def private_mongo(server_folder):
    """private_mongo(sync=True, ...) starts a SecantusDB of the test's own."""
    yield from _factory(server_folder, Secantus, "own-secantus")


def _factory(folder, kind, prefix):
    made = []

    def make(**options):
        server = kind(folder / f"{prefix}-{uuid.uuid4().hex[:8]}", **options)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.remove()


@pytest.fixture
def proxy():
    """proxy(port) forwards a new port to `port`."""
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def banyan(tmp_path):
    """banyan(config) makes a working folder with that banyan.yml (a dict or text)."""
    made, numbers = [], itertools.count(1)

    def make(config=None, **options):
        # A short name: what a socket's path may have is 107 bytes, and pytest takes most of them.
        made.append(Banyan(tmp_path / f"b{next(numbers)}", config, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()

"""The load of the crash test: random DML without an end, and a journal that only grows.

What the random statements change is overwritten sooner or later, which could heal a loss before
anyone looks. A row of the journal is written once: a lost one is missing for ever.
"""
import contextlib
import random
import threading

import psycopg

from history import Generator
from values import FUNCTIONS
from zoo import FAMILIES

RANDOM_FAMILIES = ("flat", "people", "shop")

_JOURNAL = """
CREATE TABLE days (id int PRIMARY KEY, note text);
CREATE TABLE journal (id bigserial PRIMARY KEY, day_id int REFERENCES days, what text);
CREATE INDEX ON journal (day_id);
"""
_DAYS = 40

COLLECTIONS = {
    "journal": {"table": "journal"},
    "days": {"table": "days", "embed": {
        "entries": {"table": "journal", "join": {"day_id": "id"}}}},
    **{name: mapping for family in RANDOM_FAMILIES
       for name, mapping in FAMILIES[family].collections.items()},
}


def connect(uri):
    return psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor)


def create(uri, rows, seed):
    """The tables, with `rows` rows of the journal and some of everything else."""
    with connect(uri) as connection:
        for ddl in (FUNCTIONS, _JOURNAL, *(FAMILIES[name].ddl for name in RANDOM_FAMILIES)):
            connection.execute(ddl, [])
        connection.execute("INSERT INTO days SELECT generate_series(0, %s)", [_DAYS - 1])
        connection.execute("INSERT INTO journal (day_id, what) SELECT i %% %s, md5(i::text)"
                           " FROM generate_series(1, %s) i", [_DAYS, rows])
        for _, sql, args in Generator(random.Random(seed), RANDOM_FAMILIES).initial_rows(8):
            with contextlib.suppress(psycopg.Error):
                connection.execute(sql, args)


class Writer:
    """A thread that writes until stop(), whatever happens to the server."""

    def __init__(self, uri, seed, pause):
        self._uri, self._pause = uri, pause
        self._rng = random.Random(seed)
        self._generator = Generator(self._rng, RANDOM_FAMILIES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.transactions = self.lost_connections = 0

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            try:
                with connect(self._uri) as connection:
                    self._write(connection)
            except psycopg.OperationalError:
                self.lost_connections += 1
                self._stop.wait(.1)

    def _write(self, connection):
        while not self._stop.wait(self._pause):
            try:
                with connection.transaction():
                    self._transaction(connection)
                self.transactions += 1
            except psycopg.OperationalError:
                if connection.closed:
                    raise
            except psycopg.Error:
                pass  # a statement that the constraints refuse

    def _transaction(self, connection):
        connection.execute("INSERT INTO journal (day_id, what) VALUES (%s, %s)",
                           [self._rng.randrange(_DAYS), f"transaction {self.transactions}"])
        for sql, args in self._generator.transaction()[1]:
            connection.execute(sql, args)

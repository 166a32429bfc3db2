"""Runs one history against real servers: what it streamed must equal a fresh snapshot."""
import contextlib
import shutil
import signal
import time
import uuid

import psycopg

from harness.banyan import Banyan
from harness.compare import differences
from harness.postgres import Database
from harness.process import HarnessError
from values import FUNCTIONS
from zoo import FAMILIES

_RUN_SECONDS = 60
_LOCK_WAIT = "30ms"  # one thread drives all sessions: a lock that another one holds is not coming
_LIVE, _FRESH = "live", "fresh"


class Sessions:
    """The connections of a history. A statement that fails rolls its transaction back, and what is
    left of it is let pass, so that steps can be dropped from a history in any way."""

    def __init__(self, uri):
        self._uri, self._open = uri, {}
        self._failed = set()
        self.ran = self.failures = 0

    def _connection(self, session):
        if session not in self._open:
            self._open[session] = psycopg.connect(
                self._uri, autocommit=True, cursor_factory=psycopg.ClientCursor,
                options=f"-c lock_timeout={_LOCK_WAIT}")
        return self._open[session]

    def _in_transaction(self, session):
        status = self._connection(session).info.transaction_status
        return status != psycopg.pq.TransactionStatus.IDLE

    def begin(self, session):
        self._failed.discard(session)
        if not self._in_transaction(session):
            self._connection(session).execute("BEGIN")

    def end(self, session, how):
        self._failed.discard(session)
        if self._in_transaction(session):
            with contextlib.suppress(psycopg.Error):  # deferred constraints
                self._connection(session).execute(how)
        if self._in_transaction(session):
            self._connection(session).execute("ROLLBACK")

    def sql(self, session, statement, args):
        if session in self._failed:
            return
        self.ran += 1
        try:
            self._connection(session).execute(statement, args)
        except psycopg.Error:
            self.failures += 1
            if self._in_transaction(session):
                self._connection(session).execute("ROLLBACK")
                self._failed.add(session)

    def close(self):
        for session, connection in self._open.items():
            self.end(session, "COMMIT")
            connection.close()


def collections_of(families):
    return {name: mapping for family in families
            for name, mapping in FAMILIES[family].collections.items()}


def create_tables(database, families, full):
    with database.connect(cursor_factory=psycopg.ClientCursor) as connection:
        for ddl in [FUNCTIONS, *(FAMILIES[family].ddl for family in families),
                    *(f"ALTER TABLE {table} REPLICA IDENTITY FULL" for table in full)]:
            connection.execute(ddl, [])


def configuration(source, target, target_database, module, families, settings):
    return {
        "source": {"uri": source, "snapshot": {"threads": settings["threads"],
                                               "chunk_rows": settings["chunk_rows"],
                                               "consistent": settings.get("consistent", False)}},
        "target": {"uri": target, "database": target_database, "lanes": settings["lanes"],
                   "fanout_documents": settings.get("fanout_documents", 10000),
                   "batch": {"operations": settings["operations"], "delay": settings["delay"]}},
        "modules": {module: {"collections": collections_of(families)}},
    }


# Seen once in some hundred histories, from PostgreSQL 15 itself, where transactions with a TRUNCATE
# were open while the slot was made: its decoder cannot name the truncated file. The way out is a new
# slot and a new copy, and that must work.
_SERVER_BUG = "could not map filenode"


class Pipeline:
    """`banyan run live`, started and stopped as the history says."""

    def __init__(self, program):
        self._program, self._running = program, None
        self._last_options = ["--catch-up"]

    def start(self):
        if self._running is None:
            self._running = self._program.start("run", _LIVE)

    def _check(self, result):
        if _SERVER_BUG in result.err:
            self._last_options = ["--catch-up", "--recopy", "all"]
        elif result.code != -signal.SIGTERM or result.err:  # else it had not even begun
            result.expect(0)

    def stop(self):
        if self._running is not None:
            running, self._running = self._running, None
            self._check(running.stop(timeout=_RUN_SECONDS))

    def finish(self):
        self.stop()
        result = self._program.run("run", _LIVE, *self._last_options, timeout=_RUN_SECONDS)
        if _SERVER_BUG in result.err and len(self._last_options) == 1:
            result = self._program.run("run", _LIVE, "--catch-up", "--recopy", "all",
                                       timeout=_RUN_SECONDS)
        result.expect(0)


def _row_counts(database, families):
    """The tables' own word for how many documents there are: each collection has one a row."""
    counts = {}
    with database.connect() as connection:
        for name, mapping in collections_of(families).items():
            counts[name] = connection.execute(f"SELECT count(*) FROM {mapping['table']}").fetchone()[0]
    return counts


def _run_steps(history, sessions, pipeline):
    for step in history["steps"]:
        do = step["do"]
        if do == "sql":
            sessions.sql(step["session"], step["sql"], step["args"])
            time.sleep(history["settings"]["pace_ms"] / 1000)
        elif do == "begin":
            sessions.begin(step["session"])
        elif do in ("commit", "rollback"):
            sessions.end(step["session"], do.upper())
        elif do == "sleep":
            time.sleep(step["ms"] / 1000)
        else:
            getattr(pipeline, do)()


def _compare(history, database, client, names, fresh):
    fresh.run("run", _FRESH, "--snapshot-only", timeout=_RUN_SECONDS).expect(0)
    found = differences(client[names[0]], client[names[1]])
    for name, count in _row_counts(database, history["families"]).items():
        documents = client[names[1]][name].count_documents({})
        if documents != count:
            found.append(f"{name}: {count} rows but {documents} documents in the fresh snapshot")
    return "\n".join(found)


def replay(history, servers, folder, keep=False):
    """None if it holds; else what is wrong, as text. `folder` is made, and kept if it does not."""
    pg, mongo = servers
    shutil.rmtree(folder, ignore_errors=True)
    database = Database(pg, pg.create_database("property"))
    name = "property_" + uuid.uuid4().hex[:12]
    names = [f"{name}_{_LIVE}", f"{name}_{_FRESH}"]
    programs = [Banyan(folder / module, configuration(
        database.uri, mongo.uri(), target, module, history["families"], history["settings"]))
        for module, target in zip((_LIVE, _FRESH), names)]
    problem = None
    with mongo.client() as client:
        try:
            create_tables(database, history["families"], history["full"])
            sessions, pipeline = Sessions(database.uri), Pipeline(programs[0])
            try:
                _run_steps(history, sessions, pipeline)
            finally:
                sessions.close()
            pipeline.finish()
            problem = _compare(history, database, client, names, programs[1]) or None
        except (AssertionError, HarnessError) as error:
            problem = str(error)
        finally:
            for program in programs:
                program.close()
            for target in names:
                client.drop_database(target)
            database.drop()
    if problem is None and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return problem

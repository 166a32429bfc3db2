"""A private PostgreSQL cluster on loopback."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import uuid

import psycopg
from psycopg import sql

from .process import HarnessError, children, end_group, free_port, start, tail, wait_until

_ROOT = pathlib.Path(__file__).resolve().parents[3]

# PostgreSQL refuses to run as root; Debian's package brings this user.
_USER = "postgres"


def binaries():
    """The folder with initdb and postgres: BANYAN_PG_BIN, or Debian's newest."""
    if os.environ.get("BANYAN_PG_BIN"):
        return pathlib.Path(os.environ["BANYAN_PG_BIN"])
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                   key=lambda path: float(path.parts[-3]))
    if not found:
        raise HarnessError("no PostgreSQL below /usr/lib/postgresql: run tools/deps.sh")
    return found[-1].parent


def binaries_of(version):
    """The same of a version that Debian does not bring: 12, 14, 16, 17."""
    folder = _ROOT / f".cache/postgres/{version}/bin"
    if not (folder / "initdb").exists():
        raise HarnessError(f"no PostgreSQL {version} in {folder}: run tools/deps.sh")
    return folder


class Postgres:
    """A cluster in `folder`, which is made by this class and removed by remove().

    fsync is off: what a killed process wrote survives in the page cache, and power loss is not
    what we test. auth: "trust", "scram-sha-256" or any method of pg_hba.conf. tls: a
    certificates.Server; then only TLS connections are let in, with client certificates if
    tls.client_certificates asks for them. outlives: it runs on when this process has ended.
    version: None is Debian's; else see binaries_of.
    """

    def __init__(self, folder, *, options=None, auth="trust", password=None, tls=None,
                 user="postgres", outlives=False, version=None):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.port = free_port()
        self.user, self.password, self.auth, self.tls = user, password, auth, tls
        self.process = None
        self._death_signal = None if outlives else "QUIT"
        self._bin = self._copy_binaries(version) if version else binaries()
        self._options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_replication_slots": 50,
            "max_wal_senders": 50,
            "max_connections": 200,
            "fsync": "off",
            "shared_buffers": "128MB",
            "wal_sender_timeout": "60s",
            "log_line_prefix": "%m [%p] %d %a ",
            "timezone": "UTC",
            **(options or {}),
        }
        self._initdb()

    def _copy_binaries(self, version):
        """To where the user postgres may enter: the project's own folder need not be."""
        self.folder.mkdir(parents=True)
        place = self.folder / "program"
        shutil.copytree(binaries_of(version).parent, place, symlinks=True)
        return place / "bin"

    def _as_user(self, *command):
        guard = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", "--"]
        full = [*(guard if os.geteuid() == 0 else []), *map(str, command)]
        done = subprocess.run(full, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise HarnessError(f"{command[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def _initdb(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER, _USER)
        command = [self._bin / "initdb", "-D", self.data, "-U", self.user, "-E", "UTF8",
                   "--locale=C.UTF-8", "--no-sync", "-A", self.auth]
        if self.password:
            secret = self.folder / "password"
            secret.write_text(self.password + "\n")
            secret.chmod(0o644)
            command += ["--pwfile", secret]
        self._as_user(*command)
        if self.tls:
            self._set_up_tls()

    def _set_up_tls(self):
        for name, source in (("server.crt", self.tls.cert), ("server.key", self.tls.key),
                             ("root.crt", self.tls.ca)):
            copy = self.data / name
            shutil.copy(source, copy)
            copy.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(copy, _USER, _USER)
        self._options |= {"ssl": "on", "ssl_ca_file": "root.crt"}
        verify = " clientcert=verify-ca" if self.tls.client_certificates else ""
        rules = [f"hostssl {database} all 127.0.0.1/32 {self.auth}{verify}"
                 for database in ("all", "replication")]
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n")

    # Life of the server

    def start(self, wait=True, **more):
        """`more`: options for this time."""
        arguments = [f"-c{name}={value}" for name, value in (self._options | more).items()]
        with open(self.log, "ab") as log:
            self.process = start([self._bin / "postgres", "-D", self.data, *arguments],
                                 user=_USER, death_signal=self._death_signal, cwd="/", stdout=log, stderr=log)
        if wait:
            wait_until(self._answers, 60, "PostgreSQL answers")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise HarnessError(f"PostgreSQL ended: {tail(self.log)}")
        done = subprocess.run([binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p",
                               str(self.port)], check=False)
        return done.returncode == 0

    def stop(self, mode="fast"):
        if self.process is None:
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self.process.poll() is None:
            self.process.send_signal(signals[mode])
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill9()
        self.process = None

    def kill9(self):
        """SIGKILL to the postmaster and every backend: what a machine that loses power sees,
        but for the disk."""
        if self.process is None:
            return
        try:
            # Stopped first, so that it neither starts nor warns anyone while they are killed.
            self.process.send_signal(signal.SIGSTOP)
            for pid in children(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        finally:
            end_group(self.process)
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    # Timelines

    def save_copy(self):
        """What a backup of the disk holds now; the server must be stopped. Returns its place."""
        place = self.folder / f"copy-{uuid.uuid4().hex[:8]}"
        subprocess.run(["cp", "-a", self.data, place], check=True)
        return place

    def restore_copy(self, place):
        """The server must be stopped; the copy stays."""
        shutil.rmtree(self.data)
        subprocess.run(["cp", "-a", place, self.data], check=True)

    def standby(self, **options):
        """In recovery until it is promoted. The server must be stopped; it runs then."""
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        if os.geteuid() == 0:
            shutil.chown(signal_file, _USER, _USER)
        self.start(**options)

    def promote(self, **options):
        """A new timeline, as a standby takes over. The server must be stopped; it runs then."""
        self.standby(**options)
        self.execute("SELECT pg_promote()")

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    # Use

    def uri(self, database="postgres", *, port=None, user=None, password=None, **parameters):
        """A libpq URI; `port` to go through a proxy."""
        secret = password if password is not None else self.password
        login = (user or self.user) + (f":{secret}" if secret else "")
        text = f"postgresql://{login}@127.0.0.1:{port or self.port}/{database}"
        if self.tls:
            parameters = {"sslmode": "verify-ca", "sslrootcert": self.tls.ca, **parameters}
        if parameters:
            text += "?" + "&".join(f"{key}={value}" for key, value in parameters.items())
        return text

    def connect(self, database="postgres", **options):
        """A psycopg connection; autocommit unless told otherwise."""
        options.setdefault("autocommit", True)
        return psycopg.connect(self.uri(database), **options)

    def execute(self, statement, parameters=None, database="postgres"):
        """Runs one statement (or several, without parameters); returns its rows, if it has any."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else None

    def create_database(self, prefix="test"):
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name):
        """With its slots, which would keep it alive."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                " WHERE database = %s AND active_pid IS NOT NULL", [name])

            def drop_slots():
                connection.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                    " WHERE database = %s", [name])
                return True

            wait_until(drop_slots, 20, f"slots of {name} dropped")
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def version(self):
        text = subprocess.run([self._bin / "postgres", "--version"], check=True,
                              capture_output=True, text=True).stdout
        return int(re.search(r"\) (\d+)", text)[1])


class Database:
    """One database of a cluster: what most tests work with."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    @property
    def uri(self):
        return self.server.uri(self.name)

    def connect(self, **options):
        return self.server.connect(self.name, **options)

    def execute(self, statement, parameters=None):
        return self.server.execute(statement, parameters, self.name)

    def drop(self):
        self.server.drop_database(self.name)

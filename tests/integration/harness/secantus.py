"""A private SecantusDB, the MongoDB-compatible server of the tests."""
import pathlib
import shutil
import signal
import subprocess
import sys

import pymongo

from .process import HarnessError, end_group, free_port, start, tail, wait_until


class Secantus:
    """A server in `folder` (made here, removed by remove()), always on the same port and path.

    sync: fsync at each commit; needed where a test kills the server, which otherwise loses
    majority-acknowledged writes. memory: a throw-away store (lost at stop). users: {name: password},
    who are there at every start, and authentication is required. tls: a
    certificates.Server. test_commands: configureFailPoint. outlives: it runs on when this process
    has ended.
    """

    def __init__(self, folder, *, sync=False, memory=False, users=None, tls=None,
                 test_commands=False, outlives=False, arguments=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "secantus.log"
        self.port = free_port()
        self.users, self.tls = users or {}, tls
        self.process = None
        self._data = self.folder / "data"
        self._provisioned = False
        # Users are made by a server without authentication, which is stopped then: they need a
        # store that outlives it. Where nothing else shall, each start empties that one.
        self._forgetful = memory and bool(users)
        self._death_signal = None if outlives else "KILL"
        self._arguments = ["--host", "127.0.0.1", "--port", self.port, "--log-level", "WARNING",
                           "--storage-path", ":memory:" if memory and not users else self._data,
                           *(["--sync-on-commit"] if sync else []),
                           *(["--enable-test-commands"] if test_commands else []),
                           *arguments]
        if tls:
            self._arguments += ["--tls-cert-file", tls.cert, "--tls-key-file", tls.key]
            if tls.client_certificates:
                self._arguments += ["--tls-ca-file", tls.ca, "--tls-require-client-cert"]

    def start(self):
        if self._forgetful:
            shutil.rmtree(self._data, ignore_errors=True)
            self._provisioned = False
        if self.users and not self._provisioned:
            self._start([])
            with self.client(login=False) as client:
                for name, password in self.users.items():
                    client.admin.command("createUser", name, pwd=password,
                                         roles=[{"role": "root", "db": "admin"}])
            self.stop()
            self._provisioned = True
        self._start(["--auth"] if self.users else [])
        return self

    def _start(self, more):
        program = pathlib.Path(sys.executable).parent / "secantusd-py"
        if not program.exists():
            raise HarnessError(f"no {program}: run tools/deps.sh and use .venv/bin/python")
        # Its own folder is its home and working directory: no configuration file of a user applies.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        with open(self.log, "ab") as log:
            self.process = start([program, *self._arguments, *more], cwd=self.folder,
                                 death_signal=self._death_signal, env=environment, stdout=log,
                                 stderr=log)
        wait_until(self._answers, 60, "SecantusDB answers")

    def _answers(self):
        if self.process.poll() is not None:
            raise HarnessError(f"SecantusDB ended: {tail(self.log)}")
        with self.client(login=False, serverSelectionTimeoutMS=1000) as client:
            return client.admin.command("hello")["isWritablePrimary"]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        end_group(self.process)
        self.process = None

    def kill9(self):
        end_group(self.process)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def uri(self, *, port=None, login=True, user=None, password=None, **parameters):
        """A connection string; `port` to go through a proxy. Always direct: the server names its
        own address in `hello`, which would lead a driver around a proxy."""
        text = "mongodb://"
        if login and (user or self.users):
            user = user or next(iter(self.users))
            text += f"{user}:{self.users[user] if password is None else password}@"
            parameters = {"authSource": "admin", **parameters}
        parameters = {"directConnection": "true", **parameters}
        if self.tls:
            parameters = {"tls": "true", "tlsCAFile": self.tls.ca, **parameters}
            if self.tls.client_certificates:
                parameters = {"tlsCertificateKeyFile": self.tls.client_pem, **parameters}
        joined = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"{text}127.0.0.1:{port or self.port}/?{joined}"

    def client(self, *, login=True, **options):
        """A pymongo client; `with` closes it."""
        return pymongo.MongoClient(self.uri(login=login), **options)

    def fail(self, commands, *, times=1, **data):
        """Arms the failpoint failCommand for the next `times` of `commands`: errorCode=112,
        closeConnection=True, writeConcernError={...}; "alwaysOn" for all of them."""
        mode = times if times == "alwaysOn" else {"times": times}
        with self.client() as client:
            client.admin.command("configureFailPoint", "failCommand", mode=mode,
                                 data={"failCommands": commands, **data})

    def heal(self):
        """Disarms it."""
        with self.client() as client:
            client.admin.command("configureFailPoint", "failCommand", mode="off")

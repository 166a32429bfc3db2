"""A redis-server of a test's own."""
import socket
import subprocess

from .process import end_group, free_port, start, wait_until


class Redis:
    def __init__(self, folder, password=None):
        self.folder, self.port, self.password = folder, free_port(), password
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = None

    @property
    def uri(self):
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/1"

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                   "--appendfsync", "always", "--dir", self.folder]
        if self.password:
            command += ["--requirepass", self.password]
        with open(self.folder / "redis.log", "ab") as log:
            self._process = start(command, stdout=log, stderr=subprocess.STDOUT)
        wait_until(self._answers, 20, "Redis answers")
        return self

    def _answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def call(self, *words):
        """The raw reply, up to 64 KiB."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            commands = ([("AUTH", self.password)] if self.password else []) + [("SELECT", "1"), words]
            for command in commands:
                parts = [w if isinstance(w, bytes) else str(w).encode() for w in command]
                connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                reply = connection.recv(65536)
            return reply

    def kill9(self):
        end_group(self._process)
        self._process = None

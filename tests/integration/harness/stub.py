"""The discarding target, as a fixture that the test files import which use it."""
import os
import pathlib
import socket

import pytest

from .process import end_group, free_port, start, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def stub(tmp_path):
    """stub(fault, after) starts the discarding target with that fault after so many messages;
    stub() one without; `member`: another member of its replica set. Returns its URI."""
    made = []

    def make(fault=None, after=0, member=None):
        port = free_port()
        program = os.environ.get("BANYAN_STUB", ROOT / "build/bench/banyan-stub")
        with open(tmp_path / "stub.log", "ab") as log:
            made.append(start([program, "--port", port, *(["--fault", fault, "--fault-after", after] if fault else []),
                               *(["--member", member] if member else [])],
                              stdout=log, stderr=log))
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True, 10,
                   "the stub listens")
        return f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1000"

    yield make
    for process in made:
        end_group(process)

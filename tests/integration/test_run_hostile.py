"""A target that is broken, or hostile: an error or a patient retry, never a crash, never a lie."""
import os
import pathlib
import socket

import pytest
from harness.process import HarnessError, end_group, free_port, start, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def stub(tmp_path):
    """stub(fault, after) starts the discarding target with that fault after so many messages."""
    made = []

    def make(fault, after):
        port = free_port()
        program = os.environ.get("BANYAN_STUB", ROOT / "build/bench/banyan-stub")
        with open(tmp_path / "stub.log", "ab") as log:
            made.append(start([program, "--port", port, "--fault", fault, "--fault-after", after],
                              stdout=log, stderr=log))
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True, 10,
                   "the stub listens")
        return f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1000"

    yield make
    for process in made:
        end_group(process)


@pytest.mark.parametrize("after", [0, 20])
@pytest.mark.parametrize("fault", ["truncate", "oversize", "garbage", "close", "badreply"])
def test_a_broken_target_is_no_crash(pg, banyan, stub, fault, after):
    pg.execute("CREATE TABLE t (id int PRIMARY KEY, v text);"
               "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 5000) i")
    made = banyan({"source": {"uri": pg.uri}, "target": {"uri": stub(fault, after), "database": "d",
                                                         "batch": {"operations": 100}},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    running = made.start("run", "m", "--catch-up")
    # It may end by itself, or go on trying: then it has met the fault often enough by now.
    try:
        result = running.wait(6)
    except HarnessError:
        result = running.stop()
    # 3: refused for good; 0: it was still trying when it was asked to stop. A crash is negative.
    assert result.code in (0, 3), f"{result.code}\n{result.err}"
    status = made.run("status", "--json").expect(0)
    assert '"phase":"streaming"' not in status.out.replace(" ", ""), "nothing was acknowledged"

"""A target that is broken, or hostile: an error or a patient retry, never a crash, never a lie."""
import pytest

from harness.process import HarnessError
from harness.stub import stub  # noqa: F401  pylint: disable=unused-import


@pytest.mark.parametrize("after", [0, 20])
@pytest.mark.parametrize("fault", ["truncate", "oversize", "garbage", "close", "badreply"])
def test_a_broken_target_is_no_crash(pg, banyan, stub, fault, after):  # noqa: F811
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

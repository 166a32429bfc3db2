"""banyan verify: options together, wrong ones, and answers that cannot be written."""
import json

import pytest


@pytest.fixture
def table(pg, mongo, mongo_server, banyan):
    pg.execute("""CREATE TABLE t (id int PRIMARY KEY, v text);
                  INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 600) i""")
    made = banyan({"source": {"uri": pg.uri},
                   "target": {"uri": mongo_server.uri(), "database": mongo.name},
                   "modules": {"m": {"collections": {"t": {"table": "t"}}}}})
    made.run("run", "m", "--catch-up").expect(0)
    return made


@pytest.mark.parametrize("words, said", [
    (["--sample", "0"], "--sample wants 1 or more"),
    (["--sample", "-5"], "--sample"),
    (["--sample=-5"], "wants a number from 0"),
    (["--sample", "5", "--restart"], "leave one of them out"),
    (["--sample", "many"], "wants a number"),
    (["--wait", "1000001"], "--wait wants at most"),
    (["--report"], "--report"),
    (["--report", "no/such/folder/file"], "cannot write no/such/folder/file: No such file"),
    (["--report", "."], "cannot write .: Is a directory"),
    (["--report", "banyan.yml"], "would overwrite"),
    (["--key"], "did you mean '--keys'"),
    (["other"], "verify wants one module"),
])
def test_a_wrong_command_line_is_2(table, words, said):
    before = table.config.read_text()
    result = table.run("verify", "m", *words).expect(2)
    assert said in result.err and result.out == ""
    assert table.config.read_text() == before


def test_the_state_file_is_no_report(table):
    state, = (p for p in table.folder.rglob("*") if p.is_file()
              and p.read_bytes()[:15] == b"SQLite format 3")
    result = table.run("verify", "m", "--report", state).expect(2)
    assert "would overwrite" in result.err
    table.run("verify", "m").expect(0)


@pytest.mark.parametrize("kind, expected", [("missing", 1), ("different", 0)])
@pytest.mark.parametrize("sample", [[], ["--sample", "600"]])
def test_keys_with_everything(table, mongo, tmp_path, kind, expected, sample):
    if kind == "missing":
        mongo.t.delete_one({"_id": 5})
    else:
        mongo.t.update_one({"_id": 5}, {"$set": {"v": "x"}})
    report = tmp_path / "report"
    result = table.run("verify", "m", "--keys", "--json", "--report", report, *sample)
    result.expect(expected)
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [json.loads(line) for line in report.read_text().splitlines()] == lines[:-1]
    assert len(lines) == 1 + expected and lines[-1]["different"] == expected
    assert lines[-1]["equal"] == (not expected)


def test_a_sample_repairs_what_it_sees(table, mongo, tmp_path):
    mongo.t.update_many({}, {"$set": {"v": "x"}})
    report = tmp_path / "report"
    result = table.run("verify", "m", "--sample", "50", "--repair", "--json", "--report", report)
    totals = json.loads(result.expect(0).out.splitlines()[-1])
    assert totals["repaired"] == totals["compared"] == 50
    assert mongo.t.count_documents({"v": "x"}) == 550
    assert report.read_text() == ""  # nothing differs any more


def test_the_report_is_whole_where_the_screen_is_not(table, mongo, tmp_path):
    mongo.t.update_many({}, {"$set": {"v": "x"}})
    result = table.run("verify", "m", "--report", tmp_path / "report").expect(1)
    assert result.out.count("mismatch") == 20 and "and 580 more" in result.out
    assert len((tmp_path / "report").read_text().splitlines()) == 600


@pytest.mark.parametrize("different", [1, 600])
def test_a_report_on_a_full_disk_is_3(table, mongo, different):
    """One line stays in a buffer until the file is closed; 600 do not."""
    mongo.t.update_many({"_id": {"$lte": different}}, {"$set": {"v": "x"}})
    result = table.run("verify", "m", "--report", "/dev/full").expect(3)
    assert "cannot write the report: No space left on device" in result.err
    # nothing of it is lost: the next one tells all
    result = table.run("verify", "m", "--json").expect(1)
    assert json.loads(result.out.splitlines()[-1])["different"] == different


def test_a_report_of_nothing_needs_no_room(table):
    table.run("verify", "m", "--report", "/dev/full").expect(0)

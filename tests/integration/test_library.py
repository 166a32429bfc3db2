"""libbanyan, as somebody else's program uses it: installed, found by pkg-config, linked, called from many threads."""
import os
import pathlib
import subprocess

import pytest

from harness.operations import shop  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = pathlib.Path(__file__).parent / "programs/operation_client.c"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The program, built against what `meson install` puts in place."""
    folder = tmp_path_factory.mktemp("library")
    subprocess.run(["meson", "install", "-C", ROOT / "build", "--no-rebuild", "--quiet", "--destdir", folder], check=True,
                   timeout=120, stdout=subprocess.DEVNULL)
    pc = next(folder.rglob("banyan.pc"))
    environment = os.environ | {"PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(folder)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "banyan"], env=environment, check=True,
                           capture_output=True, text=True, timeout=30).stdout.split()
    assert "-lbanyan" in flags and not any("mongoc" in f or "pq" in f for f in flags)
    program = folder / "client"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE, *flags, "-lpthread"],
                   check=True, timeout=60)
    library = next(folder.rglob("libbanyan.so")).parent

    def run(config, *arguments, code=0, **environment):
        result = subprocess.run([program, *map(str, [config, *arguments])], capture_output=True, text=True, timeout=60,
                                cwd=pathlib.Path(config).parent,
                                env=os.environ | {"LD_LIBRARY_PATH": str(library)} | environment)
        assert result.returncode == code, result
        return result.stdout.splitlines()

    return run


def test_calls_from_many_threads(shop, client):  # noqa: F811
    program = shop(module={"flag": "moved", "reads": "flag"}, flags="feature-flags.yml")
    (program.folder / "feature-flags.yml").write_text(
        "features: [{name: moved, enabled: true, rollout_percentage: 0, enabled_for_users: [u1]}]\n")
    config = program.config
    state = program.folder / "other.db"
    answer = '{"id":7,"name":"product 7","price":8.75}'
    assert client(config, state, "get_product", '{"params": {"id": 7}}', 20) == ["200 sql - 0", answer]
    assert client(config, state, "get_product", '{"params": {"id": 7}, "user": "u1"}', 20) == ["200 mongodb - 0", answer]
    assert client(config, state, "get_product", '{"params": {"id": 7}, "side": "mongodb"}', 0) == \
        ["200 mongodb - 0", answer]
    # what people set counts here too
    program.run("reads", "catalogue", "mongodb", "--why", "test").expect(0)
    assert client(config, program.folder / "banyan.db", "get_product", '{"params": {"id": 7}}', 4) == ["200 mongodb - 0", answer]
    lines = client(config, state, "get_product", '{"params": {"id": 999}}', 0)
    assert lines[0] == "404 sql - 0" and '"code":"no_row"' in lines[1]


def test_a_program_that_writes_numbers_with_commas(shop, client, tmp_path):  # noqa: F811
    """The program's locale is its own affair: what is asked, configured and answered has points."""
    locale = {"LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8"}
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], check=True, timeout=60)
    shown = subprocess.run(["locale", "-k", "decimal_point"], env=os.environ | locale, capture_output=True, text=True)
    assert shown.stdout.strip() == 'decimal_point=","'
    ratio = {"sql": "SELECT :x::float8 AS given, 0.1::float8 AS fixed", "params": {"x": "double"}, "returns": "one",
             "mongodb": {"aggregate": "products", "pipeline": [
                 {"$match": {"_id": 1}}, {"$project": {"_id": 0, "given": ":x", "fixed": {"$add": [0.1, 0]}}}]}}
    program = shop({"ratio": ratio})
    for side in ("sql", "mongodb"):
        request = '{"params": {"x": 1.5}, "side": "%s"}' % side
        lines = client(program.config, program.folder / "other.db", "ratio", request, 2, **locale)
        assert lines == [f"200 {side} - 0", '{"given":1.5,"fixed":0.1}']


def test_errors(shop, client, tmp_path):  # noqa: F811
    program = shop(copied=False)
    config, state = program.config, program.folder / "other.db"
    assert client(config, state, "nothing", "{}", 0, code=1) == ["call -1 there is no operation 'nothing'"]
    assert client(config, state, "get_product", '{"params": {"id": "x"}}', 0, code=1) == \
        ["call -2 parameter 'id': must be a whole number of 64 bits"]
    assert client(config, state, "get_product", "{", 0, code=1)[0].startswith("call -2 line 1")
    (tmp_path / "bad.yml").write_text("modules: 1\n")
    assert client(tmp_path / "bad.yml", state, "get_product", "{}", 0, code=1)[0].startswith("open -3 ")

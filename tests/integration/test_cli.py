"""What the command line says when something is wrong: one line with the place and the way out, and
the exit code. No server is needed."""
import json
import os
import pathlib
import re
import sqlite3
import stat
import subprocess
import uuid

import pytest

from harness.banyan import Banyan
from harness.process import wait_until

NOWHERE = {
    "source": {"uri": "postgresql://127.0.0.1:1/shop"},
    "target": {"uri": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", "database": "shop"},
    "state": "state/banyan.db",
    "modules": {"shop": {"collections": {"t": {"table": "t"}}}},
}
# A line of `banyan help`: the words of the name, then arguments (capitals, brackets) or the help.
LISTED = re.compile(r"  ([a-z]+(?: [a-z]+)?)(?: [A-Z\[<-]|  )")
# arguments: exit code, words of the one line
MISTAKES = {
    "": (2, ["no command given", "banyan help"]),
    "frobnicate": (2, ["unknown command 'frobnicate'", "banyan help"]),
    "stats": (2, ["'stats'", "did you mean 'status'"]),
    "parked": (2, ["parked list, parked retry, parked drop"]),
    "parked lst": (2, ["did you mean 'parked list'"]),
    "help nope": (2, ["unknown command 'nope'"]),
    "help run fast": (2, ["'fast'"]),
    "run": (2, ["banyan run MODULE"]),
    "run shop shop": (2, ["banyan run MODULE"]),
    "run nope": (2, ["unknown module 'nope'", "banyan.yml has: shop"]),
    "run shop --catchup": (2, ["unknown option '--catchup'", "did you mean '--catch-up'"]),
    "run shop --keys": (2, ["run: unknown option '--keys'"]),
    "run shop --catch-up --snapshot-only": (2, ["exclude each other"]),
    "run shop --catch-up=yes": (2, ["takes no value"]),
    "run --recopy": (2, ["wants a value", "--recopy COLLECTION"]),
    "verify shop --sample few": (2, ["--sample wants a number", "'few'"]),
    "verify": (2, ["banyan verify MODULE"]),
    "status shop shop": (2, ["one module at most"]),
    "serve shop": (2, ["no arguments"]),
    "parked retry": (2, ["an id, or 'all'"]),
    "parked drop all": (2, ["parked drop wants a reason: --why TEXT"]),
    "parked retry -- -1": (2, ["'-1' is no id", "banyan parked list"]),
    "parked retry 99999999999999999999": (2, ["is no id"]),
    "version now": (2, ["takes no arguments"]),
    "--log-format xml version": (2, ["text or json", "'xml'"]),
    "-c": (2, ["--config wants a value", "--config FILE"]),
    "--config= status": (2, ["--config", "name of a file"]),
    "--state= status": (2, ["--state", "name of a file"]),
    "-c gone.yml status": (2, ["gone.yml:1:1: cannot open it", "No such file", "-c"]),
    "-c . status": (2, [".:1:1: ", "Is a directory", "-c"]),
    "run shop": (3, ["cannot connect to the source", "127.0.0.1"]),
    "verify shop": (1, ["nothing has been copied yet", "banyan run shop"]),
    "parked retry all --why x": (1, ["nothing has run yet", "state/banyan.db"]),
    "--state state status": (3, ["state file state", "it is a folder", "--state"]),
    "--state gone/a.db run shop": (3, ["gone/a.db", "make its folder", "--state"]),
    "--state banyan.yml status": (3, ["state file banyan.yml", "not a state file", "--state"]),
}


@pytest.fixture
def program(banyan):
    made = banyan(NOWHERE)
    (made.folder / "state").mkdir()
    return made


def one_line(result, code):
    result.expect(code)
    assert result.out == ""
    assert result.err.startswith("banyan: ") and result.err.count("\n") == 1, result.err
    assert result.err.endswith("\n")
    return result.err


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_with_a_way_out(program, line):
    code, words = MISTAKES[line]
    text = one_line(program.run(*line.split()), code)
    for word in words:
        assert word in text, text


@pytest.mark.sanitize
@pytest.mark.parametrize("line", MISTAKES)
def test_with_json_it_is_an_object(program, line):
    code, _ = MISTAKES[line]
    text = one_line(program.run(*line.split()), code)[len("banyan: "):-1]
    result = program.run("--json", *line.split()).expect(code)
    assert result.out == "" and result.err.count("\n") == 1
    error = json.loads(result.err)["error"]
    assert error["message"] == text
    assert error["exit_code"] == code and error["code"].startswith("ERR_")
    placed = ":1:1: " in text
    assert (error["line"], error["column"]) == ((1, 1) if placed else (None, None))
    assert error["file"] == (text.split(":")[0] if placed else None)


def test_a_place_in_the_configuration(program):
    program.configure("source:\n  uri: postgresql://127.0.0.1:1/shop\n  urii: x\n")
    assert one_line(program.run("status"), 2).startswith("banyan: banyan.yml:3:3: unknown key")
    error = json.loads(program.run("status", "--json").expect(2).err)["error"]
    assert error["code"] == "ERR_CONF"
    assert [error[key] for key in ("file", "line", "column")] == ["banyan.yml", 3, 3]


def test_json_is_heard_wherever_it_stands(program):
    for line in (["--nope", "--json"], ["--json", "--nope"], ["run", "--json", "--nope", "shop"]):
        assert json.loads(program.run(*line).expect(2).err)["error"]["code"] == "ERR_USAGE"
    assert program.run("--nope", "--", "--json").err.startswith("banyan: ")


def test_help_of_every_command(program):
    program.config.unlink()  # help needs none
    text = program.run("help").expect(0).out
    assert program.run("--help").expect(0).out == text
    lines = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    commands = [LISTED.match(line)[1] for line in lines]
    assert {"run", "verify", "parked list", "config show", "help"} <= set(commands)
    for command in commands:
        own = program.run("help", *command.split()).expect(0).out
        assert own.startswith(f"banyan {command}") and "Global options:" in own
        if command != "help":
            assert program.run(*command.split(), "--help").expect(0).out == own


def test_a_state_file_of_a_newer_version(program):
    path = program.folder / "new.db"
    assert program.run("--state", path, "run", "shop").code == 3  # makes it: no source is there
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("PRAGMA user_version = 999")
    made.close()
    for command in ("run shop", "status", "verify shop", "parked list", "parked drop all --why x"):
        text = one_line(program.run("--state", path, *command.split()), 3)
        assert f"state file {path} has version 999" in text and "newer" in text
    made = sqlite3.connect(path)
    assert made.execute("PRAGMA user_version").fetchone() == (999,)
    made.close()


def as_nobody(program, *arguments):
    """Runs it as a user who is not root (root may read and write anything)."""
    command = [program.binary, *arguments]
    if os.geteuid() == 0:
        command[:0] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    done = subprocess.run([str(part) for part in command], cwd=program.folder, capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def guarded(server_folder):
    """A program in a folder that another user can enter, with a state file."""
    made = Banyan(server_folder / f"guarded-{uuid.uuid4().hex[:8]}", NOWHERE)
    (made.folder / "state").mkdir()
    assert made.run("run", "shop").code == 3  # makes it: no source is there
    yield made
    (made.folder / "state").chmod(0o755)
    made.close()


def open_all(folder):
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if stat.S_ISDIR(path.stat().st_mode) else 0o666)


# what is taken away: (path, mode, command, exit code, words)
DENIED = {
    "the configuration": ("banyan.yml", 0o000, "status", 2,
                          ["banyan.yml:1:1: ", "Permission denied", "let this user read it"]),
    "the state file": ("state/banyan.db", 0o000, "status", 3,
                       ["state/banyan.db", "Permission denied", "let this user", "--state"]),
    "writing the state file": ("state/banyan.db", 0o444, "run shop", 3,
                               ["state/banyan.db", "Permission denied", "let this user", "--state"]),
    "writing the state folder": ("state", 0o555, "status", 3,
                                 ["state/banyan.db", "let this user write", "--state"]),
    "entering the state folder": ("state", 0o000, "run shop", 3,
                                  ["Permission denied", "let this user", "--state"]),
    "the lock file": ("state/banyan.db.shop.lock", 0o444, "run shop", 3,
                      ["lock file", "Permission denied", "let this user", "--state"]),
}


@pytest.mark.parametrize("name", DENIED)
def test_a_right_that_is_missing(guarded, name):
    path, mode, command, code, words = DENIED[name]
    open_all(guarded.folder)
    (guarded.folder / path).chmod(mode)
    returned, text = as_nobody(guarded, *command.split())
    assert returned == code and text.startswith("banyan: ") and text.count("\n") == 1, text
    for word in words:
        assert word in text, text


def test_a_killed_program_leaves_no_shared_memory(program):
    """libmongoc makes it before main; a later process with the same pid would warn of it."""
    pipe = program.folder / "slow.yml"
    os.mkfifo(pipe)
    running = program.start("-c", "slow.yml", "status")
    # there is a writer only while there is a reader: the program waits for its configuration
    writer = wait_until(lambda: os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), 10, "it reads")
    name = pathlib.Path(f"/dev/shm/mongoc-{running.pid}")
    running.kill9()
    os.close(writer)
    assert not name.exists()


def test_output_that_cannot_be_written(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program.binary, "config", "show"], cwd=program.folder, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert done.stderr == "banyan: cannot write to standard output: No space left on device\n"

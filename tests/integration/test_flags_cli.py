"""`banyan flags` and `banyan audit`: without a daemon, over files that people edit badly, and through
kill -9 at any moment."""
import concurrent.futures
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time

import pytest

from harness.banyan import binary

CONFIG = """
source: {uri: "postgresql://banyan@127.0.0.1:1/shop"}
target: {uri: "mongodb://127.0.0.1:1/", database: shop}
listen: 127.0.0.1:1
modules: {shop: {collections: {products: {table: products}}, flag: orders}}
"""

FLAGS = """
features:
  - name: base
    enabled: true
    rollout_percentage: 100
  - name: orders
    enabled: true
    rollout_percentage: 12.5
    enabled_for_users: [ann]
    enabled_for_tenants: [bank_7]
    disabled_for_users: [mallory]
    requires: [base]
    time_zone: Europe/Paris
    conditions:
      - {type: tenant_attribute, attribute: tier, operator: in, value: [enterprise, premium]}
      - {type: user_attribute, attribute: age, operator: ">", value: 17}
  - name: night
    enabled: true
    rollout_percentage: 100
    time_zone: Europe/Paris
    conditions: [{type: time_window, start_hour: 22, end_hour: 6}]
"""


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.flags = folder / "feature-flags.yml"
        self.state = folder / "banyan.db"
        self.blob = folder / "banyan.db.flags.blob"
        (folder / "banyan.yml").write_text(CONFIG)
        self.flags.write_text(FLAGS)

    def start(self, *words):
        return subprocess.Popen([binary(), *words], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self, *words, code=0):
        done = subprocess.run([binary(), *words], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def eval(self, name, *words):
        return json.loads(self.run("flags", "eval", name, "--json", *words))

    def list(self):
        return {f["name"]: f for f in json.loads(self.run("flags", "list", "--json"))["flags"]}

    def audit(self):
        text = self.run("audit", "--json", "--limit", "0")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.sanitize
def test_eval_says_what_decided(project):
    listed = project.eval("orders", "--user", "ann")
    assert (listed["value"], listed["reason"], listed["variant"]) == (True, "TARGETING_MATCH", "on")
    assert listed["decided_by"] == "listed in enabled_for_users"
    assert project.eval("orders", "--tenant", "bank_7")["decided_by"] == "listed in enabled_for_tenants"
    refused = project.eval("orders", "--user", "mallory", "--tenant", "bank_7")
    assert refused["value"] is False and refused["decided_by"] == "listed in disabled_for_users"
    held = project.eval("orders", "--user", "zoe", "--attribute", "age=18",
                        "--tenant-attribute", "tier=premium")
    assert held["value"] is True and held["decided_by"] == "all conditions hold"
    # text is no number
    text = project.eval("orders", "--user", "zoe", "--attribute", 'age="18"',
                        "--tenant-attribute", "tier=premium")
    assert text["decided_by"] == "rollout_percentage 12.5"
    out = project.eval("night", "--user", "zoe", "--at", "2026-07-01T19:59:59Z")
    assert out["value"] is False and "outside the time window 22:00 to 6:00" in out["decided_by"]
    assert project.eval("night", "--user", "zoe", "--at", "2026-07-01T20:00:00Z")["value"] is True


@pytest.mark.sanitize
def test_a_change_holds_until_it_is_reset(project):
    project.run("flags", "set", "orders", "--rollout", "100", "--why", "all of them")
    assert project.eval("orders", "--user", "zoe")["value"] is True
    assert project.list()["orders"]["source"] == "override"
    project.run("flags", "off", "orders", "--why", "errors")
    killed = project.eval("orders", "--user", "ann")
    assert (killed["value"], killed["reason"]) == (False, "DISABLED")
    assert "errors" in killed["decided_by"]
    # more percent does not bring it back: kill beats override
    project.run("flags", "set", "orders", "--rollout", "99", "--why", "try")
    assert project.eval("orders", "--user", "ann")["value"] is False
    project.run("flags", "on", "orders", "--why", "mended")
    assert project.list()["orders"]["rollout_percentage"] == 99
    project.run("flags", "reset", "orders", "--why", "done")
    orders = project.list()["orders"]
    assert (orders["source"], orders["rollout_percentage"], orders["version"]) == ("file", 12.5, 5)
    assert [line["action"] for line in reversed(project.audit())] == [
        "flag_set", "flag_off", "flag_set", "flag_on", "flag_reset"]
    assert {line["why"] for line in project.audit()} == {
        "all of them", "errors", "try", "mended", "done"}


def test_what_the_file_says_itself_is_no_override(project):
    project.run("flags", "set", "orders", "--rollout", "40", "--why", "more")
    project.flags.write_text(FLAGS.replace("12.5", "40"))
    assert project.list()["orders"]["source"] == "file"
    # gone for good: the file alone decides now
    project.flags.write_text(FLAGS.replace("12.5", "7"))
    assert project.list()["orders"]["rollout_percentage"] == 7
    assert project.audit()[0]["action"] == "flag_override_dropped"
    # nothing but the file's own value: no override at all
    project.run("flags", "set", "base", "--rollout", "100", "--why", "as it is")
    assert project.list()["base"]["source"] == "file"


@pytest.mark.sanitize
def test_off_works_while_the_file_is_bad(project):
    project.run("flags", "set", "orders", "--rollout", "40", "--why", "more")
    project.flags.write_text(FLAGS.replace("enabled_for_users: [ann]", "enabld_for_users: [ann]"))
    done = subprocess.run([binary(), "flags", "off", "orders", "--why", "errors"],
                          cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("feature-flags.yml:9:5: flag 'orders': unknown key 'enabld_for_users', did you mean "
            "'enabled_for_users'?") in done.stderr
    assert project.eval("orders", "--user", "ann")["value"] is False
    assert "did you mean" in json.loads(project.run("flags", "list", "--json"))["problem"]


def test_a_bad_file_that_was_never_good_is_refused(project):
    project.flags.write_text("features: [{name: orders}]\n")
    said = project.run("flags", "list", code=2)
    assert "feature-flags.yml:1:12: flag 'orders': the flag: 'enabled' is missing" in said
    assert not project.blob.exists()


def test_flags_that_no_edge_could_fetch(project):
    users = [f"a-user-of-this-shop-with-a-name-of-about-sixty-bytes-or-so-{i:07}" for i in range(280000)]
    project.flags.write_text(json.dumps({"features": [
        {"name": "orders", "enabled": True, "rollout_percentage": 5, "enabled_for_users": users}]}))
    project.run("flags", "list")
    (project.folder / "banyan.yml").write_text(CONFIG + "tokens: {edge: edge-0123456789abcdef}\n")
    assert "edges (tokens.edge) can fetch 16 MiB at most" in project.run("flags", "list", code=2)


def test_a_module_names_a_flag_that_exists(project):
    project.flags.write_text(FLAGS.replace("name: orders", "name: order"))
    said = project.run("flags", "list", code=2)
    assert said.startswith("banyan: banyan.yml:5:") and "did you mean 'order'?" in said


@pytest.mark.parametrize("words, code, said", [
    (("flags", "off", "orders"), 2, "wants a reason: --why TEXT"),
    (("flags", "off", "order", "--why", "x"), 1, "no flag 'order' in feature-flags.yml, did you mean 'orders'?"),
    (("flags", "set", "orders", "--why", "x"), 2, "wants --rollout PERCENT or --enabled true|false"),
    (("flags", "set", "orders", "--rollout", "100.5", "--why", "x"), 2, "from 0 to 100 in steps of 0.001"),
    (("flags", "set", "orders", "--rollout", "1e1", "--why", "x"), 2, "wants a number from 0 to 100"),
    (("flags", "set", "orders", "--enabled", "yes", "--why", "x"), 2, "is true or false, not 'yes'"),
    (("flags", "off", "orders", "--why", "x" * 1001), 3, "more than 1000 bytes"),
    (("flags", "eval", "orders", "--at", "now"), 2, "wants a time such as"),
    (("flags", "eval", "orders", "--attribute", "x"), 2, "NAME=VALUE"),
    (("flags", "import", "gone.json"), 2, "gone.json:1:1: cannot open it"),
])
def test_mistakes(project, words, code, said):
    assert said in project.run(*words, code=code)
    assert project.audit() == []


def test_stale(project):
    project.run("flags", "set", "orders", "--rollout", "50", "--why", "publishes")
    assert project.run("flags", "list", "--stale").startswith("no flag")
    with sqlite3.connect(project.state) as db:
        assert [row[0] for row in db.execute("SELECT name FROM flag_full")] == ["base"]
        db.execute("UPDATE flag_full SET since_us = since_us - 14 * 86400000000")
    assert project.run("flags", "list", "--stale") == (
        "base  on for everybody for 14 d; remove feature-flags.yml:3-5\n")
    # no longer everybody: the 14 days begin again
    project.run("flags", "set", "base", "--rollout", "99", "--why", "less")
    project.run("flags", "reset", "base", "--why", "more")
    assert project.run("flags", "list", "--stale").startswith("no flag")


def test_changes_at_the_same_time_are_all_kept(project):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: project.run("flags", "set", "orders", "--rollout", str(i),
                                            "--why", f"step {i}"), range(1, 25)))
    audit = project.audit()
    assert {line["why"] for line in audit} == {f"step {i}" for i in range(1, 25)}
    newest = json.loads(json.dumps(audit[0]["after"]))["override"]["rollout_percentage"]
    assert project.list()["orders"]["rollout_percentage"] == newest
    assert project.list()["orders"]["version"] == 24
    # Each line begins where the one before ended.
    for older, newer in zip(audit[1:], audit):
        assert newer["before"] == older["after"]


@pytest.mark.timeout(300)
def test_kill_9_loses_nothing(project):
    """What a command said is done is there, whole; what it did not say is there whole or not at
    all, and the blob is always one that can be used."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    print("seed", seed)
    start = time.monotonic()
    project.run("flags", "off", "orders", "--why", "warm")
    typical = time.monotonic() - start
    said = []
    for i in range(40):
        off = i % 2 == 1
        process = project.start("flags", "off" if off else "on", "orders", "--why", f"step {i}")
        time.sleep(chance.uniform(0, 1.5 * typical))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        whys = [line["why"] for line in project.audit()]
        assert len(whys) == len(set(whys))
        if "published" in out:
            said.append(f"step {i}")
        assert set(said) <= set(whys)
        if f"step {i}" in whys:
            assert project.list()["orders"]["killed"] is off
            assert project.eval("orders", "--user", "ann")["value"] is not off
        if project.blob.exists():
            assert project.blob.read_bytes()[:4] and project.blob.stat().st_size > 100
    assert 0 < len(whys) <= 41
    project.run("flags", "off", "orders", "--why", "last")
    leftovers = {p.name for p in pathlib.Path(project.folder).glob("*.blob.*")}
    assert leftovers <= {"banyan.db.flags.blob.new"}
    assert project.eval("orders", "--user", "ann")["value"] is False


# ---- imports ----


def murmur3(data, seed=0):
    """MurmurHash3 x86_32, from Appleby's description: an implementation of its own."""
    def rotate(x, n):
        return (x << n | x >> (32 - n)) & 0xffffffff
    h = seed
    for i in range(0, len(data) - len(data) % 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * 0xcc9e2d51 & 0xffffffff
        h = (rotate(h ^ rotate(k, 15) * 0x1b873593 & 0xffffffff, 13) * 5 + 0xe6546b64) & 0xffffffff
    tail = data[len(data) - len(data) % 4:]
    if tail:
        k = int.from_bytes(tail, "little") * 0xcc9e2d51 & 0xffffffff
        h ^= rotate(k, 15) * 0x1b873593 & 0xffffffff
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85ebca6b & 0xffffffff
    h = (h ^ h >> 13) * 0xc2b2ae35 & 0xffffffff
    return h ^ h >> 16


FLAGD = {"flags": {"orders": {
    "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
    "targeting": {"fractional": [["on", 30], ["off", 70]]}}}}
UNLEASH = {"version": 1, "features": [{
    "name": "orders", "enabled": True, "strategies": [{
        "name": "flexibleRollout",
        "parameters": {"rollout": "30", "stickiness": "userId", "groupId": "shop"}}]}]}


@pytest.mark.parametrize("source, decides", [
    (FLAGD, lambda user: murmur3(b"orders" + user) * 100 >> 32 < 30),
    (UNLEASH, lambda user: murmur3(b"shop:" + user) % 100 + 1 <= 30),
])
def test_import_keeps_everybody_in_place(project, source, decides):
    (project.folder / "theirs.json").write_text(json.dumps(source, indent=1))
    project.run("flags", "import", "theirs.json", "-o", "ours.yml")
    assert "good" in project.run("flags", "check", "ours.yml")
    config = project.folder / "banyan.yml"
    for file in ("theirs.json", "ours.yml"):
        config.write_text(CONFIG + f"flags: {file}\n")
        for i in range(25):
            user = f"user-{i}"
            assert project.eval("orders", "--user", user)["value"] is decides(user.encode()), user


def test_import_never_overwrites(project):
    (project.folder / "theirs.json").write_text(json.dumps(FLAGD))
    said = project.run("flags", "import", "theirs.json", "-o", "feature-flags.yml", code=3)
    assert "cannot make feature-flags.yml: File exists" in said
    assert project.flags.read_text() == FLAGS


def test_import_names_what_cannot_be_kept(project):
    theirs = json.loads(json.dumps(FLAGD))
    theirs["flags"]["orders"]["targeting"] = {"if": [{"in": ["@", {"var": "email"}]}, "on"]}
    (project.folder / "theirs.json").write_text(json.dumps(theirs, indent=1))
    said = project.run("flags", "import", "theirs.json", "-o", "ours.yml", code=2)
    assert "theirs.json:" in said and "flag 'orders': this targeting cannot be kept" in said
    assert not (project.folder / "ours.yml").exists()

"""The daemon: every module in one process."""
import signal
import socket
import time

import pytest

from harness.api import Api, listen_anywhere, serving
from harness.process import wait_until

TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE products (id int PRIMARY KEY, name text);
INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 100) i;
INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 100) i;
"""


@pytest.fixture
def shop(pg, mongo, mongo_server, banyan):
    pg.execute(TABLES)
    return banyan({
        "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
        "listen": listen_anywhere(),
        "modules": {"sales": {"collections": {"orders": {"table": "orders"}}},
                    "catalogue": {"collections": {"products": {"table": "products"}}}}})


def _follows(pg, mongo, number):
    pg.execute(f"INSERT INTO orders VALUES ({number}, 'x'); INSERT INTO products VALUES ({number}, 'x')")
    for name in ("orders", "products"):
        wait_until(lambda: mongo[name].find_one({"_id": number}), 20, f"{number} in {name}")  # pylint: disable=cell-var-from-loop


@pytest.mark.sanitize
def test_every_module_is_copied_and_streams(shop, pg, mongo):
    daemon = shop.start("serve")
    wait_until(lambda: mongo.orders.count_documents({}) == mongo.products.count_documents({}) == 100, 30, "both copied")
    _follows(pg, mongo, 1000)
    daemon.stop().expect(0)
    daemon = shop.start("serve")
    _follows(pg, mongo, 1001)
    daemon.stop().expect(0)


def test_kill_9_and_again(shop, pg, mongo):
    for number in range(1000, 1003):
        daemon = shop.start("serve")
        _follows(pg, mongo, number)
        daemon.kill9()


def test_one_process_for_a_pipeline(shop, pg, mongo):
    daemon = shop.start("serve")
    _follows(pg, mongo, 1000)
    refused = shop.run("run", "sales")
    assert refused.code == 3 and "serve" in refused.err
    daemon.stop().expect(0)
    running = shop.start("run", "sales")
    running.wait_for("streaming: ")
    daemon = shop.start("serve")
    daemon.wait_for(r"module_failed module=sales .*run sales", 20)
    running.stop().expect(0)
    pg.execute("INSERT INTO orders VALUES (2000, 'x')")
    wait_until(lambda: mongo.orders.find_one({"_id": 2000}), 30, "sales goes on by itself")
    daemon.stop().expect(0)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(shop, tmp_path, abstract):
    """sd_notify(3): ready when requests are answered, alive, stopping before the pipelines drain."""
    name = f"\0{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(name)
        notified.settimeout(30)
        daemon = shop.start("serve", env={"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "10000000"})
        assert notified.recv(1000) == b"READY=1" or notified.recv(1000) == b"READY=1"
        address = daemon.wait_for(r"serving address=(\S+)", 5).group(1)
        assert Api(address).get("/health").status in (200, 503)
        assert notified.recv(1000) == b"WATCHDOG=1"
        started = time.monotonic()
        assert notified.recv(1000) == b"WATCHDOG=1"
        assert time.monotonic() - started < 7, "well within the unit's WatchdogSec"
        daemon.process.send_signal(signal.SIGTERM)
        while (word := notified.recv(1000)) == b"WATCHDOG=1":
            pass
        assert word == b"STOPPING=1"
        daemon.wait().expect(0)


def _limit(api):
    return api.module("sales")["pipeline"]["writes_per_second"]


@pytest.mark.parametrize("hangup", [True, False])
def test_limits_are_reloaded_all_or_nothing(shop, hangup):
    """On SIGHUP, and when the file changes; a bad file, or one that needs a restart, changes nothing."""
    text = shop.config.read_text()

    def write(new):
        fresh = shop.config.with_suffix(".new")
        fresh.write_text(new)
        fresh.rename(shop.config)
        if hangup:
            running.process.send_signal(signal.SIGHUP)

    def limited(limit, more=""):
        return text.replace("target:\n", f"target:\n  writes_per_second: {limit}\n") + more

    with serving(shop) as (api, running):
        api.wait_for_state("sales", "streaming")
        assert _limit(api) == 0
        write(limited(1234))
        wait_until(lambda: _limit(api) == 1234, 10, "the new limit")
        write(limited(999, "modules: {}\n"))
        running.wait_for(r"configuration_refused .*banyan.yml:\d+:\d+: ", 10)
        write(limited("many"))
        running.wait_for(r"configuration_refused .*banyan.yml:\d+:\d+: 'writes_per_second' must be a whole number", 10)
        write(limited(999).replace("      orders:", "      invoices:"))
        running.wait_for(r"configuration_refused .*needs a restart of the daemon", 10)
        assert _limit(api) == 1234
        write(limited(77))
        wait_until(lambda: _limit(api) == 77, 10, "the next good file")

"""The dashboard in a real browser."""
import pytest

from harness.api import listen_anywhere, serving
from harness.browser import drive
from harness.process import wait_until

HUGE = "repeat('x', 17 * 1024 * 1024)"
OPERATOR = "operator-0123456789"


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(**more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY, note text);"
                   "CREATE TABLE products (id int PRIMARY KEY, name text);"
                   "INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 500) i;"
                   "INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 500) i")
        return banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}},
                        "catalogue": {"collections": {"products": {"table": "products"}}}}} | more)

    return make


def test_the_first_screen(make, tmp_path):
    with serving(make()) as (api, _):
        for name in ("sales", "catalogue"):
            api.wait_for_state(name, "streaming")
        words, cards, wide_desktop, wide_phone = drive(
            api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"], ["see", "#words", "sales follows PostgreSQL"],
            ["see", "[data-module=sales] .badge", "streaming"], ["read", "#words"], ["count", "article.card"], ["wait", 2500],
            ["wide"], ["shot", "desktop"], ["size", "phone"], ["wide"], ["shot", "phone"], ["dark", True], ["shot", "dark"])
    assert "Way back: possible" in words and cards == 2
    assert not wide_desktop and not wide_phone, "nothing to scroll sideways"


def test_a_module_is_paused_with_a_reason_by_keyboard(make, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        error, = drive(
            api.url, tmp_path, ["open", "/"], ["see", "[data-module=sales] .badge", "streaming"],
            ["click", "[data-module=sales] button:has-text('Pause')"], ["press", "Enter"], ["see", "#ask-error"],
            ["read", "#ask-error"], ["fill", "#ask-why", "maintenance"], ["press", "Enter"],
            ["see", "[data-module=sales] .badge", "paused"], ["see", "#issues", "paused by a person"])
        assert "say why" in error
        assert api.module("sales")["pipeline"]["state"] == "paused"
        line = api.get("/v1/audit").json["audit"][0]
        assert (line["action"], line["subject"], line["why"]) == ("module.pause", "sales", "maintenance")
        drive(api.url, tmp_path, ["open", "/"], ["click", "[data-module=sales] button:has-text('Resume')"],
              ["fill", "#ask-why", "done"], ["click", "#ask-ok"], ["see", "[data-module=sales] .badge", "streaming"])


def test_a_parked_document_is_retried_on_the_page(make, pg, mongo, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        mongo.command("collMod", "orders", validator={"note": {"$ne": "bad"}})
        pg.execute("UPDATE orders SET note = 'bad' WHERE id = 7")
        wait_until(lambda: [p["state"] for p in api.get("/v1/parked").json["parked"]] == ["parked"], 20, "it is parked")
        mongo.command("collMod", "orders", validator={})
        reason, = drive(
            api.url, tmp_path, ["open", "/"], ["see", ".parked", "orders"], ["read", ".parked"], ["shot", "parked"],
            ["click", ".parked button:has-text('Retry')"], ["fill", "#ask-why", "validator is gone"], ["click", "#ask-ok"],
            ["gone", ".parked"], ["see", "#no-parked"])
        assert "7" in reason and "121" in reason
        wait_until(lambda: mongo.orders.find_one({"_id": 7})["note"] == "bad", 10, "it is written")


def test_a_token_is_asked_for_and_the_page_reconnects(make, tmp_path):
    program = make(tokens={"operator": OPERATOR})
    with serving(program, token=OPERATOR) as (api, _):
        api.wait_for_state("sales", "streaming")
        drive(api.url, tmp_path, ["open", "/"], ["see", "#login"], ["fill", "#token", "wrong"], ["press", "Enter"],
              ["see", "#login-error", "not known"], ["fill", "#token", OPERATOR], ["press", "Enter"],
              ["see", "#connection", "Live"], ["see", "[data-module=sales] .badge", "streaming"], ["click", "#logout"],
              ["see", "#login"])


def test_events_are_shown(make, pg, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        found, = drive(api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"],
                       ["click", "[data-module=sales] button:has-text('Verify')"], ["fill", "#ask-why", "weekly"], ["click", "#ask-ok"],
                       ["see", "#event-list li", "verification ended"], ["see", "[data-module=sales]", "equal, 500 compared"],
                       ["read", "#event-list"])
        assert "sales" in found

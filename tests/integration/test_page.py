"""The dashboard in a real browser."""
import concurrent.futures
import json
import time

import pytest

from harness.api import check_answer, listen_anywhere, serving
from harness.browser import drive
from harness.process import wait_until

HUGE = "repeat('x', 17 * 1024 * 1024)"
OPERATOR, VIEWER = "operator-0123456789", "viewer-0123456789"
FLAG = "features: [{name: half, enabled: true, rollout_percentage: 50}]"


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(flags=None, **more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY, note text);"
                   "CREATE TABLE products (id int PRIMARY KEY, name text);"
                   "INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 500) i;"
                   "INSERT INTO products SELECT i, 'p' || i FROM generate_series(1, 500) i")
        program = banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}},
                        "catalogue": {"collections": {"products": {"table": "products"}}}}} | more
            | ({"flags": "feature-flags.yml"} if flags else {}))
        if flags:
            (program.folder / "feature-flags.yml").write_text(flags)
        return program

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


def test_an_empty_field_is_no_number(make, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        api.post("/v1/modules/sales/throttle", {"why": "gently", "writes_per_second": 500}).expect()
        open_, flag = drive(
            api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"],
            ["click", "[data-module=sales] button:has-text('Limit writes')"], ["fill", "#ask-number", ""], ["fill", "#ask-why", "typing"],
            ["click", "#ask-ok"], ["count", "#ask[open]"], ["fill", "#ask-number", "400"], ["click", "#ask-ok"], ["hidden", "#ask"],
            ["slide", "[data-flag=orders_mongodb] input[type=range]", "60"], ["fill", "#ask-number", ""], ["fill", "#ask-why", "typing"],
            ["click", "#ask-ok"], ["count", "#ask[open]"])
        limits = [line["after"] for line in api.get("/v1/audit").json["audit"] if line["action"] == "module.throttle"]
        assert open_ == flag == 1 and len(limits) == 2 and "400" in str(limits[0])
        assert api.get("/v1/flags/orders_mongodb").json["rollout_percentage"] == 50


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
              ["see", "#connection", "Live"], ["see", "[data-module=sales] .badge", "streaming"],
              ["open", "/"], ["see", "#connection", "Live"], ["click", "#logout"], ["see", "#login"], ["hidden", "#logout"])


def test_a_viewer_sees_no_controls_that_change_something(make, tmp_path):
    program = make(tokens={"operator": OPERATOR, "viewer": VIEWER}, flags=FLAG)
    with serving(program, token=OPERATOR) as (api, _):
        api.wait_for_state("sales", "streaming")
        into = [["open", "/"], ["see", "#login"], ["fill", "#token", VIEWER], ["press", "Enter"], ["see", "#connection", "Live"]]
        drive(api.url, tmp_path, *into, ["see", "[data-flag=half]", "50 %"],
              *(["hidden", f"{control}:text-is('{name}')"] for control, name in (
                  ("[data-module=sales] button", "Pause"), ("[data-module=sales] button", "Verify"), ("[data-flag=half] button", "Kill"))),
              ["see", "[data-flag=half] input.switch:disabled"], ["see", "[data-flag=half] input[type=range]:disabled"])
        into[2][2] = OPERATOR
        drive(api.url, tmp_path, *into, ["see", "[data-module=sales] button:text-is('Pause')"], ["see", "[data-flag=half] button:text-is('Kill')"])


def test_events_are_shown(make, pg, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        found, = drive(api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"],
                       ["click", "[data-module=sales] button:has-text('Verify')"], ["fill", "#ask-why", "weekly"], ["click", "#ask-ok"],
                       ["see", "#event-list li", "verification ended"], ["see", "[data-module=sales]", "equal, 500 compared"],
                       ["read", "#event-list"])
        assert "sales" in found


FLAGS = """
features:
  - {name: products_mongodb, enabled: true, rollout_percentage: 100, owner: team-catalogue}
  - {name: orders_mongodb, enabled: true, rollout_percentage: 50}
"""


def _value(api, flag):
    return api.post(f"/ofrep/v1/evaluate/flags/{flag}", {"context": {"targetingKey": "u"}}).expect().json["value"]


def test_a_flag_flipped_on_the_page_is_off_for_the_next_request(make, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        assert _value(api, "products_mongodb") is True
        row = "[data-flag=products_mongodb]"
        error, text, shown = drive(
            api.url, tmp_path, ["open", "/"], ["see", row, "team-catalogue"], ["click", f"{row} .switch"], ["see", "#ask"],
            ["click", "#ask-ok"], ["read", "#ask-error"], ["read", "#ask-text"], ["fill", "#ask-why", "slow answers"], ["click", "#ask-ok"],
            ["see", row, "slow answers"], ["read", row])
        assert _value(api, "products_mongodb") is False
        assert "say why" in error and "PostgreSQL" in text and "changed by" in shown
        drive(api.url, tmp_path, ["open", "/"], ["click", f"{row} button:has-text('Back to the file')"], ["fill", "#ask-why", "mended"],
              ["press", "Enter"], ["see", row, "as in the file"])
        assert _value(api, "products_mongodb") is True
        drive(api.url, tmp_path, ["open", "/"], ["click", f"{row} button:has-text('Kill')"], ["fill", "#ask-why", "incident"],
              ["press", "Enter"], ["see", row, "killed"])
        assert _value(api, "products_mongodb") is False


def test_the_way_back_is_one_button(make, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        text, = drive(api.url, tmp_path, ["open", "/"], ["see", "#back"], ["focus", "#back"], ["press", "Enter"], ["see", "#ask"],
                      ["read", "#ask-text"], ["fill", "#ask-why", "errors"], ["press", "Enter"], ["hidden", "#back"])
        assert "products_mongodb" in text and "orders_mongodb" in text
        assert not _value(api, "products_mongodb") and not _value(api, "orders_mongodb")


def test_a_flag_that_rules_decide_has_no_percentage(make, tmp_path):
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
            "targeting": {"if": [{"==": [{"var": "plan"}, "gold"]}, "on", "off"]}}
    with serving(make(json.dumps({"flags": {"gold": flag}}))) as (api, _):
        assert check_answer("GET", "/v1/flags/{flag}", api.get("/v1/flags/gold").expect()).json["rollout_percentage"] is None
        drive(api.url, tmp_path, ["open", "/"], ["see", "[data-flag=gold] output", "by rules"], ["hidden", "[data-flag=gold] input[type=range]"])


def test_the_percentage_is_set_by_keyboard_and_shows_who_is_affected(make, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        row = "[data-flag=orders_mongodb]"
        text, other, value = drive(
            api.url, tmp_path, ["open", "/"], ["see", row], ["focus", f"{row} input[type=range]"], ["press", "ArrowRight"],
            ["see", "#ask-text", "From 50 % to 51 %"], ["read", "#ask-text"], ["fill", "#ask-number", "0.5"], ["press", "Tab"],
            ["see", "#ask-text", "to 0.5 %"], ["read", "#ask-text"], ["fill", "#ask-why", "first users"], ["press", "Enter"],
            ["see", row, "first users"], ["read", f"{row} output"])
        assert "sample users" in text and "will be" in other and value == "0.5 %"
        assert api.get("/v1/flags/orders_mongodb").json["rollout_percentage"] == 0.5


STEERED = """
features:
  - {name: products_mongodb, enabled: true, rollout_percentage: 100, module: catalogue}
  - {name: orders_mongodb, enabled: true, rollout_percentage: 50, module: sales}
  - {name: new_checkout, enabled: true, rollout_percentage: 100}
"""


def test_the_way_back_leaves_alone_what_moves_no_reads(make, tmp_path):
    with serving(make(STEERED)) as (api, _):
        text, audit = drive(
            api.url, tmp_path, ["open", "/"], ["click", "#back"], ["see", "#ask"], ["read", "#ask-text"],
            ["fill", "#ask-why", "errors"], ["press", "Enter"], ["see", "#toast", "All reads are back"], ["hidden", "#back"],
            ["see", "#audit-list", "products_mongodb"], ["see", "[data-flag=orders_mongodb] .switch:disabled"], ["read", "#audit-list"])
        assert "Turns off 2 flags" in text and "new_checkout" not in text
        assert not _value(api, "products_mongodb") and not _value(api, "orders_mongodb") and _value(api, "new_checkout")
        assert "local: flag off orders_mongodb, because: errors" in audit


def test_a_flag_that_cannot_be_turned_off_is_named_and_the_others_are_off(make, tmp_path):
    with serving(make(STEERED)) as (api, _):
        error, = drive(
            api.url, tmp_path, ["break", "POST", "**/v1/flags/products_mongodb/off"], ["open", "/"], ["click", "#back"], ["see", "#ask"],
            ["fill", "#ask-why", "errors"], ["press", "Enter"], ["see", "#ask-error", "Still on"], ["read", "#ask-error"],
            ["mend"], ["press", "Enter"], ["see", "#toast", "All reads are back"])
        assert "1 of 2 are off" in error and "products_mongodb (" in error and "orders_mongodb" not in error
        assert not _value(api, "orders_mongodb") and not _value(api, "products_mongodb")


def test_the_way_back_says_what_flags_do_not_change(make, tmp_path):
    with serving(make(STEERED)) as (api, _):
        api.call("PATCH", "/v1/routing/sales", {"why": "test", "reads": "mongodb"}).expect()
        text, = drive(api.url, tmp_path, ["open", "/"], ["click", "#back"], ["see", "#ask"], ["read", "#ask-text"])
        assert "Reads of sales stay on MongoDB" in text and "banyan reads sales sql" in text


def test_who_is_at_work_is_not_disturbed_by_events(make, tmp_path):
    """The focus stays on the control while a flag changes elsewhere, and a filter keeps its word."""
    many = "features:\n" + "".join(f"  - {{name: flag_{i}, enabled: true, rollout_percentage: {i}}}\n" for i in range(12))
    with serving(make(many)) as (api, _):
        status, before, focused, shown = drive(
            api.url, tmp_path, ["open", "/"], ["see", "[data-flag=flag_7]"], ["fill", "#flag-filter", "FLAG_1"], ["gone", "[data-flag=flag_7]"],
            ["focus", "[data-flag=flag_10] input[type=range]"],
            ["request", "PATCH", "/v1/flags/flag_11", {"why": "other", "version": 0, "rollout_percentage": 77}],
            ["see", "[data-flag=flag_11] output", "77 %"], ["value", "#flag-filter"], ["focused"], ["count", "[data-flag]"])
        assert (status, before, focused, shown) == (200, "FLAG_1", "Percentage of flag_10", 3)


def test_differences_are_shown(make, mongo, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        mongo.orders.update_one({"_id": 7}, {"$set": {"note": "other"}})
        mongo.orders.delete_one({"_id": 8})
        api.post("/v1/modules/sales/verify").expect(202)
        wait_until(lambda: api.get("/v1/modules/sales/verify").json["state"] == "done", 60, "it is verified")
        text, title = drive(api.url, tmp_path, ["open", "/"], ["click", "[data-module=sales] summary"], ["see", "[data-module=sales] li"],
                            ["read", "[data-module=sales] details"], ["title"])
        assert 'orders 7 note PostgreSQL "n7", MongoDB "other"' in text and "orders 8 is not in MongoDB" in text
        assert title == "(1) Banyan"


def test_a_refused_file_is_on_the_first_screen(make, tmp_path):
    program = make(FLAGS)
    with serving(program) as (api, _):
        (program.folder / "feature-flags.yml").write_text(FLAGS.replace("50", "500"))
        words, flags = drive(api.url, tmp_path, ["open", "/"], ["see", "#issues", "refused"], ["read", "#issues"],
                             ["see", "#flags-problem"], ["read", "#flags-problem"])
        assert "feature-flags.yml:4:" in words and "500" in words and "last good file" in flags


def test_what_changed_meanwhile_is_told_and_not_overwritten(make, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        row = "[data-flag=products_mongodb]"
        status, error = drive(
            api.url, tmp_path, ["open", "/"], ["see", row], ["click", f"{row} .switch"], ["see", "#ask"],
            ["request", "PATCH", "/v1/flags/products_mongodb", {"why": "other", "version": 0, "rollout_percentage": 7}],
            ["fill", "#ask-why", "mine"], ["press", "Enter"], ["see", "#ask-error"], ["read", "#ask-error"], ["click", "#ask-cancel"],
            ["see", row, "other"])
        assert status == 200 and "changed" in error
        flag = api.get("/v1/flags/products_mongodb").json
        assert flag["enabled"] and flag["rollout_percentage"] == 7


def test_a_copy_shows_how_far_it_is_and_what_is_left(make, pg, tmp_path):
    program = make()
    pg.execute("INSERT INTO orders SELECT i, 'n' FROM generate_series(1001, 20000) i; ANALYZE orders")
    source = {"uri": pg.uri, "snapshot": {"rows_per_second": 1500, "chunk_rows": 1000}}
    program.configure(program.config.read_text().replace(f'  uri: "{pg.uri}"', f'  uri: "{pg.uri}"\n  snapshot: {source["snapshot"]}', 1))
    with serving(program) as (api, _):
        words, = drive(api.url, tmp_path, ["open", "/"], ["see", "[data-module=sales] .badge", "copying"],
                       ["see", "[data-module=sales] progress"], ["see", "[data-module=sales]", "left"],
                       ["read", "[data-module=sales] progress + p"], ["shot", "copying"])
        assert "of about 19,500 documents copied" in words and " left" in words


def test_a_verification_shows_how_far_it_is(make, pg, tmp_path):
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        with concurrent.futures.ThreadPoolExecutor() as pool, pg.connect() as other:
            other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            seen = pool.submit(
                drive, api.url, tmp_path, ["open", "/"], ["click", "[data-module=sales] button:has-text('Verify')"],
                ["fill", "#ask-why", "weekly"], ["click", "#ask-ok"], ["see", "[data-module=sales]", "Verifying orders: rows, 0"],
                ["see", "[data-module=sales]", "equal, 500 compared"])
            wait_until(lambda: api.get("/v1/modules/sales/verify").json["state"] == "running" or seen.done(), 40, "it runs")
            time.sleep(3)  # a status is sent each second
            other.rollback()
            assert seen.result() == []


def test_the_page_is_there_again_when_the_daemon_is(make, tmp_path):
    program = make()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with serving(program) as (api, running):
            api.wait_for_state("sales", "streaming")
            seen = pool.submit(drive, api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"], ["see", "#connection", "lost"],
                               ["see", "#hero[data-stale=true]"], ["see", "#connection", "Live"], ["see", "#hero[data-stale=false]"])
            wait_until(lambda: "banyan_sse_streams 1\n" in api.get("/metrics").body.decode(), 40, "the page looks")
            time.sleep(2)  # and has seen that it is live
            running.kill9()
            time.sleep(2)  # and that it is not
        with serving(program):
            assert seen.result() == []


def test_text_can_be_read_and_nothing_is_wider_than_a_phone(make, pg, mongo, tmp_path):
    with serving(make(FLAGS)) as (api, _):
        for name in ("sales", "catalogue"):
            api.wait_for_state(name, "streaming")
        mongo.command("collMod", "orders", validator={"note": {"$ne": "bad"}})
        pg.execute("UPDATE orders SET note = 'bad' WHERE id = 7")
        api.post("/v1/flags/orders_mongodb/off").expect()
        look = [["contrast"], ["wide"]]
        found = drive(api.url, tmp_path, ["open", "/"], ["see", ".parked"], ["see", "[data-flag=orders_mongodb]", "killed"], *look,
                      ["dark", True], *look, ["size", "phone"], *look, ["click", ".parked button"], ["see", "#ask"], *look,
                      ["dark", False], *look)
        for contrast, wide in zip(found[::2], found[1::2]):
            assert contrast["looked"] > 20 and contrast["poor"] == []
            assert wide is False


def test_many_modules_are_followed(banyan, tmp_path):
    """Their status is longer than an event may be."""
    program = banyan({"source": {"uri": "postgresql://nobody@127.0.0.1:1/none"},
                      "target": {"uri": "mongodb://127.0.0.1:1/", "database": "none"}, "listen": listen_anywhere(),
                      "modules": {f"m{i}": {"collections": {f"c{i}": {"table": f"t{i}"}}} for i in range(120)}})
    with serving(program) as (api, _):
        assert len(api.get("/v1/status").expect().body) > 64 * 1024
        drive(api.url, tmp_path, ["open", "/"], ["see", "#connection", "Live"], ["see", "[data-module=m7] .badge", "failed"],
              ["request", "POST", "/v1/modules/m7/pause", {"why": "elsewhere"}], ["see", "[data-module=m7] .badge", "paused"])


def test_a_daemon_without_anything_says_so(make, tmp_path):
    with serving(make()) as (api, _):
        words = drive(api.url, tmp_path, ["open", "/"], *[step for place in ("no-flags", "no-parked", "no-alerts")
                                                          for step in (["see", f"#{place}"], ["read", f"#{place}"])])
        assert "feature-flags.yml" in words[0] and "every change could be written" in words[1] and "No alert" in words[2]


def test_the_keyboard_reaches_everything(make, tmp_path):
    """From the top, Tab alone: the link that skips, the way back, each module's buttons, each flag."""
    with serving(make(FLAGS)) as (api, _):
        for name in ("sales", "catalogue"):
            api.wait_for_state(name, "streaming")
        found = drive(api.url, tmp_path, ["open", "/"], ["see", "[data-module=sales] .badge", "streaming"],
                      ["see", "[data-flag=orders_mongodb]"], *([["press", "Tab"], ["focused"]] * 20))
        for name in ("Skip to the modules", "Send all reads back to PostgreSQL", "Pause", "Limit writes", "Verify",
                     "products_mongodb enabled", "Percentage of products_mongodb", "Kill"):
            assert name in found, (name, found)

"""The divergence and the routing view in a real browser, with real divergences of real traffic."""
import contextlib
import json
import urllib.parse

import pytest

from harness.api import check_answer
from harness.browser import drive
from harness.gateway import gateway, running  # noqa: F401  (a fixture)
from harness.process import wait_until

JSON = {"Content-Type": "application/json"}
ROUTE = {"compare": {"sample": "100%"}}
DIVERGENCES, ROUTING = ["open", "/#/divergences"], ["open", "/#/routing"]


def product(number):
    return {"id": number, "name": f"lamp {number}", "price": 12.5, "tags": ["new", "led"],
            "items": [{"id": 1, "size": "S", "stock": 4}, {"id": 2, "size": "L", "stock": 9}]}


def seeded(number):
    """As the service on MongoDB answers, which has a bug."""
    wrong = product(number)
    wrong["items"][1]["stock"] = 7
    return wrong


class Shop:
    """Two services of one API behind a gateway; the one on MongoDB differs by `bug`."""

    def __init__(self, gate):
        self.gate, self.bug = gate, seeded
        gate.sql.answer = lambda a: self._answer(a, product)
        gate.mongodb.answer = lambda a: self._answer(a, self.bug)

    @property
    def api(self):
        return self.gate.api

    @staticmethod
    def _answer(arrival, make):
        return 200, JSON, json.dumps(make(int(arrival.path.rsplit("/", 1)[1]))).encode()

    def read(self, *numbers):
        return [self.gate.get(f"/api/products/{number}", X_User_Id="u2") for number in numbers]

    def divergences(self):
        return self.api.get("/v1/divergences").expect().json["divergences"]

    def wait_for_divergence(self, count):
        wait_until(lambda: (d := self.divergences()) and d[0]["count"] >= count, 30, "the bug is found")
        return self.divergences()[0]


@pytest.fixture
def shop(gateway):  # noqa: F811
    @contextlib.contextmanager
    def make(module=None, route=None, **more):
        made = Shop(gateway(route=ROUTE | (route or {}), module={"reads": "shadow"} | (module or {}), **more))
        with running(made.gate):
            made.api.wait_for_state("catalogue", "streaming")
            yield made
    return make


def test_a_seeded_bug_shows_with_both_values_and_is_marked(shop, tmp_path):
    with shop() as s:
        s.read(*range(1, 8))
        found = s.wait_for_divergence(7)
        row = f"[data-divergence='{found['id']}']"
        title, marked, reproducer, pager, error, badge = drive(
            s.api.url, tmp_path, DIVERGENCES, ["see", row, "items[].stock"], ["read", f"{row} h3"], ["click", f"{row} button:has-text('Show')"],
            ["see", f"{row} .sides"], ["read", f"{row} tr[data-differs=main]"], ["read", f"{row} .reproducer code"],
            ["read", f"{row} .pager output"], ["shot", "divergence"],
            ["click", f"{row} button:has-text('Analyzed')"], ["press", "Enter"], ["read", "#ask-error"],
            ["fill", "#ask-why", "ticket 4711"], ["press", "Enter"], ["gone", row], ["see", "#no-divergences"],
            ["hidden", "#divergences-open"], ["click", "#divergence-analyzed"], ["see", row], ["read", f"{row} .head"])
        assert "/api/products" in title and "9" in marked and "7" in marked
        assert "/api/products/" in reproducer and pager == "Example 1 of 7"
        assert "say why" in error and "analyzed" in badge
        assert s.divergences()[0]["analyzed"]
        line = s.api.get("/v1/audit").json["audit"][0]
        assert (line["action"], line["why"]) == ("divergence.analyze", "ticket 4711")


def test_whole_documents_stand_side_by_side_and_what_is_masked_stays_so(shop, tmp_path):
    def bug(number):
        return seeded(number) | {"email": f"u{number}@old.example", "id_long": 9007199254740993}

    def right(number):
        return product(number) | {"email": f"u{number}@new.example", "id_long": 9007199254740992}

    with shop(route={"compare": ROUTE["compare"] | {"mask": ["email"], "store": "documents"}}) as s:
        s.bug = bug
        s.gate.sql.answer = lambda a: s._answer(a, right)
        s.read(1)
        wait_until(lambda: len(s.divergences()) == 3, 30, "three causes")
        by_path = {d["path"]: f"[data-divergence='{d['id']}']" for d in s.divergences()}
        email, long = by_path["email"], by_path["id_long"]
        steps = [DIVERGENCES]
        for row in (email, long):
            steps += [["click", f"{row} button:has-text('Show')"], ["see", f"{row} .sides"], ["read", f"{row} .sides"],
                      ["count", f"{row} tr[data-differs=main]"], ["count", f"{row} tr[data-differs=also]"]]
        masked, main, also, whole, long_main, _ = drive(s.api.url, tmp_path, *steps, ["shot", "documents"])
        assert "masked string" in masked and "@" not in masked and "lamp 1" in masked
        assert (main, also, long_main) == (1, 2, 1)
        assert "9007199254740993" in whole and "9007199254740992" in whole, "digits are kept"


def test_reads_changed_on_the_page_change_who_answers_the_next_request(shop, tmp_path):
    with shop() as s:
        assert s.read(1)[0].source == "sql"
        card = "[data-routing=catalogue]"
        change = [["click", f"{card} button:has-text('Change')"], ["see", "#ask"]]
        error, origin = drive(
            s.api.url, tmp_path, ROUTING, ["see", card, "reads shadow"], ["shot", "routing-before"], *change, ["click", "#ask-ok"],
            ["read", "#ask-error"], ["select", "[name=reads]", "mongodb"], ["fill", "#ask-why", "rollout"], ["click", "#ask-ok"],
            ["see", card, "by hand"], ["read", f"{card} .quiet"])
        wait_until(lambda: s.read(1)[0].source == "mongodb", 2, "the workers have heard of it")
        assert "say why" in error and "rollout" in origin and "Reads: mongodb, by hand" in origin
        status, conflict = drive(
            s.api.url, tmp_path, ROUTING, ["see", card, "rollout"], *change,
            ["request", "PATCH", "/v1/routing/catalogue", {"why": "other", "reads": "shadow"}],
            ["select", "[name=reads]", "flag"], ["fill", "#ask-why", "mine"], ["press", "Enter"], ["see", "#ask-error"],
            ["read", "#ask-error"], ["click", "#ask-cancel"], ["see", card, "other"])
        assert status == 200 and "meanwhile" in conflict
        assert s.api.get("/v1/routing").json["modules"][0]["reads"] == "shadow"
        drive(s.api.url, tmp_path, ROUTING, *change, ["select", "[name=stage]", "live"], ["fill", "#ask-why", "stage"], ["press", "Enter"],
              ["see", f"{card} .badge", "stage live"])
        after = s.api.get("/v1/routing").json["modules"][0]
        assert (after["reads"], after["writes"]) == ("flag", "both")


def test_who_answers_is_measured_and_said_first(shop, tmp_path):
    with shop(module={"reads": "flag"}) as s:
        words, = drive(s.api.url, tmp_path, ["open", "/"], ["see", "#words", "Nobody has read catalogue"], ["read", "#words"])
        assert "Way back: possible" in words
        s.bug = product
        for _ in range(3):
            s.read(1)
            s.gate.get("/api/products/1", X_User_Id="u1")
            s.gate.get("/api/products/1", X_User_Id="u1")
            s.gate.call("POST", "/api/products", {"X-User-Id": "u9"}, b"{}")  # u1 would read that own write on SQL
        wait_until(lambda: "67 % of catalogue reads answered by MongoDB (of 9 in 5 minutes)" in s.api.get("/v1/status").json["summary"]["words"],
                   20, "it is measured")
        share, bar, explained, written, unknown = drive(
            s.api.url, tmp_path, ["open", "/"], ["see", "#words", "67 % of catalogue reads answered by MongoDB"], ROUTING,
            ["see", "[data-routing=catalogue] .big", "67 % of catalogue reads"], ["read", "[data-routing=catalogue] .share"],
            ["count", "[data-routing=catalogue] progress"], ["fill", "#explain-path", "/api/products/7"], ["fill", "#explain-user", "u1"],
            ["press", "Enter"], ["see", "#explained", "MongoDB answers"], ["read", "#explained"], ["select", "#explain-method", "POST"],
            ["click", "#explain-form button"], ["see", "#explained", "it is a write"], ["read", "#explained"], ["shot", "routing"],
            ["fill", "#explain-path", "/nowhere"], ["press", "Enter"], ["see", "#explained", "404"], ["read", "#explained"])
        assert "67 % by MongoDB, of 9 reads" in share and bar == 1
        assert "listed in enabled_for_users" in explained and "it is a write" in written and "Route not found" in unknown
        s.gate.mongodb.answer = lambda a: (500, {}, b"")
        assert s.gate.get("/api/products/1", X_User_Id="u1").source == "sql"
        wait_until(lambda: s.api.get("/v1/routing").json["modules"][0]["routes"][0]["answered"] == {"sql": 4, "mongodb": 6, "rescued": 1},
                   20, "the rescued one is told")


def test_explain_is_one_function(shop):
    with shop(module={"reads": "flag"}) as s:
        for path, user in (("/api/products/7?x=1", "u1"), ("/api/products/7", "u2"), ("/api/%70roducts/7", "u1"), ("/api/productsX", "u1")):
            said = json.loads(s.gate.program.run("--json", "routes", "explain", "GET", path, "--user", user).expect(0).out)
            answer = s.api.get(f"/v1/routing/explain?method=GET&path={urllib.parse.quote(path, safe='')}&user={user}").expect()
            assert check_answer("GET", "/v1/routing/explain", answer).json == said, path
        assert "begins with /" in s.api.get("/v1/routing/explain?path=x").expect(400).json["error"]["message"]


def test_the_report_says_what_the_rate_is_worth(shop, tmp_path):
    with shop(routes=[{"prefix": "/api/other"}]) as s:
        empty, coverage = drive(s.api.url, tmp_path, DIVERGENCES, ["see", ".verdict"], ["read", ".verdict"], ["read", ".coverage"])
        assert "Nothing was compared" in empty and "/api/other (never exercised)" in coverage
        s.read(*range(1, 21))
        s.wait_for_divergence(20)
        row = "tr[data-operation='/api/products']"
        wait_until(lambda: s.api.get("/v1/report?range=1h").json["divergent"] == 20, 20, "the report has them")
        verdict, rate, figures, top, week = drive(
            s.api.url, tmp_path, DIVERGENCES, ["see", ".verdict", "20 of 20"], ["read", ".verdict"], ["read", "dl.facts"], ["read", row],
            ["read", ".top"], ["focus", "#report-range input[value='1h']"], ["press", "ArrowRight"], ["see", ".verdict", "last 7 days"],
            ["read", ".verdict"], ["shot", "report"])
        report = s.api.get("/v1/report?range=7d").json
        assert {"pass": "Pass:", "fail": "Fail:", "inconclusive": "Inconclusive:"}[report["verdict"]] in verdict, report["verdict"]
        assert "Net rate" in rate and "Noise" in rate and "/api/products" in top and "20 of 20" in week
        assert f"{report['operations'][0]['sql']['p50_ms']:.2f}"[:3] in figures


VIEWS = ([DIVERGENCES, ["see", ".verdict"], ["click", ".divergence .toggle"], ["see", ".divergence .sides"]],
         [ROUTING, ["see", "[data-routing=catalogue] .share"], ["fill", "#explain-path", "/api/products/7"], ["press", "Enter"], ["see", "#explained .big"]])


@pytest.mark.parametrize("view", VIEWS, ids=("divergences", "routing"))
def test_text_can_be_read_and_nothing_is_wider_than_a_phone(shop, tmp_path, view):
    with shop(route={"compare": ROUTE["compare"] | {"store": "documents", "mask": ["name"]}}) as s:
        s.bug = lambda n: seeded(n) | {"name": "other"}
        s.read(*range(1, 4))
        wait_until(lambda: len(s.divergences()) == 2, 30, "both causes")
        look = [["contrast"], ["wide"]]
        found = drive(s.api.url, tmp_path, *view, ["wait", 1500], *look, ["shot", "light"], ["dark", True], *look, ["shot", "dark"],
                      ["size", "phone"], *look, ["shot", "phone-dark"], ["dark", False], *look, ["shot", "phone"],
                      ["click", "[data-routing] button" if view is VIEWS[1] else ".divergence .buttons button:has-text('Analyzed')"],
                      ["see", "#ask"], *look, ["shot", "dialog"])
        for contrast, wide in zip(found[::2], found[1::2]):
            assert contrast["looked"] > 15 and contrast["poor"] == []
            assert wide is False


def test_by_keyboard_alone_and_what_comes_meanwhile_takes_no_focus(shop, tmp_path):
    """A cause is opened and marked, with more of it coming in; then the reads are changed."""
    with shop() as s:
        s.read(1)
        found = s.wait_for_divergence(1)
        row = f"[data-divergence='{found['id']}']"
        more = [["request", "GET", f"http://127.0.0.1:{s.gate.port}/api/products/{n}"] for n in (2, 3)]
        focused = drive(
            s.api.url, tmp_path, ["open", "/"], ["see", "#divergences-open", "1"], ["focus", "nav a[data-view=divergences]"], ["press", "Enter"],
            ["see", row], ["focus", f"{row} .toggle"], ["press", "Enter"], ["see", f"{row} .sides"], ["press", "Tab"], *more,
            ["see", row, "3 times"], ["see", f"{row} .sides"], ["focused"], ["press", "Enter"], ["see", "#ask"], ["fill", "#ask-why", "known"],
            ["request", "GET", f"http://127.0.0.1:{s.gate.port}/api/products/4"], ["see", row, "4 times"], ["see", "#ask"], ["value", "#ask-why"],
            ["press", "Enter"], ["gone", row],
            ["focus", "nav a[data-view=routing]"], ["press", "Enter"], ["see", "[data-routing=catalogue]"], ["press", "Tab"], ["press", "Tab"],
            ["focused"], ["focus", "[data-routing=catalogue] .buttons button"], ["press", "Enter"], ["see", "#ask"], ["focused"], ["press", "Tab"],
            ["press", "s"], ["press", "Tab"], ["press", "Tab"], ["press", "Tab"], ["wait", 6000], ["type", "all on SQL"], ["press", "Enter"],
            ["see", "[data-routing=catalogue] .quiet", "all on SQL"], ["focused"])
        assert focused[2] == "Analyzed" and focused[4] == "known" and focused[-1] == "Change who answers catalogue", focused
        assert s.api.get("/v1/routing").json["modules"][0]["reads"] == "sql"


def test_what_is_empty_says_so(shop, tmp_path):
    with shop() as s:
        none, kinds, mine = drive(s.api.url, tmp_path, DIVERGENCES, ["see", "#no-divergences"], ["read", "#no-divergences"],
                                  ["select", "#divergence-kind", "extra"], ["see", "#no-divergences", "of this module and kind"],
                                  ["read", "#no-divergences"], ROUTING, ["see", "#no-instances"], ["read", "#no-instances"])
        assert "nothing was found" in none and "None" in kinds and "This daemon alone" in mine


def test_forgetting_a_user_by_name(shop, tmp_path):
    with shop() as s:
        s.read(1, 2)
        s.wait_for_divergence(2)
        error, = drive(s.api.url, tmp_path, DIVERGENCES, ["see", ".divergence"], ["click", "#purge"], ["see", "#ask"], ["fill", "#ask-why", "asked to be"],
                       ["click", "#ask-ok"], ["read", "#ask-error"], ["fill", "[name=user]", "u2"], ["click", "#ask-ok"],
                       ["see", "#toast", "2 examples are forgotten"])
        assert "which user" in error
        assert not s.api.get(f"/v1/divergences/{s.divergences()[0]['id']}").json["examples"]


def test_a_document_is_written_anew_from_the_page(shop, pg, mongo, tmp_path):
    def read(arrival):
        found = mongo.products.find_one({"_id": int(arrival.path.rsplit("/", 1)[1])})
        return 200, JSON, json.dumps({"id": found["_id"], "name": found["name"]}).encode()

    with shop() as s:
        pg.execute("INSERT INTO products VALUES (5, 'lamp 5')")
        wait_until(lambda: mongo.products.find_one({"_id": 5}), 20, "it is in MongoDB")
        s.gate.sql.answer = lambda a: (200, JSON, b'{"id":5,"name":"lamp 5"}')
        s.gate.mongodb.answer = read
        mongo.products.update_one({"_id": 5}, {"$set": {"name": "old"}})
        s.read(5)
        row = f"[data-divergence='{s.wait_for_divergence(1)['id']}']"
        values, = drive(s.api.url, tmp_path, DIVERGENCES, ["click", f"{row} .toggle"], ["see", f"{row} .sides"], ["read", f"{row} tr[data-differs=main]"],
                        ["click", f"{row} button:has-text('Resync')"], ["see", "#ask-text", "of products"], ["fill", "#ask-why", "one document is old"],
                        ["press", "Enter"], ["see", "#toast", "asked to write it"])
        assert '"lamp 5"' in values and '"old"' in values
        wait_until(lambda: mongo.products.find_one({"_id": 5})["name"] == "lamp 5", 20, "it is written again")

"""The parallel run of operations: both sides are asked by Banyan itself."""
import contextlib
import json

import pytest
from harness.api import listen_anywhere, serving
from harness.process import wait_until

DDL = """
CREATE TABLE products (id bigint PRIMARY KEY, name text, unit_price numeric(10,2), email text);
INSERT INTO products SELECT i, 'product ' || i, i * 1.25, 'u' || i || '@shop.example' FROM generate_series(1, 20) i;
"""
OPERATIONS = {
    "get_product": {
        "sql": "SELECT id, name, unit_price AS price, email FROM products WHERE id = :id",
        "mongodb": {"find": "products", "filter": {"_id": ":id"}, "limit": 1},
        "params": {"id": "int64"}, "returns": "one", "compare": {"sample": "100%", "mask": ["email"]}},
    "by_email": {
        "sql": "SELECT id, name FROM products WHERE email = :email ORDER BY id",
        "mongodb": {"find": "products", "filter": {"email": ":email"}, "projection": {"name": 1}, "sort": {"_id": 1}},
        "params": {"email": "string"}, "compare": {"sample": "100%", "mask": ["email"]}},
    "all_products": {
        "sql": "SELECT id, name FROM products", "mongodb": {"find": "products", "projection": {"name": 1}, "sort": {"_id": -1}},
        "returns": "set", "compare": {"sample": "100%"}},
}


class Shop:
    def __init__(self, program, api, pg, mongo):
        self.program, self.api, self.pg, self.products = program, api, pg, mongo.products

    def call(self, name, **params):
        return self.api.post(f"/v1/operations/{name}", {"params": params}).expect()

    def report(self):
        everything = self.api.get("/v1/report?range=1h").expect().json
        return {o["name"]: o for o in everything["operations"]}

    def wait_for(self, name, timeout=30, **counts):
        wait_until(lambda: all(self.report()[name][k] == v for k, v in counts.items()), timeout, f"{name}: {counts}")

    def divergences(self):
        listed = self.api.get("/v1/divergences").expect().json["divergences"]
        return [self.api.get(f"/v1/divergences/{d['id']}").expect().json for d in listed]


@pytest.fixture
def shop(pg, mongo, mongo_server, banyan):
    @contextlib.contextmanager
    def make(**module):
        pg.execute(DDL)
        program = banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"catalogue": {
                "reads": "shadow", "collections": {"products": {"table": "products", "fields": {"unit_price": "price"}}},
                "operations": OPERATIONS} | module}})
        with serving(program) as (api, _):
            api.wait_for_state("catalogue", "streaming")
            yield Shop(program, api, pg, mongo)
    return make


def test_equal_answers_are_compared_and_counted(shop):
    with shop() as s:
        for number in range(1, 11):
            s.call("get_product", id=number)
        s.call("all_products")  # in another order: a set
        s.wait_for("get_product", compared=10, divergent=0, unsettled=0)
        s.wait_for("all_products", compared=1, divergent=0)
        product = s.report()["get_product"]
        assert product["sql"]["calls"] == 10 and product["mongodb"]["shadow_calls"] == 10
        assert product["mongodb"]["mean_ms"] > 0 and "improvement_percent" in product
        assert s.report()["by_email"]["coverage"] == "never"
        assert s.divergences() == []


def test_a_wrong_document_is_found_named_and_resynced(shop):
    with shop() as s:
        s.products.update_one({"_id": 7}, {"$set": {"name": "wrong", "email": "hidden@shop.example"}})
        s.call("get_product", id=7)
        s.wait_for("get_product", compared=1, divergent=1)
        found = {d["path"]: d for d in wait_until(s.divergences, 10, "it is stored")}
        assert set(found) == {"name", "email"}
        (example,) = found["name"]["examples"]
        assert (example["sql"], example["mongodb"]) == ("product 7", "wrong")
        assert example["parameters"] == {"id": 7} and example["reproducer"] == "banyan query get_product 'id=7'"
        assert example["collection"] == "products"
        assert "example" not in json.dumps(found["email"]["examples"][0]["sql"])
        s.api.post(f"/v1/divergences/{found['name']['id']}/resync").expect(202)
        wait_until(lambda: s.products.find_one({"_id": 7})["name"] == "product 7", 20, "the document is written again")


def test_one_row_of_many_is_one_difference_and_masked_parameters_stay_hidden(shop):
    with shop() as s:
        s.products.delete_one({"_id": 3})
        s.call("all_products")
        s.call("by_email", email="u3@shop.example")
        s.wait_for("all_products", compared=1, divergent=1)
        s.wait_for("by_email", compared=1, divergent=1)
        found = wait_until(lambda: len(d := s.divergences()) == 2 and {x["name"]: x for x in d}, 10, "both are stored")
        assert (found["all_products"]["kind"], found["all_products"]["count"]) == ("missing", 1)
        example = found["by_email"]["examples"][0]
        assert example["parameters"]["email"]["masked"] == "string"
        assert example["reproducer"] == "banyan query by_email 'email=...'"
        assert "u3@shop" not in json.dumps(found)


def test_lag_of_an_operation_is_not_reported_as_real(shop):
    with shop() as s:
        s.api.post("/v1/modules/catalogue/pause").expect()
        s.api.wait_for_state("catalogue", "paused")
        s.pg.execute("UPDATE products SET name = 'new' WHERE id = 5")
        s.call("get_product", id=5)
        s.wait_for("get_product", compared=1, divergent=0)
        s.api.post("/v1/modules/catalogue/resume").expect()
        s.wait_for("get_product", lag=1, divergent=0, unsettled=0)
        assert s.divergences() == []

"""A module with operations, for the tests of POST /v1/operations and of what stands on it."""
import copy

import pytest

from .api import listen_anywhere

OPERATIONS = {
    "get_product": {
        "sql": "SELECT id, name, unit_price AS price FROM products WHERE id = :id",
        "mongodb": {"find": "products", "filter": {"_id": ":id"}, "projection": {"name": 1, "price": 1}, "limit": 1},
        "params": {"id": "int64"}, "returns": "one", "compare": {"sample": "100%"}},
    "search_products": {
        "sql": "SELECT id, name FROM products WHERE name ILIKE '%' || :query|like || '%' ORDER BY id",
        "mongodb": {"find": "products", "projection": {"name": 1}, "sort": {"_id": 1},
                    "filter": {"name": {"$regex": {"contains": ":query"}, "$options": "i"}}},
        "params": {"query": "string"}},
    "by_name": {
        "sql": "SELECT name FROM products WHERE name = :name",
        "mongodb": {"find": "products", "filter": {"name": ":name"}, "projection": {"_id": 0, "name": 1}},
        "params": {"name": "string"}},
    "echo": {
        "sql": "SELECT id, :text::text AS text FROM products WHERE id = 1",
        "mongodb": {"aggregate": "products", "pipeline": [
            {"$match": {"_id": 1}}, {"$project": {"_id": 0, "id": "$_id", "text": ":text"}}]},
        "params": {"text": "string"}, "returns": "one"},
    "count_by_price": {
        "sql": "SELECT count(*) AS n, unit_price AS price FROM products GROUP BY unit_price ORDER BY 2",
        "mongodb": {"aggregate": "products", "pipeline": [
            {"$group": {"_id": "$price", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}},
            {"$project": {"_id": 0, "n": 1, "price": "$_id"}}]}},
    "page_of_products": {
        "sql": "SELECT id FROM products ORDER BY id LIMIT :size OFFSET :skip",
        "mongodb": {"find": "products", "projection": {"_id": 1}, "sort": {"_id": 1}, "limit": ":size",
                    "skip": ":skip"},
        "params": {"size": {"type": "int32", "default": 3, "max": 100}, "skip": {"type": "int64", "default": 0}}},
    "some_products": {
        "sql": "SELECT id FROM products WHERE id = ANY(:ids) ORDER BY id",
        "mongodb": {"find": "products", "filter": {"_id": {"$in": ":ids"}}, "projection": {"_id": 1},
                    "sort": {"_id": 1}},
        "params": {"ids": "int64[]"}},
}
DDL = """
CREATE TABLE IF NOT EXISTS products (id bigint PRIMARY KEY, name text, unit_price numeric(10,2));
INSERT INTO products SELECT i, 'product ' || i, i * 1.25 FROM generate_series(1, 20) i;
INSERT INTO products VALUES (100, '50% off_', 9.99), (101, 'a.b*c', 9.99);
"""
COLLECTIONS = {"products": {"table": "products", "fields": {"unit_price": "price"}}}


def call(api, name, params=None, **body):
    return api.post(f"/v1/operations/{name}", {"params": params or {}} | body)


@pytest.fixture
def shop(pg, mongo, mongo_server, banyan):
    """shop(operations, ddl, collections, copy=True, module={...}, source=uri, target=uri, ...): a program whose module
    has operations."""

    def make(operations=None, ddl=DDL, collections=None, copied=True, module=None, source=None, target=None, **more):
        if ddl:
            pg.execute(ddl)
        program = banyan({
            "source": {"uri": source or pg.uri},
            "target": {"uri": target or mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(),
            "modules": {"catalogue": {"collections": copy.deepcopy(collections or COLLECTIONS),
                                      "operations": copy.deepcopy(operations or OPERATIONS)} | (module or {})}} | more)
        if copied:
            program.run("run", "catalogue", "--snapshot-only", timeout=60).expect(0)
        return program

    return make

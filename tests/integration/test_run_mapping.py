"""The mapping: every key of the contract, as documents."""
import pytest

from bson import Int64, ObjectId

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import

PRODUCTS = """
CREATE TABLE categories (id int PRIMARY KEY, name text, parent_id int);
CREATE TABLE products (id int PRIMARY KEY, unit_price numeric(8,2), internal_note text,
  category_id int, released date, stock_level int);
CREATE TABLE images (id int PRIMARY KEY, product_id int, position int, url text, photographer_id int);
CREATE TABLE people (id int PRIMARY KEY, full_name text);
INSERT INTO people VALUES (1, 'Ann');
INSERT INTO categories VALUES (1, 'all', NULL), (2, 'pens', 1);
INSERT INTO products VALUES (1, 2.50, 'secret', 2, '2024-01-01', NULL), (2, NULL, NULL, NULL, NULL, 3);
INSERT INTO images VALUES (11, 1, 2, 'b', 1), (12, 1, 1, 'c', NULL), (10, 1, 2, 'a', 1);
"""


def _copied_and_streamed(shop, pg, collection, identity=1):
    """The document of product 1, copied; its streamed form must be the same."""
    shop.snapshot()
    copied = shop.document(collection, identity)
    pg.execute("UPDATE products SET internal_note = internal_note || '' WHERE id = 1;"
               "DELETE FROM products WHERE id = 1;"
               "INSERT INTO products VALUES (1, 2.50, 'secret', 2, '2024-01-01', NULL)")
    shop.catch_up()
    streamed = shop.document(collection, identity)
    assert streamed == copied and list(streamed) == list(copied)
    return copied


def test_names_and_exceptions(migrate, pg):
    shop = migrate({"products": {"table": "public.products", "fields": {
        "unit_price": "price", "internal_note": None,
        "released": {"as": "released_on", "type": "string"}, "stock_level": {"type": "int64"}}}},
        PRODUCTS)
    document = _copied_and_streamed(shop, pg, "products")
    assert list(document) == ["_id", "price", "category_id", "released_on", "stock_level"]
    assert str(document["price"]) == "2.50" and document["released_on"] == "2024-01-01"
    assert isinstance(shop.document("products", 2)["stock_level"], (int, Int64))


def test_only_case_and_nulls(migrate, pg):
    shop = migrate({"products": {"table": "products", "case": "camel", "nulls": "omit",
                                 "only": ["id", "unit_price", "category_id", "stock_level"],
                                 "fields": {"unit_price": "unit_price"}}}, PRODUCTS)
    assert _copied_and_streamed(shop, pg, "products").keys() == {"_id", "unit_price", "categoryId"}
    assert shop.document("products", 2) == {"_id": 2, "stockLevel": 3}


def test_nulls_that_come_and_go_are_left_out(migrate, pg):
    shop = migrate({"products": {"table": "products", "nulls": "omit", "only": ["id", "stock_level"]}},
                   PRODUCTS)
    shop.snapshot()
    pg.execute("UPDATE products SET stock_level = 7 - stock_level WHERE id = 2")
    pg.execute("UPDATE products SET stock_level = 1 WHERE id = 1")
    pg.execute("UPDATE products SET stock_level = NULL WHERE id = 2")
    shop.catch_up()
    assert shop.documents("products") == [{"_id": 1, "stock_level": 1}, {"_id": 2}]


def test_added_fields(migrate, pg):
    shop = migrate({"products": {"table": "products", "only": ["id"], "add": {
        "legacy_id": {"column": "id"}, "source": "postgresql", "version": 3, "ratio": 0.5,
        "active": True, "nothing": None}}}, PRODUCTS)
    assert _copied_and_streamed(shop, pg, "products") == {
        "_id": 1, "legacy_id": 1, "source": "postgresql", "version": 3, "ratio": 0.5,
        "active": True, "nothing": None}


def test_stamps_are_of_now_and_cause_no_write(migrate, pg):
    shop = migrate({"products": {"table": "products", "only": ["id", "stock_level"],
                                 "add": {"_synced_at": {"now": True}}}}, PRODUCTS)
    shop.snapshot()
    first = shop.document("products", 1)["_synced_at"]
    now = pg.execute("SELECT (extract(epoch FROM now()) * 1000)::bigint")[0][0]
    assert abs(int(first) - now) < 60000
    pg.execute("UPDATE products SET stock_level = 5 WHERE id = 1")
    shop.catch_up()
    assert int(shop.document("products", 1)["_synced_at"]) > int(first)


def test_keep_id_and_integer_ids(migrate, pg):
    shop = migrate({"products": {"table": "products", "only": ["id"], "keep_id": True}}, PRODUCTS)
    assert _copied_and_streamed(shop, pg, "products") == {"_id": 1, "id": 1}


def test_object_ids_are_stable(migrate, pg):
    mapping = {"table": "products", "id": "objectid", "only": ["id", "stock_level"],
               "add": {"legacy_id": {"column": "id"}}}
    shop = migrate({"products": mapping, "other": mapping}, PRODUCTS)
    shop.snapshot()
    before = {d["legacy_id"]: d["_id"] for d in shop.documents("products")}
    assert all(isinstance(identity, ObjectId) for identity in before.values())
    assert shop.documents("products")[0].keys() == {"_id", "legacy_id", "stock_level"}
    pg.execute("UPDATE products SET stock_level = 1; DELETE FROM products WHERE id = 1;"
               "INSERT INTO products (id) VALUES (1)")
    shop.catch_up()
    assert {d["legacy_id"]: d["_id"] for d in shop.documents("products")} == before
    others = {d["_id"] for d in shop.documents("other")}
    assert not others & set(before.values())


@pytest.mark.sanitize
def test_embedded_at_any_depth(migrate, pg):
    shop = migrate({"products": {"table": "products", "only": ["id", "category_id"], "embed": {
        "category": {"table": "categories", "one": True, "join": {"id": "category_id"}, "embed": {
            "parent": {"table": "categories", "one": True, "join": {"id": "parent_id"}, "only": ["name"]}}},
        "images": {"table": "images", "join": {"product_id": "id"}, "order": ["position"], "embed": {
            "photographer": {"table": "people", "one": True, "join": {"id": "photographer_id"},
                             "case": "camel", "keep_join": True}}}}}}, PRODUCTS)
    ann = {"id": 1, "fullName": "Ann"}
    assert _copied_and_streamed(shop, pg, "products") == {
        "_id": 1, "category_id": 2,
        "category": {"name": "pens", "parent_id": 1, "parent": {"name": "all"}},
        "images": [
            {"id": 12, "position": 1, "url": "c", "photographer_id": None, "photographer": None},
            {"id": 10, "position": 2, "url": "a", "photographer_id": 1, "photographer": ann},
            {"id": 11, "position": 2, "url": "b", "photographer_id": 1, "photographer": ann}]}
    assert shop.document("products", 2) == {"_id": 2, "category_id": None, "category": None, "images": []}
    pg.execute("UPDATE people SET full_name = 'Bea'; UPDATE categories SET name = 'root' WHERE id = 1;"
               "UPDATE images SET position = 0 WHERE id = 11")
    shop.catch_up()
    document = shop.document("products", 1)
    assert document["category"]["parent"] == {"name": "root"}
    assert [i["id"] for i in document["images"]] == [11, 12, 10]
    assert document["images"][0]["photographer"]["fullName"] == "Bea"


def test_omitted_nulls_of_embedded_tables(migrate, pg):
    shop = migrate({"products": {"table": "products", "only": ["id"], "nulls": "omit", "embed": {
        "category": {"table": "categories", "one": True, "join": {"id": "category_id"}},
        "images": {"table": "images", "join": {"product_id": "id"}, "only": ["id", "photographer_id"]}}}},
        PRODUCTS)
    assert _copied_and_streamed(shop, pg, "products")["images"] == [
        {"id": 10, "photographer_id": 1}, {"id": 11, "photographer_id": 1}, {"id": 12}]


def test_several_collections_of_one_table_and_one_table_in_several(migrate, pg):
    images = {"table": "images", "join": {"product_id": "id"}, "only": ["id", "url"]}
    shop = migrate({
        "products": {"table": "products", "only": ["id"], "embed": {"images": images}},
        "gallery": {"table": "images", "only": ["id", "url"]},
        "people": {"table": "people", "embed": {
            "shots": {"table": "images", "join": {"photographer_id": "id"}, "only": ["id"]}}}}, PRODUCTS)
    shop.snapshot()
    pg.execute("UPDATE images SET url = 'new', photographer_id = NULL WHERE id = 10")
    shop.catch_up()
    assert shop.document("gallery", 10) == {"_id": 10, "url": "new"}
    assert {"id": 10, "url": "new"} in shop.document("products", 1)["images"]
    assert shop.document("people", 1)["shots"] == [{"id": 11}]


def test_indexes(migrate, pg):
    shop = migrate({"products": {"table": "products", "indexes": [
        {"keys": {"category_id": 1, "unit_price": -1}, "name": "by_category"},
        {"keys": {"stock_level": 1}},
        {"keys": {"code": -1}, "unique": True}]}}, PRODUCTS + "ALTER TABLE products ADD code serial NOT NULL")
    shop.snapshot()
    shop.catch_up()
    found = shop.mongo.products.index_information()
    assert found["by_category"]["key"] == [("category_id", 1), ("unit_price", -1)]
    assert found["stock_level_1"]["key"] == [("stock_level", 1)]
    assert found["code_-1"]["unique"]


ODD = '''
CREATE SCHEMA "Odd; Schema";
CREATE TABLE "Odd; Schema"."Order.Lines" ("Id" int PRIMARY KEY, "a.b" int, "$price" int, "x$y" int,
  "quote""d" int, "sp ace" int, "ümlaut" int, "UPPER" int, "drop table t; --" int);
CREATE TABLE "Odd; Schema"."KIDS" ("Key" int PRIMARY KEY, "order id" int, "$v" int);
INSERT INTO "Odd; Schema"."Order.Lines" VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9);
INSERT INTO "Odd; Schema"."KIDS" VALUES (1, 1, 2);
'''


@pytest.mark.sanitize
def test_odd_names(migrate, pg):
    """A full stop and a dollar at the front become their full-width forms."""
    shop = migrate({"odd ü; name": {"table": '"Odd; Schema"."Order.Lines"', "embed": {
        "the kids": {"table": '"Odd; Schema"."KIDS"', "join": {"order id": "Id"}}}}}, ODD)
    shop.snapshot()
    pg.execute('UPDATE "Odd; Schema"."Order.Lines" SET "quote""d" = 50;'
               'UPDATE "Odd; Schema"."KIDS" SET "$v" = 20')
    shop.catch_up()
    assert shop.documents("odd ü; name") == [{
        "_id": 1, "a．b": 2, "＄price": 3, "x$y": 4, 'quote"d': 50, "sp ace": 6, "ümlaut": 7,
        "UPPER": 8, "drop table t; --": 9, "the kids": [{"Key": 1, "＄v": 20}]}]


def test_unquoted_names_are_folded_as_in_sql(migrate):
    shop = migrate({"products": {"table": "PUBLIC.Products", "only": ["id"]}}, PRODUCTS)
    shop.snapshot()
    assert [d["_id"] for d in shop.documents("products")] == [1, 2]


def test_generated_columns(migrate, pg):
    """They are not in the log before PostgreSQL 18."""
    shop = migrate({"t": {"table": "t"}}, """
        CREATE TABLE t (id int PRIMARY KEY, n int, double int GENERATED ALWAYS AS (n * 2) STORED);
        INSERT INTO t VALUES (1, 1)""")
    shop.snapshot()
    pg.execute("UPDATE t SET n = 5; INSERT INTO t VALUES (2, 7)")
    shop.catch_up()
    assert shop.documents("t") == [{"_id": 1, "n": 5, "double": 10}, {"_id": 2, "n": 7, "double": 14}]

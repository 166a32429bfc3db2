"""Operations: named reads with typed parameters, from SQL and from MongoDB, with the same bytes."""
import pytest

from harness.api import check_answer, listen_anywhere, serving
from harness.operations import DDL, OPERATIONS, call, shop  # noqa: F401
from harness.process import wait_until

OPERATOR, VIEWER, EVALUATE = "operator-0123456789", "viewer-0123456789", "evaluate-0123456789"


def both(api, name, params=None, **body):
    """The answers of both sides, which are the same bytes."""
    sql, mongodb = (call(api, name, params, side=side, **body).expect() for side in ("sql", "mongodb"))
    assert sql.body == mongodb.body
    assert sql.headers["X-Data-Source"] == "sql" and mongodb.headers["X-Data-Source"] == "mongodb"
    return sql.json


@pytest.mark.sanitize
def test_both_sides_answer_the_same(shop):  # noqa: F811
    with serving(shop()) as (api, _):
        for side, migrated in (("sql", "false"), ("mongodb", "true")):
            answer = check_answer("POST", "/v1/operations/{name}", call(api, "get_product", {"id": 7}, side=side))
            assert answer.expect().body == b'{"id":7,"name":"product 7","price":8.75}\n'
            assert answer.headers["X-Data-Source"] == side and answer.headers["X-Migrated"] == migrated
            assert answer.headers["X-Service"] == "get_product"
            none = check_answer("POST", "/v1/operations/{name}", call(api, "get_product", {"id": 999}, side=side))
            assert none.expect(404).json["error"]["code"] == "no_row"
        assert both(api, "search_products", {"query": "product 1"})[0] == {"id": 1, "name": "product 1"}
        assert both(api, "count_by_price")[0] == {"price": 1.25, "n": 1}
        assert both(api, "page_of_products", {"size": 2, "skip": 3}) == [{"id": 4}, {"id": 5}]
        assert both(api, "page_of_products") == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert both(api, "page_of_products", {"size": 0}) == []
        assert both(api, "some_products", {"ids": [3, 1, 3]}) == [{"id": 1}, {"id": 3}]
        assert both(api, "some_products", {"ids": []}) == []
        assert both(api, "get_product", {"id": 7}, numbers="string") == \
            {"id": "7", "name": "product 7", "price": "8.75"}
        api.get("/v1/operations").expect()
        check_answer("GET", "/v1/operations", api.get("/v1/operations"))


@pytest.mark.sanitize
def test_what_callers_send_stays_a_value(shop, pg, mongo):  # noqa: F811
    hostile = ["'; DROP TABLE products; --", "' OR '1'='1", "%", "_", "\\", "\\'", ".*", "^", "$", "(", "$where",
               "$name", "$$ROOT", "a.b*", "50% off", "\n", "", "null", ":query", "::x", "é\U0001f600", "{\"$gt\":\"\"}"]
    pg.execute(DDL)
    pg.execute("INSERT INTO products SELECT 1000 + i, v, 1 FROM unnest(%s::text[]) WITH ORDINALITY u(v, i)", [hostile])
    with serving(shop(ddl=None)) as (api, _):
        for text in hostile:
            found = both(api, "search_products", {"query": text})
            assert all(text.lower() in row["name"].lower() for row in found), text
            assert text in [row["name"] for row in found], text
            assert both(api, "by_name", {"name": text}) == [{"name": text}]
            assert both(api, "echo", {"text": text}) == {"id": 1, "text": text}
        for wrong in ({"$ne": 0}, [1], "1 OR 1=1", "1; SELECT 1", 1.5, True, None, "7 ", "0x7"):
            error = call(api, "get_product", {"id": wrong}).expect(400).json["error"]
            assert error["code"] == "bad_parameter" and "'id'" in error["message"], wrong
        for wrong in ({"$gt": ""}, ["a"], 7, "a\0b"):
            call(api, "by_name", {"name": wrong}).expect(400)
        assert "no parameter" in call(api, "get_product", {"id": 1, "x": 1}).expect(400).json["error"]["message"]
        call(api, "get_product").expect(400)
        api.post("/v1/operations/get_product", {"id": 1}).expect(400)
        api.post("/v1/operations/nothing", {}).expect(404)
        api.post("/v1/operations/get_product", b'{"params": {"id": 1}', headers={
            "Content-Type": "application/json"}).expect(400)
    assert pg.execute("SELECT count(*) FROM products")[0][0] == 22 + len(hostile)


def test_conditions_within_projections(shop, mongo):  # noqa: F811
    """A caller's text is a value there as well, and a fixed text may be looked for."""
    parts = {"sql": "SELECT :part::text AS part", "params": {"part": "string"}, "fallback": False, "returns": "one",
             "mongodb": {"find": "products", "filter": {"name": {"$regex": {"starts": "parts ("}}},
                         "projection": {"_id": 0, "parts": {"$elemMatch": {"name": ":part"}}}}}
    program = shop({"parts": parts})
    mongo.products.insert_one({"_id": 500, "name": "parts (many)",
                               "parts": [{"name": n, "n": i} for i, n in enumerate(["a", "$b", "c"])]})
    with serving(program) as (api, _):
        for i, name in enumerate(["a", "$b", "c"]):
            answer = call(api, "parts", {"part": name}, side="mongodb").expect()
            assert answer.json == {"parts": [{"name": name, "n": i}]}
        assert call(api, "parts", {"part": "none"}, side="mongodb").expect().json == {}


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE types (id bigint PRIMARY KEY, b boolean, i2 smallint, i4 int, i8 bigint, n numeric, n2 numeric(20,4),
    f4 real, f8 double precision, t text, v varchar(20), c char(5), by bytea, d date, ts timestamp, tz timestamptz,
    ti time, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], na numeric[][], m mood, p positive,
    inet inet, bits bit(3), r int4range, x xml, mo money);
INSERT INTO types VALUES
 (1, true, -32768, 2147483647, 9223372036854775807, 1234567890123456789012345678901234, 12.5000, 1.1, 0.1,
  E'a"\\\\\\n\\u00e9', 'v', 'c', '\\x00ff10', '2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02',
  '12:00', '1 day 2 hours', '0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a', '{"a": [1, 2.50, null, "x"]}',
  '{"b": 1, "a": {"c": 12345678901234567890}}', '{1,NULL,3}', '{a,"b,c",NULL}', '{{1.50,2},{3,4}}', 'happy', 7,
  '10.0.0.1/8', '101', '[1,5)', '<a/>', 12.34),
 (2, false, 0, 0, -9223372036854775808, 0.000000000000000000001, -0.0001, 'NaN', '-Infinity', '', '', '', '',
  '0001-01-01', '9999-12-31 23:59:59.999', '1970-01-01 00:00:00+00', '00:00', '0', '00000000-0000-0000-0000-000000000000',
  '[]', '{}', '{}', '{}', '{}', 'sad', 1, '::1', '000', 'empty', '', -1),
 (3, NULL, NULL, NULL, 9007199254740993, 'NaN', NULL, 3, 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  'null', '"text"', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (4, true, 1, 1, 1, 100, 100, 1e30, 1e300, 'x', 'x', 'x', 'x', '2000-01-01', '2000-01-01', '2000-01-01 00:00:00.001+00',
  '23:59:59.5', '-3 months', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '1e2', '1.10', '{1}', '{x}', '{{0.0}}', 'sad', 2,
  'fe80::/10', '111', '(,3)', NULL, 0);
"""


@pytest.mark.sanitize
def test_every_type_has_the_same_bytes_on_both_sides(shop):  # noqa: F811
    operations = {"all": {"sql": "SELECT * FROM types ORDER BY id",
                          "mongodb": {"find": "types", "sort": {"_id": 1}}},
                  "one": {"sql": "SELECT * FROM types WHERE id = :id",
                          "mongodb": {"find": "types", "filter": {"_id": ":id"}},
                          "params": {"id": "int64"}, "returns": "one"}}
    with serving(shop(operations, TYPES, {"types": {"table": "types"}})) as (api, _):
        rows = both(api, "all")
        assert len(rows) == 4
        both(api, "all", numbers="string")
        first = call(api, "one", {"id": 1}).expect()
        assert b'"i8":9223372036854775807' in first.body
        assert b'"n":1234567890123456789012345678901234' in first.body and b'"n2":12.5000' in first.body
        row = first.json
        assert row["by"] == "AP8Q" and row["u"] == "0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a"
        assert row["d"] == "2024-02-29T00:00:00.000Z" and row["ts"] == "2024-02-29T12:34:56.789Z"
        assert row["tz"] == "2024-02-29T10:34:56.789Z" and row["ia"] == [1, None, 3] and row["m"] == "happy"
        assert row["j"] == {"a": [1, 2.5, None, "x"]} and row["na"] == [[1.5, 2], [3, 4]]
        assert rows[1]["f4"] == "NaN" and rows[1]["f8"] == "-Infinity" and rows[2]["i8"] == 9007199254740993


def test_parameters_of_every_type(shop):  # noqa: F811
    values = {"b": ("bool", True), "i4": ("int32", 2147483647), "i8": ("int64", 9223372036854775807),
              "n2": ("decimal", 12.5), "f8": ("double", 0.1), "t": ("string", "a\"\\\né"), "d": ("date", "2024-02-29"),
              "tz": ("timestamp", "2024-02-29T12:34:56.789+02:00"), "by": ("bytes", "AP8Q"),
              "u": ("uuid", "0B2F4F2C-7d1a-4c7e-9a55-0e2d1f3c4b5a"), "m": ("string", "happy")}
    operations = {f"by_{column}": {
        "sql": f"SELECT id FROM types WHERE {column} = :v ORDER BY id",
        "mongodb": {"find": "types", "filter": {column: ":v"}, "projection": {"_id": 1}, "sort": {"_id": 1}},
        "params": {"v": type_}} for column, (type_, _) in values.items()}
    operations["by_json"] = {"sql": "SELECT id FROM types WHERE jb = :v", "params": {"v": "json"},
                             "mongodb": {"find": "types", "filter": {"jb": ":v"}, "projection": {"_id": 1}}}
    operations["by_moods"] = {"sql": "SELECT id FROM types WHERE m = ANY(:v) ORDER BY id", "params": {"v": "string[]"},
                              "mongodb": {"find": "types", "filter": {"m": {"$in": ":v"}}, "projection": {"_id": 1},
                                          "sort": {"_id": 1}}}
    with serving(shop(operations, TYPES, {"types": {"table": "types"}})) as (api, _):
        for column, (_, value) in values.items():
            assert 1 in [row["id"] for row in both(api, f"by_{column}", {"v": value})], column
        assert both(api, "by_json", {"v": "text"}) == [{"id": 3}]
        assert both(api, "by_moods", {"v": ["happy"]}) == [{"id": 1}]
        call(api, "by_json", {"v": {"$gt": ""}}).expect(400)


def test_keys_come_back_as_columns(shop):  # noqa: F811
    ddl = """CREATE TABLE lines (order_id int, line int, what text, PRIMARY KEY (order_id, line));
             INSERT INTO lines VALUES (1, 1, 'a'), (1, 2, 'b');
             CREATE TABLE named (code text PRIMARY KEY, v int); INSERT INTO named VALUES ('x', 1);
             CREATE TABLE kept (id int PRIMARY KEY, v int); INSERT INTO kept VALUES (5, 1);
             CREATE TABLE oids (id int PRIMARY KEY, v int); INSERT INTO oids VALUES (5, 1)"""
    collections = {"lines": {"table": "lines"}, "named": {"table": "named"},
                   "kept": {"table": "kept", "keep_id": True}, "oids": {"table": "oids", "id": "objectid"}}
    operations = {name: {"sql": f"SELECT * FROM {name} ORDER BY 1, 2", "mongodb": {"find": name, "sort": {"_id": 1}}}
                  for name in collections}
    with serving(shop(operations, ddl, collections)) as (api, _):
        assert both(api, "lines") == [{"order_id": 1, "line": 1, "what": "a"}, {"order_id": 1, "line": 2, "what": "b"}]
        assert both(api, "named") == [{"code": "x", "v": 1}]
        assert both(api, "kept") == [{"id": 5, "v": 1}]
        assert both(api, "oids") == [{"id": 5, "v": 1}]


def test_statements_only_read(shop, pg):  # noqa: F811
    pg.execute(DDL)
    pg.execute("""CREATE FUNCTION public.put() RETURNS int LANGUAGE sql AS
                  'INSERT INTO public.products VALUES (5000, ''x'', 1) RETURNING 1';
                  CREATE FUNCTION public.unlock() RETURNS text LANGUAGE sql AS
                  $$ SELECT pg_catalog.set_config('default_transaction_read_only', 'off', false) $$""")
    found = {"find": "products", "limit": 1, "projection": {"_id": 1}}
    operations = {"write": {"sql": "WITH x AS (INSERT INTO products VALUES (5000, 'x', 1) RETURNING id) SELECT id FROM x",
                            "mongodb": found},
                  "call": {"sql": "SELECT public.put() AS id", "mongodb": found},
                  "unlock": {"sql": "SELECT public.unlock() AS id", "mongodb": found},
                  "two": {"sql": "SELECT id FROM products", "mongodb": {"find": "products"}, "returns": "one"}}
    with serving(shop(operations, None)) as (api, _):
        for name in ("write", "call"):
            answer = call(api, name, side="sql").expect(502).json["error"]
            assert "read-only" in answer["sides"]["sql"]["message"]
        for _ in range(5):  # a session that somebody made writable is not used again
            call(api, "unlock", side="sql").expect()
            call(api, "call", side="sql").expect(502)
        for side in ("sql", "mongodb"):
            message = call(api, "two", side=side).expect(502).json["error"]["sides"][side]["message"]
            assert message == "operation 'two' returns one row, but there is another"
    assert pg.execute("SELECT count(*) FROM products WHERE id = 5000")[0][0] == 0


def test_a_changed_table_is_taken_up(shop, pg):  # noqa: F811
    operations = {"all": {"sql": "SELECT * FROM products WHERE id = 1", "mongodb": {"find": "products", "limit": 1}}}
    with serving(shop(operations)) as (api, _):
        assert call(api, "all", side="sql").expect().json[0]["id"] == 1
        pg.execute("ALTER TABLE products ADD COLUMN more int DEFAULT 4")
        assert call(api, "all", side="sql").expect().json[0]["more"] == 4
        pg.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'banyan operations'")
        assert call(api, "all", side="sql").expect().json[0]["more"] == 4


def test_by_flag_and_setting(shop):  # noqa: F811
    program = shop(module={"flag": "moved", "reads": "flag"}, flags="feature-flags.yml")
    (program.folder / "feature-flags.yml").write_text("""
features:
  - name: moved
    enabled: true
    rollout_percentage: 0
    enabled_for_users: [u1]
    enabled_for_tenants: ["7"]
    conditions: [{type: user_attribute, attribute: plan, operator: "=", value: gold}]
""")
    with serving(program) as (api, _):
        def side(**who):
            return call(api, "get_product", {"id": 7}, **who).expect().headers["X-Data-Source"]
        assert side() == side(user="u2") == side(user="u2", attributes={"user": {"plan": "free"}}) == "sql"
        assert side(user="u1") == side(tenant=7) == side(user="u2", attributes={"user": {"plan": "gold"}}) == "mongodb"
        assert program.run("query", "get_product", "id=7", "--user", "u1", "--json").expect(0).json()["side"] == "mongodb"
        assert program.run("query", "get_product", "id=7", "--user", "u2", "--json").expect(0).json()["side"] == "sql"
        for reads, wanted in (("mongodb", "mongodb"), ("sql", "sql"), ("shadow", "sql")):
            api.call("PATCH", "/v1/routing/catalogue", {"why": "test", "reads": reads}).expect()
            wait_until(lambda: side() == wanted, 5, f"{wanted} answers")
            assert program.run("query", "get_product", "id=7", "--json").expect(0).json()["side"] == wanted


def test_who_may_call(shop):  # noqa: F811
    second = listen_anywhere()
    program = shop(OPERATIONS | {"get_product": OPERATIONS["get_product"] | {"evaluate": True}},
                   tokens={"viewer": VIEWER, "operator": OPERATOR, "evaluate": EVALUATE}, ofrep={"listen": second})
    with serving(program, token=OPERATOR) as (api, _):
        def as_(token, address=api.address):
            return type(api)(address, token)
        asked = {"id": 7}
        call(api, "get_product", asked).expect()
        call(api, "search_products", {"query": "x"}).expect()
        call(as_(VIEWER), "get_product", asked).expect(403)
        call(as_(None), "get_product", asked).expect(401)
        call(as_(EVALUATE), "get_product", asked).expect()
        call(as_(EVALUATE), "search_products", {"query": "x"}).expect(404)
        call(as_(EVALUATE), "get_product", asked, side="sql").expect(403)
        names = [o["name"] for o in as_(VIEWER).get("/v1/operations").expect().json["operations"]]
        assert names == [*OPERATIONS]
        for token in (EVALUATE, OPERATOR):
            there = as_(token, second)
            call(there, "get_product", asked).expect()
            call(there, "search_products", {"query": "x"}).expect(404)
            assert [o["name"] for o in there.get("/v1/operations").expect().json["operations"]] == ["get_product"]
        call(as_(VIEWER, second), "get_product", asked).expect(403)


def test_the_command_line(shop):  # noqa: F811
    program = shop()
    assert program.run("query", "get_product", "id=7").expect(0).out == '{"id":7,"name":"product 7","price":8.75}\n'
    found = program.run("query", "search_products", "query=% OFF_", "--side", "both").expect(0).json()
    assert found["equal"] and found["mongodb"]["result"] == [{"id": 100, "name": "50% off_"}]
    assert program.run("query", "some_products", "ids=[2,1]", "--strings").expect(0).out == '[{"id":"1"},{"id":"2"}]\n'
    assert "there is no such row" in program.run("query", "get_product", "id=999").expect(1).err
    assert program.run("query", "get_product", "id=999", "--json").expect(1).json()["outcome"] == "404"
    assert "no parameter 'x'" in program.run("query", "get_product", "x=1").expect(2).err
    assert "whole number" in program.run("query", "get_product", "id=a").expect(2).err
    assert "there is no operation 'nothing'" in program.run("query", "nothing").expect(2).err
    # it works with a daemon beside it, and tells where the sides differ
    with serving(program):
        program.run("query", "get_product", "id=7").expect(0)


def test_sides_that_differ(shop, mongo):  # noqa: F811
    program = shop()
    mongo.products.update_one({"_id": 7}, {"$set": {"name": "other"}})
    found = program.run("query", "get_product", "id=7", "--side", "both").expect(1).json()
    assert not found["equal"] and found["mongodb"]["result"]["name"] == "other"
    assert found["differences"] == [{"path": "name", "kind": "mismatch", "sql": "product 7", "mongodb": "other"}]
    mongo.products.delete_one({"_id": 7})
    found = program.run("query", "get_product", "id=7", "--side", "both").expect(1).json()
    assert [(d["path"], d["kind"]) for d in found["differences"]] == [("(status)", "missing")]


def test_both_sides_are_compared_by_the_rules(shop, mongo):  # noqa: F811
    """What the parallel run explains away is no difference on the command line either."""
    get = OPERATIONS["get_product"]
    program = shop({"get_product": get | {"compare": {"rules": "reference"}}, "strict": get | {"compare": {"rules": "exact"}}})
    mongo.products.update_one({"_id": 7}, {"$set": {"price": 8.75005}})
    found = program.run("query", "get_product", "id=7", "--side", "both").expect(0).json()
    assert found["equal"] and found["differences"] == [] and found["explained"] == {"tolerance": 1}
    found = program.run("query", "strict", "id=7", "--side", "both").expect(1).json()
    assert [d["path"] for d in found["differences"]] == ["price"]


def test_mistakes_are_found_at_load(shop):  # noqa: F811
    program = shop(OPERATIONS | {"bad": {"sql": "DELETE FROM products", "mongodb": {"find": "products"}}}, copied=False)
    for command in (("serve",), ("status",), ("query", "bad")):
        assert "a read begins with SELECT" in program.run(*command).expect(2).err
    program = shop({"w": {"write": True, "sql": "SELECT 1", "mongodb": {"find": "products"}}}, "SELECT 1", copied=False)
    assert "'write' other than false is in the contract but not built yet" in program.run("status").expect(2).err

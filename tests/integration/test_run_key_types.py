"""Every type as a primary key and as a join column: copied, streamed, with rows embedded by it."""
import pytest

from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import

# name: (statements before the tables, type, four values in SQL)
TYPES = {
    "int": ("", "int", "1 2 3 -4"),
    "numeric": ("", "numeric", "1.50 2 12345678901234567890.123 -0.001"),
    "text": ("", "text", "'' 'é\"\\,{}' 'NULL' 'it''s'"),
    "varchar": ("", "varchar(9)", "'a' 'b ' '{' '\\\\'"),
    "char(n)": ("", "char(4)", "'a' 'bc' 'cd d' '\"'"),
    "char": ("", '"char"', "'a' 'b' '''' '\"'"),
    "name": ("", "name", "'a' 'b c' '{}' 'NULL'"),
    "citext": ("CREATE EXTENSION citext;", "citext", "'Ada' 'bob' 'É' 'x,y'"),
    "enum": ("CREATE TYPE kt AS ENUM ('one', 'two words', '{3}', '4\"');", "kt",
             "'one' 'two words' '{3}' '4\"'"),
    "enum of another schema": ("CREATE SCHEMA \"Odd s\"; CREATE TYPE \"Odd s\".\"K t\" AS ENUM ('a', 'b', 'c', 'd');",
                               "\"Odd s\".\"K t\"", "'a' 'b' 'c' 'd'"),
    "domain over text": ("CREATE DOMAIN kd AS text CHECK (length(VALUE) < 9);", "kd", "'a' 'b,c' '\"' 'NULL'"),
    "domain over int": ("CREATE DOMAIN ki AS int CHECK (VALUE > 0);", "ki", "1 2 3 4"),
    "bytea": ("", "bytea", "'\\x00' '\\x5c22' 'abc' ''"),
    "uuid": ("", "uuid", "'00000000-0000-0000-0000-000000000001' 'ffffffff-0000-0000-0000-000000000002' "
             "'12345678-0000-0000-0000-000000000003' '00000000-0000-0000-0000-000000000004'"),
    "inet": ("", "inet", "'10.0.0.1' '10.0.0.0/8' '::1' '192.168.0.1/24'"),
    "cidr": ("", "cidr", "'10.0.0.0/8' '::/0' '10.1.0.0/16' '1.2.3.4/32'"),
    "macaddr": ("", "macaddr", "'08:00:2b:01:02:03' '08:00:2b:01:02:04' '08:00:2b:01:02:05' '08:00:2b:01:02:06'"),
    "macaddr8": ("", "macaddr8", "'08:00:2b:01:02:03:04:05' '08:00:2b:01:02:03:04:06' '08:00:2b:01:02:03:04:07' "
                 "'08:00:2b:01:02:03:04:08'"),
    "bit": ("", "bit(3)", "'101' '000' '111' '010'"),
    "varbit": ("", "varbit", "'101' '0' '1111' '01'"),
    "date": ("", "date", "'2026-01-01' '1999-12-31' '0044-03-15' 'infinity'"),
    "time": ("", "time", "'00:00' '12:34:56.123456' '23:59:59' '24:00:00'"),
    "timestamp": ("", "timestamp", "'2026-01-01 00:00:00.000001' '1970-01-01' '1999-12-31 23:59' '-infinity'"),
    "timestamptz": ("", "timestamptz", "'2026-01-01 00:00:00.000001+02' '1970-01-01 00:00Z' "
                    "'1999-12-31 23:59-05' 'infinity'"),
    "bool": ("", "bool", "true false"),
    "oid": ("", "oid", "1 2 3 4294967295"),
    "xid8": ("", "xid8", "'1' '2' '3' '18446744073709551615'"),
    "pg_lsn": ("", "pg_lsn", "'0/1' '0/2' 'FF/0' '1/1'"),
    "money": ("", "money", "'1.50' '2' '-3' '1000000'"),
    "int4range": ("", "int4range", "'[1,3)' 'empty' '(,5)' '[7,7]'"),
    "daterange": ("", "daterange", "'[2026-01-01,2026-02-01)' 'empty' '(,2000-01-01)' '[1999-01-01,1999-01-01]'"),
}
# Not one to one with their BSON, or none that `_id` can be: as join columns only.
JOIN_ONLY = {
    "int[]": ("", "int[]", "'{1,2}' '{}' '{NULL,3}' '{{1,2},{3,4}}'"),
    "text[]": ("", "text[]", "'{a,b}' '{\"x,y\",\"q\\\"\"}' '{NULL}' '{\"NULL\",it''s}'"),
    "domain over array": ("CREATE DOMAIN ka AS int[] CHECK (array_length(VALUE, 1) < 9);", "ka",
                          "'{1}' '{2,3}' '{4,5,6}' '{7}'"),
    "array of enum": ("CREATE TYPE ke AS ENUM ('a', 'b c');", "ke[]", "'{a}' '{\"b c\"}' '{a,a}' '{\"b c\",a}'"),
    "composite": ("CREATE TYPE kc AS (a int, b text);", "kc", "'(1,a)' '(2,\"b,c\")' '(,)' '(3,\"\"\"\")'"),
    "numrange": ("", "numrange", "'[1.0,2)' 'empty' '(,5]' '[1.5,1.50]'"),
    "float8": ("", "float8", "'1.5' '0' 'NaN' 'Infinity'"),
    "interval": ("", "interval", "'1 day' '2 hours' '1 mon' '-3 days'"),
    "jsonb": ("", "jsonb", "'{\"a\":1}' '[1,2]' '\"x\"' '3'"),
    "hstore": ("CREATE EXTENSION hstore;", "hstore", "'a=>1' 'b=>NULL' '\"x y\"=>\"\\\"\"' ''"),
    "int4multirange": ("", "int4multirange", "'{[1,3)}' '{}' '{[1,3),[5,7)}' '{(,5)}'"),
}
POLICY = {"types": {"microseconds": "string", "infinity": "string"}}


def split(values):
    """At blanks outside of quotes."""
    found, word, quoted = [], "", False
    for c in values:
        quoted ^= c == "'"
        if c == " " and not quoted:
            found.append(word)
            word = ""
        else:
            word += c
    return [*found, word]


@pytest.mark.parametrize("name", TYPES)
def test_a_type_as_primary_key(migrate, pg, name):
    """The key of a flat collection, and of one with rows embedded by it: copied and streamed."""
    before, kind, values = TYPES[name]
    values = split(values)
    shop = migrate({
        "flat": {"table": "flat"},
        "p": {"table": "p", "embed": {"kids": {"table": "c", "join": {"k": "k"}}}}}, f"""{before}
        CREATE TABLE flat (k {kind} PRIMARY KEY, v int);
        CREATE TABLE p (k {kind} PRIMARY KEY, v int);
        CREATE TABLE c (id int PRIMARY KEY, k {kind});
        INSERT INTO flat VALUES ({values[0]}, 1); INSERT INTO p VALUES ({values[0]}, 1);
        INSERT INTO c VALUES (1, {values[0]}), (2, {values[1]})""", source={"snapshot": {"chunk_rows": 100}}, **POLICY)
    with shop.streaming():
        shop.wait_for_document("p", {"v": 1})
        with pg.connect() as connection:
            for table in ("flat", "p"):
                for v, value in enumerate(values[1:], 2):
                    connection.execute(f"INSERT INTO {table} VALUES ({value}, {v})")
                connection.execute(f"UPDATE {table} SET v = 10 WHERE v = 1")
            connection.execute(f"INSERT INTO c VALUES (3, {values[-1]})")
            connection.execute(f"UPDATE c SET k = {values[-1]} WHERE id = 1")
            connection.execute(f"UPDATE c SET k = {values[0]} WHERE id = 2")
        shop.wait_for_document("p", {"kids": {"$size": 2}})
    assert shop.mongo.flat.count_documents({}) == len(values)
    assert [len(p["kids"]) for p in sorted(shop.documents("p"), key=lambda d: d["v"])] == \
        [0] * (len(values) - 2) + [2, 1]
    with shop.streaming():
        with pg.connect() as connection:
            for table in ("flat", "p"):
                connection.execute(f"DELETE FROM {table} WHERE v = 2")
                connection.execute(f"UPDATE {table} SET k = {values[1]} WHERE v = 10")
    assert shop.mongo.flat.count_documents({"v": 10}) == 1
    shop.assert_like_fresh()


@pytest.mark.parametrize("name", TYPES | JOIN_ONLY)
def test_a_type_as_join_column(migrate, pg, name):
    """Rows embedded by it, two levels deep: copied, streamed, moved."""
    before, kind, values = (TYPES | JOIN_ONLY)[name]
    values = split(values)
    shop = migrate({
        "p": {"table": "p", "embed": {"kids": {"table": "c", "join": {"k": "k"}, "embed": {
            "toys": {"table": "g", "join": {"c_k": "k2"}}}}}}}, f"""{before}
        CREATE TABLE p (id int PRIMARY KEY, k {kind});
        CREATE TABLE c (id int PRIMARY KEY, k {kind}, k2 {kind});
        CREATE TABLE g (id int PRIMARY KEY, c_k {kind});
        INSERT INTO p VALUES {", ".join(f"({i}, {v})" for i, v in enumerate(values, 1))};
        INSERT INTO c VALUES (1, {values[0]}, {values[0]}), (2, {values[0]}, {values[1]});
        INSERT INTO g VALUES (1, {values[0]}), (2, {values[1]})""", **POLICY)
    with shop.streaming():
        shop.wait_for_document("p", {"_id": 1, "kids": {"$size": 2}})
        with pg.connect() as connection:
            connection.execute(f"UPDATE c SET k = {values[-1]} WHERE id = 1")
            connection.execute(f"INSERT INTO g VALUES (3, {values[0]})")
            connection.execute(f"UPDATE g SET c_k = {values[0]} WHERE id = 2")
        shop.wait_for_document("p", {"_id": len(values), "kids.toys": {"$size": 3}})
    found = {p["_id"]: [(k["id"], [g["id"] for g in k["toys"]]) for k in p["kids"]] for p in shop.documents("p")}
    assert found[1] == [(2, [])] and found[len(values)] == [(1, [1, 2, 3])]
    shop.assert_like_fresh()


@pytest.mark.parametrize("name", JOIN_ONLY)
def test_a_key_that_no_id_can_be_is_refused_by_its_place(migrate, name):
    before, kind, _ = JOIN_ONLY[name]
    shop = migrate({"t": {"table": "t"}}, f"{before} CREATE TABLE t (k {kind} PRIMARY KEY)")
    result = shop.run("--snapshot-only").expect(2)
    assert "banyan.yml:" in result.err and "k" in result.err
    assert shop.mongo.list_collection_names() == []


def test_citext_is_compared_as_citext(migrate, pg):
    """Chunks end and joins meet by the type's own order and equality, not by those of text."""
    shop = migrate({
        "flat": {"table": "flat"}, "two": {"table": "two"},
        "p": {"table": "p", "embed": {"kids": {"table": "c", "join": {"p_name": "name"}}}}}, """
        CREATE EXTENSION citext;
        CREATE TABLE flat (k citext PRIMARY KEY);
        CREATE TABLE two (n int, k citext, PRIMARY KEY (n, k));
        CREATE TABLE p (name citext PRIMARY KEY);
        CREATE TABLE c (id int PRIMARY KEY, p_name citext REFERENCES p);
        INSERT INTO flat SELECT CASE n % 2 WHEN 0 THEN 'Key' ELSE 'kEY' END || n FROM generate_series(1, 1000) n;
        INSERT INTO two SELECT n % 3, CASE n % 2 WHEN 0 THEN 'Key' ELSE 'kEY' END || n FROM generate_series(1, 1000) n;
        INSERT INTO p VALUES ('Ada'); INSERT INTO c VALUES (1, 'ADA'), (2, 'ada')""",
                   source={"snapshot": {"chunk_rows": 100}})
    with shop.streaming():
        shop.wait_for_document("p", {"_id": "Ada", "kids": {"$size": 2}})
        pg.execute("INSERT INTO c VALUES (3, 'aDa'); UPDATE p SET name = 'ADA'; DELETE FROM flat WHERE k = 'KEY7'")
        shop.wait_for_document("p", {"_id": "ADA", "kids": {"$size": 3}})
    assert shop.mongo.flat.count_documents({}) == 999 and shop.mongo.two.count_documents({}) == 1000
    assert shop.mongo.p.count_documents({}) == 1
    shop.assert_like_fresh()

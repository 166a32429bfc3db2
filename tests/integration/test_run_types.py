"""Every type: the BSON it becomes, and that copy and stream agree on it to the byte."""
import datetime
import uuid

import bson
import pytest
from bson import Decimal128, Int64
from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

from harness.compare import raw_documents, shown
from harness.migration import migrate  # noqa: F401  pylint: disable=unused-import

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN even_more_positive AS positive;
CREATE TYPE pair AS (a int, b text);
"""


def _ms(text):
    moment = datetime.datetime.fromisoformat(text + "+00:00")
    return DatetimeMS(round(moment.timestamp() * 1000))


def _d(text):
    return Decimal128(text)


_UUID = "123e4567-e89b-12d3-a456-426614174000"
# (type, PostgreSQL's text, what the document holds)
CASES = [
    ("boolean", "t", True), ("boolean", "f", False),
    ("smallint", "-32768", -32768), ("int", "2147483647", 2147483647),
    ("bigint", "1", Int64(1)), ("bigint", "-9223372036854775808", Int64(-2**63)),
    ("oid", "4294967295", Int64(4294967295)),
    ("real", "0.1", 0.1), ("real", "3e38", 3e38), ("float8", "0.1", 0.1), ("float8", "-0", -0.0),
    ("float8", "1e-300", 1e-300), ("float8", "Infinity", float("inf")), ("float8", "NaN", float("nan")),
    ("numeric", "1.50", _d("1.50")), ("numeric", "-0.000", _d("0.000")), ("numeric(10,2)", "3", _d("3.00")),
    ("numeric", "NaN", _d("NaN")), ("numeric", "-Infinity", _d("-Infinity")),
    ("numeric", "1234567890123456789012345678901234", _d("1234567890123456789012345678901234")),
    ("numeric", "12345678901234567890123456789012345", "12345678901234567890123456789012345"),
    ("text", "", ""), ("text", "Ångström 日本語 🌳 \\ ' \"", "Ångström 日本語 🌳 \\ ' \""),
    ("text", "null", "null"), ("text", "\\N", "\\N"), ("text", "a\tb\nc\r", "a\tb\nc\r"),
    ("varchar(5)", "ab ", "ab "), ("char(4)", "ab", "ab  "), ("name", "n", "n"), ('"char"', "x", "x"),
    ("bytea", "\\x", Binary(b"")), ("bytea", "\\x00ff27", Binary(b"\x00\xff'")),
    ("date", "2024-02-29", _ms("2024-02-29T00:00:00")), ("date", "infinity", "infinity"),
    ("timestamp", "1969-12-31 23:59:59.9999", DatetimeMS(-1)),
    ("timestamp", "2024-01-02 03:04:05.678999", _ms("2024-01-02T03:04:05.678")),
    ("timestamptz", "2024-01-02 03:04:05+05:30", _ms("2024-01-01T21:34:05")),
    ("timestamptz", "-infinity", "-infinity"),
    ("time", "03:04:05.678901", "03:04:05.678901"), ("timetz", "03:04:05+01", "03:04:05+01"),
    ("interval", "1 year 2 mons -3 days 04:05:06.7", "1 year 2 mons -3 days +04:05:06.7"),
    ("uuid", _UUID, Binary.from_uuid(uuid.UUID(_UUID))),
    ("json", '{"b": 1, "a": [1.50, null, true, "é"]}',
     {"b": Int64(1), "a": [_d("1.50"), None, True, "é"]}),
    ("json", '{"a": 1, "a": 2}', {"a": Int64(2)}), ("json", "1e5", _d("1E+5")),
    ("json", '"text"', "text"), ("json", "null", None), ("json", '"\\u0000"', "\0"),
    ("jsonb", '{"$oid": "5", "a.b": {"": []}}', {"a.b": {"": []}, "$oid": "5"}),
    ("jsonb", "[9223372036854775807, 9223372036854775808]", [Int64(2**63 - 1), _d("9223372036854775808")]),
    ("mood", "it's \"ok\"", 'it\'s "ok"'), ("positive", "5", 5), ("even_more_positive", "6", 6),
    ("int[]", "{1,NULL,3}", [1, None, 3]), ("int[]", "{}", []), ("int[]", "{{1,2},{3,4}}", [[1, 2], [3, 4]]),
    ("int[]", "[0:1]={7,8}", [7, 8]), ("text[]", '{"a,b","NULL",NULL,"q\\"\\\\"}', ["a,b", "NULL", None, 'q"\\']),
    ("numeric[]", "{1.0,2}", [_d("1.0"), _d("2")]), ("mood[]", "{sad}", ["sad"]),
    ("uuid[]", "{" + _UUID + "}", [Binary.from_uuid(uuid.UUID(_UUID))]),
    ("timestamptz[]", '{"2024-01-02 03:04:05+00"}', [_ms("2024-01-02T03:04:05")]),
    ("jsonb[]", '{"{\\"a\\": 1}"}', [{"a": Int64(1)}]), ("bytea[]", '{"\\\\x01"}', [Binary(b"\1")]),
    ("positive[]", "{1}", [1]), ("box[]", "{(1,1),(0,0)}", ["(1,1),(0,0)"]),
    ("inet", "10.0.0.1/8", "10.0.0.1/8"), ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
    ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"), ("money", "12.30", "$12.30"),
    ("bit(3)", "101", "101"), ("varbit", "10", "10"), ("xml", "<a/>", "<a/>"),
    ("point", "(1,2)", "(1,2)"), ("int4range", "[1,5)", "[1,5)"), ("int4multirange", "{[1,5)}", "{[1,5)}"),
    ("tsvector", "'a':1 'b'", "'a':1 'b'"), ("pair", '(1,"x y")', '(1,"x y")'), ("pg_lsn", "0/10", "0/10"),
    ("jsonpath", "$.a", '$."a"'), ("regclass", "pg_class", "pg_class"),
]


def _table(cases):
    columns = ", ".join(f"c{i} {kind}" for i, (kind, *_) in enumerate(cases))
    return f"{TYPES} SET lc_monetary = 'C'; CREATE TABLE t (id int PRIMARY KEY, {columns})"


def _insert(pg, identity, cases):
    with pg.connect() as connection:
        connection.execute(
            "INSERT INTO t VALUES (" + ", ".join(["%s"] * (len(cases) + 1)) + ")",
            [identity, *(text for _, text, *_ in cases)])


_RAW = CodecOptions(document_class=RawBSONDocument)


def _field_bytes(raw):
    return {name: bson.encode({"": value})
            for name, value in bson.decode(raw, codec_options=_RAW).items()}


def _assert_fields(raw, cases, what):
    fields, wrong = _field_bytes(raw), []
    for i, (kind, text, expected) in enumerate(cases):
        wanted = bson.encode({"": expected})
        if fields[f"c{i}"] != wanted:
            wrong.append(f"{what}: {kind} {text!r} is {shown(fields[f'c{i}'])} not {shown(wanted)}")
    assert not wrong, "\n".join(wrong)


def _raw_by_id(collection):
    return {bson.decode(identity)["_id"]: raw for identity, raw in raw_documents(collection).items()}


@pytest.mark.sanitize
def test_every_type_copied_and_streamed(migrate, pg):
    shop = migrate({"t": {"table": "t"}}, _table(CASES))
    _insert(pg, 1, CASES)
    pg.execute("INSERT INTO t (id) VALUES (2)")
    shop.snapshot()
    _insert(pg, 3, CASES)
    pg.execute("INSERT INTO t (id) VALUES (4)")
    pg.execute("UPDATE t SET c0 = c0 WHERE id = 1")
    shop.catch_up()
    raw = _raw_by_id(shop.mongo.t)
    for identity, what in ((1, "copied, then updated"), (3, "streamed")):
        _assert_fields(raw[identity], CASES, what)
    for identity in (2, 4):
        assert set(_field_bytes(raw[identity]).values()) == {bson.encode({"": None}),
                                                             bson.encode({"": Int64(identity)})}
    shop.assert_like_fresh()


def test_every_type_embedded(migrate, pg):
    """A refresh reads the same values by yet another way."""
    shop = migrate({"t": {"table": "t", "embed": {"again": {"table": "t", "one": True, "join": {"id": "id"}}}}},
                   _table(CASES))
    _insert(pg, 1, CASES)
    shop.snapshot()
    _insert(pg, 2, CASES)
    shop.catch_up()
    raw = _raw_by_id(shop.mongo.t)
    for identity in (1, 2):
        _assert_fields(raw[identity], CASES, "root")
        again = bson.decode(raw[identity], codec_options=_RAW)["again"]
        _assert_fields(bytes(again.raw), CASES, "embedded")


POLICIES = [
    ({"microseconds": "string"}, [("timestamp", "2024-01-02 03:04:05.678901", "2024-01-02 03:04:05.678901"),
                                  ("timestamptz", "2024-01-02 03:04:05Z", "2024-01-02 03:04:05+00")]),
    ({"microseconds": "split"}, [("timestamp", "2024-01-02 03:04:05.678901",
                                  {"date": _ms("2024-01-02T03:04:05.678"), "micros": 901}),
                                 ("timestamp", "1969-12-31 23:59:59.999999",
                                  {"date": DatetimeMS(-1), "micros": 999})]),
    ({"infinity": "null"}, [("timestamp", "infinity", None), ("date", "-infinity", None)]),
    ({"bigint_json": "decimal"}, [("jsonb", "[5]", [_d("5")])]),
]


@pytest.mark.parametrize("policy, cases", POLICIES, ids=[str(p) for p, _ in POLICIES])
def test_policies(migrate, pg, policy, cases):
    shop = migrate({"t": {"table": "t"}}, _table(cases), types=policy)
    _insert(pg, 1, cases)
    shop.snapshot()
    _insert(pg, 2, cases)
    shop.catch_up()
    for raw in _raw_by_id(shop.mongo.t).values():
        _assert_fields(raw, cases, str(policy))


@pytest.mark.parametrize("policy, kind, good, bad", [
    ({"infinity": "fail"}, "timestamp", "2024-01-01", "infinity"),
    ({"numeric_overflow": "fail"}, "numeric", "1", "1" * 40)])
def test_a_refused_value_parks_its_document_only(migrate, pg, policy, kind, good, bad):
    shop = migrate({"t": {"table": "t"}, "u": {"table": "u"}},
                   f"CREATE TABLE t (id int PRIMARY KEY, v {kind}); CREATE TABLE u (id int PRIMARY KEY);"
                   f"INSERT INTO t VALUES (1, '{good}')", types=policy)
    shop.snapshot()
    pg.execute(f"INSERT INTO t VALUES (2, '{bad}'); INSERT INTO u VALUES (1)")
    result = shop.run("--catch-up").expect(1)
    assert "1 documents are parked" in result.err
    assert shop.documents("u") == [{"_id": 1}]
    parked, = shop.program.run("parked", "list", "--json").expect(0).json()
    assert parked["collection"] == "t" and parked["document"] == "2" and "v" in parked["reason"], parked


RETYPES = [
    ("int", "string", "5", "5"), ("boolean", "string", "t", "t"), ("numeric", "int32", "5.00", 5),
    ("int", "int64", "5", Int64(5)), ("numeric", "double", "1.5", 1.5), ("int", "decimal", "5", _d("5")),
    ("int", "bool", "1", True), ("timestamp", "date", "2024-01-01 00:00:00.5", _ms("2024-01-01T00:00:00.500")),
    ("text", "date", "2024-01-01T00:00:00Z", _ms("2024-01-01T00:00:00")),
    ("uuid", "string", _UUID, _UUID), ("text", "binary", "ab", Binary(b"ab")),
    ("text", "json", '{"a": 1}', {"a": Int64(1)}), ("jsonb", "string", '{"a": 1}', '{"a": 1}'),
]


def test_declared_types(migrate, pg):
    cases = [(kind, text, expected) for kind, _, text, expected in RETYPES]
    fields = {f"c{i}": {"type": declared} for i, (_, declared, *_) in enumerate(RETYPES)}
    shop = migrate({"t": {"table": "t", "fields": fields}}, _table(cases))
    _insert(pg, 1, cases)
    shop.snapshot()
    _insert(pg, 2, cases)
    shop.catch_up()
    for raw in _raw_by_id(shop.mongo.t).values():
        _assert_fields(raw, cases, "declared")

"""Random values as SQL: each is a fragment with its parameters.

All parameters are text, so that a history can be kept as JSON and PostgreSQL alone gives them types.
Keys come from small pools, so that statements meet each other's rows.
"""
import json

_WORDS = ["", " ", "a", "A", "ab", "a b ", "it's", '"quoted"', "back\\slash", "Ångström", "日本語", "🌳 fig",
          "new\nline", "tab\t", "a.b", "$set", "$", "{}", "[1]", "null", "NULL", "0", "1.0", "e\u0301",
          "\u00e9", "x" * 200]
_TEXT_KEYS = [word for word in _WORDS if word][:20]
_NUMBERS = ["1", "1.0", "1.00", "2", "2.5", "2.50", "0", "0.00", "-1", "-1.000", "100", "1e2", "0.001",
            "12345678901234567890.12", "12345678901234567890.120", "NaN"]
_JSON = [{}, [], None, True, 1, -0.5, "text", {"a": None}, {"b": 1, "a": [1, {"c": "é"}]},
         {"$oid": "5"}, {"a.b": 1.50}, [[1], [2, [3]]], {"n": 12345678901234567890}, {"e": ""}]


def _json(rng):
    return json.dumps(rng.choice(_JSON), ensure_ascii=False)


def _moment(rng):
    return rng.choice([
        "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2000-02-29 12:00:00.123456",
        f"20{rng.randint(10, 40)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} "
        f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00.{rng.randint(0, 999999):06}"])


def _uuid(rng):
    return f"{rng.randint(1, 12):08x}-0000-4000-8000-00000000abcd"


def _array(rng, item):
    items = [rng.choice(["NULL", json.dumps(item(rng), ensure_ascii=False)])
             for _ in range(rng.randint(0, 3))]
    return "{" + ",".join(items) + "}"


_PLAIN = {
    "id": lambda r: str(r.randint(1, 15)),
    "text_key": lambda r: r.choice(_TEXT_KEYS),
    "short_key": lambda r: r.choice(["a", "b", "ab", "c", "d  ", "é"]),
    "number_key": lambda r: r.choice(_NUMBERS),
    "uuid_key": _uuid,
    "int": lambda r: str(r.choice([0, 1, -1, 2147483647, -2147483648, r.randint(0, 99)])),
    "small": lambda r: str(r.randint(0, 3)),
    "bigint": lambda r: str(r.choice([0, 9223372036854775807, -9223372036854775808,
                                      r.randint(0, 10**12)])),
    "float": lambda r: r.choice(["0", "-0", "0.1", "1e300", "NaN", "Infinity", "-Infinity", "3.25"]),
    "real": lambda r: r.choice(["0", "-0", "0.1", "1e30", "NaN", "Infinity", "16777217"]),
    "numeric": lambda r: r.choice(_NUMBERS + ["1" + "0" * 40, "0." + "7" * 34, "3." + "1" * 50]),
    "bool": lambda r: r.choice(["t", "f"]),
    "text": lambda r: r.choice(_WORDS + [f"word {r.randint(0, 999)}"]),
    "date": lambda r: r.choice(["infinity", "0001-01-01", _moment(r)[:10]]),
    "moment": lambda r: r.choice(["infinity", "-infinity", _moment(r), _moment(r)]),
    "zoned": lambda r: _moment(r) + r.choice(["Z", "+05:30", "-11"]),
    "json": _json,
    "bytea": lambda r: "\\x" + r.randbytes(r.randint(0, 9)).hex(),
    "interval": lambda r: r.choice(["1 mon", "30 days", "-1 year 2 mons 3.5 secs", "0"]),
    "inet": lambda r: r.choice(["10.0.0.1", "10.0.0.0/8", "::1"]),
    "mood": lambda r: r.choice(["sad", "ok", "it's \"fine\""]),
    "ints": lambda r: _array(r, lambda x: str(x.randint(-5, 5))),
    "texts": lambda r: _array(r, lambda x: x.choice(_WORDS)),
}
# Wide enough to be moved out of line, and incompressible.
_BIG_CHUNKS = 300


def random_value(rng, kind):
    """(SQL fragment, parameters) of a value that is not NULL."""
    if kind == "big":
        chunks = str(rng.choice([0, 1, _BIG_CHUNKS, _BIG_CHUNKS + 100]))
        return "noise(%s, %s)", [str(rng.randint(1, 999)), chunks]
    return "%s", [_PLAIN[kind](rng)]


# noise(seed, n): 32n characters that do not compress, the same for the same seed.
FUNCTIONS = """
CREATE FUNCTION noise(seed int, chunks int) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT coalesce(string_agg(md5(seed || ':' || i), '' ORDER BY i), '')
   FROM generate_series(1, chunks) i $$;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE DOMAIN short_text AS text CHECK (length(VALUE) < 1000);
"""

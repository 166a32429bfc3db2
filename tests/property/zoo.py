"""Families of tables: what they are in SQL, how they are mapped, and what random statements may do.

A history uses a few families. Each mapping must be one that `banyan run` accepts whatever replica
identity (default or full) its tables get.
"""
import dataclasses


def quote(name):
    """An identifier for SQL that goes through psycopg, which reads % as its own."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    kind: str  # of values.py
    null: float = 0.2  # how often it is NULL


def key(name, kind="id"):
    return Column(name, kind, 0)


@dataclasses.dataclass(frozen=True)
class Table:
    name: str  # as it stands in SQL
    key: tuple  # names of its key columns
    columns: tuple
    parents: tuple = ()  # columns that point to a parent: changed more often than others
    identity: bool = True  # REPLICA IDENTITY may be DEFAULT or FULL; else the DDL says it
    swap: str = ""  # a column that two rows can exchange in one statement: deferrable and unique
    truncate: tuple = ()  # names of the tables that TRUNCATE must list together with it


@dataclasses.dataclass(frozen=True)
class Family:
    name: str
    ddl: str
    tables: tuple
    collections: dict


_FLAT = Family(
    "flat",
    """
    CREATE TABLE plain (id bigint PRIMARY KEY, t text, i int, s smallint, b bigint, f float8,
      r real, n numeric, n2 numeric(12, 2), ok bool, d date, at timestamp, atz timestamptz, j json,
      jb jsonb, bin bytea, span interval, ip inet, m mood, ints int[], texts text[], st short_text,
      big text, big2 text);
    ALTER TABLE plain ALTER big SET STORAGE EXTERNAL, ALTER big2 SET STORAGE EXTERNAL;
    """,
    (Table("plain", ("id",),
           (key("id"), Column("t", "text"), Column("i", "int"), Column("s", "small"),
            Column("b", "bigint"), Column("f", "float"), Column("r", "real"),
            Column("n", "numeric"), Column("n2", "small"), Column("ok", "bool"),
            Column("d", "date"), Column("at", "moment"), Column("atz", "zoned"),
            Column("j", "json"), Column("jb", "json"), Column("bin", "bytea"),
            Column("span", "interval"), Column("ip", "inet"), Column("m", "mood"),
            Column("ints", "ints"), Column("texts", "texts"), Column("st", "text"),
            Column("big", "big"), Column("big2", "big", .5))),),
    {
        "plain": {"table": "public.plain"},
        "plain_small": {"table": "plain", "only": ["id", "t", "i", "big2"], "nulls": "omit",
                        "keep_id": True, "fields": {"t": "title", "i": {"as": "num", "type": "string"}},
                        "add": {"origin": "sql", "level": 3}},
        "plain_oid": {"table": "plain", "id": "objectid", "only": ["id", "big", "n", "t"],
                      "add": {"legacy_id": {"column": "id"}}},
    })

_SHOP = Family(
    "shop",
    """
    CREATE TABLE categories (id int PRIMARY KEY, name text, note text);
    CREATE TABLE products (sku text PRIMARY KEY, category_id int, name text, body text);
    CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric);
    CREATE TABLE items (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE,
      line_no int, product_sku text, quantity int, note text, PRIMARY KEY (order_id, line_no));
    ALTER TABLE products ALTER body SET STORAGE EXTERNAL;
    CREATE INDEX ON items (product_sku); CREATE INDEX ON products (category_id);
    """,
    (Table("categories", ("id",), (key("id", "small"), Column("name", "text"), Column("note", "text"))),
     Table("products", ("sku",), (key("sku", "text_key"), Column("category_id", "small"),
                                  Column("name", "text"), Column("body", "big")),
           ("category_id",)),
     Table("orders", ("id",), (key("id"), Column("customer", "text"), Column("total", "numeric")),
           truncate=("items",)),
     Table("items", ("order_id", "line_no"),
           (key("order_id"), key("line_no", "small"), Column("product_sku", "text_key"),
            Column("quantity", "int"), Column("note", "text")), ("order_id", "product_sku"))),
    {
        "orders": {"table": "orders", "case": "camel", "embed": {
            "items": {"table": "items", "join": {"order_id": "id"}, "order": ["quantity"], "embed": {
                "product": {"table": "products", "one": True, "join": {"sku": "product_sku"},
                            "keep_join": True, "embed": {
                                "category": {"table": "categories", "one": True, "keep_join": True,
                                             "join": {"id": "category_id"}}}}}}}},
        "products": {"table": "products", "embed": {
            "category": {"table": "categories", "one": True, "join": {"id": "category_id"},
                         "keep_join": True, "only": ["id", "name"]},
            "sold": {"table": "items", "join": {"product_sku": "sku"}, "nulls": "omit"}}},
        "order_rows": {"table": "orders"},
    })

_PEOPLE = Family(
    "people",
    """
    CREATE TABLE customers (id uuid PRIMARY KEY, name text, bio text);
    CREATE TABLE addresses (id int PRIMARY KEY,
      customer_id uuid REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE, city text);
    CREATE TABLE phones (id int PRIMARY KEY, address_id int, number text);
    ALTER TABLE customers ALTER bio SET STORAGE EXTERNAL;
    CREATE INDEX ON addresses (customer_id); CREATE INDEX ON phones (address_id);
    """,
    (Table("customers", ("id",), (key("id", "uuid_key"), Column("name", "text"), Column("bio", "big")),
           truncate=("addresses",)),
     Table("addresses", ("id",), (key("id"), Column("customer_id", "uuid_key"), Column("city", "text")),
           ("customer_id",)),
     Table("phones", ("id",), (key("id"), Column("address_id", "id"), Column("number", "text")),
           ("address_id",))),
    {
        "customers": {"table": "customers", "embed": {
            "addresses": {"table": "addresses", "join": {"customer_id": "id"}, "embed": {
                "phones": {"table": "phones", "join": {"address_id": "id"}}}},
            "home": {"table": "addresses", "one": True, "join": {"customer_id": "id"},
                     "order": ["city"]}}},
        "people_oid": {"table": "customers", "id": "objectid", "only": ["id", "name"], "embed": {
            "addresses": {"table": "addresses", "join": {"customer_id": "id"}}}},
    })

_COMPOSITE = Family(
    "composite",
    """
    CREATE TABLE accounts (tenant int, code text, name text, PRIMARY KEY (tenant, code));
    CREATE TABLE entries (tenant int, code text, n int, amount numeric, PRIMARY KEY (n),
      FOREIGN KEY (tenant, code) REFERENCES accounts ON UPDATE CASCADE ON DELETE SET NULL);
    CREATE TABLE tags (tenant int NOT NULL, code text NOT NULL, tag text NOT NULL,
      PRIMARY KEY (tenant, code, tag));
    CREATE INDEX ON entries (tenant, code);
    """,
    (Table("accounts", ("tenant", "code"),
           (key("tenant", "small"), key("code", "text_key"), Column("name", "text")),
           truncate=("entries",)),
     Table("entries", ("n",),
           (Column("tenant", "small"), Column("code", "text_key"), key("n"), Column("amount", "numeric")),
           ("tenant", "code")),
     Table("tags", ("tenant", "code", "tag"),
           (key("tenant", "small"), key("code", "text_key"), key("tag", "short_key")), ("tenant",))),
    {
        "accounts": {"table": "accounts", "embed": {
            "entries": {"table": "entries", "join": {"tenant": "tenant", "code": "code"}},
            "tags": {"table": "tags", "join": {"tenant": "tenant", "code": "code"}}}},
        "tags": {"table": "tags", "id": ["tag", "tenant", "code"]},
    })

_ODD = Family(
    "odd",
    """
    CREATE SCHEMA "Odd Schema.%%";
    CREATE TABLE "Odd Schema.%%"."Order.Lines $" ("Id.x" text PRIMARY KEY, "$price" numeric,
      "a.b" int, "quote""d" text, "sp ace" text, "ümlaut" text, "_id" text, "select" int);
    CREATE TABLE "Odd Schema.%%"."it's" ("$ref.x" text, "Key" int PRIMARY KEY, "$$" text);
    CREATE INDEX ON "Odd Schema.%%"."it's" ("$ref.x");
    """,
    (Table('"Odd Schema.%%"."Order.Lines $"', ("Id.x",),
           (key("Id.x", "text_key"), Column("$price", "numeric"), Column("a.b", "int"),
            Column('quote"d', "text"), Column("sp ace", "text"), Column("ümlaut", "text"),
            Column("_id", "text"), Column("select", "int"))),
     Table('"Odd Schema.%%"."it\'s"', ("Key",),
           (Column("$ref.x", "text_key"), key("Key"), Column("$$", "text")), ("$ref.x",))),
    {
        "odd": {"table": '"Odd Schema.%"."Order.Lines $"', "fields": {"_id": "id_column"}},
        "odd_tree": {"table": '"Odd Schema.%"."Order.Lines $"', "fields": {"_id": None}, "embed": {
            "lines of": {"table": '"Odd Schema.%"."it\'s"', "join": {"$ref.x": "Id.x"}}}},
    })

_NUMBERS = Family(
    "numbers",
    """
    CREATE TABLE nums (n numeric PRIMARY KEY, label text, body text);
    CREATE TABLE num_kids (id int PRIMARY KEY, n numeric, v text);
    CREATE TABLE chars (c char(4) PRIMARY KEY, v text);
    CREATE TABLE char_kids (id int PRIMARY KEY, c char(4), v text);
    ALTER TABLE nums ALTER body SET STORAGE EXTERNAL;
    CREATE INDEX ON num_kids (n); CREATE INDEX ON char_kids (c);
    """,
    (Table("nums", ("n",), (key("n", "number_key"), Column("label", "text"), Column("body", "big"))),
     Table("num_kids", ("id",), (key("id"), Column("n", "number_key"), Column("v", "text")), ("n",)),
     Table("chars", ("c",), (key("c", "short_key"), Column("v", "text"))),
     Table("char_kids", ("id",), (key("id"), Column("c", "short_key"), Column("v", "text")), ("c",))),
    {
        "nums": {"table": "nums"},
        "num_trees": {"table": "nums", "embed": {"kids": {"table": "num_kids", "join": {"n": "n"}}}},
        "char_trees": {"table": "chars", "embed": {
            "kids": {"table": "char_kids", "join": {"c": "c"}}}},
    })

_UNIQUE = Family(
    "unique",
    """
    CREATE TABLE no_key (a int NOT NULL, b text NOT NULL, v text, big text);
    CREATE UNIQUE INDEX no_key_ab ON no_key (a, b);
    ALTER TABLE no_key REPLICA IDENTITY USING INDEX no_key_ab, ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE other_key (id int PRIMARY KEY, code text NOT NULL, a int, b text, v text);
    CREATE UNIQUE INDEX other_key_code ON other_key (code);
    ALTER TABLE other_key REPLICA IDENTITY USING INDEX other_key_code;
    CREATE INDEX ON other_key (a, b);
    """,
    (Table("no_key", ("a", "b"), (key("a", "small"), key("b", "short_key"), Column("v", "text"),
                                  Column("big", "big")), identity=False),
     Table("other_key", ("code",),
           (key("id"), key("code", "text_key"), Column("a", "small"), Column("b", "short_key"),
            Column("v", "text")), ("a", "b"), identity=False)),
    {
        "no_key": {"table": "no_key"},
        "other_key": {"table": "other_key", "id": ["code"]},
        "no_key_tree": {"table": "no_key", "embed": {
            "others": {"table": "other_key", "join": {"a": "a", "b": "b"}, "order": ["v"]}}},
    })

_SWAP = Family(
    "swap",
    """
    CREATE TABLE seats (id int PRIMARY KEY, no int UNIQUE DEFERRABLE, guest text, big text);
    ALTER TABLE seats ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE extras (id int PRIMARY KEY, what text,
      seat_no int REFERENCES seats (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE INDEX ON extras (seat_no);
    """,
    (Table("seats", ("id",), (key("id"), Column("no", "id"), Column("guest", "text"), Column("big", "big")),
           swap="no", truncate=("extras",)),
     Table("extras", ("id",), (key("id"), Column("seat_no", "id"), Column("what", "text")),
           ("seat_no",))),
    {
        "seats": {"table": "seats"},
        "seat_trees": {"table": "seats", "embed": {
            "by_id": {"table": "extras", "join": {"seat_no": "id"}},
            "by_no": {"table": "extras", "join": {"seat_no": "no"}}}},
    })

_SELF = Family(
    "self",
    """
    CREATE TABLE staff (id int PRIMARY KEY, boss_id int, name text, price numeric, amount int,
      total numeric GENERATED ALWAYS AS (price * amount) STORED);
    CREATE INDEX ON staff (boss_id);
    """,
    (Table("staff", ("id",), (key("id"), Column("boss_id", "id"), Column("name", "text"),
                              Column("price", "small"), Column("amount", "small")), ("boss_id",)),),
    {
        "staff": {"table": "staff"},
        "staff_tree": {"table": "staff", "only": ["id", "name", "boss_id"], "embed": {
            "boss": {"table": "staff", "one": True, "join": {"id": "boss_id"}, "keep_join": True,
                     "only": ["id", "name", "boss_id"], "embed": {
                         "boss": {"table": "staff", "one": True, "join": {"id": "boss_id"},
                                  "keep_join": True, "only": ["id", "name"]}}},
            "reports": {"table": "staff", "join": {"boss_id": "id"}, "only": ["id", "name"],
                        "order": ["name"]}}},
    })

FAMILIES = {family.name: family for family in
            (_FLAT, _SHOP, _PEOPLE, _COMPOSITE, _ODD, _NUMBERS, _UNIQUE, _SWAP, _SELF)}

/* Every mistake in banyan.yml that is found while it is read: its place and its words. */
#include "base/mem.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SOURCE "source: {uri: postgresql://h}\n"
#define TARGET "target: {uri: mongodb://h, database: d}\n"
#define HEAD SOURCE TARGET
#define MODULES "modules: {m: {collections: {c: {table: t}}}}\n"
/* The text inside stands on line 8, behind 8 blanks. */
#define IN_C(text)                                                                                 \
    HEAD "modules:\n  m:\n    collections:\n      c:\n        table: t\n        " text
#define LATER " is in the contract but not built yet in this version; remove it"

struct mistake {
    const char *text, *error;
};

static void check(const struct mistake *m, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        struct conf *conf = NULL;
        int rc = conf_parse("c.yml", m[i].text, strlen(m[i].text), &conf, &err);
        if (rc == 0)
            fail_msg("accepted:\n%s\nwanted %s", m[i].text, m[i].error);
        if (rc != ERR_CONF || strcmp(err.text, m[i].error) != 0)
            fail_msg("%s\n  gives  %s\n  wanted %s", m[i].text, err.text, m[i].error);
    }
}
#define CHECK(mistakes) check((mistakes), sizeof(mistakes) / sizeof((mistakes)[0]))

static void yaml(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"", "c.yml:1:1: the file is empty; 'source', 'target' and 'modules' are needed"},
        {"# nothing\n",
         "c.yml:1:1: the file is empty; 'source', 'target' and 'modules' are needed"},
        {"- a\n", "c.yml:1:1: the file must be a mapping of keys, not a list"},
        {"text\n", "c.yml:1:1: the file must be a mapping of keys, not text"},
        {"a: 1\nb: 2\na: 3\n", "c.yml:3:1: 'a' is given twice, first at 1:1; remove one"},
        {"x: {q: 1, 'q': 2}\n", "c.yml:1:11: 'q' is given twice, first at 1:5; remove one"},
        {"a: !!str b\n", "c.yml:1:10: tags (!...) have no meaning here; remove it"},
        {"? [a]\n: b\n", "c.yml:1:3: a key must be text, not a list"},
        {"a: *x\n", "c.yml:1:4: alias '*x' has no anchor before it"},
        {"a: &x [*x]\n", "c.yml:1:8: alias '*x' has no anchor before it"},
        {"--- {a: 1}\n--- {b: 2}\n",
         "c.yml:2:1: a second document ('---'); one file is one configuration"},
        {"a: \"\\0\"\n", "c.yml:1:4: a value with a NUL or that is not UTF-8; remove the escape"},
        {"a: x\001\n", "c.yml:1:5: control character 0x01; remove it"},
        {"a:\n  \xc3\xa9\xff\n", "c.yml:2:4: not UTF-8 (byte 0xff); save the file as UTF-8"},
        {"a: [1, 2\n", "c.yml:2:1: not YAML: flow sequence without a closing bracket"},
    };
    CHECK(mistakes);
    struct err err = {0};
    struct conf *conf = NULL;
    assert_int_equal(conf_parse("c.yml", "a: b\0c\n", 7, &conf, &err), ERR_CONF);
    assert_string_equal(err.text, "c.yml:1:5: control character 0x00; remove it");
}

static void keys(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {HEAD "modules:\n  m:\n    collections:\n      c:\n        tabel: x\n",
         "c.yml:7:9: unknown key 'tabel', did you mean 'table'?"},
        {HEAD "state: x\nStates: y\n" MODULES,
         "c.yml:4:1: unknown key 'States', did you mean 'state'?"},
        {HEAD "qwerty: y\n" MODULES, "c.yml:3:1: unknown key 'qwerty'; remove it"},
        {SOURCE "target: {uri: mongodb://h, database: d, batch: {dealy: 1s}}\n" MODULES,
         "c.yml:2:49: unknown key 'dealy', did you mean 'delay'?"},
        {IN_C("<<: {id: [a]}"), "c.yml:8:9: merge keys (<<) are not YAML 1.2; write the keys out"},
        {IN_C("join: {a: b}"),
         "c.yml:8:9: 'join' is for embedded documents, not for collections; remove it"},
        {IN_C("embed: {e: {table: u, join: {a: b}, indexes: []}}"),
         "c.yml:8:45: 'indexes' is for collections, not for embedded documents; remove it"},
        {IN_C("fields: {f: {name: g}}"), "c.yml:8:22: unknown key 'name'; remove it"},
        {IN_C("add: {f: {columm: g}}"), "c.yml:8:19: unknown key 'columm', did you mean 'column'?"},
        {IN_C("indexes: [{key: {a: 1}}]"), "c.yml:8:20: unknown key 'key', did you mean 'keys'?"},
    };
    CHECK(mistakes);
}

static void missing(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {TARGET MODULES, "c.yml:1:1: 'source' is missing; add it: source: {uri: "
                         "\"postgresql://banyan@127.0.0.1:5432/shop\"}"},
        {"source: {slot: a}\n" TARGET MODULES,
         "c.yml:1:1: 'source': 'uri' is missing; add it: uri: "
         "\"postgresql://banyan:${file:/run/secrets/pg}@db:5432/shop?sslmode=verify-full\""},
        {SOURCE MODULES, "c.yml:1:1: 'target' is missing; add it: target: {uri: "
                         "\"mongodb://127.0.0.1:27017/?replicaSet=rs0\", database: shop}"},
        {SOURCE "target:\n  uri: mongodb://h\n" MODULES,
         "c.yml:2:1: 'target': 'database' is missing; add it: database: shop"},
        {HEAD, "c.yml:1:1: 'modules' is missing; add it: modules: {catalogue: {collections: "
               "{products: {table: public.products}}}}"},
        {HEAD "modules: {}\n", "c.yml:3:10: 'modules' is empty; for example modules: {catalogue: "
                               "{collections: {products: {table: public.products}}}}"},
        {HEAD "modules:\n  m: {}\n", "c.yml:4:3: 'm': 'collections' is missing; add it: "
                                     "collections: {products: {table: public.products}}"},
        {HEAD "modules:\n  m: {collections: {c: {}}}\n",
         "c.yml:4:21: 'c': 'table' is missing; add it: table: public.products"},
        {IN_C("embed: {e: {table: u}}"),
         "c.yml:8:17: 'e': 'join' is missing; add it: join: {product_id: id}"},
        {IN_C("embed: {e: {table: u, join: {}}}"),
         "c.yml:8:37: 'join' is empty; for example join: {product_id: id}"},
        {IN_C("indexes: [{unique: true}]"),
         "c.yml:8:19: 'indexes': 'keys' is missing; add it: keys: {\"category.id\": 1, price: -1}"},
    };
    CHECK(mistakes);
}

static void values(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"source: x\n" TARGET MODULES, "c.yml:1:9: 'source' must be a mapping of keys, not text"},
        {"source:\n" TARGET MODULES, "c.yml:1:1: 'source' must be a mapping of keys, not nothing"},
        {HEAD "state: [a]\n" MODULES, "c.yml:3:8: 'state' must be text, not a list"},
        {HEAD "state: ~\n" MODULES, "c.yml:3:8: 'state' has no value; give one, or remove the key"},
        {HEAD "state: ''\n" MODULES, "c.yml:3:8: 'state' is empty; give it a value"},
        {HEAD "state: true\n" MODULES,
         "c.yml:3:8: 'state' must be text, not true or false; quote it"},
        {SOURCE "target: {uri: mongodb://h, database: d, lanes: 0}\n" MODULES,
         "c.yml:2:48: 'lanes' must be a whole number from 1 to 64, not 0"},
        {SOURCE "target: {uri: mongodb://h, database: d, lanes: 65}\n" MODULES,
         "c.yml:2:48: 'lanes' must be a whole number from 1 to 64, not 65"},
        {SOURCE "target: {uri: mongodb://h, database: d, lanes: '2'}\n" MODULES,
         "c.yml:2:48: 'lanes' must be a whole number from 1 to 64, not text; remove the quotes"},
        {SOURCE "target: {uri: mongodb://h, database: d, lanes: 2.5}\n" MODULES,
         "c.yml:2:48: 'lanes' must be a whole number from 1 to 64, not 2.5"},
        {SOURCE "target: {uri: mongodb://h, database: d, lanes: }\n" MODULES,
         "c.yml:2:41: 'lanes' must be a whole number from 1 to 64, not nothing"},
        {SOURCE "target: {uri: mongodb://h, database: d, writes_per_second: "
                "99999999999999999999}\n" MODULES,
         "c.yml:2:60: 'writes_per_second' must be a whole number from 0 to 1000000000, not "
         "99999999999999999999"},
        {SOURCE "target: {uri: mongodb://h, database: d, batch: {operations: 100001}}\n" MODULES,
         "c.yml:2:61: 'operations' must be a whole number from 1 to 100000, not 100001"},
        {SOURCE "target: {uri: mongodb://h, database: d, batch: {delay: 5}}\n" MODULES,
         "c.yml:2:56: 'delay' must be a duration such as 5ms, 10s, 1m or 2h, from 0s to 10s, not "
         "5"},
        {SOURCE "target: {uri: mongodb://h, database: d, batch: {delay: 11s}}\n" MODULES,
         "c.yml:2:56: 'delay' must be a duration such as 5ms, 10s, 1m or 2h, from 0s to 10s, not "
         "11s"},
        {"source: {uri: postgresql://h, heartbeat: 2 s}\n" TARGET MODULES,
         "c.yml:1:42: 'heartbeat' must be a duration such as 5ms, 10s, 1m or 2h, from 100ms to 1h, "
         "not 2 s"},
        {"source: {uri: postgresql://h, snapshot: {consistent: yes}}\n" TARGET MODULES,
         "c.yml:1:54: 'consistent' must be true or false, not yes"},
        {HEAD "types: {microseconds: cut}\n" MODULES,
         "c.yml:3:23: 'microseconds' must be one of truncate, string, split, not 'cut'"},
        {HEAD "types: {infinity: [a]}\n" MODULES,
         "c.yml:3:19: 'infinity' must be one of string, null, fail, not a list"},
        {HEAD "types: {infinity: ~}\n" MODULES,
         "c.yml:3:19: 'infinity' has no value; give one, or remove the key"},
        {IN_C("keep_id: yes"), "c.yml:8:18: 'keep_id' must be true or false, not yes"},
        {IN_C("case: snake"), "c.yml:8:15: 'case' must be one of keep, camel, not 'snake'"},
    };
    CHECK(mistakes);
}

static void servers(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"source: {uri: mariadb://u:pw@h/d}\n" TARGET MODULES,
         "c.yml:1:15: 'uri' begins with mariadb://, which is in the contract but not built yet in "
         "this version; use postgresql://user@host:5432/database"},
        {"source: {uri: http://u:pw@h/d}\n" TARGET MODULES,
         "c.yml:1:15: 'uri' is not a PostgreSQL URI; write postgresql://user@host:5432/database"},
        {SOURCE "target: {uri: postgresql://u:pw@h, database: d}\n" MODULES,
         "c.yml:2:15: 'uri' is not a MongoDB URI; write mongodb://host:27017/?replicaSet=name"},
        {"source: {uri: postgresql://h, slot: A-b}\n" TARGET MODULES,
         "c.yml:1:37: 'slot' must be 1 to 63 lower case letters, digits and underscores"},
        {"source: {uri: postgresql://h, publication: "
         "a123456789a123456789a123456789a123456789a123456789a123456789a123}\n" TARGET MODULES,
         "c.yml:1:44: 'publication' must have at most 63 bytes"},
        {SOURCE "target: {uri: mongodb://h, database: a.b}\n" MODULES,
         "c.yml:2:38: 'database' must have 1 to 63 bytes and none of / \\ . \" $ or space"},
        {SOURCE "target: {uri: mongodb://h, database: Admin}\n" MODULES,
         "c.yml:2:38: 'database' is one of MongoDB's own databases (admin, local, config); take "
         "another name"},
    };
    CHECK(mistakes);
}

static void mappings(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {IN_C("id: x"),
         "c.yml:8:13: 'id' must be a list of columns, [a, b], or objectid, not text"},
        {IN_C("id: []"), "c.yml:8:13: 'id' names no column; remove it to take the primary key"},
        {IN_C("id: [a, b, a]"),
         "c.yml:8:20: 'id' names column 'a' twice, first at 8:14; remove one"},
        {IN_C("only: a"), "c.yml:8:15: 'only' must be a list of columns, [a, b], not text"},
        {IN_C("only: [a, [b]]"), "c.yml:8:19: 'only' must be text, not a list"},
        {IN_C("only: [~]"), "c.yml:8:16: 'only' has no value; give one, or remove the key"},
        {IN_C("fields: [a]"),
         "c.yml:8:17: 'fields' must be a mapping, not a list; for example fields: {unit_price: "
         "price, internal_note: ~, released: {as: on, type: string}}"},
        {IN_C("fields: {a: b, a: c}"), "c.yml:8:24: 'a' is given twice, first at 8:18; remove one"},
        {IN_C("fields: {'': c}"), "c.yml:8:18: an empty name in 'fields'"},
        {IN_C("fields: {a: false}"), "c.yml:8:21: 'a' must be a new name, ~ to leave the column "
                                     "out, or {as, type}, not true or "
                                     "false"},
        {IN_C("fields: {a: {as: [x]}}"), "c.yml:8:26: 'as' must be text, not a list"},
        {IN_C("add: {a: [1]}"),
         "c.yml:8:18: 'a' must be a constant, {now: true} or {column: name}"},
        {IN_C("add: {a: {now: false}}"),
         "c.yml:8:18: 'a' must be either {now: true} or {column: name}"},
        {IN_C("add: {a: {now: true, column: x}}"),
         "c.yml:8:18: 'a' must be either {now: true} or {column: name}"},
        {IN_C("add: {a: 9223372036854775808}"),
         "c.yml:8:18: 'a' is a number too big to be exact; quote it to make it text"},
        {IN_C("add: {a: 1e999}"),
         "c.yml:8:18: 'a' is a number too big to be exact; quote it to make it text"},
        {IN_C("embed: {e: {table: u, join: {a: ~}}}"),
         "c.yml:8:41: 'a' has no value; give one, or remove the key"},
        {IN_C("embed: {e: {table: u, join: [a]}}"),
         "c.yml:8:37: 'join' must be a mapping, not a list; for example join: {product_id: id}"},
        {IN_C("embed: {e: u}"), "c.yml:8:20: 'e' must be a mapping of keys, not text"},
        {IN_C("indexes: {a: 1}"),
         "c.yml:8:18: 'indexes' must be a list, not a mapping; for example "
         "indexes: [{keys: {sku: 1}, unique: true}]"},
        {IN_C("indexes: [{keys: {a: 2}}]"),
         "c.yml:8:30: 'a' must be one of 1, -1, 2dsphere, text, hashed"},
        {IN_C("indexes: [{keys: {a: 1}, name: _id_}]"),
         "c.yml:8:40: 'name' is a name that MongoDB keeps for itself; take another"},
    };
    CHECK(mistakes);
}

static void table_names(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {HEAD "modules: {m: {collections: {c: {table: a.b.c}}}}\n",
         "c.yml:3:40: 'table' has more than two parts; write schema.table (the database is in "
         "source.uri)"},
        {HEAD "modules: {m: {collections: {c: {table: '\"a'}}}}\n",
         "c.yml:3:40: 'table' has a quote that does not end"},
        {HEAD "modules: {m: {collections: {c: {table: a b}}}}\n",
         "c.yml:3:40: 'table' has characters that must be quoted as in SQL: '\"my schema\".\"my "
         "table\"'"},
        {HEAD "modules: {m: {collections: {c: {table: a.}}}}\n",
         "c.yml:3:40: 'table' must be schema.table, each part quoted as in SQL where it has other "
         "characters than letters, digits and underscores: '\"my schema\".\"my table\"'"},
        {HEAD "modules: {m: {collections: {c: {table: '\"\"'}}}}\n",
         "c.yml:3:40: 'table' must be schema.table, each part quoted as in SQL where it has other "
         "characters than letters, digits and underscores: '\"my schema\".\"my table\"'"},
        {HEAD "modules: {m: {collections: {c: {table: 1a}}}}\n",
         "c.yml:3:40: 'table' must be schema.table, each part quoted as in SQL where it has other "
         "characters than letters, digits and underscores: '\"my schema\".\"my table\"'"},
    };
    CHECK(mistakes);
}

static void names(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {HEAD "modules: {all: {collections: {c: {table: t}}}}\n",
         "c.yml:3:11: a module cannot be called 'all': that is every module; take another name"},
        {HEAD "modules: {a$: {collections: {c: {table: t}}}}\n",
         "c.yml:3:11: the name of module 'a$' has a '$', which MongoDB refuses in names of "
         "collections; take another name"},
        {HEAD "modules: {m: {collections: {'': {table: t}}}}\n",
         "c.yml:3:29: the name of collection '' is empty; MongoDB wants a name"},
        {HEAD "modules: {m: {collections: {system.x: {table: t}}}}\n",
         "c.yml:3:29: the name of collection 'system.x' has 'system.', which MongoDB keeps for "
         "itself; take another name"},
        {HEAD "modules: {m: {collections: {.x: {table: t}}}}\n",
         "c.yml:3:29: the name of collection '.x' begins with '.', which MongoDB refuses in names "
         "of collections; take another name"},
        {HEAD
         "modules:\n  a: {collections: {c: {table: t}}}\n  b: {collections: {c: {table: t}}}\n",
         "c.yml:5:21: two collections are called 'c', the first at 4:21; rename one"},
    };
    CHECK(mistakes);
}

static void later(void **state) {
    (void)state;
    static const char *const top[] = {"kafka"};
    static const char *const module[] = {"rollout", "approvals"};
    for (size_t i = 0; i < sizeof top / sizeof *top; i++) {
        _cleanup_(mem_freep) char *one = mem_printf(HEAD MODULES "%s: 1\n", top[i]);
        _cleanup_(mem_freep) char *one_error = mem_printf("c.yml:4:1: '%s'" LATER, top[i]);
        check(&(struct mistake){one, one_error}, 1);
    }
    for (size_t i = 0; i < sizeof module / sizeof *module; i++) {
        _cleanup_(mem_freep) char *two = mem_printf(
            HEAD "modules:\n  m:\n    collections: {c: {table: t}}\n    %s: ${NO}\n", module[i]);
        _cleanup_(mem_freep) char *two_error = mem_printf("c.yml:6:5: '%s'" LATER, module[i]);
        check(&(struct mistake){two, two_error}, 1);
    }
    static const struct mistake mistakes[] = {
        {HEAD "modules: {m: {collections: {c: {table: t}}, gates: {cdc_lag: 1s}}}\n",
         "c.yml:3:53: 'cdc_lag'" LATER},
        {IN_C("where: x"), "c.yml:8:9: 'where'" LATER},
        {IN_C("time_series: {time: at}"), "c.yml:8:9: 'time_series'" LATER},
        {IN_C("validator: auto"), "c.yml:8:9: 'validator' other than off" LATER},
        {IN_C("validator: {bsonType: object}"), "c.yml:8:9: 'validator' other than off" LATER},
        {IN_C("fields: {m: {sql: a - b}}"), "c.yml:8:22: 'sql'" LATER},
        {IN_C("embed: {e: {table: u, join: {a: b}, where: x}}"), "c.yml:8:45: 'where'" LATER},
        {SOURCE "target: {uri: mongodb://h, database: d, atomic: true}\n" MODULES,
         "c.yml:2:41: 'atomic' other than false" LATER},
    };
    CHECK(mistakes);
}

#define NO_ADDRESS "must be an address and a port, as 127.0.0.1:8420 or [::1]:8420"
#define NO_TOKEN "must have 16 to 512 characters; `openssl rand -hex 32` makes a good one"

static void serve(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {HEAD MODULES "listen: '8420'\n", "c.yml:4:9: 'listen' " NO_ADDRESS},
        {HEAD MODULES "listen: localhost:8420\n", "c.yml:4:9: 'listen' " NO_ADDRESS},
        {HEAD MODULES "listen: 127.0.0.1:65536\n", "c.yml:4:9: 'listen' " NO_ADDRESS},
        {HEAD MODULES "ofrep: {listen: '::1:80'}\n", "c.yml:4:17: 'listen' " NO_ADDRESS},
        {HEAD MODULES "tokens: {viewer: short}\n", "c.yml:4:18: 'viewer' " NO_TOKEN},
        {HEAD MODULES "tokens: {operator: '0123456789 abcdef'}\n",
         "c.yml:4:20: 'operator' must be printable ASCII without spaces"},
        {HEAD MODULES "tokens: {admin: 0123456789abcdef}\n",
         "c.yml:4:10: unknown key 'admin'; remove it"},
    };
    CHECK(mistakes);
}

static void expansion(void **state) {
    (void)state;
    (void)unsetenv("BANYAN_T_UNSET");
    (void)setenv("BANYAN_T_BYTES", "a\xff", 1);
    static const struct mistake mistakes[] = {
        {HEAD "state: \"${BANYAN_T_UNSET}\"\n" MODULES,
         "c.yml:3:8: environment variable 'BANYAN_T_UNSET' is not set; set it"},
        {HEAD "state: \"a${file:/nonexistent/x}\"\n" MODULES,
         "c.yml:3:8: cannot open file '/nonexistent/x': No such file or directory; make it "
         "readable "
         "or name another"},
        {HEAD "state: \"${file:/}\"\n" MODULES, "c.yml:3:8: cannot read file '/': Is a directory"},
        {HEAD "state: \"${file:/dev/zero}\"\n" MODULES,
         "c.yml:3:8: file '/dev/zero' has more than 65536 bytes"},
        {HEAD "state: \"${BANYAN_T_BYTES}\"\n" MODULES,
         "c.yml:3:8: a variable or file holds text that is not UTF-8"},
        {HEAD "state: \"x${a\"\n" MODULES,
         "c.yml:3:8: '${' without '}'; write $${ for a literal ${"},
        {HEAD "state: \"${a b}\"\n" MODULES,
         "c.yml:3:8: '${a b}' is neither ${NAME} nor ${file:/path}; write $${ for a literal ${"},
        {HEAD "state: \"${}\"\n" MODULES,
         "c.yml:3:8: '${}' is neither ${NAME} nor ${file:/path}; write $${ for a literal ${"},
    };
    CHECK(mistakes);
}

static void nul_in_a_file(void **state) {
    (void)state;
    char path[] = "/tmp/banyan_test_conf_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a\0b", 3), 3);
    (void)close(fd);
    _cleanup_(mem_freep) char *text = mem_printf(HEAD "state: \"${file:%s}\"\n" MODULES, path);
    _cleanup_(mem_freep) char *error =
        mem_printf("c.yml:3:8: file '%s' holds a NUL byte; it must be text", path);
    check(&(struct mistake){text, error}, 1);
    (void)unlink(path);
}

/* --- limits ------------------------------------------------------------------------------ */

static void parse_buf(struct buf *b, const char *error) {
    assert_true(buf_ok(b));
    struct err err = {0};
    struct conf *conf = NULL;
    int rc = conf_parse("c.yml", b->data, b->len, &conf, &err);
    conf_free(rc == 0 ? conf : NULL);
    assert_string_equal(err.text, error);
}

static void add_times(struct buf *b, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_add_text(b, text);
}

static void limit_of_the_file(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf b = {.max = 8 << 20};
    buf_add_text(&b, HEAD MODULES);
    add_times(&b, "#", (4 << 20) - b.len);
    parse_buf(&b, "");
    buf_add_char(&b, '#');
    parse_buf(&b, "c.yml:1:1: the file has more than 4 MiB; split it");
}

static void limit_of_embedding(void **state) {
    (void)state;
    for (size_t depth = 20; depth <= 21; depth++) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD "modules: {m: {collections: {c: {table: t");
        add_times(&b, ", embed: {e: {table: t, join: {a: b}", depth);
        add_times(&b, "}}", depth);
        buf_add_text(&b, "}}}}\n");
        parse_buf(&b, depth == 20 ? "" : "c.yml:3:771: 'embed' is more than 20 levels deep");
    }
}

static void limit_of_nesting(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
    buf_add_text(&b, "a: ");
    add_times(&b, "[", 100000);
    parse_buf(&b, "c.yml:1:63: nested more than 60 levels deep");
}

/* Each line ten times the one above: 10^9 values. */
static void limit_of_aliases(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
    buf_add_text(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        buf_printf(&b, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_printf(&b, "%s*a%d", j ? ", " : "", i - 1);
        buf_add_text(&b, "]\n");
    }
    parse_buf(&b, "c.yml:6:10: more than 200000 values (aliases count with all they stand for); "
                  "split the file");
    buf_clear(&b);
    for (int i = 0; i < 1001; i++)
        buf_printf(&b, "a%d: &a%d x\n", i, i);
    parse_buf(&b, "c.yml:1001:15: more than 1000 anchors");
}

static void limit_of_values(void **state) {
    (void)state;
    for (size_t len = 65536; len <= 65537; len++) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD MODULES "state: ");
        add_times(&b, "x", len);
        parse_buf(
            &b, len == 65536 ? "" : "c.yml:4:8: a value of 65537 bytes; at most 65536 are allowed");
    }
}

static void limit_of_entries(void **state) {
    (void)state;
    for (size_t count = 1600; count <= 1601; count++) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD "modules: {m: {collections: {c: {table: t, only: [");
        for (size_t i = 0; i < count; i++)
            buf_printf(&b, "c%zu, ", i);
        buf_add_text(&b, "]}}}}\n");
        parse_buf(&b, count == 1600 ? "" : "c.yml:3:49: 'only' names more than 1600 columns");
    }
    for (size_t count = 10000; count <= 10001; count++) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD "modules: {m: {collections: {c: {table: t, add: {");
        for (size_t i = 0; i < count; i++)
            buf_printf(&b, "c%zu: 1, ", i);
        buf_add_text(&b, "}}}}}\n");
        parse_buf(&b, count == 10000 ? "" : "c.yml:3:48: 'add' has more than 10000 entries");
    }
}

/* A small file whose values are expanded to 60 kB each. */
static void limit_of_memory(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf value = {.max = 1 << 20};
    add_times(&value, "x", 60000);
    (void)setenv("BANYAN_T_LONG", buf_text(&value), 1);
    for (size_t count = 2000; count <= 2400; count += 400) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD "modules: {m: {collections: {c: {table: t, add: {");
        for (size_t i = 0; i < count; i++)
            buf_printf(&b, "\n c%04zu: '${BANYAN_T_LONG}',", i);
        buf_add_text(&b, "}}}}}\n");
        struct err err = {0};
        struct conf *conf = NULL;
        int rc = conf_parse("c.yml", b.data, b.len, &conf, &err);
        assert_int_equal(rc, count == 2000 ? 0 : ERR_CONF);
        conf_free(conf);
        /* The line depends on how much the rest of the file takes: about the 2230th value. */
        if (rc < 0 &&
            (strncmp(err.text, "c.yml:22", 8) != 0 ||
             !strstr(err.text, ":9: the configuration needs more than 128 MiB of memory")))
            fail_msg("%s", err.text);
    }
    (void)unsetenv("BANYAN_T_LONG");
}

static void limit_of_names(void **state) {
    (void)state;
    for (size_t len = 253; len <= 254; len++) {
        _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
        buf_add_text(&b, HEAD "modules: {m: {collections: {");
        add_times(&b, "x", len);
        buf_add_text(&b, ": {table: t}}}}\n");
        parse_buf(&b, len == 253
                          ? ""
                          : "c.yml:3:29: "
                            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
                            "' and the database's name have more than 255 bytes; shorten it");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml),
        cmocka_unit_test(keys),
        cmocka_unit_test(missing),
        cmocka_unit_test(values),
        cmocka_unit_test(servers),
        cmocka_unit_test(mappings),
        cmocka_unit_test(table_names),
        cmocka_unit_test(names),
        cmocka_unit_test(later),
        cmocka_unit_test(serve),
        cmocka_unit_test(expansion),
        cmocka_unit_test(nul_in_a_file),
        cmocka_unit_test(limit_of_the_file),
        cmocka_unit_test(limit_of_embedding),
        cmocka_unit_test(limit_of_nesting),
        cmocka_unit_test(limit_of_aliases),
        cmocka_unit_test(limit_of_values),
        cmocka_unit_test(limit_of_entries),
        cmocka_unit_test(limit_of_memory),
        cmocka_unit_test(limit_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

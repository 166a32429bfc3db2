/* Reading banyan.yml: defaults, every kind of value, expansion, show, docs. Errors are in
 * test_conf_errors.c, redaction in test_conf_redact.c. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "source: {uri: postgresql://u@h/d}\n"                                                          \
    "target: {uri: mongodb://h, database: shop}\n"
#define MODULES "modules: {m: {collections: {c: {table: t}}}}\n"
#define IN_C(text) HEAD "modules: {m: {collections: {c: {table: t, " text "}}}}\n"

static struct conf *parse(const char *text) {
    struct err err = {0};
    struct conf *conf = NULL;
    if (conf_parse("t.yml", text, strlen(text), &conf, &err) < 0)
        fail_msg("%s", err.text);
    return conf;
}

static void defaults(void **state) {
    (void)state;
    struct conf *conf = parse(HEAD MODULES);
    assert_string_equal(conf->file, "t.yml");
    assert_string_equal(conf->state, "banyan.db");
    assert_string_equal(conf->source.uri, "postgresql://u@h/d");
    assert_int_equal(conf->source.uri_at.line, 1);
    assert_int_equal(conf->source.uri_at.column, 15);
    assert_null(conf->source.slot);
    assert_null(conf->source.publication);
    assert_int_equal(conf->source.heartbeat_us, 10000000);
    assert_int_equal(conf->source.snapshot_threads, 2);
    assert_int_equal(conf->source.snapshot_rows_per_second, 0);
    assert_int_equal(conf->source.snapshot_chunk_rows, 100000);
    assert_false(conf->source.snapshot_consistent);
    assert_string_equal(conf->target.database, "shop");
    assert_int_equal(conf->target.lanes, 2);
    assert_int_equal(conf->target.batch_operations, 1000);
    assert_int_equal(conf->target.batch_delay_us, 5000);
    assert_int_equal(conf->target.writes_per_second, 0);
    assert_int_equal(conf->types.microseconds, CONF_MICROS_TRUNCATE);
    assert_int_equal(conf->types.numeric_overflow, CONF_OVERFLOW_STRING);
    assert_int_equal(conf->types.infinity, CONF_INFINITY_STRING);
    assert_int_equal(conf->types.bigint_json, CONF_BIGINT_INT64);
    assert_int_equal(conf->module_count, 1);
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    assert_string_equal(c->table.schema, "public");
    assert_string_equal(c->table.name, "t");
    assert_int_equal(c->only.at.line, 0);
    assert_int_equal(c->id.at.line, 0);
    assert_false(c->id_objectid || c->keep_id || c->one || c->keep_join);
    assert_int_equal(c->casing, CONF_CASE_KEEP);
    assert_int_equal(c->nulls, CONF_NULLS_KEEP);
    assert_int_equal(c->field_count + c->add_count + c->embed_count + c->index_count, 0);
    assert_ptr_equal(conf_module(conf, "m"), &conf->modules[0]);
    assert_null(conf_module(conf, "x"));
    conf_free(conf);
    conf_free(NULL);
}

static void all_scalars(void **state) {
    (void)state;
    struct conf *conf = parse("source:\n  uri: \"host=/tmp dbname=d\"\n  slot: a_1\n"
                              "  publication: Pub\n  heartbeat: \"2m\"\n"
                              "  snapshot: {threads: 64, rows_per_second: 7, chunk_rows: 9, "
                              "consistent: true}\n"
                              "target: {uri: mongodb+srv://h, database: d, lanes: 64,\n"
                              "  batch: {operations: 100000, delay: 0s}, writes_per_second: 3,\n"
                              "  atomic: false}\n"
                              "state: /x/y.db\n"
                              "types: {microseconds: split, numeric_overflow: fail, infinity: null,"
                              " bigint_json: decimal}\n" MODULES);
    assert_string_equal(conf->source.slot, "a_1");
    assert_string_equal(conf->source.publication, "Pub");
    assert_int_equal(conf->source.heartbeat_us, 120000000);
    assert_int_equal(conf->source.snapshot_threads, 64);
    assert_int_equal(conf->source.snapshot_rows_per_second, 7);
    assert_int_equal(conf->source.snapshot_chunk_rows, 9);
    assert_true(conf->source.snapshot_consistent);
    assert_int_equal(conf->target.lanes, 64);
    assert_int_equal(conf->target.batch_operations, 100000);
    assert_int_equal(conf->target.batch_delay_us, 0);
    assert_int_equal(conf->target.writes_per_second, 3);
    assert_string_equal(conf->state, "/x/y.db");
    assert_int_equal(conf->types.microseconds, CONF_MICROS_SPLIT);
    assert_int_equal(conf->types.numeric_overflow, CONF_OVERFLOW_FAIL);
    assert_int_equal(conf->types.infinity, CONF_INFINITY_NULL);
    assert_int_equal(conf->types.bigint_json, CONF_BIGINT_DECIMAL);
    conf_free(conf);
}

static void tables(void **state) {
    (void)state;
    static const struct {
        const char *text, *schema, *name;
    } cases[] = {
        {"Products", "public", "products"},
        {"Sales.Orders_2$x", "sales", "orders_2$x"},
        {"'\"My Schema\".\"order.items\"'", "My Schema", "order.items"},
        {"'\"a\"\"b\".C'", "a\"b", "c"},
        {"'\"$x\"'", "public", "$x"},
        {"'\xc3\x89t\xc3\xa9'", "public", "\xc3\x89t\xc3\xa9"},
        {"'s.\"T\"'", "s", "T"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "modules: {m: {collections: {c: {table: %s}}}}\n",
                       cases[i].text);
        struct conf *conf = parse(text);
        assert_string_equal(conf->modules[0].collections[0].table.schema, cases[i].schema);
        assert_string_equal(conf->modules[0].collections[0].table.name, cases[i].name);
        conf_free(conf);
    }
}

static void names_of_any_kind(void **state) {
    (void)state;
    struct conf *conf = parse(IN_C("only: ['a b', 'c.d', 'e\"f', '$g', \"\\u00e9\\n\", ''''],\n"
                                   "  fields: {'a b': \"$x\", 'c.d': ~}, id: [id, 'Zwei']"));
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    static const char *const names[] = {"a b", "c.d", "e\"f", "$g", "\xc3\xa9\n", "'"};
    assert_int_equal(c->only.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(c->only.items[i].text, names[i]);
    assert_int_equal(c->only.items[1].at.line, 3);
    assert_int_equal(c->only.items[1].at.column, 57);
    assert_int_equal(c->id.count, 2);
    assert_string_equal(c->fields[0].column.text, "a b");
    assert_string_equal(c->fields[0].as.text, "$x");
    assert_true(c->fields[1].omit);
    conf_free(conf);
    conf = parse(IN_C("only: [], id: objectid, keep_id: true"));
    assert_int_equal(conf->modules[0].collections[0].only.count, 0);
    assert_int_equal(conf->modules[0].collections[0].only.at.line, 3);
    assert_true(conf->modules[0].collections[0].id_objectid);
    assert_true(conf->modules[0].collections[0].keep_id);
    conf_free(conf);
}

static void added_fields(void **state) {
    (void)state;
    struct conf *conf = parse(
        IN_C("add: {a: text, b: '1', c: -7, d: 1.5, e: true, f: ~, g: {now: true}, h: {column: id},"
             " i: 0x1f, j: 1e3, k: '', l: 'true', m: 9223372036854775807, n: 0o17, o: .inf,"
             " p: 1.2.3, q: -9223372036854775808}, fields: {x: {as: y, type: string}, z: {type: "
             "date}}"));
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    const struct conf_add *add = c->add;
    assert_int_equal(c->add_count, 17);
    assert_string_equal(add[0].string, "text");
    assert_int_equal(add[1].scalar, CONF_STRING);
    assert_string_equal(add[1].string, "1");
    assert_int_equal(add[2].scalar, CONF_INT);
    assert_int_equal(add[2].integer, -7);
    assert_int_equal(add[3].scalar, CONF_DOUBLE);
    assert_true(add[3].real == 1.5);
    assert_int_equal(add[4].scalar, CONF_BOOL);
    assert_true(add[4].boolean);
    assert_int_equal(add[5].scalar, CONF_NULL);
    assert_int_equal(add[6].kind, CONF_ADD_NOW);
    assert_int_equal(add[7].kind, CONF_ADD_COLUMN);
    assert_string_equal(add[7].column.text, "id");
    assert_int_equal(add[8].integer, 31);
    assert_true(add[9].real == 1000);
    assert_string_equal(add[10].string, "");
    assert_int_equal(add[11].scalar, CONF_STRING);
    assert_true(add[12].integer == INT64_MAX);
    assert_int_equal(add[13].integer, 15);
    assert_true(add[14].real > 1e308);
    assert_string_equal(add[15].string, "1.2.3");
    assert_true(add[16].integer == INT64_MIN);
    assert_string_equal(c->fields[0].as.text, "y");
    assert_string_equal(c->fields[0].type.text, "string");
    assert_null(c->fields[1].as.text);
    assert_false(c->fields[1].omit);
    conf_free(conf);
}

static void indexes(void **state) {
    (void)state;
    struct conf *conf =
        parse(IN_C("indexes: [{keys: {sku: 1}, unique: true}, {keys: {\"a.b\": -1, p: 2dsphere, "
                   "q: text, r: hashed}, name: by_x}]"));
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    assert_int_equal(c->index_count, 2);
    assert_true(c->indexes[0].unique);
    assert_null(c->indexes[0].name);
    assert_string_equal(c->indexes[0].keys[0].path.text, "sku");
    assert_string_equal(c->indexes[0].keys[0].kind, "1");
    assert_false(c->indexes[1].unique);
    assert_string_equal(c->indexes[1].name, "by_x");
    static const char *const kinds[] = {"-1", "2dsphere", "text", "hashed"};
    assert_int_equal(c->indexes[1].key_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(c->indexes[1].keys[i].kind, kinds[i]);
    conf_free(conf);
}

/* `case` and `nulls` stand behind `embed` here: the order in the file means nothing. */
static void embedding(void **state) {
    (void)state;
    struct conf *conf = parse(
        IN_C("embed: {one: {table: o, one: true, join: {id: o_id}, keep_join: true, nulls: keep,\n"
             "  embed: {deep: {table: d, join: {a: b, c: d}}}}, many: {table: m, join: {x: y}, "
             "order: [p, q]}},\n  case: camel, nulls: omit"));
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    assert_int_equal(c->embed_count, 2);
    const struct conf_mapping *one = &c->embed[0];
    assert_string_equal(one->name.text, "one");
    assert_true(one->one && one->keep_join);
    assert_int_equal(one->casing, CONF_CASE_CAMEL);
    assert_int_equal(one->nulls, CONF_NULLS_KEEP);
    assert_string_equal(one->join[0].child.text, "id");
    assert_string_equal(one->join[0].parent.text, "o_id");
    const struct conf_mapping *deep = &one->embed[0];
    assert_int_equal(deep->join_count, 2);
    assert_int_equal(deep->casing, CONF_CASE_CAMEL);
    assert_int_equal(deep->nulls, CONF_NULLS_KEEP);
    assert_int_equal(deep->table.at.line, 4);
    assert_int_equal(c->embed[1].nulls, CONF_NULLS_OMIT);
    assert_int_equal(c->embed[1].order.count, 2);
    conf_free(conf);
}

static void aliases(void **state) {
    (void)state;
    struct conf *conf =
        parse(HEAD "modules: {m: {collections: {a: &x {table: t, id: [k]}, b: *x}}}");
    assert_string_equal(conf->modules[0].collections[1].name.text, "b");
    assert_string_equal(conf->modules[0].collections[1].id.items[0].text, "k");
    conf_free(conf);
}

/* --- expansion --------------------------------------------------------------------------- */

struct temp {
    char path[64];
};

static struct temp write_temp(const char *text, size_t len) {
    struct temp t = {"/tmp/banyan_test_conf_XXXXXX"};
    int fd = mkstemp(t.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    (void)close(fd);
    return t;
}

static void expansion(void **state) {
    (void)state;
    struct temp t = write_temp("p\nw: [\"x\n\n", 10);
    (void)setenv("BANYAN_T_A", "a: {b: c} ${BANYAN_T_B}", 1);
    (void)setenv("BANYAN_T_LANES", "7", 1);
    (void)setenv("BANYAN_T_YES", "true", 1);
    (void)setenv("BANYAN_T_S", "3s", 1);
    (void)setenv("BANYAN_T_EMPTY", "", 1);
    (void)setenv("BANYAN_T_CAMEL", "camel", 1);
    char text[1024];
    (void)snprintf(
        text, sizeof text,
        "source: {uri: \"postgresql://u:${file:%s}@h\", heartbeat: \"${BANYAN_T_S}\"}\n"
        "target: {uri: mongodb://h, database: d, lanes: \"${BANYAN_T_LANES}\"}\n"
        "modules: {m: {collections: {c: {table: t, case: \"${BANYAN_T_CAMEL}\",\n"
        "  keep_id: \"${BANYAN_T_YES}\", only: [\"$${x}\", \"$$y$\", \"${BANYAN_T_A}\"],\n"
        "  add: {\"${k}\": \"${BANYAN_T_LANES}\", e: \"${BANYAN_T_EMPTY}\"}}}}}\n",
        t.path);
    struct conf *conf = parse(text);
    (void)unlink(t.path);
    assert_string_equal(conf->source.uri, "postgresql://u:p\nw: [\"x\n@h");
    assert_int_equal(conf->source.heartbeat_us, 3000000);
    assert_int_equal(conf->target.lanes, 7);
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    assert_true(c->keep_id);
    assert_int_equal(c->casing, CONF_CASE_CAMEL);
    assert_string_equal(c->only.items[0].text, "${x}");
    assert_string_equal(c->only.items[1].text, "$$y$");
    /* Neither YAML nor a second expansion comes out of a value. */
    assert_string_equal(c->only.items[2].text, "a: {b: c} ${BANYAN_T_B}");
    /* A constant that is expanded is text, whatever it looks like; a key is taken as it is. */
    assert_string_equal(c->add[0].name.text, "${k}");
    assert_int_equal(c->add[0].scalar, CONF_STRING);
    assert_string_equal(c->add[0].string, "7");
    assert_string_equal(c->add[1].string, "");
    conf_free(conf);
}

/* --- show, docs, files ------------------------------------------------------------------- */

static const char everything[] =
    "source:\n  uri: \"postgresql://u:hunter22@h/d?password=hunter23\"\n  slot: s\n"
    "target:\n  uri: \"mongodb://u:hunter24@h/?w=1\"\n  database: d\n"
    "modules:\n  m:\n    collections:\n      c:\n        table: '\"My S\".\"a\"\"b\"'\n"
    "        id: [x]\n        only: [x, \"$${y}\", 'true']\n        case: camel\n"
    "        fields: {a: b, c: ~, d: {as: e, type: string}, 'f.g': {type: date}, h: {}}\n"
    "        add: {i: 1, j: 1.0, k: '1', l: ~, m: {now: true}, n: {column: o}, p: .inf, q: 0.1}\n"
    "        indexes: [{keys: {a: 1, b: text}, unique: true, name: i}]\n"
    "        embed:\n          z: {table: z, join: {a: x}, order: [b], embed: {y: {table: y, one: "
    "true, join: {p: q}}}}\n      'c 2': {table: t, id: objectid}\n";

static void shows_yaml_that_reads_back(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf once = {.max = 1 << 20};
    _cleanup_(buf_release) struct buf twice = {.max = 1 << 20};
    struct conf *conf = parse(everything);
    conf_show(conf, false, &once);
    conf_free(conf);
    const char *text = buf_text(&once);
    assert_null(strstr(text, "hunter"));
    assert_non_null(strstr(text, "uri: \"postgresql://u:***@h/d?password=***\"\n"));
    assert_non_null(strstr(text, "uri: \"mongodb://u:***@h/?w=1\"\n"));
    assert_non_null(strstr(text, "  # always set by Banyan, whatever the URI says: w: majority, "
                                 "journal: true, primary reads, retryable writes\n"));
    assert_non_null(strstr(text, "  heartbeat: 10s\n"));
    assert_non_null(strstr(text, "    delay: 5ms\n"));
    assert_non_null(strstr(text, "state: \"banyan.db\"\n"));
    assert_non_null(strstr(text, "  # publication: the slot's name\n"));
    assert_non_null(strstr(text, "        only: [\"x\", \"$${y}\", \"true\"]\n"));
    conf = parse(text);
    conf_show(conf, false, &twice);
    assert_string_equal(buf_text(&twice), text);
    const struct conf_mapping *c = &conf->modules[0].collections[0];
    assert_string_equal(c->table.name, "a\"b");
    assert_string_equal(c->only.items[1].text, "${y}");
    assert_int_equal(c->add[1].scalar, CONF_DOUBLE);
    assert_true(c->add[7].real == 0.1);
    assert_int_equal(c->embed[0].embed[0].casing, CONF_CASE_CAMEL);
    conf_free(conf);
}

/* JSON is YAML, and what JSON adds (null for what is absent, always_set) is no key of the file; so
 * its own shape is checked by a walk over brackets and strings. */
static void check_json(const char *p) {
    char open[64];
    size_t depth = 0;
    for (; *p; p++) {
        if (*p == '"') {
            for (p++; *p != '"'; p++) {
                assert_true((unsigned char)*p >= 0x20);
                if (*p == '\\')
                    p++;
            }
        } else if (*p == '{' || *p == '[') {
            open[depth++] = *p;
        } else if (*p == '}' || *p == ']') {
            assert_true(depth > 0 && open[--depth] == (*p == '}' ? '{' : '['));
            assert_true(p[-1] != ',' && p[-1] != ':');
        } else if (*p == ',' || *p == ':') {
            assert_null(strchr("{[,:", p[-1]));
        } else {
            assert_non_null(strchr("0123456789.-+einfaltrsuE\n", *p));
        }
    }
    assert_int_equal(depth, 0);
}

static void shows_json(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    struct conf *conf = parse(everything);
    conf_show(conf, true, &out);
    conf_free(conf);
    const char *text = buf_text(&out);
    check_json(text);
    assert_null(strstr(text, "hunter"));
    assert_non_null(strstr(text, "\"target\":{\"always_set\":{\"w\":\"majority\",\"journal\":true,"
                                 "\"readPreference\":\"primary\",\"retryWrites\":true},\"uri\":"));
    assert_non_null(strstr(text, "\"slot\":\"s\",\"publication\":null,\"heartbeat\":\"10s\""));
    assert_non_null(strstr(text, "\"only\":[\"x\",\"${y}\",\"true\"]"));
    assert_non_null(strstr(text, "\"p\":\".inf\""));
    assert_non_null(strstr(text, "\"id\":\"objectid\""));
}

static void docs_name_every_key(void **state) {
    (void)state;
    static const char *const keys[] = {
        "source",      "target",
        "state",       "types",
        "modules",     "uri",
        "slot",        "threads",
        "lanes",       "rows_per_second",
        "chunk_rows",  "consistent",
        "database",    "batch",
        "delay",       "operations",
        "collections", "table",
        "id",          "keep_id",
        "only",        "case",
        "nulls",       "fields",
        "add",         "embed",
        "join",        "keep_join",
        "order",       "one",
        "indexes",     "validator",
        "atomic",      "writes_per_second",
        "infinity",    "microseconds",
        "bigint_json", "heartbeat",
        "snapshot",    "publication",
        "unique",      "keys",
    };
    _cleanup_(buf_release) struct buf once = {.max = 1 << 20};
    _cleanup_(buf_release) struct buf twice = {.max = 1 << 20};
    conf_docs(&once);
    conf_docs(&twice);
    assert_string_equal(buf_text(&once), buf_text(&twice));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char heading[64];
        (void)snprintf(heading, sizeof heading, "\n### `%s`\n", keys[i]);
        if (!strstr(buf_text(&once), heading))
            fail_msg("no %s in the docs", keys[i]);
    }
    assert_non_null(strstr(buf_text(&once), "whole number, 1 to 64; default: `2`"));
    assert_non_null(strstr(buf_text(&once), "| `modules.<module>.rollout` |"));
}

static void loads_a_file(void **state) {
    (void)state;
    struct temp t = write_temp(everything, sizeof everything - 1);
    struct err err = {0};
    struct conf *conf = NULL;
    assert_int_equal(conf_load(t.path, &conf, &err), 0);
    assert_string_equal(conf->file, t.path);
    assert_int_equal(conf_error(conf, (struct conf_at){14, 9}, &err, "no %s", "x"), ERR_CONF);
    assert_non_null(strstr(err.text, ":14:9: no x"));
    conf_free(conf);
    (void)unlink(t.path);
    assert_int_equal(conf_load(t.path, &conf, &err), ERR_CONF);
    assert_non_null(strstr(err.text, ":1:1: cannot open it: No such file or directory"));
    assert_int_equal(conf_load("/", &conf, &err), ERR_CONF);
    assert_string_equal(err.text, "/:1:1: cannot read it: Is a directory; name a file with -c");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),     cmocka_unit_test(all_scalars),
        cmocka_unit_test(tables),       cmocka_unit_test(names_of_any_kind),
        cmocka_unit_test(added_fields), cmocka_unit_test(indexes),
        cmocka_unit_test(embedding),    cmocka_unit_test(aliases),
        cmocka_unit_test(expansion),    cmocka_unit_test(shows_yaml_that_reads_back),
        cmocka_unit_test(shows_json),   cmocka_unit_test(docs_name_every_key),
        cmocka_unit_test(loads_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

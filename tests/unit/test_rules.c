/* What counts as equal, taken from the mapping and from `compare`. No server. */
#include "parallel/rules.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct pg_type int8 = {.oid = 20, .name = "bigint", .kind = PG_KIND_INT64};
static const struct pg_type boolean = {.oid = 16, .name = "boolean", .kind = PG_KIND_BOOL};
static const struct pg_type text = {.oid = 25, .name = "text", .kind = PG_KIND_TEXT};
static const struct pg_type numeric = {.oid = 1700, .name = "numeric", .kind = PG_KIND_NUMERIC};
static const struct pg_type stamp = {
    .oid = 1184, .name = "timestamptz", .kind = PG_KIND_TIMESTAMPTZ};
static const struct pg_type uuid = {.oid = 2950, .name = "uuid", .kind = PG_KIND_UUID};

#define COLUMN(n, t)                                                                               \
    { .name = (n), .type = &(t), .deterministic = true }
static const int first[] = {0};
static const struct pg_index_info by_id[] = {
    {.name = "pkey", .unique = true, .primary = true, .columns = first, .column_count = 1}};
static const struct pg_column order_columns[] = {
    {.name = "id", .type = &int8, .not_null = true, .deterministic = true},
    COLUMN("unit_price", numeric),
    COLUMN("paid", boolean),
    COLUMN("placed_at", stamp),
    COLUMN("reference", uuid),
    COLUMN("note", text)};
static const struct pg_column item_columns[] = {
    {.name = "line", .type = &int8, .not_null = true, .deterministic = true},
    COLUMN("order_id", int8),
    COLUMN("amount", numeric),
    COLUMN("note", text)};
static const struct pg_column other_columns[] = {
    {.name = "id", .type = &int8, .not_null = true, .deterministic = true}, COLUMN("paid", text)};
static const struct pg_column parent_columns[] = {
    {.name = "id", .type = &int8, .not_null = true, .deterministic = true},
    COLUMN("code", int8),
    COLUMN("state", numeric)};
static const struct pg_column part_columns[] = {
    {.name = "id", .type = &int8, .not_null = true, .deterministic = true},
    COLUMN("parent_id", int8),
    COLUMN("code", text),
    COLUMN("state", boolean)};

#define TABLE(n, c)                                                                                \
    {                                                                                              \
        .schema = "public", .name = (n), .kind = 'r', .replica_identity = 'd', .columns = (c),     \
        .column_count = sizeof(c) / sizeof *(c), .primary_key = first, .primary_key_count = 1,     \
        .identity = first, .identity_count = 1, .indexes = by_id, .index_count = 1                 \
    }
#define WIDE 700
static struct pg_column wide_columns[WIDE];
static char wide_names[WIDE][16];

static const struct pg_table tables[] = {
    TABLE("wide", wide_columns),    TABLE("orders", order_columns),   TABLE("items", item_columns),
    TABLE("others", other_columns), TABLE("parents", parent_columns), TABLE("parts", part_columns)};

static int find_table(void *context, const char *schema, const char *name,
                      const struct pg_table **ret_table, struct buf *similar, struct err *err) {
    (void)context, (void)schema, (void)similar, (void)err;
    *ret_table = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i].name, name) == 0)
            *ret_table = &tables[i];
    return 0;
}

struct fixture {
    struct conf *conf;
    struct plan *plan;
    struct compare_rules *rules;
    size_t left_out;
    struct arena memory, scratch;
};

#define ORDERS                                                                                     \
    "      orders:\n"                                                                              \
    "        table: orders\n"                                                                      \
    "        nulls: omit\n"                                                                        \
    "        fields: {unit_price: price}\n"                                                        \
    "        embed: {items: {table: items, join: {order_id: id}}}\n"
#define OTHERS "      others: {table: others}\n"

static void compile(struct fixture *f, const char *collections, const char *compare,
                    const char *collection) {
    char yaml[8192];
    struct err err = {0};
    int n = snprintf(yaml, sizeof yaml,
                     "source: {uri: \"postgresql://h/d\"}\n"
                     "target: {uri: \"mongodb://h\", database: d}\n"
                     "gateway: {listen: \"127.0.0.1:8080\"}\n"
                     "modules:\n  m:\n    collections:\n%s"
                     "    routes:\n"
                     "      - prefix: /api\n"
                     "        sql: {url: \"http://127.0.0.1:1\", service: a}\n"
                     "        mongodb: {url: \"http://127.0.0.1:2\", service: b}\n"
                     "        compare: {%s}\n",
                     collections, compare);
    if (conf_parse("p.yml", yaml, (size_t)n, &f->conf, &err) < 0)
        fail_msg("%s", err.text);
    const struct conf_module *module = &f->conf->modules[0];
    if (plan_compile(f->conf, &module, 1, find_table, NULL, &f->plan, &err) < 0)
        fail_msg("%s", err.text);
    const struct rules_of of = {.compare = &module->routes[0].compare,
                                .plan = f->plan,
                                .module = "m",
                                .collection = collection};
    if (rules_compile(&of, &f->rules, &f->left_out, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **ret) {
    struct fixture *f = mem_zalloc(1, sizeof *f);
    for (int i = 0; i < WIDE; i++) {
        (void)snprintf(wide_names[i], sizeof wide_names[i], "column_a%d", i);
        wide_columns[i] = (struct pg_column){
            .name = wide_names[i], .type = &numeric, .not_null = true, .deterministic = true};
    }
    arena_init(&f->memory, 1 << 24);
    arena_init(&f->scratch, 1 << 24);
    *ret = f;
    return 0;
}

static int teardown(void **given) {
    struct fixture *f = *given;
    compare_rules_free(f->rules);
    plan_free(f->plan);
    conf_free(f->conf);
    arena_release(&f->memory);
    arena_release(&f->scratch);
    free(f);
    return 0;
}

static int keep_path(void *context, const struct compare_difference *d) {
    struct buf *paths = context;
    if (paths->len)
        buf_add_char(paths, ' ');
    buf_add_span(paths, d->path);
    return 0;
}

/* The paths that differ. */
static void differ(struct fixture *f, const char *sql, const char *mongodb, const char *expected) {
    _cleanup_(buf_release) struct buf paths = {.max = 4096};
    struct compare_tree a, b;
    struct compare_result result;
    struct err err = {0};
    assert_int_equal(compare_read_json(span_of(sql), &f->memory, &a, &err), 0);
    assert_int_equal(compare_read_json(span_of(mongodb), &f->memory, &b, &err), 0);
    assert_int_equal(compare_trees(f->rules, &a, &b, &f->scratch, keep_path, &paths, &result, &err),
                     0);
    assert_string_equal(buf_text(&paths), expected);
}

#define SQL                                                                                        \
    "{\"id\":\"7\",\"price\":\"12.50\",\"paid\":1,\"placed_at\":\"2026-11-24 10:00:00+00\","       \
    "\"reference\":\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\",\"note\":null}"
#define MONGODB                                                                                    \
    "{\"id\":7,\"price\":12.5,\"paid\":true,\"placed_at\":\"2026-11-24T10:00:00.000Z\","           \
    "\"reference\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}"

static void a_mapped_type_has_several_forms(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: mapped", NULL);
    differ(f, SQL, MONGODB, "");
    differ(f, "{\"price\":\"12.50\"}", "{\"price\":12.51}", "price");
    differ(f, "{\"paid\":1}", "{\"paid\":false}", "paid");
    differ(f, "{\"note\":\"1\"}", "{\"note\":1}", "note"); /* a text is a text */
}

static void exact_takes_nothing_from_the_mapping(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: exact", NULL);
    differ(f, "{\"price\":\"12.50\"}", "{\"price\":12.5}", "price");
    differ(f, "{\"note\":null}", "{}", "note");
}

/* A service wraps its documents as it likes, and names a column as the table does. */
static void a_route_has_them_at_any_depth(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: mapped", NULL);
    differ(f, "{\"data\":{\"list\":[" SQL "]}}", "{\"data\":{\"list\":[" MONGODB "]}}", "");
    differ(f, "[{\"unit_price\":\"1.0\"}]", "[{\"unit_price\":1}]", "");
}

static void an_operation_has_them_at_the_root_only(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: mapped", "orders");
    differ(f, "[{\"price\":\"1.0\"}]", "[{\"price\":1}]", "");
    differ(f, "{\"x\":{\"price\":\"1.0\"}}", "{\"x\":{\"price\":1}}", "x.price");
}

static void elements_belong_together_by_the_childs_key(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: mapped", NULL);
    differ(f, "{\"items\":[{\"line\":1,\"amount\":1},{\"line\":2,\"amount\":2},{\"line\":3}]}",
           "{\"items\":[{\"line\":1,\"amount\":1},{\"line\":3}]}", "items[line=2]");
    differ(f, "{\"items\":[{\"line\":1,\"amount\":\"1.0\"}]}",
           "{\"items\":[{\"line\":1,\"amount\":1}]}", "");
}

/* Its own column said that null is absent, and `_id` did not: nothing was said. */
static void the_key_is_of_one_mind_with_its_column(void **state) {
    struct fixture *f = *state;
    compile(f, "      orders: {table: orders, nulls: omit, keep_id: true}\n", "rules: mapped",
            "orders");
    differ(f, "{\"_id\":\"7\",\"id\":\"7\"}", "{\"_id\":7,\"id\":7}", "");
}

/* "*.code" is meant for the table's own, but stands for that of a part as well. */
static void a_column_does_not_loosen_that_of_an_embedded_table(void **state) {
    struct fixture *f = *state;
    compile(f,
            "      parents:\n"
            "        table: parents\n"
            "        embed: {parts: {table: parts, join: {parent_id: id}}}\n",
            "rules: mapped", NULL);
    differ(f, "{\"parts\":[{\"id\":1,\"code\":\"0012\"}]}",
           "{\"parts\":[{\"id\":1,\"code\":\"12\"}]}", "parts[id=1].code");
    differ(f, "{\"code\":\"0012\"}", "{\"code\":12}", "code"); /* said of neither, then */
    /* Where both say something, each has its own. */
    differ(f, "{\"state\":\"1.0\",\"parts\":[{\"id\":1,\"state\":1}]}",
           "{\"state\":1,\"parts\":[{\"id\":1,\"state\":true}]}", "");
    differ(f, "{\"parts\":[{\"id\":1,\"state\":\"1.0\"}]}", "{\"parts\":[{\"id\":1,\"state\":1}]}",
           "parts[id=1].state");
}

static void compare_comes_after_the_mapping(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS,
            "rules: mapped, key: {\"*.items\": amount}, ignore: [price], types: {note: number}",
            NULL);
    differ(f, "{\"items\":[{\"line\":1,\"amount\":1}]}", "{\"items\":[{\"line\":2,\"amount\":1}]}",
           "items[amount=1].line");
    differ(f, "{\"price\":1}", "{\"price\":2}", "");
    differ(f, "{\"note\":\"1\"}", "{\"note\":1}", "");
}

static void where_collections_disagree_nothing_is_said(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS OTHERS, "rules: mapped", NULL);
    differ(f, "{\"paid\":1}", "{\"paid\":true}", "paid");
    differ(f, "{\"price\":\"1.0\"}", "{\"price\":1}", ""); /* only one of them has it */
}

static void tolerance_0_is_none(void **state) {
    struct fixture *f = *state;
    compile(f, ORDERS, "rules: reference, tolerance: 0", NULL);
    differ(f, "{\"x\":1.00001}", "{\"x\":1.00002}", "x");
}

/* Columns enough to pass the limit of patterns, each under two names. */
static void what_has_no_room_is_told(void **state) {
    struct fixture *f = *state;
    compile(f, "      wide: {table: wide, case: camel}\n", "rules: mapped, ignore: [x]", NULL);
    assert_true(f->left_out > 0);
    differ(f, "{\"x\":1}", "{\"x\":2}", ""); /* what `compare` says has its place */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_mapped_type_has_several_forms),
        TEST(exact_takes_nothing_from_the_mapping),
        TEST(a_route_has_them_at_any_depth),
        TEST(an_operation_has_them_at_the_root_only),
        TEST(elements_belong_together_by_the_childs_key),
        TEST(the_key_is_of_one_mind_with_its_column),
        TEST(a_column_does_not_loosen_that_of_an_embedded_table),
        TEST(compare_comes_after_the_mapping),
        TEST(where_collections_disagree_nothing_is_said),
        TEST(tolerance_0_is_none),
        TEST(what_has_no_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Plans and documents: what rows become, and mistakes found with their place. No server. */
#include "map/document.h"
#include "map/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a small catalogue ---- */

static const struct pg_type int4 = {.oid = 23, .name = "integer", .kind = PG_KIND_INT32};
static const struct pg_type int8 = {.oid = 20, .name = "bigint", .kind = PG_KIND_INT64};
static const struct pg_type text = {.oid = 25, .name = "text", .kind = PG_KIND_TEXT};
static const struct pg_type numeric = {.oid = 1700, .name = "numeric", .kind = PG_KIND_NUMERIC};
static const struct pg_type stamp = {
    .oid = 1184, .name = "timestamptz", .kind = PG_KIND_TIMESTAMPTZ};

#define COLUMN(n, t, nn)                                                                           \
    { .name = (n), .type = &(t), .type_oid = 0, .not_null = (nn), .deterministic = true }

static const int first[] = {0};
static const int first_two[] = {0, 1};

static const struct pg_column order_columns[] = {
    COLUMN("id", int8, true), COLUMN("customer_id", int4, false),
    COLUMN("unit_price", numeric, true), COLUMN("note", text, false)};
static const struct pg_index_info order_indexes[] = {
    {.name = "orders_pkey", .unique = true, .primary = true, .columns = first, .column_count = 1}};

static const struct pg_column item_columns[] = {
    COLUMN("order_id", int8, true), COLUMN("line", int4, true), COLUMN("sku", text, true)};
static const struct pg_index_info item_indexes[] = {{.name = "items_pkey",
                                                     .unique = true,
                                                     .primary = true,
                                                     .columns = first_two,
                                                     .column_count = 2}};

static const struct pg_column part_columns[] = {COLUMN("id", int4, true),
                                                COLUMN("order_id", int8, true)};
static const struct pg_column log_columns[] = {COLUMN("at", stamp, true),
                                               COLUMN("line", text, true)};
static const struct pg_column odd_columns[] = {COLUMN("id", int4, true), COLUMN("a.b", text, true),
                                               COLUMN("$x", text, true)};

/* One column more than an index may have; named when the test begins. */
#define WIDE 33
static char wide_names[WIDE][8];
static struct pg_column wide_columns[WIDE];

#define KEYED(n, c, k, kc, ind)                                                                    \
    {                                                                                              \
        .schema = "public", .name = (n), .kind = 'r', .replica_identity = 'd', .columns = (c),     \
        .column_count = sizeof(c) / sizeof *(c), .primary_key = (k), .primary_key_count = (kc),    \
        .identity = (k), .identity_count = (kc), .indexes = (ind), .index_count = 1                \
    }

static const struct pg_table tables[] = {
    KEYED("orders", order_columns, first, 1, order_indexes),
    KEYED("items", item_columns, first_two, 2, item_indexes),
    KEYED("parts", part_columns, first, 1, order_indexes),
    KEYED("odd", odd_columns, first, 1, order_indexes),
    KEYED("wide", wide_columns, first, 1, order_indexes),
    {.schema = "public",
     .name = "log",
     .kind = 'r',
     .replica_identity = 'd',
     .columns = log_columns,
     .column_count = 2},
    {.schema = "public", .name = "parted", .kind = 'p'},
};

static int find_table(void *context, const char *schema, const char *name,
                      const struct pg_table **ret_table, struct buf *similar, struct err *err) {
    (void)context;
    (void)err;
    *ret_table = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i].name, name) == 0 && strcmp(tables[i].schema, schema) == 0)
            *ret_table = &tables[i];
    if (!*ret_table && strcmp(name, "order") == 0)
        buf_add_text(similar, "public.orders");
    return 0;
}

/* ---- helpers ---- */

struct compiled {
    struct conf *conf;
    struct plan *plan;
};

#define HEAD                                                                                       \
    "source: {uri: \"postgresql://h/d\"}\n"                                                        \
    "target: {uri: \"mongodb://h\", database: d}\n"                                                \
    "modules:\n"                                                                                   \
    "  m:\n"                                                                                       \
    "    collections:\n"

static int compile(const char *collections, struct compiled *ret, struct err *err) {
    char yaml[4096];
    int n = snprintf(yaml, sizeof yaml, HEAD "%s", collections);
    *ret = (struct compiled){0};
    int rc = conf_parse("p.yml", yaml, (size_t)n, &ret->conf, err);
    if (rc < 0)
        fail_msg("%s", err->text);
    const struct conf_module *module = &ret->conf->modules[0];
    return plan_compile(ret->conf, &module, 1, find_table, NULL, &ret->plan, err);
}

static void release(struct compiled *c) {
    plan_free(c->plan);
    conf_free(c->conf);
}

static const struct plan_collection *good(struct compiled *c, const char *collections) {
    struct err err = {0};
    if (compile(collections, c, &err) < 0)
        fail_msg("%s", err.text);
    return c->plan->collections[0];
}

static void bad(const char *collections, const char *expected) {
    struct compiled c;
    struct err err = {0};
    assert_int_equal(compile(collections, &c, &err), ERR_CONF);
    if (strncmp(err.text, expected, strlen(expected)) != 0)
        fail_msg("'%s' does not begin with '%s'", err.text, expected);
    release(&c);
}

static struct span s(const char *t) {
    return t ? span_of(t) : (struct span){0};
}

/* The document of a row whose columns are given by name, as JSON. */
static void check_document(const struct plan_collection *c, const struct map_row *row,
                           const char *expected) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct buf identity = {.max = 1 << 20}, document = {.max = 1 << 20};
    struct err err = {0};
    bson_t b;
    assert_int_equal(map_key_values(c, row->values, key, &err), 0);
    assert_int_equal(map_identity(c, key, &identity, &err), 0);
    if (map_document(c, buf_span(&identity), row, 0, &document, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(bson_init_static(&b, (const uint8_t *)document.data, document.len));
    char *json = bson_as_canonical_extended_json(&b, NULL);
    assert_string_equal(json, expected);
    bson_free(json);
    buf_release(&identity);
    buf_release(&document);
}

static void put(const struct plan_node *node, struct span *values, const char *column,
                const char *value) {
    int at = plan_node_column(node, column);
    if (at >= 0)
        values[at] = s(value);
}

static void fill_order(const struct plan_node *node, struct span *values) {
    put(node, values, "id", "7");
    put(node, values, "customer_id", "3");
    put(node, values, "unit_price", "1.50");
    put(node, values, "note", NULL);
}

/* ---- documents ---- */

static void a_flat_table(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p = good(&c, "      orders: {table: orders}\n");
    struct span values[8] = {{0}};
    struct map_row row = {.values = values};
    assert_true(p->flat);
    fill_order(p->root, values);
    check_document(
        p, &row,
        "{ \"_id\" : { \"$numberLong\" : \"7\" }, \"customer_id\" : { \"$numberInt\" : "
        "\"3\" }, \"unit_price\" : { \"$numberDecimal\" : \"1.50\" }, \"note\" : null }");
    release(&c);
}

static void rename_omit_case_nulls_retype_and_constants(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p = good(
        &c, "      orders: {table: orders, case: camel, nulls: omit, keep_id: true, fields: "
            "{customer_id: ~, unit_price: {as: price, type: string}}, add: {v: 2, src: pg}}\n");
    struct span values[8] = {{0}};
    struct map_row row = {.values = values};
    fill_order(p->root, values);
    check_document(p, &row,
                   "{ \"_id\" : { \"$numberLong\" : \"7\" }, \"id\" : { \"$numberLong\" : \"7\" }, "
                   "\"price\" : \"1.50\", \"v\" : { \"$numberInt\" : \"2\" }, \"src\" : \"pg\" }");
    release(&c);
}

static void a_composite_key_is_a_document(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p = good(&c, "      items: {table: items}\n");
    struct span values[8] = {{0}};
    struct map_row row = {.values = values};
    put(p->root, values, "order_id", "7");
    put(p->root, values, "line", "1");
    put(p->root, values, "sku", "x");
    check_document(p, &row,
                   "{ \"_id\" : { \"order_id\" : { \"$numberLong\" : \"7\" }, \"line\" : { "
                   "\"$numberLong\" : \"1\" } }, \"sku\" : \"x\" }");
    release(&c);
}

static void an_object_id_keeps_the_key_as_fields(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p =
        good(&c, "      orders: {table: orders, id: objectid, only: [id]}\n");
    assert_int_equal(p->id_kind, PLAN_ID_OBJECTID);
    assert_string_equal(p->id_paths[0], "id");
    release(&c);
    p = good(&c,
             "      orders: {table: orders, id: objectid, only: [id], add: {legacy_id: {column: "
             "id}}}\n");
    assert_string_equal(p->id_paths[0], "legacy_id");
    assert_int_equal(p->root->field_count, 1);
    release(&c);
}

static void names_that_mongodb_cannot_hold_are_escaped(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p = good(&c, "      odd: {table: odd}\n");
    assert_true(span_is(p->root->fields[0].name, "a\xef\xbc\x8e"
                                                 "b"));
    assert_true(span_is(p->root->fields[1].name, "\xef\xbc\x84x"));
    release(&c);
}

static void embedded_rows(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p =
        good(&c, "      orders: {table: orders, only: [id], embed: {items: {table: items, join: "
                 "{order_id: id}}, first: {table: items, one: true, join: {order_id: id}}}}\n");
    assert_false(p->flat);
    assert_int_equal(p->node_count, 3);
    const struct plan_node *items = p->nodes[1];
    assert_true(items->join_is_root_key);
    assert_int_equal(items->old_parent, PLAN_OLD_FROM_LOG); /* the key contains the join */
    struct span order[8] = {{0}}, a[8] = {{0}}, b[8] = {{0}};
    put(p->root, order, "id", "7");
    put(items, a, "line", "1");
    put(items, a, "sku", "x");
    put(items, b, "line", "2");
    put(items, b, "sku", "y");
    struct map_row row_b = {.values = b};
    struct map_row row_a = {.values = a, .next = &row_b};
    const struct map_row *children[] = {&row_a, NULL};
    struct map_row row = {.values = order, .children = children};
    check_document(p, &row,
                   "{ \"_id\" : { \"$numberLong\" : \"7\" }, \"items\" : [ { \"line\" : { "
                   "\"$numberInt\" : \"1\" }, \"sku\" : \"x\" }, { \"line\" : { \"$numberInt\" : "
                   "\"2\" }, \"sku\" : \"y\" } ], \"first\" : null }");
    release(&c);
}

static void a_child_whose_log_has_no_join_is_found_in_the_target(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p =
        good(&c, "      orders: {table: orders, embed: {parts: {table: parts, join: {order_id: "
                 "id}}}}\n");
    assert_int_equal(p->nodes[1]->old_parent, PLAN_OLD_FROM_TARGET);
    assert_string_equal(p->nodes[1]->key_paths[0], "parts.id");
    release(&c);
}

static bool joins_by_key(const char *collections) {
    struct compiled c;
    bool by_key = good(&c, collections)->nodes[1]->join_is_root_key;
    release(&c);
    return by_key;
}

/* A child may hold what no root can have for its key: SQL finds no root for it, but the text would
 * be read as one. */
static void a_wider_integer_is_not_read_as_the_roots_key(void **state) {
    (void)state;
    assert_true(joins_by_key("      orders: {table: orders, embed: {odd: {table: odd, join: {id: "
                             "id}}}}\n"));
    assert_false(joins_by_key("      odd: {table: odd, embed: {items: {table: items, join: "
                              "{order_id: id}}}}\n"));
}

static void a_join_has_as_many_columns_as_an_index(void **state) {
    (void)state;
    struct buf mapping = {.max = 4096};
    struct compiled c;
    buf_add_text(
        &mapping,
        "      orders: {table: orders, embed: {w: {table: wide, keep_join: true, join: {c0: id");
    for (int i = 0; i < WIDE; i++) {
        (void)snprintf(wide_names[i], sizeof wide_names[i], "c%d", i);
        wide_columns[i] =
            (struct pg_column){.name = wide_names[i], .type = &int8, .not_null = true};
        if (i > 0 && i < WIDE - 1)
            buf_printf(&mapping, ", c%d: id", i);
    }
    size_t most = mapping.len;
    buf_add_text(&mapping, "}}}}\n");
    assert_int_equal(good(&c, buf_text(&mapping))->nodes[1]->join_count, WIDE - 1);
    release(&c);
    mapping.len = most;
    buf_add_text(&mapping, ", c32: id}}}}\n");
    bad(buf_text(&mapping), "p.yml:6:39: more than 32 columns in the join of 'w'");
    buf_release(&mapping);
}

static void an_update_writes_what_it_carries(void **state) {
    (void)state;
    struct compiled c;
    const struct plan_collection *p = good(&c, "      orders: {table: orders, nulls: omit}\n");
    struct span values[8] = {{0}};
    struct buf out = {.max = 1 << 16};
    struct err err;
    bson_t b;
    fill_order(p->root, values);
    values[plan_node_column(p->root, "unit_price")] = row_unchanged();
    assert_int_equal(map_update(p, values, 0, &out, &err), 0);
    assert_true(bson_init_static(&b, (const uint8_t *)out.data, out.len));
    char *json = bson_as_canonical_extended_json(&b, NULL);
    assert_string_equal(json, "{ \"$set\" : { \"customer_id\" : { \"$numberInt\" : \"3\" } }, "
                              "\"$unset\" : { \"note\" : true } }");
    bson_free(json);
    buf_release(&out);
    release(&c);
}

static void the_fingerprint_is_of_what_shapes_documents(void **state) {
    (void)state;
    struct compiled a, b;
    const struct plan_collection *pa = good(&a, "      orders: {table: orders}\n");
    const struct plan_collection *pb =
        good(&b, "      orders: {table: public.orders, case: keep}\n");
    assert_string_equal(pa->fingerprint, pb->fingerprint);
    release(&b);
    pb = good(&b, "      orders: {table: orders, fields: {note: remark}}\n");
    assert_string_not_equal(pa->fingerprint, pb->fingerprint);
    release(&a);
    release(&b);
}

/* ---- mistakes ---- */

static void mistakes_are_found_with_their_place(void **state) {
    (void)state;
    bad("      c: {table: order}\n", "p.yml:6:18: unknown table 'public.order', did you mean "
                                     "'public.orders'?");
    bad("      c: {table: orders, only: [idd]}\n", "p.yml:6:33: unknown column 'idd' in table "
                                                   "public.orders, did you mean 'id'?");
    bad("      c: {table: orders, fields: {nope: x}}\n", "p.yml:6:35: unknown column 'nope'");
    bad("      c: {table: orders, fields: {note: unit_price}}\n",
        "p.yml:6:35: two fields of public.orders are called 'unit_price'");
    bad("      c: {table: orders, fields: {note: {as: n, type: float}}}\n",
        "p.yml:6:55: unknown type 'float'");
    bad("      c: {table: log}\n", "p.yml:6:18: table public.log has no replica identity");
    bad("      c: {table: parted}\n", "p.yml:6:18: 'public.parted' is a partitioned table");
    bad("      c: {table: orders, id: [customer_id]}\n",
        "p.yml:6:31: column 'customer_id' may be NULL");
    bad("      c: {table: orders, embed: {x: {table: items, join: {nope: id}}}}\n",
        "p.yml:6:59: unknown column 'nope'");
    bad("      c: {table: orders, embed: {parts: {table: parts, only: [order_id], join: {order_id: "
        "id}}}}\n",
        "p.yml:6:49: when a row of public.parts is deleted or moves");
    bad("      c: {table: orders, indexes: [{keys: {note: 1}, unique: true}]}\n",
        "p.yml:6:44: column 'note' may be NULL");
    bad("      c: {table: orders, indexes: [{keys: {nope: 1}}]}\n",
        "p.yml:6:44: index path 'nope' begins with no field");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flat_table),
        cmocka_unit_test(rename_omit_case_nulls_retype_and_constants),
        cmocka_unit_test(a_composite_key_is_a_document),
        cmocka_unit_test(an_object_id_keeps_the_key_as_fields),
        cmocka_unit_test(names_that_mongodb_cannot_hold_are_escaped),
        cmocka_unit_test(embedded_rows),
        cmocka_unit_test(a_child_whose_log_has_no_join_is_found_in_the_target),
        cmocka_unit_test(a_wider_integer_is_not_read_as_the_roots_key),
        cmocka_unit_test(a_join_has_as_many_columns_as_an_index),
        cmocka_unit_test(an_update_writes_what_it_carries),
        cmocka_unit_test(the_fingerprint_is_of_what_shapes_documents),
        cmocka_unit_test(mistakes_are_found_with_their_place),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}

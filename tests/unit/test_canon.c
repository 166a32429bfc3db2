#include "base/err.h"
#include "model/canon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bson_t *from_json(const char *json) {
    bson_error_t e;
    bson_t *b = bson_new_from_json((const uint8_t *)json, -1, &e);
    if (!b)
        fail_msg("%s: %s", json, e.message);
    return b;
}

static struct span bytes(const bson_t *b) {
    return span_make(bson_get_data(b), b->len);
}

static void decimal_becomes(const char *from, const char *want) {
    _cleanup_(buf_release) struct buf in = {.max = 4096}, out = {.max = 4096};
    struct bsonw w;
    bson_decimal128_t d;
    bson_iter_t it;
    char text[BSON_DECIMAL128_STRING];
    assert_true(bson_decimal128_from_string(from, &d));
    bsonw_begin(&w, &in);
    bsonw_decimal128(&w, SPAN_LIT("v"), d);
    bsonw_end(&w);
    assert_true(bson_iter_init_from_data(&it, (uint8_t *)in.data, in.len) && bson_iter_next(&it));
    bsonw_begin(&w, &out);
    canon_append(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    assert_true(bson_iter_init_from_data(&it, (uint8_t *)out.data, out.len) && bson_iter_next(&it));
    assert_string_equal(bson_iter_key(&it), "_id");
    assert_true(bson_iter_decimal128(&it, &d));
    bson_decimal128_to_string(&d, text);
    assert_string_equal(text, want);
}

static void decimals_have_one_form(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"1.50", "1.5"},
        {"1.00", "1"},
        {"0.00", "0"},
        {"-0", "0"},
        {"-0.000", "0"},
        {"0E+100", "0"},
        {"100", "100"},
        {"1E+2", "100"},
        {"1.0E+2", "100"},
        {"-1.10", "-1.1"},
        {"0.001000", "0.001"},
        {"NaN", "NaN"},
        {"-NaN", "NaN"},
        {"Infinity", "Infinity"},
        {"-Infinity", "-Infinity"},
        {"9999999999999999999999999999999999", "9999999999999999999999999999999999"},
        {"1E+40", "1.000000000000000000000000000000000E+40"},
        {"10E+39", "1.000000000000000000000000000000000E+40"},
        {"1E-6176", "1E-6176"},
        {"1E+6111", "1.000000000000000000000000000000000E+6111"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        decimal_becomes(pairs[i][0], pairs[i][1]);
}

static void canonical(const bson_t *b, struct buf *out) {
    struct bsonw w;
    bson_iter_t it;
    assert_true(bson_iter_init(&it, b) && bson_iter_next(&it));
    bsonw_begin(&w, out);
    canon_append(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    assert_true(bsonw_ok(&w));
}

/* The second is the form that both have. */
static void keys_have_one_form(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"x\": {\"$numberInt\": \"5\"}}", "{\"_id\": {\"$numberLong\": \"5\"}}"},
        {"{\"x\": {\"$numberDouble\": \"-0.0\"}}", "{\"_id\": {\"$numberDouble\": \"0.0\"}}"},
        {"{\"x\": {\"a\": {\"$numberInt\": \"1\"}, \"b\": [{\"$numberDecimal\": \"2.0\"}, null]}}",
         "{\"_id\": {\"a\": {\"$numberLong\": \"1\"}, \"b\": [{\"$numberDecimal\": \"2\"}, "
         "null]}}"},
        {"{\"x\": \"text\"}", "{\"_id\": \"text\"}"},
        {"{\"x\": {\"$date\": \"2024-01-01T00:00:00Z\"}}",
         "{\"_id\": {\"$date\": \"2024-01-01T00:00:00Z\"}}"},
        {"{\"x\": {\"$binary\": {\"base64\": \"YWI=\", \"subType\": \"04\"}}}",
         "{\"_id\": {\"$binary\": {\"base64\": \"YWI=\", \"subType\": \"04\"}}}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        _cleanup_(buf_release) struct buf out = {.max = 4096}, again = {.max = 4096};
        bson_t *from = from_json(pairs[i][0]), *want = from_json(pairs[i][1]);
        canonical(from, &out);
        assert_true(span_eq(buf_span(&out), bytes(want)));
        canonical(want, &again);
        assert_true(span_eq(buf_span(&again), bytes(want)));
        assert_true(canon_hash(buf_span(&out)) == canon_hash(bytes(want)));
        bson_destroy(from);
        bson_destroy(want);
    }
}

/* Written down once: documents in the field carry these. */
static void object_ids_never_change(void **state) {
    (void)state;
    bson_t *id = from_json("{\"_id\": {\"$numberLong\": \"42\"}}");
    bson_oid_t oid, other;
    char text[25];
    canon_object_id(SPAN_LIT("orders"), bytes(id), &oid);
    bson_oid_to_string(&oid, text);
    assert_string_equal(text, "bf62a9dca3ce5df3774270f6");
    canon_object_id(SPAN_LIT("order"), bytes(id), &other);
    assert_false(bson_oid_equal(&oid, &other));
    bson_destroy(id);
    id = from_json("{\"_id\": {\"$numberLong\": \"43\"}}");
    canon_object_id(SPAN_LIT("orders"), bytes(id), &other);
    assert_false(bson_oid_equal(&oid, &other));
    bson_destroy(id);
}

static int add_line(void *context, struct span path, enum canon_diff_kind kind,
                    const bson_iter_t *sql, const bson_iter_t *mongo) {
    struct buf *b = context;
    assert_true((kind == CANON_EXTRA) == (sql == NULL));
    assert_true((kind == CANON_MISSING) == (mongo == NULL));
    buf_printf(b, "%.*s %s ", SPAN_ARG(path), canon_diff_kind_name(kind));
    if (sql)
        canon_value_text(sql, b);
    buf_add_char(b, '|');
    if (mongo)
        canon_value_text(mongo, b);
    buf_add_char(b, '\n');
    return 0;
}

static void diff_is(const char *sql, const char *mongo, const char *want) {
    static const struct span stamps[] = {SPAN_LIT("_at"), SPAN_LIT("_by")};
    static const struct canon_diff_options options = {stamps, 2};
    _cleanup_(buf_release) struct buf lines = {.max = 1 << 16};
    bson_t *s = from_json(sql), *m = from_json(mongo);
    int rc = canon_diff(bytes(s), bytes(m), &options, add_line, &lines);
    assert_string_equal(buf_text(&lines), want);
    assert_int_equal(rc, *want ? 1 : 0);
    assert_int_equal(canon_diff(bytes(s), bytes(m), &options, NULL, NULL), rc);
    bson_destroy(s);
    bson_destroy(m);
}

static void differences(void **state) {
    (void)state;
    diff_is("{\"a\": 1}", "{\"a\": 1}", "");
    diff_is("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", "");
    diff_is("{\"a\": 1, \"_at\": 5}", "{\"_by\": 3, \"a\": 1}", "");
    diff_is("{\"a\": 1, \"c\": {\"_at\": 5}}", "{\"a\": 1, \"c\": {}}", "c._at missing 5|\n");
    diff_is("{\"a\": 1}", "{\"a\": 2}", "a mismatch 1|2\n");
    diff_is("{\"a\": 1}", "{\"a\": \"1\"}", "a type_difference 1|\"1\"\n");
    diff_is("{\"a\": 1}", "{\"a\": {\"$numberLong\": \"1\"}}", "a type_difference 1|1\n");
    diff_is("{\"a\": 1, \"b\": 2}", "{\"a\": 1}", "b missing 2|\n");
    diff_is("{\"a\": 1}", "{\"z\": null, \"a\": 1}", "z extra |null\n");
    diff_is("{\"i\": [{\"p\": 1}, {\"p\": 2}]}", "{\"i\": [{\"p\": 1}, {\"p\": 3}]}",
            "i.1.p mismatch 2|3\n");
    diff_is("{\"i\": [1, 2]}", "{\"i\": [1]}", "i.1 missing 2|\n");
    diff_is("{\"i\": []}", "{\"i\": [7]}", "i.0 extra |7\n");
    diff_is("{\"i\": [1, 2]}", "{\"i\": [2, 1]}", "i.0 mismatch 1|2\ni.1 mismatch 2|1\n");
    /* inside embedded documents the order counts */
    diff_is("{\"d\": {\"a\": 1, \"b\": 2}}", "{\"d\": {\"b\": 2, \"a\": 1}}",
            "d mismatch {\"a\": 1, \"b\": 2}|{\"b\": 2, \"a\": 1}\n");
    diff_is("{\"d\": {\"a\": 1, \"b\": 2}}", "{\"d\": {\"b\": 2, \"c\": 1}}",
            "d.a missing 1|\nd.c extra |1\n");
    diff_is("{\"a\": {\"$numberDouble\": \"0.0\"}}", "{\"a\": {\"$numberDouble\": \"-0.0\"}}",
            "a mismatch 0.0|-0.0\n");
    diff_is("{\"a\": {\"$numberDouble\": \"NaN\"}}",
            "{\"a\": {\"$numberDouble\": \"NaN\"}, \"_at\": 1}", "");
    diff_is("{\"a\": {\"$numberDecimal\": \"1.50\"}}", "{\"a\": {\"$numberDecimal\": \"1.5\"}}",
            "a mismatch {\"$numberDecimal\": \"1.50\"}|{\"$numberDecimal\": \"1.5\"}\n");
}

static int stop_at_once(void *context, struct span path, enum canon_diff_kind kind,
                        const bson_iter_t *sql, const bson_iter_t *mongo) {
    (void)path, (void)kind, (void)sql, (void)mongo;
    ++*(int *)context;
    return 1;
}

static void wide(bson_t *b, int count, int step, int changed) {
    bson_init(b);
    for (int i = 0; i < count; i++) {
        char key[32];
        int n = (int)((long)i * step % count);
        (void)snprintf(key, sizeof key, "field_number_%d", n);
        BSON_APPEND_INT64(b, key, n == changed ? -1 : n);
    }
}

static int count_differences(void *context, struct span path, enum canon_diff_kind kind,
                             const bson_iter_t *sql, const bson_iter_t *mongo) {
    (void)path, (void)sql, (void)mongo;
    ((int *)context)[kind]++;
    return 0;
}

static void wide_documents(void **state) {
    (void)state;
    static const int sizes[] = {2, 30, 63, 64, 65, 66, 200, 5001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bson_t a, b;
        int found[4] = {0}, calls = 0;
        wide(&a, sizes[i], 1, -1);
        wide(&b, sizes[i], 7 % sizes[i] && sizes[i] % 7 ? 7 : 1, 1);
        assert_int_equal(canon_diff(bytes(&a), bytes(&b), NULL, count_differences, found), 1);
        assert_int_equal(found[CANON_MISMATCH], 1);
        assert_int_equal(found[0] + found[1] + found[3], 0);
        assert_int_equal(canon_diff(bytes(&a), bytes(&b), NULL, stop_at_once, &calls), 1);
        assert_int_equal(calls, 1);
        bson_destroy(&b);
        /* two fields of one name: the second is one too many */
        wide(&b, sizes[i], 1, -1);
        BSON_APPEND_INT64(&b, "field_number_0", 0);
        memset(found, 0, sizeof found);
        assert_int_equal(canon_diff(bytes(&a), bytes(&b), NULL, count_differences, found), 1);
        assert_int_equal(found[CANON_EXTRA], 1);
        assert_int_equal(found[0] + found[2] + found[3], 0);
        bson_destroy(&a);
        bson_destroy(&b);
    }
}

/* Every document that was cut or altered: an answer, never a read past the end. */
static void broken_documents(void **state) {
    (void)state;
    bson_t *good = from_json(
        "{\"a\": {\"b\": [1, \"x\", {\"$oid\": \"5f43a1d2c3b4a59687786950\"}]}, \"r\": "
        "{\"$regularExpression\": "
        "{\"pattern\": \"p\", \"options\": \"i\"}}, \"t\": {\"$timestamp\": {\"t\": 1, \"i\": 2}},"
        "\"m\": {\"$minKey\": 1}, \"c\": {\"$code\": \"x\"}, \"d\": {\"$numberDecimal\": \"1\"},"
        "\"n\": {\"$binary\": {\"base64\": \"YWI=\", \"subType\": \"00\"}}, \"z\": null}");
    bson_t *other = from_json("{\"z\": 1, \"a\": {\"b\": [2]}, \"q\": true}");
    for (size_t len = 0; len < good->len; len++) {
        uint8_t *cut = malloc(len ? len : 1);
        memcpy(cut, bson_get_data(good), len);
        assert_int_equal(canon_diff(span_make(cut, len), bytes(other), NULL, NULL, NULL),
                         ERR_VALUE);
        assert_int_equal(canon_diff(bytes(other), span_make(cut, len), NULL, NULL, NULL),
                         ERR_VALUE);
        free(cut);
    }
    int broken = 0, same = 0;
    for (size_t bit = 32; bit < good->len * 8; bit++) {
        int found[4] = {0};
        uint8_t *altered = malloc(good->len);
        memcpy(altered, bson_get_data(good), good->len);
        altered[bit / 8] = (uint8_t)(altered[bit / 8] ^ 1U << bit % 8);
        int rc =
            canon_diff(bytes(good), span_make(altered, good->len), NULL, count_differences, found);
        assert_true(rc >= 0 || rc == ERR_VALUE);
        same += rc == 0;
        broken += rc == ERR_VALUE;
        rc =
            canon_diff(span_make(altered, good->len), bytes(other), NULL, count_differences, found);
        assert_true(rc == 1 || rc == ERR_VALUE);
        free(altered);
    }
    assert_true(broken > 100);
    /* all bits count, except those of the array's three keys: arrays go by position */
    assert_int_equal(same, 3 * 8);
    bson_destroy(good);
    bson_destroy(other);
}

static void deep_documents(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf a = {.max = 1 << 20}, b = {.max = 1 << 20};
    int found[4] = {0};
    /* 20,000 levels: deeper than any recursion should go */
    for (int side = 0; side < 2; side++) {
        struct buf *o = side ? &b : &a;
        const uint32_t levels = 20000, inner = 5 + 7;
        for (uint32_t i = 0; i < levels; i++) {
            uint32_t len = (levels - i) * 8 + inner;
            buf_add(o, &len, 4);
            buf_add(o, "\x03k", 3);
        }
        uint32_t len = inner, value = (uint32_t)side;
        buf_add(o, &len, 4);
        buf_add(o, "\x10v", 3);
        buf_add(o, &value, 4);
        for (uint32_t i = 0; i <= levels; i++)
            buf_add_char(o, 0);
    }
    assert_int_equal(canon_diff(buf_span(&a), buf_span(&a), NULL, NULL, NULL), 0);
    assert_int_equal(canon_diff(buf_span(&a), buf_span(&b), NULL, count_differences, found), 1);
    assert_int_equal(found[CANON_MISMATCH], 1);
}

static void text_is(const char *json, const char *want) {
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    bson_t *b = from_json(json);
    bson_iter_t it;
    assert_true(bson_iter_init(&it, b) && bson_iter_next(&it));
    canon_value_text(&it, &out);
    assert_string_equal(buf_text(&out), want);
    bson_destroy(b);
}

static void value_texts(void **state) {
    (void)state;
    text_is("{\"v\": {\"$numberDouble\": \"1.0\"}}", "1.0");
    text_is("{\"v\": {\"$numberDouble\": \"0.1\"}}", "0.1");
    text_is("{\"v\": {\"$numberDouble\": \"-Infinity\"}}", "{\"$numberDouble\": \"-Infinity\"}");
    text_is("{\"v\": {\"$date\": {\"$numberLong\": \"-1\"}}}",
            "{\"$date\": \"1969-12-31T23:59:59.999Z\"}");
    text_is("{\"v\": {\"$date\": {\"$numberLong\": \"9224318015999999\"}}}",
            "{\"$date\": {\"$numberLong\": \"9224318015999999\"}}");
    text_is(
        "{\"v\": {\"$binary\": {\"base64\": \"oO68mZwLTvi7bWu5vTgKEQ==\", \"subType\": \"04\"}}}",
        "{\"$uuid\": \"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}");
    text_is("{\"v\": {\"$binary\": {\"base64\": \"YWI=\", \"subType\": \"00\"}}}",
            "{\"$binary\": \"6162\", \"subType\": 0, \"length\": 2}");
    text_is("{\"v\": {\"a\": [true, null, {\"$oid\": \"5f43a1d2c3b4a59687786950\"}]}}",
            "{\"a\": [true, null, {\"$oid\": \"5f43a1d2c3b4a59687786950\"}]}");
    text_is("{\"v\": {\"$minKey\": 1}}", "{\"$type\": \"minKey\"}");
    assert_string_equal(canon_type_name(BSON_TYPE_DECIMAL128), "decimal128");
    assert_string_equal(canon_type_name(BSON_TYPE_INT64), "int64");
    assert_string_equal(canon_type_name(BSON_TYPE_MAXKEY), "maxKey");
}

static void value_texts_are_short(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    bson_t b = BSON_INITIALIZER;
    bson_iter_t it;
    char *text = malloc(30001);
    for (int i = 0; i < 10000; i++)
        memcpy(text + 3 * (size_t)i, "\xe2\x82\xac", 3);
    text[30000] = '\0';
    BSON_APPEND_UTF8(&b, "v", text);
    assert_true(bson_iter_init(&it, &b) && bson_iter_next(&it));
    canon_value_text(&it, &out);
    assert_true(out.len <= CANON_TEXT_MAX);
    assert_true(bson_utf8_validate(out.data, out.len, false));
    assert_memory_equal(out.data + out.len - 3, "...", 3);
    bson_destroy(&b);
    wide(&b, 1000, 1, -1);
    bson_t outer = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&outer, "v", &b);
    assert_true(bson_iter_init(&it, &outer) && bson_iter_next(&it));
    buf_clear(&out);
    canon_value_text(&it, &out);
    assert_int_equal(out.len, CANON_TEXT_MAX);
    bson_destroy(&b);
    bson_destroy(&outer);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_have_one_form),  cmocka_unit_test(keys_have_one_form),
        cmocka_unit_test(object_ids_never_change), cmocka_unit_test(differences),
        cmocka_unit_test(wide_documents),          cmocka_unit_test(broken_documents),
        cmocka_unit_test(deep_documents),          cmocka_unit_test(value_texts),
        cmocka_unit_test(value_texts_are_short),
    };
    return cmocka_run_group_tests_name("canon", tests, NULL, NULL);
}

/*
 * What the decoders write, the way back must accept; what was altered, it must refuse. SEED=n
 * repeats a run.
 */
#include "db/pg_type_back.h"
#include "model/canon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state;

static uint64_t rnd(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static int below(int n) {
    return (int)(rnd() % (uint64_t)n);
}

static const struct pg_type t_bool = {16, "bool", "bool", PG_KIND_BOOL, NULL, 0},
                            t_int4 = {23, "int4", "int4", PG_KIND_INT32, NULL, 0},
                            t_int8 = {20, "int8", "int8", PG_KIND_INT64, NULL, 0},
                            t_float8 = {701, "float8", "float8", PG_KIND_FLOAT, NULL, 0},
                            t_numeric = {1700, "numeric", "numeric", PG_KIND_NUMERIC, NULL, 0},
                            t_text = {25, "text", "text", PG_KIND_TEXT, NULL, 0},
                            t_bytea = {17, "bytea", "bytea", PG_KIND_BYTEA, NULL, 0},
                            t_date = {1082, "date", "date", PG_KIND_DATE, NULL, 0},
                            t_ts = {1114, "timestamp", "timestamp", PG_KIND_TIMESTAMP, NULL, 0},
                            t_tstz = {1184, "timestamptz", "timestamptz", PG_KIND_TIMESTAMPTZ, NULL,
                                      0},
                            t_uuid = {2950, "uuid", "uuid", PG_KIND_UUID, NULL, 0},
                            t_json = {114, "json", "json", PG_KIND_JSON, NULL, 0},
                            t_jsonb = {3802, "jsonb", "jsonb", PG_KIND_JSON, NULL, 0},
                            t_other = {1186, "interval", "interval", PG_KIND_OTHER, NULL, 0},
                            t_texts = {1009, "text[]", "text", PG_KIND_ARRAY, &t_text, ','},
                            t_ints = {1007, "int4[]", "int4", PG_KIND_ARRAY, &t_int4, ','},
                            t_jsons = {3807, "jsonb[]", "jsonb", PG_KIND_ARRAY, &t_jsonb, ','};

static bool make(const struct pg_type *type, enum pg_retype retype, const struct conf_types *policy,
                 struct span text, struct buf *out) {
    struct bsonw w;
    struct err err;
    buf_clear(out);
    bsonw_begin(&w, out);
    int rc = pg_type_append_as(type, retype, policy, text, &w, SPAN_LIT("v"), &err);
    bsonw_end(&w);
    assert_true(bsonw_ok(&w));
    return rc == 0;
}

static bool agrees(const struct pg_type *type, enum pg_retype retype,
                   const struct conf_types *policy, const struct buf *doc, struct span text) {
    _cleanup_(buf_release) struct buf back = {.max = 1 << 22};
    bson_iter_t it;
    assert_true(bson_iter_init_from_data(&it, (const uint8_t *)doc->data, doc->len));
    assert_true(bson_iter_next(&it));
    return pg_type_back_agrees(type, retype, policy, &it, text, &back);
}

static void good(const struct pg_type *type, enum pg_retype retype, const struct conf_types *policy,
                 const char *text) {
    _cleanup_(buf_release) struct buf doc = {.max = 1 << 22};
    if (!make(type, retype, policy, span_of(text), &doc))
        fail_msg("%s '%s' is refused", type->name, text);
    if (!agrees(type, retype, policy, &doc, span_of(text)))
        fail_msg("%s '%s' disagrees with itself", type->name, text);
}

struct pair {
    const struct pg_type *type;
    const char *text;
    const char *other; /* another value: the BSON of the one must not agree with the other */
    struct conf_types policy;
    enum pg_retype retype;
};

#define LONG "99999999999999999999999999999999999"
static const struct pair pairs[] = {
    {&t_bool, "t", "f"},
    {&t_int4, "1", "-1"},
    {&t_int4, "2147483647", "2147483646"},
    {&t_int8, "9223372036854775807", "-9223372036854775808"},
    {&t_float8, "0.1", "0.10000000000000002"},
    {&t_float8, "0", "-0"},
    {&t_float8, "NaN", "1"},
    {&t_float8, "Infinity", "-Infinity"},
    {&t_float8, "1e+06", "1e-06"},
    {&t_float8, "1", "NaN"},
    {&t_numeric, "1.50", "1.5"},
    {&t_numeric, "1.50", "-1.50"},
    {&t_numeric, "0", "0.0"},
    {&t_numeric, "NaN", "0"},
    {&t_numeric, "Infinity", "-Infinity"},
    {&t_numeric, LONG, LONG "9"},
    {&t_numeric, "0.001", "0.01"},
    {&t_numeric, "123456789012345678901234567890.1234", "123456789012345678901234567890.1235"},
    {&t_numeric, "1.000000000000000000000000000000000000000000", "1.000000000000000001"},
    {&t_text, "a", "A"},
    {&t_text, "", " "},
    {&t_other, "1 mon", "30 days"},
    {&t_bytea, "\\x", "\\x00"},
    {&t_bytea, "\\xdeadbeef", "\\xdeadbeee"},
    {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"},
    {&t_date, "2024-02-29", "2024-03-01"},
    {&t_date, "4714-11-24 BC", "4714-11-24"},
    {&t_date, "5874897-12-31", "5874897-12-30"},
    {&t_date, "infinity", "-infinity"},
    {&t_date, "0001-01-01", "0001-01-01 BC"},
    {&t_date, "2024-02-29", "infinity"},
    {&t_ts, "2024-02-29 12:34:56.789", "2024-02-29 12:34:56.788"},
    {&t_ts, "2024-02-29 12:34:56.7", "2024-02-29 12:34:56.07"},
    {&t_ts, "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00"},
    {&t_ts, "0044-03-15 12:00:00.5 BC", "0044-03-15 12:00:00.5"},
    {&t_tstz, "294276-12-31 23:59:59.999999+00", "294276-12-31 23:59:59.998999+00"},
    {&t_tstz, "2024-02-29 12:34:56+00", "2024-02-29 12:34:57+00"},
    {&t_tstz,
     "2024-02-29 12:34:56.123456+00",
     "2024-02-29 12:34:56.123457+00",
     {.microseconds = CONF_MICROS_SPLIT}},
    {&t_ts,
     "2024-02-29 12:34:56.123456",
     "2024-02-29 12:34:56.12345",
     {.microseconds = CONF_MICROS_STRING}},
    {&t_ts, "infinity", "2024-02-29 12:34:56", {.infinity = CONF_INFINITY_NULL}},
    {&t_jsonb, "{\"a\": 1}", "{\"a\": 2}"},
    {&t_jsonb, "{\"a\": 1}", "{\"b\": 1}"},
    {&t_jsonb, "{\"a\": 1}", "{\"a\": 1, \"b\": 1}"},
    {&t_jsonb, "{\"a\": 1, \"b\": 1}", "{\"a\": 1}"},
    {&t_jsonb, "{}", "[]"},
    {&t_jsonb, "1", "1.0"},
    {&t_jsonb, "1.50", "1.5"},
    {&t_jsonb, "true", "false"},
    {&t_jsonb, "null", "false"},
    {&t_jsonb, "\"1\"", "1"},
    {&t_jsonb, "[1, 2]", "[2, 1]"},
    {&t_jsonb, "[1]", "[1, 1]"},
    {&t_jsonb, "[]", "[null]"},
    {&t_jsonb, "\"a\\u00e9\"", "\"a\\u00e8\""},
    {&t_jsonb, "12345678901234567890", "1234567890123456789"},
    {&t_json, "{\"a\": 1, \"a\": 2}", "{\"a\": 2, \"a\": 1}"},
    {&t_json, "{\"a\": 1, \"b\": 3, \"\\u0061\": 2}", "{\"a\": 2, \"b\": 3}"},
    {&t_json, "{\"a\\u0000\": 1}", "{\"a\\u0000\": 2}"},
    {&t_json, "1e7000", "1e7001"},
    {&t_json, "\"\\ud83d\\ude00\"", "\"\\ud83d\\ude01\""},
    {&t_json, "1.5e3", "1500"},
    {&t_json, "-0.0", "0.0"},
    {&t_texts, "{a,NULL}", "{a,\"NULL\"}"},
    {&t_texts, "{\"a,b\"}", "{a,b}"},
    {&t_texts, "{{a},{b}}", "{a,b}"},
    {&t_texts, "{}", "{\"\"}"},
    {&t_ints, "{1,2}", "{1}"},
    {&t_ints, "[0:1]={1,2}", "{1,3}"},
    {&t_texts, "{\"\\\"\\\\\"}", "{\"\\\\\\\"\"}"},
    {&t_jsons, "{\"{\\\"a\\\": 1}\"}", "{\"{\\\"a\\\": 2}\"}"},
    {&t_int8, "5", "6", {0}, PG_RETYPE_STRING},
    {&t_numeric, "5.00", "6.00", {0}, PG_RETYPE_INT32},
    {&t_numeric, "-12345678901.0", "12345678901.0", {0}, PG_RETYPE_INT64},
    {&t_numeric, "12.5", "12.51", {0}, PG_RETYPE_DOUBLE},
    {&t_text, "1e3", "1e4", {0}, PG_RETYPE_DOUBLE},
    {&t_float8, "1.5e-05", "1.5e-06", {0}, PG_RETYPE_DECIMAL},
    {&t_int4, "1", "0", {0}, PG_RETYPE_BOOL},
    {&t_text, "t", "f", {0}, PG_RETYPE_BOOL},
    {&t_text,
     "2024-02-29T12:34:56.789123456+02:00",
     "2024-02-29T12:34:56.789",
     {0},
     PG_RETYPE_DATE},
    {&t_text, "0044-03-15 BC", "0044-03-15", {0}, PG_RETYPE_DATE},
    {&t_text, "2024-02-29T12:34Z", "2024-02-29T12:35Z", {0}, PG_RETYPE_DATE},
    {&t_ts,
     "2024-02-29 12:34:56.789999",
     "2024-02-29 12:34:56.79",
     {.microseconds = CONF_MICROS_STRING},
     PG_RETYPE_DATE},
    {&t_text, "ab", "ac", {0}, PG_RETYPE_BINARY},
    {&t_text, "{\"a\":1}", "{\"a\":2}", {0}, PG_RETYPE_JSON},
    {&t_uuid,
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     {0},
     PG_RETYPE_BINARY},
};

static void good_values_agree_and_others_do_not(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct pair *p = &pairs[i];
        _cleanup_(buf_release) struct buf doc = {.max = 1 << 20};
        good(p->type, p->retype, &p->policy, p->text);
        good(p->type, p->retype, &p->policy, p->other);
        assert_true(make(p->type, p->retype, &p->policy, span_of(p->text), &doc));
        if (agrees(p->type, p->retype, &p->policy, &doc, span_of(p->other)))
            fail_msg("%s: '%s' agrees with '%s'", p->type->name, p->text, p->other);
    }
}

/* Any change of one bit in the value must show; the bytes tried are those of the value itself. */
static void altered_bits_disagree(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct pair *p = &pairs[i];
        _cleanup_(buf_release) struct buf doc = {.max = 1 << 20}, whole = {.max = 1 << 20};
        assert_true(make(p->type, p->retype, &p->policy, span_of(p->text), &doc));
        buf_clear(&whole);
        buf_add_span(&whole, buf_span(&doc));
        for (size_t bit = 7 * 8; bit < (doc.len - 1) * 8; bit++) {
            doc.data[bit / 8] = (char)(doc.data[bit / 8] ^ 1 << bit % 8);
            bson_t b;
            bool valid = bson_init_static(&b, (const uint8_t *)doc.data, doc.len) &&
                         bson_validate(&b, BSON_VALIDATE_NONE, NULL) &&
                         canon_diff(buf_span(&whole), buf_span(&doc), NULL, NULL, NULL) == 1;
            bool nan = (p->type == &t_float8 || p->type == &t_numeric) && p->text[0] == 'N';
            bool inf = p->type == &t_numeric && p->text[0] == 'I';
            bool truth = doc.data[4] == BSON_TYPE_BOOL || strstr(p->text, "true");
            if (valid && !nan && !inf && !truth &&
                agrees(p->type, p->retype, &p->policy, &doc, span_of(p->text)))
                fail_msg("%s '%s': bit %zu does not count", p->type->name, p->text, bit);
            doc.data[bit / 8] = (char)(doc.data[bit / 8] ^ 1 << bit % 8);
        }
    }
}

/* Another BSON type under the same value: never agrees, except where policy says so. */
static void other_types_disagree(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct pair *p = &pairs[i];
        _cleanup_(buf_release) struct buf doc = {.max = 1 << 20}, wrong = {.max = 1 << 20};
        assert_true(make(p->type, p->retype, &p->policy, span_of(p->text), &doc));
        for (int kind = 0; kind < 6; kind++) {
            struct bsonw w;
            struct span v = SPAN_LIT("v");
            buf_clear(&wrong);
            bsonw_begin(&w, &wrong);
            if (kind == 0)
                bsonw_null(&w, v);
            else if (kind == 1)
                bsonw_int32(&w, v, 77);
            else if (kind == 2)
                bsonw_utf8(&w, v, SPAN_LIT("other"));
            else if (kind == 3)
                bsonw_date_ms(&w, v, 1234567890);
            else if (kind == 4)
                bsonw_double(&w, v, 77.25);
            else
                bsonw_array_open(&w, v), bsonw_null(&w, SPAN_LIT("1")), bsonw_close(&w);
            bsonw_end(&w);
            bool null_is_infinity =
                kind == 0 && p->policy.infinity == CONF_INFINITY_NULL && p->text[0] == 'i';
            bool null_is_null = kind == 0 && strcmp(p->text, "null") == 0;
            if (!null_is_infinity && !null_is_null)
                assert_false(agrees(p->type, p->retype, &p->policy, &wrong, span_of(p->text)));
        }
    }
}

static const struct conf_types policies[] = {{0},
                                             {.microseconds = CONF_MICROS_STRING},
                                             {.microseconds = CONF_MICROS_SPLIT},
                                             {.bigint_json = CONF_BIGINT_DECIMAL}};

static void random_numeric(char *text) {
    int whole = 1 + below(below(8) ? 18 : 60), fraction = below(below(8) ? 12 : 60), n = 0;
    if (below(2))
        text[n++] = '-';
    for (int i = 0; i < whole; i++)
        text[n++] = (char)('0' + (i == 0 && whole > 1 ? 1 + below(9) : below(10)));
    if (whole == 1 && below(2))
        text[n - 1] = '0';
    if (fraction)
        text[n++] = '.';
    for (int i = 0; i < fraction; i++)
        text[n++] = (char)('0' + (below(3) ? below(10) : 0));
    text[n] = '\0';
    if (text[0] == '-' && strspn(text + 1, "0.") == strlen(text + 1))
        memmove(text, text + 1, strlen(text)); /* PostgreSQL has no -0 */
}

static void random_timestamp(char text[256], const char *zone) {
    const size_t size = 256;
    int year = below(4) ? 1900 + below(200) : 1 + below(294275), micros = below(1000000);
    int n = snprintf(text, size, "%04d-%02d-%02d %02d:%02d:%02d", year, 1 + below(12),
                     1 + below(28), below(24), below(60), below(60));
    if (below(3)) {
        n +=
            snprintf(text + n, size - (size_t)n, ".%06d", below(2) ? micros : micros / 1000 * 1000);
        while (text[n - 1] == '0')
            n--;
        n -= text[n - 1] == '.';
    }
    n += snprintf(text + n, size - (size_t)n, "%s", zone);
    if (year < 4713 && below(5) == 0)
        (void)snprintf(text + n, size - (size_t)n, " BC");
}

static void random_json(struct buf *b, int depth) {
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-1",
                                          "1.50",
                                          "1e5",
                                          "9223372036854775808",
                                          "\"\"",
                                          "\"a\\n\\u00e9\"",
                                          "\"\\ud83d\\ude00 b\"",
                                          "-0.001"};
    int kind = depth > 4 ? 2 : below(4);
    if (kind >= 2) {
        buf_add_text(b, scalars[below(sizeof scalars / sizeof scalars[0])]);
        return;
    }
    buf_add_char(b, kind ? '[' : '{');
    for (int i = 0, n = below(6); i < n; i++) {
        buf_add_text(b, i ? ", " : "");
        if (!kind)
            buf_printf(b, below(3) ? "\"k%d\": " : "\"\\u006b%d\":", below(5));
        random_json(b, depth + 1);
    }
    buf_add_char(b, kind ? ']' : '}');
}

static void random_values_agree(void **state) {
    (void)state;
    const char *seed = getenv("SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : 20231123;
    print_message("# SEED=%" PRIu64 "\n", random_state);
    _cleanup_(buf_release) struct buf json = {.max = 1 << 22};
    for (int i = 0; i < 20000; i++) {
        char text[256];
        const struct conf_types *policy = &policies[i % 4];
        (void)snprintf(text, sizeof text, "%" PRId64, (int64_t)(rnd() >> below(64)));
        good(&t_int8, PG_RETYPE_NONE, policy, text);
        good(&t_int8, PG_RETYPE_DECIMAL, policy, text);
        random_numeric(text);
        good(&t_numeric, PG_RETYPE_NONE, policy, text);
        good(&t_jsonb, PG_RETYPE_NONE, policy, text);
        random_timestamp(text, "");
        good(&t_ts, PG_RETYPE_NONE, policy, text);
        good(&t_text, PG_RETYPE_DATE, policy, text);
        random_timestamp(text, "+00");
        good(&t_tstz, PG_RETYPE_NONE, policy, text);
        *strchr(text, ' ') = '\0';
        good(&t_date, PG_RETYPE_NONE, policy, text);
        uint64_t bits = rnd();
        double v;
        memcpy(&v, &bits, 8);
        (void)snprintf(text, sizeof text, "%.17g", v);
        if (!strchr(text, 'n')) {
            good(&t_float8, PG_RETYPE_NONE, policy, text);
            _cleanup_(buf_release) struct buf doc = {.max = 4096};
            if (make(&t_numeric, PG_RETYPE_DOUBLE, policy, span_of(text), &doc))
                assert_true(agrees(&t_numeric, PG_RETYPE_DOUBLE, policy, &doc, span_of(text)));
        }
        buf_clear(&json);
        random_json(&json, 0);
        good(&t_json, PG_RETYPE_NONE, policy, buf_text(&json));
    }
}

static bool key_agrees(const struct pg_type *type, const char *from, const char *text) {
    _cleanup_(buf_release) struct buf doc = {.max = 4096}, key = {.max = 4096},
                                      back = {.max = 4096};
    struct bsonw w;
    bson_iter_t it;
    assert_true(make(type, PG_RETYPE_NONE, &policies[0], span_of(from), &doc));
    assert_true(bson_iter_init_from_data(&it, (const uint8_t *)doc.data, doc.len));
    assert_true(bson_iter_next(&it));
    bsonw_begin(&w, &key);
    canon_append(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    assert_true(bson_iter_init_from_data(&it, (const uint8_t *)key.data, key.len));
    assert_true(bson_iter_next(&it));
    return pg_type_back_key_agrees(type, &policies[0], &it, span_of(text), &back);
}

static void canonical_keys_agree(void **state) {
    (void)state;
    static const char *const numbers[] = {"0",        "0.00",      "1.50",  "-1.5",
                                          "100",      "-100.00",   "0.001", "NaN",
                                          "Infinity", "-Infinity", LONG};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_true(key_agrees(&t_numeric, numbers[i], numbers[i]));
        assert_false(key_agrees(&t_numeric, numbers[i], "7"));
    }
    assert_true(key_agrees(&t_numeric, "1.50", "1.5000"));
    assert_false(key_agrees(&t_numeric, "1.5", "-1.5"));
    assert_true(key_agrees(&t_int4, "-5", "-5"));
    assert_false(key_agrees(&t_int4, "-5", "5"));
    assert_true(key_agrees(&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                           "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    assert_false(key_agrees(&t_text, "a", "b"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_agree_and_others_do_not),
        cmocka_unit_test(altered_bits_disagree),
        cmocka_unit_test(other_types_disagree),
        cmocka_unit_test(random_values_agree),
        cmocka_unit_test(canonical_keys_agree),
    };
    return cmocka_run_group_tests_name("pg_type_back", tests, NULL, NULL);
}

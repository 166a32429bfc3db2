/* Tables of text -> BSON, as canonical extended JSON written by libbson: exact types and values. */
#include "db/pg_type.h"
#include "db/pg_type_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TYPE(name_, kind_, oid_)                                                                   \
    static const struct pg_type name_ = {                                                          \
        .oid = (oid_), .name = #name_, .sql_name = #name_, .kind = (kind_)}
#define ARRAY(name_, element_)                                                                     \
    static const struct pg_type name_ = {.name = #name_,                                           \
                                         .sql_name = #name_,                                       \
                                         .kind = PG_KIND_ARRAY,                                    \
                                         .element = &(element_),                                   \
                                         .delimiter = ','}

TYPE(t_bool, PG_KIND_BOOL, 16);
TYPE(t_int4, PG_KIND_INT32, 23);
TYPE(t_int8, PG_KIND_INT64, 20);
TYPE(t_float8, PG_KIND_FLOAT, 701);
TYPE(t_numeric, PG_KIND_NUMERIC, 1700);
TYPE(t_text, PG_KIND_TEXT, 25);
TYPE(t_bytea, PG_KIND_BYTEA, 17);
TYPE(t_date, PG_KIND_DATE, 1082);
TYPE(t_timestamp, PG_KIND_TIMESTAMP, 1114);
TYPE(t_timestamptz, PG_KIND_TIMESTAMPTZ, 1184);
TYPE(t_uuid, PG_KIND_UUID, 2950);
TYPE(t_json, PG_KIND_JSON, 114);
TYPE(t_jsonb, PG_KIND_JSON, 3802);
TYPE(t_time, PG_KIND_OTHER, 1083);
TYPE(t_interval, PG_KIND_OTHER, 1186);
TYPE(t_box, PG_KIND_OTHER, 603);
ARRAY(t_int4s, t_int4);
ARRAY(t_texts, t_text);
ARRAY(t_jsons, t_json);
ARRAY(t_numerics, t_numeric);
ARRAY(t_timestamps, t_timestamp);
static const struct pg_type t_boxes = {
    .name = "t_boxes", .kind = PG_KIND_ARRAY, .element = &t_box, .delimiter = ';'};

static const struct conf_types defaults = {0};

#define NOTHING NULL /* expected: ERR_VALUE */

struct sample {
    const struct pg_type *type;
    const char *text;
    const char *want; /* of {"v": ...} */
    struct conf_types policy;
    enum pg_retype retype;
};

/* Appends between two other fields, so that an append that harms its neighbours shows. */
static int append(const struct sample *s, struct span text, struct buf *out) {
    struct bsonw w;
    struct err err = {0};
    buf_clear(out);
    bsonw_begin(&w, out);
    bsonw_bool(&w, SPAN_LIT("a"), true);
    size_t before = out->len;
    int rc = s->retype == PG_RETYPE_NONE
                 ? pg_type_append(s->type, &s->policy, text, &w, SPAN_LIT("v"), &err)
                 : pg_type_append_as(s->type, s->retype, &s->policy, text, &w, SPAN_LIT("v"), &err);
    if (rc < 0) {
        assert_int_equal(rc, ERR_VALUE);
        assert_int_equal(err.code, ERR_VALUE);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(out->len, before);
        assert_int_equal(w.depth, 1);
    }
    bsonw_bool(&w, SPAN_LIT("z"), true);
    bsonw_end(&w);
    assert_true(bsonw_ok(&w));
    return rc;
}

static void check(const struct sample *s) {
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    /* a copy of just its size: a read past the end shows under the sanitizer */
    size_t len = strlen(s->text);
    char *exact = malloc(len ? len : 1);
    memcpy(exact, s->text, len);
    int rc = append(s, span_make(exact, len), &out);
    free(exact);
    bson_t b;
    assert_true(bson_init_static(&b, (const uint8_t *)out.data, out.len));
    assert_true(bson_validate(&b, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL));
    char *json = bson_as_canonical_extended_json(&b, NULL);
    char want[4096];
    (void)snprintf(want, sizeof want, "{ \"a\" : true, %s%s%s\"z\" : true }",
                   s->want ? "\"v\" : " : "", s->want ? s->want : "", s->want ? ", " : "");
    if (strcmp(json, want) != 0)
        print_error("%s '%s': got %s\n", s->type->name, s->text, json);
    assert_string_equal(json, want);
    assert_int_equal(rc, s->want ? 0 : ERR_VALUE);
    bson_free(json);
}

#define CHECK_ALL(...)                                                                             \
    do {                                                                                           \
        const struct sample samples[] = {__VA_ARGS__};                                             \
        for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)                            \
            check(&samples[i]);                                                                    \
    } while (0)

#define I32(n) "{ \"$numberInt\" : \"" n "\" }"
#define I64(n) "{ \"$numberLong\" : \"" n "\" }"
#define DEC(n) "{ \"$numberDecimal\" : \"" n "\" }"
#define DBL(n) "{ \"$numberDouble\" : \"" n "\" }"
#define MS(n) "{ \"$date\" : { \"$numberLong\" : \"" n "\" } }"
#define BIN(base64, subtype)                                                                       \
    "{ \"$binary\" : { \"base64\" : \"" base64 "\", \"subType\" : \"" subtype "\" } }"
#define STR(s) "\"" s "\""

static void booleans_and_integers(void **state) {
    (void)state;
    CHECK_ALL(
        {&t_bool, "t", "true"}, {&t_bool, "f", "false"}, {&t_bool, "true", NOTHING},
        {&t_bool, "", NOTHING}, {&t_bool, "T", NOTHING}, {&t_int4, "0", I32("0")},
        {&t_int4, "-2147483648", I32("-2147483648")}, {&t_int4, "2147483647", I32("2147483647")},
        {&t_int4, "2147483648", NOTHING}, {&t_int4, "-2147483649", NOTHING}, {&t_int4, "", NOTHING},
        {&t_int4, "-", NOTHING}, {&t_int4, "1 ", NOTHING}, {&t_int4, "+1", NOTHING},
        {&t_int4, "1.0", NOTHING}, {&t_int8, "9223372036854775807", I64("9223372036854775807")},
        {&t_int8, "-9223372036854775808", I64("-9223372036854775808")},
        {&t_int8, "9223372036854775808", NOTHING}, {&t_int8, "-9223372036854775809", NOTHING},
        {&t_int8, "18446744073709551617", NOTHING}, {&t_int8, "99999999999999999999999", NOTHING},
        {&t_int8, "4294967295", I64("4294967295")});
}

static void numerics(void **state) {
    (void)state;
    CHECK_ALL({&t_numeric, "0", DEC("0")}, {&t_numeric, "1.50", DEC("1.50")},
              {&t_numeric, "-1.50", DEC("-1.50")}, {&t_numeric, "100", DEC("100")},
              {&t_numeric, "0.00", DEC("0.00")}, {&t_numeric, "0.000001", DEC("0.000001")},
              {&t_numeric, "NaN", DEC("NaN")}, {&t_numeric, "Infinity", DEC("Infinity")},
              {&t_numeric, "-Infinity", DEC("-Infinity")},
              {&t_numeric, "9999999999999999999999999999999999",
               DEC("9999999999999999999999999999999999")},
              {&t_numeric, "-0.1234567890123456789012345678901234",
               DEC("-0.1234567890123456789012345678901234")},
              {&t_numeric, "12345678901234567890.12345678901234",
               DEC("12345678901234567890.12345678901234")},
              /* 35 digits */
              {&t_numeric, "99999999999999999999999999999999999",
               STR("99999999999999999999999999999999999")},
              {&t_numeric, "0.12345678901234567890123456789012345",
               STR("0.12345678901234567890123456789012345")},
              {&t_numeric,
               "99999999999999999999999999999999999",
               NOTHING,
               {.numeric_overflow = CONF_OVERFLOW_FAIL}},
              /* zeros at the end give way: the value is exact, the scale is not */
              {&t_numeric, "1.50000000000000000000000000000000000000000",
               DEC("1.500000000000000000000000000000000")},
              {&t_numeric, "1000000000000000000000000000000000000",
               DEC("1.000000000000000000000000000000000E+36")},
              {&t_numeric, "", NOTHING}, {&t_numeric, "-", NOTHING}, {&t_numeric, ".5", NOTHING},
              {&t_numeric, "5.", NOTHING}, {&t_numeric, "1e", NOTHING},
              {&t_numeric, "1e+", NOTHING}, {&t_numeric, "1,5", NOTHING},
              {&t_numeric, "nan", NOTHING}, {&t_numeric, "--1", NOTHING},
              {&t_numeric, "0x10", NOTHING});
    /* the extremes of numeric itself: 131072 digits before, 16383 behind the point */
    char *big = malloc(150000);
    memset(big, '9', 131072);
    big[131072] = '\0';
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    struct sample s = {.type = &t_numeric};
    assert_int_equal(append(&s, span_of(big), &out), 0);
    assert_true(out.len > 131072);
    memcpy(big, "0.", 2);
    memset(big + 2, '0', 16383);
    big[16385] = '\0';
    assert_int_equal(append(&s, span_of(big), &out), 0); /* zero: the exponent is clamped */
    assert_int_equal(out.len, 4 + 4 + 3 + 16 + 4 + 1);
    big[16384] = '1'; /* 1E-16383 */
    assert_int_equal(append(&s, span_of(big), &out), 0);
    assert_true(out.len > 16383);
    free(big);
}

static void bit_exact(const char *text) {
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct sample s = {.type = &t_float8};
    assert_int_equal(append(&s, span_of(text), &out), 0);
    double got, want = strtod(text, NULL);
    memcpy(&got, out.data + 4 + 4 + 3, 8);
    if (memcmp(&got, &want, 8) != 0)
        print_error("%s: got %a, want %a\n", text, got, want);
    assert_memory_equal(&got, &want, 8);
}

static void floats(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "-1.5",
        "0.1",
        "1e+06",
        "1e-05",
        "3.4028235e+38",
        "1.17549435e-38",
        "1e-45",
        "1.7976931348623157e+308",
        "2.2250738585072014e-308",
        "5e-324",
        "4.9e-324",
        "9007199254740993",
        "9007199254740992.5",
        "0.30000000000000004",
        "123456789012345678",
        "8.41e+21",
        "9.5367431640625e-07",
        "18446744073709551615",
        "1e19",
        "1e-19",
        "1e22",
        "1e23",
        "9.999999999999999e+22",
        "2.2204460492503131e-16",
        "0.5000000000000001",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bit_exact(texts[i]);
    CHECK_ALL({&t_float8, "NaN", DBL("NaN")}, {&t_float8, "Infinity", DBL("Infinity")},
              {&t_float8, "-Infinity", DBL("-Infinity")}, {&t_float8, "inf", NOTHING},
              {&t_float8, "1e999", NOTHING}, {&t_float8, "", NOTHING}, {&t_float8, "1x", NOTHING},
              {&t_float8, "0x1p3", NOTHING}, {&t_float8, "1.5 ", NOTHING});
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20231123;
    print_message("# seed %u\n", seed);
    srandom(seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
        if (i % 2) /* half of them of a size that people use */
            bits = (bits & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(963) + bits % 120) << 52;
        double v;
        memcpy(&v, &bits, 8);
        if (!isfinite(v))
            continue;
        char text[64];
        (void)snprintf(text, sizeof text, "%.17g", v);
        bit_exact(text);
        (void)snprintf(text, sizeof text, "%.15g", v);
        if (fabs(v) < DBL_MAX / 2)
            bit_exact(text);
    }
}

static void texts_and_bytes(void **state) {
    (void)state;
    CHECK_ALL(
        {&t_text, "", STR("")}, {&t_text, "h\xc3\xa9", STR("h\xc3\xa9")},
        {&t_text, "\xf0\x9f\x98\x80", STR("\xf0\x9f\x98\x80")}, {&t_text, "\xff", NOTHING},
        {&t_text, "\xc3", NOTHING}, {&t_text, "\xed\xa0\x80", NOTHING},
        {&t_text, "\xc0\xaf", NOTHING}, {&t_text, "aaaaaaaaaaaaaaaa\x80", NOTHING},
        {&t_time, "12:34:56.789", STR("12:34:56.789")}, {&t_time, "\xfe", NOTHING},
        {&t_bytea, "\\x", BIN("", "00")}, {&t_bytea, "\\xdeadBEEF", BIN("3q2+7w==", "00")},
        {&t_bytea, "\\x0", NOTHING}, {&t_bytea, "\\xgg", NOTHING}, {&t_bytea, "", NOTHING},
        {&t_bytea, "x00", NOTHING}, {&t_bytea, "\\", NOTHING},
        {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", BIN("oO68mZwLTvi7bWu5vTgKEQ==", "04")},
        {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", NOTHING},
        {&t_uuid, "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11", NOTHING},
        {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", NOTHING},
        {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", NOTHING}, {&t_uuid, "", NOTHING});
}

static void times(void **state) {
    (void)state;
    const struct conf_types string = {.microseconds = CONF_MICROS_STRING},
                            split = {.microseconds = CONF_MICROS_SPLIT},
                            null = {.infinity = CONF_INFINITY_NULL,
                                    .microseconds = CONF_MICROS_SPLIT},
                            fail = {.infinity = CONF_INFINITY_FAIL,
                                    .microseconds = CONF_MICROS_STRING};
    CHECK_ALL(
        {&t_date, "1970-01-01", MS("0")}, {&t_date, "1969-12-31", MS("-86400000")},
        {&t_date, "2024-02-29", MS("1709164800000")}, {&t_date, "1900-02-29", NOTHING},
        {&t_date, "2000-02-29", MS("951782400000")}, {&t_date, "2023-02-29", NOTHING},
        /* PostgreSQL's first and last date */
        {&t_date, "4714-11-24 BC", MS("-210866803200000")},
        {&t_date, "5874897-12-31", MS("185331706992000000")},
        {&t_date, "0001-01-01", MS("-62135596800000")},
        {&t_date, "0001-12-31 BC", MS("-62135683200000")},
        {&t_date, "0001-02-29 BC", MS("-62162121600000")}, /* 1 BC is a leap year */
        {&t_date, "0000-01-01", NOTHING}, {&t_date, "2024-13-01", NOTHING},
        {&t_date, "2024-00-01", NOTHING}, {&t_date, "2024-04-31", NOTHING},
        {&t_date, "2024-4-3", NOTHING}, {&t_date, "24-04-03", NOTHING}, {&t_date, "", NOTHING},
        {&t_date, "2024-01-01 AD", NOTHING}, {&t_date, "2024-01-01x", NOTHING},
        {&t_date, "infinity", STR("infinity")}, {&t_date, "-infinity", STR("-infinity")},
        {&t_date, "infinity", "null", null}, {&t_date, "-infinity", NOTHING, fail},
        {&t_date, "Infinity", NOTHING}, {&t_timestamp, "1970-01-01 00:00:00", MS("0")},
        {&t_timestamp, "2024-02-29 12:34:56.789", MS("1709210096789")},
        {&t_timestamp, "2024-02-29 12:34:56.789999", MS("1709210096789")},
        /* toward minus infinity, before 1970 too */
        {&t_timestamp, "1969-12-31 23:59:59.999999", MS("-1")},
        {&t_timestamp, "1969-12-31 23:59:59.9", MS("-100")},
        {&t_timestamp, "294276-12-31 23:59:59.999999", MS("9224318015999999")},
        {&t_timestamp, "4714-11-24 00:00:00 BC", MS("-210866803200000")},
        {&t_timestamp, "2024-01-01 24:00:00", NOTHING},
        {&t_timestamp, "2024-01-01 23:60:00", NOTHING},
        {&t_timestamp, "2024-01-01 23:00:60", NOTHING},
        {&t_timestamp, "2024-01-01T23:00:00", NOTHING},
        {&t_timestamp, "2024-01-01 23:00:00.", NOTHING},
        {&t_timestamp, "2024-01-01 23:00:00.1234567", NOTHING},
        {&t_timestamp, "2024-01-01 23:00:00+00", NOTHING}, {&t_timestamp, "2024-01-01", NOTHING},
        {&t_timestamptz, "2024-02-29 12:34:56.789012+00", MS("1709210096789")},
        {&t_timestamptz, "2024-02-29 12:34:56+05:30", MS("1709190296000")},
        {&t_timestamptz, "2024-02-28 12:34:56-05:30:10 BC", MS("-126001806894000")},
        {&t_timestamptz, "2024-02-29 12:34:56", NOTHING},
        {&t_timestamptz, "2024-02-29 12:34:56+", NOTHING},
        {&t_timestamptz, "2024-02-29 12:34:56+99", NOTHING},
        {&t_timestamp, "2024-02-29 12:34:56", STR("2024-02-29 12:34:56"), string},
        {&t_timestamp, "2024-02-30 12:34:56", NOTHING, string},
        {&t_timestamp, "infinity", NOTHING, fail},
        {&t_timestamp, "1969-12-31 23:59:59.999999",
         "{ \"date\" : " MS("-1") ", \"micros\" : " I32("999") " }", split},
        {&t_timestamptz, "2024-02-29 12:34:56+00",
         "{ \"date\" : " MS("1709210096000") ", \"micros\" : " I32("0") " }", split},
        {&t_timestamptz, "infinity", "null", null},
        {&t_timestamptz, "-infinity", STR("-infinity"), split});
}

static void json_values(void **state) {
    (void)state;
    const struct conf_types decimal = {.bigint_json = CONF_BIGINT_DECIMAL};
    CHECK_ALL({&t_jsonb, "null", "null"}, {&t_jsonb, "true", "true"},
              {&t_jsonb, " false ", "false"}, {&t_jsonb, "\"x\"", STR("x")},
              {&t_jsonb, "{}", "{  }"}, {&t_jsonb, "[]", "[  ]"}, {&t_jsonb, "12", I64("12")},
              {&t_jsonb, "-0", I64("0")}, {&t_jsonb, "12", DEC("12"), decimal},
              {&t_jsonb, "9223372036854775807", I64("9223372036854775807")},
              {&t_jsonb, "-9223372036854775808", I64("-9223372036854775808")},
              {&t_jsonb, "9223372036854775808", DEC("9223372036854775808")},
              {&t_jsonb, "1.50", DEC("1.50")}, {&t_json, "1.5e3", DEC("1.5E+3")},
              {&t_json, "-0.0", DEC("-0.0")}, {&t_json, "1E400", DEC("1E+400")},
              {&t_json, "1e99999999999999999999", STR("1e99999999999999999999")},
              {&t_json, "1e7000", STR("1e7000")}, {&t_json, "0e7000", DEC("0E+6111")},
              {&t_json, "12345678901234567890123456789012345",
               STR("12345678901234567890123456789012345")},
              {&t_jsonb, "{\"b\": 1, \"aa\": [true, null, {\"c\": \"d\"}]}",
               "{ \"b\" : " I64("1") ", \"aa\" : [ true, null, { \"c\" : \"d\" } ] }"},
              {&t_jsonb, "{\"\": 1, \"a.b\": 2, \"$c\": 3}",
               "{ \"\" : " I64("1") ", \"a.b\" : " I64("2") ", \"$c\" : " I64("3") " }"},
              /* of equal keys the last stays, at its own place */
              {&t_json, "{\"a\": 1, \"b\": 2, \"a\": 3}",
               "{ \"b\" : " I64("2") ", \"a\" : " I64("3") " }"},
              {&t_json, "{\"a\": 1, \"\\u0061\": {\"z\": 1, \"y\": 2, \"z\": 3}}",
               "{ \"a\" : { \"y\" : " I64("2") ", \"z\" : " I64("3") " } }"},
              {&t_json, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\"",
               "\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
              {&t_json, "{\"\\n\\u00e9\": 1}", "{ \"\\n\xc3\xa9\" : " I64("1") " }"},
              /* a key with NUL: the whole value is its text */
              {&t_json, "{\"a\\u0000\": 1}", "\"{\\\"a\\\\u0000\\\": 1}\""},
              {&t_json, "[1, {\"b\": {\"\\u0000\": 1}}]",
               "\"[1, {\\\"b\\\": {\\\"\\\\u0000\\\": 1}}]\""});
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "{]",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "tru",
        "nulll",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1e",
        "--1",
        "1 2",
        "[1 2]",
        "{} {}",
        "NaN",
        "Infinity",
        "\"\xff\"",
        "{\"\xc3\":1}",
        "'a'",
        "[1}",
        "{\"a\":1]",
        "\"a\"b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check(&(struct sample){&t_json, bad[i], NOTHING, defaults, PG_RETYPE_NONE});
}

static bson_type_t type_of(const struct buf *out, const char *path, bson_iter_t *ret) {
    bson_iter_t root;
    bson_iter_init_from_data(&root, (const uint8_t *)out->data, out->len);
    return bson_iter_find_descendant(&root, path, ret) ? bson_iter_type(ret) : BSON_TYPE_EOD;
}

static void json_is_never_extended(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct sample s = {.type = &t_jsonb};
    bson_iter_t it;
    assert_int_equal(append(&s, SPAN_LIT("{\"$oid\": \"5f43a1d2c3b4a59687786950\"}"), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_DOCUMENT);
    assert_int_equal(type_of(&out, "v.$oid", &it), BSON_TYPE_UTF8);
    assert_int_equal(append(&s, SPAN_LIT("{\"$numberLong\": \"5\"}"), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_DOCUMENT);
}

static void json_nul_in_string(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct sample s = {.type = &t_json};
    bson_iter_t it;
    uint32_t len;
    assert_int_equal(append(&s, SPAN_LIT("{\"k\": \"a\\u0000b\"}"), &out), 0);
    assert_int_equal(type_of(&out, "v.k", &it), BSON_TYPE_UTF8);
    const char *text = bson_iter_utf8(&it, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 3);
}

static void nested(char *text, int depth) {
    for (int i = 0; i < depth; i++) {
        text[i] = '[';
        text[2 * depth - 1 - i] = ']';
    }
    text[2 * depth] = '\0';
}

static void json_depth_limit(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    struct sample s = {.type = &t_json};
    bson_iter_t it;
    char *text = malloc(200001);
    nested(text, PG_JSON_DEPTH_MAX);
    assert_int_equal(append(&s, span_of(text), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_ARRAY);
    nested(text, PG_JSON_DEPTH_MAX + 1);
    assert_int_equal(append(&s, span_of(text), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_UTF8);
    nested(text, 100000);
    assert_int_equal(append(&s, span_of(text), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_UTF8);
    free(text);
}

/* Objects of more keys than are compared in pairs, and keys longer than the room for them. */
static void json_large_objects(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22}, text = {.max = 1 << 22};
    struct sample s = {.type = &t_json};
    bson_iter_t it, child;
    buf_add_char(&text, '{');
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "%s\"k%d\": %d", i ? "," : "", (i * 7919) % 1000, i);
    buf_add_char(&text, '}');
    assert_int_equal(append(&s, buf_span(&text), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_DOCUMENT);
    assert_true(bson_iter_recurse(&it, &child));
    int count = 0;
    while (bson_iter_next(&child)) {
        int i = 19000 + count++;
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", (i * 7919) % 1000);
        assert_string_equal(bson_iter_key(&child), key);
        assert_int_equal(bson_iter_int64(&child), i);
    }
    assert_int_equal(count, 1000);
    buf_clear(&text);
    buf_add_text(&text, "{\"\\t");
    for (int i = 0; i < 3000; i++)
        buf_add_char(&text, 'k');
    buf_add_text(&text, "\": [1]}");
    assert_int_equal(append(&s, buf_span(&text), &out), 0);
    assert_int_equal(type_of(&out, "v", &it), BSON_TYPE_DOCUMENT);
    assert_true(bson_iter_recurse(&it, &child) && bson_iter_next(&child));
    assert_int_equal(bson_iter_key_len(&child), 3001);
    assert_int_equal(bson_iter_type(&child), BSON_TYPE_ARRAY);
}

static void arrays(void **state) {
    (void)state;
    CHECK_ALL(
        {&t_int4s, "{}", "[  ]"}, {&t_int4s, "{1}", "[ " I32("1") " ]"},
        {&t_int4s, "{1,NULL,-3}", "[ " I32("1") ", null, " I32("-3") " ]"},
        {&t_int4s, "{{1,2},{3,4}}",
         "[ [ " I32("1") ", " I32("2") " ], [ " I32("3") ", " I32("4") " ] ]"},
        {&t_int4s, "[0:1]={7,8}", "[ " I32("7") ", " I32("8") " ]"},
        {&t_int4s, "[-1:0][2:2]={{7},{8}}", "[ [ " I32("7") " ], [ " I32("8") " ] ]"},
        {&t_int4s, "{{{{{{1}}}}}}", "[ [ [ [ [ [ " I32("1") " ] ] ] ] ] ]"},
        {&t_int4s, "{{{{{{{1}}}}}}}", NOTHING},
        {&t_texts, "{a,\"NULL\",NULL,\"\",\"a\\\"b\",\"c\\\\d\",\"e,f\",\"{}\"}",
         "[ \"a\", \"NULL\", null, \"\", \"a\\\"b\", \"c\\\\d\", \"e,f\", \"{}\" ]"},
        {&t_texts, "{null}", "[ \"null\" ]"}, {&t_texts, "{\"\xff\"}", NOTHING},
        {&t_jsons, "{\"{\\\"a\\\": [1]}\",null}", "[ { \"a\" : [ " I64("1") " ] }, null ]"},
        {&t_numerics, "{1.50,NaN}", "[ " DEC("1.50") ", " DEC("NaN") " ]"},
        {&t_timestamps, "{\"1970-01-01 00:00:00\",infinity}", "[ " MS("0") ", \"infinity\" ]"},
        {&t_boxes, "{(1,1),(0,0);(2,2),(1,1)}", "[ \"(1,1),(0,0)\", \"(2,2),(1,1)\" ]"});
    static const char *const bad[] = {
        "",
        "{",
        "}",
        "1",
        "{1",
        "{1,",
        "{1,}",
        "{,1}",
        "{1}}",
        "{1}x",
        "{{1}",
        "{{1},2}",
        "{1,{2}}",
        "{{1},{{2}}}",
        "{{}}",
        "{{},{}}",
        "{a}",
        "{1 }",
        "{\"1}",
        "{\"1\\",
        "{\"1\"x}",
        "[0:1]",
        "[0:1]{1}",
        "[0]={1}",
        "[:1]={1}",
        "[0:]={1}",
        "[0:1={1}",
        "{1\\2}",
        "{1\"2\"}",
        "[",
        "{2147483648}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check(&(struct sample){&t_int4s, bad[i], NOTHING, defaults, PG_RETYPE_NONE});
}

static void long_escaped_element(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20}, text = {.max = 1 << 20};
    struct sample s = {.type = &t_texts};
    buf_add_text(&text, "{\"\\\\");
    for (int i = 0; i < 5000; i++)
        buf_add_text(&text, "\\\"");
    buf_add_text(&text, "\",b}");
    assert_int_equal(append(&s, buf_span(&text), &out), 0);
    bson_iter_t it;
    uint32_t len;
    assert_int_equal(type_of(&out, "v.0", &it), BSON_TYPE_UTF8);
    const char *got = bson_iter_utf8(&it, &len);
    assert_int_equal(len, 5001);
    assert_true(got[0] == '\\' && got[1] == '"' && got[5000] == '"');
    assert_int_equal(type_of(&out, "v.1", &it), BSON_TYPE_UTF8);
}

#define AS(retype_) {0}, retype_

static void retypes(void **state) {
    (void)state;
    CHECK_ALL(
        {&t_int4, "5", STR("5"), AS(PG_RETYPE_STRING)},
        {&t_bool, "t", STR("t"), AS(PG_RETYPE_STRING)},
        {&t_int4s, "{1,2}", STR("{1,2}"), AS(PG_RETYPE_STRING)},
        {&t_bytea, "\\x00", STR("\\\\x00"), AS(PG_RETYPE_STRING)},
        {&t_int8, "5", I32("5"), AS(PG_RETYPE_INT32)},
        {&t_int8, "2147483648", NOTHING, AS(PG_RETYPE_INT32)},
        {&t_numeric, "5.00", I32("5"), AS(PG_RETYPE_INT32)},
        {&t_numeric, "5.01", NOTHING, AS(PG_RETYPE_INT64)},
        {&t_numeric, "-9223372036854775808.0", I64("-9223372036854775808"), AS(PG_RETYPE_INT64)},
        {&t_numeric, "9223372036854775808", NOTHING, AS(PG_RETYPE_INT64)},
        {&t_numeric, "NaN", NOTHING, AS(PG_RETYPE_INT64)},
        {&t_float8, "1e+06", I64("1000000"), AS(PG_RETYPE_INT64)},
        {&t_text, "42", I64("42"), AS(PG_RETYPE_INT64)},
        {&t_text, " 42", NOTHING, AS(PG_RETYPE_INT64)}, {&t_text, "", NOTHING, AS(PG_RETYPE_INT64)},
        {&t_int8, "9007199254740992", DBL("9007199254740992.0"), AS(PG_RETYPE_DOUBLE)},
        {&t_int8, "9007199254740993", NOTHING, AS(PG_RETYPE_DOUBLE)},
        {&t_numeric, "12.50", DBL("12.5"), AS(PG_RETYPE_DOUBLE)},
        {&t_numeric, "0", DBL("0.0"), AS(PG_RETYPE_DOUBLE)},
        {&t_numeric, "-1000", DBL("-1000.0"), AS(PG_RETYPE_DOUBLE)},
        {&t_numeric, "0.12345678901234567890", NOTHING, AS(PG_RETYPE_DOUBLE)},
        {&t_numeric, "NaN", DBL("NaN"), AS(PG_RETYPE_DOUBLE)},
        {&t_text, "1e400", NOTHING, AS(PG_RETYPE_DOUBLE)},
        {&t_text, "1e-400", NOTHING, AS(PG_RETYPE_DOUBLE)},
        {&t_int4, "7", DEC("7"), AS(PG_RETYPE_DECIMAL)},
        {&t_float8, "1.5e-05", DEC("0.000015"), AS(PG_RETYPE_DECIMAL)},
        {&t_text, "x", NOTHING, AS(PG_RETYPE_DECIMAL)},
        {&t_numeric, "99999999999999999999999999999999999", NOTHING, AS(PG_RETYPE_DECIMAL)},
        {&t_int4, "1", "true", AS(PG_RETYPE_BOOL)}, {&t_int4, "2", NOTHING, AS(PG_RETYPE_BOOL)},
        {&t_text, "f", "false", AS(PG_RETYPE_BOOL)}, {&t_text, "no", NOTHING, AS(PG_RETYPE_BOOL)},
        {&t_text, "2024-02-29", MS("1709164800000"), AS(PG_RETYPE_DATE)},
        {&t_text, "2024-02-29T12:34Z", MS("1709210040000"), AS(PG_RETYPE_DATE)},
        {&t_text, "2024-02-29T12:34:56.789123456+02:00", MS("1709202896789"), AS(PG_RETYPE_DATE)},
        {&t_text, "0044-03-15 BC", MS("-63517824000000"), AS(PG_RETYPE_DATE)},
        {&t_text, "29.2.2024", NOTHING, AS(PG_RETYPE_DATE)},
        {&t_text, "2024-02-29T", NOTHING, AS(PG_RETYPE_DATE)},
        {&t_timestamp,
         "2024-02-29 12:34:56.789999",
         MS("1709210096789"),
         {.microseconds = CONF_MICROS_STRING},
         PG_RETYPE_DATE},
        {&t_text, "ab", BIN("YWI=", "00"), AS(PG_RETYPE_BINARY)},
        {&t_uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", BIN("oO68mZwLTvi7bWu5vTgKEQ==", "04"),
         AS(PG_RETYPE_BINARY)},
        {&t_text, "{\"a\": 1}", "{ \"a\" : " I64("1") " }", AS(PG_RETYPE_JSON)},
        {&t_text, "{", NOTHING, AS(PG_RETYPE_JSON)}, {&t_bool, "t", NOTHING, AS(PG_RETYPE_INT32)},
        {&t_uuid, "x", NOTHING, AS(PG_RETYPE_DATE)});
    static const char *const names[] = {"string", "int32", "int64",  "double", "decimal",
                                        "bool",   "date",  "binary", "json"};
    enum pg_retype got = PG_RETYPE_NONE;
    for (int i = 0; i < 9; i++) {
        assert_true(pg_retype_parse(names[i], &got));
        assert_int_equal(got, PG_RETYPE_STRING + i);
    }
    assert_false(pg_retype_parse("String", &got));
    assert_false(pg_retype_parse("", &got));
    assert_true(pg_retype_possible(&t_box, PG_RETYPE_STRING));
    assert_false(pg_retype_possible(&t_box, PG_RETYPE_INT32));
    assert_false(pg_retype_possible(&t_int4s, PG_RETYPE_JSON));
    assert_false(pg_retype_possible(&t_numeric, PG_RETYPE_DATE));
}

static void one_to_one(void **state) {
    (void)state;
    const struct conf_types string = {.microseconds = CONF_MICROS_STRING},
                            null = {.microseconds = CONF_MICROS_SPLIT,
                                    .infinity = CONF_INFINITY_NULL};
    const struct pg_type *yes[] = {&t_bool,  &t_int4, &t_int8, &t_numeric, &t_text,
                                   &t_bytea, &t_date, &t_uuid, &t_time};
    const struct pg_type *no[] = {&t_float8,   &t_json, &t_jsonb,     &t_int4s,
                                  &t_interval, &t_box,  &t_timestamp, &t_timestamptz};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(pg_type_is_one_to_one(yes[i], &defaults));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(pg_type_is_one_to_one(no[i], &defaults));
    assert_true(pg_type_is_one_to_one(&t_timestamp, &string));
    assert_false(pg_type_is_one_to_one(&t_timestamptz, &null));
    assert_false(pg_type_is_one_to_one(&t_date, &null));
}

static void builtins(void **state) {
    (void)state;
    assert_int_equal(pg_kind_of_builtin(16), PG_KIND_BOOL);
    assert_int_equal(pg_kind_of_builtin(18), PG_KIND_TEXT);
    assert_int_equal(pg_kind_of_builtin(21), PG_KIND_INT32);
    assert_int_equal(pg_kind_of_builtin(26), PG_KIND_INT64);
    assert_int_equal(pg_kind_of_builtin(700), PG_KIND_FLOAT);
    assert_int_equal(pg_kind_of_builtin(3802), PG_KIND_JSON);
    assert_int_equal(pg_kind_of_builtin(1186), PG_KIND_OTHER);
    assert_int_equal(pg_kind_of_builtin(0), PG_KIND_OTHER);
}

/* A full buffer is not the value's fault: no error here, the writer says so at the end. */
static void full_buffer(void **state) {
    (void)state;
    static const struct {
        const struct pg_type *type;
        const char *text;
    } samples[] = {{&t_json, "{\"b\": [1, \"x\\n\", {\"a\": 1, \"a\": 2}], \"b\": 2}"},
                   {&t_bytea, "\\x0011223344556677889900aabbccddeeff"},
                   {&t_texts, "{a,\"b\\\"c\",d}"}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t max = 0; max < 120; max++) {
            _cleanup_(buf_release) struct buf out = {.max = max};
            struct bsonw w;
            struct err err = {0};
            bsonw_begin(&w, &out);
            assert_int_equal(pg_type_append(samples[i].type, &defaults, span_of(samples[i].text),
                                            &w, SPAN_LIT("v"), &err),
                             0);
            bsonw_end(&w);
            assert_true(out.len <= max);
            assert_true(bsonw_ok(&w) == (out.len > 5 && max >= out.len && !out.full));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(booleans_and_integers),
        cmocka_unit_test(numerics),
        cmocka_unit_test(floats),
        cmocka_unit_test(texts_and_bytes),
        cmocka_unit_test(times),
        cmocka_unit_test(json_values),
        cmocka_unit_test(json_is_never_extended),
        cmocka_unit_test(json_nul_in_string),
        cmocka_unit_test(json_depth_limit),
        cmocka_unit_test(json_large_objects),
        cmocka_unit_test(arrays),
        cmocka_unit_test(long_escaped_element),
        cmocka_unit_test(retypes),
        cmocka_unit_test(one_to_one),
        cmocka_unit_test(builtins),
        cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests_name("pg_type", tests, NULL, NULL);
}

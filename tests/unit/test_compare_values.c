/* Values: numbers, dates, booleans and uuids in all their forms under each strictness; the readers;
 * what is shown. */
#include "compare_try.h"

#include "compare/decimal.h"
#include "compare/value.h"

#include <inttypes.h>
#include <math.h>

/* One value against another as BSON ({"v": ...}) or JSON. */
static void pair(const struct compare_options *o, enum try_as as, const char *sql,
                 const char *mongodb, const char *expected) {
    char a[500], b[500];
    snprintf(a, sizeof a, "{\"v\":%s}", sql);
    snprintf(b, sizeof b, "{\"v\":%s}", mongodb);
    try_as(o, as, a, as, b, expected);
    /* Swapped: neither a mismatch nor what explains it has a side. */
    try_as(o, as, b, as, a, expected);
}

static void bson(const struct compare_options *o, const char *a, const char *b, const char *e) {
    pair(o, TRY_BSON, a, b, e);
}

static void json(const struct compare_options *o, const char *a, const char *b, const char *e) {
    pair(o, TRY_JSON, a, b, e);
}

#define INT64(n) "{\"$numberLong\":\"" n "\"}"
#define DECIMAL(n) "{\"$numberDecimal\":\"" n "\"}"
#define DOUBLE(n) "{\"$numberDouble\":\"" n "\"}"
#define DATE(n) "{\"$date\":{\"$numberLong\":\"" n "\"}}"
#define UUID "{\"$binary\":{\"base64\":\"oO68mZwLTvi7bWu5vTgKEQ==\",\"subType\":\"04\"}}"
#define MISMATCH "mismatch v"
#define TYPE "type_difference v"

static void numbers_exactly(void **state) {
    (void)state;
    bson(&exact, "1", INT64("1"), "");
    bson(&exact, "1", "1.0", TYPE);
    bson(&exact, "1", DECIMAL("1"), TYPE);
    bson(&exact, DECIMAL("0.5"), "0.5", TYPE);
    bson(&exact, DECIMAL("12.50"), DECIMAL("12.5"), "");
    bson(&exact, DECIMAL("12.50"), DECIMAL("12.51"), MISMATCH);
    bson(&exact, DECIMAL("1E+3"), DECIMAL("1000"), "");
    bson(&exact, DECIMAL("0"), DECIMAL("-0.00"), "");
    bson(&exact, DECIMAL("NaN"), DECIMAL("NaN"), "");
    bson(&exact, DECIMAL("Infinity"), DECIMAL("-Infinity"), MISMATCH);
    bson(&exact, DECIMAL("9999999999999999999999999999999999"),
         DECIMAL("9999999999999999999999999999999998"), MISMATCH);
    bson(&exact, "0.0", DOUBLE("-0.0"), "");
    bson(&exact, DOUBLE("NaN"), DOUBLE("NaN"), "");
    bson(&exact, DOUBLE("NaN"), "0.0", MISMATCH);
    bson(&exact, DOUBLE("Infinity"), DOUBLE("Infinity"), "");
    bson(&exact, DOUBLE("Infinity"), DOUBLE("-Infinity"), MISMATCH);
    bson(&exact, "0.3", DOUBLE("0.30000000000000004"), MISMATCH);
    /* JSON has one type of number. */
    json(&exact, "1", "1.0", "");
    json(&exact, "1", "10e-1", "");
    json(&exact, "0", "-0.0", "");
    json(&exact, "0e999999999999", "0", MISMATCH); /* such an exponent is no number to us */
    json(&exact, "1e400", "1e401", MISMATCH);
    json(&exact, "1e400", "10e399", "");
    json(&exact, "9007199254740993", "9007199254740992", MISMATCH);
    json(&exact, "9007199254740993", "9007199254740993.0", "");
    json(&exact, "18446744073709551616", "18446744073709551616.00", "");
    json(&exact, "0.1", "0.10000000000000001", MISMATCH);
    try_as(&exact, TRY_JSON, "{\"v\":7}", TRY_BSON, "{\"v\":7}", "");
    try_as(&exact, TRY_JSON, "{\"v\":7.0}", TRY_BSON, "{\"v\":7}", "");
    try_as(&exact, TRY_JSON, "{\"v\":7.5}", TRY_BSON, "{\"v\":" DECIMAL("7.50") "}", "");
    try_as(&exact, TRY_JSON, "{\"v\":7}", TRY_BSON, "{\"v\":" DECIMAL("7.00") "}", "");
    try_as(&exact, TRY_JSON, "{\"v\":7.5}", TRY_BSON, "{\"v\":7.5}", TYPE);
}

static void numbers_mapped(void **state) {
    (void)state;
    bson(&mapped, "1", DECIMAL("1.00"), "number=1");
    bson(&mapped, "1", "1.0", "number=1");
    bson(&mapped, DECIMAL("0.1"), "0.1", "number=1");
    /* Tolerance where one side is binary floating point; decimals are exact. */
    bson(&mapped, "0.3", DOUBLE("0.30000000000000004"), "tolerance=1");
    bson(&mapped, "0.3", "0.30009", "tolerance=1");
    bson(&mapped, "0.3", "0.3002", MISMATCH);
    bson(&mapped, DECIMAL("0.3"), "0.30009", "tolerance=1");
    bson(&mapped, DECIMAL("0.3"), DECIMAL("0.30001"), MISMATCH);
    bson(&mapped, "1", DECIMAL("1.00001"), MISMATCH);
    bson(&mapped, "1", "1.00001", "tolerance=1");
    const struct compare_options wide = {.mode = COMPARE_MAPPED, .tolerance = 0.5};
    bson(&wide, "1", "1.5", "tolerance=1");
    bson(&wide, INT64("9007199254740993"), DOUBLE("9007199254740992.0"), MISMATCH);
    /* Rounding to a double does not make an integer the same. */
    bson(&mapped, INT64("9007199254740993"), DOUBLE("9007199254740992.0"), MISMATCH);
    bson(&mapped, INT64("9223372036854775807"), DOUBLE("9223372036854775808.0"), MISMATCH);
    bson(&mapped, INT64("-9223372036854775808"), DOUBLE("-9223372036854775808.0"), "number=1");
    bson(&mapped, INT64("-9223372036854775808"), INT64("9223372036854775807"), MISMATCH);
    bson(&mapped, "0", DOUBLE("-0.0"), "number=1");
    bson(&mapped, DECIMAL("NaN"), DOUBLE("NaN"), "number=1");
    bson(&mapped, DECIMAL("-Infinity"), DOUBLE("-Infinity"), "number=1");
    bson(&mapped, DECIMAL("1E+400"), DOUBLE("Infinity"), MISMATCH);
    bson(&mapped, DECIMAL("1E+400"), DOUBLE("NaN"), MISMATCH);
    bson(&mapped, DECIMAL("1E+400"), DECIMAL("1E+401"), MISMATCH);
    bson(&mapped, DOUBLE("Infinity"), "1", MISMATCH);
    bson(&mapped, "\"1\"", "1", TYPE);
    const struct compare_options *o = WITH(COMPARE_MAPPED, {.path = "v", .form = COMPARE_NUMBER});
    bson(o, "\"1\"", "1", "number=1");
    bson(o, "\"1.50\"", DECIMAL("1.5"), "number=1");
    bson(o, "\"01.50\"", "\"1.5\"", "number=1");
    bson(o, "\"1.50\"", DECIMAL("1.51"), MISMATCH);
    bson(o, "\"NaN\"", DOUBLE("NaN"), "number=1");
    bson(o, "\"Infinity\"", DECIMAL("Infinity"), "number=1");
    bson(o, "\"abc\"", "1", TYPE);
    bson(o, "\"\"", "0", TYPE);
    bson(o, "\"1x\"", "1", TYPE);
    bson(o, "\"0x10\"", "16", TYPE);
    bson(o, "\".\"", "0", TYPE);
    bson(o, "true", "1", TYPE);
    bson(o, "[\"1\",2]", "[1,\"2\"]", "number=2");
    /* Four hundred zeros before what counts. */
    char zeros[420];
    memset(zeros, '0', sizeof zeros);
    memcpy(zeros + 400, "5\"", 3);
    zeros[0] = '"';
    bson(o, zeros, "5.0", "number=1");
    bson(o, zeros, "0.0", MISMATCH);
}

static void numbers_of_the_reference(void **state) {
    (void)state;
    json(&reference, "12.5", "\"12.50\"", "number=1");
    json(&reference, "1.00005", "1", "tolerance=1");
    json(&reference, "\"1.00005\"", "1", "tolerance=1");
    json(&reference, "1.0002", "1", MISMATCH);
    json(&reference, "\"5\"", "\"6\"", MISMATCH);
    json(&reference, "5", "\"6\"", MISMATCH);
    json(&reference, "1", "true", "boolean=1");
    json(&reference, "0.0", "false", "boolean=1");
    json(&reference, "0", "true", MISMATCH);
    json(&reference, "2", "true", TYPE);
    json(&reference, "\"1\"", "true", TYPE);
    json(&reference, "\"a\"", "\"A\"", MISMATCH);
    json(&reference, "null", "1", TYPE);
}

static void booleans(void **state) {
    (void)state;
    const struct compare_options *o = WITH(COMPARE_MAPPED, {.path = "v", .form = COMPARE_BOOLEAN});
    bson(&mapped, "true", "true", "");
    bson(&mapped, "true", "false", MISMATCH);
    bson(&mapped, "true", "1", TYPE);
    bson(o, "true", "1", "boolean=1");
    bson(o, "false", DECIMAL("0.0"), "boolean=1");
    bson(o, "false", "1", MISMATCH);
    bson(o, "true", "2", TYPE);
    bson(o, "true", "\"true\"", TYPE);
    bson(WITH(COMPARE_EXACT, {.path = "v", .form = COMPARE_BOOLEAN}), "true", "1", TYPE);
}

static void dates(void **state) {
    (void)state;
    const struct compare_options *o = WITH(COMPARE_MAPPED, {.path = "v", .form = COMPARE_TIME});
    bson(&mapped, DATE("0"), "\"1970-01-01T00:00:00Z\"", TYPE);
    bson(o, DATE("0"), "\"1970-01-01\"", "date=1");
    bson(o, DATE("0"), "\"1970-01-01T00:00:00Z\"", "date=1");
    bson(o, DATE("-1"), "\"1969-12-31 23:59:59.999+00\"", "date=1");
    bson(o, DATE("1500"), "\"1970-01-01 02:00:01.5+02\"", "date=1");
    bson(o, DATE("1500"), "\"1969-12-31T18:30:01,5-05:30\"", "date=1");
    bson(o, DATE("1501"), "\"1970-01-01T00:00:01.5Z\"", MISMATCH);
    bson(o, DATE("86400000"), "\"1970-01-01T24:00:00Z\"", "date=1");
    bson(o, DATE("1709164800000"), "\"2024-02-29\"", "date=1");
    /* A date of BSON has milliseconds: microseconds are cut downwards, as where rows are written.
     */
    bson(o, DATE("1234"), "\"1970-01-01T00:00:01.234999Z\"", "date=1");
    bson(o, DATE("-2"), "\"1969-12-31T23:59:59.998999Z\"", "date=1");
    bson(o, DATE("1234"), "\"1970-01-01T00:00:01.235Z\"", MISMATCH);
    /* Between texts they count. */
    bson(o, "\"2026-11-24T10:00:00.000001Z\"", "\"2026-11-24 10:00:00.000002+00\"", MISMATCH);
    bson(o, "\"2026-11-24T10:00:00.000001Z\"", "\"2026-11-24 12:00:00.0000010+0200\"", "date=1");
    json(&reference, "\"2026-11-24T10:00:00.000001Z\"", "\"2026-11-24 10:00:00.000002+00\"",
         "date=1");
    static const char *const none[] = {"2026-02-29",
                                       "2026-13-01",
                                       "2026-00-10",
                                       "2026-1-1",
                                       "2026-11-24T",
                                       "2026-11-24T25:00",
                                       "2026-11-24T24:00:01",
                                       "2026-11-24T10:60",
                                       "2026-11-24T10:00:61Z",
                                       "2026-11-24T10:00:00+24",
                                       "2026-11-24T10:00:00+0",
                                       "2026-11-24T10:00:00+02:",
                                       "2026-11-24T10:00:00.Z",
                                       "2026-11-24T10:00:00Zx",
                                       "infinity",
                                       "20261124",
                                       ""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        char text[64];
        snprintf(text, sizeof text, "\"%s\"", none[i]);
        bson(o, text, DATE("0"), TYPE);
    }
    bson(o, DATE("9223372036854775807"), "\"2026-11-24\"", TYPE);
    bson(o, DATE("9223372036854775807"), DATE("9223372036854775807"), "");
}

static void uuids_and_bytes(void **state) {
    (void)state;
    const struct compare_options *o = WITH(COMPARE_MAPPED, {.path = "v", .form = COMPARE_UUIDS});
    bson(o, UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "uuid=1");
    bson(o, UUID, "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"", "uuid=1");
    bson(o, UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12\"", MISMATCH);
    bson(o, UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g\"", TYPE);
    bson(o, UUID, "\"a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11\"", TYPE);
    bson(&mapped, UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", TYPE);
    bson(&reference, UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "uuid=1");
    bson(&exact, UUID, UUID, "");
#define BINARY(text, type) "{\"$binary\":{\"base64\":\"" text "\",\"subType\":\"" type "\"}}"
    bson(&exact, BINARY("AAE=", "00"), BINARY("AAE=", "00"), "");
    bson(&exact, BINARY("AAE=", "00"), BINARY("AAI=", "00"), MISMATCH);
    bson(&exact, BINARY("AAE=", "00"), BINARY("AAE=", "80"), TYPE);
    bson(&exact, "{\"$oid\":\"507f1f77bcf86cd799439011\"}",
         "{\"$oid\":\"507f1f77bcf86cd799439012\"}", MISMATCH);
    bson(&exact, "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"i\"}}",
         "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"\"}}", MISMATCH);
    bson(&exact, "{\"$timestamp\":{\"t\":1,\"i\":2}}", "{\"$timestamp\":{\"t\":1,\"i\":2}}", "");
    bson(&exact, "{\"$minKey\":1}", "{\"$maxKey\":1}", TYPE);
    bson(&exact, "{\"$undefined\":true}", "null", TYPE);
    bson(&exact, "{\"$code\":\"f()\"}", "{\"$code\":\"g()\"}", MISMATCH);
    bson(&exact, "{\"$code\":\"f()\",\"$scope\":{\"a\":1}}",
         "{\"$code\":\"f()\",\"$scope\":{\"a\":2}}", MISMATCH);
    bson(&exact, "{\"$symbol\":\"s\"}", "\"s\"", TYPE);
    json(&exact, "\"\\u0041\"", "\"A\"", "");
    try_json(&exact, "{\"\\u0061\":1}", "{\"a\":1}", "");
}

/* ---- decimals as text ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#define SIGNIFICAND UINT64_C(0x1ffffffffffff)

/* libbson's own text is the measure. */
static void decimals_as_text(void **state) {
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < 200000; i++) {
        bson_decimal128_t d = {.low = next_random(&random), .high = next_random(&random)};
        if (i % 4 == 0) /* near what is written without an exponent, few digits */
            d = (bson_decimal128_t){.low = d.low >> (d.low & 63),
                                    .high = (UINT64_C(6176) - d.high % 40) << 49 |
                                            (d.high & UINT64_C(1) << 63)};
        else if (i % 4 == 1)
            d.high &= ~(UINT64_C(3) << 61);
        if ((d.high >> 61 & 3) != 3) /* 34 digits at most */
            d.high = (d.high & ~SIGNIFICAND) | (d.high & SIGNIFICAND) % UINT64_C(0x1ed09bead87c0);
        char theirs[BSON_DECIMAL128_STRING], ours[DECIMAL_TEXT];
        bson_decimal128_to_string(&d, theirs);
        size_t len = decimal_text(d.high, d.low, ours);
        assert_true(len < sizeof ours);
        if (strlen(theirs) != len || memcmp(theirs, ours, len) != 0)
            fail_msg("%016" PRIx64 "%016" PRIx64 ": %.*s, not %s", d.high, d.low, (int)len, ours,
                     theirs);
    }
    /* More than 34 digits are not canonical: 0, as IEEE 754 has it. */
    char text[DECIMAL_TEXT];
    assert_int_equal(decimal_text(UINT64_C(0x3040000000000000) | SIGNIFICAND, 0, text), 1);
    assert_int_equal(text[0], '0');
}

/* ---- readers ---- */

static int read_bytes(const void *bytes, size_t len, struct err *err) {
    struct arena arena;
    struct compare_tree tree;
    arena_init(&arena, TRY_MEMORY);
    int rc = compare_read_bson(span_make(bytes, len), &arena, &tree, err);
    arena_release(&arena);
    return rc;
}

static void damaged_bson(void **state) {
    (void)state;
    bson_t *doc = bson_new_from_json(
        (const uint8_t
             *)"{\"a\":[1,{\"b\":\"x\"}],\"c\":{\"$code\":\"f\",\"$scope\":{}},\"d\":1.5}",
        -1, NULL);
    const uint8_t *data = bson_get_data(doc);
    struct err err;
    assert_int_equal(read_bytes(data, doc->len, &err), 0);
    for (size_t len = 0; len < doc->len; len++)
        assert_int_equal(read_bytes(data, len, &err), ERR_VALUE);
    assert_string_equal(err.text, "the BSON document is damaged");
    bson_destroy(doc);
    static const unsigned char unknown[] = {8, 0, 0, 0, 0x20, 'a', 0, 0};
    assert_int_equal(read_bytes(unknown, sizeof unknown, &err), ERR_VALUE);
    assert_string_equal(err.text, "the BSON document has a value of the unknown type 0x20");
    static const unsigned char boolean[] = {9, 0, 0, 0, 8, 'a', 0, 2, 0};
    assert_int_equal(read_bytes(boolean, sizeof boolean, &err), ERR_VALUE);
    static const unsigned char negative[] = {12, 0, 0, 0, 2, 'a', 0, 0xff, 0xff, 0xff, 0xff, 0};
    assert_int_equal(read_bytes(negative, sizeof negative, &err), ERR_VALUE);
    static const unsigned char behind[] = {5, 0, 0, 0, 0, 0};
    assert_int_equal(read_bytes(behind, sizeof behind, &err), ERR_VALUE);
}

/* A document with `depth` documents in it. */
static int read_depth(int depth, struct err *err) {
    bson_t *doc = bson_new();
    for (int i = 0; i < depth; i++) {
        bson_t *around = bson_new();
        BSON_APPEND_DOCUMENT(around, "a", doc);
        bson_destroy(doc);
        doc = around;
    }
    int rc = read_bytes(bson_get_data(doc), doc->len, err);
    bson_destroy(doc);
    return rc;
}

static void limits_of_readers(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(read_depth(COMPARE_DEPTH_MAX - 1, &err), 0);
    assert_int_equal(read_depth(COMPARE_DEPTH_MAX, &err), ERR_LIMIT);
    assert_string_equal(err.text, "more than 100 levels deep");
    bson_t doc = BSON_INITIALIZER;
    for (int i = 0; i < COMPARE_NODES_MAX - 1; i++)
        BSON_APPEND_NULL(&doc, "");
    assert_int_equal(read_bytes(bson_get_data(&doc), doc.len, &err), 0);
    BSON_APPEND_NULL(&doc, "");
    assert_int_equal(read_bytes(bson_get_data(&doc), doc.len, &err), ERR_LIMIT);
    struct arena small;
    struct compare_tree tree;
    arena_init(&small, 10000);
    assert_int_equal(
        compare_read_bson(span_make(bson_get_data(&doc), doc.len), &small, &tree, &err), ERR_LIMIT);
    arena_reset(&small);
    assert_int_equal(compare_read_json(SPAN_LIT("[1,2"), &small, &tree, &err), ERR_VALUE);
    assert_non_null(strstr(err.text, "line 1, column 5"));
    bson_destroy(&doc);
    _cleanup_(buf_release) struct buf text = {0};
    buf_init(&text, 1 << 20);
    buf_add_char(&text, '[');
    for (int i = 0; i < 5000; i++)
        buf_add_text(&text, i ? ",\"\"" : "\"\"");
    buf_add_char(&text, ']');
    arena_reset(&small);
    assert_int_equal(compare_read_json(buf_span(&text), &small, &tree, &err), ERR_LIMIT);
    arena_release(&small);
}

static void lists_of_documents(void **state) {
    (void)state;
    bson_t one = BSON_INITIALIZER, two = BSON_INITIALIZER;
    BSON_APPEND_INT32(&one, "id", 1);
    BSON_APPEND_INT32(&two, "id", 2);
    const struct span both[] = {span_make(bson_get_data(&one), one.len),
                                span_make(bson_get_data(&two), two.len)};
    struct arena arena;
    struct compare_tree tree, none;
    struct err err;
    struct try_tree json_tree;
    _cleanup_(buf_release) struct buf out = {0};
    buf_init(&out, 1 << 10);
    arena_init(&arena, TRY_MEMORY);
    assert_int_equal(compare_read_bson_list(both, 2, &arena, &tree, &err), 0);
    assert_int_equal(compare_read_bson_list(NULL, 0, &arena, &none, &err), 0);
    try_read(TRY_JSON, "[{\"id\":1.0},{\"id\":2}]", &json_tree);
    try_trees(&exact, &tree, &json_tree.tree, &out);
    assert_string_equal(buf_text(&out), "");
    try_trees(WITH(COMPARE_EXACT, {.path = "", .key = "id"}), &tree, &none, &out);
    assert_string_equal(buf_text(&out), "missing [id=1]; missing [id=2]");
    const struct span bad[] = {both[0], span_make("x", 1)};
    assert_int_equal(compare_read_bson_list(bad, 2, &arena, &tree, &err), ERR_VALUE);
    assert_string_equal(err.text, "document 2: the BSON document is damaged");
    try_release(&json_tree);
    arena_release(&arena);
    bson_destroy(&one);
    bson_destroy(&two);
}

/* ---- shown ---- */

static void shows(enum try_as as, const char *text, size_t max, const char *expected) {
    struct try_tree t, again;
    _cleanup_(buf_release) struct buf out = {0};
    buf_init(&out, 1 << 16);
    try_read(as, text, &t);
    compare_show(t.tree.nodes, max, &out);
    assert_string_equal(buf_text(&out), expected);
    try_read(TRY_JSON, buf_text(&out), &again); /* what is cut is still JSON */
    try_release(&again);
    try_release(&t);
}

static void values_as_json(void **state) {
    (void)state;
    shows(TRY_JSON, "{\"a\":[1,2.50,\"x\\\"\",null,true,{}],\"b\":[]}", SIZE_MAX,
          "{\"a\":[1,2.50,\"x\\\"\",null,true,{}],\"b\":[]}");
    shows(TRY_BSON,
          "{\"a\":" DECIMAL("2.50") ",\"b\":1.0,\"c\":0.1,\"d\":" DOUBLE("NaN") ",\"e\":" DATE(
              "1771622898123") ",\"f\":" UUID ",\"g\":{\"$oid\":\"507f1f77bcf86cd799439011\"},"
                               "\"h\":{\"$binary\":{\"base64\":\"AAE=\",\"subType\":\"05\"}},"
                               "\"i\":1e300,\"j\":{\"$maxKey\":1}}",
          SIZE_MAX,
          "{\"a\":{\"$numberDecimal\":\"2.50\"},\"b\":1.0,\"c\":0.1,\"d\":{\"$numberDouble\":"
          "\"NaN\"},"
          "\"e\":{\"$date\":\"2026-02-20T21:28:18.123Z\"},"
          "\"f\":{\"$uuid\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"},"
          "\"g\":{\"$oid\":\"507f1f77bcf86cd799439011\"},"
          "\"h\":{\"$binary\":{\"hex\":\"0001\",\"subType\":\"05\"}},\"i\":1e+300,"
          "\"j\":{\"$bson\":{\"hex\":\"\",\"type\":\"7f\"}}}");
    shows(TRY_JSON, "\"abcdef\"", 6, "\"abcdef\"");
    shows(TRY_JSON, "\"abcdef\"", 4, "\"abcd...\"");
    shows(TRY_JSON, "\"abc\xc3\xa9g\"", 4, "\"abc...\"");
    shows(TRY_JSON, "[1,2,3,4,5,6]", 5, "[1,2,\"...\"]");
    shows(TRY_JSON, "{\"a\":{\"b\":\"0123456789\",\"c\":1},\"d\":1}", 16,
          "{\"a\":{\"b\":\"012345...\",\"...\":\"...\"},\"...\":\"...\"}");
    shows(TRY_JSON, "[\"a\"]", 0, "[\"...\"]");
    _cleanup_(buf_release) struct buf out = {0};
    buf_init(&out, 100);
    compare_show(NULL, 10, &out);
    compare_show_masked(NULL, SPAN_LIT("k"), &out);
    assert_int_equal(out.len, 0);
}

static void masked(enum try_as as, const char *text, const char *key, struct buf *out) {
    struct try_tree t;
    try_read(as, text, &t);
    buf_clear(out);
    compare_show_masked(t.tree.nodes->type == COMPARE_OBJECT ? t.tree.nodes + 1 : t.tree.nodes,
                        span_of(key), out);
    try_release(&t);
}

static void masked_values(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf a = {0}, b = {0};
    buf_init(&a, 1000);
    buf_init(&b, 1000);
    masked(TRY_JSON, "\"ada@example.com\"", "key", &a);
    /* The first 8 bytes of HMAC-SHA-256 under "key" of the byte 5 and the text in quotes. */
    assert_string_equal(buf_text(&a),
                        "{\"masked\":\"string\",\"length\":15,\"hash\":\"11fb0130c23fdb32\"}");
    masked(TRY_JSON, "\"ada@example.com\"", "other", &b);
    assert_string_not_equal(buf_text(&a), buf_text(&b));
    masked(TRY_JSON, "\"ada@example.con\"", "key", &b);
    assert_string_not_equal(buf_text(&a), buf_text(&b));
    /* Equal numbers, whatever their type. */
    static const char *const ones[] = {"{\"v\":1}", "{\"v\":1.0}", "{\"v\":" DECIMAL("1.00") "}"};
    for (size_t i = 0; i < 3; i++) {
        masked(TRY_BSON, ones[i], "key", i ? &b : &a);
        if (i)
            assert_string_equal(strstr(buf_text(&a), "hash"), strstr(buf_text(&b), "hash"));
    }
    masked(TRY_JSON, "{\"v\":\"1\"}", "key", &b);
    assert_string_not_equal(strstr(buf_text(&a), "hash"), strstr(buf_text(&b), "hash"));
    masked(TRY_JSON, "{\"v\":[1,2,3]}", "", &b);
    assert_non_null(strstr(buf_text(&b), "{\"masked\":\"array\",\"length\":3,\"hash\":\""));
}

/* The name at the end of a buffer, so that a sanitizer sees what is read behind it. */
static void check_name(size_t len, const char *letters) {
    char *bytes = malloc(len + 1);
    uint32_t hash = 1;
    for (size_t i = 0; i < len; i++)
        bytes[i] = letters[i % strlen(letters)];
    bytes[len] = 0;
    struct span name = compare_name(bytes, bytes + len + 1, &hash);
    assert_ptr_equal(name.ptr, bytes);
    assert_int_equal(name.len, len);
    assert_int_equal(hash, compare_hash(name));
    assert_null(compare_name(bytes, bytes + len, &hash).ptr); /* without the zero */
    free(bytes);
}

static uint32_t hash_of(const char *name) {
    return compare_hash(span_of(name));
}

static void names_of_bson(void **state) {
    (void)state;
    static const char *const letters[] = {"n", "abcDEfgh1", "_", "snake_case", "\xc3\xa9_", "\x01"};
    for (size_t len = 0; len < 150; len++)
        for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
            check_name(len, letters[i]);
    assert_int_equal(hash_of("unit_price_net"), hash_of("unitPriceNet"));
    assert_int_equal(hash_of("_id"), hash_of("ID"));
    assert_int_not_equal(hash_of("unitPrice"), hash_of("unitPrico"));
    assert_int_not_equal(hash_of("abcdefgh"), hash_of("abcdefg"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_exactly),
        cmocka_unit_test(numbers_mapped),
        cmocka_unit_test(numbers_of_the_reference),
        cmocka_unit_test(booleans),
        cmocka_unit_test(dates),
        cmocka_unit_test(uuids_and_bytes),
        cmocka_unit_test(decimals_as_text),
        cmocka_unit_test(names_of_bson),
        cmocka_unit_test(damaged_bson),
        cmocka_unit_test(limits_of_readers),
        cmocka_unit_test(lists_of_documents),
        cmocka_unit_test(values_as_json),
        cmocka_unit_test(masked_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

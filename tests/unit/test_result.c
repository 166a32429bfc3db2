/* Rows as JSON: equal values have equal bytes, every digit is there. */
#include "operation/operation.h"
#include "operation/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void shows(const char *extended, const char *wanted, enum operation_numbers numbers) {
    bson_error_t e;
    bson_iter_t it;
    bson_t *doc = bson_new_from_json((const uint8_t *)extended, -1, &e);
    _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
    if (!doc)
        fail_msg("%s: %s", extended, e.message);
    assert_true(bson_iter_init_find(&it, doc, "v"));
    assert_true(result_add_value(&it, numbers, 1, &out));
    if (strcmp(buf_text(&out), wanted) != 0)
        fail_msg("%s\n  gives  %s\n  wanted %s", extended, buf_text(&out), wanted);
    bson_destroy(doc);
}

static void plain(const char *extended, const char *wanted) {
    shows(extended, wanted, OPERATION_NUMBERS_PLAIN);
}

static void integers(void **state) {
    (void)state;
    plain("{\"v\": {\"$numberInt\": \"7\"}}", "7");
    plain("{\"v\": {\"$numberLong\": \"7\"}}", "7");
    plain("{\"v\": {\"$numberDouble\": \"7.0\"}}", "7");
    plain("{\"v\": {\"$numberDecimal\": \"7\"}}", "7");
    plain("{\"v\": {\"$numberLong\": \"-9223372036854775808\"}}", "-9223372036854775808");
    shows("{\"v\": {\"$numberLong\": \"9007199254740993\"}}", "\"9007199254740993\"",
          OPERATION_NUMBERS_STRING);
    shows("{\"v\": {\"$numberInt\": \"3\"}}", "\"3\"", OPERATION_NUMBERS_STRING);
}

static void decimals(void **state) {
    (void)state;
    plain("{\"v\": {\"$numberDecimal\": \"12.50\"}}", "12.50");
    plain("{\"v\": {\"$numberDecimal\": \"-0.001\"}}", "-0.001");
    plain("{\"v\": {\"$numberDecimal\": \"1E+3\"}}", "1000");
    plain("{\"v\": {\"$numberDecimal\": \"1.25E-10\"}}", "0.000000000125");
    plain("{\"v\": {\"$numberDecimal\": \"0E-2\"}}", "0.00");
    plain("{\"v\": {\"$numberDecimal\": \"0E+3\"}}", "0");
    plain("{\"v\": {\"$numberDecimal\": \"0\"}}", "0");
    plain("{\"v\": {\"$numberDecimal\": \"-0.00\"}}", "0.00");
    plain("{\"v\": {\"$numberDecimal\": \"1234567890123456789012345678901234\"}}",
          "1234567890123456789012345678901234");
    plain("{\"v\": {\"$numberDecimal\": \"1.234567890123456789012345678901234E+35\"}}",
          "123456789012345678901234567890123400");
    plain("{\"v\": {\"$numberDecimal\": \"NaN\"}}", "\"NaN\"");
    plain("{\"v\": {\"$numberDecimal\": \"-Infinity\"}}", "\"-Infinity\"");
    shows("{\"v\": {\"$numberDecimal\": \"12.50\"}}", "\"12.50\"", OPERATION_NUMBERS_STRING);
}

static void doubles(void **state) {
    (void)state;
    plain("{\"v\": 0.1}", "0.1");
    plain("{\"v\": 0.30000000000000004}", "0.30000000000000004");
    plain("{\"v\": {\"$numberDouble\": \"-0.0\"}}", "0");
    plain("{\"v\": 1e300}", "1e+300");
    plain("{\"v\": 123456789012345.0}", "123456789012345");
    /* as the same number is written that came as an integer */
    plain("{\"v\": {\"$numberDouble\": \"1e15\"}}", "1000000000000000");
    plain("{\"v\": {\"$numberDouble\": \"9007199254740994\"}}", "9007199254740994");
    plain("{\"v\": {\"$numberDouble\": \"-9223372036854775808\"}}", "-9223372036854775808");
    plain("{\"v\": {\"$numberDouble\": \"9223372036854775808\"}}", "9.223372036854776e+18");
    plain("{\"v\": {\"$numberDouble\": \"NaN\"}}", "\"NaN\"");
    plain("{\"v\": {\"$numberDouble\": \"Infinity\"}}", "\"Infinity\"");
    shows("{\"v\": 0.1}", "0.1", OPERATION_NUMBERS_STRING);
}

static void dates(void **state) {
    (void)state;
    plain("{\"v\": {\"$date\": {\"$numberLong\": \"0\"}}}", "\"1970-01-01T00:00:00.000Z\"");
    plain("{\"v\": {\"$date\": {\"$numberLong\": \"-1\"}}}", "\"1969-12-31T23:59:59.999Z\"");
    plain("{\"v\": {\"$date\": {\"$numberLong\": \"1709164800123\"}}}",
          "\"2024-02-29T00:00:00.123Z\"");
    plain("{\"v\": {\"$date\": {\"$numberLong\": \"253402300800000\"}}}",
          "\"+010000-01-01T00:00:00.000Z\"");
    plain("{\"v\": {\"$date\": {\"$numberLong\": \"-62167219200001\"}}}",
          "\"-000001-12-31T23:59:59.999Z\"");
}

static void bytes(void **state) {
    (void)state;
    plain("{\"v\": {\"$binary\": {\"base64\": \"AP8=\", \"subType\": \"00\"}}}", "\"AP8=\"");
    plain("{\"v\": {\"$binary\": {\"base64\": \"\", \"subType\": \"00\"}}}", "\"\"");
    plain("{\"v\": {\"$uuid\": \"0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a\"}}",
          "\"0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a\"");
    plain("{\"v\": {\"$oid\": \"65f000000000000000000001\"}}", "\"65f000000000000000000001\"");
}

static void structures(void **state) {
    (void)state;
    plain("{\"v\": {\"a\": [1, null, true], \"b\": {}}}", "{\"a\":[1,null,true],\"b\":{}}");
    plain("{\"v\": \"quote \\\" and \\u0007\"}", "\"quote \\\" and \\u0007\"");
    plain("{\"v\": {\"$minKey\": 1}}", " { \"$minKey\" : 1 } ");
}

static void answers(void **state) {
    (void)state;
    struct conf_operation o = {.returns = CONF_RETURNS_MANY};
    struct operation_answer a = {.bson = {.max = 1000}};
    _cleanup_(buf_release) struct buf out = {.max = 1000};
    struct err err = {0};
    bson_t *rows = BCON_NEW("0", "{", "a", BCON_INT32(1), "}", "1", "{", "a", BCON_NULL, "}");
    buf_add(&a.bson, bson_get_data(rows), rows->len);
    assert_int_equal(operation_json(&o, &a, OPERATION_NUMBERS_PLAIN, &out, &err), 0);
    assert_string_equal(buf_text(&out), "[{\"a\":1},{\"a\":null}]");
    struct buf small = {.max = 10};
    assert_int_equal(operation_json(&o, &a, OPERATION_NUMBERS_PLAIN, &small, &err), ERR_LIMIT);
    buf_release(&small);
    bson_destroy(rows);
    operation_answer_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(decimals), cmocka_unit_test(doubles),
        cmocka_unit_test(dates),    cmocka_unit_test(bytes),    cmocka_unit_test(structures),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Parameters: every type, what is taken for it and what is not, and its two forms. */
#include "operation/param.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "operation_conf.h"

static const char *const FORM = "sql: SELECT, mongodb: {find: c}, params: {p: %s}";

/* text NULL: null. bson: relaxed extended JSON of {"p": ...}. */
static void reads(const char *type, const char *json, const char *text, const char *bson) {
    _cleanup_(mem_freep) char *keys = mem_printf(FORM, type);
    _cleanup_(mem_freep) char *given = mem_printf("{\"p\": %s}", json);
    struct conf *conf = operation_conf(keys);
    struct arena arena;
    struct params p;
    struct err err = {0};
    arena_init(&arena, 1 << 20);
    if (params_read(OPERATION(conf), &conf->types, span_of(given), &arena, &p, &err) < 0)
        fail_msg("%s %s: %s", type, json, err.text);
    if (text)
        assert_string_equal(p.texts[0].ptr, text);
    else
        assert_null(p.texts[0].ptr);
    char *shown = bson_as_relaxed_extended_json(&p.bson, NULL);
    assert_string_equal(shown, bson);
    bson_free(shown);
    arena_release(&arena);
    conf_free(conf);
}

static void refuses(const char *type, const char *given, const char *wanted) {
    _cleanup_(mem_freep) char *keys = mem_printf(FORM, type);
    struct conf *conf = operation_conf(keys);
    struct arena arena;
    struct params p;
    struct err err = {0};
    arena_init(&arena, 1 << 20);
    assert_int_equal(params_read(OPERATION(conf), &conf->types, span_of(given), &arena, &p, &err),
                     ERR_USAGE);
    if (strcmp(err.text, wanted) != 0)
        fail_msg("%s %s\n  gives  %s\n  wanted %s", type, given, err.text, wanted);
    arena_release(&arena);
    conf_free(conf);
}

static void numbers(void **state) {
    (void)state;
    reads("bool", "true", "true", "{ \"p\" : true }");
    reads("int32", "-2147483648", "-2147483648", "{ \"p\" : -2147483648 }");
    reads("int64", "9223372036854775807", "9223372036854775807", "{ \"p\" : 9223372036854775807 }");
    reads("int64", "\"12\"", "12", "{ \"p\" : 12 }");
    reads("double", "0.1", "0.1", "{ \"p\" : 0.10000000000000000555 }");
    reads("decimal", "1234567890123456789012345678901.234", "1234567890123456789012345678901.234",
          "{ \"p\" : { \"$numberDecimal\" : \"1234567890123456789012345678901.234\" } }");
    refuses("bool", "{\"p\": 1}", "parameter 'p': must be true or false");
    refuses("int32", "{\"p\": 2147483648}",
            "parameter 'p': must be a whole number from -2147483648 to 2147483647");
    refuses("int64", "{\"p\": 1.0}", "parameter 'p': must be a whole number of 64 bits");
    refuses("int64", "{\"p\": \"1 OR 1=1\"}", "parameter 'p': must be a whole number of 64 bits");
    refuses("int64", "{\"p\": {\"$ne\": 1}}", "parameter 'p': must be a whole number of 64 bits");
    refuses("double", "{\"p\": \"NaN\"}", "parameter 'p': must be a number");
    refuses("double", "{\"p\": 1e999}", "parameter 'p': must be a number that a double can hold");
    refuses("decimal", "{\"p\": 12345678901234567890123456789012345}",
            "parameter 'p': must be a number of at most 34 digits");
}

static void texts(void **state) {
    (void)state;
    reads("string", "\"it's; DROP TABLE t--\\u00e9\"", "it's; DROP TABLE t--\xc3\xa9",
          "{ \"p\" : \"it's; DROP TABLE t--\xc3\xa9\" }");
    reads("uuid", "\"0B2F4F2C-7d1a-4c7e-9a55-0e2d1f3c4b5a\"",
          "0B2F4F2C-7d1a-4c7e-9a55-0e2d1f3c4b5a",
          "{ \"p\" : { \"$binary\" : { \"base64\" : \"Cy9PLH0aTH6aVQ4tHzxLWg==\", \"subType\" : "
          "\"04\" } } }");
    reads("objectid", "\"65f000000000000000000001\"", "65f000000000000000000001",
          "{ \"p\" : { \"$oid\" : \"65f000000000000000000001\" } }");
    reads("bytes", "\"AP8=\"", "\\x00ff",
          "{ \"p\" : { \"$binary\" : { \"base64\" : \"AP8=\", \"subType\" : \"00\" } } }");
    reads("bytes", "\"\"", "\\x",
          "{ \"p\" : { \"$binary\" : { \"base64\" : \"\", \"subType\" : \"00\" } } }");
    reads("{type: string, max: 2}", "\"\\u00e9\\u00e9\"", "\xc3\xa9\xc3\xa9",
          "{ \"p\" : \"\xc3\xa9\xc3\xa9\" }");
    refuses("string", "{\"p\": 7}", "parameter 'p': must be a string");
    refuses("string", "{\"p\": {\"$gt\": \"\"}}", "parameter 'p': must be a string");
    refuses("string", "{\"p\": \"a\\u0000b\"}", "parameter 'p': must be a string without NUL");
    refuses("{type: string, max: 2}", "{\"p\": \"abc\"}",
            "parameter 'p': must have at most 2 characters");
    refuses("bytes", "{\"p\": \"AP9=\"}", "parameter 'p': must be bytes in base64");
    refuses("bytes", "{\"p\": \"=\"}", "parameter 'p': must be bytes in base64");
    refuses("bytes", "{\"p\": \"A===\"}", "parameter 'p': must be bytes in base64");
    refuses("objectid", "{\"p\": \"65f\"}", "parameter 'p': must be an ObjectId of 24 hex digits");
}

static void dates(void **state) {
    (void)state;
    reads("date", "\"2024-02-29\"", "2024-02-29",
          "{ \"p\" : { \"$date\" : \"2024-02-29T00:00:00Z\" } }");
    reads("timestamp", "\"2024-02-29T10:00:00.123456+02:00\"", "2024-02-29T10:00:00.123456+02:00",
          "{ \"p\" : { \"$date\" : \"2024-02-29T08:00:00.123Z\" } }");
    refuses("date", "{\"p\": \"2023-02-29\"}", "parameter 'p': must be a date such as 2027-02-01");
    refuses("date", "{\"p\": \"infinity\"}", "parameter 'p': must be a date such as 2027-02-01");
    refuses("timestamp", "{\"p\": \"2024-02-29T10:00:00\"}",
            "parameter 'p': must be a time with its zone, such as 2027-02-01T10:00:00Z");
    refuses("timestamp", "{\"p\": \"2024-02-29T25:00:00Z\"}",
            "parameter 'p': must be a time with its zone, such as 2027-02-01T10:00:00Z");
}

static void documents(void **state) {
    (void)state;
    reads("json", "{\"a\": [1, 2.5, null]}", "{\"a\": [1, 2.5, null]}",
          "{ \"p\" : { \"a\" : [ 1, { \"$numberDecimal\" : \"2.5\" }, null ] } }");
    refuses("json", "{\"p\": {\"$where\": \"1\"}}",
            "parameter 'p': must be JSON in which no key begins with '$'");
    refuses("json", "{\"p\": {\"a\": [{\"\\u0024gt\": 1}]}}",
            "parameter 'p': must be JSON in which no key begins with '$'");
    reads("json", "\"$where\"", "\"$where\"", "{ \"p\" : \"$where\" }");
}

static void arrays(void **state) {
    (void)state;
    reads("'int64[]'", "[1, 2]", "{\"1\",\"2\"}", "{ \"p\" : [ 1, 2 ] }");
    reads("'string[]'", "[\"a,\\\"b\\\\\", \"NULL\", \"\"]", "{\"a,\\\"b\\\\\",\"NULL\",\"\"}",
          "{ \"p\" : [ \"a,\\\"b\\\\\", \"NULL\", \"\" ] }");
    reads("'string[]'", "[]", "{}", "{ \"p\" : [  ] }");
    refuses("'string[]'", "{\"p\": \"a\"}", "parameter 'p': must be an array");
    refuses("'string[]'", "{\"p\": [\"a\", null]}", "parameter 'p': element 2: must not be null");
    refuses("{type: \"int64[]\", max: 1}", "{\"p\": [1, 2]}",
            "parameter 'p': must have at most 1 elements");
}

static void absent(void **state) {
    (void)state;
    refuses("int64", "{}", "parameter 'p': is missing");
    refuses("int64", "", "parameter 'p': is missing");
    refuses("int64", "{\"p\": null}", "parameter 'p': must not be null");
    refuses("int64", "{\"q\": 1}", "operation 'o' has no parameter \"q\"");
    refuses("int64", "[1]", "the parameters must be an object");
    reads("{type: int64, null: true}", "null", NULL, "{ \"p\" : null }");
    refuses("{type: int64, max: 7}", "{\"p\": 8}", "parameter 'p': must be at most 7");
    struct conf *conf =
        operation_conf("sql: SELECT, mongodb: {find: c}, params: {n: {type: int64, default: 20}}");
    struct arena arena;
    struct params p;
    struct err err = {0};
    arena_init(&arena, 1 << 20);
    assert_int_equal(params_read(OPERATION(conf), &conf->types, SPAN_LIT("{}"), &arena, &p, &err),
                     0);
    assert_string_equal(p.texts[0].ptr, "20");
    arena_release(&arena);
    conf_free(conf);
}

static void patterns(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    assert_string_equal(param_like(SPAN_LIT("50%_\\x"), &arena).ptr, "50\\%\\_\\\\x");
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),   cmocka_unit_test(texts),  cmocka_unit_test(dates),
        cmocka_unit_test(documents), cmocka_unit_test(arrays), cmocka_unit_test(absent),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The strict JSON reader: what it takes, what it refuses and where, and what it hands out. */
#include "base/json_read.h"

#include "base/buf.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 3000

static struct json_node nodes[NODES];

static int parse(struct json_doc *d, const char *text, struct err *err) {
    *err = (struct err){0};
    return json_parse(d, span_of(text), nodes, NODES, err);
}

static void takes_what_is_json(void **state) {
    (void)state;
    static const char *const good[] = {"0",
                                       "-0",
                                       "-0.0e+10",
                                       "1E5",
                                       "true",
                                       " null ",
                                       "\"\"",
                                       "[]",
                                       "{}",
                                       "[ ]",
                                       "{ }",
                                       "[1,2,[3]]",
                                       "{\"a\":1,\"b\":{\"a\":2}}",
                                       "\"\\ud83d\\ude00\\u0000\"",
                                       "\"\xc3\xa9\x7f\"",
                                       "{\"\":1}",
                                       "\t\r\n[\n1 , 2]\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct json_doc d;
        struct err err;
        if (parse(&d, good[i], &err) < 0)
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void refuses_what_is_not_and_says_where(void **state) {
    (void)state;
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "line 1, column 1: the text ends where a value should be"},
        {"{\"a\":1,}", "line 1, column 8: a name in quotes is missing"},
        {"[1,\n 2,]", "line 2, column 4: not a value"},
        {"[1 2]", "line 1, column 4: a comma or ] is missing"},
        {"{\"a\" 1}", "line 1, column 6: a colon is missing"},
        {"{\"a\":1 \"b\":2}", "line 1, column 8: a comma or } is missing"},
        {"{\"a\":1,\"\\u0061\":2}", "line 1, column 8: the name is there twice"},
        {"01", "line 1, column 2: a number must not begin with 0"},
        {"-", "line 1, column 2: a digit is missing"},
        {"1.", "line 1, column 3: a digit is missing behind the point"},
        {"1e+", "line 1, column 4: the exponent has no digit"},
        {"+1", "line 1, column 1: not a value"},
        {"NaN", "line 1, column 1: not a value"},
        {"tru", "line 1, column 1: not a value"},
        {"truex", "line 1, column 5: something follows the value"},
        {"{} {}", "line 1, column 4: something follows the value"},
        {"\"a", "line 1, column 3: the text ends inside a string"},
        {"\"\n\"", "line 1, column 2: a control character in a string must be escaped"},
        {"\"\\x\"",
         "line 1, column 2: not an escape that JSON has (half a surrogate pair is none)"},
        {"\"\\ud800\"",
         "line 1, column 2: not an escape that JSON has (half a surrogate pair is none)"},
        {"\"\\ud800\\ud800\"",
         "line 1, column 2: not an escape that JSON has (half a surrogate pair is none)"},
        {"\"\\udc00\"",
         "line 1, column 2: not an escape that JSON has (half a surrogate pair is none)"},
        {"\"\xc0\x80\"", "line 1, column 2: not UTF-8"},
        {"\"\xed\xa0\x80\"", "line 1, column 2: not UTF-8"},
        {"'a'", "line 1, column 1: not a value"},
        {"[1]//", "line 1, column 4: something follows the value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_doc d;
        struct err err;
        assert_int_equal(parse(&d, bad[i].text, &err), ERR_VALUE);
        assert_string_equal(err.text, bad[i].error);
    }
}

static void every_prefix_of_a_text_is_refused(void **state) {
    (void)state;
    const char *text =
        "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":\"\xc3\xa9\"}}";
    for (size_t n = 0; n < strlen(text); n++) {
        _cleanup_(mem_freep) char *copy = mem_alloc(n);
        memcpy(copy, text, n);
        struct json_doc d;
        assert_int_equal(json_parse(&d, span_make(copy, n), nodes, NODES, NULL), ERR_VALUE);
    }
}

static void limits_hold(void **state) {
    (void)state;
    struct json_doc d;
    struct err err = {0};
    char deep[2 * JSON_DEPTH_MAX + 3] = {0};
    memset(deep, '[', JSON_DEPTH_MAX);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(parse(&d, deep, &err), 0);
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(parse(&d, deep, &err), ERR_LIMIT);
    assert_string_equal(err.text, "line 1, column 33: too deep");

    char digits[JSON_NUMBER_MAX + 2];
    memset(digits, '1', sizeof digits);
    digits[JSON_NUMBER_MAX + 1] = '\0';
    assert_int_equal(parse(&d, digits, &err), ERR_LIMIT);
    assert_int_equal(parse(&d, digits + 1, &err), 0);

    _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
    buf_add_char(&b, '{');
    for (int i = 0; i < JSON_MEMBERS_MAX; i++)
        buf_printf(&b, "%s\"n%d\":0", i ? "," : "", i);
    size_t full = b.len;
    buf_add_char(&b, '}');
    assert_int_equal(parse(&d, buf_text(&b), &err), 0);
    b.len = full;
    buf_add_text(&b, ",\"more\":0}");
    assert_int_equal(parse(&d, buf_text(&b), &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "too many members in one object"));

    assert_int_equal(json_parse(&d, span_of("[1,2]"), nodes, 3, &err), 0);
    assert_int_equal(json_parse(&d, span_of("[1,2]"), nodes, 2, &err), ERR_LIMIT);
    assert_string_equal(err.text, "line 1, column 4: too many values in one text");
}

static void members_are_found_and_walked(void **state) {
    (void)state;
    struct json_doc d;
    struct err err;
    char seen[128] = "";
    assert_int_equal(
        parse(&d, "{\"a\":[1,[2,3],{\"x\":4}],\"b\\u0021\":{\"a\":5},\"c\":null}", &err), 0);
    const struct json_node *root = json_root(&d);
    for (const struct json_node *n = json_first(&d, root); n; n = json_next(&d, root, n)) {
        size_t len = strlen(seen);
        struct span name;
        char space[16];
        assert_true(json_string(&d, n, space, sizeof space, &name));
        (void)snprintf(seen + len, sizeof seen - len, "%.*s=%.*s;", SPAN_ARG(name),
                       SPAN_ARG(json_raw(&d, json_value(n))));
    }
    assert_string_equal(seen, "a=[1,[2,3],{\"x\":4}];b!={\"a\":5};c=null;");
    const struct json_node *a = json_member(&d, root, "a");
    assert_int_equal(a->count, 3);
    int values = 0;
    for (const struct json_node *n = json_first(&d, a); n; n = json_next(&d, a, n))
        values++;
    assert_int_equal(values, 3);
    assert_non_null(json_member(&d, json_member(&d, root, "b!"), "a"));
    assert_null(json_member(&d, root, "x"));
    assert_null(json_member(&d, a, "a"));
    assert_null(json_member(&d, json_member(&d, root, "gone"), "a"));
    assert_null(json_first(&d, json_member(&d, root, "c")));
}

static void strings_are_decoded(void **state) {
    (void)state;
    struct json_doc d;
    struct err err;
    struct span s;
    char space[32];
    assert_int_equal(parse(&d, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00x\"", &err), 0);
    const char *meant = "\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80x";
    assert_true(json_string(&d, json_root(&d), space, sizeof space, &s));
    assert_int_equal(s.len, strlen(meant));
    assert_memory_equal(s.ptr, meant, s.len);
    assert_true(json_is(&d, json_root(&d), meant));
    assert_false(json_is(&d, json_root(&d), "\"\\/"));
    assert_false(json_string(&d, json_root(&d), space, strlen(meant) - 1, &s));
    assert_int_equal(parse(&d, "\"a\\u0000b\"", &err), 0);
    assert_true(json_string(&d, json_root(&d), space, sizeof space, &s));
    assert_int_equal(s.len, 3);
    assert_false(json_is(&d, json_root(&d), "a"));
    assert_int_equal(parse(&d, "5", &err), 0);
    assert_false(json_string(&d, json_root(&d), space, sizeof space, &s));
}

static void copies_are_bounded(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *copy; /* NULL: refused */
    } t[] = {{"\"\"", ""},
             {"\"abc\"", "abc"},
             {"\"abcd\"", NULL},
             {"\"\\n\\tc\"", "\n\tc"},
             {"\"\\n\\tcd\"", NULL},
             {"\"a\\u0000\"", NULL},
             {"5", NULL},
             {"null", NULL}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct json_doc d;
        struct err err;
        char to[5] = {'#', '#', '#', '#', '!'};
        assert_int_equal(parse(&d, t[i].text, &err), 0);
        assert_int_equal(json_copy(&d, json_root(&d), to, 4), t[i].copy != NULL);
        if (t[i].copy)
            assert_string_equal(to, t[i].copy);
        assert_int_equal(to[4], '!');
    }
    assert_false(json_copy(NULL, NULL, NULL, 4));
}

static void numbers_are_exact_or_nothing(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t v;
    } t[] = {{"0", true, 0},
             {"-0", true, 0},
             {"9223372036854775807", true, INT64_MAX},
             {"-9223372036854775808", true, INT64_MIN},
             {"9223372036854775808", false, 0},
             {"-9223372036854775809", false, 0},
             {"1.0", false, 0},
             {"1e2", false, 0},
             {"\"1\"", false, 0}};
    struct json_doc d;
    struct err err;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t v = 77;
        assert_int_equal(parse(&d, t[i].text, &err), 0);
        assert_int_equal(json_int(&d, json_root(&d), &v), t[i].is_int);
        assert_true(v == (t[i].is_int ? t[i].v : 77));
    }
    double x = 0;
    bool b = false;
    assert_int_equal(parse(&d, "-12.5e-1", &err), 0);
    assert_true(json_double(&d, json_root(&d), &x) && x == -1.25);
    assert_false(json_bool(json_root(&d), &b));
    assert_int_equal(parse(&d, "1e999", &err), 0);
    assert_false(json_double(&d, json_root(&d), &x));
    assert_int_equal(parse(&d, "true", &err), 0);
    assert_true(json_bool(json_root(&d), &b) && b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_json),
        cmocka_unit_test(refuses_what_is_not_and_says_where),
        cmocka_unit_test(every_prefix_of_a_text_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(members_are_found_and_walked),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(copies_are_bounded),
        cmocka_unit_test(numbers_are_exact_or_nothing),
    };
    return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}

/* COPY's text format, unescaped in place. */
#include "db/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COLUMNS 4

/* Splits a copy of exactly `len` bytes, so that a sanitizer sees a read behind the line. */
struct line {
    char *bytes;
    bool ok;
    struct span columns[COLUMNS];
};

static struct line split_bytes(const char *text, size_t len, size_t count) {
    struct line l = {.bytes = malloc(len ? len : 1)};
    memcpy(l.bytes, text, len);
    l.ok = pg_copy_split(l.bytes, len, l.columns, count);
    return l;
}

#define split(literal, count) split_bytes((literal), sizeof(literal) - 1, (count))

static void expect_one_bytes(const char *text, size_t len, const char *value, size_t value_len) {
    struct line l = split_bytes(text, len, 1);
    assert_true(l.ok);
    assert_non_null(l.columns[0].ptr);
    assert_int_equal(l.columns[0].len, value_len);
    assert_memory_equal(l.columns[0].ptr, value, value_len);
    free(l.bytes);
}

#define expect_one(text, value) expect_one_bytes(text, sizeof(text) - 1, value, sizeof(value) - 1)

static void expect_refused(const char *text, size_t count) {
    struct line l = split_bytes(text, strlen(text), count);
    assert_false(l.ok);
    free(l.bytes);
}

static void columns_are_split_at_tabs(void **state) {
    (void)state;
    struct line l = split("1\ttwo\t\tfour 4", 4);
    assert_true(l.ok);
    assert_true(span_is(l.columns[0], "1"));
    assert_true(span_is(l.columns[1], "two"));
    assert_true(span_is(l.columns[2], ""));
    assert_non_null(l.columns[2].ptr);
    assert_true(span_is(l.columns[3], "four 4"));
    free(l.bytes);
}

static void null_is_not_an_empty_text(void **state) {
    (void)state;
    struct line l = split("\\N\t\t\\N", 3);
    assert_true(l.ok);
    assert_null(l.columns[0].ptr);
    assert_non_null(l.columns[1].ptr);
    assert_int_equal(l.columns[1].len, 0);
    assert_null(l.columns[2].ptr);
    free(l.bytes);
}

/* The text \N of a value comes with its backslash doubled; N behind or before it is no null. */
static void only_the_whole_value_is_null(void **state) {
    (void)state;
    expect_one("\\\\N", "\\N");
    expect_one("\\Nx", "Nx");
    expect_one("x\\N", "xN");
}

static void letters_stand_for_control_characters(void **state) {
    (void)state;
    expect_one("\\b\\f\\n\\r\\t\\v\\\\", "\b\f\n\r\t\v\\");
    expect_one("a\\tb", "a\tb");
    expect_one("line 1\\nline 2\\n", "line 1\nline 2\n");
}

static void octal_takes_up_to_three_digits(void **state) {
    (void)state;
    expect_one("\\1", "\001");
    expect_one("\\12x", "\nx");
    expect_one("\\1014", "A4");
    expect_one("\\0", "\0");
    expect_one("\\18", "\0018");
    expect_one("\\377", "\377");
    expect_one("\\777", "\377"); /* the low eight bits, as in PostgreSQL */
}

static void hexadecimal_takes_up_to_two_digits(void **state) {
    (void)state;
    expect_one("\\x41", "A");
    expect_one("\\x4g", "\004g");
    expect_one("\\xfF1", "\3771");
    expect_one("\\x", "x");
    expect_one("\\xg", "xg");
    /* bytea: its own backslash is escaped */
    expect_one("\\\\xdeadbeef", "\\xdeadbeef");
}

static void other_characters_stand_for_themselves(void **state) {
    (void)state;
    expect_one("\\a\\\"\\.", "a\".");
    expect_one("\\8", "8");
}

static void json_and_unicode_pass(void **state) {
    (void)state;
    expect_one("{\"a\": \"q\\\\\"uote\"}", "{\"a\": \"q\\\"uote\"}");
    expect_one("Z\303\274rich \342\202\254", "Z\303\274rich \342\202\254");
}

static void columns_behind_an_escape_stay_right(void **state) {
    (void)state;
    struct line l = split("a\\\\b\tc\\td\t\\N\te", 4);
    assert_true(l.ok);
    assert_true(span_is(l.columns[0], "a\\b"));
    assert_true(span_is(l.columns[1], "c\td"));
    assert_null(l.columns[2].ptr);
    assert_true(span_is(l.columns[3], "e"));
    free(l.bytes);
}

static void another_number_of_columns_is_refused(void **state) {
    (void)state;
    expect_refused("a", 2);
    expect_refused("a\tb\tc", 2);
    expect_refused("a\tb", 1);
    expect_refused("", 2);
    expect_refused("x", 0);
}

static void an_empty_line_is_one_empty_column(void **state) {
    (void)state;
    expect_one("", "");
}

static void a_broken_escape_is_refused(void **state) {
    (void)state;
    expect_refused("\\", 1);
    expect_refused("abc\\", 1);
    expect_refused("a\tb\\", 2);
    expect_refused("\\\\\\", 1);
}

/* What COPY TO writes for a value: the inverse, written from the documentation. */
static size_t escape(const char *from, size_t len, char *to) {
    static const char plain[] = "\b\f\n\r\t\v\\", letters[] = "bfnrtv\\";
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const char *special = from[i] ? strchr(plain, from[i]) : NULL;
        if (special)
            to[n++] = '\\';
        to[n++] = special ? letters[special - plain] : from[i];
    }
    return n;
}

static void what_copy_writes_comes_back(void **state) {
    (void)state;
    uint64_t random = 42;
    for (int round = 0; round < 2000; round++) {
        char values[COLUMNS][40], line[COLUMNS * 81];
        size_t lens[COLUMNS], n = 0;
        for (int c = 0; c < COLUMNS; c++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            lens[c] = (random >> 33) % sizeof values[c];
            for (size_t i = 0; i < lens[c]; i++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                values[c][i] = "\b\f\n\r\t\v\\Nx41aZ\303\274"[(random >> 33) % 15];
            }
            if (c)
                line[n++] = '\t';
            n += escape(values[c], lens[c], line + n);
        }
        struct line l = split_bytes(line, n, COLUMNS);
        assert_true(l.ok);
        for (int c = 0; c < COLUMNS; c++)
            assert_true(span_eq(l.columns[c], span_make(values[c], lens[c])));
        free(l.bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_split_at_tabs),
        cmocka_unit_test(null_is_not_an_empty_text),
        cmocka_unit_test(only_the_whole_value_is_null),
        cmocka_unit_test(letters_stand_for_control_characters),
        cmocka_unit_test(octal_takes_up_to_three_digits),
        cmocka_unit_test(hexadecimal_takes_up_to_two_digits),
        cmocka_unit_test(other_characters_stand_for_themselves),
        cmocka_unit_test(json_and_unicode_pass),
        cmocka_unit_test(columns_behind_an_escape_stay_right),
        cmocka_unit_test(another_number_of_columns_is_refused),
        cmocka_unit_test(an_empty_line_is_one_empty_column),
        cmocka_unit_test(a_broken_escape_is_refused),
        cmocka_unit_test(what_copy_writes_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

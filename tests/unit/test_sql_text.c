/* The SQL text of operations: what is a parameter and what only looks like one. */
#include "operation/sql_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int find(void *context, struct span name) {
    (void)context;
    return span_is(name, "a") ? 0 : span_is(name, "b") ? 1 : span_is(name, "name_1") ? 2 : -1;
}

static void becomes(const char *text, const char *wanted) {
    struct sql_text t;
    struct err err = {0};
    if (sql_text_compile(span_of(text), find, NULL, &t, &err) < 0)
        fail_msg("%s\n%s", text, err.text);
    assert_string_equal(buf_text(&t.text), wanted);
    sql_text_release(&t);
}

static void stays(const char *text) {
    becomes(text, text);
}

static void refused(const char *text, const char *wanted) {
    struct sql_text t;
    struct err err = {0};
    assert_int_equal(sql_text_compile(span_of(text), find, NULL, &t, &err), ERR_VALUE);
    if (strncmp(err.text, wanted, strlen(wanted)) != 0)
        fail_msg("%s\ngives  %s\nwanted %s", text, err.text, wanted);
}

static void parameters(void **state) {
    (void)state;
    becomes("SELECT :a", "SELECT $1");
    becomes("SELECT :b, :a, :b", "SELECT $1, $2, $1");
    becomes("SELECT :a::int, x::text", "SELECT $1::int, x::text");
    becomes("SELECT ':a'||:a", "SELECT ':a'||$1");
    becomes("SELECT :a|like || '%', :a", "SELECT $1 || '%', $2");
    becomes("SELECT :a|liked", "SELECT $1|liked");
    becomes("SELECT :name_1+1", "SELECT $1+1");
    becomes("SELECT f(x := :a)", "SELECT f(x := $1)");
    becomes("SELECT a[1:2] WHERE c=:a", "SELECT a[1:2] WHERE c=$1");
    becomes("  /* :a */ (SELECT 1) UNION SELECT :a;", "  /* :a */ (SELECT 1) UNION SELECT $1");
    becomes("WITH x AS (SELECT 1) TABLE x", "WITH x AS (SELECT 1) TABLE x");
    becomes("VALUES (:a)", "VALUES ($1)");
}

static void quotes(void **state) {
    (void)state;
    stays("SELECT 'it''s :a', \"odd \"\" :a\" FROM t");
    stays("SELECT '\\', ':a'");                    /* a backslash is itself */
    becomes("SELECT '\\', :a", "SELECT '\\', $1"); /* ... so this string has ended */
    stays("SELECT E'it\\'s :a'");
    stays("SELECT e'\\\\' , 'x :a'");
    becomes("SELECT E'\\\\', :a", "SELECT E'\\\\', $1");
    stays("SELECT E'a'\n  '\\' :a'");   /* goes on as E'' */
    stays("SELECT E'a' -- x\n '\\\\'"); /* no continuation: '\\' is a string of its own */
    becomes("SELECT E'a' '\\', :a", "SELECT E'a' '\\', $1");
    stays("SELECT U&'d\\0061t :a', B'01', X'1f', N':a'");
    becomes("SELECT namee':a', :a", "SELECT namee':a', $1");
}

static void dollars(void **state) {
    (void)state;
    stays("SELECT $$ :a ' $$, $x$ :a $$ $y$ $x$");
    stays("SELECT a$b$c, 1 AS x$1");
    becomes("SELECT $_1$ $ $_1$, :a", "SELECT $_1$ $ $_1$, $1");
    stays("SELECT $\xc3\xa9$ :a $\xc3\xa9$");
    refused("SELECT $1", "$ stands for nothing here");
    refused("SELECT $x$ :a $X$", "a dollar quote does not end, at \"$x$ :a $X$\"");
    refused("SELECT :a$x$ ' $x$", "a $ behind a parameter");
}

static void comments(void **state) {
    (void)state;
    stays("SELECT 1 -- :a ' \" /*\n, 2");
    stays("SELECT 1 /* :a /* ' */ :b */, 2");
    becomes("SELECT 1 --\r:a", "SELECT 1 --\r$1");
    becomes("SELECT 1 /**/+:a", "SELECT 1 /**/+$1");
    refused("SELECT 1 /* /* */", "a comment does not end");
}

static void refusals(void **state) {
    (void)state;
    refused("", "there is no statement");
    refused(" -- SELECT\n", "there is no statement");
    refused("DELETE FROM t",
            "a read begins with SELECT, WITH, VALUES or TABLE, at \"DELETE FROM t\"");
    refused("; SELECT 1", "a read begins with");
    refused(":a", "a read begins with");
    refused("SELECT 1; SELECT 2", "a second statement, at \"SELECT 2\"");
    refused("SELECT 1;;", "a second statement");
    refused("SELECT :c", "there is no such parameter, at \":c\"");
    refused("SELECT :a1", "there is no such parameter");
    refused("SELECT 'x", "a string does not end");
    refused("SELECT \"x", "a quoted name does not end");
    refused("SELECT set_config('transaction_read_only', 'off', false)", "set_config could undo");
    refused("SELECT pg_catalog . SET_CONFIG ('a','b',true)", "set_config could undo");
    refused("SELECT pg_catalog.\"set_config\"('a','b',true)", "set_config could undo");
    refused("SELECT U&\"set\\005fconfig\"('a','b',true)", "a name with escapes");
    stays("SELECT \"set_configs\", \"SET_CONFIG\", u & \"x\" FROM t");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters), cmocka_unit_test(quotes),   cmocka_unit_test(dollars),
        cmocka_unit_test(comments),   cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

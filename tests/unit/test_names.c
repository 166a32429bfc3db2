/* Field names: camel case, and the stated escape of what MongoDB cannot hold well. */
#include "map/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(void (*fn)(struct buf *, const char *), const char *name, const char *expected) {
    struct buf out;
    buf_init(&out, 1000);
    fn(&out, name);
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static void camel_case(void **state) {
    (void)state;
    check(name_camel, "unit_price", "unitPrice");
    check(name_camel, "id", "id");
    check(name_camel, "a_b_c", "aBC");
    check(name_camel, "_private_name", "_privateName");
    check(name_camel, "trailing_", "trailing_");
    check(name_camel, "double__score", "double__score");
    check(name_camel, "line_2", "line_2");
    check(name_camel, "Already_Camel", "Already_Camel");
    check(name_camel, "", "");
}

static void escapes(void **state) {
    (void)state;
    check(name_escape, "a.b",
          "a\xef\xbc\x8e"
          "b");
    check(name_escape, "$set", "\xef\xbc\x84set");
    check(name_escape, "us$", "us$");
    check(name_escape, "a \"b\"", "a \"b\"");
}

static void plain_names(void **state) {
    (void)state;
    assert_true(name_is_plain("price"));
    assert_true(name_is_plain("pri$ce"));
    assert_false(name_is_plain(""));
    assert_false(name_is_plain("a.b"));
    assert_false(name_is_plain("$a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(camel_case),
        cmocka_unit_test(escapes),
        cmocka_unit_test(plain_names),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}

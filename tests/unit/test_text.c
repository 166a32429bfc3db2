/* Small questions about text: numbers and UUIDs. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void shown(double v, const char *wanted) {
    char text[TEXT_DOUBLE_MAX];
    assert_int_equal(text_double(v, text), strlen(wanted));
    assert_string_equal(text, wanted);
    assert_true(strtod(text, NULL) == v);
}

static void doubles(void **state) {
    (void)state;
    shown(0, "0");
    shown(0.1, "0.1");
    shown(0.1 + 0.2, "0.30000000000000004");
    shown(1.0 / 3, "0.3333333333333333");
    shown(-1.7976931348623157e308, "-1.7976931348623157e+308");
    shown(-2.2250738585072014e-308, "-2.2250738585072014e-308");
    shown(5e-324, "4.94065645841247e-324");
    shown(1e15, "1e+15");
}

static void uuids(void **state) {
    (void)state;
    static const unsigned char wanted[16] = {0x0b, 0x2f, 0x4f, 0x2c, 0x7d, 0x1a, 0x4c, 0x7e,
                                             0x9a, 0x55, 0x0e, 0x2d, 0x1f, 0x3c, 0x4b, 0xFA};
    unsigned char bytes[16];
    assert_true(text_uuid(SPAN_LIT("0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4bfa"), bytes));
    assert_memory_equal(bytes, wanted, sizeof wanted);
    assert_true(text_uuid(SPAN_LIT("0B2F4F2C-7D1A-4C7E-9A55-0E2D1F3C4BFA"), bytes));
    assert_memory_equal(bytes, wanted, sizeof wanted);
    static const char *const others[] = {"",
                                         "0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4bf",
                                         "0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4bfaa",
                                         "0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4bfg",
                                         "0b2f4f2c07d1a-4c7e-9a55-0e2d1f3c4bfa",
                                         "0b2f4f2-c7d1a-4c7e-9a55-0e2d1f3c4bfa",
                                         "0b2f4f2c-7d1a-4c7e-9a550-e2d1f3c4bfa",
                                         "0b2f4f2c7d1a4c7e9a550e2d1f3c4bfa0000"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(text_uuid(span_of(others[i]), bytes));
}

static void digits(void **state) {
    (void)state;
    uint64_t v = 7;
    assert_true(text_digits(SPAN_LIT("0"), 1, &v) && v == 0);
    assert_true(text_digits(SPAN_LIT("0090"), 4, &v) && v == 90);
    assert_true(text_digits(SPAN_LIT("999999999999999999"), 18, &v) && v == 999999999999999999);
    static const char *const others[] = {"", "12345", "-1", "+1", " 1", "1 ", "1.0", "0x1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(text_digits(span_of(others[i]), 4, &v));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles),
        cmocka_unit_test(uuids),
        cmocka_unit_test(digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

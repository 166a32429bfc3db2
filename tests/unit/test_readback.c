/* Which committed transactions a snapshot sees, over wrap-around of 32-bit ids too. */
#include "source/readback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool sees(const char *snapshot, uint32_t xid) {
    return readback_sees(span_of(snapshot), &xid, 1);
}

static void old_transactions_are_seen(void **state) {
    (void)state;
    assert_true(sees("100:100:", 99));
    assert_true(sees("100:110:100,105", 99));
}

static void transactions_still_running_are_not_seen(void **state) {
    (void)state;
    assert_false(sees("100:110:100,105", 100));
    assert_false(sees("100:110:100,105", 105));
    assert_true(sees("100:110:100,105", 104));
}

static void later_transactions_are_not_seen(void **state) {
    (void)state;
    assert_false(sees("100:110:", 110));
    assert_false(sees("100:110:", 2000));
}

static void ids_wrap_around(void **state) {
    (void)state;
    /* epoch 1: xmax is 2^32 + 5; the log's 4294967290 is of epoch 0 */
    assert_true(sees("4294967300:4294967301:4294967300", 4294967290U));
    assert_false(sees("4294967300:4294967301:4294967300", 4));
    assert_true(sees("4294967300:4294967301:4294967300", 3));
    assert_false(sees("4294967290:4294967295:", 3));
}

static void all_of_several_must_be_seen(void **state) {
    (void)state;
    uint32_t xids[] = {90, 105};
    assert_false(readback_sees(span_of("100:110:105"), xids, 2));
    assert_true(readback_sees(span_of("100:110:106"), xids, 2));
    assert_true(readback_sees(span_of("100:110:106"), xids, 0));
}

static void nonsense_sees_nothing(void **state) {
    (void)state;
    assert_false(sees("", 1));
    assert_false(sees("abc", 1));
    assert_false(sees("100", 1));
    assert_false(sees("100:", 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_transactions_are_seen),
        cmocka_unit_test(transactions_still_running_are_not_seen),
        cmocka_unit_test(later_transactions_are_not_seen),
        cmocka_unit_test(ids_wrap_around),
        cmocka_unit_test(all_of_several_must_be_seen),
        cmocka_unit_test(nonsense_sees_nothing),
    };
    return cmocka_run_group_tests_name("readback", tests, NULL, NULL);
}

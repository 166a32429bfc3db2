/* Rate limits: what is booked is waited for, until the limit is another. Waits are only counted. */
#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct rate rate;
static int64_t waits, changed_to;

static bool never(int64_t us) {
    (void)us;
    fail_msg("a wait");
    return true;
}

static bool count(int64_t us) {
    assert_in_range(us, 1, 100000);
    waits++;
    return true;
}

/* The limit is changed while somebody waits. */
static bool change(int64_t us) {
    (void)us;
    assert_int_equal(waits++, 0);
    rate_set(&rate, changed_to);
    return false;
}

static int set_up(void **state) {
    (void)state;
    waits = 0;
    rate_init(&rate, 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rate_release(&rate);
    return 0;
}

static void the_first_ones_are_let_through_and_the_next_wait(void **state) {
    (void)state;
    assert_false(rate_wait(&rate, 1000, never));
    assert_true(rate_wait(&rate, 1, count));
    assert_int_equal(waits, 1);
}

static void without_a_limit_nobody_waits(void **state) {
    (void)state;
    rate_set(&rate, 0);
    for (int i = 0; i < 10; i++)
        assert_false(rate_wait(&rate, 1000000, never));
}

static void another_limit_ends_the_waits_of_the_old_one(void **state) {
    (void)state;
    static const int64_t limits[] = {0, 1000000};
    for (size_t i = 0; i < 2; i++) {
        waits = 0;
        rate_set(&rate, 1);
        changed_to = limits[i];
        assert_false(rate_wait(&rate, 1000, never));
        assert_false(rate_wait(&rate, 1000, change));
        assert_int_equal(waits, 1);
        assert_false(rate_wait(&rate, 1, never));
    }
}

static void the_same_limit_is_no_other_one(void **state) {
    (void)state;
    assert_false(rate_wait(&rate, 1000, never));
    rate_set(&rate, 1);
    assert_true(rate_wait(&rate, 1, count));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(the_first_ones_are_let_through_and_the_next_wait, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(without_a_limit_nobody_waits, set_up, tear_down),
    cmocka_unit_test_setup_teardown(another_limit_ends_the_waits_of_the_old_one, set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_same_limit_is_no_other_one, set_up, tear_down),
};

int main(void) {
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* When a difference is real, lag, or unsettled. */
#include "verify/rounds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct round_outcome agrees = {.passed = true, .row_stayed = true, .agrees = true};
static const struct round_outcome differs = {.passed = true, .row_stayed = true};
static const struct round_outcome moved = {.passed = true};
static const struct round_outcome behind = {.row_stayed = true};

static void agreement_settles_at_once(void **state) {
    (void)state;
    struct rounds r = {0};
    assert_int_equal(rounds_add(&r, &agrees), VERDICT_EQUAL);
}

static void two_strikes_in_a_row_are_real(void **state) {
    (void)state;
    struct rounds r = {0};
    assert_int_equal(rounds_add(&r, &differs), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &differs), VERDICT_REAL);
}

static void a_row_that_changed_starts_the_strikes_anew(void **state) {
    (void)state;
    struct rounds r = {0};
    assert_int_equal(rounds_add(&r, &differs), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &moved), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &differs), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &differs), VERDICT_REAL);
}

static void a_log_that_is_behind_proves_nothing(void **state) {
    (void)state;
    struct rounds r = {0};
    assert_int_equal(rounds_add(&r, &differs), VERDICT_OPEN);
    for (int i = 0; i < ROUNDS_MAX - 2; i++)
        assert_int_equal(rounds_add(&r, &behind), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &behind), VERDICT_UNSETTLED);
}

static void lag_is_forgiven_after_a_strike(void **state) {
    (void)state;
    struct rounds r = {0};
    assert_int_equal(rounds_add(&r, &differs), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &agrees), VERDICT_EQUAL);
}

static void what_never_stands_still_is_unsettled(void **state) {
    (void)state;
    struct rounds r = {0};
    for (int i = 0; i < ROUNDS_MAX - 1; i++)
        assert_int_equal(rounds_add(&r, &moved), VERDICT_OPEN);
    assert_int_equal(rounds_add(&r, &moved), VERDICT_UNSETTLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agreement_settles_at_once),
        cmocka_unit_test(two_strikes_in_a_row_are_real),
        cmocka_unit_test(a_row_that_changed_starts_the_strikes_anew),
        cmocka_unit_test(a_log_that_is_behind_proves_nothing),
        cmocka_unit_test(lag_is_forgiven_after_a_strike),
        cmocka_unit_test(what_never_stands_still_is_unsettled),
    };
    return cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
}

/* Rates with their confidence, and three verdicts. */
#include "parallel/verdict.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* All of one weight. */
static struct verdict_counts plain(int64_t real, int64_t compared, double weight) {
    return (struct verdict_counts){.compared = compared,
                                   .real = real,
                                   .weight = (double)compared * weight,
                                   .weight_real = (double)real * weight,
                                   .weight_squares = (double)compared * weight * weight};
}

static enum obs_verdict of(int64_t real, int64_t compared) {
    const struct verdict_counts c = plain(real, compared, 1);
    return verdict_of(&c, 0.01, VERDICT_SAMPLES_MIN).verdict;
}

static void nothing_says_nothing(void **state) {
    (void)state;
    const struct verdict_counts none = {0};
    struct verdict v = verdict_of(&none, 0.01, 0);
    assert_int_equal(v.verdict, OBS_INCONCLUSIVE);
    assert_true(v.rate == 0 && v.net == 0 && v.interval.low == 0 && v.interval.high == 1);
}

/* 3.84 / (n + 3.84) is the upper end of none out of n. */
static void pass_wants_enough_calls(void **state) {
    (void)state;
    assert_int_equal(of(0, 99), OBS_INCONCLUSIVE); /* under the minimum */
    assert_int_equal(of(0, 380), OBS_INCONCLUSIVE);
    assert_int_equal(of(0, 381), OBS_PASS);
}

static void fail_wants_the_whole_interval(void **state) {
    (void)state;
    assert_int_equal(of(99, 99), OBS_INCONCLUSIVE); /* under the minimum */
    assert_int_equal(of(2, 100), OBS_INCONCLUSIVE);
    assert_int_equal(of(10, 100), OBS_FAIL);
    assert_int_equal(of(15, 1000), OBS_INCONCLUSIVE);
    assert_int_equal(of(150, 10000), OBS_FAIL);
    assert_int_equal(of(50, 10000), OBS_PASS);
}

/* A weight that all have changes nothing. */
static void equal_weights_cancel(void **state) {
    (void)state;
    const struct verdict_counts one = plain(3, 500, 1), twenty = plain(3, 500, 20);
    struct verdict a = verdict_of(&one, 0.01, 100), b = verdict_of(&twenty, 0.01, 100);
    assert_true(fabs(a.rate - b.rate) < 1e-12);
    assert_true(fabs(a.interval.high - b.interval.high) < 1e-12);
    assert_int_equal(a.verdict, b.verdict);
}

/* 20 calls that are always taken, all wrong, beside 200 of 4,000 that stand for 20 each. */
static void the_rate_is_weighted(void **state) {
    (void)state;
    const struct verdict_counts c = {.compared = 220,
                                     .real = 20,
                                     .weight = 20 + 200 * 20,
                                     .weight_real = 20,
                                     .weight_squares = 20 + 200 * 400};
    struct verdict v = verdict_of(&c, 0.01, 100);
    assert_true(fabs(v.rate - 20.0 / 4020) < 1e-9); /* not 20 of 220 */
    assert_true(v.interval.low < v.rate && v.rate < v.interval.high);
}

/* Unequal weights are worth fewer calls. */
static void unequal_weights_widen_the_interval(void **state) {
    (void)state;
    const struct verdict_counts c = {
        .compared = 400, .weight = 200 + 200 * 100.0, .weight_squares = 200 + 200 * 10000.0};
    const struct verdict_counts same = plain(0, 400, 1);
    assert_int_equal(verdict_of(&same, 0.01, 100).verdict, OBS_PASS);
    assert_int_equal(verdict_of(&c, 0.01, 100).verdict, OBS_INCONCLUSIVE);
}

static void noise_is_taken_off_and_not_below_0(void **state) {
    (void)state;
    struct verdict_counts c = plain(30, 1000, 1);
    c.noise_runs = 100;
    c.noise_hits = 2;
    struct verdict v = verdict_of(&c, 0.01, 100);
    assert_true(fabs(v.rate - 0.03) < 1e-9);
    assert_true(fabs(v.noise - 0.02) < 1e-9);
    assert_true(fabs(v.net - 0.01) < 1e-9);
    assert_int_equal(v.verdict, OBS_INCONCLUSIVE); /* fails without the noise */
    c.noise_hits = 0;
    assert_int_equal(verdict_of(&c, 0.01, 100).verdict, OBS_FAIL);
    c.noise_hits = 50;
    assert_true(verdict_of(&c, 0.01, 100).net == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_says_nothing),
        cmocka_unit_test(pass_wants_enough_calls),
        cmocka_unit_test(fail_wants_the_whole_interval),
        cmocka_unit_test(equal_weights_cancel),
        cmocka_unit_test(the_rate_is_weighted),
        cmocka_unit_test(unequal_weights_widen_the_interval),
        cmocka_unit_test(noise_is_taken_off_and_not_below_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

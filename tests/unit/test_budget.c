/* What the parallel run may cost: rate, concurrency and the breaker. */
#include "parallel/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static void rate_holds_over_seconds(void **state) {
    (void)state;
    struct budget l = {.per_second = 50, .concurrent = 1000000};
    struct breaker b = {0};
    int made = 0;
    for (int64_t now = 0; now < 10 * SECOND; now += 1000)
        if (budget_begin(&l, &b, BUDGET_SAMPLE, now) == COMPARABLE) {
            made++;
            budget_end(&l, &b, BUDGET_SAMPLE, false, now);
        }
    assert_in_range(made, 490, 510); /* ten seconds and one burst */
}

static void a_slow_rate_is_not_none(void **state) {
    (void)state;
    struct budget l = {.per_second = 1, .concurrent = 1};
    struct breaker b = {0};
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), COMPARABLE);
    budget_end(&l, &b, BUDGET_SAMPLE, false, 0);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, SECOND / 2), NOT_COMPARED_BUDGET);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, SECOND), COMPARABLE);
}

static void nothing_a_second_is_nothing(void **state) {
    (void)state;
    struct budget l = {.per_second = 0, .concurrent = 16};
    struct breaker b = {0};
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), NOT_COMPARED_BUDGET);
}

static void concurrency_holds(void **state) {
    (void)state;
    struct budget l = {.per_second = 1000000, .concurrent = 3}; /* one is for re-checks */
    struct breaker b = {0};
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), COMPARABLE);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), COMPARABLE);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), NOT_COMPARED_BUDGET);
    budget_end(&l, &b, BUDGET_SAMPLE, false, 1);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 1), COMPARABLE);
}

/* Calls of one kind that are let through at one moment, and do not end. */
static int at_one_time(struct budget *l, enum budget_for what, int asked) {
    struct breaker b = {0};
    int made = 0;
    for (int i = 0; i < asked; i++)
        made += budget_begin(l, &b, what, 0) == COMPARABLE;
    return made;
}

/* Samples leave a quarter, of which re-checks are sure; what samples do not need re-checks take up
 * to half. Together they never have more than is allowed. */
static void places_are_kept_for_the_other(void **state) {
    (void)state;
    static const struct {
        int places, samples, rechecks, first_rechecks, then_samples;
    } cases[] = {{16, 12, 4, 8, 8}, {64, 48, 16, 32, 32}, {256, 192, 64, 128, 128}, {5, 3, 2, 2, 3},
                 {4, 3, 1, 2, 2},   {3, 2, 1, 1, 2},      {2, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct budget l = {.per_second = 1000000, .concurrent = cases[i].places};
        assert_int_equal(at_one_time(&l, BUDGET_SAMPLE, 1000), cases[i].samples);
        assert_int_equal(at_one_time(&l, BUDGET_RECHECK, 1000), cases[i].rechecks);
        l = (struct budget){.per_second = 1000000, .concurrent = cases[i].places};
        assert_int_equal(at_one_time(&l, BUDGET_RECHECK, 1000), cases[i].first_rechecks);
        assert_int_equal(at_one_time(&l, BUDGET_SAMPLE, 1000), cases[i].then_samples);
    }
}

static void a_single_place_is_for_both(void **state) {
    (void)state;
    struct budget l = {.per_second = 1000000, .concurrent = 1};
    struct breaker b = {0};
    assert_int_equal(budget_begin(&l, &b, BUDGET_RECHECK, 0), COMPARABLE);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 0), NOT_COMPARED_BUDGET);
    budget_end(&l, &b, BUDGET_RECHECK, false, 1);
    assert_int_equal(budget_begin(&l, &b, BUDGET_SAMPLE, 1), COMPARABLE);
    assert_int_equal(budget_begin(&l, &b, BUDGET_RECHECK, 1), NOT_COMPARED_BUDGET);
}

/* Both ask as often as they can for ten seconds; either may be the first in every millisecond. */
static void made_in_ten_seconds(bool samples, bool rechecks, bool recheck_first, int made[2]) {
    struct budget l = {.per_second = 200, .concurrent = 1000};
    struct breaker b = {0};
    made[0] = made[1] = 0;
    for (int64_t now = 0; now < 10 * SECOND; now += 1000)
        for (int k = 0; k < 2; k++) {
            enum budget_for what = (k == 0) == recheck_first ? BUDGET_RECHECK : BUDGET_SAMPLE;
            if ((what == BUDGET_RECHECK ? rechecks : samples) &&
                budget_begin(&l, &b, what, now) == COMPARABLE) {
                made[what]++;
                budget_end(&l, &b, what, false, now);
            }
        }
}

static void a_burst_of_mismatches_leaves_samples_their_part(void **state) {
    (void)state;
    int made[2];
    for (int recheck_first = 0; recheck_first < 2; recheck_first++) {
        made_in_ten_seconds(true, true, recheck_first, made);
        assert_in_range(made[BUDGET_RECHECK], 495, 510);
        assert_in_range(made[BUDGET_SAMPLE], 1490, 1530);
        assert_in_range(made[0] + made[1], 1990, 2030); /* never more than is allowed */
    }
    made_in_ten_seconds(true, false, false, made);
    assert_in_range(made[BUDGET_SAMPLE], 1990, 2030); /* what nobody needs is not kept back */
    made_in_ten_seconds(false, true, true, made);
    assert_in_range(made[BUDGET_RECHECK], 495, 510);
}

static struct budget wide = {.per_second = 1000000, .concurrent = 1000};

static void fail_calls(struct breaker *b, int failed, int fine, int64_t now) {
    for (int i = 0; i < failed + fine; i++) {
        assert_int_equal(budget_begin(&wide, b, BUDGET_SAMPLE, now), COMPARABLE);
        budget_end(&wide, b, BUDGET_SAMPLE, i >= fine, now);
    }
}

static void opens_at_half_of_twenty(void **state) {
    (void)state;
    struct breaker b = {0};
    wide = (struct budget){.per_second = 1000000, .concurrent = 1000};
    fail_calls(&b, 9, 11, 0);
    assert_false(b.open);
    fail_calls(&b, 1, 0, SECOND);
    assert_true(b.open);
    assert_int_equal(budget_begin(&wide, &b, BUDGET_SAMPLE, 2 * SECOND), NOT_COMPARED_BREAKER);
}

static void a_few_failures_at_first_do_not_open(void **state) {
    (void)state;
    struct breaker b = {0};
    wide = (struct budget){.per_second = 1000000, .concurrent = 1000};
    fail_calls(&b, 19, 0, 0);
    assert_false(b.open);
}

static void one_call_is_tried_and_decides(void **state) {
    (void)state;
    for (int fine = 0; fine < 2; fine++) {
        struct breaker b = {0};
        wide = (struct budget){.per_second = 1000000, .concurrent = 1000};
        fail_calls(&b, 20, 0, 0);
        int64_t later = BREAKER_OPEN_US;
        assert_int_equal(budget_begin(&wide, &b, BUDGET_SAMPLE, later - 1), NOT_COMPARED_BREAKER);
        assert_int_equal(budget_begin(&wide, &b, BUDGET_SAMPLE, later), COMPARABLE);
        assert_int_equal(budget_begin(&wide, &b, BUDGET_SAMPLE, later),
                         NOT_COMPARED_BREAKER); /* only one */
        budget_end(&wide, &b, BUDGET_SAMPLE, !fine, later + 10);
        assert_int_equal(budget_begin(&wide, &b, BUDGET_SAMPLE, later + 11),
                         fine ? COMPARABLE : NOT_COMPARED_BREAKER);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_holds_over_seconds),
        cmocka_unit_test(a_slow_rate_is_not_none),
        cmocka_unit_test(nothing_a_second_is_nothing),
        cmocka_unit_test(concurrency_holds),
        cmocka_unit_test(places_are_kept_for_the_other),
        cmocka_unit_test(a_single_place_is_for_both),
        cmocka_unit_test(a_burst_of_mismatches_leaves_samples_their_part),
        cmocka_unit_test(opens_at_half_of_twenty),
        cmocka_unit_test(a_few_failures_at_first_do_not_open),
        cmocka_unit_test(one_call_is_tried_and_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

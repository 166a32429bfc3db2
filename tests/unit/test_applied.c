/* How far the target is: samples, positions, and who waits for them. */
#include "pipeline/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void samples_are_passed_in_order(void **state) {
    (void)state;
    struct applied *a = applied_new(NULL);
    assert_int_equal(applied_through_us(a), 0);
    applied_sample(a, 1000, 10);
    applied_sample(a, 2000, 20);
    applied_sample(a, 3000, 20);
    assert_int_equal(applied_advance(a, 9), 0);
    assert_int_equal(applied_advance(a, 10), 1000);
    assert_int_equal(applied_advance(a, 5), 1000); /* never back */
    assert_int_equal(applied_advance(a, 20), 3000);
    assert_int_equal(applied_advance(a, 1000), 3000);
    applied_sample(a, 4000, 20); /* is behind already */
    assert_int_equal(applied_advance(a, 1000), 4000);
    applied_free(a);
}

/* The newest is replaced: a time is never passed before its position. */
static void a_full_ring(void **state) {
    (void)state;
    struct applied *a = applied_new(NULL);
    int last = APPLIED_SAMPLES_MAX + 100;
    for (int i = 1; i <= last; i++)
        applied_sample(a, i * 1000, (lsn_t)i);
    assert_int_equal(applied_advance(a, APPLIED_SAMPLES_MAX - 1), (APPLIED_SAMPLES_MAX - 1) * 1000);
    assert_int_equal(applied_advance(a, (lsn_t)last - 1), (APPLIED_SAMPLES_MAX - 1) * 1000);
    assert_int_equal(applied_advance(a, (lsn_t)last), last * 1000);
    applied_free(a);
}

static bool never(void *context, int64_t now_us) {
    int *asked = context;
    (*asked)++;
    return now_us < 0;
}

static void whoever_else_waits_is_asked(void **state) {
    (void)state;
    int asked = 0;
    struct applied_hooks hooks = {.context = &asked, .is_wanted = never};
    struct applied *a = applied_new(&hooks);
    assert_false(applied_is_wanted(a, 1000));
    assert_int_equal(asked, 1);
    assert_true(applied_is_wanted(a, -1));
    applied_free(a);
}

/* A shorter wish does not take a longer one back. */
static void a_wish_holds_until_its_time(void **state) {
    (void)state;
    struct applied *a = applied_new(NULL);
    applied_want(a, 5000);
    applied_want(a, 2000);
    assert_true(applied_is_wanted(a, 4999));
    assert_false(applied_is_wanted(a, 5000));
    assert_int_equal(applied_through_us(a), 0);
    applied_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_passed_in_order),
        cmocka_unit_test(a_full_ring),
        cmocka_unit_test(whoever_else_waits_is_asked),
        cmocka_unit_test(a_wish_holds_until_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

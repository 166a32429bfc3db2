/* When MongoDB is left alone, and how often SQL may stand in for it; the bounds of a pool. */
#include "base/clock.h"
#include "operation/breaker.h"
#include "operation/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static const struct conf_fallback rules = {
    .budget = 10, .breaker = {.errors = 50, .of = 4, .open_us = 5 * SECOND}};

static void opens_and_closes(void **state) {
    (void)state;
    struct breaker b;
    bool trial;
    breaker_init(&b);
    breaker_count(&b, &rules, true, false, 0);
    breaker_count(&b, &rules, true, false, 0);
    breaker_count(&b, &rules, false, false, 0);
    assert_false(breaker_is_open(&b, &rules, 0, &trial)); /* three calls are too few */
    breaker_count(&b, &rules, false, false, 0);
    assert_true(breaker_is_open(&b, &rules, SECOND, &trial));
    assert_true(breaker_looks_open(&b));
    assert_false(trial);
    /* one call tries, the others do not */
    assert_false(breaker_is_open(&b, &rules, 5 * SECOND, &trial));
    assert_true(trial);
    assert_true(breaker_is_open(&b, &rules, 5 * SECOND, &trial));
    assert_false(trial);
    breaker_count(&b, &rules, true, true, 6 * SECOND); /* it failed: the time begins anew */
    assert_true(breaker_is_open(&b, &rules, 10 * SECOND, &trial));
    assert_false(breaker_is_open(&b, &rules, 11 * SECOND, &trial));
    assert_true(trial);
    breaker_count(&b, &rules, false, true, 11 * SECOND);
    assert_false(breaker_is_open(&b, &rules, 11 * SECOND, &trial));
    assert_false(trial);
    breaker_release(&b);
}

/* Whoever was to try has gone without a word: the next one may. */
static void a_lost_trial(void **state) {
    (void)state;
    struct breaker b;
    bool trial;
    breaker_init(&b);
    for (int i = 0; i < 4; i++)
        breaker_count(&b, &rules, true, false, 0);
    assert_false(breaker_is_open(&b, &rules, 5 * SECOND, &trial));
    assert_true(breaker_is_open(&b, &rules, 9 * SECOND, &trial));
    assert_false(breaker_is_open(&b, &rules, 10 * SECOND, &trial));
    assert_true(trial);
    breaker_release(&b);
}

static void a_budget(void **state) {
    (void)state;
    struct breaker b;
    breaker_init(&b);
    for (int i = 0; i < 100; i++)
        assert_true(breaker_take_over(&b));
    assert_false(breaker_take_over(&b));
    for (int i = 0; i < 10; i++) /* ten calls give one */
        breaker_count(&b, &rules, false, false, 0);
    assert_true(breaker_take_over(&b));
    assert_false(breaker_take_over(&b));
    breaker_release(&b);
}

static int closed;
static void close_it(void *session) {
    closed++;
    free(session);
}

static void a_pool(void **state) {
    (void)state;
    struct pool *p = pool_new(2, 0, close_it);
    void *one = NULL, *two = NULL, *three = NULL;
    int64_t soon = clock_mono_us() + SECOND;
    assert_true(pool_take(p, soon, &one));
    assert_null(one);
    assert_true(pool_take(p, soon, &two));
    assert_false(pool_take(p, soon, &three)); /* nobody may wait: at once */
    assert_true(clock_mono_us() < soon);
    one = malloc(1);
    pool_put(p, one);
    assert_true(pool_take(p, soon, &three));
    assert_ptr_equal(one, three);
    pool_put(p, three);
    pool_put(p, NULL);
    assert_int_equal(pool_in_use(p), 1);
    pool_free(p);
    assert_int_equal(closed, 1);
}

static void a_pool_whose_places_are_waited_for(void **state) {
    (void)state;
    struct pool *p = pool_new(1, 1, close_it);
    void *session = NULL;
    assert_true(pool_take(p, clock_mono_us(), &session));
    int64_t start = clock_mono_us();
    assert_false(pool_take(p, start + SECOND / 20, &session));
    assert_true(clock_mono_us() >= start + SECOND / 20);
    pool_put(p, NULL);
    assert_true(pool_take(p, 0, &session)); /* what is free is given after any deadline */
    pool_put(p, NULL);
    pool_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_closes),
        cmocka_unit_test(a_lost_trial),
        cmocka_unit_test(a_budget),
        cmocka_unit_test(a_pool),
        cmocka_unit_test(a_pool_whose_places_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

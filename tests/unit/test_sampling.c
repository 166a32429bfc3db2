/* Which calls become samples: the first of a minute, a share of the rest, weights that add up. */
#include "route/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MINUTE INT64_C(60000000)

static enum sampling take(sampling_word *word, uint32_t share, unsigned id, int64_t at,
                          uint64_t *weight) {
    char text[40];
    int n = snprintf(text, sizeof text, "%08x%08x", id * 2654435761u, id);
    return sampling_take(word, share, span_make(text, (size_t)n), at, weight);
}

static void the_first_of_every_minute(void **state) {
    (void)state;
    sampling_word word = 0;
    uint64_t weight = 0;
    for (int64_t minute = 1000; minute < 1003; minute++)
        for (unsigned i = 0; i < 100; i++) {
            enum sampling s = take(&word, 1, i, minute * MINUTE + i, &weight);
            assert_int_equal(s, i < SAMPLING_ALWAYS ? SAMPLING_EARLY : SAMPLING_NO);
            if (i < SAMPLING_ALWAYS)
                assert_int_equal(weight, SAMPLING_ONE);
        }
    /* a clock that steps back, and one before 1970 */
    assert_int_equal(take(&word, 1, 0, MINUTE, &weight), SAMPLING_EARLY);
    assert_int_equal(take(&word, 1, 0, -MINUTE, &weight), SAMPLING_EARLY);
}

static void none_and_all(void **state) {
    (void)state;
    sampling_word word = 0;
    uint64_t weight = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(take(&word, 0, i, MINUTE, &weight), SAMPLING_NO);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_not_equal(take(&word, SAMPLING_ONE, i, MINUTE, &weight), SAMPLING_NO);
        assert_int_equal(weight, SAMPLING_ONE);
    }
}

/* 100,000 calls at 1 %: the weights must add up to them. Four standard deviations are 12.6 %. */
static void weights_add_up(void **state) {
    (void)state;
    sampling_word word = 0;
    uint64_t sum = 0, taken = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t weight = 0;
        if (take(&word, SAMPLING_ONE / 100, i, MINUTE, &weight) != SAMPLING_NO) {
            sum += weight;
            taken++;
        }
    }
    double estimated = (double)sum / SAMPLING_ONE;
    assert_in_range(taken, 874, 1146);
    assert_true(estimated > 87400 && estimated < 112600);
}

/* The same id is decided the same way by everybody. */
static void the_id_decides(void **state) {
    (void)state;
    sampling_word a = 0, b = 0;
    uint64_t weight;
    for (unsigned i = 0; i < SAMPLING_ALWAYS; i++) {
        (void)take(&a, 1, i, MINUTE, &weight);
        (void)take(&b, 1, i, MINUTE, &weight);
    }
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(take(&a, SAMPLING_ONE / 2, i, MINUTE, &weight),
                         take(&b, SAMPLING_ONE / 2, i, MINUTE, &weight));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_every_minute),
        cmocka_unit_test(none_and_all),
        cmocka_unit_test(weights_add_up),
        cmocka_unit_test(the_id_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

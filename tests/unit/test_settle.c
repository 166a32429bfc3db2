/* Mismatches that wait to be asked again: what they may hold in memory. */
#include "base/mem.h"
#include "parallel/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ANSWER ((size_t)4 << 20)

/* In place of the one in operation/call.h, which begins like this and is private there; held by us
 * all the time, so that it never ends. */
static _Alignas(128) struct {
    struct operation_call public;
    atomic_size_t references;
    char more[8192];
} call = {.references = 1};

static void give_answers(void) {
    for (int side = 0; side < OPERATION_SIDES; side++) {
        struct buf *bson = &call.public.answers[side].bson;
        buf_init(bson, ANSWER);
        assert_non_null(buf_reserve(bson, ANSWER));
    }
}

/* A sample of an operation has both answers with it: 20 of 8 MiB are more than may wait. */
static void answers_of_operations_are_weighed(void **state) {
    (void)state;
    const size_t fit = PARALLEL_SETTLING_BYTES / (OPERATION_SIDES * ANSWER);
    struct parallel *p = mem_zalloc(1, sizeof *p);
    struct shared shared = {.budget = {.per_second = 0}}; /* nobody is asked, so that all wait */
    struct subject *subject = mem_zalloc(1, sizeof *subject);
    struct settling *s = NULL;
    give_answers();
    pthread_mutex_init(&shared.lock, NULL);
    subject->shared = &shared;
    assert_true(settling_start(p, &s));
    for (size_t i = 0; i < 20; i++)
        settling_add(s, sample_of_operation(subject, &call.public, 1));
    assert_in_range(settling_length(s), 1, fit);
    assert_int_equal(settling_length(s) + tally_get(&subject->tally, TALLY_UNSETTLED), 20);
    atomic_store(&p->stop, true);
    settling_stop(s);
    assert_int_equal(tally_get(&subject->tally, TALLY_UNSETTLED), 20);
    settling_free(s);
    for (int side = 0; side < OPERATION_SIDES; side++)
        operation_answer_release(&call.public.answers[side]);
    pthread_mutex_destroy(&shared.lock);
    free(subject);
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_of_operations_are_weighed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The ledger: a position is confirmed only behind everything it stands for. */
#include "pipeline/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void nothing_is_finished_at_first(void **state) {
    (void)state;
    struct ledger *l = ledger_new(2);
    uint64_t zero[2] = {0, 0};
    assert_int_equal(ledger_advance(l, 0, zero, zero), 0);
    assert_true(ledger_is_empty(l));
    ledger_free(l);
}

static void an_entry_waits_for_every_lane(void **state) {
    (void)state;
    struct ledger *l = ledger_new(2);
    ledger_add(l, 100, 0);
    uint64_t given[2] = {3, 5}, done[2] = {3, 4};
    assert_int_equal(ledger_advance(l, 0, given, done), 0);
    done[1] = 5;
    assert_int_equal(ledger_advance(l, 0, given, done), 100);
    assert_true(ledger_is_empty(l));
    ledger_free(l);
}

static void an_entry_waits_for_the_resolver_and_for_what_it_passed_on(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1);
    ledger_add(l, 100, 7);
    uint64_t given[1] = {1}, done[1] = {1};
    assert_int_equal(ledger_advance(l, 6, given, done), 0); /* lanes idle, resolver not */
    given[0] = 2;                                           /* the resolver pushed a batch */
    assert_int_equal(ledger_advance(l, 7, given, done), 0);
    done[0] = 2;
    assert_int_equal(ledger_advance(l, 7, given, done), 100);
    ledger_free(l);
}

static void only_the_finished_head_is_given(void **state) {
    (void)state;
    struct ledger *l = ledger_new(2);
    uint64_t given[2] = {1, 0}, done[2] = {0, 0};
    ledger_add(l, 100, 0);
    assert_int_equal(ledger_advance(l, 0, given, done), 0);
    ledger_add(l, 200, 1);
    given[1] = 1;
    done[1] = 1;
    assert_int_equal(ledger_advance(l, 1, given, done), 0); /* 200 is done, 100 is not */
    done[0] = 1;
    assert_int_equal(ledger_advance(l, 1, given, done), 200);
    ledger_free(l);
}

static void later_work_does_not_hold_back_earlier_entries(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1);
    uint64_t given[1] = {1}, done[1] = {0};
    ledger_add(l, 100, 0);
    assert_int_equal(ledger_advance(l, 0, given, done), 0);
    given[0] = 50;
    done[0] = 1;
    assert_int_equal(ledger_advance(l, 0, given, done), 100);
    ledger_free(l);
}

static void positions_never_go_back(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1);
    uint64_t zero[1] = {0};
    ledger_add(l, 100, 0);
    ledger_add(l, 90, 0);
    assert_int_equal(ledger_advance(l, 0, zero, zero), 100);
    ledger_add(l, 100, 0);
    assert_true(ledger_is_empty(l));
    ledger_free(l);
}

static void a_full_ledger_merges_its_newest_entries(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1);
    uint64_t given[1] = {1}, done[1] = {0};
    for (lsn_t i = 1; i <= LEDGER_ENTRIES_MAX + 10; i++)
        ledger_add(l, i, 0);
    assert_int_equal(ledger_advance(l, 0, given, done), 0);
    done[0] = 1;
    assert_int_equal(ledger_advance(l, 0, given, done), LEDGER_ENTRIES_MAX + 10);
    ledger_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_finished_at_first),
        cmocka_unit_test(an_entry_waits_for_every_lane),
        cmocka_unit_test(an_entry_waits_for_the_resolver_and_for_what_it_passed_on),
        cmocka_unit_test(only_the_finished_head_is_given),
        cmocka_unit_test(later_work_does_not_hold_back_earlier_entries),
        cmocka_unit_test(positions_never_go_back),
        cmocka_unit_test(a_full_ledger_merges_its_newest_entries),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}

/* The re-check of a mismatch: every way through its steps. */
#include "parallel/recheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define START INT64_C(1000000)

static const struct recheck_equal none_equal = {false, false, false};
static const struct recheck_equal sql_equal = {.first_second = true};

/* Up to the second reading of SQL. */
static void read_all_but_last(struct recheck *r, int64_t now) {
    assert_int_equal(r->step, RECHECK_READ_FIRST);
    recheck_first(r, RECHECK_ANSWERED, 100, now);
    assert_int_equal(r->step, RECHECK_WAIT);
    recheck_applied(r, 100, now);
    assert_int_equal(r->step, RECHECK_READ_OTHER);
    recheck_other(r, RECHECK_ANSWERED, now);
    assert_int_equal(r->step, RECHECK_READ_SECOND);
}

static void ends(const struct recheck *r, enum recheck_verdict verdict) {
    assert_int_equal(r->step, RECHECK_DONE);
    assert_int_equal(r->verdict, verdict);
}

static void other_equals_a_reading_of_sql(void **state) {
    (void)state;
    for (int second = 0; second < 2; second++) {
        struct recheck r;
        const struct recheck_equal equal = {.first_other = !second, .second_other = second};
        recheck_init(&r, START, 1);
        read_all_but_last(&r, START);
        recheck_second(&r, RECHECK_ANSWERED, &equal, START);
        ends(&r, RECHECK_LAG);
    }
}

static void all_three_are_equal(void **state) {
    (void)state;
    struct recheck r;
    const struct recheck_equal equal = {true, true, true};
    recheck_init(&r, START, 1);
    read_all_but_last(&r, START);
    recheck_second(&r, RECHECK_ANSWERED, &equal, START);
    ends(&r, RECHECK_LAG);
}

static void sql_stays_and_other_differs(void **state) {
    (void)state;
    struct recheck r;
    recheck_init(&r, START, 1);
    read_all_but_last(&r, START);
    recheck_second(&r, RECHECK_ANSWERED, &sql_equal, START);
    ends(&r, RECHECK_REAL);
    assert_int_equal(r.attempt, 1);
}

/* Nothing is said about the other side while what SQL had at P is not applied. */
static void waits_for_the_position(void **state) {
    (void)state;
    struct recheck r;
    recheck_init(&r, START, 1);
    recheck_first(&r, RECHECK_ANSWERED, 100, START);
    recheck_applied(&r, 99, START + 1000);
    assert_int_equal(r.step, RECHECK_WAIT);
    assert_true(r.due_us > START + 1000);
    recheck_applied(&r, 100, START + 2000);
    assert_int_equal(r.step, RECHECK_READ_OTHER);
}

static void position_is_never_applied(void **state) {
    (void)state;
    struct recheck r;
    int64_t now = START;
    int waits = 0;
    recheck_init(&r, now, 1);
    while (r.step != RECHECK_DONE) {
        now = r.due_us > now ? r.due_us : now;
        if (r.step == RECHECK_READ_FIRST)
            recheck_first(&r, RECHECK_ANSWERED, 100, now);
        else
            recheck_applied(&r, 99, now);
        assert_true(++waits < 10000);
    }
    ends(&r, RECHECK_UNSETTLED);
    assert_true(now - START <= RECHECK_LIFE_US);
    assert_int_equal(r.attempt, RECHECK_ATTEMPTS);
}

static void sql_changes_again_and_again(void **state) {
    (void)state;
    struct recheck r;
    int64_t now = START, before = START;
    recheck_init(&r, now, 7);
    for (int i = 1; i <= RECHECK_ATTEMPTS; i++) {
        assert_int_equal(r.attempt, i);
        assert_true(i == 1 || r.due_us > before);
        before = now = r.due_us;
        read_all_but_last(&r, now);
        recheck_second(&r, RECHECK_ANSWERED, &none_equal, now);
    }
    ends(&r, RECHECK_UNSETTLED);
}

static void settles_at_a_later_attempt(void **state) {
    (void)state;
    struct recheck r;
    recheck_init(&r, START, 7);
    read_all_but_last(&r, START);
    recheck_second(&r, RECHECK_ANSWERED, &none_equal, START);
    read_all_but_last(&r, r.due_us);
    recheck_second(&r, RECHECK_ANSWERED, &sql_equal, r.due_us);
    ends(&r, RECHECK_REAL);
    assert_int_equal(r.attempt, 2);
}

/* At each of the three readings. */
static void brought_to(struct recheck *r, int reading) {
    recheck_init(r, START, 3);
    if (reading > 0) {
        recheck_first(r, RECHECK_ANSWERED, 1, START);
        recheck_applied(r, 1, START);
    }
    if (reading > 1)
        recheck_other(r, RECHECK_ANSWERED, START);
}

static void answered(struct recheck *r, int reading, enum recheck_answer answer, int64_t now) {
    if (reading == 0)
        recheck_first(r, answer, 1, now);
    else if (reading == 1)
        recheck_other(r, answer, now);
    else
        recheck_second(r, answer, &sql_equal, now);
}

static void forbidden_is_unsettled(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        struct recheck r;
        brought_to(&r, reading);
        answered(&r, reading, RECHECK_FORBIDDEN, START);
        ends(&r, RECHECK_UNSETTLED);
        assert_int_equal(r.attempt, 1);
    }
}

static void no_answer_is_tried_again(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        struct recheck r;
        brought_to(&r, reading);
        answered(&r, reading, RECHECK_NO_ANSWER, START);
        assert_int_equal(r.step, RECHECK_READ_FIRST);
        assert_int_equal(r.attempt, 2);
        assert_true(r.due_us >= START + RECHECK_FIRST_US / 2);
    }
}

static void headers_live_a_minute(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        struct recheck r;
        brought_to(&r, reading);
        answered(&r, reading, RECHECK_ANSWERED, START + RECHECK_LIFE_US);
        ends(&r, RECHECK_UNSETTLED);
    }
}

/* Where one had to wait for its turn, nobody is asked after that. */
static void after_a_minute_nobody_is_asked(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        struct recheck r;
        brought_to(&r, reading);
        assert_false(recheck_expire(&r, START + RECHECK_LIFE_US - 1));
        assert_int_not_equal(r.step, RECHECK_DONE);
        assert_true(recheck_expire(&r, START + RECHECK_LIFE_US));
        ends(&r, RECHECK_UNSETTLED);
    }
}

/* The budget refuses at each step: no attempt is lost by it, but the time is. */
static void what_the_budget_refuses_comes_later(void **state) {
    (void)state;
    struct recheck r;
    recheck_init(&r, START, 1);
    int64_t now = START;
    for (int i = 0; i < 2 * RECHECK_ATTEMPTS; i++) {
        recheck_first(&r, RECHECK_NOT_NOW, 0, now);
        assert_int_equal(r.step, RECHECK_READ_FIRST);
        assert_true(r.due_us > now);
        now = r.due_us;
    }
    assert_int_equal(r.attempt, 1);
    recheck_first(&r, RECHECK_ANSWERED, 100, now);
    recheck_applied(&r, 100, now);
    recheck_other(&r, RECHECK_NOT_NOW, now);
    assert_int_equal(r.step, RECHECK_READ_OTHER);
    recheck_other(&r, RECHECK_ANSWERED, r.due_us);
    recheck_second(&r, RECHECK_NOT_NOW, &none_equal, r.due_us);
    assert_int_equal(r.step, RECHECK_READ_SECOND);
    recheck_second(&r, RECHECK_NOT_NOW, &none_equal, START + RECHECK_LIFE_US - 1);
    ends(&r, RECHECK_UNSETTLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_equals_a_reading_of_sql),
        cmocka_unit_test(all_three_are_equal),
        cmocka_unit_test(sql_stays_and_other_differs),
        cmocka_unit_test(waits_for_the_position),
        cmocka_unit_test(position_is_never_applied),
        cmocka_unit_test(sql_changes_again_and_again),
        cmocka_unit_test(settles_at_a_later_attempt),
        cmocka_unit_test(forbidden_is_unsettled),
        cmocka_unit_test(no_answer_is_tried_again),
        cmocka_unit_test(headers_live_a_minute),
        cmocka_unit_test(after_a_minute_nobody_is_asked),
        cmocka_unit_test(what_the_budget_refuses_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who has written a moment ago: overlapping writes, full buckets, writes that never end. */
#include "route/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WAIT 30000000

static enum marked at(struct marks_bucket *b, uint64_t key, int64_t now, int64_t *stamp) {
    *stamp = -1;
    return marks_find(b, key, now, stamp);
}

static void a_write(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    assert_int_equal(at(&b, 7, 0, &stamp), MARKED_NOT);
    marks_begin(&b, 7, 1000, WAIT);
    assert_int_equal(at(&b, 7, 1001, &stamp), MARKED_UNDER_WAY);
    assert_int_equal(at(&b, 8, 1001, &stamp), MARKED_NOT);
    marks_end(&b, 7, 2000);
    assert_int_equal(at(&b, 7, 2001, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, 2000);
}

/* Somebody's wait is over: that is said once a stamp, and the mark holds for those who wait longer.
 */
static void an_end_is_counted_once(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    marks_begin(&b, 7, 1000, WAIT);
    marks_end(&b, 7, 2000);
    assert_false(marks_note_end(&b, 8, 2000));
    assert_false(marks_note_end(&b, 7, 1999)); /* stamped anew meanwhile */
    assert_true(marks_note_end(&b, 7, 2000));
    assert_false(marks_note_end(&b, 7, 2000));
    assert_int_equal(at(&b, 7, 2002, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, 2000);
    marks_begin(&b, 7, 3000, WAIT);
    marks_end(&b, 7, 4000);
    assert_true(marks_note_end(&b, 7, 4000));
}

/* The first to end must not end the mark of the other. */
static void writes_that_overlap(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    marks_begin(&b, 7, 1000, WAIT);
    marks_begin(&b, 7, 1100, WAIT);
    marks_end(&b, 7, 1200);
    assert_int_equal(at(&b, 7, 1300, &stamp), MARKED_UNDER_WAY);
    marks_end(&b, 7, 1400);
    assert_int_equal(at(&b, 7, 1500, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, 1400);
    /* an end that comes late with an earlier stamp takes nothing back */
    marks_begin(&b, 7, 1500, WAIT);
    marks_end(&b, 7, 1300);
    (void)at(&b, 7, 1600, &stamp);
    assert_int_equal(stamp, 1400);
}

static void a_full_bucket_forgets_nobody(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    for (uint64_t key = 1; key <= 100; key++) {
        marks_begin(&b, key, (int64_t)key * 10, WAIT);
        marks_end(&b, key, (int64_t)key * 10 + 5);
    }
    for (uint64_t key = 1; key <= 100; key++) {
        assert_int_equal(at(&b, key, 2000, &stamp), MARKED_UNTIL_APPLIED);
        assert_true(stamp >= (int64_t)key * 10 + 5);
    }
    assert_int_equal(at(&b, 500, 2000, &stamp), MARKED_UNTIL_APPLIED); /* at worst some others */
    assert_int_equal(stamp, 925);
    assert_false(marks_note_end(&b, 500, 925)); /* it is nobody's */
}

static void more_writes_under_way_than_there_is_room(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    for (uint64_t key = 1; key <= MARKS_WAYS + 1; key++)
        marks_begin(&b, key, (int64_t)key * 10, WAIT);
    assert_int_equal(at(&b, 1, 200, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, (MARKS_WAYS + 1) * 10 + WAIT);
    assert_int_equal(at(&b, 2, 200, &stamp), MARKED_UNDER_WAY);
    marks_end(&b, 1, 300); /* its own place was gone: it gets one again */
    assert_int_not_equal(at(&b, 1, 400, &stamp), MARKED_NOT);
}

static void a_worker_that_was_killed(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    marks_begin(&b, 7, 1000, WAIT);
    assert_int_equal(at(&b, 7, 1000 + MARKS_UNDER_WAY_US - 1, &stamp), MARKED_UNDER_WAY);
    assert_int_equal(at(&b, 7, 1000 + MARKS_UNDER_WAY_US, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, 1000 + MARKS_UNDER_WAY_US);
    marks_begin(&b, 7, 2000 + MARKS_UNDER_WAY_US, WAIT);
    assert_int_equal(at(&b, 7, 2001 + MARKS_UNDER_WAY_US, &stamp), MARKED_UNDER_WAY);
}

/* A write whose end was lost is not kept alive by those that come after it. */
static void others_write_on_after_a_lost_one(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp, now = 1000, minute = 60000000;
    marks_begin(&b, 7, now, WAIT);
    while (now < 1000 + MARKS_UNDER_WAY_US) {
        now += minute;
        marks_begin(&b, 7, now, WAIT);
        marks_end(&b, 7, now + 5);
    }
    assert_int_equal(at(&b, 7, now + minute, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, now + 5);
    marks_begin(&b, 7, now + minute, WAIT); /* and one that is under way counts as such again */
    assert_int_equal(at(&b, 7, now + minute + 1, &stamp), MARKED_UNDER_WAY);
}

/* Nor does it come back with a write much later, and it may have ended late. */
static void a_write_long_after_a_lost_one(void **state) {
    (void)state;
    struct marks_bucket b = {0};
    int64_t stamp;
    marks_begin(&b, 7, 1000, WAIT);
    marks_begin(&b, 7, 1000 + MARKS_UNDER_WAY_US, WAIT);
    marks_end(&b, 7, 1500);
    assert_int_equal(at(&b, 7, 1001 + MARKS_UNDER_WAY_US, &stamp), MARKED_UNTIL_APPLIED);
    assert_int_equal(stamp, 1000 + MARKS_UNDER_WAY_US);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write),
        cmocka_unit_test(an_end_is_counted_once),
        cmocka_unit_test(writes_that_overlap),
        cmocka_unit_test(a_full_bucket_forgets_nobody),
        cmocka_unit_test(more_writes_under_way_than_there_is_room),
        cmocka_unit_test(a_worker_that_was_killed),
        cmocka_unit_test(others_write_on_after_a_lost_one),
        cmocka_unit_test(a_write_long_after_a_lost_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

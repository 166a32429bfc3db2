/* What is counted of a route comes into the state once, whatever fails in between. */
#include "parallel/tally.h"

#include "base/mem.h"
#include "route/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

static const struct state_rollup *find(const struct state_rollup *rows, size_t n, const char *kind,
                                       const char *side) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key.kind, kind) == 0 && strcmp(rows[i].key.side, side) == 0)
            return &rows[i];
    return NULL;
}

static size_t rows_of(struct tally *t, struct state_rollup *rows) {
    return tally_rows(t, "m", "route", "/api", 7, rows);
}

static void nothing_counted_is_no_row(void **state) {
    (void)state;
    _cleanup_(mem_freep) struct tally *t = mem_zalloc(1, sizeof *t);
    struct state_rollup rows[TALLY_ROWS_MAX];
    assert_int_equal(rows_of(t, rows), 0);
}

static void rows_have_what_came_since(void **state) {
    (void)state;
    _cleanup_(mem_freep) struct tally *t = mem_zalloc(1, sizeof *t);
    struct state_rollup rows[TALLY_ROWS_MAX];
    tally_add(t, TALLY_CALLS + 1, 3);
    tally_add(t, TALLY_ERRORS + 1, 1);
    for (int i = 0; i < 3; i++)
        obs_histogram_add(&t->calls_us[1], 100);
    tally_compared(t, 20 * (uint64_t)SAMPLING_ONE);
    tally_compared(t, SAMPLING_ONE);
    tally_real(t, 20 * (uint64_t)SAMPLING_ONE);
    tally_add(t, TALLY_EXPLAINED + COMPARE_BY_DATE, 2);
    tally_add(t, TALLY_NOT_COMPARED + NOT_COMPARED_BUDGET, 5);
    size_t n = rows_of(t, rows);
    const struct state_rollup *r = find(rows, n, "route", "mongodb");
    assert_non_null(r);
    assert_int_equal(r->count, 3);
    assert_int_equal(r->errors, 1);
    assert_int_equal(r->compared, 2);
    assert_int_equal(r->real, 1);
    assert_int_equal(r->explained, 2);
    assert_int_equal(obs_histogram_count(r->histogram), 3);
    r = find(rows, n, "weight", "");
    assert_int_equal(r->compared, 21 * TALLY_WEIGHT);
    assert_int_equal(r->real, 20 * TALLY_WEIGHT);
    assert_int_equal(r->count, 401); /* squares */
    assert_int_equal(find(rows, n, "explained", "date")->count, 2);
    assert_int_equal(find(rows, n, "not_compared", "budget")->count, 5);
    assert_null(find(rows, n, "route", "sql"));
    assert_int_equal(n, 4);
    tally_keep(t);
    assert_int_equal(rows_of(t, rows), 0);
    obs_histogram_add(&t->calls_us[1], 200);
    tally_add(t, TALLY_CALLS + 1, 1);
    n = rows_of(t, rows);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].count, 1);
    assert_int_equal(obs_histogram_count(rows[0].histogram), 1);
    assert_int_equal(obs_histogram_sum(rows[0].histogram), 200);
}

/* What was not stored comes again, with what came meanwhile. */
static void not_kept_comes_again(void **state) {
    (void)state;
    _cleanup_(mem_freep) struct tally *t = mem_zalloc(1, sizeof *t);
    struct state_rollup rows[TALLY_ROWS_MAX];
    tally_add(t, TALLY_SHADOW_CALLS, 1);
    obs_histogram_add(&t->shadow_us[0], 50);
    assert_int_equal(rows_of(t, rows), 1);
    tally_add(t, TALLY_SHADOW_CALLS, 1);
    obs_histogram_add(&t->shadow_us[0], 60);
    assert_int_equal(rows_of(t, rows), 1);
    assert_string_equal(rows[0].key.kind, "shadow");
    assert_int_equal(rows[0].count, 2);
    assert_int_equal(obs_histogram_sum(rows[0].histogram), 110);
}

static void every_row_has_its_place(void **state) {
    (void)state;
    _cleanup_(mem_freep) struct tally *t = mem_zalloc(1, sizeof *t);
    struct state_rollup rows[TALLY_ROWS_MAX];
    for (int i = 0; i < TALLY_COUNT; i++)
        tally_add(t, i, 1);
    size_t n = rows_of(t, rows);
    assert_in_range(n, 1, TALLY_ROWS_MAX);
    assert_int_equal(n, 6 + COMPARE_RULE_COUNT + PARALLEL_REASON_COUNT - 1);
}

static void long_prefixes_are_cut_and_stay_different(void **state) {
    (void)state;
    char a[1025], b[1025], name[STATE_NAME_MAX], other[STATE_NAME_MAX];
    memset(a, 'x', 1024);
    a[0] = '/';
    a[1024] = '\0';
    memcpy(b, a, sizeof b);
    b[1000] = 'y';
    tally_name(a, name);
    tally_name(b, other);
    assert_true(strlen(name) < STATE_NAME_MAX);
    assert_string_not_equal(name, other);
    tally_name("/api", name);
    assert_string_equal(name, "/api");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_counted_is_no_row),
        cmocka_unit_test(rows_have_what_came_since),
        cmocka_unit_test(not_kept_comes_again),
        cmocka_unit_test(every_row_has_its_place),
        cmocka_unit_test(long_prefixes_are_cut_and_stay_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

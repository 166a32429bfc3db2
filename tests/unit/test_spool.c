/* Batches on their way: what waits outlives us, numbers grow over restarts, the oldest goes. */
#include "base/mem.h"
#include "edge/spool.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/banyan-spool-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int remove_folder(void **state) {
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct spool *open_spool(void) {
    struct spool *s = NULL;
    struct err err = {0};
    if (spool_open(folder, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void put(struct spool *s, const char *text, size_t wanted_lost) {
    size_t lost = 99;
    struct err err = {0};
    assert_int_equal(spool_put(s, 1234567, span_of(text), &lost, &err), 0);
    assert_int_equal(lost, wanted_lost);
}

static void expect_first(struct spool *s, const char *text) {
    _cleanup_(buf_release) struct buf batch = {.max = 1000};
    int64_t made = 0;
    struct err err = {0};
    assert_int_equal(spool_first(s, &batch, &made, &err), 0);
    assert_string_equal(buf_text(&batch), text);
    assert_int_equal(made, 1234567);
}

static void what_waits_outlives_us(void **state) {
    struct spool *s = open_spool();
    (void)state;
    assert_int_equal(spool_next(s), 1);
    put(s, "one", 0);
    put(s, "two", 0);
    spool_close(s); /* or a kill: nothing is done at the end */
    s = open_spool();
    assert_int_equal(spool_count(s), 2);
    assert_int_equal(spool_next(s), 3);
    expect_first(s, "one");
    spool_drop_first(s);
    expect_first(s, "two");
    spool_drop_first(s);
    spool_close(s);
    s = open_spool(); /* nothing waits, and no number comes twice */
    assert_int_equal(spool_count(s), 0);
    assert_int_equal(spool_next(s), 3);
    spool_close(s);
}

/* As if SPOOL_MAX had been put: without their disk writes. */
static void fill(void) {
    for (int i = 1; i <= SPOOL_MAX; i++) {
        _cleanup_(mem_freep) char *path = mem_printf("%s/statistics/%019d.batch", folder, i);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        (void)fwrite("\0\0\0\0\0\x12\xd6\x87", 1, 8, f);
        (void)fprintf(f, "%d", i);
        (void)fclose(f);
    }
}

static void the_oldest_goes(void **state) {
    (void)state;
    spool_close(open_spool());
    fill();
    struct spool *s = open_spool();
    assert_int_equal(spool_count(s), SPOOL_MAX);
    assert_int_equal(spool_next(s), SPOOL_MAX + 1);
    put(s, "newer", 1);
    put(s, "newest", 1);
    assert_int_equal(spool_count(s), SPOOL_MAX);
    expect_first(s, "3");
    spool_close(s);
}

static void a_damaged_number_is_said(void **state) {
    _cleanup_(mem_freep) char *path = mem_printf("%s/statistics/last", folder);
    struct spool *s = open_spool();
    struct err err = {0};
    (void)state;
    put(s, "one", 0);
    spool_close(s);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("what", f);
    (void)fclose(f);
    s = NULL;
    assert_int_equal(spool_open(folder, &s, &err), ERR_STATE);
    assert_non_null(strstr(err.text, "does not hold the number"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_outlives_us, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_oldest_goes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_damaged_number_is_said, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The file of applied times: two mappings see each other, and foreign files are made anew. */
#include "base/mem.h"
#include "route/watermark.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/banyan-watermark-XXXXXX";
static char *path;

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    path = mem_printf("%s/applied", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(path);
    free(path);
    return rmdir(folder);
}

static void both_sides_see_each_other(void **state) {
    (void)state;
    struct watermark *daemon = NULL, *worker = NULL;
    struct err err;
    assert_int_equal(watermark_open(path, &worker, &err), ERR_STATE);
    assert_int_equal(watermark_publish(path, &daemon, &err), 0);
    assert_int_equal(watermark_open(path, &worker, &err), 0);
    assert_null(watermark_find(worker, "shop"));
    struct watermark_slot *mine = watermark_add(daemon, "shop");
    assert_non_null(mine);
    assert_ptr_equal(watermark_add(daemon, "shop"), mine);
    assert_non_null(watermark_add(daemon, "shopping"));
    struct watermark_slot *theirs = watermark_find(worker, "shop");
    assert_non_null(theirs);
    assert_int_equal(watermark_applied(theirs), 0);
    watermark_set(mine, 1000, 2000);
    assert_int_equal(watermark_applied(theirs), 1000);
    watermark_set(mine, 900, 2500); /* never back */
    assert_int_equal(watermark_applied(theirs), 1000);
    assert_false(watermark_is_old(theirs, 3000, 500));
    assert_true(watermark_is_old(theirs, 3001, 500));
    assert_false(watermark_is_wanted(mine, 100, 1000));
    watermark_want(theirs, 100);
    assert_true(watermark_is_wanted(mine, 1099, 1000));
    assert_false(watermark_is_wanted(mine, 1100, 1000));
    /* a restarted daemon goes on with the file that workers have mapped */
    watermark_close(daemon);
    assert_int_equal(watermark_publish(path, &daemon, &err), 0);
    watermark_set(watermark_find(daemon, "shop"), 5000, 5000);
    assert_int_equal(watermark_applied(theirs), 5000);
    watermark_close(daemon);
    watermark_close(worker);
}

static void overwrite(off_t at, const char *bytes, size_t len) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void is_made_anew(void) {
    struct watermark *w = NULL;
    struct err err;
    assert_int_equal(watermark_open(path, &w, &err), ERR_STATE);
    assert_int_equal(watermark_publish(path, &w, &err), 0);
    assert_null(watermark_find(w, "shop"));
    assert_non_null(watermark_add(w, "shop"));
    watermark_close(w);
}

static void foreign_files(void **state) {
    (void)state;
    overwrite(0, "X", 1); /* magic */
    is_made_anew();
    overwrite(8, "\xff", 1); /* layout */
    is_made_anew();
    overwrite(12, "\xff\xff\xff\xff", 4); /* count */
    is_made_anew();
    overwrite(32, "0", 1); /* boot: the first digit of an id is that by chance once in 16 */
    overwrite(33, "-", 1);
    is_made_anew();
    assert_int_equal(truncate(path, 100), 0);
    is_made_anew();
}

static void full(void **state) {
    (void)state;
    struct watermark *w = NULL;
    struct err err;
    char name[ROUTE_NAME_MAX + 8];
    assert_int_equal(watermark_publish(path, &w, &err), 0);
    memset(name, 'x', sizeof name);
    name[ROUTE_NAME_MAX] = '\0';
    assert_null(watermark_add(w, name)); /* no room for its NUL */
    for (unsigned i = 0; i < ROUTE_MODULES_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        (void)watermark_add(w, name);
    }
    assert_null(watermark_add(w, "one too many"));
    assert_non_null(watermark_find(w, "shop"));
    watermark_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_see_each_other),
        cmocka_unit_test(foreign_files),
        cmocka_unit_test(full),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

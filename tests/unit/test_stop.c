/* A part of the program that is stopped alone, and the program's own stop. */
#include "base/stop.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void *look(void *argument) {
    bool *seen = argument;
    seen[0] = stop_wait(10000000);
    seen[1] = stop_forced();
    return NULL;
}

static void a_scope_stops_its_threads_only(void **state) {
    (void)state;
    struct stop_scope *scope = stop_scope_new();
    bool seen[2] = {false, true};
    pthread_t thread;
    stop_scope_enter(scope);
    assert_true(thread_start(&thread, look, seen));
    stop_scope_enter(NULL);
    stop_scope_request(scope);
    pthread_join(thread, NULL);
    assert_true(seen[0]);
    assert_false(seen[1]);
    assert_false(stop_requested());
    stop_scope_free(scope);
}

static void force_inside_a_scope_stays_there(void **state) {
    (void)state;
    struct stop_scope *scope = stop_scope_new();
    stop_scope_enter(scope);
    stop_force();
    assert_true(stop_requested() && stop_forced() && stop_forced_wait(10000000));
    stop_scope_enter(NULL);
    assert_false(stop_requested() || stop_forced() || stop_wait(1));
    stop_scope_free(scope);
}

/* Last: the program's own stop cannot be taken back. */
static void the_programs_stop_is_everybodys(void **state) {
    (void)state;
    struct stop_scope *scope = stop_scope_new();
    stop_scope_enter(scope);
    stop_request();
    assert_true(stop_requested() && stop_wait(10000000));
    assert_false(stop_forced());
    stop_scope_enter(NULL);
    stop_scope_free(scope);
}

int main(void) {
    stop_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_stops_its_threads_only),
        cmocka_unit_test(force_inside_a_scope_stays_there),
        cmocka_unit_test(the_programs_stop_is_everybodys),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}

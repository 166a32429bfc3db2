/* Timeline history files: where each timeline was left. */
#include "source/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HISTORY                                                                                    \
    "1\t0/3000060\tno recovery target specified\n"                                                 \
    "# a remark\n\n"                                                                               \
    "  3 1/FF   at restore point \"x\"\r\n"

static void left(uint32_t timeline, bool found, lsn_t at) {
    struct err err = {0};
    bool is_found = !found;
    lsn_t where = 0;
    assert_int_equal(timeline_left_at(span_of(HISTORY), timeline, &is_found, &where, &err), 0);
    assert_int_equal(is_found, found);
    assert_int_equal(where, at);
}

static void ancestors(void **state) {
    (void)state;
    left(1, true, 0x3000060);
    left(3, true, 0x1000000ff);
    left(2, false, 0);
    left(4, false, 0);
}

static void refused(const char *text) {
    struct err err = {0};
    bool found;
    lsn_t where;
    assert_int_equal(timeline_left_at(span_of(text), 1, &found, &where, &err), ERR_WIRE);
}

static void nonsense(void **state) {
    (void)state;
    refused("one\t0/1\n");
    refused("1\n");
    refused("1\t0-1\n");
    refused("0\t0/1\n");
    refused("4294967296\t0/1\n");
    refused("2\t0/1\n2\t0/2\n"); /* twice */
    refused("2\t0/1\n1\t0/2\n"); /* backwards */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ancestors), cmocka_unit_test(nonsense)};
    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}

/* A list of keys with an end, in count and in bytes. */
#include "pipeline/keylist.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add(struct keylist *l, const char *a, const char *b) {
    struct err err = {0};
    const struct span key[] = {span_of(a), span_of(b)};
    assert_int_equal(keylist_add(l, key, &err), 0);
}

static void keys_are_copied(void **state) {
    (void)state;
    struct keylist l;
    char text[] = "abc";
    keylist_init(&l);
    keylist_begin(&l, 2, 10);
    add(&l, text, "");
    text[0] = 'x';
    add(&l, "second", "key");
    assert_int_equal(l.count, 2);
    assert_false(l.cut);
    assert_true(span_is(keylist_at(&l, 0)[0], "abc"));
    assert_true(span_is(keylist_at(&l, 0)[1], ""));
    assert_true(span_is(keylist_at(&l, 1)[1], "key"));
    keylist_release(&l);
}

static void the_end_by_count(void **state) {
    (void)state;
    struct keylist l;
    keylist_init(&l);
    keylist_begin(&l, 2, 2);
    add(&l, "1", "1");
    add(&l, "2", "2");
    assert_false(l.cut);
    add(&l, "3", "3");
    assert_true(l.cut);
    assert_int_equal(l.count, 2);
    keylist_begin(&l, 2, 2);
    assert_false(l.cut);
    assert_int_equal(l.count, 0);
    keylist_release(&l);
}

/* After the end nothing is added, even if it is small: the list has no holes. */
static void the_end_by_bytes(void **state) {
    (void)state;
    struct keylist l;
    struct err err = {0};
    char *bytes = mem_zalloc(1, KEYLIST_BYTES / 2);
    struct span key[] = {span_make(bytes, KEYLIST_BYTES / 2 - 1024)};
    keylist_init(&l);
    keylist_begin(&l, 1, 10);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keylist_add(&l, key, &err), 0);
    assert_true(l.cut);
    assert_int_equal(l.count, 2);
    assert_int_equal(keylist_add(&l, &SPAN_LIT("small"), &err), 0);
    assert_int_equal(l.count, 2);
    free(bytes);
    keylist_release(&l);
}

static void a_key_beyond_all_bounds(void **state) {
    (void)state;
    struct keylist l;
    struct err err = {0};
    char *bytes = mem_zalloc(2, KEYLIST_BYTES);
    struct span key[] = {span_make(bytes, 2 * KEYLIST_BYTES)};
    keylist_init(&l);
    keylist_begin(&l, 1, 10);
    assert_int_equal(keylist_add(&l, key, &err), ERR_LIMIT);
    free(bytes);
    keylist_release(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(the_end_by_count),
        cmocka_unit_test(the_end_by_bytes),
        cmocka_unit_test(a_key_beyond_all_bounds),
    };
    return cmocka_run_group_tests_name("keylist", tests, NULL, NULL);
}

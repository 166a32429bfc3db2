/* Folding: many changes of one document become one that has the same effect. */
#include "apply/fold.h"

#include "map/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A flat collection with two columns is all that folding looks at. */
static const struct plan_node root = {.column_count = 2};
static const struct plan_collection collection = {.name = "c", .root = &root, .id_count = 1};

struct fixture {
    struct fold fold;
    struct arena memory;
};

static int set_up(void **state) {
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.memory, 1 << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    fold_release(&f->fold);
    arena_release(&f->memory);
    return 0;
}

static struct span key[1];

static void add(struct fixture *f, enum change_kind kind, const char *id, const struct span *values,
                uint32_t xid) {
    struct change c = {
        .kind = kind, .identity = span_of(id), .key = key, .values = values, .xid = xid};
    struct err err;
    assert_int_equal(fold_add(&f->fold, &collection, &c, &f->memory, &err), 0);
}

static struct span row_a[2], row_b[2], row_gap[2];

static void fill_rows(void) {
    row_a[0] = span_of("1");
    row_a[1] = span_of("old");
    row_b[0] = span_of("1");
    row_b[1] = span_of("new");
    row_gap[0] = span_of("2");
    row_gap[1] = row_unchanged();
}

static void documents_are_kept_apart(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_PUT, "x", row_a, 1);
    add(f, CHANGE_PUT, "y", row_b, 1);
    assert_int_equal(f->fold.count, 2);
}

static void the_last_row_wins(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_PUT, "x", row_a, 1);
    add(f, CHANGE_PUT, "x", row_b, 2);
    assert_int_equal(f->fold.count, 1);
    assert_true(span_is(f->fold.items[0].values[1], "new"));
}

static void an_update_of_an_inserted_row_stays_an_insert(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_INSERT, "x", row_a, 1);
    add(f, CHANGE_PUT, "x", row_b, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_INSERT);
    assert_true(span_is(f->fold.items[0].values[1], "new"));
}

static void a_delete_wins(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_INSERT, "x", row_a, 1);
    add(f, CHANGE_DELETE, "x", NULL, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_DELETE);
}

static void an_insert_after_a_delete_is_a_put(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_DELETE, "x", NULL, 1);
    add(f, CHANGE_INSERT, "x", row_a, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_PUT);
}

static void a_partial_row_is_filled_from_the_one_before(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_INSERT, "x", row_a, 1);
    add(f, CHANGE_SET, "x", row_gap, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_INSERT);
    assert_true(span_is(f->fold.items[0].values[0], "2"));
    assert_true(span_is(f->fold.items[0].values[1], "old"));
}

static void partial_rows_merge_and_keep_their_gaps(void **state) {
    struct fixture *f = *state;
    fill_rows();
    struct span other[2] = {row_unchanged(), row_unchanged()};
    add(f, CHANGE_SET, "x", row_gap, 1);
    add(f, CHANGE_SET, "x", other, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_SET);
    assert_true(span_is(f->fold.items[0].values[0], "2"));
    assert_true(row_is_unchanged(f->fold.items[0].values[1]));
}

static void a_refresh_swallows_everything_and_keeps_every_transaction(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_PUT, "x", row_a, 7);
    add(f, CHANGE_REFRESH, "x", NULL, 8);
    add(f, CHANGE_DELETE, "x", NULL, 9);
    assert_int_equal(f->fold.count, 1);
    assert_int_equal(f->fold.items[0].kind, CHANGE_REFRESH);
    assert_int_equal(f->fold.xid_count, 3);
}

static void a_partial_row_after_a_delete_is_read_again(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_DELETE, "x", NULL, 1);
    add(f, CHANGE_SET, "x", row_gap, 2);
    assert_int_equal(f->fold.items[0].kind, CHANGE_REFRESH);
}

static void clearing_forgets(void **state) {
    struct fixture *f = *state;
    fill_rows();
    add(f, CHANGE_REFRESH, "x", NULL, 1);
    assert_true(fold_has_refresh(&f->fold));
    fold_clear(&f->fold);
    assert_int_equal(f->fold.count, 0);
    assert_int_equal(f->fold.xid_count, 0);
    assert_false(fold_has_refresh(&f->fold));
}

int main(void) {
#define FOLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FOLD_TEST(documents_are_kept_apart),
        FOLD_TEST(the_last_row_wins),
        FOLD_TEST(an_update_of_an_inserted_row_stays_an_insert),
        FOLD_TEST(a_delete_wins),
        FOLD_TEST(an_insert_after_a_delete_is_a_put),
        FOLD_TEST(a_partial_row_is_filled_from_the_one_before),
        FOLD_TEST(partial_rows_merge_and_keep_their_gaps),
        FOLD_TEST(a_refresh_swallows_everything_and_keeps_every_transaction),
        FOLD_TEST(a_partial_row_after_a_delete_is_read_again),
        FOLD_TEST(clearing_forgets),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}

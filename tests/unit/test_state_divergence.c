/* Divergences in the state: counters by cause, their newest examples, limits, forgetting. */
#include "state_fixture.h"

#include "state/divergence.h"

#include <string.h>

#define CAUSES 5
#define EXAMPLES 3

static const struct state_audit_line line = {
    .who = "ann", .role = "operator", .action = "divergence.analyze", .subject = "1", .why = "x"};

static void add(struct fixture *f, uint64_t fingerprint, int64_t at_us, const char *user) {
    const struct state_divergence_found found = {.module = "shop",
                                                 .subject = "/api",
                                                 .fingerprint = fingerprint,
                                                 .shape = SPAN_LIT("items[].price"),
                                                 .path = SPAN_LIT("items[id=7].price"),
                                                 .kind = "mismatch",
                                                 .at_us = at_us,
                                                 .sql = SPAN_LIT("1"),
                                                 .request = SPAN_LIT("r"),
                                                 .reproducer = SPAN_LIT("curl"),
                                                 .collection = "orders",
                                                 .key = span_make("\0\0\0\1"
                                                                  "7",
                                                                  5),
                                                 .user = span_of(user)};
    assert_int_equal(state_divergences_add(f->s, &found, 1, CAUSES, EXAMPLES, &f->err), 0);
}

static size_t list(struct fixture *f, struct state_divergence **ret) {
    const struct state_divergence_filter filter = {.analyzed = -1, .max = 100};
    size_t n = 0;
    assert_int_equal(state_divergence_list(f->s, &filter, ret, &n, &f->err), 0);
    return n;
}

static size_t examples_of(struct fixture *f, int64_t id, int64_t *ret_newest_us) {
    struct state_example *e = NULL;
    size_t n = 0;
    assert_int_equal(state_example_list(f->s, id, &e, &n, &f->err), 0);
    *ret_newest_us = n ? e[0].at_us : 0;
    for (size_t i = 0; i < n; i++)
        state_example_clear(&e[i]);
    free(e);
    return n;
}

static void one_cause_is_one_row(void **state) {
    struct fixture *f = *state;
    _cleanup_(mem_freep) struct state_divergence *d = NULL;
    for (int64_t i = 1; i <= 10; i++)
        add(f, UINT64_C(0xfedcba9876543210), i, NULL);
    assert_int_equal(list(f, &d), 1);
    assert_int_equal(d->count, 10);
    assert_int_equal(d->first_us, 1);
    assert_int_equal(d->last_us, 10);
    assert_true(d->fingerprint == UINT64_C(0xfedcba9876543210));
    assert_string_equal(d->shape, "items[].price");
    assert_false(d->analyzed);
}

static void the_newest_examples_are_kept(void **state) {
    struct fixture *f = *state;
    int64_t newest;
    for (int64_t i = 1; i <= 10; i++)
        add(f, 1, i, NULL);
    assert_int_equal(examples_of(f, 1, &newest), EXAMPLES);
    assert_int_equal(newest, 10);
}

static void an_example_comes_back_as_it_was(void **state) {
    struct fixture *f = *state;
    struct state_example *e = NULL;
    size_t n = 0;
    add(f, 1, 5, NULL);
    assert_int_equal(state_example_list(f->s, 1, &e, &n, &f->err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(e->path, "items[id=7].price");
    assert_string_equal(e->sql, "1");
    assert_null(e->mongodb); /* there was none */
    assert_string_equal(e->collection, "orders");
    assert_int_equal(e->key_len, 5);
    assert_memory_equal(e->key,
                        "\0\0\0\1"
                        "7",
                        5);
    state_example_clear(e);
    free(e);
}

static void causes_have_a_limit_and_the_rest_is_other(void **state) {
    struct fixture *f = *state;
    _cleanup_(mem_freep) struct state_divergence *d = NULL;
    for (uint64_t i = 1; i <= 100; i++)
        add(f, i, 1, NULL);
    size_t n = list(f, &d);
    assert_int_equal(n, CAUSES + 1);
    assert_string_equal(d[0].shape, "other"); /* the most frequent */
    assert_string_equal(d[0].kind, "other");
    assert_int_equal(d[0].count, 100 - CAUSES);
}

static void a_mark_needs_a_reason_and_is_audited(void **state) {
    struct fixture *f = *state;
    struct state_audit_line none = line;
    struct state_audit *audit = NULL;
    struct state_divergence d;
    size_t n = 0;
    bool found = true;
    none.why = "";
    add(f, 1, 1, NULL);
    assert_int_equal(state_divergence_analyze(f->s, 1, true, &none, &found, &f->err), ERR_USAGE);
    assert_int_equal(state_divergence_analyze(f->s, 99, true, &line, &found, &f->err), 0);
    assert_false(found);
    assert_int_equal(state_divergence_analyze(f->s, 1, true, &line, &found, &f->err), 0);
    assert_true(found);
    assert_int_equal(state_divergence_get(f->s, 1, &d, &found, &f->err), 0);
    assert_true(d.analyzed);
    assert_int_equal(state_audit_list(f->s, 0, 10, &audit, &n, &f->err), 0);
    assert_int_equal(n, 1); /* of what was done, not of what was tried */
    state_audit_clear(audit);
    free(audit);
}

static void a_user_is_forgotten(void **state) {
    struct fixture *f = *state;
    int64_t count = 0, newest;
    add(f, 1, 1, "0123456789abcdef");
    add(f, 1, 2, "fedcba9876543210");
    add(f, 2, 3, "0123456789abcdef");
    assert_int_equal(
        state_divergence_purge(f->s, SPAN_LIT("0123456789abcdef"), &line, &count, &f->err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(examples_of(f, 1, &newest), 1);
    assert_int_equal(examples_of(f, 2, &newest), 0);
}

static void what_is_old_is_forgotten(void **state) {
    struct fixture *f = *state;
    _cleanup_(mem_freep) struct state_divergence *d = NULL;
    int64_t newest;
    add(f, 1, 10, NULL);
    add(f, 2, 10, NULL);
    add(f, 2, 30, NULL);
    assert_int_equal(state_divergence_expire(f->s, 20, &f->err), 0);
    assert_int_equal(list(f, &d), 1);
    assert_int_equal(d->id, 2);
    assert_int_equal(d->count, 2); /* a counter, not the examples */
    assert_int_equal(examples_of(f, 2, &newest), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_cause_is_one_row),
        TEST(the_newest_examples_are_kept),
        TEST(an_example_comes_back_as_it_was),
        TEST(causes_have_a_limit_and_the_rest_is_other),
        TEST(a_mark_needs_a_reason_and_is_audited),
        TEST(a_user_is_forgotten),
        TEST(what_is_old_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

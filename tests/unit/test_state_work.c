/* Work under way in the state file: chunks, requests, parked changes, verification; many threads.
 */
#include "state/statement.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64];
    char file[96];
    struct state *state;
    struct err err;
};

#define ok(p, call)                                                                                \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, (p)->err.text);                                              \
    } while (0)

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    struct state_pipeline pipeline;
    struct state_collection collection;
    *state = p;
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/banyan-state-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    (void)snprintf(p->file, sizeof p->file, "%s/a.db", p->folder);
    int rc = state_open(p->file, &p->state, &p->err);
    if (rc == 0)
        rc = state_pipeline_open(p->state, "shop", "s", "p", "1", 1, &pipeline, &p->err);
    if (rc == 0)
        rc = state_collection_open(p->state, "shop", "shop", "orders", "f", &collection, &p->err);
    return rc;
}

static int teardown(void **state) {
    struct place *p = *state;
    state_free(p->state);
    (void)unlink(p->file);
    (void)rmdir(p->folder); /* -wal and -shm go with the last connection */
    free(p);
    return 0;
}

static void reopen(struct place *p) {
    state_free(p->state);
    p->state = NULL;
    ok(p, state_open(p->file, &p->state, &p->err));
}

static void same(const char *data, size_t len, struct span want) {
    assert_int_equal(len, want.len);
    assert_memory_equal(data, want.ptr, len);
}

/* ---- fan-outs ---- */

static void add_fanouts(struct place *p, const char *path, const char *a, const char *b) {
    const struct span keys[] = {span_of(a), span_of(b)};
    ok(p,
       state_fanouts_add(p->state, "shop", "orders", path, STATE_FANOUT_JOINS, keys, 2, &p->err));
}

static void group_is(struct place *p, const char *path, size_t count, const char *cursor) {
    struct state_fanouts f;
    ok(p, state_fanouts_start(p->state, "shop", 10, &f, &p->err));
    assert_int_equal(f.count, count);
    if (count) {
        assert_string_equal(f.collection, "orders");
        assert_string_equal(f.path, path);
        assert_int_equal(f.kind, STATE_FANOUT_JOINS);
    }
    if (cursor)
        same(f.cursor, f.cursor_len, span_of(cursor));
    else
        assert_null(f.cursor);
    state_fanouts_clear(&f);
}

static void fanouts_run_by_groups(void **state) {
    struct place *p = *state;
    add_fanouts(p, "customer", "1", "2");
    add_fanouts(p, "product", "1", "1"); /* the same key waits once */
    group_is(p, "customer", 2, NULL);
    ok(p, state_fanouts_advance(p->state, "shop", span_of("c"), 7, &p->err));
    reopen(p);
    group_is(p, "customer", 2, "c");
    ok(p, state_fanouts_finish(p->state, "shop", &p->err));
    group_is(p, "product", 1, NULL);
    ok(p, state_fanouts_finish(p->state, "shop", &p->err));
    group_is(p, NULL, 0, NULL);
}

static void a_fanout_that_runs_is_added_again(void **state) {
    struct place *p = *state;
    struct state_fanouts_left before, after;
    add_fanouts(p, "customer", "1", "2");
    group_is(p, "customer", 2, NULL);
    ok(p, state_fanouts_left(p->state, "shop", "orders", &before, &p->err));
    add_fanouts(p, "customer", "1", "1");
    group_is(p, "customer", 2, NULL); /* the first one goes on */
    ok(p, state_fanouts_finish(p->state, "shop", &p->err));
    ok(p, state_fanouts_left(p->state, "shop", NULL, &after, &p->err));
    assert_int_equal(after.count, 1);
    assert_true(after.oldest > before.newest);
    group_is(p, "customer", 1, NULL);
}

static void a_group_has_an_end(void **state) {
    struct place *p = *state;
    struct state_fanouts f;
    for (int i = 0; i < 3; i++)
        add_fanouts(p, "customer", (const char *[]){"1", "3", "5"}[i],
                    (const char *[]){"2", "4", "6"}[i]);
    ok(p, state_fanouts_start(p->state, "shop", 4, &f, &p->err));
    assert_int_equal(f.count, 4);
    state_fanouts_clear(&f);
    group_is(p, "customer", 4, NULL);
    ok(p, state_fanouts_finish(p->state, "shop", &p->err));
    group_is(p, "customer", 2, NULL);
}

static void a_stop_ends_fanouts(void **state) {
    struct place *p = *state;
    add_fanouts(p, "customer", "1", "2");
    ok(p, state_collection_stop(p->state, "shop", "orders", 5, "broken", &p->err));
    group_is(p, NULL, 0, NULL);
}

/* ---- what a daemon keeps ---- */

static void what_people_set_is_kept(void **state) {
    struct place *p = *state;
    struct state_control c;
    ok(p, state_control_get(p->state, "shop", &c, &p->err));
    assert_false(c.paused);
    assert_int_equal(c.writes_per_second, -1);
    c = (struct state_control){.paused = true, .writes_per_second = 0};
    ok(p, state_control_set(p->state, "shop", &c, &p->err));
    reopen(p);
    ok(p, state_control_get(p->state, "shop", &c, &p->err));
    assert_true(c.paused);
    assert_int_equal(c.writes_per_second, 0);
}

static void the_last_verification_is_kept(void **state) {
    struct place *p = *state;
    struct state_verification v;
    bool found = true;
    ok(p, state_verification_get(p->state, "shop", &v, &found, &p->err));
    assert_false(found);
    for (int i = 1; i <= 2; i++) {
        v = (struct state_verification){.outcome = "different", .different = i};
        ok(p, state_verification_put(p->state, "shop", &v, &p->err));
    }
    reopen(p);
    ok(p, state_verification_get(p->state, "shop", &v, &found, &p->err));
    assert_true(found);
    assert_int_equal(v.different, 2);
    assert_string_equal(v.differences, "[]");
    state_verification_clear(&v);
}

/* ---- chunks ---- */

static void chunks_keep_their_bounds(void **state) {
    struct place *p = *state;
    static const char zero[] = {'a', 0, 'b'};
    struct span middle = span_make(zero, sizeof zero), empty = span_make("", 0), open = {0};
    ok(p, state_chunk_add(p->state, "shop", "orders", 1, open, middle, &p->err));
    ok(p, state_chunk_add(p->state, "shop", "orders", 2, middle, empty, &p->err));
    ok(p, state_chunk_add(p->state, "shop", "orders", 3, empty, open, &p->err));
    ok(p, state_chunk_done(p->state, "shop", "orders", 2, 10, &p->err));
    reopen(p);
    struct state_chunk *list = NULL, last;
    size_t count = 0;
    bool found = false;
    ok(p, state_chunks_open(p->state, "shop", "orders", &list, &count, &p->err));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].number, 1);
    assert_null(list[0].lower); /* open is not the same as empty */
    same(list[0].upper, list[0].upper_len, middle);
    assert_int_equal(list[1].number, 3);
    assert_non_null(list[1].lower);
    assert_int_equal(list[1].lower_len, 0);
    assert_null(list[1].upper);
    for (size_t i = 0; i < count; i++)
        state_chunk_clear(&list[i]);
    free(list);
    ok(p, state_chunk_last(p->state, "shop", "orders", &last, &found, &p->err));
    assert_true(found);
    assert_int_equal(last.number, 3);
    state_chunk_clear(&last);
    ok(p, state_chunk_last(p->state, "shop", "none", &last, &found, &p->err));
    assert_false(found);
}

static void a_chunk_number_is_used_once(void **state) {
    struct place *p = *state;
    struct span open = {0};
    ok(p, state_chunk_add(p->state, "shop", "orders", 1, open, open, &p->err));
    assert_int_equal(state_chunk_add(p->state, "shop", "orders", 1, open, open, &p->err),
                     ERR_STATE);
    assert_non_null(strstr(p->err.text, p->file));
    /* and belongs to a collection that is there */
    assert_int_equal(state_chunk_add(p->state, "shop", "none", 1, open, open, &p->err), ERR_STATE);
}

/* ---- requests ---- */

static void requests_come_in_order_and_once(void **state) {
    struct place *p = *state;
    struct state_request *list = NULL;
    size_t count = 0;
    int64_t open = 0;
    for (int i = 0; i < 5; i++) {
        char key[2] = {(char)('a' + i), 0};
        ok(p, state_request_add(p->state, "shop", "orders", span_make(key, 2), &p->err));
    }
    ok(p, state_request_list(p->state, "shop", 3, &list, &count, &p->err));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        char key[2] = {(char)('a' + i), 0};
        assert_string_equal(list[i].collection, "orders");
        same(list[i].key, list[i].key_len, span_make(key, 2));
        free(list[i].key);
    }
    ok(p, state_request_finish(p->state, "shop", list[1].id, &p->err));
    int64_t finished = list[1].id;
    free(list);
    ok(p, state_request_count(p->state, "shop", &open, &p->err));
    assert_int_equal(open, 3);
    ok(p, state_request_count(p->state, "other", &open, &p->err));
    assert_int_equal(open, 0);
    /* Numbers are never used again: finishing an old list cannot take a new request with it. */
    ok(p, state_request_finish(p->state, "shop", INT64_MAX, &p->err));
    ok(p, state_request_add(p->state, "shop", "orders", SPAN_LIT("new"), &p->err));
    ok(p, state_request_finish(p->state, "shop", finished + 3, &p->err));
    ok(p, state_request_count(p->state, "shop", &open, &p->err));
    assert_int_equal(open, 1);
}

/* ---- parked ---- */

static struct state_parked parked(int code, lsn_t lsn, bool deferred) {
    struct state_parked p = {.pipeline = "shop",
                             .collection = "orders",
                             .reason = "duplicate",
                             .code = code,
                             .last_lsn = lsn,
                             .deferred = deferred};
    return p;
}

static void a_parked_document_is_one_row(void **state) {
    struct place *p = *state;
    struct state_parked a = parked(11000, 30, true), b = parked(0, 10, false);
    struct span id_a = span_make("a\0", 2), id_b = span_make("b\0", 2);
    struct state_parked *list = NULL, got;
    size_t count = 0;
    int64_t n = -1;
    bool found = false;
    ok(p, state_parked_put(p->state, &a, id_a, id_a, &p->err));
    ok(p, state_parked_put(p->state, &b, id_b, SPAN_LIT("b"), &p->err));
    a.last_lsn = 20; /* an older position does not come back */
    a.deferred = false;
    ok(p, state_parked_put(p->state, &a, id_a, id_a, &p->err));
    reopen(p);
    ok(p, state_parked_list(p->state, "shop", 0, 10, &list, &count, &p->err));
    assert_int_equal(count, 2);
    same(list[0].identity, list[0].identity_len, span_make("a\0", 2));
    assert_int_equal(list[0].attempts, 2);
    assert_int_equal(list[0].first_lsn, 30);
    assert_int_equal(list[0].last_lsn, 30);
    assert_false(list[0].deferred);
    ok(p, state_parked_get(p->state, list[1].id, &got, &found, &p->err));
    assert_true(found);
    same(got.key, got.key_len, span_make("b", 1));
    state_parked_clear(&got);
    for (size_t i = 0; i < count; i++)
        state_parked_clear(&list[i]);
    free(list);
    ok(p, state_parked_delete(p->state, "shop", "orders", span_make("a\0", 2), &p->err));
    ok(p, state_parked_count(p->state, "other", &n, &p->err));
    assert_int_equal(n, 0);
    ok(p, state_parked_count(p->state, NULL, &n, &p->err));
    assert_int_equal(n, 1);
}

/* ---- verification ---- */

struct candidates_seen {
    int count, without_key;
    char identity[8];
};

static int see_candidate(void *context, const struct state_candidate *c, struct err *err) {
    struct candidates_seen *seen = context;
    if (c->identity.len >= sizeof seen->identity)
        return err_set(err, ERR_LIMIT, "too long");
    memcpy(seen->identity, c->identity.ptr, c->identity.len);
    seen->count++;
    seen->without_key += c->key.ptr == NULL;
    return 0;
}

static struct candidates_seen candidates_of(struct place *p, const char *collection) {
    struct candidates_seen seen = {0};
    ok(p, state_verify_candidates(p->state, "shop", collection, see_candidate, &seen, &p->err));
    return seen;
}

static void a_verification_is_resumed(void **state) {
    struct place *p = *state;
    char cursor[] = "k\0x";
    const struct state_candidate found[] = {{SPAN_LIT("i1"), SPAN_LIT("k1")},
                                            {SPAN_LIT("i2"), {0}}};
    struct state_verify v = {.collection = "orders", .options = "abc", .owner = 5, .started_us = 9};
    struct state_verify got;
    bool there = true, kept = false;
    ok(p, state_verify_get(p->state, "shop", "orders", &got, &there, &p->err));
    assert_false(there);
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    v.direction = STATE_VERIFY_DOCUMENTS;
    v.cursor = cursor;
    v.cursor_len = 3;
    v.compared = 8;
    v.scanned = 3;
    ok(p, state_verify_advance(p->state, "shop", &v, false, found, 2, &kept, &p->err));
    assert_true(kept);
    reopen(p);
    ok(p, state_verify_get(p->state, "shop", "orders", &got, &there, &p->err));
    assert_true(there);
    assert_string_equal(got.options, "abc");
    assert_int_equal(got.direction, STATE_VERIFY_DOCUMENTS);
    same(got.cursor, got.cursor_len, span_make(cursor, 3));
    assert_int_equal(got.compared, 8);
    assert_int_equal(got.scanned, 3);
    assert_int_equal(got.started_us, 9);
    free(got.cursor);
    struct candidates_seen seen = candidates_of(p, "orders");
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.without_key, 1);
    assert_string_equal(seen.identity, "i2");
    ok(p, state_verify_delete(p->state, "shop", "orders", 5, &p->err));
    ok(p, state_verify_get(p->state, "shop", "orders", &got, &there, &p->err));
    assert_false(there);
    assert_int_equal(candidates_of(p, "orders").count, 0);
}

/* Else two at once would leave one's position with only the other's findings before it. */
static void a_verification_that_another_took_keeps_nothing(void **state) {
    struct place *p = *state;
    const struct state_candidate found[] = {{SPAN_LIT("i1"), SPAN_LIT("k1")}};
    struct state_verify v = {.collection = "orders", .options = "abc", .owner = 5}, got;
    bool kept = true, taken = false, there = false;
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    ok(p, state_verify_take(p->state, "shop", "orders", 5, 6, &taken, &p->err));
    assert_true(taken);
    ok(p, state_verify_take(p->state, "shop", "orders", 5, 7, &taken, &p->err));
    assert_false(taken);
    v.compared = 100;
    ok(p, state_verify_advance(p->state, "shop", &v, false, found, 1, &kept, &p->err));
    assert_false(kept);
    ok(p, state_verify_delete(p->state, "shop", "orders", 5, &p->err));
    ok(p, state_verify_get(p->state, "shop", "orders", &got, &there, &p->err));
    assert_true(there);
    assert_int_equal(got.compared, 0);
    assert_int_equal(candidates_of(p, "orders").count, 0);
    v.owner = 8;
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err)); /* replaces */
    v.owner = 6;
    ok(p, state_verify_advance(p->state, "shop", &v, false, found, 1, &kept, &p->err));
    assert_false(kept);
}

static void settled_candidates_are_replaced(void **state) {
    struct place *p = *state;
    const struct state_candidate found[] = {{SPAN_LIT("i1"), SPAN_LIT("k1")},
                                            {SPAN_LIT("i2"), SPAN_LIT("k2")}};
    struct state_verify v = {.collection = "orders", .options = "abc", .owner = 5};
    bool kept = false;
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    ok(p, state_verify_advance(p->state, "shop", &v, false, found, 2, &kept, &p->err));
    ok(p, state_verify_advance(p->state, "shop", &v, true, found + 1, 1, &kept, &p->err));
    assert_int_equal(candidates_of(p, "orders").count, 1);
    v.owner = 9; /* another's are left alone */
    ok(p, state_verify_advance(p->state, "shop", &v, true, found, 0, &kept, &p->err));
    assert_false(kept);
    assert_int_equal(candidates_of(p, "orders").count, 1);
}

static void a_new_verification_forgets_what_the_old_one_found(void **state) {
    struct place *p = *state;
    const struct state_candidate found[] = {{SPAN_LIT("i1"), SPAN_LIT("k1")}};
    struct state_verify v = {.collection = "orders", .options = "abc", .owner = 5};
    bool kept = false;
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    ok(p, state_verify_advance(p->state, "shop", &v, false, found, 1, &kept, &p->err));
    v.owner = 6;
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    assert_int_equal(candidates_of(p, "orders").count, 0);
}

/* ---- threads ---- */

struct worker {
    struct state *state;
    int number;
    struct err err;
};

static void *work(void *argument) {
    struct worker *w = argument;
    static const struct state_counters one = {.received = 1};
    for (int i = 0; i < 40; i++) {
        struct state_collection *list = NULL;
        size_t count;
        int64_t number = w->number * 1000 + i;
        int rc = state_chunk_add(w->state, "shop", "orders", number, SPAN_LIT("a"), SPAN_LIT("b"),
                                 &w->err);
        if (rc == 0)
            rc = state_chunk_done(w->state, "shop", "orders", number, 1, &w->err);
        if (rc == 0)
            rc = state_checkpoint(w->state, "shop", 100, &one, &w->err);
        if (rc == 0)
            rc = state_collection_list(w->state, "shop", &list, &count, &w->err);
        free(list);
        if (rc < 0)
            break;
    }
    return NULL;
}

static void any_thread_may_call(void **state) {
    struct place *p = *state;
    struct worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.state = p->state, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (workers[i].err.code)
            fail_msg("%s", workers[i].err.text);
    }
    struct state_collection *list = NULL;
    struct state_pipeline *pipelines = NULL;
    size_t count = 0;
    ok(p, state_collection_list(p->state, "shop", &list, &count, &p->err));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].documents, 160);
    free(list);
    ok(p, state_pipeline_list(p->state, &pipelines, &count, &p->err));
    assert_int_equal(count, 1);
    assert_int_equal(pipelines[0].counters.received, 160);
    free(pipelines);
}

/* A statement inside another of the same text must not disturb it, nor must one more than are
 * kept. */
static void statements_nest(void **state) {
    struct place *p = *state;
    static const char sql[] = "SELECT 1 UNION ALL SELECT 2";
    struct statement outer, inner;
    statement_begin(&outer, p->state, sql);
    assert_int_equal(statement_row(&outer, &p->err), 1);
    statement_begin(&inner, p->state, sql);
    assert_int_equal(statement_row(&inner, &p->err), 1);
    assert_int_equal(statement_get_int(&inner, 0), 1);
    statement_end(&inner);
    assert_int_equal(statement_row(&outer, &p->err), 1);
    assert_int_equal(statement_get_int(&outer, 0), 2);
    statement_end(&outer);
    static char texts[2 * STATEMENTS_KEPT][32];
    for (int i = 0; i < 2 * STATEMENTS_KEPT; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "SELECT %d + ?", i);
        for (int again = 0; again < 2; again++) {
            statement_begin(&outer, p->state, texts[i]);
            statement_int(&outer, again);
            assert_int_equal(statement_row(&outer, &p->err), 1);
            assert_int_equal(statement_get_int(&outer, 0), i + again);
            statement_end(&outer);
        }
    }
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(fanouts_run_by_groups),
    TEST(a_fanout_that_runs_is_added_again),
    TEST(a_group_has_an_end),
    TEST(a_stop_ends_fanouts),
    TEST(what_people_set_is_kept),
    TEST(the_last_verification_is_kept),
    TEST(chunks_keep_their_bounds),
    TEST(a_chunk_number_is_used_once),
    TEST(requests_come_in_order_and_once),
    TEST(a_parked_document_is_one_row),
    TEST(a_verification_is_resumed),
    TEST(a_verification_that_another_took_keeps_nothing),
    TEST(settled_candidates_are_replaced),
    TEST(a_new_verification_forgets_what_the_old_one_found),
    TEST(any_thread_may_call),
    TEST(statements_nest),
};

int main(void) {
    return cmocka_run_group_tests_name("state_work", tests, NULL, NULL);
}

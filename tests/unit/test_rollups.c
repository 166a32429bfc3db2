/* Statistics by the minute: merged, summed, expired; once each, through retries and kill -9. */
#include "admin/answered.h"
#include "base/mem.h"
#include "obs/histogram.h"
#include "state/statement.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64];
    char file[96];
    struct state *state;
    struct obs_histogram *histogram;
    struct err err;
};

#define ok(p, call)                                                                                \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, (p)->err.text);                                              \
    } while (0)

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    *state = p;
    p->histogram = obs_histogram_new();
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/banyan-state-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    (void)snprintf(p->file, sizeof p->file, "%s/a.db", p->folder);
    return state_open(p->file, &p->state, &p->err);
}

static int teardown(void **state) {
    struct place *p = *state;
    state_free(p->state);
    (void)unlink(p->file);
    (void)rmdir(p->folder);
    obs_histogram_free(p->histogram);
    free(p);
    return 0;
}

static struct state_rollup row(const struct place *p, const char *name, int64_t minute,
                               int64_t count) {
    return (struct state_rollup){.key = {"shop", "http", name, "mongodb"},
                                 .minute = minute,
                                 .count = count,
                                 .errors = count / 10,
                                 .compared = count / 2,
                                 .explained = 1,
                                 .histogram = p->histogram};
}

/* What state_rollups_sum told: one line a row. */
struct told {
    char text[4096];
    int rows;
    int stop_after; /* 0: never */
};

static int tell(void *context, const struct state_rollup *r, struct err *err) {
    struct told *t = context;
    size_t len = strlen(t->text);
    (void)err;
    (void)snprintf(t->text + len, sizeof t->text - len, "%s/%s/%s/%s %lld: %lld %lld %lld %llu\n",
                   r->key.module, r->key.kind, r->key.name, r->key.side, (long long)r->minute,
                   (long long)r->count, (long long)r->errors, (long long)r->explained,
                   (unsigned long long)obs_histogram_count(r->histogram));
    t->rows++;
    return t->rows == t->stop_after ? ERR_NO : 0;
}

static const struct state_rollup_filter everything = {.until = INT64_MAX, .step = 1};

static void is(struct place *p, const struct state_rollup_filter *filter, const char *want) {
    struct told t = {0};
    ok(p, state_rollups_sum(p->state, filter, tell, &t, &p->err));
    assert_string_equal(t.text, want);
}

static void a_minute_is_merged(void **state) {
    struct place *p = *state;
    obs_histogram_add_many(p->histogram, 500, 3);
    struct state_rollup rows[] = {row(p, "/a", 100, 30), row(p, "/b", 100, 7)};
    ok(p, state_rollups_write(p->state, "one", 1, rows, 2, &p->err));
    ok(p, state_rollups_write(p->state, "two", 1, rows, 1, &p->err));
    is(p, &everything,
       "shop/http//a/mongodb 100: 60 6 2 6\n"
       "shop/http//b/mongodb 100: 7 0 1 3\n");
}

static void a_batch_counts_once(void **state) {
    struct place *p = *state;
    struct state_rollup rows[] = {row(p, "/a", 100, 30), row(p, "/a", 100, 12)};
    ok(p, state_rollups_write(p->state, "one", 5, rows, 1, &p->err));
    ok(p, state_rollups_write(p->state, "one", 5, rows, 1, &p->err)); /* the answer was lost */
    ok(p, state_rollups_write(p->state, "one", 4, rows, 1, &p->err));
    is(p, &everything, "shop/http//a/mongodb 100: 30 3 1 0\n");
    ok(p, state_rollups_write(p->state, "one", 6, rows, 2, &p->err)); /* twice in one batch */
    is(p, &everything, "shop/http//a/mongodb 100: 72 7 3 0\n");
}

static void a_batch_is_whole_or_not_there(void **state) {
    struct place *p = *state;
    char longer[STATE_NAME_MAX + 1];
    memset(longer, 'x', STATE_NAME_MAX);
    longer[STATE_NAME_MAX] = '\0';
    struct state_rollup rows[] = {row(p, "/a", 100, 30), row(p, longer, 100, 1)};
    assert_int_equal(state_rollups_write(p->state, "one", 1, rows, 2, &p->err), ERR_LIMIT);
    rows[1] = row(p, "/b", 100, -1);
    assert_int_equal(state_rollups_write(p->state, "one", 1, rows, 2, &p->err), ERR_INTERNAL);
    assert_int_equal(
        state_rollups_write(p->state, "one", 1, rows, STATE_ROLLUP_ROWS_MAX + 1, &p->err),
        ERR_LIMIT);
    is(p, &everything, "");
    /* Fails in the middle of the transaction: what is stored cannot be merged with. */
    ok(p, state_rollups_write(p->state, "one", 1, rows, 1, &p->err));
    assert_int_equal(sqlite3_exec(p->state->db,
                                  "INSERT INTO rollup VALUES ('shop', 'http', '/c', 'mongodb', "
                                  "100, 1, 0, 0, 0, 0, 0, 0, 0, x'09')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    rows[1] = row(p, "/c", 100, 1);
    assert_int_equal(state_rollups_write(p->state, "one", 2, rows, 2, &p->err), ERR_VALUE);
    struct state_rollup_filter a = {.key.name = "/a", .until = INT64_MAX, .step = 1};
    is(p, &a, "shop/http//a/mongodb 100: 30 3 1 0\n");
    ok(p, state_rollups_write(p->state, "one", 2, rows, 1, &p->err)); /* the number is still free */
    is(p, &a, "shop/http//a/mongodb 100: 60 6 2 0\n");
    struct told t = {0};
    assert_int_equal(state_rollups_sum(p->state, &everything, tell, &t, &p->err), ERR_VALUE);
    assert_non_null(strstr(p->err.text, "statistics of /c, minute 100"));
}

static void ranges_are_summed(void **state) {
    struct place *p = *state;
    for (int64_t minute = 0; minute < 1300; minute++) { /* more than two pages */
        obs_histogram_clear(p->histogram);
        obs_histogram_add(p->histogram, minute * 1000);
        struct state_rollup rows[] = {row(p, "/a", minute, 1), row(p, "/b", minute, 2)};
        rows[1].key.module = "";
        ok(p, state_rollups_write(p->state, "w", minute + 1, rows, 2, &p->err));
    }
    struct state_rollup_filter f = {.until = 1300};
    is(p, &f, "/http//b/mongodb 0: 2600 0 1300 1300\nshop/http//a/mongodb 0: 1300 0 1300 1300\n");
    f = (struct state_rollup_filter){.key.module = "shop", .from = 55, .until = 185, .step = 60};
    is(p, &f,
       "shop/http//a/mongodb 0: 5 0 5 5\n"
       "shop/http//a/mongodb 60: 60 0 60 60\n"
       "shop/http//a/mongodb 120: 60 0 60 60\n"
       "shop/http//a/mongodb 180: 5 0 5 5\n");
    f = (struct state_rollup_filter){.key.module = "", .from = 10, .until = 12, .step = 1};
    is(p, &f, "/http//b/mongodb 10: 2 0 1 1\n/http//b/mongodb 11: 2 0 1 1\n");
    f.key.side = "sql";
    is(p, &f, "");
    struct told t = {.stop_after = 1};
    assert_int_equal(state_rollups_sum(p->state, &everything, tell, &t, &p->err), ERR_NO);
    assert_int_equal(t.rows, 1);
}

static int keep_p50(void *context, const struct state_rollup *r, struct err *err) {
    (void)err;
    *(double *)context = obs_histogram_percentile(r->histogram, 50);
    return 0;
}

/* The median over two minutes is that of all samples, not of two medians. */
static void lately_is_from_a_minute_on(void **state) {
    struct place *p = *state;
    obs_histogram_add_many(p->histogram, 500, 3);
    struct state_rollup rows[] = {row(p, "/a", 99, 10), row(p, "/a", 100, 30),
                                  row(p, "/a", 101, 7)};
    struct told t = {0};
    ok(p, state_rollups_recent(p->state, 100, tell, &t, &p->err));
    assert_string_equal(t.text, "");
    ok(p, state_rollups_write(p->state, "one", 1, rows, 3, &p->err));
    ok(p, state_rollups_recent(p->state, 100, tell, &t, &p->err));
    assert_string_equal(t.text, "shop/http//a/mongodb 100: 30 3 1 3\n"
                                "shop/http//a/mongodb 101: 7 0 1 3\n");
    t = (struct told){.stop_after = 1};
    assert_int_equal(state_rollups_recent(p->state, 100, tell, &t, &p->err), ERR_NO);
    assert_int_equal(t.rows, 1);
    ok(p, state_rollups_write(p->state, "one", 2, rows, 1, &p->err)); /* the lock is free */
}

/* A rescued read was answered by SQL, where it is counted; other kinds are nobody's reads. */
static void who_answered_is_summed(void **state) {
    struct place *p = *state;
    struct answered a;
    obs_histogram_add_many(p->histogram, 500, 10);
    struct state_rollup rows[4];
    const char *const kinds[] = {"route", "route", "operation", "shadow"};
    const char *const sides[] = {"sql", "mongodb", "mongodb", "mongodb"};
    for (int i = 0; i < 4; i++) {
        rows[i] = row(p, i == 2 ? "find" : "/a", 100 - i % 2, 99);
        rows[i].key.kind = kinds[i];
        rows[i].key.side = sides[i];
    }
    rows[1].rescued = 4;
    ok(p, state_rollups_write(p->state, "one", 1, rows, 4, &p->err));
    ok(p, answered_take(p->state, INT64_C(100) * 60000000, &a, &p->err));
    assert_int_equal(a.count, 2);
    const struct answered_row all = answered_sum(&a, "shop", NULL, NULL);
    assert_true(all.sql == 10 && all.mongodb == 16 && all.rescued == 4);
    const struct answered_row route = answered_sum(&a, "shop", "route", "/a");
    assert_true(route.sql == 10 && route.mongodb == 6 && route.rescued == 4);
    const struct answered_row none = answered_sum(&a, "other", NULL, NULL);
    assert_true(none.sql == 0 && none.mongodb == 0);
    answered_release(&a);
    ok(p, answered_take(p->state, INT64_C(106) * 60000000, &a, &p->err));
    assert_int_equal(a.count, 0);
    answered_release(&a);
}

static void percentiles_of_sums_are_right(void **state) {
    struct place *p = *state;
    double p50 = 0;
    obs_histogram_add_many(p->histogram, 100, 1000);
    struct state_rollup one = row(p, "/a", 1, 1000);
    ok(p, state_rollups_write(p->state, "w", 1, &one, 1, &p->err));
    obs_histogram_clear(p->histogram);
    obs_histogram_add_many(p->histogram, 100000, 10);
    one = row(p, "/a", 2, 10);
    ok(p, state_rollups_write(p->state, "w", 2, &one, 1, &p->err));
    struct state_rollup_filter f = {.until = 3};
    ok(p, state_rollups_sum(p->state, &f, keep_p50, &p50, &p->err));
    assert_true(p50 == 100);
}

static int64_t stored(struct place *p, const char *sql) {
    struct statement st;
    statement_begin(&st, p->state, sql);
    assert_int_equal(statement_row(&st, &p->err), 1);
    int64_t v = statement_get_int(&st, 0);
    statement_end(&st);
    return v;
}

static void old_minutes_are_forgotten(void **state) {
    struct place *p = *state;
    const int64_t now = 100000, kept = now - STATE_ROLLUP_DAYS * 1440;
    struct state_rollup *rows = mem_zalloc(2500, sizeof *rows);
    for (int i = 0; i < 2500; i++)
        rows[i] = row(p, "/a", kept - 2400 + i, 1);
    ok(p, state_rollups_write(p->state, "old", 1, rows, 2500, &p->err));
    rows[0].minute = now;
    ok(p, state_rollups_write(p->state, "new", 1, rows, 1, &p->err));
    ok(p, state_rollups_expire(p->state, kept, &p->err));
    assert_int_equal(stored(p, "SELECT count(*) FROM rollup"), 101);
    assert_int_equal(stored(p, "SELECT min(minute) FROM rollup"), kept);
    assert_int_equal(stored(p, "SELECT count(*) FROM rollup_writer WHERE writer = 'new'"), 1);
    assert_int_equal(stored(p, "SELECT count(*) FROM rollup_writer"), 1);
    free(rows);
}

/* ---- kill -9 ---- */

enum { NAMES = 5 };

/* Writes batches until it is killed; says on `out` which one it is about to write. */
static void write_for_ever(const char *file, int64_t first, int out) {
    static const char *const names[NAMES] = {"/0", "/1", "/2", "/3", "/4"};
    struct place p = {.histogram = obs_histogram_new()};
    struct state_rollup rows[NAMES];
    if (state_open(file, &p.state, &p.err) != 0)
        _exit(1);
    obs_histogram_add(p.histogram, 1234);
    for (int64_t sequence = first;; sequence++) {
        for (int i = 0; i < NAMES; i++)
            rows[i] = row(&p, names[i], sequence / 10, 1);
        if (write(out, &sequence, sizeof sequence) != sizeof sequence)
            _exit(1);
        if (state_rollups_write(p.state, "child", sequence, rows, NAMES, &p.err) != 0)
            _exit(1);
    }
}

static int64_t run_and_kill(const char *file, int64_t first, useconds_t after_us) {
    int64_t announced = first, next;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        write_for_ever(file, first, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &announced, sizeof announced), sizeof announced);
    usleep(after_us);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    while (read(ends[0], &next, sizeof next) == sizeof next)
        announced = next;
    close(ends[0]);
    return announced;
}

static int count_rows(void *context, const struct state_rollup *r, struct err *err) {
    (void)err;
    int64_t *counts = context;
    assert_int_equal(obs_histogram_count(r->histogram), r->count);
    counts[r->key.name[1] - '0'] += r->count;
    return 0;
}

static void killed_at_random_it_counts_once(void **state) {
    struct place *p = *state;
    int64_t next = 1;
    state_free(p->state);
    p->state = NULL;
    for (int round = 0; round < 12; round++) {
        int64_t last = run_and_kill(p->file, next, (useconds_t)(round * 7919 % 30000));
        ok(p, state_open(p->file, &p->state, &p->err));
        /* The writer does not know whether its last batch was merged: it sends it again. */
        struct state_rollup again[NAMES];
        static const char *const names[NAMES] = {"/0", "/1", "/2", "/3", "/4"};
        obs_histogram_clear(p->histogram);
        obs_histogram_add(p->histogram, 1234);
        for (int i = 0; i < NAMES; i++)
            again[i] = row(p, names[i], last / 10, 1);
        ok(p, state_rollups_write(p->state, "child", last, again, NAMES, &p->err));
        int64_t counts[NAMES] = {0};
        ok(p, state_rollups_sum(p->state, &everything, count_rows, counts, &p->err));
        for (int i = 0; i < NAMES; i++)
            assert_int_equal(counts[i], last);
        state_free(p->state);
        p->state = NULL;
        next = last + 1;
    }
    ok(p, state_open(p->file, &p->state, &p->err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_minute_is_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_whole_or_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_are_summed, setup, teardown),
        cmocka_unit_test_setup_teardown(lately_is_from_a_minute_on, setup, teardown),
        cmocka_unit_test_setup_teardown(who_answered_is_summed, setup, teardown),
        cmocka_unit_test_setup_teardown(percentiles_of_sums_are_right, setup, teardown),
        cmocka_unit_test_setup_teardown(old_minutes_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_at_random_it_counts_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("rollups", tests, NULL, NULL);
}

#include "operation/side_sql.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"
#include "db/pg_catalog.h"
#include "db/pg_request.h"
#include "operation/answer.h"
#include "operation/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct column {
    char *name;
    uint32_t oid;
    const struct pg_type *type; /* in the session's catalogue */
};

struct statement {
    bool prepared;
    struct column *columns;
    size_t count;
};

struct session {
    struct pg *pg;
    struct pg_catalog *catalog; /* types by OID */
    struct statement *statements;
    size_t statement_count;
    bool used; /* it has answered before: a loss now may be an old one */
    struct pool *pool;
};

struct side_sql {
    const struct conf *conf;
    struct side_limits limits;
    struct pool *pools[2]; /* primaries, samples */
    struct queue *lost;    /* struct session: to be cancelled and closed, which may take long */
    pthread_t canceller;
    bool started;
    atomic_bool ending; /* nobody waits for the places of what is lost any more */
};

/* ---- sessions ---- */

static void statement_clear(struct statement *s) {
    for (size_t i = 0; i < s->count; i++)
        free(s->columns[i].name);
    free(s->columns);
    *s = (struct statement){0};
}

static void session_free(void *session) {
    struct session *s = session;
    for (size_t i = 0; i < s->statement_count; i++)
        statement_clear(&s->statements[i]);
    free(s->statements);
    pg_catalog_free(s->catalog);
    pg_free(s->pg);
    free(s);
}

static int session_open(struct side_sql *side, int64_t until_us, struct session **ret,
                        struct err *err) {
    struct pg *pg = NULL;
    int rc = pg_request_connect(side->conf->source.uri, side->limits.app,
                                side->limits.longest_us + 1000000, until_us, &pg, err);
    if (rc < 0)
        return rc;
    struct session *s = mem_zalloc(1, sizeof *s);
    s->pg = pg;
    s->catalog = pg_catalog_new();
    s->statement_count = side->limits.operations;
    s->statements = mem_zalloc(s->statement_count + 1, sizeof *s->statements);
    *ret = s;
    return 0;
}

/* Cancelling asks the server and waits for it: nobody who answers calls can. The place in the pool
 * stays taken until then, so a server that is stalled is not asked more and more. At the end what
 * is left is only closed: the server ends those statements by itself (statement_timeout). */
static void *cancel_main(void *argument) {
    struct side_sql *side = argument;
    void *item;
    for (;;) {
        enum queue_result result = queue_pop(side->lost, &item, 1000000);
        if (result == QUEUE_CLOSED)
            return NULL;
        if (result != QUEUE_OK)
            continue;
        struct session *s = item;
        struct pool *pool = s->pool;
        if (!atomic_load(&side->ending))
            pg_cancel_request(s->pg);
        session_free(s);
        pool_put(pool, NULL);
    }
}

int side_sql_new(const struct conf *conf, const struct side_limits *limits,
                 struct side_sql **ret_side, struct err *err) {
    struct side_sql *s = mem_zalloc(1, sizeof *s);
    size_t all = OPERATION_SESSIONS + limits->sample_sessions;
    s->conf = conf;
    s->limits = *limits;
    s->pools[0] = pool_new(OPERATION_SESSIONS, OPERATION_WAITING_MAX, session_free);
    s->pools[1] = pool_new(limits->sample_sessions, limits->sample_sessions, session_free);
    s->lost = queue_new(all, all);
    s->started = thread_start(&s->canceller, cancel_main, s);
    if (!s->started) {
        side_sql_free(s);
        return err_set(err, ERR_LIMIT, "the system has no room for another thread");
    }
    *ret_side = s;
    return 0;
}

void side_sql_free(struct side_sql *s) {
    if (!s)
        return;
    atomic_store(&s->ending, true);
    queue_close(s->lost);
    if (s->started)
        pthread_join(s->canceller, NULL);
    queue_free(s->lost);
    pool_free(s->pools[0]);
    pool_free(s->pools[1]);
    free(s);
}

/* ---- statements ---- */

static int learn_columns(struct session *s, struct statement *st, const PGresult *description,
                         struct err *err) {
    int count = PQnfields(description), rc = 0;
    if (count == 0)
        return err_set(err, ERR_CONF, "the statement returns no columns");
    st->columns = mem_zalloc((size_t)count, sizeof *st->columns);
    for (int i = 0; rc == 0 && i < count; i++) {
        struct column *c = &st->columns[st->count++];
        c->name = mem_strdup(PQfname(description, i));
        c->oid = PQftype(description, i);
        for (int j = 0; j < i; j++)
            if (strcmp(st->columns[j].name, c->name) == 0)
                return err_set(err, ERR_CONF,
                               "two columns are called '%s'; give one another name with AS",
                               c->name);
        rc = pg_catalog_type(s->catalog, s->pg, c->oid, &c->type, err);
    }
    return rc;
}

/* *ret_open: the session cannot be used again. */
static int prepare(struct session *s, struct compiled *c, int64_t until_us, bool *ret_open,
                   struct err *err) {
    struct statement *st = &s->statements[c->number];
    uint32_t types[SQL_TEXT_PARAMS_MAX];
    char name[24];
    PGresult *description = NULL;
    if (st->prepared)
        return 0;
    for (size_t i = 0; i < c->sql.count; i++)
        types[i] = param_oid(&c->conf->params[c->sql.params[i].param]);
    (void)snprintf(name, sizeof name, "o%zu", c->number);
    statement_clear(st);
    int rc = pg_request_prepare(s->pg, name, c->sql.text.data, c->sql.count, types, until_us,
                                &description, err);
    if (rc == 0)
        rc = learn_columns(s, st, description, err);
    if (rc < 0 && description) { /* the name must be free for the next try */
        _cleanup_(buf_release) struct buf sql = {.max = 64};
        buf_printf(&sql, "DEALLOCATE %s", name);
        struct err ignored;
        if (pg_exec(s->pg, buf_text(&sql), NULL, &ignored) < 0)
            *ret_open = true;
    }
    PQclear(description);
    st->prepared = rc == 0;
    return rc;
}

/* ---- rows ---- */

struct rows {
    struct answer_writer writer;
    const struct statement *statement;
    const struct conf_types *policy;
    bool changed; /* other columns than when it was prepared */
};

static bool is_same(const struct statement *st, const PGresult *r) {
    bool same = (size_t)PQnfields(r) == st->count;
    for (size_t i = 0; same && i < st->count; i++)
        same = PQftype(r, (int)i) == st->columns[i].oid &&
               strcmp(PQfname(r, (int)i), st->columns[i].name) == 0;
    return same;
}

static int add_row(void *context, const PGresult *r, int row, struct err *err) {
    struct rows *rows = context;
    struct answer_writer *w = &rows->writer;
    if (row < 0) {
        rows->changed = !is_same(rows->statement, r);
        return rows->changed ? err_set(err, ERR_CONF, "the statement's columns have changed") : 0;
    }
    int rc = answer_row(w, err);
    for (size_t i = 0; rc == 0 && i < rows->statement->count; i++) {
        const struct column *c = &rows->statement->columns[i];
        struct span name = span_of(c->name);
        if (PQgetisnull(r, row, (int)i)) {
            bsonw_null(&w->w, name);
            continue;
        }
        struct span text =
            span_make(PQgetvalue(r, row, (int)i), (size_t)PQgetlength(r, row, (int)i));
        rc = pg_type_append(c->type, rows->policy, text, &w->w, name, err);
        if (rc < 0)
            (void)err_prefix(err, "column %s", c->name);
    }
    if (rc < 0)
        return rc;
    bsonw_close(&w->w);
    return answer_fits(w, err);
}

/* ---- asking ---- */

/* The session after a call. `open`: something is still under way in it. */
static void give_back(struct side_sql *side, struct session *s, bool open) {
    struct pool *pool = s->pool;
    bool lost = PQstatus(pg_conn(s->pg)) != CONNECTION_OK;
    bool usable = !open && !pg_timed_out(s->pg) && !lost && pg_is_read_only(s->pg) &&
                  PQtransactionStatus(pg_conn(s->pg)) == PQTRANS_IDLE;
    s->used = true;
    if (usable) {
        pool_put(pool, s);
        return;
    }
    if (!lost && queue_push(side->lost, s, 1, 0) == QUEUE_OK)
        return;
    session_free(s);
    pool_put(pool, NULL);
}

static int run(struct session *s, struct compiled *c, const struct params *p,
               const struct side_times *times, struct operation_answer *ret, bool *ret_open,
               bool *ret_stale, struct err *err) {
    struct span texts[SQL_TEXT_PARAMS_MAX];
    struct rows rows = {.policy = &c->whole->types};
    char name[24];
    struct arena arena;
    *ret_open = false;
    int rc = prepare(s, c, times->until_us, ret_open, err);
    if (rc < 0)
        return rc;
    arena_init(&arena, 4 * (size_t)OPERATION_REQUEST_MAX);
    for (size_t i = 0; rc == 0 && i < c->sql.count; i++) {
        texts[i] = p->texts[c->sql.params[i].param];
        if (c->sql.params[i].like && texts[i].ptr) {
            texts[i] = param_like(texts[i], &arena);
            rc = texts[i].ptr ? 0 : err_set(err, ERR_LIMIT, "a parameter is too long");
        }
    }
    rows.statement = &s->statements[c->number];
    answer_begin(&rows.writer, c->conf, ret);
    (void)snprintf(name, sizeof name, "o%zu", c->number);
    if (rc == 0)
        rc = pg_request_run(s->pg, name, c->sql.count, texts, times->until_us, add_row, &rows,
                            ret_open, err);
    arena_release(&arena);
    if (rc == 0)
        rc = answer_end(&rows.writer, err);
    *ret_stale = rows.changed;
    return rc;
}

/* 0A000: the plan's columns have changed; 26000: somebody between us and the server took the
 * statement away; a session that was lost while it waited for work. */
static bool is_stale(const struct session *s) {
    const char *state = pg_sqlstate(s->pg);
    bool lost = PQstatus(pg_conn(s->pg)) != CONNECTION_OK;
    return s->used && !pg_timed_out(s->pg) &&
           (lost || strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0);
}

static enum operation_outcome outcome_of(const struct session *s) {
    if (pg_timed_out(s->pg))
        return OPERATION_TIMEOUT;
    if (strcmp(pg_sqlstate(s->pg), "57014") == 0)
        return OPERATION_TIMEOUT; /* statement_timeout */
    return PQstatus(pg_conn(s->pg)) != CONNECTION_OK ? OPERATION_CONNECT : OPERATION_FAILED;
}

/* *ret_session: with a place of the pool. */
static bool take(struct side_sql *side, const struct side_times *times,
                 struct operation_answer *ret, struct session **ret_session) {
    struct pool *pool = side->pools[times->sample];
    struct err err = {0};
    void *session = NULL;
    if (!pool_take(pool, times->session_us, &session)) {
        (void)err_set_retriable(&err, ERR_BUSY, "no session of the source was free in time");
        answer_fail(ret, OPERATION_CONNECT, &err);
        return false;
    }
    *ret_session = session;
    if (!session && session_open(side, times->until_us, ret_session, &err) < 0) {
        pool_put(pool, NULL);
        answer_fail(ret, OPERATION_CONNECT, &err);
        return false;
    }
    (*ret_session)->pool = pool;
    return true;
}

void side_sql_ask(struct side_sql *side, struct compiled *c, const struct params *p,
                  const struct side_times *times, struct operation_answer *ret) {
    int64_t start = clock_mono_us();
    /* At most as many old sessions as there are; then a new one. */
    for (size_t i = 0; i <= OPERATION_SESSIONS + side->limits.sample_sessions; i++) {
        struct session *s = NULL;
        struct err err = {0};
        bool open = false, changed = false;
        if (!take(side, times, ret, &s))
            break;
        int rc = run(s, c, p, times, ret, &open, &changed, &err);
        bool again = rc < 0 && s->used && (changed || is_stale(s));
        if (rc < 0)
            answer_fail(ret, outcome_of(s), &err);
        /* Who is not to be used again is closed. */
        give_back(side, s, open || again);
        if (!again)
            break;
    }
    ret->took_us = clock_mono_us() - start;
}

/* ---- keys ---- */

int side_sql_learn_key(struct side_sql *side, struct key *key, const struct side_times *times,
                       struct err *err) {
    struct operation_answer failed = {0};
    const struct conf_table *name = &key->mapping->table;
    const struct pg_table *table = NULL;
    struct session *s = NULL;
    if (!take(side, times, &failed, &s)) {
        if (err)
            *err = failed.err;
        return failed.err.code;
    }
    struct pg_catalog *catalog = pg_catalog_new();
    pg_request_until(s->pg, times->until_us);
    int rc = pg_catalog_table(catalog, s->pg, name->schema, name->name, &table, err);
    if (rc == 0 && (!table || table->primary_key_count != 1))
        rc = err_set(err, ERR_CONF, "table %s.%s has no key of one column", name->schema,
                     name->name);
    if (rc == 0)
        key_learn(key, table->columns[table->primary_key[0]].name);
    pg_catalog_free(catalog);
    give_back(side, s, false);
    return rc;
}

size_t side_sql_sessions(struct side_sql *s) {
    return pool_in_use(s->pools[0]) + pool_in_use(s->pools[1]);
}

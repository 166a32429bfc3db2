/*
 * The copy of what is there: chunks of root keys, read in short transactions of their own by a few
 * threads, each document inserted once.
 *
 *   chunk planned (its end found, recorded) -> rows read and inserted -> acknowledged -> done
 *
 * A chunk that was not done when the process ended is copied again; documents it finds already
 * there are left alone, because the log, read from before the first chunk, heals what is older.
 */
#include "apply/opbatch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "map/identity_back.h"
#include "pipeline/keyblob.h"
#include "pipeline/run.h"
#include "source/assemble.h"
#include "source/readback.h"

#include <stdio.h>

/* Assembled chunks are cut shorter: their documents are larger than a row. */
#define ASSEMBLED_CHUNK_DIVISOR 10
#define PROGRESS_EVERY_US 1000000
#define STOP_GRACE_US 5000000
#define VISIBLE_WAIT_US 200000

struct plan_state { /* how far the chunks of one collection are planned and copied */
    bool planned_all;
    size_t open;                   /* handed out and not done */
    struct state_chunk *left_over; /* of an earlier run, not done */
    size_t left_over_count;
    int64_t last_number;
    char *last_end; /* blob; NULL: no chunk yet */
    size_t last_end_len;
};

struct snapshot {
    struct run *run;
    pthread_mutex_t lock; /* plans, live_workers */
    struct plan_state *plans;
    size_t live_workers;
    int64_t expected;
};

struct worker {
    struct snapshot *snapshot;
    pthread_t thread;
    bool started;
    size_t number;
    char *source_app, *target_app;
    struct pg *pg;
    struct writer *writer;
    struct assembler *assembler;
    size_t assembler_for;
    struct opbatch ops;
    int64_t chunk_documents;
    struct arena keys;
    struct backoff backoff;
};

struct chunk {
    size_t collection;
    struct state_chunk stored;
};

/* ---- planning, under the lock ---- */

static bool is_copying(const struct run *run, size_t c) {
    return run->collections[c].phase == STATE_COPYING;
}

static struct span blob_of(const char *data, size_t len) {
    return span_make(data, len);
}

/* The end of the next chunk; empty: none, the chunk is the last one. */
static int find_chunk_end(struct worker *w, const struct plan_collection *c,
                          const struct plan_state *p, struct buf *ret_blob, struct err *err) {
    struct span after[PG_INDEX_COLUMNS_MAX];
    _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int64_t rows = w->snapshot->run->conf->source.snapshot_chunk_rows;
    if (!c->flat)
        rows = rows / ASSEMBLED_CHUNK_DIVISOR + 1;
    arena_reset(&w->keys);
    if (p->last_end &&
        !keyblob_read(blob_of(p->last_end, p->last_end_len), &w->keys, after, c->id_count))
        return err_set(err, ERR_STATE,
                       "a chunk bound in the state file is damaged; run again with "
                       "--recopy %s",
                       c->name);
    query_chunk_end(&sql, c, p->last_end ? after : NULL, rows);
    int rc = pg_exec(w->pg, buf_text(&sql), &r, err);
    if (rc < 0 || pg_rows(r) == 0)
        return rc;
    struct span end[PG_INDEX_COLUMNS_MAX];
    for (size_t i = 0; i < c->id_count; i++)
        end[i] = pg_value(r, 0, i);
    keyblob_write(ret_blob, end, c->id_count);
    return 0;
}

static int plan_chunk(struct worker *w, size_t collection, struct chunk *ret, struct err *err) {
    struct run *run = w->snapshot->run;
    struct plan_state *p = &w->snapshot->plans[collection];
    const struct plan_collection *c = run->plan->collections[collection];
    _cleanup_(buf_release) struct buf end = {.max = 1024 * 1024};
    int rc = find_chunk_end(w, c, p, &end, err);
    if (rc < 0)
        return rc;
    struct span lower = blob_of(p->last_end, p->last_end_len);
    struct span upper = buf_span(&end);
    rc = state_chunk_add(run->state, run->name, c->name, p->last_number + 1, lower,
                         end.len ? upper : (struct span){0}, err);
    if (rc < 0)
        return rc;
    *ret = (struct chunk){.collection = collection,
                          .stored = {.number = p->last_number + 1,
                                     .lower = p->last_end,
                                     .lower_len = p->last_end_len,
                                     .upper = end.len ? mem_strndup(end.data, end.len) : NULL,
                                     .upper_len = end.len}};
    if (p->last_end)
        ret->stored.lower = mem_strndup(p->last_end, p->last_end_len);
    p->last_number++;
    free(p->last_end);
    p->last_end = end.len ? mem_strndup(end.data, end.len) : NULL;
    p->last_end_len = end.len;
    p->planned_all = end.len == 0;
    p->open++;
    return 0;
}

/* 1: a chunk; 0: nothing left to hand out. */
static int claim_locked(struct worker *w, struct chunk *ret, struct err *err) {
    struct snapshot *s = w->snapshot;
    for (size_t c = 0; c < s->run->plan->collection_count; c++) {
        struct plan_state *p = &s->plans[c];
        if (!is_copying(s->run, c))
            continue;
        if (p->left_over_count) {
            *ret = (struct chunk){.collection = c, .stored = p->left_over[--p->left_over_count]};
            p->open++;
            return 1;
        }
        if (p->planned_all)
            continue;
        int rc = plan_chunk(w, c, ret, err);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

static int claim(struct worker *w, struct chunk *ret, struct err *err) {
    pthread_mutex_lock(&w->snapshot->lock);
    int rc = claim_locked(w, ret, err);
    pthread_mutex_unlock(&w->snapshot->lock);
    return rc;
}

/* ---- copying one chunk ---- */

/* Documents written are root rows read, so both limits count the same. */
static int keep_rates(struct run *run, int64_t count, struct err *err) {
    int64_t now = clock_mono_us();
    int64_t write_wait = rate_take(run->rate, count, now);
    int64_t read_wait = rate_take(run->read_rate, count, now);
    int64_t wait = write_wait > read_wait ? write_wait : read_wait;
    if (wait > 0 && stop_wait(wait))
        return err_set(err, ERR_STOPPED, "asked to stop");
    return 0;
}

/* The document as it was sent has all that leads back to its row. */
static int refuse_op(struct run *run, size_t collection, const struct target_op *op,
                     struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct identity_texts texts;
    bson_t document;
    identity_texts_init(&texts);
    bool found = bson_init_static(&document, (const uint8_t *)op->document.ptr, op->document.len) &&
                 identity_key(run->plan->collections[collection], &document, &texts, key);
    const struct lane_refusal refusal = {.collection = collection,
                                         .identity = op->id,
                                         .key = found ? key : NULL,
                                         .code = op->code,
                                         .reason = op->reason};
    int rc = control_refused(run, &refusal, err);
    identity_texts_release(&texts);
    return rc;
}

static int refuse_row(struct run *run, size_t collection, const struct assembled *doc,
                      struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct err ignored;
    bool found = doc->row && map_key_values(run->plan->collections[collection], doc->row->values,
                                            key, &ignored) == 0;
    const struct lane_refusal refusal = {.collection = collection,
                                         .identity = doc->identity,
                                         .key = found ? key : NULL,
                                         .reason = doc->failure->text};
    return control_refused(run, &refusal, err);
}

static int send_batch(struct worker *w, size_t collection, struct err *err) {
    struct run *run = w->snapshot->run;
    struct opbatch *b = &w->ops;
    if (b->count == 0)
        return 0;
    int rc = keep_rates(run, (int64_t)b->count, err);
    if (rc < 0)
        return rc;
    struct target_op *ops = opbatch_ops(b);
    rc = writer_write(w->writer, run->plan->collections[collection]->name, ops, b->count, err);
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        if (ops[i].outcome == TARGET_REFUSED)
            rc = refuse_op(run, collection, &ops[i], err);
    if (rc == 0)
        atomic_fetch_add(&run->collections[collection].copied, (int64_t)b->count);
    w->chunk_documents += (int64_t)b->count;
    opbatch_clear(b);
    return rc;
}

static int on_document(void *context, const struct assembled *doc, struct err *err) {
    struct worker *w = context;
    struct run *run = w->snapshot->run;
    size_t collection = w->assembler_for;
    if (doc->failure)
        return refuse_row(run, collection, doc, err);
    if (control_is_stopped(run, collection))
        return 0;
    if (stop_requested())
        return err_set(err, ERR_STOPPED, "asked to stop");
    opbatch_begin(&w->ops, TARGET_INSERT, doc->identity);
    buf_add_span(&w->ops.bytes, doc->document);
    opbatch_end(&w->ops);
    if (!opbatch_is_full(&w->ops, run->conf->target.batch_operations))
        return 0;
    return send_batch(w, collection, err);
}

static int use_assembler(struct worker *w, size_t collection) {
    if (w->assembler && w->assembler_for == collection)
        return 0;
    assembler_free(w->assembler);
    w->assembler = assembler_new(w->pg, w->snapshot->run->plan->collections[collection]);
    w->assembler_for = collection;
    return 0;
}

static int copy_range(struct worker *w, const struct chunk *chunk, struct err *err) {
    const struct plan_collection *c = w->snapshot->run->plan->collections[chunk->collection];
    struct span lower[PG_INDEX_COLUMNS_MAX], upper[PG_INDEX_COLUMNS_MAX];
    const struct state_chunk *s = &chunk->stored;
    arena_reset(&w->keys);
    w->chunk_documents = 0;
    if ((s->lower &&
         !keyblob_read(blob_of(s->lower, s->lower_len), &w->keys, lower, c->id_count)) ||
        (s->upper && !keyblob_read(blob_of(s->upper, s->upper_len), &w->keys, upper, c->id_count)))
        return err_set(err, ERR_STATE,
                       "a chunk bound in the state file is damaged; run again with "
                       "--recopy %s",
                       c->name);
    struct key_range range = {.after = s->lower ? lower : NULL, .upto = s->upper ? upper : NULL};
    int rc = readback_begin(w->pg, NULL, 0, err);
    if (rc == 0)
        rc = assemble_range(w->assembler, &range, clock_wall_us() / 1000, on_document, w, err);
    if (rc == 0)
        rc = readback_end(w->pg, err);
    return rc < 0 ? rc : send_batch(w, chunk->collection, err);
}

static void disconnect(struct worker *w) {
    assembler_free(w->assembler);
    w->assembler = NULL;
    pg_free(w->pg);
    w->pg = NULL;
    opbatch_clear(&w->ops);
}

static int connect_source(struct worker *w, struct err *err) {
    if (w->pg)
        return 0;
    int rc = pg_connect(w->snapshot->run->conf->source.uri, PG_SQL, w->source_app, &w->pg, err);
    if (rc == 0) /* a chunk that is not done is copied again: nothing to wait for */
        pg_end_on_stop(w->pg, true);
    return rc;
}

/* Waits out what may pass; everything else ends the run, or stops the collection. */
static int wait_or_fail(struct worker *w, const struct err *failure, struct err *err) {
    disconnect(w);
    if (!failure->retriable) {
        *err = *failure;
        return failure->code;
    }
    log_event(LOG_WARN, "source_lost", LOG_STR("reason", failure->text));
    if (stop_wait(backoff_next_us(&w->backoff)))
        return err_set(err, ERR_STOPPED, "asked to stop");
    return 0;
}

/* A read that fails for good (a dropped column, no right to read) stops this collection only. */
static int chunk_failed(struct worker *w, const struct chunk *chunk, struct err *failure,
                        struct err *err) {
    bool own = failure->code == ERR_STOPPED || failure->code == ERR_TARGET ||
               failure->code == ERR_STATE || failure->code == ERR_ACCESS || failure->retriable;
    if (own)
        return wait_or_fail(w, failure, err);
    disconnect(w);
    return control_stop_collection(w->snapshot->run, chunk->collection, 0, failure->text, err);
}

static int copy_chunk(struct worker *w, const struct chunk *chunk, struct err *err) {
    struct run *run = w->snapshot->run;
    while (!control_is_stopped(run, chunk->collection)) {
        struct err failure = {0};
        int rc = connect_source(w, &failure);
        if (rc < 0 && !failure.retriable)
            failure.code = ERR_ACCESS;
        if (rc == 0)
            rc = use_assembler(w, chunk->collection);
        if (rc == 0)
            rc = copy_range(w, chunk, &failure);
        if (rc == 0) {
            backoff_reset(&w->backoff);
            return control_is_stopped(run, chunk->collection)
                       ? 0
                       : state_chunk_done(run->state, run->name,
                                          run->plan->collections[chunk->collection]->name,
                                          chunk->stored.number, w->chunk_documents, err);
        }
        rc = chunk_failed(w, chunk, &failure, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- workers ---- */

static int work(struct worker *w, struct err *err) {
    for (;;) {
        struct chunk chunk = {0};
        struct err failure = {0};
        if (stop_requested())
            return err_set(err, ERR_STOPPED, "asked to stop");
        int rc = control_check(w->snapshot->run, err);
        if (rc < 0)
            return rc;
        rc = connect_source(w, &failure);
        if (rc == 0)
            rc = claim(w, &chunk, &failure);
        if (rc < 0) {
            rc = wait_or_fail(w, &failure, err);
            if (rc < 0)
                return rc;
            continue;
        }
        if (rc == 0)
            return 0;
        rc = copy_chunk(w, &chunk, err);
        state_chunk_clear(&chunk.stored);
        if (rc < 0)
            return rc;
    }
}

static void *worker_main(void *argument) {
    struct worker *w = argument;
    struct err err = {0};
    if (work(w, &err) < 0)
        control_failed(w->snapshot->run, &err);
    pthread_mutex_lock(&w->snapshot->lock);
    w->snapshot->live_workers--;
    pthread_mutex_unlock(&w->snapshot->lock);
    control_wake(w->snapshot->run);
    return NULL;
}

static int start_worker(struct snapshot *s, struct worker *w, size_t number, struct err *err) {
    struct run *run = s->run;
    *w = (struct worker){.snapshot = s, .number = number};
    w->source_app = mem_printf("%s snapshot %zu;", run->app_prefix, number);
    w->target_app = mem_printf("%s snapshot %zu;", run->app_prefix, number);
    opbatch_init(&w->ops);
    arena_init(&w->keys, 16 * 1024 * 1024);
    backoff_init(&w->backoff, 100000, 10000000, number + 1);
    struct writer_config config = {.uri = run->conf->target.uri,
                                   .database = run->conf->target.database,
                                   .app = w->target_app,
                                   .app_prefix = run->app_prefix,
                                   .batch_operations = run->conf->target.batch_operations,
                                   .snapshot = true,
                                   .seed = number + 1};
    int rc = writer_new(&config, &w->writer, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&s->lock);
    s->live_workers++;
    pthread_mutex_unlock(&s->lock);
    if (!thread_start(&w->thread, worker_main, w)) {
        s->live_workers--;
        return err_set(err, ERR_INTERNAL, "cannot start a snapshot thread");
    }
    w->started = true;
    return 0;
}

static void end_worker(struct worker *w) {
    if (w->started)
        pthread_join(w->thread, NULL);
    disconnect(w);
    writer_free(w->writer);
    opbatch_release(&w->ops);
    arena_release(&w->keys);
    free(w->source_app);
    free(w->target_app);
}

/* ---- before and after ---- */

/* Chunks may begin when every transaction that was running when the slot and the publication were
 * made has ended: then a row is in a chunk or in the log. */
static int ask_running(struct run *run, void *context, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct span params[] = {span_of(run->running)};
    int rc = pg_query(run->pg,
                      "SELECT pg_catalog.count(*), coalesce(pg_catalog.min(pid), 0) "
                      "FROM pg_catalog.pg_locks WHERE locktype = 'transactionid' AND "
                      "mode = 'ExclusiveLock' AND granted AND transactionid::text = ANY "
                      "($1::text[])",
                      1, params, &r, err);
    if (rc == 0 && !span_is(pg_value(r, 0, 0), "0"))
        *(char **)context = mem_printf(
            "%s transactions that began before the slot (one is of the backend with pid %s)",
            pg_value(r, 0, 0).ptr, pg_value(r, 0, 1).ptr);
    return rc;
}

static int wait_until_visible(struct run *run, struct err *err) {
    struct pipeline_progress p = {.stage = PIPELINE_WAITING, .documents_expected = -1};
    for (;;) {
        _cleanup_(mem_freep) char *running = NULL;
        int rc = control_on_source(run, ask_running, &running, err);
        if (rc < 0 || !running)
            return rc;
        p.waiting_for = running;
        if (run->options->progress)
            run->options->progress(run->options->progress_context, &p);
        if (stop_wait(VISIBLE_WAIT_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

static int load_plans(struct snapshot *s, struct err *err) {
    struct run *run = s->run;
    for (size_t c = 0; c < run->plan->collection_count; c++) {
        const struct plan_collection *pc = run->plan->collections[c];
        struct plan_state *p = &s->plans[c];
        if (!is_copying(run, c))
            continue;
        if (pc->root->table->estimated_rows > 0 && s->expected >= 0)
            s->expected += pc->root->table->estimated_rows;
        struct state_chunk last = {0};
        bool found = false;
        int rc = state_chunk_last(run->state, run->name, pc->name, &last, &found, err);
        if (rc == 0)
            rc = state_chunks_open(run->state, run->name, pc->name, &p->left_over,
                                   &p->left_over_count, err);
        if (rc < 0)
            return rc;
        if (!found)
            continue;
        p->last_number = last.number;
        p->planned_all = last.upper == NULL;
        p->last_end = last.upper ? mem_strndup(last.upper, last.upper_len) : NULL;
        p->last_end_len = last.upper_len;
        state_chunk_clear(&last);
    }
    return 0;
}

static void report(const struct snapshot *s) {
    const struct pipeline_options *o = s->run->options;
    if (!o->progress)
        return;
    struct pipeline_progress p = {.stage = PIPELINE_COPYING, .documents_expected = s->expected};
    for (size_t c = 0; c < s->run->plan->collection_count; c++)
        p.documents_copied += s->run->collections[c].copied;
    o->progress(o->progress_context, &p);
}

static void wait_for_workers(struct snapshot *s) {
    int64_t asked_us = 0;
    for (;;) {
        /* Asked to stop, a worker ends with the write it is at; one whose target does not answer
         * would wait for ever. */
        if (stop_requested() && asked_us == 0)
            asked_us = clock_mono_us();
        if (asked_us && clock_mono_us() - asked_us > STOP_GRACE_US)
            stop_force();
        pthread_mutex_lock(&s->lock);
        size_t live = s->live_workers;
        pthread_mutex_unlock(&s->lock);
        if (live == 0)
            return;
        report(s);
        for (int i = 0; i < 10 && live; i++) {
            (void)stop_forced_wait(PROGRESS_EVERY_US / 10);
            pthread_mutex_lock(&s->lock);
            live = s->live_workers;
            pthread_mutex_unlock(&s->lock);
        }
    }
}

static int read_insert_lsn(struct run *run, void *context, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(run->pg, "SELECT pg_catalog.pg_current_wal_insert_lsn()", &r, err);
    if (rc == 0 && !lsn_parse(pg_value(r, 0, 0), context))
        return err_set(err, ERR_WIRE, "the source's log position is not a position");
    return rc;
}

/* E: everything a chunk can have read is in the log before this position. Main's session has been
 * idle while the workers copied, and may be lost. */
static int begin_catch_up(struct run *run, struct err *err) {
    lsn_t end = 0;
    int rc = control_on_source(run, read_insert_lsn, &end, err);
    for (size_t c = 0; rc == 0 && c < run->plan->collection_count; c++)
        if (is_copying(run, c))
            rc = control_set_phase(run, c, STATE_CATCHING_UP, end, err);
    return rc;
}

static int copy_all(struct snapshot *s, struct err *err) {
    struct run *run = s->run;
    size_t threads = (size_t)run->conf->source.snapshot_threads;
    struct worker *workers = mem_zalloc(threads, sizeof *workers);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < threads; i++)
        rc = start_worker(s, &workers[i], i, err);
    if (rc < 0)
        control_failed(run, err);
    wait_for_workers(s);
    for (size_t i = 0; i < threads; i++)
        end_worker(&workers[i]);
    free(workers);
    report(s);
    return control_check(run, err);
}

static void release_plans(struct snapshot *s) {
    for (size_t c = 0; c < s->run->plan->collection_count; c++) {
        struct plan_state *p = &s->plans[c];
        for (size_t i = 0; i < p->left_over_count; i++)
            state_chunk_clear(&p->left_over[i]);
        free(p->left_over);
        free(p->last_end);
    }
    free(s->plans);
}

int snapshot_run(struct run *run, struct err *err) {
    bool any = false;
    for (size_t c = 0; c < run->plan->collection_count; c++)
        any |= is_copying(run, c);
    if (!any)
        return 0;
    struct snapshot s = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
    s.plans = mem_zalloc(run->plan->collection_count, sizeof *s.plans);
    int rc = wait_until_visible(run, err);
    if (rc == 0)
        rc = load_plans(&s, err);
    if (rc == 0)
        rc = copy_all(&s, err);
    release_plans(&s);
    return rc < 0 ? rc : begin_catch_up(run, err);
}

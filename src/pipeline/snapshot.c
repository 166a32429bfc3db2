/*
 * The copy of what is there: chunks of root keys, read in short transactions of their own by a few
 * threads, each document inserted once.
 *
 *   chunk claimed (chunks.h) -> rows read and inserted -> acknowledged -> done
 *
 * A chunk that was not done when the process ended, or whose reading failed, is copied again, and
 * takes the place of what it left. With one snapshot for all (frozen.h) the whole copy begins anew
 * when that is gone.
 */
#include "apply/opbatch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "map/identity_back.h"
#include "pipeline/chunks.h"
#include "pipeline/frozen.h"
#include "pipeline/run.h"
#include "pipeline/tables.h"
#include "source/assemble.h"
#include "source/readback.h"
#include "source/rights.h"

#include <stdio.h>

#define PROGRESS_EVERY_US 1000000
#define STOP_GRACE_US 5000000
#define VISIBLE_WAIT_US 200000
#define LOST_WAIT_US 500000

struct snapshot {
    struct run *run;
    struct chunks *chunks;
    pthread_mutex_t lock; /* live_workers */
    size_t live_workers;
    _Atomic bool lost;   /* the one snapshot: workers end */
    _Atomic bool *newer; /* by collection: a table was written anew, and the one snapshot does not
                            hold its rows */
};

struct worker {
    struct snapshot *snapshot;
    pthread_t thread;
    bool started;
    char *source_app, *target_app;
    struct pg *pg;
    struct writer *writer;
    struct assembler *assembler;
    size_t assembler_for;
    struct opbatch ops;
    int64_t chunk_documents;
    bool again; /* the chunk may have left documents already */
    struct arena keys;
    struct backoff backoff;
};

static bool is_copying(const struct run *run, size_t c) {
    return run->collections[c].phase == STATE_COPYING;
}

/* ---- copying one chunk ---- */

/* Documents written are root rows read, so both limits count the same. */
static int keep_rates(struct run *run, int64_t count, struct err *err) {
    if (rate_wait(run->rate, count, stop_wait) || rate_wait(run->read_rate, count, stop_wait))
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
    opbatch_begin(&w->ops, w->again ? TARGET_PUT : TARGET_INSERT, doc->identity);
    buf_add_span(&w->ops.bytes, doc->document);
    opbatch_end(&w->ops);
    if (!opbatch_is_full(&w->ops, run->conf->target.batch_operations))
        return 0;
    return send_batch(w, collection, err);
}

static void use_assembler(struct worker *w, size_t collection) {
    if (w->assembler && w->assembler_for == collection)
        return;
    assembler_free(w->assembler);
    w->assembler = assembler_new(w->pg, w->snapshot->run->plan->collections[collection]);
    w->assembler_for = collection;
}

/* The next reading is in a newer snapshot. The one of all chunks stays as it is, and no session can
 * see in it any more what the table holds: the collection's chunks read as without it from here on,
 * and the log makes them agree. */
static int check_tables(struct worker *w, size_t collection, struct err *err) {
    struct run *run = w->snapshot->run;
    const struct plan_collection *c = run->plan->collections[collection];
    struct err failure = {0};
    int rc = readback_check_tables(w->pg, c->nodes, c->node_count, &failure);
    if (rc == 0)
        return 0;
    *err = failure;
    bool first =
        rc == ERR_NO && run->frozen && !atomic_exchange(&w->snapshot->newer[collection], true);
    if (first)
        log_event(LOG_WARN, "one_snapshot_left", LOG_STR("collection", c->name),
                  LOG_STR("reason", failure.text));
    return rc;
}

static int copy_range(struct worker *w, const struct chunk *chunk, struct err *err) {
    const struct plan_collection *c = w->snapshot->run->plan->collections[chunk->collection];
    struct span lower[PG_INDEX_COLUMNS_MAX], upper[PG_INDEX_COLUMNS_MAX];
    struct key_range range;
    int rc = chunks_range(c, &chunk->stored, &w->keys, lower, upper, &range, err);
    if (rc < 0)
        return rc;
    w->chunk_documents = 0;
    bool lost = false;
    rc = w->snapshot->newer[chunk->collection]
             ? readback_begin(w->pg, NULL, 0, err)
             : frozen_begin_chunk(w->snapshot->run, w->pg, &lost, err);
    if (lost)
        w->snapshot->lost = true;
    if (rc == 0)
        rc = assemble_range(w->assembler, &range, clock_wall_us() / 1000, on_document, w, err);
    if (rc == 0)
        rc = check_tables(w, chunk->collection, err);
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
    int rc = readback_connect(&w->pg, w->snapshot->run->conf->source.uri, w->source_app, err);
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
static int read_failed(struct worker *w, size_t collection, struct err *failure, struct err *err) {
    bool own = failure->code == ERR_STOPPED || failure->code == ERR_TARGET ||
               failure->code == ERR_STATE || failure->code == ERR_ACCESS || failure->retriable;
    if (own)
        return wait_or_fail(w, failure, err);
    if (w->pg)
        rights_explain(w->pg, w->snapshot->run->plan->collections[collection], failure);
    disconnect(w);
    return control_stop_collection(w->snapshot->run, collection, 0, failure->text, err);
}

static int copy_chunk(struct worker *w, const struct chunk *chunk, struct err *err) {
    struct run *run = w->snapshot->run;
    w->again = chunk->again;
    while (!control_is_stopped(run, chunk->collection)) {
        struct err failure = {0};
        int rc = connect_source(w, &failure);
        if (rc == 0) {
            use_assembler(w, chunk->collection);
            rc = copy_range(w, chunk, &failure);
        }
        if (rc == 0) {
            backoff_reset(&w->backoff);
            return control_is_stopped(run, chunk->collection)
                       ? 0
                       : state_chunk_done(run->state, run->name,
                                          run->plan->collections[chunk->collection]->name,
                                          chunk->stored.number, w->chunk_documents, err);
        }
        if (w->snapshot->lost) {
            disconnect(w);
            return 0;
        }
        rc = read_failed(w, chunk->collection, &failure, err);
        if (rc < 0)
            return rc;
        w->again = true;
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
        if (rc < 0) {
            rc = wait_or_fail(w, &failure, err);
        } else {
            rc = w->snapshot->lost
                     ? 0
                     : chunks_claim(w->snapshot->chunks, w->pg, &w->keys, &chunk, &failure);
            if (rc == 0)
                return 0;
            rc = rc < 0 ? read_failed(w, chunk.collection, &failure, err)
                        : copy_chunk(w, &chunk, err);
            state_chunk_clear(&chunk.stored);
        }
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
    *w = (struct worker){.snapshot = s};
    w->source_app = mem_printf("%s snapshot %zu;", run->app_prefix, number);
    w->target_app = mem_printf("%s snapshot %zu;", run->app_prefix, number);
    opbatch_init(&w->ops);
    arena_init(&w->keys, 16 * 1024 * 1024);
    backoff_init(&w->backoff, 100000, 10000000, number + 1);
    struct writer_config config = {.uri = run->conf->target.uri,
                                   .database = run->conf->target.database,
                                   .app = w->target_app,
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
                      "SELECT pg_catalog.count(*), coalesce('is of the backend with pid ' || "
                      "pg_catalog.min(pid), 'is prepared') "
                      "FROM pg_catalog.pg_locks WHERE locktype = 'transactionid' AND "
                      "mode = 'ExclusiveLock' AND granted AND transactionid::text = ANY "
                      "($1::text[])",
                      1, params, &r, err);
    if (rc == 0 && !span_is(pg_value(r, 0, 0), "0"))
        *(char **)context = mem_printf("%s transactions that began before the slot (one %s)",
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

static void report(const struct snapshot *s) {
    const struct pipeline_options *o = s->run->options;
    if (!o->progress)
        return;
    struct pipeline_progress p = {.stage = PIPELINE_COPYING,
                                  .documents_expected = chunks_expected(s->chunks)};
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
    int rc = control_on_source(run, tables_check_names, NULL, err);
    if (rc == 0)
        rc = control_on_source(run, read_insert_lsn, &end, err);
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

/* *ret_lost: the one snapshot was gone before everything was read. */
static int copy_once(struct run *run, bool *ret_lost, struct err *err) {
    struct snapshot s = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
    s.newer = mem_zalloc(run->plan->collection_count, sizeof *s.newer);
    int rc = frozen_begin(run, err);
    if (rc == 0)
        rc = chunks_new(run, &s.chunks, err);
    if (rc == 0)
        rc = copy_all(&s, err);
    chunks_free(s.chunks);
    free(s.newer);
    frozen_end(run);
    *ret_lost = rc == 0 && s.lost;
    return rc;
}

int snapshot_run(struct run *run, struct err *err) {
    bool any = false, lost = true;
    for (size_t c = 0; c < run->plan->collection_count; c++)
        any |= is_copying(run, c);
    if (!any)
        return 0;
    int rc = wait_until_visible(run, err);
    while (rc == 0 && lost) {
        rc = copy_once(run, &lost, err);
        if (rc == 0 && lost)
            rc = setup_copy_anew(run, "the session that exported its snapshot was lost", err);
        if (rc == 0 && lost && stop_wait(LOST_WAIT_US))
            rc = err_set(err, ERR_STOPPED, "asked to stop");
    }
    return rc < 0 ? rc : begin_catch_up(run, err);
}

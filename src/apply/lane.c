#include "apply/lane.h"

#include "apply/fold.h"
#include "apply/opbatch.h"
#include "apply/refresh.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "map/document.h"

#include <pthread.h>
#include <stdatomic.h>

/* Batches taken from the queue at once, so that changes of one document meet. */
#define GATHER_MAX 64
#define POP_WAIT_US 200000

struct lane {
    struct lane_config config;
    pthread_t thread;
    struct writer *writer;
    struct refresh *refresh;
    struct fold *folds; /* by collection */
    struct opbatch ops;
    struct err error;

    atomic_uint_fast64_t done;
    atomic_uint_fast64_t refreshes_begun, refreshes_ended;
    atomic_uint_fast64_t changes, written, deleted, refreshed;
};

static const struct plan_collection *collection(const struct lane *lane, size_t i) {
    return lane->config.plan->collections[i];
}

static bool is_stopped(const struct lane *lane, size_t c) {
    return lane->config.events.is_stopped(lane->config.events.context, c);
}

static int refuse(struct lane *lane, size_t c, struct span identity, int code, const char *reason,
                  struct err *err) {
    const struct fold *fold = &lane->folds[c];
    const uint32_t *position = identity.len ? spanmap_get(&fold->index, identity) : NULL;
    const struct change *change = position ? &fold->items[*position - 1] : NULL;
    const struct lane_refusal refusal = {.collection = c,
                                         .identity = identity,
                                         .key = change ? change->key : NULL,
                                         .lsn = change ? change->lsn : 0,
                                         .code = code,
                                         .reason = reason};
    return lane->config.events.refused(lane->config.events.context, &refusal, err);
}

/* ---- sending ---- */

static void count_outcome(struct lane *lane, const struct target_op *op) {
    if (op->outcome == TARGET_DONE && op->kind == TARGET_DELETE)
        atomic_fetch_add(&lane->deleted, 1);
    else if (op->outcome == TARGET_DONE)
        atomic_fetch_add(&lane->written, 1);
}

/* A SET that found nothing: its row is read again under its key. */
static void want_refresh(struct fold *fold, const struct target_op *op) {
    const uint32_t *position = spanmap_get(&fold->index, op->id);
    if (position)
        fold_want_refresh(fold, *position - 1);
}

static int send_ops(struct lane *lane, size_t c, struct err *err) {
    struct opbatch *b = &lane->ops;
    int rc = 0;
    if (b->count == 0 || is_stopped(lane, c)) {
        opbatch_clear(b);
        return 0;
    }
    (void)!rate_wait(lane->config.rate, (int64_t)b->count, stop_forced_wait);
    struct target_op *ops = opbatch_ops(b);
    int64_t began = clock_mono_us();
    rc = writer_write(lane->writer, collection(lane, c)->name, ops, b->count, err);
    if (lane->config.live) {
        obs_histogram_add(&lane->config.live->apply_us, clock_mono_us() - began);
        obs_histogram_add(&lane->config.live->batch_operations, (int64_t)b->count);
    }
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        count_outcome(lane, &ops[i]);
        if (ops[i].outcome == TARGET_MISSING)
            want_refresh(&lane->folds[c], &ops[i]);
        else if (ops[i].outcome == TARGET_REFUSED)
            rc = refuse(lane, c, ops[i].id, ops[i].code, ops[i].reason, err);
        else
            rc = lane->config.events.written(lane->config.events.context, c, ops[i].id, err);
    }
    opbatch_clear(b);
    return rc;
}

static int send_if_full(struct lane *lane, size_t c, struct err *err) {
    if (!opbatch_is_full(&lane->ops, lane->config.writer.batch_operations))
        return 0;
    return send_ops(lane, c, err);
}

/* ---- changes that carry their own values ---- */

static enum target_op_kind op_kind(enum change_kind kind) {
    switch (kind) {
    case CHANGE_INSERT:
        return TARGET_INSERT;
    case CHANGE_PUT:
        return TARGET_PUT;
    case CHANGE_SET:
        return TARGET_SET;
    case CHANGE_DELETE:
    case CHANGE_REFRESH:
        return TARGET_DELETE;
    }
    return TARGET_DELETE;
}

static int map_values(struct lane *lane, size_t c, const struct change *change, struct err *err) {
    int64_t now_ms = clock_wall_us() / 1000;
    if (change->kind == CHANGE_SET)
        return map_update(collection(lane, c), change->values, now_ms, &lane->ops.bytes, err);
    if (change->kind == CHANGE_DELETE)
        return 0;
    struct map_row row = {.values = change->values};
    return map_document(collection(lane, c), change->identity, &row, now_ms, &lane->ops.bytes, err);
}

#define EMPTY_DOCUMENT_LEN 5

static int add_change(struct lane *lane, size_t c, const struct change *change, struct err *err) {
    struct opbatch *b = &lane->ops;
    opbatch_begin(b, op_kind(change->kind), change->identity);
    size_t start = b->bytes.len;
    struct err failure = {0};
    if (map_values(lane, c, change, &failure) < 0) {
        opbatch_cancel(b);
        return refuse(lane, c, change->identity, 0, failure.text, err);
    }
    if (change->kind == CHANGE_SET && b->bytes.len - start == EMPTY_DOCUMENT_LEN) {
        opbatch_cancel(b); /* no mapped column changed */
        return 0;
    }
    opbatch_end(b);
    return send_if_full(lane, c, err);
}

static int write_values(struct lane *lane, size_t c, struct err *err) {
    struct fold *fold = &lane->folds[c];
    for (size_t i = 0; i < fold->count && !is_stopped(lane, c); i++) {
        const struct change *change = &fold->items[i];
        if (change->kind == CHANGE_SET &&
            lane->config.events.is_parked(lane->config.events.context, c, change->identity))
            fold_want_refresh(fold, i);
        if (change->kind == CHANGE_REFRESH)
            continue;
        int rc = add_change(lane, c, change, err);
        if (rc < 0)
            return rc;
    }
    return send_ops(lane, c, err);
}

/* ---- changes whose rows are read again ---- */

struct refreshing {
    struct lane *lane;
    size_t collection;
};

static int on_document(void *context, const struct refreshed *doc, struct err *err) {
    const struct refreshing *r = context;
    struct lane *lane = r->lane;
    if (doc->failure)
        return refuse(lane, r->collection, doc->identity, 0, doc->failure->text, err);
    opbatch_begin(&lane->ops, doc->document.len ? TARGET_PUT : TARGET_DELETE, doc->identity);
    buf_add_span(&lane->ops.bytes, doc->document);
    opbatch_end(&lane->ops);
    atomic_fetch_add(&lane->refreshed, 1);
    return send_if_full(lane, r->collection, err);
}

/* A failed read that will fail again stops the collection; the rest flows. */
static int refresh_failed(struct lane *lane, size_t c, const struct err *failure, struct err *err) {
    opbatch_clear(&lane->ops);
    if (failure->code == ERR_STOPPED || failure->code == ERR_TARGET || failure->code == ERR_STATE ||
        failure->code == ERR_ACCESS) {
        *err = *failure;
        return failure->code;
    }
    return refuse(lane, c, (struct span){0}, 0, failure->text, err);
}

static int refresh_rows(struct lane *lane, size_t c, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 2000, 5000000, lane->config.writer.seed);
    struct refreshing context = {lane, c};
    while (!is_stopped(lane, c)) {
        struct err failure = {0};
        int rc = refresh_run(lane->refresh, c, &lane->folds[c], on_document, &context, &failure);
        if (rc == 0)
            return send_ops(lane, c, err);
        if (!failure.retriable)
            return refresh_failed(lane, c, &failure, err);
        opbatch_clear(&lane->ops);
        if (stop_forced_wait(backoff_next_us(&backoff)))
            return err_set(err, ERR_STOPPED, "stopped while %s", failure.text);
    }
    return 0;
}

static int apply_collection(struct lane *lane, size_t c, struct err *err) {
    int rc = write_values(lane, c, err);
    if (rc < 0 || !fold_has_refresh(&lane->folds[c]))
        return rc;
    atomic_fetch_add(&lane->refreshes_begun, 1);
    rc = refresh_rows(lane, c, err);
    atomic_fetch_add(&lane->refreshes_ended, 1);
    return rc;
}

/* ---- the thread ---- */

static int fold_batch(struct lane *lane, struct change_batch *batch, struct err *err) {
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->items[i];
        int rc = fold_add(&lane->folds[change->collection], collection(lane, change->collection),
                          change, &batch->memory, err);
        if (rc < 0)
            return rc;
    }
    atomic_fetch_add(&lane->changes, batch->count);
    return 0;
}

static int apply_batches(struct lane *lane, struct change_batch **batches, size_t count,
                         struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fold_batch(lane, batches[i], err);
    for (size_t c = 0; c < lane->config.plan->collection_count; c++) {
        if (rc == 0 && lane->folds[c].count)
            rc = apply_collection(lane, c, err);
        fold_clear(&lane->folds[c]);
    }
    return rc;
}

/* The first batch is waited for, the next ones are taken if they are there. 0: there come no more.
 */
static size_t gather(struct lane *lane, struct change_batch **batches) {
    size_t count = 0, changes = 0;
    while (count < GATHER_MAX && changes < (size_t)lane->config.writer.batch_operations) {
        void *item = NULL;
        enum queue_result r = queue_pop(lane->config.queue, &item, count ? 0 : POP_WAIT_US);
        if (r == QUEUE_TIMEOUT && count == 0)
            continue;
        if (r != QUEUE_OK)
            break;
        batches[count] = item;
        changes += batches[count++]->count;
    }
    return count;
}

static void *lane_main(void *argument) {
    struct lane *lane = argument;
    struct change_batch *batches[GATHER_MAX];
    int rc = 0;
    for (;;) {
        size_t count = gather(lane, batches);
        if (count == 0)
            break;
        if (rc == 0) /* after a failure only the queue is emptied */
            rc = apply_batches(lane, batches, count, &lane->error);
        for (size_t i = 0; i < count; i++)
            change_batch_free(batches[i]);
        if (rc == 0)
            atomic_fetch_add(&lane->done, count);
        else
            lane->config.events.failed(lane->config.events.context, &lane->error);
        lane->config.events.finished(lane->config.events.context);
    }
    return NULL;
}

int lane_start(const struct lane_config *config, struct lane **ret_lane, struct err *err) {
    struct lane *lane = mem_zalloc(1, sizeof *lane);
    lane->config = *config;
    lane->folds = mem_zalloc(config->plan->collection_count, sizeof *lane->folds);
    opbatch_init(&lane->ops);
    lane->refresh = refresh_new(config->plan, config->source_uri, config->source_app);
    int rc = writer_new(&lane->config.writer, &lane->writer, err);
    if (rc == 0 && !thread_start(&lane->thread, lane_main, lane))
        rc = err_set(err, ERR_INTERNAL, "cannot start a thread for lane %zu", config->number);
    if (rc < 0) {
        lane_free(lane);
        return rc;
    }
    *ret_lane = lane;
    return 0;
}

void lane_join(struct lane *lane) {
    pthread_join(lane->thread, NULL);
}

void lane_free(struct lane *lane) {
    if (!lane)
        return;
    writer_free(lane->writer);
    refresh_free(lane->refresh);
    for (size_t c = 0; c < lane->config.plan->collection_count; c++)
        fold_release(&lane->folds[c]);
    free(lane->folds);
    opbatch_release(&lane->ops);
    free(lane);
}

uint64_t lane_done(const struct lane *lane) {
    return atomic_load(&lane->done);
}

uint64_t lane_refreshes_begun(const struct lane *lane) {
    return atomic_load(&lane->refreshes_begun);
}

uint64_t lane_refreshes_ended(const struct lane *lane) {
    return atomic_load(&lane->refreshes_ended);
}

struct lane_counters lane_counters(const struct lane *lane) {
    return (struct lane_counters){.changes = atomic_load(&lane->changes),
                                  .written = atomic_load(&lane->written),
                                  .deleted = atomic_load(&lane->deleted),
                                  .refreshed = atomic_load(&lane->refreshed),
                                  .retries = writer_retries(lane->writer)};
}

#include "pipeline/resolver.h"

#include "base/backoff.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "db/mongo.h"
#include "map/document.h"
#include "pipeline/keyblob.h"
#include "pipeline/lookup.h"
#include "source/readback.h"
#include "source/rights.h"

#include <pthread.h>
#include <stdatomic.h>

#define POP_WAIT_US 200000
#define QUIESCE_WAIT_US 120000000
#define NOBODY SIZE_MAX

struct resolver {
    struct resolver_config config;
    pthread_t thread;
    struct outbox outbox;
    struct pg *pg;
    struct mongo *mongo;
    bool again;     /* the batch was tried before */
    size_t reading; /* the collection whose tables are being read; NOBODY: none in particular */
    struct keylist keys;
    struct buf identity, blobs;
    struct span tuples[RESOLVE_BATCH_ITEMS * PG_INDEX_COLUMNS_MAX];
    struct err error;
    atomic_uint_fast64_t done;
};

/* ---- keys to lanes ---- */

/* The transaction is visible by now, so the lane need not check again. */
static int give_key(struct resolver *r, const struct span *key, size_t collection, lsn_t lsn,
                    struct err *err) {
    buf_clear(&r->identity);
    int rc = map_identity(r->config.plan->collections[collection], key, &r->identity, err);
    if (rc < 0)
        return rc;
    struct change change = {.kind = CHANGE_REFRESH,
                            .collection = collection,
                            .lsn = lsn,
                            .identity = buf_span(&r->identity),
                            .key = key};
    return outbox_add(&r->outbox, &change, err);
}

/* ---- too many to wait for ---- */

static int store_fanout(struct resolver *r, const struct lookup *l, struct err *err) {
    const struct plan_collection *c = l->node->collection;
    size_t width = lookup_width(l->kind, l->node);
    size_t *ends = mem_zalloc(l->count, sizeof *ends);
    struct span *keys = mem_zalloc(l->count, sizeof *keys);
    buf_clear(&r->blobs);
    for (size_t i = 0; i < l->count; i++) {
        if (width) /* none: every root */
            keyblob_write(&r->blobs, l->tuples + i * width, width);
        ends[i] = r->blobs.len;
    }
    for (size_t i = 0; i < l->count; i++) {
        size_t start = i ? ends[i - 1] : 0;
        keys[i] = span_make(r->blobs.data ? r->blobs.data + start : "", ends[i] - start);
    }
    int rc = state_fanouts_add(r->config.state, r->config.pipeline, c->name, l->node->path, l->kind,
                               keys, l->count, err);
    free(ends);
    free(keys);
    if (rc == 0)
        r->config.events.fanned_out(r->config.events.context);
    return rc;
}

/* The documents of a few rows at once; those of very many are left to a fan-out, which is in the
 * state before the ledger passes the rows. */
static int give_or_store(struct resolver *r, const struct lookup *l, size_t collection, lsn_t lsn,
                         struct err *err) {
    const struct lookup_place place = {
        .pg = r->pg, .mongo = r->mongo, .database = r->config.target_database};
    keylist_begin(&r->keys, l->node->collection->id_count, r->config.fanout_documents);
    int rc = lookup_page(&place, l, NULL, &r->keys, err);
    if (rc == 0 && r->keys.cut)
        return store_fanout(r, l, err);
    for (size_t i = 0; rc == 0 && i < r->keys.count; i++)
        rc = give_key(r, keylist_at(&r->keys, i), collection, lsn, err);
    return rc;
}

/* ---- one batch ---- */

static bool is_stopped(const struct resolver *r, size_t c) {
    return r->config.events.is_stopped(r->config.events.context, c);
}

/* The join or key values of the batch's items of one node; equal ones in a row are one. */
static size_t collect(struct resolver *r, const struct resolve_batch *b,
                      const struct plan_node *node, bool joins, lsn_t *ret_lsn) {
    size_t width = joins ? node->join_count : node->key_count;
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct span *values = joins ? b->items[i].join : b->items[i].key;
        if (b->items[i].node != node || !values)
            continue;
        *ret_lsn = b->items[i].lsn;
        bool known = false;
        for (size_t k = 0; k < width && n; k++) {
            known = span_eq(r->tuples[(n - 1) * width + k], values[k]);
            if (!known)
                break;
        }
        if (!known)
            memcpy(r->tuples + n++ * width, values, width * sizeof *values);
    }
    return n;
}

static int climb(struct resolver *r, const struct resolve_batch *b, const struct plan_node *node,
                 size_t collection, struct err *err) {
    struct lookup l = {.kind = STATE_FANOUT_JOINS, .node = node, .tuples = r->tuples};
    lsn_t lsn = 0;
    l.count = collect(r, b, node, true, &lsn);
    return l.count ? give_or_store(r, &l, collection, lsn, err) : 0;
}

static int find_holders(struct resolver *r, const struct resolve_batch *b,
                        const struct plan_node *node, size_t collection, struct err *err) {
    struct lookup l = {.kind = STATE_FANOUT_HOLDERS, .node = node, .tuples = r->tuples};
    lsn_t lsn = 0;
    l.count = collect(r, b, node, false, &lsn);
    return l.count ? give_or_store(r, &l, collection, lsn, err) : 0;
}

static int all_roots(struct resolver *r, const struct resolve_item *item, struct err *err) {
    struct lookup l = {.kind = STATE_FANOUT_ROOTS, .node = item->node, .count = 1};
    return give_or_store(r, &l, item->collection, item->lsn, err);
}

typedef int (*node_step)(struct resolver *r, const struct resolve_batch *b,
                         const struct plan_node *node, size_t collection, struct err *err);

static int for_each_node(struct resolver *r, const struct resolve_batch *b, node_step step,
                         struct err *err) {
    const struct plan *plan = r->config.plan;
    for (size_t c = 0; c < plan->collection_count; c++)
        for (size_t n = 1; n < plan->collections[c]->node_count && !is_stopped(r, c); n++) {
            r->reading = c;
            int rc = step(r, b, plan->collections[c]->nodes[n], c, err);
            if (rc < 0)
                return rc;
        }
    return 0;
}

static size_t batch_xids(const struct resolve_batch *b, uint32_t *xids) {
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        if (n == 0 || xids[n - 1] != b->items[i].xid)
            xids[n++] = b->items[i].xid;
    return n;
}

static int check_tables(struct resolver *r, struct err *err) {
    const struct plan *plan = r->config.plan;
    int rc = 0;
    for (size_t c = 0; rc == 0 && c < plan->collection_count; c++)
        if (plan->collections[c]->node_count > 1 && !is_stopped(r, c)) {
            r->reading = c;
            rc = readback_check_tables(r->pg, plan->collections[c]->nodes,
                                       plan->collections[c]->node_count, err);
        }
    return rc;
}

/* Look-ups in the source, in one transaction that sees what caused them. */
static int look_up_source(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    uint32_t xids[RESOLVE_BATCH_ITEMS];
    int rc = readback_begin(r->pg, xids, batch_xids(b, xids), err);
    if (rc == 0)
        rc = for_each_node(r, b, climb, err);
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        if (b->items[i].kind == RESOLVE_ALL_ROOTS && !is_stopped(r, b->items[i].collection)) {
            r->reading = b->items[i].collection;
            rc = all_roots(r, &b->items[i], err);
        }
    if (rc == 0)
        rc = check_tables(r, err);
    return rc < 0 ? rc : readback_end(r->pg, err);
}

static bool wants_target(const struct resolve_batch *b) {
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].key || b->items[i].kind == RESOLVE_DELETE_ALL)
            return true;
    return false;
}

/* A root table was truncated. The delete of an earlier attempt may still run: it would take what is
 * written after this one. */
static int delete_all(struct resolver *r, const struct resolve_item *item, struct err *err) {
    const char *database = r->config.target_database;
    const char *collection = item->node->collection->name;
    int rc = r->again ? mongo_quiesce(r->mongo, database, collection, r->config.target_app,
                                      QUIESCE_WAIT_US, err)
                      : 0;
    if (rc == 0)
        rc = mongo_delete_all(r->mongo, database, collection, err);
    return rc < 0 ? rc : r->config.events.emptied(r->config.events.context, item->collection, err);
}

static int look_up_target(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    int rc = 0;
    if (!wants_target(b))
        return 0;
    if (!r->mongo)
        rc = mongo_connect(r->config.target_uri, r->config.target_app, &r->mongo, err);
    if (rc == 0)
        rc = r->config.events.wait_refreshes(r->config.events.context, err);
    if (rc == 0)
        rc = for_each_node(r, b, find_holders, err);
    if (rc == 0)
        r->reading = NOBODY;
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        if (b->items[i].kind == RESOLVE_DELETE_ALL)
            rc = delete_all(r, &b->items[i], err);
    return rc;
}

static int resolve_once(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    int rc = readback_connect(&r->pg, r->config.source_uri, r->config.source_app, err);
    r->reading = NOBODY;
    if (rc < 0)
        return rc;
    rc = look_up_source(r, b, err);
    if (rc < 0) {
        if (r->reading != NOBODY)
            rights_explain(r->pg, r->config.plan->collections[r->reading], err);
        pg_free(r->pg);
        r->pg = NULL;
        return rc;
    }
    r->reading = NOBODY;
    rc = look_up_target(r, b, err);
    if (rc < 0) {
        mongo_free(r->mongo);
        r->mongo = NULL;
    }
    return rc;
}

/* What will fail again stops the collections that the batch is for; the rest flows. */
static int stop_all(struct resolver *r, const struct resolve_batch *b, const struct err *failure,
                    struct err *err) {
    for (size_t i = 0; i < b->count; i++) {
        if (is_stopped(r, b->items[i].collection))
            continue;
        int rc = r->config.events.stop(r->config.events.context, b->items[i].collection,
                                       b->items[i].lsn, failure->text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Where only one collection's tables cannot be read, the batch is tried again without it: 1. */
static int stop_collections(struct resolver *r, const struct resolve_batch *b,
                            const struct err *failure, struct err *err) {
    if (r->reading == NOBODY)
        return stop_all(r, b, failure, err);
    lsn_t lsn = 0;
    for (size_t i = 0; i < b->count && !lsn; i++)
        if (b->items[i].collection == r->reading)
            lsn = b->items[i].lsn;
    int rc = r->config.events.stop(r->config.events.context, r->reading, lsn, failure->text, err);
    return rc < 0 ? rc : 1;
}

static int resolve(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 2000, 5000000, 1);
    for (r->again = false;; r->again = true) {
        struct err failure = {0};
        int rc = resolve_once(r, b, &failure);
        if (rc == 0)
            return outbox_flush(&r->outbox, err);
        if (rc == ERR_STOPPED || rc == ERR_ACCESS || rc == ERR_TARGET || rc == ERR_STATE) {
            *err = failure;
            return rc;
        }
        if (!failure.retriable) {
            rc = stop_collections(r, b, &failure, err);
            if (rc <= 0)
                return rc;
        } else if (stop_forced_wait(backoff_next_us(&backoff)))
            return err_set(err, ERR_STOPPED, "stopped while %s", failure.text);
    }
}

/* ---- the thread ---- */

static void *resolver_main(void *argument) {
    struct resolver *r = argument;
    int rc = 0;
    for (;;) {
        void *item = NULL;
        enum queue_result got = queue_pop(r->config.queue, &item, POP_WAIT_US);
        if (got == QUEUE_CLOSED)
            return NULL;
        if (got == QUEUE_TIMEOUT)
            continue;
        if (rc == 0) { /* after a failure only the queue is emptied */
            rc = resolve(r, item, &r->error);
            if (rc < 0)
                r->config.events.failed(r->config.events.context, &r->error);
            else
                atomic_fetch_add(&r->done, 1);
        }
        resolve_batch_free(item);
        r->config.events.finished(r->config.events.context);
    }
}

static int while_full(void *context, struct err *err) {
    struct resolver *r = context;
    return r->config.events.while_waiting(r->config.events.context, err);
}

int resolver_start(const struct resolver_config *config, struct resolver **ret_resolver,
                   struct err *err) {
    struct resolver *r = mem_zalloc(1, sizeof *r);
    r->config = *config;
    r->outbox = (struct outbox){.plan = config->plan,
                                .lanes = config->lanes,
                                .lane_count = config->lane_count,
                                .while_full = while_full,
                                .context = r};
    keylist_init(&r->keys);
    buf_init(&r->identity, 1024 * 1024);
    buf_init(&r->blobs, 2 * RESOLVE_BATCH_MAX);
    if (!thread_start(&r->thread, resolver_main, r)) {
        resolver_free(r);
        return err_set(err, ERR_INTERNAL, "cannot start the resolver's thread");
    }
    *ret_resolver = r;
    return 0;
}

void resolver_join(struct resolver *r) {
    pthread_join(r->thread, NULL);
}

void resolver_free(struct resolver *r) {
    if (!r)
        return;
    outbox_release(&r->outbox);
    pg_free(r->pg);
    mongo_free(r->mongo);
    keylist_release(&r->keys);
    buf_release(&r->identity);
    buf_release(&r->blobs);
    free(r);
}

uint64_t resolver_done(const struct resolver *r) {
    return atomic_load(&r->done);
}

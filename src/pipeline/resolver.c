#include "pipeline/resolver.h"

#include "base/backoff.h"
#include "base/mem.h"
#include "base/stop.h"
#include "db/mongo.h"
#include "map/document.h"
#include "pipeline/holders.h"
#include "source/assemble.h"
#include "source/readback.h"

#include <pthread.h>
#include <stdatomic.h>

#define POP_WAIT_US 200000

struct resolver {
    struct resolver_config config;
    pthread_t thread;
    struct outbox outbox;
    struct pg *pg;
    struct mongo *mongo;
    struct buf sql, identity;
    struct span tuples[RESOLVE_BATCH_ITEMS * PG_INDEX_COLUMNS_MAX];
    struct err error;
    atomic_uint_fast64_t done;
};

/* ---- keys to lanes ---- */

struct giving {
    struct resolver *r;
    size_t collection;
    lsn_t lsn;
};

/* The transaction is visible by now, so the lane need not check again. */
static int give_key(void *context, const struct span *key, struct err *err) {
    struct giving *g = context;
    struct resolver *r = g->r;
    const struct plan_collection *c = r->config.plan->collections[g->collection];
    buf_clear(&r->identity);
    int rc = map_identity(c, key, &r->identity, err);
    if (rc < 0)
        return rc;
    struct change change = {.kind = CHANGE_REFRESH,
                            .collection = g->collection,
                            .lsn = g->lsn,
                            .identity = buf_span(&r->identity),
                            .key = key};
    return outbox_add(&r->outbox, &change, err);
}

/* ---- one batch ---- */

static bool is_stopped(const struct resolver *r, size_t c) {
    return r->config.events.is_stopped(r->config.events.context, c);
}

/* The join or key values of the batch's items of one node, each tuple once. */
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
    struct giving giving = {.r = r, .collection = collection};
    size_t n = collect(r, b, node, true, &giving.lsn);
    if (n == 0)
        return 0;
    buf_clear(&r->sql);
    query_climb(&r->sql, node, r->tuples, n, &(struct key_page){.limit = SIZE_MAX / 2});
    int rc = query_check(&r->sql, err);
    if (rc == 0)
        rc = assemble_read_keys(r->pg, buf_text(&r->sql), node->collection->id_count, give_key,
                                &giving, err);
    return rc;
}

static int find_holders(struct resolver *r, const struct resolve_batch *b,
                        const struct plan_node *node, size_t collection, struct err *err) {
    struct giving giving = {.r = r, .collection = collection};
    size_t n = collect(r, b, node, false, &giving.lsn);
    if (n == 0)
        return 0;
    return holders_find(r->mongo, r->config.target_database, node, r->tuples, n, give_key, &giving,
                        err);
}

static int all_roots(struct resolver *r, const struct resolve_item *item, struct err *err) {
    struct giving giving = {.r = r, .collection = item->collection, .lsn = item->lsn};
    buf_clear(&r->sql);
    query_all_keys(&r->sql, item->node->collection, &(struct key_page){.limit = SIZE_MAX / 2});
    return assemble_read_keys(r->pg, buf_text(&r->sql), item->node->collection->id_count, give_key,
                              &giving, err);
}

typedef int (*node_step)(struct resolver *r, const struct resolve_batch *b,
                         const struct plan_node *node, size_t collection, struct err *err);

static int for_each_node(struct resolver *r, const struct resolve_batch *b, node_step step,
                         struct err *err) {
    const struct plan *plan = r->config.plan;
    for (size_t c = 0; c < plan->collection_count; c++)
        for (size_t n = 1; n < plan->collections[c]->node_count && !is_stopped(r, c); n++) {
            int rc = step(r, b, plan->collections[c]->nodes[n], c, err);
            if (rc < 0)
                return err_prefix(err, "look up the documents of %s",
                                  plan->collections[c]->nodes[n]->path);
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

/* Look-ups in the source, in one transaction that sees what caused them. */
static int look_up_source(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    uint32_t xids[RESOLVE_BATCH_ITEMS];
    int rc = readback_begin(r->pg, xids, batch_xids(b, xids), err);
    if (rc == 0)
        rc = for_each_node(r, b, climb, err);
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        if (b->items[i].kind == RESOLVE_ALL_ROOTS && !is_stopped(r, b->items[i].collection))
            rc = all_roots(r, &b->items[i], err);
    return rc < 0 ? rc : readback_end(r->pg, err);
}

static bool wants_target(const struct resolve_batch *b) {
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].key || b->items[i].kind == RESOLVE_DELETE_ALL)
            return true;
    return false;
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
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        if (b->items[i].kind == RESOLVE_DELETE_ALL)
            rc = mongo_delete_all(r->mongo, r->config.target_database,
                                  b->items[i].node->collection->name, err);
    return rc;
}

static int resolve_once(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    int rc =
        r->pg ? 0 : pg_connect(r->config.source_uri, PG_SQL, r->config.source_app, &r->pg, err);
    if (rc == 0)
        rc = look_up_source(r, b, err);
    if (rc < 0) {
        pg_free(r->pg);
        r->pg = NULL;
        return rc;
    }
    rc = look_up_target(r, b, err);
    if (rc < 0) {
        mongo_free(r->mongo);
        r->mongo = NULL;
    }
    return rc;
}

/* What will fail again stops the collections that the batch is for; the rest flows. */
static int stop_collections(struct resolver *r, const struct resolve_batch *b,
                            const struct err *failure, struct err *err) {
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

static int resolve(struct resolver *r, const struct resolve_batch *b, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 2000, 5000000, 1);
    for (;;) {
        struct err failure = {0};
        int rc = resolve_once(r, b, &failure);
        if (rc == 0)
            return outbox_flush(&r->outbox, err);
        if (rc == ERR_STOPPED) {
            *err = failure;
            return rc;
        }
        if (!failure.retriable)
            return stop_collections(r, b, &failure, err);
        if (stop_forced_wait(backoff_next_us(&backoff)))
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
    buf_init(&r->sql, QUERY_MAX);
    buf_init(&r->identity, 1024 * 1024);
    if (pthread_create(&r->thread, NULL, resolver_main, r) != 0) {
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
    buf_release(&r->sql);
    buf_release(&r->identity);
    free(r);
}

uint64_t resolver_done(const struct resolver *r) {
    return atomic_load(&r->done);
}

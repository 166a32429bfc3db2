#include "pipeline/fanouts.h"

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "map/document.h"
#include "pipeline/keyblob.h"
#include "pipeline/lookup.h"
#include "source/readback.h"
#include "source/rights.h"

#include <pthread.h>
#include <stdatomic.h>

#define GROUP_MAX 1000  /* rows looked up together */
#define PAGE_KEYS 10000 /* one look-up */
#define SLICE_KEYS 500  /* given to the lanes at once */
#define POP_WAIT_US 500000
#define WRITTEN_WAIT_US 1000
#define TUPLES_BYTES ((size_t)8 * 1024 * 1024)
#define CURSOR_BYTES ((size_t)16 * 1024 * 1024)

struct fanouts {
    struct fanouts_config config;
    pthread_t thread;
    struct queue *bell; /* holds at most one token: look into the state */
    atomic_bool closing;
    struct outbox outbox;
    struct lookup_place place;
    struct keylist keys;
    struct buf identity;
    struct buf cursor, next; /* what is written; what the page that was looked up leads to */
    struct err error;
};

/* A group, decoded. */
struct group {
    struct state_fanouts stored;
    size_t collection;
    struct lookup lookup;
    struct arena memory;
    int64_t documents;
};

static int while_waiting(void *context, struct err *err) {
    struct fanouts *f = context;
    if (atomic_load(&f->closing))
        return err_set(err, ERR_STOPPED, "fan-outs are ending");
    return f->config.events.while_waiting(f->config.events.context, err);
}

/* ---- keys to lanes ---- */

static int wait_written(struct fanouts *f, struct err *err) {
    uint64_t tickets[LEDGER_LANES_MAX];
    for (size_t i = 0; i < f->config.lane_count; i++)
        tickets[i] = queue_pushed(f->config.lanes[i]);
    while (!f->config.events.is_written(f->config.events.context, tickets)) {
        int rc = while_waiting(f, err);
        if (rc < 0)
            return rc;
        if (stop_forced_wait(WRITTEN_WAIT_US))
            return err_set(err, ERR_STOPPED, "stopped while documents were written");
    }
    return 0;
}

/* The causes are visible since before the fan-out was stored: the lane need not look for them. */
static int give_key(struct fanouts *f, const struct group *g, const struct span *key,
                    struct err *err) {
    buf_clear(&f->identity);
    int rc = map_identity(g->lookup.node->collection, key, &f->identity, err);
    if (rc < 0)
        return rc;
    struct change change = {.kind = CHANGE_REFRESH,
                            .collection = g->collection,
                            .identity = buf_span(&f->identity),
                            .key = key};
    return outbox_add(&f->outbox, &change, err);
}

static int give_page(struct fanouts *f, struct group *g, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->keys.count; i++) {
        rc = give_key(f, g, keylist_at(&f->keys, i), err);
        if (rc == 0 && ((i + 1) % SLICE_KEYS == 0 || i + 1 == f->keys.count)) {
            rc = outbox_flush(&f->outbox, err);
            if (rc == 0)
                rc = wait_written(f, err);
        }
    }
    g->documents += (int64_t)f->keys.count;
    return rc;
}

/* ---- one page ---- */

/* Each time from the cursor: a look-up that fails in its middle has moved `next` already. */
static int look_up_once(struct fanouts *f, const struct group *g, struct err *err) {
    const struct fanouts_config *config = &f->config;
    struct lookup_place *place = &f->place;
    buf_clear(&f->next);
    buf_add_span(&f->next, buf_span(&f->cursor));
    keylist_begin(&f->keys, g->lookup.node->collection->id_count, PAGE_KEYS);
    if (g->lookup.kind == STATE_FANOUT_HOLDERS) {
        int rc = place->mongo
                     ? 0
                     : mongo_connect(config->target_uri, config->target_app, &place->mongo, err);
        return rc < 0 ? rc : lookup_page(place, &g->lookup, &f->next, &f->keys, err);
    }
    int rc = readback_connect(&place->pg, config->source_uri, config->source_app, err);
    if (rc == 0)
        rc = readback_begin(place->pg, NULL, 0, err);
    if (rc == 0)
        rc = lookup_page(place, &g->lookup, &f->next, &f->keys, err);
    const struct plan_collection *c = g->lookup.node->collection;
    if (rc == 0)
        rc = readback_check_tables(place->pg, c->nodes, c->node_count, err);
    return rc < 0 ? rc : readback_end(place->pg, err);
}

static void disconnect(struct fanouts *f) {
    pg_free(f->place.pg);
    f->place.pg = NULL;
    mongo_free(f->place.mongo);
    f->place.mongo = NULL;
}

/* Again and again while the error may pass. */
static int look_up(struct fanouts *f, const struct group *g, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 100000, 5000000, 1);
    for (;;) {
        struct err failure = {0};
        int rc = look_up_once(f, g, &failure);
        if (rc == 0)
            return 0;
        if (f->place.pg)
            rights_explain(f->place.pg, g->lookup.node->collection, &failure);
        disconnect(f);
        if (!failure.retriable) {
            *err = failure;
            return rc;
        }
        log_event(LOG_WARN, "fanout_waits", LOG_STR("reason", failure.text));
        rc = while_waiting(f, err);
        if (rc < 0)
            return rc;
        if (stop_forced_wait(backoff_next_us(&backoff)))
            return err_set(err, ERR_STOPPED, "stopped while %s", failure.text);
    }
}

/* ---- one group ---- */

static bool is_stopped(const struct fanouts *f, const struct group *g) {
    return f->config.events.is_stopped(f->config.events.context, g->collection);
}

static int run_pages(struct fanouts *f, struct group *g, struct err *err) {
    const struct fanouts_config *config = &f->config;
    do {
        int rc = look_up(f, g, err);
        if (rc == 0)
            rc = give_page(f, g, err);
        if (rc == 0)
            rc = state_fanouts_advance(config->state, config->pipeline, buf_span(&f->next),
                                       g->documents, err);
        if (rc < 0)
            return rc;
        struct buf before = f->cursor;
        f->cursor = f->next;
        f->next = before;
    } while (f->keys.cut && !is_stopped(f, g));
    return 0;
}

static const struct plan_node *find_node(const struct plan *plan, const struct state_fanouts *s,
                                         size_t *ret_collection) {
    for (size_t c = 0; c < plan->collection_count; c++)
        for (size_t n = 0; n < plan->collections[c]->node_count; n++)
            if (strcmp(plan->collections[c]->name, s->collection) == 0 &&
                strcmp(plan->collections[c]->nodes[n]->path, s->path) == 0) {
                *ret_collection = c;
                return plan->collections[c]->nodes[n];
            }
    return NULL;
}

static int decode(struct group *g, const struct plan_node *node, struct err *err) {
    const struct state_fanouts *s = &g->stored;
    size_t width = lookup_width(s->kind, node);
    struct span *tuples = arena_alloc(&g->memory, (s->count * width + 1) * sizeof *tuples);
    bool ok = tuples != NULL;
    for (size_t i = 0; ok && i < s->count; i++)
        ok = keyblob_read(span_make(s->keys[i].bytes, s->keys[i].len), &g->memory,
                          tuples + i * width, width);
    if (!ok)
        return err_set(err, ERR_STATE, "key of a fan-out of %s %s cannot be read", s->collection,
                       s->path);
    g->lookup = (struct lookup){.kind = s->kind, .node = node, .tuples = tuples, .count = s->count};
    return 0;
}

/* The run ends, or only the collection does: what will fail again stops it, and the rest flows. */
static int on_failure(struct fanouts *f, const struct group *g, const struct err *failure,
                      struct err *err) {
    const struct fanouts_events *events = &f->config.events;
    struct err ignored;
    if (failure->code == ERR_STOPPED || failure->code == ERR_STATE || failure->code == ERR_ACCESS ||
        failure->code == ERR_TARGET || while_waiting(f, &ignored) < 0) {
        *err = *failure;
        return failure->code;
    }
    return events->stop(events->context, g->collection, 0, failure->text, err);
}

static int run_group(struct fanouts *f, struct group *g, struct err *err) {
    struct err failure = {0};
    const struct plan_node *node = find_node(f->config.plan, &g->stored, &g->collection);
    if (!node) /* the collection was taken out of the mapping: nobody waits for its documents */
        return state_fanouts_finish(f->config.state, f->config.pipeline, err);
    int rc = decode(g, node, err);
    if (rc < 0)
        return rc;
    buf_clear(&f->cursor);
    if (g->stored.cursor)
        buf_add(&f->cursor, g->stored.cursor, g->stored.cursor_len);
    g->documents = g->stored.documents;
    log_event(LOG_INFO, "fanout_started", LOG_STR("collection", g->stored.collection),
              LOG_STR("path", g->stored.path), LOG_INT("rows", (int64_t)g->stored.count),
              LOG_INT("documents", g->documents));
    rc = is_stopped(f, g) ? 0 : run_pages(f, g, &failure);
    if (rc < 0)
        return on_failure(f, g, &failure, err);
    log_event(LOG_INFO, "fanout_finished", LOG_STR("collection", g->stored.collection),
              LOG_STR("path", g->stored.path), LOG_INT("documents", g->documents));
    return state_fanouts_finish(f->config.state, f->config.pipeline, err);
}

static int run_next(struct fanouts *f, bool *ret_any, struct err *err) {
    struct group g = {0};
    int rc = state_fanouts_start(f->config.state, f->config.pipeline, GROUP_MAX, &g.stored, err);
    *ret_any = rc == 0 && g.stored.count > 0;
    if (!*ret_any)
        return rc;
    arena_init(&g.memory, TUPLES_BYTES);
    rc = run_group(f, &g, err);
    arena_release(&g.memory);
    state_fanouts_clear(&g.stored);
    return rc;
}

static int run_all(struct fanouts *f, struct err *err) {
    bool any = true;
    int rc = 0;
    while (rc == 0 && any && !atomic_load(&f->closing))
        rc = run_next(f, &any, err);
    disconnect(f); /* sessions are not held while there is nothing to do */
    f->config.events.finished(f->config.events.context);
    return rc;
}

/* ---- the thread ---- */

static void *fanouts_main(void *argument) {
    struct fanouts *f = argument;
    for (;;) {
        int rc = run_all(f, &f->error);
        if (rc == ERR_STOPPED)
            return NULL;
        if (rc < 0) {
            f->config.events.failed(f->config.events.context, &f->error);
            return NULL;
        }
        void *token;
        enum queue_result got;
        do
            got = queue_pop(f->bell, &token, POP_WAIT_US);
        while (got == QUEUE_TIMEOUT);
        if (got == QUEUE_CLOSED)
            return NULL;
    }
}

int fanouts_start(const struct fanouts_config *config, struct fanouts **ret_fanouts,
                  struct err *err) {
    struct fanouts *f = mem_zalloc(1, sizeof *f);
    f->config = *config;
    f->bell = queue_new(1, 1);
    f->place.database = config->target_database;
    f->outbox = (struct outbox){.plan = config->plan,
                                .lanes = config->lanes,
                                .lane_count = config->lane_count,
                                .while_full = while_waiting,
                                .context = f};
    keylist_init(&f->keys);
    buf_init(&f->identity, 1024 * 1024);
    buf_init(&f->cursor, CURSOR_BYTES);
    buf_init(&f->next, CURSOR_BYTES);
    if (!thread_start(&f->thread, fanouts_main, f)) {
        fanouts_free(f);
        return err_set(err, ERR_INTERNAL, "cannot start the thread of fan-outs");
    }
    *ret_fanouts = f;
    return 0;
}

void fanouts_wake(struct fanouts *f) {
    /* A bell that rings already is enough. */
    enum queue_result ignored = queue_push(f->bell, f, 0, 0);
    (void)ignored;
}

void fanouts_close(struct fanouts *f) {
    atomic_store(&f->closing, true);
    queue_close(f->bell);
}

void fanouts_join(struct fanouts *f) {
    pthread_join(f->thread, NULL);
}

void fanouts_free(struct fanouts *f) {
    if (!f)
        return;
    void *token;
    while (queue_pop(f->bell, &token, 0) == QUEUE_OK)
        continue;
    queue_free(f->bell);
    outbox_release(&f->outbox);
    keylist_release(&f->keys);
    buf_release(&f->identity);
    buf_release(&f->cursor);
    buf_release(&f->next);
    free(f);
}

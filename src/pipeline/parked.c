#include "pipeline/parked.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/spanmap.h"
#include "model/canon.h"
#include "pipeline/keyblob.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* MongoDB's error codes ("Error Codes" in its manual). */
#define DUPLICATE_KEY 11000
#define DOCUMENT_VALIDATION 121
#define KEYS_MAX ((size_t)64 * 1024 * 1024)

struct entry {
    size_t collection;
    char *identity, *key;
    size_t identity_len, key_len;
    lsn_t lsn; /* of the change */
    int code, attempts;
    bool deferred, in_flight;
    bool rewriting; /* its document is deleted just now, to be written again */
    lsn_t ready;    /* deferred: due when the ledger has passed it */
    bool gone;
};

struct parked {
    struct state *state;
    const char *pipeline;
    const struct plan *plan;
    atomic_size_t count;   /* of entries that are not gone; the fast path of parked_has */
    pthread_mutex_t lock;  /* all below */
    struct spanmap *index; /* by collection: identity -> position in entries, from 1 */
    size_t *counts;        /* by collection */
    struct entry *entries;
    size_t used, room;
    _Atomic lsn_t received;
};

struct parked *parked_new(struct state *state, const char *pipeline, const struct plan *plan) {
    struct parked *p = mem_zalloc(1, sizeof *p);
    p->state = state;
    p->pipeline = pipeline;
    p->plan = plan;
    p->index = mem_zalloc(plan->collection_count, sizeof *p->index);
    p->counts = mem_zalloc(plan->collection_count, sizeof *p->counts);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

static void release_entry(struct entry *e) {
    free(e->identity);
    free(e->key);
    e->identity = e->key = NULL;
    e->gone = true;
}

void parked_free(struct parked *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->used; i++)
        release_entry(&p->entries[i]);
    for (size_t c = 0; c < p->plan->collection_count; c++)
        spanmap_release(&p->index[c]);
    free(p->entries);
    free(p->index);
    free(p->counts);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct span identity_of(const struct entry *e) {
    return span_make(e->identity, e->identity_len);
}

/* Entries that are gone make room; the maps point anew. */
static void compact(struct parked *p) {
    size_t kept = 0;
    for (size_t c = 0; c < p->plan->collection_count; c++)
        spanmap_clear(&p->index[c]);
    for (size_t i = 0; i < p->used; i++) {
        struct entry e = p->entries[i];
        bool fresh;
        if (e.gone) {
            release_entry(&e);
            continue;
        }
        p->entries[kept++] = e;
        *spanmap_put(&p->index[e.collection], identity_of(&e), &fresh) = (uint32_t)kept;
    }
    p->used = kept;
}

static struct entry *find(struct parked *p, size_t collection, struct span identity) {
    const uint32_t *position = spanmap_get(&p->index[collection], identity);
    struct entry *e = position ? &p->entries[*position - 1] : NULL;
    return e && !e->gone ? e : NULL;
}

/* The map borrows the entry's own copy of the identity, so a gone entry keeps it until compact. */
static struct entry *add(struct parked *p, size_t collection, struct span identity,
                         struct span key) {
    bool fresh;
    if (p->used == p->room && atomic_load(&p->count) < p->used / 2)
        compact(p);
    if (p->used == p->room) {
        p->room = p->room ? p->room * 2 : 64;
        p->entries = mem_realloc(p->entries, p->room, sizeof *p->entries);
    }
    struct entry *e = &p->entries[p->used++];
    *e = (struct entry){.collection = collection,
                        .identity = mem_strndup(identity.ptr, identity.len),
                        .identity_len = identity.len,
                        .key = mem_strndup(key.ptr, key.len),
                        .key_len = key.len};
    *spanmap_put(&p->index[collection], identity_of(e), &fresh) = (uint32_t)p->used;
    p->counts[collection]++;
    atomic_fetch_add(&p->count, 1);
    return e;
}

static void load_one(struct parked *p, const struct state_parked *stored) {
    size_t c = plan_collection_index(p->plan, stored->collection);
    if (c == p->plan->collection_count)
        return; /* it left the mapping: never written, and forgotten with its copy */
    struct entry *e = add(p, c, span_make(stored->identity, stored->identity_len),
                          span_make(stored->key, stored->key_len));
    e->lsn = stored->last_lsn;
    e->code = stored->code;
    e->attempts = 1; /* the log is read again from the checkpoint: what it waits for may be there */
    e->deferred = stored->deferred;
    e->ready = stored->last_lsn;
}

int parked_load(struct parked *p, struct err *err) {
    struct state_parked *list = NULL;
    size_t count = 0;
    int rc = state_parked_list(p->state, p->pipeline, 0, SIZE_MAX, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            load_one(p, &list[i]);
        state_parked_clear(&list[i]);
    }
    free(list);
    return rc;
}

void parked_set_received(struct parked *p, lsn_t received) {
    atomic_store(&p->received, received);
}

bool parked_has(struct parked *p, size_t collection, struct span identity) {
    if (atomic_load(&p->count) == 0)
        return false;
    pthread_mutex_lock(&p->lock);
    bool found = find(p, collection, identity) != NULL;
    pthread_mutex_unlock(&p->lock);
    return found;
}

static bool may_pass(int code) {
    return code == DUPLICATE_KEY || code == DOCUMENT_VALIDATION;
}

/* With the lock held: the entry is durable before anybody can see it. */
static int store(struct parked *p, const struct parked_failure *f, struct span key,
                 struct entry **ret, struct err *err) {
    struct entry *e = find(p, f->collection, f->identity);
    struct state_parked row = {.code = f->code,
                               .last_lsn = f->lsn,
                               .deferred = may_pass(f->code) &&
                                           (e ? e->attempts + 1 : 1) < PARKED_ATTEMPTS};
    (void)snprintf(row.pipeline, sizeof row.pipeline, "%s", p->pipeline);
    (void)snprintf(row.collection, sizeof row.collection, "%s",
                   p->plan->collections[f->collection]->name);
    (void)snprintf(row.reason, sizeof row.reason, "%s", f->reason);
    int rc = state_parked_put(p->state, &row, f->identity, key, err);
    if (rc < 0)
        return rc;
    if (!e)
        e = add(p, f->collection, f->identity, key);
    lsn_t received = atomic_load(&p->received);
    e->code = f->code;
    e->attempts++;
    e->deferred = row.deferred;
    e->in_flight = false;
    e->lsn = f->lsn > e->lsn ? f->lsn : e->lsn;
    e->ready = received > e->lsn ? received : e->lsn;
    *ret = e;
    return 0;
}

static void tell(const struct parked *p, const struct parked_failure *f, const struct entry *e) {
    _cleanup_(buf_release) struct buf id = {.max = 1024};
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)f->identity.ptr, f->identity.len) &&
        bson_iter_next(&it))
        canon_value_text(&it, &id);
    log_event(LOG_WARN, e->deferred ? "document_deferred" : "document_parked",
              LOG_STR("collection", p->plan->collections[f->collection]->name),
              LOG_STR("id", buf_text(&id)), LOG_INT("code", f->code), LOG_STR("reason", f->reason));
}

int parked_put(struct parked *p, const struct parked_failure *failure, bool *ret_full,
               struct err *err) {
    _cleanup_(buf_release) struct buf key = {.max = KEYS_MAX};
    struct entry *e = NULL;
    keyblob_write(&key, failure->key, p->plan->collections[failure->collection]->id_count);
    pthread_mutex_lock(&p->lock);
    *ret_full = p->counts[failure->collection] >= PARKED_MAX &&
                !find(p, failure->collection, failure->identity);
    int rc = *ret_full ? 0 : store(p, failure, buf_span(&key), &e, err);
    if (e)
        tell(p, failure, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static void forget(struct parked *p, struct entry *e) {
    e->gone = true;
    p->counts[e->collection]--;
    atomic_fetch_sub(&p->count, 1);
}

/* With the last one nothing is kept. */
static void tidy(struct parked *p) {
    if (atomic_load(&p->count) == 0)
        compact(p);
}

int parked_clear(struct parked *p, size_t collection, struct span identity, struct err *err) {
    if (atomic_load(&p->count) == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    struct entry *e = find(p, collection, identity);
    if (e && e->rewriting)
        e = NULL;
    int rc = e ? state_parked_delete(p->state, p->pipeline, p->plan->collections[collection]->name,
                                     identity, err)
               : 0;
    if (e && rc == 0)
        forget(p, e);
    tidy(p);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static void forget_all(struct parked *p, size_t collection) {
    for (size_t i = 0; i < p->used; i++)
        if (!p->entries[i].gone && p->entries[i].collection == collection)
            forget(p, &p->entries[i]);
    tidy(p);
}

void parked_forget(struct parked *p, size_t collection) {
    pthread_mutex_lock(&p->lock);
    forget_all(p, collection);
    pthread_mutex_unlock(&p->lock);
}

int parked_clear_all(struct parked *p, size_t collection, struct err *err) {
    pthread_mutex_lock(&p->lock);
    int rc =
        state_parked_delete_all(p->state, p->pipeline, p->plan->collections[collection]->name, err);
    if (rc == 0)
        forget_all(p, collection);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int64_t parked_count(struct parked *p) {
    int64_t n = 0;
    if (atomic_load(&p->count) == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->used; i++)
        n += !p->entries[i].gone && !p->entries[i].deferred;
    pthread_mutex_unlock(&p->lock);
    return n;
}

bool parked_has_deferred(struct parked *p, lsn_t lsn) {
    bool found = false;
    if (atomic_load(&p->count) == 0)
        return false;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->used && !found; i++)
        found = !p->entries[i].gone && p->entries[i].deferred && p->entries[i].lsn <= lsn;
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* ---- trying again ---- */

static bool is_due(const struct entry *e, lsn_t finished) {
    return !e->gone && e->deferred && !e->in_flight && e->ready <= finished;
}

static bool may_block(const struct entry *e) {
    return !e->gone && e->deferred && e->code == DUPLICATE_KEY;
}

/* What is due, copied out: lanes may clear entries while they are handed out. */
struct due {
    size_t collection;
    bool rewrite; /* together with the others of its collection that may block it */
    struct span identity, *key;
};

/* Whether the last way is due for a collection: all that may block each other are written anew, so
 * none of them may be under way. */
enum rewrite { REWRITE_NO, REWRITE_NOW, REWRITE_LATER };

static enum rewrite wants_rewrite(const struct parked *p, size_t collection, lsn_t finished) {
    bool wanted = false, under_way = false;
    for (size_t i = 0; i < p->used; i++) {
        const struct entry *e = &p->entries[i];
        if (e->collection != collection || !may_block(e))
            continue;
        under_way |= e->in_flight;
        wanted |= is_due(e, finished) && e->attempts + 1 == PARKED_ATTEMPTS;
    }
    return !wanted ? REWRITE_NO : under_way ? REWRITE_LATER : REWRITE_NOW;
}

static bool take_entry(const struct parked *p, struct entry *e, bool rewrite, struct arena *memory,
                       struct due *ret) {
    size_t width = p->plan->collections[e->collection]->id_count;
    *ret = (struct due){.collection = e->collection,
                        .rewrite = rewrite,
                        .identity = arena_copy(memory, identity_of(e)),
                        .key = arena_alloc(memory, width * sizeof *ret->key)};
    if (!ret->identity.ptr || !ret->key ||
        !keyblob_read(span_make(e->key, e->key_len), memory, ret->key, width))
        return false;
    e->in_flight = true;
    return true;
}

static void take_collection(struct parked *p, size_t collection, lsn_t finished,
                            struct arena *memory, struct due *due, size_t *count) {
    enum rewrite rewrite = wants_rewrite(p, collection, finished);
    for (size_t i = 0; i < p->used; i++) {
        struct entry *e = &p->entries[i];
        bool blocks = rewrite != REWRITE_NO && may_block(e);
        if (e->collection != collection || (blocks && rewrite == REWRITE_LATER) ||
            (!blocks && !is_due(e, finished)))
            continue;
        if (!take_entry(p, e, blocks, memory, &due[*count]))
            return; /* no room: the rest next time */
        ++*count;
    }
}

static size_t take_due(struct parked *p, lsn_t finished, struct arena *memory, struct due **ret) {
    size_t count = 0;
    pthread_mutex_lock(&p->lock);
    *ret = mem_zalloc(p->used + 1, sizeof **ret);
    for (size_t c = 0; c < p->plan->collection_count; c++)
        if (p->counts[c])
            take_collection(p, c, finished, memory, *ret, &count);
    pthread_mutex_unlock(&p->lock);
    return count;
}

static int hand_out(struct outbox *outbox, const struct due *d, enum change_kind kind,
                    struct err *err) {
    struct change change = {
        .kind = kind, .collection = d->collection, .identity = d->identity, .key = d->key};
    return outbox_add(outbox, &change, err);
}

static size_t blockers(const struct due *due, size_t count, size_t collection) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += due[i].collection == collection && due[i].rewrite;
    return n;
}

static void set_rewriting(struct parked *p, const struct due *due, size_t count, bool rewriting) {
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = find(p, due[i].collection, due[i].identity);
        if (e)
            e->rewriting = rewriting && due[i].rewrite;
    }
    pthread_mutex_unlock(&p->lock);
}

/* Documents that block each other: all are deleted, then all are written from their rows. One
 * alone is not deleted, as what blocks it is no deferred document. */
static int free_values(struct parked *p, const struct due *due, size_t count, struct outbox *outbox,
                       parked_drain_fn drain, void *context, struct err *err) {
    bool any = false;
    int rc = 0;
    set_rewriting(p, due, count, true);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (due[i].rewrite && blockers(due, count, due[i].collection) > 1) {
            rc = hand_out(outbox, &due[i], CHANGE_DELETE, err);
            any = true;
        }
    if (rc == 0 && any)
        rc = outbox_flush(outbox, err);
    if (rc == 0 && any)
        rc = drain(context, err);
    set_rewriting(p, due, count, false);
    return rc;
}

int parked_retry(struct parked *p, lsn_t finished, struct outbox *outbox, parked_drain_fn drain,
                 void *context, bool *ret_some, struct err *err) {
    struct due *due = NULL;
    struct arena memory;
    *ret_some = false;
    if (atomic_load(&p->count) == 0)
        return 0;
    arena_init(&memory, KEYS_MAX);
    size_t count = take_due(p, finished, &memory, &due);
    int rc = count ? free_values(p, due, count, outbox, drain, context, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = hand_out(outbox, &due[i], CHANGE_REFRESH, err);
    if (rc == 0 && count)
        rc = outbox_flush(outbox, err);
    *ret_some = count > 0;
    free(due);
    arena_release(&memory);
    return rc;
}

#include "pipeline/router.h"

#include "base/mem.h"
#include "map/document.h"
#include "pipeline/relation.h"

#define RELATIONS_MAX 4096
#define IDENTITY_BYTES ((size_t)1024 * 1024)

struct router {
    const struct plan *plan;
    struct outbox *outbox;
    struct queue *resolver;
    struct router_events events;
    router_drain_fn drain;
    void *drain_context;
    struct resolve_batch *pending;             /* for the resolver */
    struct relation *relations[RELATIONS_MAX]; /* sorted by oid */
    size_t relation_count;
    struct span new_row[PGO_COLUMNS_MAX], old_row[PGO_COLUMNS_MAX];
    struct buf identity, old_identity;
    uint64_t changes;
};

/* One change as the bindings see it. */
struct event {
    enum pgo_kind kind;
    uint32_t xid;
    lsn_t lsn;
    bool has_new, has_old;
};

struct router *router_new(const struct plan *plan, struct outbox *outbox, struct queue *resolver,
                          const struct router_events *events, router_drain_fn drain,
                          void *drain_context) {
    struct router *r = mem_zalloc(1, sizeof *r);
    r->plan = plan;
    r->outbox = outbox;
    r->resolver = resolver;
    r->events = *events;
    r->drain = drain;
    r->drain_context = drain_context;
    buf_init(&r->identity, IDENTITY_BYTES);
    buf_init(&r->old_identity, IDENTITY_BYTES);
    return r;
}

void router_free(struct router *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->relation_count; i++)
        relation_free(r->relations[i]);
    resolve_batch_free(r->pending);
    buf_release(&r->identity);
    buf_release(&r->old_identity);
    free(r);
}

uint64_t router_changes(const struct router *r) {
    return r->changes;
}

bool router_is_empty(const struct router *r) {
    return outbox_is_empty(r->outbox) && (!r->pending || r->pending->count == 0);
}

static int send_pending(struct router *r, struct err *err) {
    if (!r->pending || r->pending->count == 0)
        return 0;
    int rc = outbox_push(r->outbox, r->resolver, r->pending, resolve_batch_weight(r->pending), err);
    if (rc == 0)
        r->pending = NULL;
    return rc;
}

int router_flush(struct router *r, struct err *err) {
    int rc = send_pending(r, err);
    return rc < 0 ? rc : outbox_flush(r->outbox, err);
}

static int ask_resolver(struct router *r, const struct resolve_item *item, struct err *err) {
    if (!r->pending)
        r->pending = resolve_batch_new();
    int rc = resolve_batch_add(r->pending, item, err);
    if (rc == 0 && resolve_batch_is_full(r->pending))
        rc = send_pending(r, err);
    return rc;
}

/* ---- root tables ---- */

static int send_change(struct router *r, const struct binding *b, const struct event *e,
                       enum change_kind kind, const struct span *key, const struct buf *identity,
                       const struct span *values, struct err *err) {
    struct change change = {.kind = kind,
                            .collection = b->collection,
                            .xid = e->xid,
                            .lsn = e->lsn,
                            .identity = buf_span(identity),
                            .key = key,
                            .values = values};
    return outbox_add(r->outbox, &change, err);
}

static int identify(const struct binding *b, const struct span *row, struct span *key,
                    struct buf *identity, struct err *err) {
    buf_clear(identity);
    int rc = map_key_values(b->node->collection, row, key, err);
    return rc < 0 ? rc : map_identity(b->node->collection, key, identity, err);
}

static bool has_gaps(const struct plan_node *node, const struct span *row) {
    for (size_t i = 0; i < node->column_count; i++)
        if (row_is_unchanged(row[i]))
            return true;
    return false;
}

/* What the new row becomes; `moved`: the key changed, so gaps cannot be filled by the old document
 * (two rows that swapped keys would exchange their values). */
static enum change_kind kind_of_new(const struct router *r, const struct binding *b,
                                    const struct event *e, bool moved) {
    if (!b->node->collection->flat)
        return CHANGE_REFRESH;
    if (!has_gaps(b->node, r->new_row))
        return e->kind == PGO_INSERT ? CHANGE_INSERT : CHANGE_PUT;
    return e->kind == PGO_UPDATE && !moved ? CHANGE_SET : CHANGE_REFRESH;
}

static int route_root(struct router *r, const struct binding *b, const struct event *e,
                      struct err *err) {
    const struct plan_collection *c = b->node->collection;
    struct span new_key[PG_INDEX_COLUMNS_MAX], old_key[PG_INDEX_COLUMNS_MAX];
    int rc = 0;
    if (e->has_new)
        rc = identify(b, r->new_row, new_key, &r->identity, err);
    if (rc == 0 && e->has_old)
        rc = identify(b, r->old_row, old_key, &r->old_identity, err);
    if (rc < 0)
        return rc;
    bool moved =
        e->has_new && e->has_old && !span_eq(buf_span(&r->identity), buf_span(&r->old_identity));
    if (e->has_old && (moved || !e->has_new))
        rc = send_change(r, b, e, c->flat ? CHANGE_DELETE : CHANGE_REFRESH, old_key,
                         &r->old_identity, NULL, err);
    if (rc < 0 || !e->has_new)
        return rc;
    enum change_kind kind = kind_of_new(r, b, e, moved);
    return send_change(r, b, e, kind, new_key, &r->identity,
                       kind == CHANGE_REFRESH ? NULL : r->new_row, err);
}

/* ---- embedded tables ---- */

/* The given columns of a row, if the log has them all and none is NULL. */
static bool pick(const struct span *row, const int *columns, size_t count, struct span *ret) {
    for (size_t i = 0; i < count; i++) {
        ret[i] = row[columns[i]];
        if (!ret[i].ptr || row_is_unchanged(ret[i]))
            return false;
    }
    return true;
}

/* The documents in which a row with these values stands now. */
static int refresh_parents(struct router *r, const struct binding *b, const struct event *e,
                           const struct span *row, struct err *err) {
    const struct plan_node *node = b->node;
    struct span values[PG_INDEX_COLUMNS_MAX];
    if (node->join_is_root_key) {
        const struct plan_collection *c = node->collection;
        if (!pick(row, node->root_key_from, c->id_count, values))
            return 0;
        buf_clear(&r->identity);
        int rc = map_identity(c, values, &r->identity, err);
        return rc < 0 ? rc : send_change(r, b, e, CHANGE_REFRESH, values, &r->identity, NULL, err);
    }
    if (!pick(row, node->join_child, node->join_count, values))
        return 0;
    struct resolve_item item = {.kind = RESOLVE_ROW,
                                .node = node,
                                .collection = b->collection,
                                .xid = e->xid,
                                .lsn = e->lsn,
                                .join = values};
    return ask_resolver(r, &item, err);
}

/* The documents that hold the row by its key, wherever that is: its old parents. */
static int refresh_holders(struct router *r, const struct binding *b, const struct event *e,
                           const struct span *row, struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    if (!pick(row, b->node->key, b->node->key_count, key))
        return 0;
    struct resolve_item item = {.kind = RESOLVE_ROW,
                                .node = b->node,
                                .collection = b->collection,
                                .xid = e->xid,
                                .lsn = e->lsn,
                                .key = key};
    return ask_resolver(r, &item, err);
}

static int route_embedded(struct router *r, const struct binding *b, const struct event *e,
                          struct err *err) {
    int rc = e->has_new ? refresh_parents(r, b, e, r->new_row, err) : 0;
    if (rc < 0 || e->kind == PGO_INSERT)
        return rc;
    if (b->node->old_parent == PLAN_OLD_FROM_TARGET)
        return refresh_holders(r, b, e, e->has_old ? r->old_row : r->new_row, err);
    return e->has_old ? refresh_parents(r, b, e, r->old_row, err) : 0;
}

/* ---- messages ---- */

/* Where the table stands, or would. Each change asks, and there may be thousands of tables. */
static size_t position_of(const struct router *r, uint32_t oid) {
    size_t low = 0, high = r->relation_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->relations[middle]->oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct relation *find_relation(const struct router *r, uint32_t oid) {
    size_t i = position_of(r, oid);
    return i < r->relation_count && r->relations[i]->oid == oid ? r->relations[i] : NULL;
}

static int route_binding(struct router *r, const struct relation *rel, const struct binding *b,
                         const struct pgo_change *m, struct event *e, struct err *err) {
    if (r->events.is_stopped(r->events.context, b->collection))
        return 0;
    e->has_old = m->old_row.count > 0;
    e->has_new = m->new_row.count > 0;
    if (e->has_old)
        relation_row(rel, b, &m->old_row, !m->old_is_full, NULL, r->old_row);
    if (e->has_new)
        relation_row(rel, b, &m->new_row, false, e->has_old ? r->old_row : NULL, r->new_row);
    int rc = b->node->parent ? route_embedded(r, b, e, err) : route_root(r, b, e, err);
    if (rc == ERR_VALUE || rc == ERR_LIMIT) /* this change cannot be carried: the rest flows */
        return r->events.stop(r->events.context, b->collection, e->lsn, err->text, err);
    return rc;
}

static int route_change(struct router *r, const struct pgo_message *m, uint32_t xid, lsn_t lsn,
                        struct err *err) {
    const struct relation *rel = find_relation(r, m->change.relation);
    if (!rel)
        return err_set(err, ERR_WIRE, "change of relation %u, which the server never described",
                       m->change.relation);
    r->changes++;
    struct event e = {.kind = m->kind, .xid = xid, .lsn = lsn};
    for (size_t i = 0; i < rel->binding_count; i++) {
        int rc = route_binding(r, rel, &rel->bindings[i], &m->change, &e, err);
        if (rc < 0)
            return err_prefix(err, "%s.%s", rel->schema, rel->name);
    }
    return 0;
}

/* Roots first: then a document is not rebuilt just to be deleted. */
static int route_truncate(struct router *r, const struct pgo_truncate *m, uint32_t xid, lsn_t lsn,
                          struct err *err) {
    int rc = r->drain(r->drain_context, err);
    for (int pass = 0; rc == 0 && pass < 2; pass++)
        for (size_t i = 0; rc == 0 && i < m->relation_count; i++) {
            const struct relation *rel = find_relation(r, m->relations[i]);
            for (size_t k = 0; rc == 0 && rel && k < rel->binding_count; k++) {
                const struct binding *b = &rel->bindings[k];
                if ((b->node->parent != NULL) != (pass == 1) ||
                    r->events.is_stopped(r->events.context, b->collection))
                    continue;
                struct resolve_item item = {.kind = b->node->parent ? RESOLVE_ALL_ROOTS
                                                                    : RESOLVE_DELETE_ALL,
                                            .node = b->node,
                                            .collection = b->collection,
                                            .xid = xid,
                                            .lsn = lsn};
                rc = ask_resolver(r, &item, err);
            }
        }
    return rc < 0 ? rc : r->drain(r->drain_context, err);
}

static int stop_misfits(struct router *r, const struct relation *rel, lsn_t lsn, struct err *err) {
    for (size_t i = 0; i < rel->binding_count; i++) {
        const struct binding *b = &rel->bindings[i];
        _cleanup_(buf_release) struct buf reason = {.max = ERR_TEXT_MAX};
        bool caught_up = r->events.is_caught_up(r->events.context, b->collection);
        if (r->events.is_stopped(r->events.context, b->collection) ||
            !relation_misfits(rel, b, caught_up, &reason))
            continue;
        int rc = r->events.stop(r->events.context, b->collection, lsn, buf_text(&reason), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int replace_relation(struct router *r, struct relation *fresh, struct err *err) {
    size_t i = position_of(r, fresh->oid);
    if (i < r->relation_count && r->relations[i]->oid == fresh->oid) {
        relation_free(r->relations[i]);
        r->relations[i] = fresh;
        return 0;
    }
    if (r->relation_count == RELATIONS_MAX) {
        relation_free(fresh);
        return err_set(err, ERR_LIMIT, "more than %d tables in the publication", RELATIONS_MAX);
    }
    memmove(&r->relations[i + 1], &r->relations[i], (r->relation_count - i) * sizeof *r->relations);
    r->relations[i] = fresh;
    r->relation_count++;
    return 0;
}

static int take_relation(struct router *r, const struct pgo_relation *m, lsn_t lsn,
                         struct err *err) {
    const struct relation *known = find_relation(r, m->oid);
    if (known && relation_equals(known, m))
        return 0;
    struct relation *fresh =
        relation_new(r->plan, m); /* before the drain: the message is borrowed */
    int rc = known ? r->drain(r->drain_context, err) : 0;
    if (rc == 0)
        rc = stop_misfits(r, fresh, lsn, err);
    if (rc < 0) {
        relation_free(fresh);
        return rc;
    }
    return replace_relation(r, fresh, err);
}

int router_message(struct router *r, const struct pgo_message *m, uint32_t xid, lsn_t lsn,
                   struct err *err) {
    switch (m->kind) {
    case PGO_RELATION:
        return take_relation(r, &m->relation, lsn, err);
    case PGO_INSERT:
    case PGO_UPDATE:
    case PGO_DELETE:
        return route_change(r, m, xid, lsn, err);
    case PGO_TRUNCATE:
        return route_truncate(r, &m->truncate, xid, lsn, err);
    case PGO_BEGIN:
    case PGO_COMMIT:
    case PGO_ORIGIN:
    case PGO_TYPE:
    case PGO_MESSAGE:
        return 0;
    }
    return err_set(err, ERR_INTERNAL, "message kind %d", (int)m->kind);
}

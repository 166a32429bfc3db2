#include "pipeline/lookup.h"

#include "pipeline/holders.h"
#include "pipeline/keyblob.h"
#include "source/assemble.h"

size_t lookup_width(enum state_fanout_kind kind, const struct plan_node *node) {
    switch (kind) {
    case STATE_FANOUT_ROOTS:
        return 0;
    case STATE_FANOUT_JOINS:
        return node->join_count;
    case STATE_FANOUT_HOLDERS:
        return node->key_count;
    }
    return 0;
}

/* ---- upwards, in the source ---- */

static int read_cursor(const struct buf *cursor, size_t width, struct arena *memory,
                       struct span *ret, struct err *err) {
    if (keyblob_read(buf_span(cursor), memory, ret, width))
        return 0;
    return err_set(err, ERR_STATE, "position of a fan-out in the state file cannot be read");
}

static int roots_page(const struct lookup_place *place, const struct lookup *l, struct buf *cursor,
                      struct keylist *ret, struct err *err) {
    const struct plan_collection *c = l->node->collection;
    _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
    struct span after[PG_INDEX_COLUMNS_MAX];
    struct arena memory;
    struct key_page page = {.limit = ret->max + 1, .ordered = cursor != NULL};
    int rc = 0;
    arena_init(&memory, KEYLIST_BYTES);
    if (cursor && cursor->len) {
        rc = read_cursor(cursor, c->id_count, &memory, after, err);
        page.after = after;
    }
    if (rc == 0 && l->kind == STATE_FANOUT_ROOTS)
        query_all_keys(&sql, c, &page);
    else if (rc == 0)
        query_climb(&sql, l->node, l->tuples, l->count, &page);
    arena_release(&memory);
    if (rc == 0)
        rc = query_check(&sql, err);
    if (rc == 0)
        rc = assemble_read_keys(place->pg, buf_text(&sql), c->id_count, keylist_add, ret, err);
    if (rc == 0 && cursor && ret->count) {
        buf_clear(cursor);
        keyblob_write(cursor, keylist_at(ret, ret->count - 1), c->id_count);
    }
    return rc;
}

/* ---- by key, in the target ---- */

struct holders {
    struct keylist *list;
    struct buf *cursor;
    size_t seen; /* documents, ours or not */
};

static int on_holder(void *context, struct span id, const struct span *key, struct err *err) {
    struct holders *h = context;
    if (h->seen == h->list->max)
        h->list->cut = true;
    int rc = key && !h->list->cut ? keylist_add(h->list, key, err) : 0;
    if (rc < 0 || h->list->cut)
        return rc;
    h->seen++;
    if (h->cursor) {
        buf_clear(h->cursor);
        buf_add_span(h->cursor, id);
    }
    return 0;
}

static int holders_page(const struct lookup_place *place, const struct lookup *l,
                        struct buf *cursor, struct keylist *ret, struct err *err) {
    struct holders holders = {.list = ret, .cursor = cursor};
    _cleanup_(buf_release) struct buf after = {.max = KEYLIST_BYTES * 4};
    struct holders_page page = {.limit = ret->max + 1, .ordered = cursor != NULL};
    if (cursor && cursor->len) {
        buf_add_span(&after, buf_span(cursor));
        page.after = buf_span(&after);
    }
    return holders_find(place->mongo, place->database, l->node, l->tuples, l->count, &page,
                        on_holder, &holders, err);
}

int lookup_page(const struct lookup_place *place, const struct lookup *l, struct buf *cursor,
                struct keylist *ret, struct err *err) {
    int rc = l->kind == STATE_FANOUT_HOLDERS ? holders_page(place, l, cursor, ret, err)
                                             : roots_page(place, l, cursor, ret, err);
    return rc < 0 ? err_prefix(err, "look up the documents of %s", l->node->path) : rc;
}

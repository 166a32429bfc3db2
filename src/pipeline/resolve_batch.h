/*
 * What the receiver hands to the resolver: rows of embedded tables whose root documents must be
 * looked up. Owns its memory, as change_batch does.
 */
#ifndef BANYAN_PIPELINE_RESOLVE_BATCH_H
#define BANYAN_PIPELINE_RESOLVE_BATCH_H

#include "base/arena.h"
#include "map/plan.h"
#include "model/lsn.h"

enum resolve_kind {
    RESOLVE_ROW,       /* a row of an embedded table changed */
    RESOLVE_ALL_ROOTS, /* an embedded table was truncated: every document */
    RESOLVE_DELETE_ALL /* a root table was truncated */
};

struct resolve_item {
    enum resolve_kind kind;
    const struct plan_node *node;
    size_t collection;
    uint32_t xid;
    lsn_t lsn;
    const struct span
        *join; /* the row's join columns: its parents now stand there. NULL: no look-up */
    const struct span *key; /* the row's key: documents that hold it now. NULL: no look-up */
};

#define RESOLVE_BATCH_ITEMS 1000
#define RESOLVE_BATCH_BYTES ((size_t)256 * 1024)
/* Join and key columns are indexed, or meant to be: far below PostgreSQL's row limit. */
#define RESOLVE_BATCH_MAX ((size_t)64 * 1024 * 1024)

struct resolve_batch {
    struct arena memory;
    size_t count;
    struct resolve_item items[RESOLVE_BATCH_ITEMS];
};

struct resolve_batch *resolve_batch_new(void);
void resolve_batch_free(struct resolve_batch *b);
size_t resolve_batch_weight(const struct resolve_batch *b);
bool resolve_batch_is_full(const struct resolve_batch *b);
/* Copies what the item points to. */
int resolve_batch_add(struct resolve_batch *b, const struct resolve_item *item,
                      struct err *err) must_check;

#endif

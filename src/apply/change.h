/*
 * Step 3 of 8: a change of one document, and the batch that carries it to its lane.
 *
 * A batch owns its memory: every span of its changes points into its arena. Ownership travels
 * with the batch: the producer fills it, the queue carries it, the lane frees it.
 */
#ifndef BANYAN_APPLY_CHANGE_H
#define BANYAN_APPLY_CHANGE_H

#include "base/arena.h"
#include "map/plan.h"
#include "model/lsn.h"

enum change_kind {
    CHANGE_INSERT, /* values: the whole root row; most likely not there yet */
    CHANGE_PUT,    /* values: the whole root row */
    CHANGE_SET,    /* values: a root row of which some columns are unchanged */
    CHANGE_DELETE,
    CHANGE_REFRESH /* read the row again and write what is there now, or delete */
};

struct change {
    enum change_kind kind;
    size_t collection;         /* index in plan->collections */
    uint32_t xid;              /* transaction that a read-back must see; 0: seen already */
    lsn_t lsn;                 /* of its transaction's commit */
    struct span identity;      /* {"_id": ...} */
    const struct span *key;    /* texts of the id columns */
    const struct span *values; /* INSERT, PUT, SET: root->column_count texts */
};

/* A batch closes at this many bytes; one change may be larger. */
#define CHANGE_BATCH_BYTES ((size_t)512 * 1024)
/* PostgreSQL rows hold at most 1 GB; a batch takes one such change at the most. */
#define CHANGE_BATCH_MAX ((size_t)1200 * 1024 * 1024)
#define CHANGE_BATCH_ITEMS 1000

struct change_batch {
    struct arena memory;
    size_t count;
    struct change items[CHANGE_BATCH_ITEMS];
};

struct change_batch *change_batch_new(void);
void change_batch_free(struct change_batch *b);

/* Bytes it holds, for queue weights. */
size_t change_batch_weight(const struct change_batch *b);
bool change_batch_is_full(const struct change_batch *b);

/* Appends a copy of everything the change points to. `value_count` values, `key_count` key texts.
 * ERR_LIMIT when it does not fit into an empty batch; the caller sends a batch that is full. */
int change_batch_add(struct change_batch *b, const struct change *change, size_t key_count,
                     size_t value_count, struct err *err) must_check;

#endif

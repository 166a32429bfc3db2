/*
 * Many changes of one document become one: pure.
 *
 * Rules (later over earlier): a delete wins over all; an insert or put after a delete is a put; a
 * set merges its columns into what is there; anything together with a refresh is a refresh, which
 * reads the newest state anyway; a set after a delete (only a replay gives that) is a refresh.
 * The result holds at most one change for each document, in no particular order.
 */
#ifndef BANYAN_APPLY_FOLD_H
#define BANYAN_APPLY_FOLD_H

#include "apply/change.h"
#include "base/spanmap.h"

struct fold {
    struct spanmap index; /* identity -> position in items, from 1 */
    struct change *items;
    size_t count, cap;
    uint32_t *xids; /* distinct, of changes that end in a refresh */
    size_t xid_count, xid_cap;
};

void fold_release(struct fold *f);
void fold_clear(struct fold *f);

/* Adds the next change of the collection. Spans are borrowed from its batch; merged rows are made
 * in `memory` (the batch's arena). ERR_LIMIT when that is full. */
int fold_add(struct fold *f, const struct plan_collection *c, const struct change *change,
             struct arena *memory, struct err *err) must_check;

/* Turns item `i` into a refresh: what it would have changed is not in the target. */
void fold_want_refresh(struct fold *f, size_t i);
bool fold_has_refresh(const struct fold *f);

#endif

/*
 * Which documents a changed row concerns: the keys of their roots, page by page. Used at once by
 * the resolver, and in the background by fan-outs.
 */
#ifndef BANYAN_PIPELINE_LOOKUP_H
#define BANYAN_PIPELINE_LOOKUP_H

#include "db/mongo.h"
#include "db/pg.h"
#include "map/plan.h"
#include "pipeline/keylist.h"
#include "state/state.h"

struct lookup {
    enum state_fanout_kind kind;
    const struct plan_node *node;
    const struct span *tuples; /* join values, or keys, of rows of the node */
    size_t count;
};

/* Texts in a tuple of such a look-up. */
size_t lookup_width(enum state_fanout_kind kind, const struct plan_node *node);

/* Where look-ups are made. `pg` is in a read-only transaction; `mongo` is for holders only. */
struct lookup_place {
    struct pg *pg;
    struct mongo *mongo;
    const char *database;
};

/* Fills `ret` (begun by the caller) with the keys behind *cursor (empty: from the first) and moves
 * the cursor behind the last of them; ret->cut: there are more. cursor NULL: the first ones in any
 * order. */
int lookup_page(const struct lookup_place *place, const struct lookup *l, struct buf *cursor,
                struct keylist *ret, struct err *err) must_check;

#endif

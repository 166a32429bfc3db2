/*
 * Step 4 of 8: puts changes into batches by lane, and batches into the lanes' queues.
 *
 * lane = hash(collection, identity), so all changes of one document take one way. The receiver and
 * the resolver have an outbox each. @thread its owner
 */
#ifndef BANYAN_PIPELINE_OUTBOX_H
#define BANYAN_PIPELINE_OUTBOX_H

#include "apply/change.h"
#include "base/queue.h"
#include "pipeline/ledger.h"

struct outbox {
    const struct plan *plan;
    struct queue *const *lanes;
    size_t lane_count;
    struct change_batch *open[LEDGER_LANES_MAX];
    /* Called while a full queue is waited for, at least every 100 ms; an error ends the wait. */
    int (*while_full)(void *context, struct err *err);
    void *context;
};

void outbox_release(struct outbox *o);

int outbox_add(struct outbox *o, const struct change *change, struct err *err) must_check;

/* Sends every open batch. */
int outbox_flush(struct outbox *o, struct err *err) must_check;

bool outbox_is_empty(const struct outbox *o);

/* Pushes an owned item, waiting with `while_full`; on error the item still is the caller's. */
int outbox_push(struct outbox *o, struct queue *q, void *item, size_t weight,
                struct err *err) must_check;

#endif

#include "pipeline/outbox.h"

#include <xxhash.h>

#define FULL_WAIT_US 100000

void outbox_release(struct outbox *o) {
    for (size_t i = 0; i < o->lane_count; i++) {
        change_batch_free(o->open[i]);
        o->open[i] = NULL;
    }
}

int outbox_push(struct outbox *o, struct queue *q, void *item, size_t weight, struct err *err) {
    for (;;) {
        switch (queue_push(q, item, weight, FULL_WAIT_US)) {
        case QUEUE_OK:
            return 0;
        case QUEUE_CLOSED:
            return err_set(err, ERR_STOPPED, "the pipeline is closing");
        case QUEUE_TIMEOUT:
            break;
        }
        int rc = o->while_full(o->context, err);
        if (rc < 0)
            return rc;
    }
}

static int send_lane(struct outbox *o, size_t lane, struct err *err) {
    struct change_batch *b = o->open[lane];
    if (!b || b->count == 0)
        return 0;
    int rc = outbox_push(o, o->lanes[lane], b, change_batch_weight(b), err);
    if (rc == 0)
        o->open[lane] = NULL;
    return rc;
}

int outbox_add(struct outbox *o, const struct change *change, struct err *err) {
    const struct plan_collection *c = o->plan->collections[change->collection];
    uint64_t hash = XXH3_64bits_withSeed(change->identity.ptr, change->identity.len,
                                         (XXH64_hash_t)change->collection);
    size_t lane = (size_t)(hash % o->lane_count);
    if (!o->open[lane])
        o->open[lane] = change_batch_new();
    int rc = change_batch_add(o->open[lane], change, c->id_count, c->root->column_count, err);
    if (rc == 0 && change_batch_is_full(o->open[lane]))
        rc = send_lane(o, lane, err);
    return rc;
}

int outbox_flush(struct outbox *o, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->lane_count; i++)
        rc = send_lane(o, i, err);
    return rc;
}

bool outbox_is_empty(const struct outbox *o) {
    for (size_t i = 0; i < o->lane_count; i++)
        if (o->open[i] && o->open[i]->count)
            return false;
    return true;
}

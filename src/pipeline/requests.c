#include "pipeline/requests.h"

#include "base/mem.h"
#include "map/document.h"
#include "pipeline/keyblob.h"

#define REQUESTS_AT_ONCE 500

/* A person gives a parked document up: what the target holds stays as it is. Of a collection that
 * is stopped only the state knows it. */
static int drop(struct run *run, size_t collection, int64_t id, struct err *err) {
    struct state_parked parked;
    bool found = false;
    int rc = state_parked_get(run->state, id, &parked, &found, err);
    struct span identity = span_make(parked.identity, parked.identity_len);
    if (rc == 0 && found && collection < run->plan->collection_count)
        rc = parked_clear(run->parked, collection, identity, err);
    if (rc == 0 && found)
        rc = state_parked_delete(run->state, run->name, parked.collection, identity, err);
    state_parked_clear(&parked);
    return rc;
}

/* A request that cannot be read is dropped: the next verification asks again. */
static int hand_out(struct requests *q, struct run *run, struct outbox *outbox,
                    const struct state_request *request, struct err *err) {
    size_t c = plan_collection_index(run->plan, request->collection);
    if (request->drop)
        return drop(run, c, request->drop, err);
    if (c == run->plan->collection_count || control_is_stopped(run, c))
        return 0;
    const struct plan_collection *collection = run->plan->collections[c];
    struct span key[PG_INDEX_COLUMNS_MAX];
    _cleanup_(buf_release) struct buf identity = {.max = 1024 * 1024};
    struct arena memory;
    arena_init(&memory, 1024 * 1024);
    int rc = 0;
    if (request->key && keyblob_read(span_make(request->key, request->key_len), &memory, key,
                                     collection->id_count)) {
        struct err ignored;
        if (map_identity(collection, key, &identity, &ignored) == 0) {
            bool first = request->rewrite && request->id > q->deleted;
            q->deleting |= first;
            struct change change = {.kind = first ? CHANGE_DELETE : CHANGE_REFRESH,
                                    .collection = c,
                                    .identity = buf_span(&identity),
                                    .key = key};
            rc = outbox_add(outbox, &change, err);
        }
    }
    arena_release(&memory);
    return rc;
}

static int take(struct requests *q, struct run *run, struct outbox *outbox, struct err *err) {
    struct state_request *list = NULL;
    size_t count = 0;
    int rc = state_request_list(run->state, run->name, REQUESTS_AT_ONCE, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = hand_out(q, run, outbox, &list[i], err);
        q->in_flight = list[i].id;
        free(list[i].key);
    }
    free(list);
    q->none_left = rc == 0 && count == 0;
    if (rc == 0 && count)
        rc = outbox_flush(outbox, err);
    for (size_t i = 0; i < run->lane_count; i++)
        q->tickets[i] = queue_pushed(run->lane_queues[i]);
    return rc;
}

int requests_poll(struct requests *q, struct run *run, struct outbox *outbox, struct err *err) {
    if (q->in_flight == 0)
        return take(q, run, outbox, err);
    if (!control_lanes_passed(run, q->tickets))
        return 0;
    if (q->deleting) { /* a delete and a write at once would become one replacement */
        q->deleted = q->in_flight;
        q->deleting = false;
        return take(q, run, outbox, err);
    }
    int rc = state_request_finish(run->state, run->name, q->in_flight, err);
    q->in_flight = 0;
    return rc;
}

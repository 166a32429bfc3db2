/*
 * Step 4b of 8: gets rows of embedded tables, gives the keys of the documents they touch to the
 * lanes. Hands out keys, never documents: a document is read and written in its own lane only.
 *
 * Two look-ups: upwards in the source, from the row's join columns to the roots in which it stands
 * now; and in the target, by the row's own key, for the documents that hold it still (its old
 * parents). Before the second, refreshes under way are waited for: one that read the old parent
 * before the move and has not written yet would be overlooked, and keep the child for ever. A
 * look-up that finds very many documents becomes a fan-out (fanouts.h).
 * @thread resolver (one thread)
 */
#ifndef BANYAN_PIPELINE_RESOLVER_H
#define BANYAN_PIPELINE_RESOLVER_H

#include "pipeline/outbox.h"
#include "pipeline/resolve_batch.h"
#include "state/state.h"

struct resolver_events {
    void *context;
    bool (*is_stopped)(void *context, size_t collection);
    int (*stop)(void *context, size_t collection, lsn_t lsn, const char *reason, struct err *err);
    /* Returns when every refresh that had begun by now has ended; an error when the run failed. */
    int (*wait_refreshes)(void *context, struct err *err);
    int (*while_waiting)(void *context, struct err *err);              /* an error ends a wait */
    int (*emptied)(void *context, size_t collection, struct err *err); /* by a TRUNCATE */
    void (*fanned_out)(void *context);                                 /* a fan-out was stored */
    void (*finished)(void *context);
    void (*failed)(void *context, const struct err *err);
};

struct resolver_config {
    const struct plan *plan;
    const char *source_uri;
    const char *source_app;
    const char *target_uri;
    const char *target_app; /* no other connection's begins with it */
    const char *target_database;
    struct state *state;
    const char *pipeline;
    size_t fanout_documents; /* a change that concerns more than this is left to a fan-out */
    struct queue *queue;
    struct queue *const *lanes;
    size_t lane_count;
    struct resolver_events events;
};

struct resolver;

int resolver_start(const struct resolver_config *config, struct resolver **ret_resolver,
                   struct err *err) must_check;
void resolver_join(struct resolver *r); /* after its queue is closed */
void resolver_free(struct resolver *r);

/* Tickets whose keys have all been handed to the lanes. Any thread. */
uint64_t resolver_done(const struct resolver *r);

#endif

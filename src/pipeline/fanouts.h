/*
 * Documents that are read again in the background, because one change concerned very many: a row
 * that many documents embed, an embedded table that was emptied.
 *
 * What is to be done is in the state file before the ledger passes its cause, so a crash loses
 * nothing. One group at a time: a page of keys is looked up, given to the lanes in slices that
 * leave room for the stream, and once all of it is written the cursor moves in the state.
 * @thread fan-outs (one thread)
 */
#ifndef BANYAN_PIPELINE_FANOUTS_H
#define BANYAN_PIPELINE_FANOUTS_H

#include "pipeline/outbox.h"
#include "state/state.h"

struct fanouts_events {
    void *context;
    bool (*is_stopped)(void *context, size_t collection);
    int (*stop)(void *context, size_t collection, lsn_t lsn, const char *reason, struct err *err);
    bool (*is_written)(void *context, const uint64_t *tickets); /* of the lanes' queues */
    int (*while_waiting)(void *context, struct err *err);       /* an error ends a wait */
    void (*finished)(void *context);                            /* nothing is left for now */
    void (*failed)(void *context, const struct err *err);
};

struct fanouts_config {
    const struct plan *plan;
    struct state *state;
    const char *pipeline;
    const char *source_uri, *source_app;
    const char *target_uri, *target_app;
    const char *target_database;
    struct queue *const *lanes;
    size_t lane_count;
    struct fanouts_events events;
};

struct fanouts;

/* Goes on with what is in the state. */
int fanouts_start(const struct fanouts_config *config, struct fanouts **ret_fanouts,
                  struct err *err) must_check;
/* There is something new in the state. Any thread. */
void fanouts_wake(struct fanouts *f);
/* Asks it to end, soon; what is left stays in the state. Any thread. */
void fanouts_close(struct fanouts *f);
void fanouts_join(struct fanouts *f);
void fanouts_free(struct fanouts *f);

#endif

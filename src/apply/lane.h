/*
 * Steps 6 and 7 of 8: gets batches of changes from its queue, folds them, maps them or reads their
 * rows again, and writes one operation for each document; then reports the batches as finished.
 *
 * All changes of one document come through one lane, so their order holds. A lane never gives up
 * on an error that may pass. @thread lane (each lane is one thread)
 */
#ifndef BANYAN_APPLY_LANE_H
#define BANYAN_APPLY_LANE_H

#include "apply/change.h"
#include "apply/live.h"
#include "apply/writer.h"
#include "base/queue.h"
#include "base/rate.h"

struct lane_refusal {
    size_t collection;
    struct span identity;
    const struct span *key; /* texts of the id columns; NULL without identity */
    lsn_t lsn;
    int code; /* of MongoDB; 0: ours */
    const char *reason;
};

/* How a lane talks to its pipeline. Functions are called from lane threads. */
struct lane_events {
    void *context;
    /* This document cannot be written as it is: kept, durably, or its collection is stopped.
     * Without an identity the collection as a whole cannot be read. */
    int (*refused)(void *context, const struct lane_refusal *refusal, struct err *err);
    /* Documents that were refused before: their old state in the target is not to be built upon. */
    bool (*is_parked)(void *context, size_t collection, struct span identity);
    int (*written)(void *context, size_t collection, struct span identity, struct err *err);
    bool (*is_stopped)(void *context, size_t collection);
    void (*finished)(void *context);                      /* some batches are done */
    void (*failed)(void *context, const struct err *err); /* the lane ended; so must the run */
};

struct lane_config {
    size_t number;
    const struct plan *plan;
    const char *source_uri;
    const char *source_app;
    struct writer_config writer;
    struct rate *rate;
    struct apply_live *live; /* NULL: nobody looks */
    struct queue *queue;
    struct lane_events events;
};

struct lane_counters {
    uint64_t changes, written, deleted, refreshed;
    uint64_t retries; /* of writes */
};

struct lane;

/* Starts the thread. The configuration is copied; what it points to must outlive the lane. */
int lane_start(const struct lane_config *config, struct lane **ret_lane,
               struct err *err) must_check;

/* After its queue is closed: waits until the thread has ended. */
void lane_join(struct lane *lane);
void lane_free(struct lane *lane);

/* Tickets finished: batches whose every write is acknowledged. Any thread. */
uint64_t lane_done(const struct lane *lane);

/* Refreshes begun and ended: what begun() says now has ended once ended() reaches it. Any thread.
 */
uint64_t lane_refreshes_begun(const struct lane *lane);
uint64_t lane_refreshes_ended(const struct lane *lane);

struct lane_counters lane_counters(const struct lane *lane);

#endif

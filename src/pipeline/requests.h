/*
 * What other commands ask of a run: documents to be written anew (verify --repair, parked retry),
 * parked ones to be given up (parked drop).
 *
 * Only the run writes to the target, so requests wait in the state file; the receiver takes them,
 * gives them to the lanes like any change, and deletes them when their writes are acknowledged. A
 * crash between repeats them. @thread receiver
 */
#ifndef BANYAN_PIPELINE_REQUESTS_H
#define BANYAN_PIPELINE_REQUESTS_H

#include "pipeline/outbox.h"
#include "pipeline/run.h"

struct requests {
    int64_t in_flight; /* id of the newest one handed out; 0: none */
    bool deleting;     /* what is in flight are deletes, before the same documents are written */
    int64_t deleted;   /* up to this id, what is to be rewritten is deleted */
    bool none_left;    /* the last look found no request */
    uint64_t tickets[LEDGER_LANES_MAX];
};

/* Takes what waits, or finishes what was handed out. Cheap; called about once a second. */
int requests_poll(struct requests *q, struct run *run, struct outbox *outbox,
                  struct err *err) must_check;

#endif

/*
 * Steps 3 and 4 of 8: gets decoded messages, gives changes to the lanes and look-ups to the
 * resolver. Knows relations (by their messages) and which plan nodes they feed; does no I/O of its
 * own beyond the two ways out. @thread receiver
 */
#ifndef BANYAN_PIPELINE_ROUTER_H
#define BANYAN_PIPELINE_ROUTER_H

#include "pipeline/outbox.h"
#include "pipeline/resolve_batch.h"
#include "source/pgoutput.h"

struct router;

struct router_events {
    void *context;
    bool (*is_stopped)(void *context, size_t collection);
    /* Everything the log says from now on is newer than the collection's copy. */
    bool (*is_caught_up)(void *context, size_t collection);
    /* The collection cannot go on: durable when it returns. */
    int (*stop)(void *context, size_t collection, lsn_t lsn, const char *reason, struct err *err);
};

/* Waits until every batch handed out is finished. */
typedef int (*router_drain_fn)(void *context, struct err *err);

struct router *router_new(const struct plan *plan, struct outbox *outbox, struct queue *resolver,
                          const struct router_events *events, router_drain_fn drain,
                          void *drain_context);
void router_free(struct router *r);

/* One INSERT, UPDATE, DELETE, TRUNCATE or RELATION of the transaction `xid` that commits at
 * `lsn`. Other kinds are ignored. */
int router_message(struct router *r, const struct pgo_message *m, uint32_t xid, lsn_t lsn,
                   struct err *err) must_check;

/* Sends all that is held back, resolver first. */
int router_flush(struct router *r, struct err *err) must_check;
bool router_is_empty(const struct router *r);

/* Changes routed so far. */
uint64_t router_changes(const struct router *r);

#endif

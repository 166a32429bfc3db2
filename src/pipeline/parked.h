/*
 * Documents of a running pipeline that cannot be written now, and when they are tried again.
 *
 * Durable first (state.h), so the ledger may pass them. One that met another document's unique
 * value, or failed a validation, is *deferred*: what it waits for may come later in the log (lanes
 * reorder across documents), so it is tried again once everything received by then is written. The
 * second time, documents of a collection that block each other (two rows swapped a unique value)
 * are deleted and written together. Only then it is *parked*, until a person retries it or a later
 * change of the document succeeds. Any thread, unless said otherwise.
 */
#ifndef BANYAN_PIPELINE_PARKED_H
#define BANYAN_PIPELINE_PARKED_H

#include "pipeline/outbox.h"
#include "state/state.h"

/* More in one collection stop it: then something is wrong that no retry mends. */
#define PARKED_MAX 10000
#define PARKED_ATTEMPTS 3

struct parked;

struct parked *parked_new(struct state *state, const char *pipeline, const struct plan *plan);
void parked_free(struct parked *p);
/* What earlier runs left. Once, before anything is written. */
int parked_load(struct parked *p, struct err *err) must_check;

/* The log was received up to there: what fails now may depend on anything before. */
void parked_set_received(struct parked *p, lsn_t received);

bool parked_has(struct parked *p, size_t collection, struct span identity);

struct parked_failure {
    size_t collection;
    struct span identity;
    const struct span *key; /* texts of the id columns */
    lsn_t lsn;
    int code;
    const char *reason;
};
/* *ret_full: the collection has PARKED_MAX already, nothing was kept. */
int parked_put(struct parked *p, const struct parked_failure *failure, bool *ret_full,
               struct err *err) must_check;
/* It is written, or deleted, or a person gave it up. */
int parked_clear(struct parked *p, size_t collection, struct span identity,
                 struct err *err) must_check;

/* The collection is stopped, or copied anew: nothing of it is tried again, or in the way. What the
 * state has of it stays. */
void parked_forget(struct parked *p, size_t collection);

/* The collection was emptied, rows and documents: nothing waits any more. */
int parked_clear_all(struct parked *p, size_t collection, struct err *err) must_check;

/* Gives what is due to the lanes: `finished` is what the ledger has passed. Returns with *ret_some
 * whether there was any. `drain` waits until everything handed out is written. @thread receiver */
typedef int (*parked_drain_fn)(void *context, struct err *err);
int parked_retry(struct parked *p, lsn_t finished, struct outbox *outbox, parked_drain_fn drain,
                 void *context, bool *ret_some, struct err *err) must_check;

/* Deferred documents of changes up to `lsn` are left. */
bool parked_has_deferred(struct parked *p, lsn_t lsn);
/* Those that are not tried again by themselves. */
int64_t parked_count(struct parked *p);

#endif

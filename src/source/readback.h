/*
 * Reading the source again for a change that the log announced.
 *
 * A commit can reach the log before other sessions see it (for seconds, with synchronous
 * standbys), so a read-back transaction first checks that its snapshot sees the transactions that
 * caused it.
 */
#ifndef BANYAN_SOURCE_READBACK_H
#define BANYAN_SOURCE_READBACK_H

#include "db/pg.h"
#include "map/plan.h"

#include <stdint.h>

/* A session, unless *pg is one. ERR_ACCESS: the server does not let us in, which is no fault of a
 * collection. */
int readback_connect(struct pg **pg, const char *uri, const char *app, struct err *err) must_check;
/* Begins a read-only repeatable-read transaction whose snapshot sees all of `xids`. If it does not
 * yet, the transaction is ended and the error is retriable. */
int readback_begin(struct pg *pg, const uint32_t *xids, size_t count, struct err *err) must_check;
/* The same in the snapshot that another session exported and still holds. */
int readback_begin_in(struct pg *pg, const char *snapshot, struct err *err) must_check;
/* After reading: ERR_NO, retriable, if one of the tables was written anew (ALTER TABLE,
 * TRUNCATE, VACUUM FULL) after the transaction's snapshot was taken and before the table was
 * locked. To an older snapshot such a table is empty (PostgreSQL 15 docs, 13.6), without a word.
 * ERR_CONF if the name leads to another table than the plan's by now. */
int readback_check_tables(struct pg *pg, const struct plan_node *const *nodes, size_t count,
                          struct err *err) must_check;
/* Makes the transaction usable again after a statement in it was cancelled; it still sees what it
 * saw. */
int readback_rewind(struct pg *pg, struct err *err) must_check;
int readback_end(struct pg *pg, struct err *err) must_check;

/* Whether a snapshot in text form ("xmin:xmax:xip,xip": PostgreSQL 15 docs, 9.27.10) sees all of
 * these committed transactions. False for text that is not a snapshot. Pure. */
bool readback_sees(struct span snapshot, const uint32_t *xids, size_t count);

#endif

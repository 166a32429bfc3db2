/*
 * Rights that reading a collection's tables needs. Asked for after the server refused a read: it
 * names the table at most, and not the statement that lets us in.
 */
#ifndef BANYAN_SOURCE_RIGHTS_H
#define BANYAN_SOURCE_RIGHTS_H

#include "db/pg.h"
#include "map/plan.h"

/* Whether the statement that failed last was refused for a missing right, or for rows that a policy
 * hides (SQLSTATE 42501). */
bool rights_are_missing(const struct pg *pg);

/* After such a failure: adds to its text the statements that give the role what it lacks on the
 * collection's tables (GRANT, ALTER ROLE ... BYPASSRLS). Ends the session's transaction. Does
 * nothing after another failure, and where the session is of no use any more. */
void rights_explain(struct pg *pg, const struct plan_collection *c, struct err *err);

/* Whether the role may read the collection's tables as a whole, system columns included; with less,
 * it may be allowed all the columns that are mapped. */
int rights_to_tables(struct pg *pg, const struct plan_collection *c, bool *ret,
                     struct err *err) must_check;

#endif

/*
 * Whether the server's log still is the one that our position is in.
 *
 * A promoted or restored server may have left our timeline before our position: what the target has
 * from there on never happened on it, and its own changes since would be passed over. That is a
 * fork, and stops the pipeline. One that left it later is followed. @thread main
 */
#ifndef BANYAN_PIPELINE_LINEAGE_H
#define BANYAN_PIPELINE_LINEAGE_H

#include "pipeline/run.h"

/* A timeline that may be followed is noted in the state before anything is read from it.
 * ERR_STATE: a fork, with the ways out. */
int lineage_check(struct run *run, struct repl *repl, const struct repl_identity *identity,
                  struct err *err) must_check;

/* For verify --repair: after a fork, goes back to `slot_lsn`, where the slot of this server begins,
 * so that the changes of the new branch are read from the first on. What the target has of the lost
 * branch is then for the comparison to mend. */
int lineage_mend(struct run *run, struct repl *repl, const struct repl_identity *identity,
                 lsn_t slot_lsn, struct err *err) must_check;

#endif

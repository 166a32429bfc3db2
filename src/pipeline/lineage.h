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

/* A timeline that may be followed is noted in the state before anything is read from it. */
int lineage_check(struct run *run, struct repl *repl, const struct repl_identity *identity,
                  struct err *err) must_check;

#endif

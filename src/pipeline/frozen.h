/*
 * One snapshot for all chunks of a copy (source.snapshot.consistent).
 *
 * It lives as long as the session that exported it: the replication session that made the slot
 * or, over a slot that exists, main's own. Chunks import it, each in a short transaction. When it
 * is gone with chunks left to read, no other session can have it again, so the copy begins anew.
 * @thread main, unless said otherwise.
 */
#ifndef BANYAN_PIPELINE_FROZEN_H
#define BANYAN_PIPELINE_FROZEN_H

#include "pipeline/run.h"

/* Makes sure that there is a snapshot to import; nothing where the copy is not to have one. */
int frozen_begin(struct run *run, struct err *err) must_check;

/* Lets the snapshot go: vacuum has waited for it. */
void frozen_end(struct run *run);

/* Begins the transaction of a chunk: in the one snapshot, if the copy has one. *ret_lost: it is
 * gone. @thread any */
int frozen_begin_chunk(const struct run *run, struct pg *pg, bool *ret_lost,
                       struct err *err) must_check;

#endif

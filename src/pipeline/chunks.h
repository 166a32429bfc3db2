/*
 * Which chunks a copy has: ranges of root keys, found one after the other (the next one begins
 * where the one before ends) and recorded in the state before they are handed out, so that a chunk
 * is neither forgotten nor cut in another way by a process that goes on.
 */
#ifndef BANYAN_PIPELINE_CHUNKS_H
#define BANYAN_PIPELINE_CHUNKS_H

#include "pipeline/run.h"
#include "source/query.h"

struct chunk {
    size_t collection;
    bool again;                /* of an earlier run, which may have left documents of it */
    struct state_chunk stored; /* state_chunk_clear it */
};

struct chunks;

/* Those of all collections that are being copied: what the state knows of them. @thread main */
int chunks_new(struct run *run, struct chunks **ret_chunks, struct err *err) must_check;
void chunks_free(struct chunks *s);

/* Documents there will be, as the server estimates its rows. */
int64_t chunks_expected(const struct chunks *s);

/* 1: a chunk of a collection that is still being copied; 0: there is none left. On failure
 * ret->collection is whose planning failed. `memory` is reset. Any thread. */
int chunks_claim(struct chunks *s, struct pg *pg, struct arena *memory, struct chunk *ret,
                 struct err *err) must_check;

/* The bounds of a chunk, in `memory` (reset); `lower` and `upper` are room for them. */
int chunks_range(const struct plan_collection *c, const struct state_chunk *chunk,
                 struct arena *memory, struct span lower[PG_INDEX_COLUMNS_MAX],
                 struct span upper[PG_INDEX_COLUMNS_MAX], struct key_range *ret,
                 struct err *err) must_check;

#endif

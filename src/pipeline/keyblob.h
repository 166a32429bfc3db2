/*
 * Key texts as one blob, for the state file: chunk bounds, cursors. Pure.
 */
#ifndef BANYAN_PIPELINE_KEYBLOB_H
#define BANYAN_PIPELINE_KEYBLOB_H

#include "base/arena.h"
#include "base/buf.h"

/* Appends count texts: each a 32-bit length and its bytes. */
void keyblob_write(struct buf *out, const struct span *texts, size_t count);

/* Exactly `count` texts, copied into `memory`; false if the blob is not that. */
bool keyblob_read(struct span blob, struct arena *memory, struct span *ret_texts, size_t count);

#endif

/*
 * Memory that is freed all at once: many small allocations, one reset.
 *
 * Invariants: blocks returned stay valid and do not move until arena_reset or arena_release; the
 * sum of what is handed out never passes `max`. Owned by one thread at a time; it may travel with
 * the message that owns it. Sizes are bytes.
 */
#ifndef BANYAN_BASE_ARENA_H
#define BANYAN_BASE_ARENA_H

#include "base/compiler.h"
#include "base/span.h"

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* block being filled */
    size_t used;              /* handed out since the last reset */
    size_t max;
};

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);

/* Forgets everything handed out; keeps one block of up to 1 MiB for the next round. */
void arena_reset(struct arena *a);

/* 16-byte aligned, not cleared. NULL when `max` would be passed. */
void *arena_alloc(struct arena *a, size_t size) must_check;

/* Copies `s`; the copy has a NUL behind it that its length does not count. ptr is NULL on max. */
struct span arena_copy(struct arena *a, struct span s) must_check;

#endif

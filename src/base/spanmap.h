/*
 * Bytes -> a small number: which operation has this key, which group this join value.
 *
 * Keys are borrowed spans and must stay valid until clear or release. Open addressing, grows by
 * doubling. One thread.
 */
#ifndef BANYAN_BASE_SPANMAP_H
#define BANYAN_BASE_SPANMAP_H

#include "base/compiler.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct spanmap_slot;

struct spanmap {
    struct spanmap_slot *slots;
    size_t mask; /* slots - 1; 0: none yet */
    size_t count;
};

void spanmap_release(struct spanmap *m);
void spanmap_clear(struct spanmap *m);

/* Where the number for `key` is kept; it is made (as 0, *ret_fresh true) if it was not there.
 * Valid until the next put. */
uint32_t *spanmap_put(struct spanmap *m, struct span key, bool *ret_fresh);

/* NULL: not there. */
const uint32_t *spanmap_get(const struct spanmap *m, struct span key);

#endif

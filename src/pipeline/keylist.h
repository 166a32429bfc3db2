/*
 * Keys of root documents that a look-up found: a list with an end, in count and in bytes. What
 * comes after the end is left out, and `cut` says so.
 */
#ifndef BANYAN_PIPELINE_KEYLIST_H
#define BANYAN_PIPELINE_KEYLIST_H

#include "base/arena.h"
#include "base/err.h"

#define KEYLIST_BYTES ((size_t)4 * 1024 * 1024)

struct keylist {
    struct arena memory;
    struct span *keys; /* count tuples of `width` texts */
    size_t width, count, room;
    size_t max; /* tuples */
    bool cut;   /* there was more */
};

void keylist_init(struct keylist *l);
void keylist_release(struct keylist *l);
/* Empty again, for tuples of `width` texts and at most `max` of them. */
void keylist_begin(struct keylist *l, size_t width, size_t max);
/* Copies the tuple. `context` is the list: fits assemble_key_fn. */
int keylist_add(void *context, const struct span *key, struct err *err) must_check;
const struct span *keylist_at(const struct keylist *l, size_t i);

#endif

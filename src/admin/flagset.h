/*
 * The flags in use: one immutable set at a time, shared by all threads, swapped whole.
 *
 * Whoever evaluates takes a reference and gives it back; a set that was replaced goes with its last
 * reference. Counts of evaluations live in the set and are carried over by name. Any thread.
 */
#ifndef BANYAN_ADMIN_FLAGSET_H
#define BANYAN_ADMIN_FLAGSET_H

#include "flags/flags.h"

#include <pthread.h>
#include <stdatomic.h>

struct flagset_counts {
    _Atomic uint64_t on, off;
};

struct flagset {
    atomic_size_t references;
    char *bytes; /* of the blob, 8-aligned */
    struct flags_set set;
    struct flagset_counts *counts; /* by flag */
    char etag[24];                 /* of the blob, without quotes */
};

struct flagset_holder {
    pthread_mutex_t lock;
    struct flagset *current; /* NULL: none yet */
};

void flagset_holder_init(struct flagset_holder *h);
void flagset_holder_release(struct flagset_holder *h);

/* NULL: there are no flags. flagset_put it. */
struct flagset *flagset_get(struct flagset_holder *h);
void flagset_put(struct flagset *f);
DEFINE_CLEANUP(struct flagset *, flagset_put)

/* Copies and checks the blob; on failure the set before stays. *ret_news: it differs. */
int flagset_swap(struct flagset_holder *h, struct span blob, bool *ret_news,
                 struct err *err) must_check;

/* An evaluation that is counted. */
void flagset_evaluate(const struct flagset *f, uint32_t flag, const struct flags_context *context,
                      struct flags_result *ret);

#endif

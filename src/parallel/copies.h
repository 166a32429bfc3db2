/*
 * Copies of divergences in a collection of the target, as the reference keeps them: one document a
 * call, with `analyzed: false`. A thread of its own: a target that is away delays nothing else;
 * what it cannot take is dropped and counted. Private to parallel/.
 */
#ifndef BANYAN_PARALLEL_COPIES_H
#define BANYAN_PARALLEL_COPIES_H

#include "conf/conf.h"
#include "state/divergence.h"

struct copies;
struct copies *copies_new(const struct conf *conf); /* NULL: no room for a thread */
/* What waits is written, until one of them cannot be. */
void copies_free(struct copies *c);

/* The differences of one call. */
void copies_add(struct copies *c, const struct state_divergence_found *found, size_t count);
/* Forgets what is older (wall clock). */
void copies_expire(struct copies *c, int64_t until_us);
uint64_t copies_dropped(const struct copies *c);

/* Forgets those of one user; at once, in the calling thread. */
int copies_purge(const struct conf *conf, struct span user, struct err *err) must_check;

#endif

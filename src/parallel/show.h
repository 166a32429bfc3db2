/*
 * Divergences as people and programs see them, of a daemon and of the command line alike; and what
 * they can do about one: have its document written anew.
 */
#ifndef BANYAN_PARALLEL_SHOW_H
#define BANYAN_PARALLEL_SHOW_H

#include "base/json_write.h"
#include "state/divergence.h"

/* An object; `examples` NULL: without them. */
void show_divergence(struct json_out *j, const struct state_divergence *d,
                     const struct state_example *examples, size_t count);

/* Leaves a request in the state, as `verify --repair` does: the row is read again, and its document
 * written. `example` 0: the newest that knows its document. ERR_NO: there is no such divergence or
 * example, or it is not known which document it is about. *ret_collection is the caller's
 * STATE_NAME_MAX bytes. */
int resync_divergence(struct state *s, int64_t id, int64_t example, char *ret_collection,
                      struct err *err) must_check;

#endif

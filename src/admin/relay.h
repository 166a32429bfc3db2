/*
 * Samples of edges, on to the parallel run: it listens on a socket for nginx's workers, and gets
 * them there as if they came from one. Any thread.
 */
#ifndef BANYAN_ADMIN_RELAY_H
#define BANYAN_ADMIN_RELAY_H

#include "base/err.h"
#include "base/span.h"

struct relay;

struct relay *relay_new(const char *socket_path);
void relay_free(struct relay *r); /* NULL is fine */

/* Whole frames, samples only: ERR_WIRE else, and nothing was handed on. *ret_taken of them were
 * taken; the others have no room now and are the caller's to count. ERR_UNREACHABLE: nobody
 * listens. */
int relay_samples(struct relay *r, struct span frames, size_t *ret_taken, size_t *ret_all,
                  struct err *err) must_check;

#endif

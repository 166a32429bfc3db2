/*
 * Sessions of one side: at most so many, opened when somebody needs one, handed out last in, first
 * out, so that in quiet times few are in use. Any thread.
 *
 * Who takes a place must give it back: with its session (pool_put), or without (pool_put NULL),
 * when there is none or it is closed.
 */
#ifndef BANYAN_OPERATION_POOL_H
#define BANYAN_OPERATION_POOL_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

/* At most `waiting_max` threads wait for a place; one more is turned away at once. */
struct pool *pool_new(size_t max, size_t waiting_max, void (*close)(void *session));
/* Closes what is in it; no place may be taken. NULL is fine. */
void pool_free(struct pool *p);

/* A place, until `until_us` (monotonic); *ret_session NULL: open one. False: none in time. */
bool pool_take(struct pool *p, int64_t until_us, void **ret_session) must_check;
void pool_put(struct pool *p, void *session);

size_t pool_in_use(struct pool *p); /* places taken, and sessions that wait for work */

#endif

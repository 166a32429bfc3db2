/*
 * Which calls become samples, and how many calls each stands for.
 *
 * The first SAMPLING_ALWAYS calls a minute of a route or operation are taken, each for itself; of
 * the others a share, by a hash of the request's id, each for 1/share. So sums of weights estimate
 * numbers of calls without bias, for rare routes and busy ones. The hash has a seed of its own:
 * which users a flag holds for has nothing to do with what is sampled.
 *
 * One word of state a route, shared by threads or by processes (shared memory). Wait-free but for
 * the first calls of a minute.
 */
#ifndef BANYAN_ROUTE_SAMPLING_H
#define BANYAN_ROUTE_SAMPLING_H

#include "base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SAMPLING_ALWAYS 20u
#define SAMPLING_ONE 1000000u /* shares and weights are in millionths */

/* Zero: fresh. */
typedef _Atomic uint64_t sampling_word;

enum sampling { SAMPLING_NO, SAMPLING_EARLY, SAMPLING_HASHED };

/* `share` in millionths, at most SAMPLING_ONE; 0: none at all, the first of a minute neither.
 * *ret_weight where one is taken. `now_us` is wall clock. */
enum sampling sampling_take(sampling_word *word, uint32_t share, struct span request_id,
                            int64_t now_us, uint64_t *ret_weight);

#endif

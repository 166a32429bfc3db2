/*
 * A shared rate limit: how long to wait before the next `n` writes. Any thread.
 */
#ifndef BANYAN_BASE_RATE_H
#define BANYAN_BASE_RATE_H

#include "base/compiler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
    pthread_mutex_t lock;
    _Atomic int64_t per_second; /* 0: no limit; changed under the lock */
    int64_t next_us;            /* monotonic time at which the budget is even; under the lock */
};

void rate_init(struct rate *r, int64_t per_second);
void rate_release(struct rate *r);
/* Another limit from now on: what was booked under the old one is forgotten, and its waits end. */
void rate_set(struct rate *r, int64_t per_second);

/* Books `n` writes and waits until they may be made, by `wait` (stop_wait or stop_forced_wait),
 * which tells that the wait has to end: true. Bursts of up to a tenth of a second are let through.
 */
bool rate_wait(struct rate *r, int64_t n, bool (*wait)(int64_t us)) must_check;

#endif

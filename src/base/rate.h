/*
 * A shared rate limit: how long to wait before the next `n` writes. Any thread.
 */
#ifndef BANYAN_BASE_RATE_H
#define BANYAN_BASE_RATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct rate {
    pthread_mutex_t lock;
    _Atomic int64_t per_second; /* 0: no limit */
    int64_t next_us;            /* monotonic time at which the budget is even */
};

void rate_init(struct rate *r, int64_t per_second);
void rate_release(struct rate *r);
/* Another limit from now on. */
void rate_set(struct rate *r, int64_t per_second);

/* Books `n` writes at `now_us` (monotonic) and returns the microseconds to wait before making
 * them; bursts of up to a tenth of a second are let through. */
int64_t rate_take(struct rate *r, int64_t n, int64_t now_us);

#endif

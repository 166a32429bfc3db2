/*
 * Exponential backoff with full jitter.
 *
 * Delay n is a random time between half of and all of min * 2^n, at most `max`. Pure: the random
 * state is in the struct. Owner: one thread. Microseconds.
 */
#ifndef BANYAN_BASE_BACKOFF_H
#define BANYAN_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_us;
    int64_t max_us;
    unsigned attempt; /* calls since the last reset */
    uint64_t random;
};

void backoff_init(struct backoff *b, int64_t min_us, int64_t max_us, uint64_t seed);
void backoff_reset(struct backoff *b);
int64_t backoff_next_us(struct backoff *b);

#endif

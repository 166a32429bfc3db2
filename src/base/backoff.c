#include "base/backoff.h"

void backoff_init(struct backoff *b, int64_t min_us, int64_t max_us, uint64_t seed) {
    *b = (struct backoff){.min_us = min_us, .max_us = max_us, .random = seed | 1};
}

void backoff_reset(struct backoff *b) {
    b->attempt = 0;
}

/* xorshift64: jitter only has to differ between lanes, not to be unpredictable. */
static uint64_t next_random(struct backoff *b) {
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

int64_t backoff_next_us(struct backoff *b) {
    int64_t delay = b->min_us;
    for (unsigned i = 0; i < b->attempt && delay < b->max_us; i++)
        delay *= 2;
    if (delay > b->max_us)
        delay = b->max_us;
    b->attempt++;
    int64_t half = delay / 2;
    return half + (int64_t)(next_random(b) % (uint64_t)(delay - half + 1));
}

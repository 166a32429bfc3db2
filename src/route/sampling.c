#include "route/sampling.h"

#include <xxhash.h>

#define SEED UINT64_C(0x62616e79616e2f73) /* "banyan/s" */
#define MINUTE_US INT64_C(60000000)
#define COUNT_BITS 8 /* of the word: calls of its minute, up to SAMPLING_ALWAYS */
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

_Static_assert(SAMPLING_ALWAYS <= COUNT_MASK, "the count has its bits");

/* Whether the call is among the first of its minute. A clock that goes back begins a minute anew:
 * some more are taken then. */
static bool is_early(sampling_word *word, int64_t now_us) {
    uint64_t minute = (uint64_t)(now_us / MINUTE_US);
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed), new;
    do {
        uint64_t count = old >> COUNT_BITS == minute ? old & COUNT_MASK : 0;
        if (count >= SAMPLING_ALWAYS)
            return false;
        new = minute << COUNT_BITS | (count + 1);
    } while (!atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

enum sampling sampling_take(sampling_word *word, uint32_t share, struct span request_id,
                            int64_t now_us, uint64_t *ret_weight) {
    if (share == 0)
        return SAMPLING_NO;
    if (is_early(word, now_us)) {
        *ret_weight = SAMPLING_ONE;
        return SAMPLING_EARLY;
    }
    uint64_t hash = XXH3_64bits_withSeed(request_id.ptr, request_id.len, SEED);
    if (hash % SAMPLING_ONE >= share)
        return SAMPLING_NO;
    *ret_weight = (uint64_t)SAMPLING_ONE * SAMPLING_ONE / share;
    return SAMPLING_HASHED;
}

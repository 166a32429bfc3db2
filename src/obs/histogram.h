/*
 * Log-linear histograms: how long, or how many, in buckets that add up.
 *
 * Every power of two is cut into 64 buckets, so a bucket is at most 1/64 (1.6 %) of its values wide
 * and a percentile is at most that far from the true one; values up to 128 are exact. The buckets
 * are the same everywhere: a report over days is the sum of its minutes (merge). The unit is the
 * caller's: microseconds for times, else a count. Values below 0 count as 0, values over
 * OBS_HISTOGRAM_MAX (12.7 days in microseconds) as OBS_HISTOGRAM_MAX, also in the sum.
 *
 * obs_histogram_add is wait-free and may be called by any thread at any time. The others read or
 * write without locks: a histogram that is added to meanwhile is read as of some moment for each
 * bucket, and never with fewer samples than an earlier read had.
 */
#ifndef BANYAN_OBS_HISTOGRAM_H
#define BANYAN_OBS_HISTOGRAM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define OBS_HISTOGRAM_BITS 6                           /* 64 buckets each power of two */
#define OBS_HISTOGRAM_TOP 40                           /* values are below 2^40 */
#define OBS_HISTOGRAM_MAX (INT64_C(1099511627776) - 1) /* 2^40 - 1 */
#define OBS_HISTOGRAM_BUCKETS ((OBS_HISTOGRAM_TOP - OBS_HISTOGRAM_BITS + 1) << OBS_HISTOGRAM_BITS)
#define OBS_HISTOGRAM_BLOB_MAX (1 + 10 + OBS_HISTOGRAM_BUCKETS * 12) /* bytes */

/* All zero: empty. 18 KiB: not for the stack of a deep call. */
struct obs_histogram {
    _Atomic uint64_t sum;
    _Atomic uint64_t buckets[OBS_HISTOGRAM_BUCKETS];
};

static inline unsigned obs_histogram_bucket(uint64_t value) {
    if (value < (UINT64_C(1) << OBS_HISTOGRAM_BITS))
        return (unsigned)value;
    if (value > (uint64_t)OBS_HISTOGRAM_MAX)
        value = (uint64_t)OBS_HISTOGRAM_MAX;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - OBS_HISTOGRAM_BITS;
    return (shift << OBS_HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/* The smallest value of a bucket; of OBS_HISTOGRAM_BUCKETS: one more than the largest of all. */
static inline uint64_t obs_histogram_lower(unsigned bucket) {
    if (bucket < (2U << OBS_HISTOGRAM_BITS))
        return bucket;
    unsigned shift = (bucket >> OBS_HISTOGRAM_BITS) - 1;
    return (uint64_t)(bucket - (shift << OBS_HISTOGRAM_BITS)) << shift;
}

/* `n` samples of the same value. */
static inline void obs_histogram_add_many(struct obs_histogram *h, int64_t value, uint64_t n) {
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    if (v > (uint64_t)OBS_HISTOGRAM_MAX)
        v = (uint64_t)OBS_HISTOGRAM_MAX;
    atomic_fetch_add_explicit(&h->buckets[obs_histogram_bucket(v)], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, v * n, memory_order_relaxed);
}

static inline void obs_histogram_add(struct obs_histogram *h, int64_t value) {
    obs_histogram_add_many(h, value, 1);
}

struct obs_histogram *obs_histogram_new(void);
static inline void obs_histogram_free(struct obs_histogram *h) {
    free(h);
}

/* `ret` is the caller's own: nobody adds to it meanwhile. So is `into`, below. */
void obs_histogram_copy(const struct obs_histogram *h, struct obs_histogram *ret);
void obs_histogram_clear(struct obs_histogram *h);
void obs_histogram_merge(struct obs_histogram *into, const struct obs_histogram *from);
/* What came to `now` since `before`, an earlier copy of the same; all of `now` where it was started
 * anew meanwhile. `ret` may be `before`. */
void obs_histogram_since(const struct obs_histogram *now, const struct obs_histogram *before,
                         struct obs_histogram *ret);

uint64_t obs_histogram_count(const struct obs_histogram *h);
uint64_t obs_histogram_sum(const struct obs_histogram *h);
/* Interpolated inside its bucket. `percent` from 0 to 100; 0 for an empty histogram. */
double obs_histogram_percentile(const struct obs_histogram *h, double percent);

/* A version byte, the sum, and for each bucket that is not empty the number of empty ones before it
 * and its count: varints. An empty histogram has 2 bytes. */
void obs_histogram_to_blob(const struct obs_histogram *h, struct buf *out);
/* Adds what the blob holds; on failure (ERR_VALUE) `into` stays as it was. */
int obs_histogram_merge_blob(struct obs_histogram *into, struct span blob,
                             struct err *err) must_check;

#endif

#include "obs/histogram.h"

#include "base/mem.h"

#define BLOB_VERSION 1
#define VARINT_BYTES 10 /* of 64 bits */

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void store(_Atomic uint64_t *counter, uint64_t value) {
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

struct obs_histogram *obs_histogram_new(void) {
    return mem_zalloc(1, sizeof(struct obs_histogram));
}

void obs_histogram_copy(const struct obs_histogram *h, struct obs_histogram *ret) {
    store(&ret->sum, load(&h->sum));
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        store(&ret->buckets[i], load(&h->buckets[i]));
}

void obs_histogram_clear(struct obs_histogram *h) {
    store(&h->sum, 0);
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        store(&h->buckets[i], 0);
}

void obs_histogram_merge(struct obs_histogram *into, const struct obs_histogram *from) {
    store(&into->sum, load(&into->sum) + load(&from->sum));
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        store(&into->buckets[i], load(&into->buckets[i]) + load(&from->buckets[i]));
}

/* Counts only grow: one that is smaller was started anew, and with it all the others. */
static bool is_anew(const struct obs_histogram *now, const struct obs_histogram *before) {
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        if (load(&now->buckets[i]) < load(&before->buckets[i]))
            return true;
    return false;
}

void obs_histogram_since(const struct obs_histogram *now, const struct obs_histogram *before,
                         struct obs_histogram *ret) {
    if (is_anew(now, before)) {
        obs_histogram_copy(now, ret);
        return;
    }
    store(&ret->sum, load(&now->sum) - load(&before->sum));
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        store(&ret->buckets[i], load(&now->buckets[i]) - load(&before->buckets[i]));
}

uint64_t obs_histogram_count(const struct obs_histogram *h) {
    uint64_t count = 0;
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        count += load(&h->buckets[i]);
    return count;
}

uint64_t obs_histogram_sum(const struct obs_histogram *h) {
    return load(&h->sum);
}

double obs_histogram_percentile(const struct obs_histogram *h, double percent) {
    uint64_t total = obs_histogram_count(h);
    if (total == 0)
        return 0;
    /* The nearest rank, from 1: for 100 samples p99 is the 99th. */
    double rank = percent / 100 * (double)total;
    if (rank < 1)
        rank = 1;
    if (rank > (double)total)
        rank = (double)total;
    uint64_t before = 0;
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++) {
        uint64_t here = load(&h->buckets[i]);
        if (here > 0 && (double)(before + here) >= rank) {
            uint64_t lower = obs_histogram_lower(i);
            uint64_t span = obs_histogram_lower(i + 1) - 1 - lower;
            /* Samples are taken to lie evenly: the middle one of them in the middle. */
            double inside = (rank - (double)before - 0.5) / (double)here;
            return (double)lower + (double)span * (inside < 0 ? 0 : inside);
        }
        before += here;
    }
    return (double)OBS_HISTOGRAM_MAX; /* somebody cleared it meanwhile */
}

static void add_varint(struct buf *out, uint64_t v) {
    for (; v >= 0x80; v >>= 7)
        buf_add_char(out, (char)(v | 0x80));
    buf_add_char(out, (char)v);
}

void obs_histogram_to_blob(const struct obs_histogram *h, struct buf *out) {
    uint64_t empty = 0;
    buf_add_char(out, BLOB_VERSION);
    add_varint(out, load(&h->sum));
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = load(&h->buckets[i]);
        if (count == 0) {
            empty++;
            continue;
        }
        add_varint(out, empty);
        add_varint(out, count);
        empty = 0;
    }
}

struct reader {
    const unsigned char *at, *end;
    const char *wrong; /* the first thing */
};

/* In the shortest form only, so that equal histograms are equal blobs. */
static uint64_t read_varint(struct reader *r) {
    uint64_t v = 0;
    for (unsigned i = 0; r->at < r->end; i++) {
        unsigned char byte = *r->at++;
        if (i == VARINT_BYTES - 1 && byte > 1) {
            r->wrong = "a number has more than 64 bits";
            return 0;
        }
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if (byte == 0 && i > 0)
            r->wrong = "a number is longer than it needs to be";
        return v;
    }
    r->wrong = "it ends in the middle";
    return 0;
}

/* What is wrong with it; NULL: nothing. Adds to `into` on the way; NULL: only checks. */
static const char *read_blob(struct span blob, struct obs_histogram *into) {
    struct reader r = {(const unsigned char *)blob.ptr, (const unsigned char *)blob.ptr + blob.len,
                       NULL};
    if (blob.len == 0 || *r.at++ != BLOB_VERSION)
        return "it is of another version";
    uint64_t sum = read_varint(&r), total = 0, next = 0;
    if (into)
        store(&into->sum, load(&into->sum) + sum);
    while (!r.wrong && r.at < r.end) {
        uint64_t empty = read_varint(&r);
        uint64_t count = r.wrong ? 0 : read_varint(&r);
        if (r.wrong)
            break;
        if (empty >= OBS_HISTOGRAM_BUCKETS - next)
            return "it has too many buckets";
        if (count == 0)
            return "it lists an empty bucket";
        if (__builtin_add_overflow(total, count, &total))
            return "it has more samples than can be counted";
        next += empty;
        if (into)
            store(&into->buckets[next], load(&into->buckets[next]) + count);
        next++;
    }
    if (!r.wrong && total == 0 && sum != 0)
        return "it has a sum and no samples";
    return r.wrong;
}

int obs_histogram_merge_blob(struct obs_histogram *into, struct span blob, struct err *err) {
    const char *wrong = read_blob(blob, NULL);
    if (wrong)
        return err_set(err, ERR_VALUE, "a stored histogram of %zu bytes cannot be read: %s",
                       blob.len, wrong);
    (void)read_blob(blob, into);
    return 0;
}

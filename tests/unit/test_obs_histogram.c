/* Histograms: error of percentiles, sums of parts, blobs that read back, adding from threads. */
#include "obs/histogram.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NEW(name) struct obs_histogram *name = obs_histogram_new()

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void buckets_follow_each_other(void **state) {
    (void)state;
    assert_int_equal(obs_histogram_lower(0), 0);
    assert_int_equal(obs_histogram_lower(OBS_HISTOGRAM_BUCKETS), OBS_HISTOGRAM_MAX + 1);
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++) {
        uint64_t lower = obs_histogram_lower(i), upper = obs_histogram_lower(i + 1) - 1;
        assert_true(upper >= lower);
        assert_int_equal(obs_histogram_bucket(lower), i);
        assert_int_equal(obs_histogram_bucket(upper), i);
        assert_true(lower < 128 || (double)(upper - lower) <= (double)lower / 64);
    }
    assert_int_equal(obs_histogram_bucket(UINT64_MAX), OBS_HISTOGRAM_BUCKETS - 1);
}

static void ends_are_held(void **state) {
    (void)state;
    NEW(h);
    assert_int_equal(obs_histogram_count(h), 0);
    assert_true(obs_histogram_percentile(h, 99) == 0);
    obs_histogram_add(h, -5);
    obs_histogram_add(h, INT64_MAX);
    assert_int_equal(obs_histogram_count(h), 2);
    assert_int_equal(obs_histogram_sum(h), OBS_HISTOGRAM_MAX);
    assert_true(obs_histogram_percentile(h, 0) == 0);
    assert_true(obs_histogram_percentile(h, 100) <= (double)OBS_HISTOGRAM_MAX);
    assert_true(obs_histogram_percentile(h, 100) > (double)OBS_HISTOGRAM_MAX * 0.98);
    obs_histogram_free(h);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Against the sorted samples themselves, over six decades and of several shapes. */
static void percentiles_are_near(void **state) {
    (void)state;
    enum { N = 20000 };
    static const double percents[] = {0, 1, 10, 50, 90, 95, 99, 99.9, 100};
    uint64_t random = 42;
    int64_t *samples = mem_zalloc(N, sizeof *samples);
    for (int shape = 0; shape < 3; shape++) {
        NEW(h);
        uint64_t sum = 0;
        for (int i = 0; i < N; i++) {
            uint64_t r = next_random(&random);
            samples[i] = shape == 0   ? (int64_t)(r % 1000000)
                         : shape == 1 ? (int64_t)(r >> (24 + r % 39))
                                      : (int64_t)(i % 100 == 0 ? 5000000 : 1200 + r % 50);
            if (samples[i] > OBS_HISTOGRAM_MAX)
                samples[i] = OBS_HISTOGRAM_MAX;
            sum += (uint64_t)samples[i];
            obs_histogram_add(h, samples[i]);
        }
        qsort(samples, N, sizeof *samples, by_value);
        for (size_t p = 0; p < sizeof percents / sizeof *percents; p++) {
            double rank = percents[p] / 100 * N;
            size_t at = rank <= 1 ? 0 : (size_t)(rank + 0.999999) - 1;
            double want = (double)samples[at], got = obs_histogram_percentile(h, percents[p]);
            double error = got > want ? got - want : want - got;
            if (error > want * 0.016)
                fail_msg("shape %d, p%g: %g instead of %g", shape, percents[p], got, want);
        }
        assert_int_equal(obs_histogram_count(h), N);
        assert_int_equal(obs_histogram_sum(h), sum);
        obs_histogram_free(h);
    }
    free(samples);
}

/* Inside one wide bucket: samples that lie evenly are found where they are. */
static void percentiles_are_interpolated(void **state) {
    (void)state;
    const int64_t lower = INT64_C(1) << 30, width = INT64_C(1) << 24;
    NEW(h);
    for (int64_t i = 0; i < 1000; i++)
        obs_histogram_add(h, lower + width * i / 1000);
    for (int percent = 5; percent <= 95; percent += 15) {
        double off = obs_histogram_percentile(h, percent) - (double)lower;
        assert_true(off > (double)width * (percent - 1) / 100);
        assert_true(off < (double)width * (percent + 1) / 100);
    }
    obs_histogram_free(h);
}

static void same(const struct obs_histogram *a, const struct obs_histogram *b) {
    assert_int_equal(obs_histogram_sum(a), obs_histogram_sum(b));
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        assert_int_equal(a->buckets[i], b->buckets[i]);
}

static void parts_add_up(void **state) {
    (void)state;
    NEW(whole);
    NEW(one);
    NEW(two);
    NEW(before);
    NEW(since);
    uint64_t random = 7;
    for (int i = 0; i < 5000; i++) {
        int64_t v = (int64_t)(next_random(&random) >> 30);
        obs_histogram_add(whole, v);
        obs_histogram_add(i % 3 ? one : two, v);
        if (i == 2000)
            obs_histogram_copy(one, before);
    }
    obs_histogram_since(one, before, since);
    obs_histogram_merge(before, since);
    same(before, one);
    obs_histogram_merge(one, two);
    same(one, whole);
    obs_histogram_since(two, whole, since); /* smaller: it was started anew */
    same(since, two);
    obs_histogram_clear(one);
    assert_int_equal(obs_histogram_count(one), 0);
    obs_histogram_free(whole);
    obs_histogram_free(one);
    obs_histogram_free(two);
    obs_histogram_free(before);
    obs_histogram_free(since);
}

static void blobs_read_back(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf blob = {.max = OBS_HISTOGRAM_BLOB_MAX};
    struct err err = {0};
    NEW(h);
    NEW(back);
    obs_histogram_to_blob(h, &blob);
    assert_int_equal(blob.len, 2);
    assert_int_equal(obs_histogram_merge_blob(back, buf_span(&blob), &err), 0);
    same(h, back);
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i += 1 + i / 50)
        obs_histogram_add_many(h, (int64_t)obs_histogram_lower(i), 1 + (uint64_t)i * i * i);
    buf_clear(&blob);
    obs_histogram_to_blob(h, &blob);
    assert_int_equal(obs_histogram_merge_blob(back, buf_span(&blob), &err), 0);
    same(h, back);
    assert_int_equal(obs_histogram_merge_blob(back, buf_span(&blob), &err), 0);
    obs_histogram_merge(h, h);
    same(h, back);
    obs_histogram_free(h);
    obs_histogram_free(back);
}

/* The longest there can be: every bucket with the largest number its varint can have. */
static void the_longest_blob_fits(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf blob = {.max = OBS_HISTOGRAM_BLOB_MAX};
    NEW(h);
    for (unsigned i = 0; i < OBS_HISTOGRAM_BUCKETS; i++)
        h->buckets[i] = UINT64_MAX;
    h->sum = UINT64_MAX;
    obs_histogram_to_blob(h, &blob);
    assert_true(buf_ok(&blob));
    obs_histogram_free(h);
}

static void wrong_blobs_are_refused(void **state) {
    (void)state;
    static const struct {
        struct span blob;
        const char *why;
    } wrong[] = {
        {SPAN_LIT(""), "another version"},
        {SPAN_LIT("\x02\x00"), "another version"},
        {SPAN_LIT("\x01"), "ends in the middle"},
        {SPAN_LIT("\x01\x80"), "ends in the middle"},
        {SPAN_LIT("\x01\x05\x00"), "ends in the middle"},
        {SPAN_LIT("\x01\x05"), "a sum and no samples"},
        {SPAN_LIT("\x01\x05\x00\x00"), "an empty bucket"},
        {SPAN_LIT("\x01\x80\x00"), "longer than it needs"},
        {SPAN_LIT("\x01\x05\x80\x80\x80\x01\x01"), "too many buckets"},
        {SPAN_LIT("\x01\x05\xbf\x11\x01\x00\x01\x00\x01"), "too many buckets"},
        {SPAN_LIT("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "64 bits"},
        {SPAN_LIT("\x01\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01"),
         "more samples than can be counted"},
    };
    NEW(h);
    NEW(before);
    obs_histogram_add(h, 77);
    obs_histogram_copy(h, before);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err err = {0};
        assert_int_equal(obs_histogram_merge_blob(h, wrong[i].blob, &err), ERR_VALUE);
        if (!strstr(err.text, wrong[i].why))
            fail_msg("blob %zu: %s", i, err.text);
        same(h, before);
    }
    obs_histogram_free(h);
    obs_histogram_free(before);
}

enum { THREADS = 4, ADDS = 200000 };

static void *add_many_times(void *h) {
    for (int i = 0; i < ADDS; i++)
        obs_histogram_add(h, i & 1023);
    return NULL;
}

static void threads_lose_nothing(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    NEW(h);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many_times, h), 0);
    uint64_t last = 0;
    for (int i = 0; i < 50; i++) {
        uint64_t n = obs_histogram_count(h);
        assert_true(n >= last);
        last = n;
    }
    uint64_t each = 0;
    for (int i = 0; i < ADDS; i++)
        each += (uint64_t)(i & 1023);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(obs_histogram_count(h), THREADS * ADDS);
    assert_int_equal(obs_histogram_sum(h), THREADS * each);
    obs_histogram_free(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_each_other),    cmocka_unit_test(ends_are_held),
        cmocka_unit_test(percentiles_are_near),         cmocka_unit_test(parts_add_up),
        cmocka_unit_test(percentiles_are_interpolated), cmocka_unit_test(blobs_read_back),
        cmocka_unit_test(the_longest_blob_fits),        cmocka_unit_test(wrong_blobs_are_refused),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests_name("obs_histogram", tests, NULL, NULL);
}

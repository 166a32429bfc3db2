/*
 * What one sample costs: nanoseconds of obs_histogram_add, alone and with a second thread on the
 * same histogram, and of a scrape's read. `banyan-bench-histogram`; no arguments.
 */
#include "obs/histogram.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>

#define SAMPLES 20000000

struct work {
    struct obs_histogram *histogram; /* NULL: the loop alone */
    uint64_t sum;
};

/* Values over the whole range, so that buckets are all over the memory. */
static void *add(void *argument) {
    struct work *w = argument;
    uint64_t r = 88172645463325252;
    for (int i = 0; i < SAMPLES; i++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        if (w->histogram)
            obs_histogram_add(w->histogram, (int64_t)(r >> 44));
        else
            w->sum += r >> 44;
    }
    return NULL;
}

static double ns_each(struct work *w, int threads) {
    pthread_t made[8];
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&made[i], NULL, add, w) != 0)
            return -1;
    for (int i = 0; i < threads; i++)
        pthread_join(made[i], NULL);
    return (double)(clock_mono_us() - start_us) * 1000 / SAMPLES;
}

int main(void) {
    struct work alone = {0}, one = {.histogram = obs_histogram_new()};
    double loop = ns_each(&alone, 1), single = ns_each(&one, 1), both = ns_each(&one, 2);
    int64_t start_us = clock_mono_us();
    double p99 = 0;
    for (int i = 0; i < 1000; i++)
        p99 += obs_histogram_percentile(one.histogram, 99);
    printf(
        "histogram: add %.1f ns (loop %.1f ns left out), %.1f ns with a second thread on the same "
        "one, percentile %.1f us (p99 %.0f)\n",
        single - loop, loop, both - loop, (double)(clock_mono_us() - start_us) / 1000,
        p99 / 1000 + (double)(alone.sum & 0));
    obs_histogram_free(one.histogram);
    return 0;
}

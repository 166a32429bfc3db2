/*
 * What a number of compared calls says about all calls: a rate with its confidence, and a verdict.
 *
 * Calls count with the weight that they were sampled with. Noise is what SQL differs from itself.
 * The interval is Wilson's (95 %) on as many calls as the weighted ones are worth (Kish: the square
 * of the sum of weights by the sum of their squares). fail: all of it is over the threshold; pass:
 * none of it is; else, and below the minimum of calls, inconclusive. Pure.
 */
#ifndef BANYAN_PARALLEL_VERDICT_H
#define BANYAN_PARALLEL_VERDICT_H

#include "obs/alerts.h"

#define VERDICT_SAMPLES_MIN 100

struct verdict_counts {
    int64_t compared, real;         /* calls */
    double weight, weight_real;     /* what they stand for */
    double weight_squares;          /* sum of squares of the weights of those compared */
    int64_t noise_runs, noise_hits; /* SQL twice, and the two differed */
};

struct verdict {
    enum obs_verdict verdict;
    double rate;                  /* of real divergences, weighted, 0 to 1 */
    double noise;                 /* 0 to 1 */
    double net;                   /* rate without noise, at least 0 */
    struct obs_interval interval; /* of net */
};

const char *verdict_name(enum obs_verdict verdict); /* "pass", "fail", "inconclusive" */
/* `over` from 0 to 1. */
struct verdict verdict_of(const struct verdict_counts *c, double over, int64_t samples_min);

#endif

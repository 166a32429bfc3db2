#include "parallel/verdict.h"

#include <math.h>

const char *verdict_name(enum obs_verdict verdict) {
    switch (verdict) {
    case OBS_PASS:
        return "pass";
    case OBS_FAIL:
        return "fail";
    case OBS_INCONCLUSIVE:
        return "inconclusive";
    }
    return "?";
}

static double share(double part, double all) {
    return all > 0 ? part / all : 0;
}

/* As many equal calls as the weighted ones are worth. */
static double worth(const struct verdict_counts *c) {
    double n = c->weight_squares > 0 ? c->weight * c->weight / c->weight_squares : 0;
    return n < (double)c->compared ? n : (double)c->compared;
}

static double less_noise(double rate, double noise) {
    return rate > noise ? rate - noise : 0;
}

struct verdict verdict_of(const struct verdict_counts *c, double over, int64_t samples_min) {
    struct verdict v = {.verdict = OBS_INCONCLUSIVE,
                        .rate = share(c->weight_real, c->weight),
                        .noise = share((double)c->noise_hits, (double)c->noise_runs)};
    uint64_t n = (uint64_t)llround(worth(c));
    uint64_t bad = (uint64_t)llround(v.rate * (double)n);
    struct obs_interval i = obs_wilson(bad > n ? n : bad, n);
    v.net = less_noise(v.rate, v.noise);
    v.interval = (struct obs_interval){less_noise(i.low, v.noise), less_noise(i.high, v.noise)};
    if (c->compared < samples_min || c->compared == 0)
        return v;
    if (v.interval.low > over)
        v.verdict = OBS_FAIL;
    else if (v.interval.high <= over)
        v.verdict = OBS_PASS;
    return v;
}

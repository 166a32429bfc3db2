/*
 * What is counted of one route or operation. Any thread adds; one keeps.
 *
 * Totals since the start, for metrics; what came since it was last kept goes into the rollups of
 * the state. Kinds of rollups: route, operation (calls that a client waited for, by side; on
 * MongoDB's row what comparing them has shown), shadow (calls of the parallel run, by side),
 * explained (by rule), not_compared (by reason), noise (SQL against itself: count and real), weight
 * (sums that make rates of samples: see tally_rows).
 */
#ifndef BANYAN_PARALLEL_TALLY_H
#define BANYAN_PARALLEL_TALLY_H

#include "compare/compare.h"
#include "obs/histogram.h"
#include "obs/metrics.h"
#include "parallel/reason.h"
#include "route/frame.h"
#include "state/state.h"

#define TALLY_ROWS_MAX (6 + COMPARE_RULE_COUNT + PARALLEL_REASON_COUNT) /* of one tally */
#define TALLY_WEIGHT 1000 /* what 1 is in the rollups */

enum tally_count {
    TALLY_CALLS, /* and one more: of MongoDB; so the next ones too */
    TALLY_ERRORS = TALLY_CALLS + 2,
    TALLY_RESCUED = TALLY_ERRORS + 2,
    TALLY_SHADOW_CALLS = TALLY_RESCUED + 2,
    TALLY_SHADOW_ERRORS = TALLY_SHADOW_CALLS + 2,
    TALLY_COMPARED = TALLY_SHADOW_ERRORS + 2,
    TALLY_REAL,
    TALLY_LAG,
    TALLY_UNSETTLED,
    TALLY_NOISE_RUNS,
    TALLY_NOISE_HITS,
    TALLY_WEIGHT_COMPARED, /* by TALLY_WEIGHT */
    TALLY_WEIGHT_REAL,
    TALLY_WEIGHT_SQUARES,                                       /* whole */
    TALLY_EXPLAINED,                                            /* and one for each rule */
    TALLY_NOT_COMPARED = TALLY_EXPLAINED + COMPARE_RULE_COUNT,  /* and one for each reason */
    TALLY_DROPPED = TALLY_NOT_COMPARED + PARALLEL_REASON_COUNT, /* by the gateway, by reason */
    TALLY_PINNED = TALLY_DROPPED + FRAME_DROP_COUNT,            /* reads kept from MongoDB */
    TALLY_PINS_ENDED,
    TALLY_SPARED,
    TALLY_COUNT
};

struct tally {
    _Atomic uint64_t n[TALLY_COUNT];
    struct obs_histogram calls_us[2], shadow_us[2]; /* by side */
    struct tally_kept {
        uint64_t n[TALLY_COUNT], now[TALLY_COUNT];
        struct obs_histogram calls_us[2], shadow_us[2];
        struct obs_histogram since[4]; /* of the rows that were handed out */
        bool handed_out[4];
    } kept;
};

static inline void tally_add(struct tally *t, int count, uint64_t n) {
    atomic_fetch_add_explicit(&t->n[count], n, memory_order_relaxed);
}
static inline uint64_t tally_get(const struct tally *t, int count) {
    return atomic_load_explicit(&t->n[count], memory_order_relaxed);
}

/* What the gateway counted of the route. False: without its latencies, which cannot be read. */
bool tally_gateway(struct tally *t, const struct frame_statistics *f);

/* Metrics of what the gateway alone counts. */
void tally_sample_gateway(const struct tally *t, struct obs_page *page, const char *module,
                          const char *route);

/* The name of a route in the state: its prefix, cut where it is too long. `ret`: STATE_NAME_MAX. */
void tally_name(const char *prefix, char *ret);

/* A call of the parallel run. */
void tally_shadow(struct tally *t, enum route_side side, bool failed, int64_t took_us);

/* Of a comparison: weight in millionths. */
void tally_compared(struct tally *t, uint64_t weight);
void tally_real(struct tally *t, uint64_t weight);

/* Rows of what came since it was kept, at most TALLY_ROWS_MAX; borrowed until the next call.
 * `kind` is route or operation. */
size_t tally_rows(struct tally *t, const char *module, const char *kind, const char *name,
                  int64_t minute, struct state_rollup *rows);
/* The rows are stored. */
void tally_keep(struct tally *t);

#endif

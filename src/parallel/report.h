/*
 * The report of the parallel run (the reference's getDivergenceReport): what a time has shown, by
 * module and by route or operation, from the rollups in the state; no daemon is needed.
 *
 * Rates are of compared calls, with the weights that they were sampled with (verdict.h). How fast a
 * side is comes from the calls that clients waited for and from those of the parallel run together.
 */
#ifndef BANYAN_PARALLEL_REPORT_H
#define BANYAN_PARALLEL_REPORT_H

#include "base/json_write.h"
#include "compare/compare.h"
#include "conf/conf.h"
#include "parallel/reason.h"
#include "parallel/verdict.h"
#include "state/state.h"

#define REPORT_RANGE_MAX (30 * 24 * 60) /* minutes: what is kept */
#define REPORT_TOP 10

enum report_coverage {
    REPORT_NEVER,          /* not called */
    REPORT_NOT_SAMPLED,    /* called, but never asked of the other side */
    REPORT_NOT_COMPARABLE, /* asked, but never compared */
    REPORT_COMPARED
};
const char *report_coverage_name(enum report_coverage coverage);

struct report_side {
    int64_t calls, errors; /* of clients */
    int64_t shadow, shadow_errors;
    struct obs_histogram *took_us; /* of both; NULL: none */
};

/* A route or operation; of a module the sums of its own. */
struct report_entry {
    char module[STATE_NAME_MAX], name[STATE_NAME_MAX];
    char kind[16]; /* route, operation; module */
    struct report_side sides[2];
    int64_t rescued;
    struct verdict_counts counts;
    int64_t lag, unsettled, not_compared;
    int64_t by_rule[COMPARE_RULE_COUNT], by_reason[PARALLEL_REASON_COUNT];
    enum report_coverage coverage;
    struct verdict verdict;
};

struct report {
    int64_t from, until; /* minutes since 1970 */
    struct report_entry *entries;
    size_t count;
    struct report_entry *modules;
    size_t module_count;
    struct report_entry all;
};

/* "5m", "1h", "7d": minutes. ERR_USAGE. */
int report_range(const char *text, int64_t *ret_minutes, struct err *err) must_check;

/* The `minutes` before and with `now` (a minute since 1970). What the configuration has and nobody
 * called is there too. */
int report_make(const struct conf *conf, struct state *state, int64_t minutes, int64_t now,
                struct report *ret, struct err *err) must_check;
void report_release(struct report *r);

/* Mean in microseconds; 0: no call. */
double report_mean(const struct report_side *s);
/* How much faster MongoDB is than SQL, in percent of SQL; false: not known. */
bool report_improvement(const struct report_entry *e, double *ret_percent);
/* The worst first, at most `max`: indexes of entries with a divergence. */
size_t report_top(const struct report *r, size_t *ret, size_t max);

void report_json(const struct report *r, struct buf *out);
void report_text(const struct report *r, struct buf *out);

#endif

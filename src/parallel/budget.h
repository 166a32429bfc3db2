/*
 * What the parallel run may cost the other side: calls a second, calls at one time, and none for a
 * while after too many have failed.
 *
 *   closed --(half of the last 20 calls failed)--> open --(5 s)--> one call is tried
 *     ^                                             ^                |          |
 *     +----------------(it answers)-----------------|----------------+          |
 *                                                   +------(it fails)-----------+
 *
 * Samples and re-checks share it, and neither starves the other. Of the places, samples leave a
 * quarter to re-checks, which take free ones up to half. Of the rate, re-checks get up to a quarter
 * and samples what these leave. Who may make one call at a time has no part to give away.
 *
 * Pure; the caller locks. Times are monotonic microseconds.
 */
#ifndef BANYAN_PARALLEL_BUDGET_H
#define BANYAN_PARALLEL_BUDGET_H

#include "parallel/reason.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_OF 20
#define BREAKER_OPEN_US INT64_C(5000000)

#define BUDGET_RECHECKS 4 /* one of so many calls */

enum budget_for { BUDGET_SAMPLE, BUDGET_RECHECK };

struct budget {
    int per_second, concurrent; /* 0 a second: none at all */
    int64_t even_us;            /* the time at which the calls made are within per_second ... */
    int64_t even_recheck_us;    /* ... and those of re-checks within their part */
    int under_way[2];           /* by budget_for */
};

struct breaker {
    uint32_t failures; /* of the last calls, a bit each */
    int seen;          /* calls that the bits tell of */
    int64_t open_until_us;
    bool open, trying;
};

/* Whether a call may be made now; COMPARABLE: yes, and it is counted as under way until
 * budget_end. Bursts of up to a tenth of a second's calls, at least one, are let through. */
enum parallel_reason budget_begin(struct budget *l, struct breaker *b, enum budget_for what,
                                  int64_t now_us);
/* Whether there is a place for one more. */
bool budget_has_place(const struct budget *l, enum budget_for what);
void budget_end(struct budget *l, struct breaker *b, enum budget_for what, bool failed,
                int64_t now_us);

#endif

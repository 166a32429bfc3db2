/*
 * The re-check of a mismatch: was MongoDB only behind? Pure.
 *
 * Read SQL (S1), note the log's position P, wait until P is applied, read the other side (M), read
 * SQL again (S2). M equals S1 or S2: lag. S1 = S2, and M is another: real. Else SQL changed under
 * us, or somebody did not answer: again, later and later, at most RECHECK_ATTEMPTS times, then
 * unsettled.
 *
 *   READ_FIRST --(S1, P)--> WAIT --(applied >= P)--> READ_OTHER --(M)--> READ_SECOND
 *     ^     |                 |                          |                  |    |
 *     |     +------(no answer, or P not applied in time)-+------------------+    |
 *     |                       v                                                  v
 *     +--(backoff)-- again, or after the last attempt DONE: unsettled       DONE: lag, real
 *
 * What the budget refuses is tried again without counting as an attempt, within RECHECK_LIFE_US.
 * A side that says 401 or 403 ends it at once: the caller's credentials are no longer valid, so
 * nothing can be said. Owner: one thread at a time. Times are monotonic microseconds.
 */
#ifndef BANYAN_PARALLEL_RECHECK_H
#define BANYAN_PARALLEL_RECHECK_H

#include "base/backoff.h"

#include <stdbool.h>
#include <stdint.h>

#define RECHECK_ATTEMPTS 5
#define RECHECK_WAIT_US INT64_C(10000000) /* for P, in each attempt */
#define RECHECK_LIFE_US INT64_C(60000000) /* of the request's headers in memory: then unsettled */
#define RECHECK_FIRST_US INT64_C(100000)  /* the shortest backoff, the longest: */
#define RECHECK_LAST_US INT64_C(3000000)

enum recheck_step {
    RECHECK_READ_FIRST,
    RECHECK_WAIT,
    RECHECK_READ_OTHER,
    RECHECK_READ_SECOND,
    RECHECK_DONE
};
enum recheck_verdict { RECHECK_UNSETTLED, RECHECK_LAG, RECHECK_REAL };

struct recheck {
    enum recheck_step step;
    enum recheck_verdict verdict; /* RECHECK_DONE */
    int attempt;                  /* from 1 */
    int64_t due_us;               /* nothing is to be done before */
    int64_t position;             /* P */
    int64_t wait_until_us;        /* RECHECK_WAIT */
    int64_t born_us;
    struct backoff backoff;
};

void recheck_init(struct recheck *r, int64_t now_us, uint64_t seed);

/* True: the request's headers have lived long enough, so that nothing may be asked any more; it
 * ends unsettled. */
bool recheck_expire(struct recheck *r, int64_t now_us);

/* What came of a step. An answer can also be none, or one that forbids; NOT_NOW: nobody was asked,
 * the budget does not allow it yet, and the step is taken a little later. */
enum recheck_answer { RECHECK_ANSWERED, RECHECK_NO_ANSWER, RECHECK_FORBIDDEN, RECHECK_NOT_NOW };

/* Of RECHECK_READ_FIRST, with the position noted after it. */
void recheck_first(struct recheck *r, enum recheck_answer answer, int64_t position, int64_t now_us);
/* Of RECHECK_WAIT: the position up to which everything is applied; looked at again a little later.
 */
void recheck_applied(struct recheck *r, int64_t applied, int64_t now_us);
/* Of RECHECK_READ_OTHER. */
void recheck_other(struct recheck *r, enum recheck_answer answer, int64_t now_us);
/* Of RECHECK_READ_SECOND: which of the three are equal. */
struct recheck_equal {
    bool first_other, second_other, first_second;
};
void recheck_second(struct recheck *r, enum recheck_answer answer,
                    const struct recheck_equal *equal, int64_t now_us);

#endif

/*
 * The parallel run: a sample of the reads that one side has answered is asked of the other as well,
 * and the answers are compared.
 *
 *   nginx's workers --frames--> listener --samples--> workers: ask the other side, compare
 *                                  |                      | different
 *                                  | statistics           v
 *                                  |                  settlers: was it only lag? (recheck.h)
 *                                  v                      | real
 *                               tallies <-----------------+--> writer: rollups, divergences
 *
 * Everything is bounded: what the workers cannot take is dropped and counted, what the other side
 * may be asked has a budget and a breaker (budget.h). Nobody who was answered ever waits for this.
 *
 * Threads: with a gateway one listener; with routes two to four workers, each with many samples
 * under way; PARALLEL_SETTLERS settlers, one writer, one that reads the mapping until it is known,
 * and where divergences are copied into the target, one for that. Calls of operations are compared
 * in the threads which operations have for samples. A struct parallel may be used by any thread.
 */
#ifndef BANYAN_PARALLEL_PARALLEL_H
#define BANYAN_PARALLEL_PARALLEL_H

#include "conf/conf.h"
#include "obs/metrics.h"
#include "operation/operation.h"
#include "route/decide.h"
#include "state/state.h"

#define PARALLEL_QUEUE_MAX 2000                 /* samples that wait for a worker ... */
#define PARALLEL_QUEUE_BYTES ((size_t)64 << 20) /* ... and their bytes */
#define PARALLEL_SETTLERS 4
#define PARALLEL_SETTLING_MAX 1000                 /* re-checks that wait ... */
#define PARALLEL_SETTLING_BYTES ((size_t)64 << 20) /* ... and their bytes */
#define PARALLEL_SETTLED_A_SECOND 50               /* re-checks that are begun */
#define PARALLEL_NOISE 100                         /* one of so many compared reads runs twice */
#define PARALLEL_DEADLINE_US INT64_C(5000000)      /* for an answer of the other side */
#define PARALLEL_FLUSH_US INT64_C(5000000)         /* how old counters may be in the state */

/* How far the source has come, and what of it is applied: numbers that only grow. Any thread. */
struct parallel_log {
    /* What was committed until now lies before it. Negative: it cannot be found out. */
    int64_t (*position)(void *context, const char *module);
    /* All before it is in MongoDB; looked at again and again by those who wait. 0: not known. */
    int64_t (*applied)(void *context, const char *module);
};

struct parallel_config {
    const struct conf *conf;
    struct state *state;
    const char *socket_path; /* nginx's workers connect to it; NULL: no gateway */
    struct parallel_log log;
    /* New divergences of the module are in the state; must return soon. NULL: nobody asks. */
    void (*changed)(void *context, const char *module);
    void *context;
};

struct parallel;

int parallel_start(const struct parallel_config *config, struct parallel **ret_parallel,
                   struct err *err) must_check;
/*
 * Who watches operations, and the set that is asked again: the observer is given to operations_new,
 * the set to parallel_operations before the first call. At the end: parallel_stop, then
 * operations_free, then parallel_free.
 */
struct operation_observer parallel_observer(struct parallel *p);
void parallel_operations(struct parallel *p, struct operations *operations);

/* Ends what asks. What is told of operations afterwards is counted. NULL is fine. */
void parallel_stop(struct parallel *p);
/* What was counted is in the state afterwards. NULL is fine. */
void parallel_free(struct parallel *p);

void parallel_sample_metrics(struct parallel *p, struct obs_page *page);

#endif

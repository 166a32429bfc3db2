/*
 * What the files of one running pipeline share. Private to pipeline/.
 *
 * Threads: main is the receiver (setup, snapshot progress, stream); lanes, resolver and snapshot
 * workers are threads that talk to it through queues, atomics and the functions of control.c.
 */
#ifndef BANYAN_PIPELINE_RUN_H
#define BANYAN_PIPELINE_RUN_H

#include "apply/lane.h"
#include "base/backoff.h"
#include "base/rate.h"
#include "db/mongo.h"
#include "db/pg.h"
#include "map/plan.h"
#include "pipeline/fanouts.h"
#include "pipeline/indexes.h"
#include "pipeline/ledger.h"
#include "pipeline/parked.h"
#include "pipeline/pipeline.h"
#include "pipeline/resolver.h"
#include "source/repl.h"

#include <pthread.h>
#include <stdatomic.h>

/* Batches between the receiver and a lane, or the resolver: enough to keep them busy. */
#define QUEUE_ITEMS 64

/* A collection while the pipeline runs; its durable twin is in the state. */
struct collection_run {
    _Atomic int phase;      /* enum state_phase */
    _Atomic int64_t copied; /* documents of the snapshot, in this run */
    /* main only: */
    lsn_t catch_up_lsn;
    struct state_fanout_mark fanouts; /* those from before catch_up_lsn */
};

struct run {
    const struct conf *conf;
    struct state *state;
    const struct pipeline_options *options;
    const char *name; /* of the pipeline: module or "all" */
    char *slot, *publication;
    char *app_prefix; /* application names of the pipeline's connections begin with this */
    char *index_app;  /* but this one: a build of an index is not a write that must be over */

    struct pg_catalog *catalog;
    struct plan *plan;
    struct collection_run *collections; /* as plan->collections */
    struct pg *pg;                      /* main's session to the source */
    struct mongo *mongo;                /* main's connection to the target */
    struct rate *rate;                  /* of writes: own_rate, or the caller's */
    struct rate own_rate;               /* target.writes_per_second */
    struct rate *read_rate;             /* of rows that copies read: as above */
    struct rate own_read_rate;          /* source.snapshot.rows_per_second */

    struct queue *lane_queues[LEDGER_LANES_MAX];
    struct lane *lanes[LEDGER_LANES_MAX];
    char *lane_apps[LEDGER_LANES_MAX];
    size_t lane_count;
    struct queue *resolver_queue;
    char *resolver_app;
    struct resolver *resolver;
    struct fanouts *fanouts;
    struct parked *parked;
    struct indexes *indexes;

    int wake_fd;          /* eventfd: something is finished or failed */
    pthread_mutex_t lock; /* failure, index_failure */
    struct err failure;   /* code 0: none */
    struct err index_failure;
    lsn_t confirmed; /* main only: checkpointed */
    lsn_t routed;    /* main only: just behind the last commit of which any change was given on */
    char *running;   /* main only: transactions that ran when slot and publication were made */

    /* frozen.h; set and cleared by main, with no worker running: */
    char *frozen; /* name of the one snapshot that chunks read; NULL: each reads one of its own */
    struct repl *slot_session; /* exported it; NULL: main's session did */
};

/* ---- control.c: phases, failures, waking. Any thread unless said otherwise. ---- */

bool control_is_stopped(void *context, size_t collection);
bool control_is_caught_up(void *context, size_t collection);
int control_stop_collection(void *context, size_t collection, lsn_t lsn, const char *reason,
                            struct err *err) must_check;
int control_refused(void *context, const struct lane_refusal *refusal, struct err *err) must_check;
bool control_is_parked(void *context, size_t collection, struct span identity);
int control_written(void *context, size_t collection, struct span identity,
                    struct err *err) must_check;
int control_emptied(void *context, size_t collection, struct err *err) must_check;
void control_wake(void *context);
void control_clear_wake(const struct run *run); /* @thread main */
void control_failed(void *context, const struct err *failure);
/* Whether every lane has finished its ticket. */
bool control_lanes_passed(void *context, const uint64_t *tickets);
/* The failure of a thread, if there is one. */
int control_check(void *context, struct err *err) must_check;
/* Moves the collection to another phase, in the state and here; one that is stopped stays so. */
int control_set_phase(struct run *run, size_t collection, int phase, lsn_t catch_up_lsn,
                      struct err *err) must_check;

typedef int (*control_step)(struct run *run, void *context, struct err *err);
/* Runs `step` on main's session to the source; a session that is lost is opened again, with
 * backoff, until the step is done or we are asked to stop. @thread main */
int control_on_source(struct run *run, control_step step, void *context,
                      struct err *err) must_check;

/* ---- setup.c: @thread main ---- */

int setup_plan(struct run *run, struct err *err) must_check;
int setup_source(struct run *run, struct err *err) must_check;
int setup_target(struct run *run, struct err *err) must_check;
/* Empties every collection that is half copied, so that its copy begins anew. */
int setup_copy_anew(struct run *run, const char *why, struct err *err) must_check;

/* ---- snapshot.c: @thread main ---- */

/* Copies every collection that is not copied yet; returns when all chunks are acknowledged. */
int snapshot_run(struct run *run, struct err *err) must_check;

/* ---- stream.c: @thread main ---- */

/* Streams until asked to stop, or (until != 0) until the ledger has passed that position. */
int stream_run(struct run *run, lsn_t until, struct err *err) must_check;

#endif

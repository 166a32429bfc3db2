/*
 * One pipeline: a slot, a publication and a state; everything between the source and the target.
 *
 * pipeline_run does what `banyan run` promises: makes what is missing (slot, publication,
 * collections, indexes), copies what is not copied yet, then streams until it is asked to stop.
 * @thread main
 */
#ifndef BANYAN_PIPELINE_PIPELINE_H
#define BANYAN_PIPELINE_PIPELINE_H

#include "apply/live.h"
#include "base/err.h"
#include "base/rate.h"
#include "conf/conf.h"
#include "pipeline/applied.h"
#include "state/state.h"

#include <stdbool.h>
#include <stdint.h>

enum pipeline_stage { PIPELINE_WAITING, PIPELINE_COPYING, PIPELINE_STREAMING };

/* What a progress line says. Borrowed until the callback returns. */
struct pipeline_progress {
    enum pipeline_stage stage;
    const char *waiting_for;    /* PIPELINE_WAITING */
    int64_t documents_copied;   /* in this run */
    int64_t documents_expected; /* of the snapshot; -1: unknown */
    int64_t changes;            /* received from the log in this run */
    int64_t applied;            /* of these, acknowledged by the target */
    int64_t written, deleted, refreshed;
    int64_t lag_bytes;          /* received but not confirmed, and not received yet */
    int64_t lag_us;             /* age of the newest commit received; 0 when idle */
    uint64_t confirmed;         /* lsn */
    int64_t retries;            /* of writes, in this run */
    int64_t queued, queue_room; /* batches that wait for lanes, and how many can */
    bool catching_up;           /* some collection may still hold values older than its rows */
};
typedef void (*pipeline_progress_fn)(void *context, const struct pipeline_progress *progress);

struct pipeline_options {
    const char *module; /* "all": every module over one slot */
    bool catch_up;
    bool snapshot_only;
    bool repair_only;   /* for requests: nothing is copied that was not, nothing is made */
    const char *recopy; /* collection name, "all", or NULL */
    /* Limits of writes and of rows read by copies, which their owner may change; NULL: as
     * configured. */
    struct rate *write_rate, *read_rate;
    struct apply_live *live; /* NULL: nobody looks */
    struct applied *applied; /* NULL: nobody waits */
    pipeline_progress_fn progress;
    void *progress_context;
};

/* 0: stopped in good order, or caught up. ERR_NO: ended, but a collection is stopped (or an index
 * could not be built): the text says which. Retries what may pass until it is asked to stop. */
int pipeline_run(const struct conf *conf, struct state *state,
                 const struct pipeline_options *options, struct err *err) must_check;

/* Name of the slot and the publication when the configuration names none: banyan_<database> for
 * "all", banyan_<database>_<module> else; what a slot name cannot hold becomes "_". */
void pipeline_default_slot(struct buf *out, const char *database, const char *module);

#endif

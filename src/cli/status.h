/*
 * What `banyan status` knows, gathered once, then shown as text or as JSON. Private to cli/.
 */
#ifndef BANYAN_CLI_STATUS_H
#define BANYAN_CLI_STATUS_H

#include "base/buf.h"
#include "state/edge.h"
#include "state/lock.h"
#include "state/state.h"

struct status_collection {
    struct state_collection stored;
    struct state_fanouts_left fanouts;
    int64_t estimated; /* rows of its root table by the source's statistics; -1: unknown */
};

struct status_pipeline {
    struct state_pipeline stored;
    bool running;
    char holder[STATE_HOLDER_MAX];
    int64_t requests; /* of other commands, which wait for the run */
    struct status_collection *collections;
    size_t collection_count;
};

struct status {
    const char *state_path;
    bool reachable; /* the source answered */
    char problem[ERR_TEXT_MAX];
    char system_id[32];
    lsn_t source_end;
    int64_t now_us;
    int64_t parked, waiting;  /* all; those that wait for a person and not for the run's next try */
    struct state_edge *edges; /* that have ever asked */
    size_t edge_count;
    struct status_pipeline *pipelines;
    size_t pipeline_count;
    const char **not_started; /* modules of the configuration; borrowed names */
    size_t not_started_count;
};

/* Log between the checkpoint and the source's end; -1 when that is not known, or is of another
 * cluster. */
int64_t status_lag(const struct status *s, const struct state_pipeline *p);

/* What to do about a collection that is stopped. */
void status_next_step(const struct state_collection *c, struct buf *out);

/* Lines of what needs attention, or one JSON object; returns how many. */
int64_t status_health(const struct status *s, bool json, struct buf *out);

void status_text(const struct status *s, struct buf *out);
void status_json(const struct status *s, struct buf *out);

#endif

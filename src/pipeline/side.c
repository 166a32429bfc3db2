/* What the receiver does beside receiving: progress, heartbeats, requests, who waits for it. */
#include "base/clock.h"
#include "base/stop.h"
#include "pipeline/stream.h"
#include "pipeline/tables.h"
#include "source/heartbeat.h"

#define CHECKPOINT_EVERY_US 100000
#define PROGRESS_EVERY_US 1000000
#define REQUESTS_EVERY_US 500000
/* After a stop is asked for, or the end is reached, this long for what is under way to finish. */
#define DRAIN_MAX_US 30000000

/* ---- how far the target is, for those who wait ---- */

bool side_is_awaited(const struct stream *s, int64_t now) {
    struct applied *a = s->run->options->applied;
    return a && applied_is_wanted(a, now);
}

static bool module_streams(const struct run *run, const char *module) {
    for (size_t i = 0; i < run->plan->collection_count; i++)
        if (strcmp(run->plan->collections[i]->module, module) == 0 &&
            run->collections[i].phase != STATE_STREAMING)
            return false;
    return true;
}

/* Collections of a module need not stand together: the first one speaks for it. */
static bool is_first_of_module(const struct plan *plan, size_t c) {
    for (size_t i = 0; i < c; i++)
        if (strcmp(plan->collections[i]->module, plan->collections[c]->module) == 0)
            return false;
    return true;
}

static void tell_applied(struct stream *s, int64_t now) {
    const struct run *run = s->run;
    struct applied *a = run->options->applied;
    lsn_t head = confirm_head(s);
    int64_t through = applied_advance(a, head > run->confirmed ? head : run->confirmed);
    for (size_t i = 0; i < run->plan->collection_count; i++) {
        const char *module = run->plan->collections[i]->module;
        if (is_first_of_module(run->plan, i) && module_streams(run, module))
            applied_tell(a, module, through, now);
    }
}

/* The time first: what is committed before it lies before the position. */
static int mark(struct stream *s, int64_t now, struct err *err) {
    struct run *run = s->run;
    const struct conf_table *table = &run->conf->source.heartbeat_table;
    lsn_t lsn = 0;
    s->next_mark = now + APPLIED_EVERY_US;
    if (!run->pg)
        return 0;
    int64_t time_us = clock_mono_us();
    int rc = heartbeat_mark(run->pg, table, run->slot, &lsn, err);
    if (rc == 0) {
        applied_sample(run->options->applied, time_us, lsn);
    } else {
        pg_free(run->pg);
        run->pg = NULL;
    }
    return rc;
}

/* ---- by the clock ---- */

static void report(struct stream *s) {
    const struct pipeline_options *o = s->run->options;
    if (!o->progress)
        return;
    struct state_counters c = confirm_counters(s);
    struct pipeline_progress p = {.stage = PIPELINE_STREAMING,
                                  .changes = c.received,
                                  .applied = c.applied,
                                  .written = c.written,
                                  .deleted = c.deleted,
                                  .refreshed = c.refreshed,
                                  .confirmed = s->run->confirmed};
    if (s->server_end > s->run->confirmed)
        p.lag_bytes = (int64_t)(s->server_end - s->run->confirmed);
    if (!ledger_is_empty(s->ledger) && s->commit_time_us)
        p.lag_us = clock_wall_us() - s->commit_time_us;
    for (size_t i = 0; i < s->run->lane_count; i++) {
        p.retries += (int64_t)lane_counters(s->run->lanes[i]).retries;
        p.queued += (int64_t)queue_length(s->run->lane_queues[i]);
        p.queue_room += QUEUE_ITEMS;
    }
    for (size_t i = 0; i < s->run->plan->collection_count; i++)
        p.catching_up |= s->run->collections[i].phase == STATE_CATCHING_UP;
    o->progress(o->progress_context, &p);
}

static int heartbeat(struct stream *s, int64_t now, struct err *err) {
    struct run *run = s->run;
    const struct conf_source *source = &run->conf->source;
    s->next_heartbeat = now + source->heartbeat_us;
    if (!run->pg || source->heartbeat_us <= 0)
        return 0;
    int rc = heartbeat_beat(run->pg, &source->heartbeat_table, run->slot, err);
    if (rc == 0)
        rc = tables_check_names(run, NULL, err);
    if (rc < 0) {
        pg_free(run->pg);
        run->pg = NULL;
    }
    return rc;
}

/* However the receiver waits, it comes by here: what is under way has so long and no longer. */
static void limit_end(struct stream *s, int64_t now) {
    if (s->ending_us == 0 && stop_requested())
        s->ending_us = now;
    if (s->ending_us && now - s->ending_us > DRAIN_MAX_US)
        stop_force();
}

int side_tick(struct stream *s, struct err *err) {
    int64_t now = clock_mono_us();
    limit_end(s, now);
    int rc = control_check(s->run, err);
    if (rc == 0 && now >= s->next_checkpoint) {
        s->next_checkpoint = now + CHECKPOINT_EVERY_US;
        rc = confirm_checkpoint(s, err);
    }
    if (rc == 0 && now >= s->next_applied && side_is_awaited(s, now)) {
        s->next_applied = now + SIDE_LOOK_US;
        tell_applied(s, now);
    }
    if (rc == 0 && now >= s->next_progress) {
        s->next_progress = now + PROGRESS_EVERY_US;
        report(s);
    }
    if (rc == 0 && now >= s->next_status)
        rc = confirm_send(s, now, err);
    return rc;
}

int side_while_full(void *context, struct err *err) {
    int rc = side_tick(context, err);
    if (rc == 0 && stop_forced())
        return err_set(err, ERR_STOPPED, "stopped while a lane was full");
    return rc;
}

int side_work(struct stream *s, int64_t now, struct err *err) {
    int rc = now >= s->next_heartbeat ? heartbeat(s, now, err) : 0;
    if (rc == 0 && now >= s->next_mark && side_is_awaited(s, now))
        rc = mark(s, now, err);
    if (rc == 0 && now >= s->next_requests) {
        s->next_requests = now + REQUESTS_EVERY_US;
        rc = requests_poll(&s->requests, s->run, &s->outbox, err);
    }
    bool some = false;
    if (rc == 0 && !s->in_transaction)
        rc = parked_retry(s->run->parked, s->run->confirmed, &s->outbox, drain_all, s, &some, err);
    return rc;
}

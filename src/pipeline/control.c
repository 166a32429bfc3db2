/* Phases of collections while they run, failures of threads, and waking the receiver. */
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "model/canon.h"
#include "pipeline/run.h"

#include <stdio.h>
#include <unistd.h>

bool control_is_stopped(void *context, size_t collection) {
    const struct run *run = context;
    return run->collections[collection].phase == STATE_STOPPED;
}

bool control_is_caught_up(void *context, size_t collection) {
    const struct run *run = context;
    return run->collections[collection].phase == STATE_STREAMING;
}

int control_set_phase(struct run *run, size_t collection, int phase, lsn_t catch_up_lsn,
                      struct err *err) {
    struct collection_run *c = &run->collections[collection];
    const char *name = run->plan->collections[collection]->name;
    int before = c->phase;
    int rc = state_collection_set_phase(run->state, run->name, name, (enum state_phase)phase,
                                        catch_up_lsn, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    c->catch_up_lsn = catch_up_lsn;
    /* Another thread may have stopped it since, in the state and here. */
    if (before != STATE_STOPPED)
        (void)atomic_compare_exchange_strong(&c->phase, &before, phase);
    return 0;
}

/* Durable first: once the flag is seen, changes of the collection are let pass. */
int control_stop_collection(void *context, size_t collection, lsn_t lsn, const char *reason,
                            struct err *err) {
    struct run *run = context;
    const char *name = run->plan->collections[collection]->name;
    int rc = state_collection_stop(run->state, run->name, name, lsn, reason, err);
    if (rc < 0)
        return rc;
    int before = atomic_exchange(&run->collections[collection].phase, STATE_STOPPED);
    if (run->parked)
        parked_forget(run->parked, collection);
    if (before != STATE_STOPPED)
        log_event(LOG_ERROR, "collection_stopped", LOG_STR("collection", name),
                  LOG_STR("reason", reason),
                  LOG_STR("next", "mend the cause, then banyan run with --recopy"));
    return 0;
}

/* "document _id 7: too large (MongoDB error 10334)" */
static void describe(const struct lane_refusal *r, struct buf *out) {
    bson_iter_t it;
    if (r->identity.len &&
        bson_iter_init_from_data(&it, (const uint8_t *)r->identity.ptr, r->identity.len) &&
        bson_iter_next(&it)) {
        buf_add_text(out, "document _id ");
        canon_value_text(&it, out);
        buf_add_text(out, ": ");
    }
    buf_add_text(out, r->reason);
    if (r->code)
        buf_printf(out, " (MongoDB error %d)", r->code);
}

static int stop_for(struct run *run, const struct lane_refusal *r, const char *why,
                    struct err *err) {
    _cleanup_(buf_release) struct buf text = {.max = ERR_TEXT_MAX};
    buf_add_text(&text, why);
    describe(r, &text);
    return control_stop_collection(run, r->collection, r->lsn, buf_text(&text), err);
}

int control_refused(void *context, const struct lane_refusal *r, struct err *err) {
    struct run *run = context;
    const struct parked_failure failure = {.collection = r->collection,
                                           .identity = r->identity,
                                           .key = r->key,
                                           .lsn = r->lsn,
                                           .code = r->code,
                                           .reason = r->reason};
    bool full = false;
    if (!r->identity.len || !r->key)
        return stop_for(run, r, "", err);
    int rc = parked_put(run->parked, &failure, &full, err);
    if (rc < 0 || !full)
        return rc;
    char why[100];
    (void)snprintf(why, sizeof why, "%d documents are parked, and now ", PARKED_MAX);
    return stop_for(run, r, why, err);
}

bool control_is_parked(void *context, size_t collection, struct span identity) {
    const struct run *run = context;
    return parked_has(run->parked, collection, identity);
}

int control_written(void *context, size_t collection, struct span identity, struct err *err) {
    const struct run *run = context;
    return parked_clear(run->parked, collection, identity, err);
}

int control_emptied(void *context, size_t collection, struct err *err) {
    const struct run *run = context;
    return parked_clear_all(run->parked, collection, err);
}

void control_wake(void *context) {
    const struct run *run = context;
    uint64_t one = 1;
    ssize_t ignored = write(run->wake_fd, &one, sizeof one);
    (void)ignored;
}

void control_clear_wake(const struct run *run) {
    uint64_t count;
    ssize_t ignored = read(run->wake_fd, &count, sizeof count);
    (void)ignored;
}

/* The first failure is the one that is reported: the others follow from it. */
void control_failed(void *context, const struct err *failure) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    if (run->failure.code == 0)
        run->failure = *failure;
    pthread_mutex_unlock(&run->lock);
    control_wake(run);
}

bool control_lanes_passed(void *context, const uint64_t *tickets) {
    const struct run *run = context;
    for (size_t i = 0; i < run->lane_count; i++)
        if (lane_done(run->lanes[i]) < tickets[i])
            return false;
    return true;
}

static int on_source_once(struct run *run, control_step step, void *context, struct err *err) {
    int rc =
        run->pg ? 0 : pg_connect(run->conf->source.uri, PG_SQL, run->app_prefix, &run->pg, err);
    return rc < 0 ? rc : step(run, context, err);
}

int control_on_source(struct run *run, control_step step, void *context, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 100000, 10000000, (uint64_t)clock_wall_us());
    for (;;) {
        struct err failure = {0};
        int rc = on_source_once(run, step, context, &failure);
        if (rc == 0)
            return 0;
        if (!failure.retriable) {
            *err = failure;
            return rc;
        }
        log_event(LOG_WARN, "source_lost", LOG_STR("reason", failure.text));
        pg_free(run->pg);
        run->pg = NULL;
        if (stop_wait(backoff_next_us(&backoff)))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

int control_check(void *context, struct err *err) {
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    int code = run->failure.code;
    if (code && err)
        *err = run->failure;
    pthread_mutex_unlock(&run->lock);
    if (code && err)
        err->retriable = false;
    return code;
}

/* Repair: what is really different is asked of a run, and looked at again. */
#include "base/stop.h"
#include "pipeline/keyblob.h"
#include "pipeline/pipeline.h"
#include "state/lock.h"
#include "verify/session.h"

#define POLL_US 200000

static bool is_repairable(const struct candidate *c) {
    return c->verdict == VERDICT_REAL && c->key;
}

static int ask(struct session *s, int64_t *ret_asked, struct err *err) {
    _cleanup_(buf_release) struct buf blob = {.max = 1024 * 1024};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->candidates.count; i++) {
        const struct candidate *c = &s->candidates.items[i];
        if (!is_repairable(c))
            continue;
        buf_clear(&blob);
        keyblob_write(&blob, c->key, s->c->id_count);
        rc = c->retyped ? state_request_add_rewrite(s->state, s->stored.pipeline, s->c->name,
                                                    buf_span(&blob), err)
                        : state_request_add(s->state, s->stored.pipeline, s->c->name,
                                            buf_span(&blob), err);
        ++*ret_asked;
    }
    return rc;
}

/* Nobody runs the pipeline: we do, until it is caught up and has no requests left. What was never
 * copied stays so. */
static int run_it(struct session *s, struct err *err) {
    _cleanup_(state_lock_freep) struct state_lock *lock = NULL;
    struct pipeline_options options = {
        .module = s->stored.pipeline, .catch_up = true, .repair_only = true};
    int rc =
        state_lock_acquire(state_path(s->state), s->stored.pipeline, "verify --repair", &lock, err);
    return rc < 0 ? rc : pipeline_run(s->conf, s->state, &options, err);
}

/* What was asked, and without a run what waits in the log as well. */
static int have_written(struct session *s, int64_t asked, struct err *err) {
    for (;;) {
        int64_t open = 0;
        bool live = false;
        char holder[STATE_HOLDER_MAX];
        int rc = state_lock_peek(state_path(s->state), s->stored.pipeline, &live, holder, err);
        if (rc == 0 && !live)
            return run_it(s, err);
        if (rc == 0)
            rc = state_request_count(s->state, s->stored.pipeline, &open, err);
        if (rc < 0 || open == 0)
            return rc;
        session_progress(s, VERIFY_REPAIRING, asked - open, asked);
        if (stop_wait(POLL_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

static bool is_open_question(const struct candidate *c) {
    return c->verdict == VERDICT_REAL || c->verdict == VERDICT_UNSETTLED;
}

static size_t reopen(struct session *s) {
    size_t count = 0;
    for (size_t i = 0; i < s->candidates.count; i++)
        if (is_open_question(&s->candidates.items[i])) {
            s->candidates.items[i].verdict = VERDICT_OPEN;
            s->candidates.items[i].rounds = (struct rounds){0};
            count++;
        }
    return count;
}

/* Whether an unsettled one differs shows when what waits in the log is written. */
static int settle_unsettled(struct session *s, struct err *err) {
    bool any = false;
    for (size_t i = 0; i < s->candidates.count && !any; i++)
        any = s->candidates.items[i].verdict == VERDICT_UNSETTLED;
    int rc = any ? have_written(s, 0, err) : 0;
    if (rc < 0 || !any)
        return rc;
    (void)reopen(s);
    return settle_all(s, err);
}

/* What was repaired, or still is unsettled, is compared anew, and now reported if it differs. */
static int look_again(struct session *s, int64_t asked, struct err *err) {
    struct verify_options plain = *s->options;
    const struct verify_options *before = s->options;
    int64_t real = 0;
    plain.repair = false;
    s->options = &plain;
    int rc = settle_all(s, err);
    s->options = before;
    for (size_t i = 0; i < s->candidates.count; i++)
        real += is_repairable(&s->candidates.items[i]);
    s->totals->repaired += asked > real ? asked - real : 0;
    return rc;
}

int repair_all(struct session *s, struct err *err) {
    int64_t asked = 0;
    int rc = settle_unsettled(s, err);
    if (rc == 0)
        rc = ask(s, &asked, err);
    if (rc == 0 && asked)
        rc = have_written(s, asked, err);
    if (rc < 0 || reopen(s) == 0)
        return rc;
    return look_again(s, asked, err);
}

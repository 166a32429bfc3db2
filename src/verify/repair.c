/* Repair: what is really different is asked of a run, and looked at again. */
#include "base/mem.h"
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

static int wait_for_run(struct session *s, int64_t asked, struct err *err) {
    for (;;) {
        int64_t open = 0;
        bool live = false;
        char holder[STATE_HOLDER_MAX];
        int rc = state_request_count(s->state, s->stored.pipeline, &open, err);
        if (rc == 0)
            rc = state_lock_peek(state_path(s->state), s->stored.pipeline, &live, holder, err);
        if (rc < 0 || open == 0)
            return rc;
        if (!live)
            return run_it(s, err);
        session_progress(s, VERIFY_REPAIRING, asked - open, asked);
        if (stop_wait(POLL_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

/* What was repaired is compared anew, and now reported if it still differs. */
static int look_again(struct session *s, int64_t asked, struct err *err) {
    struct verify_options plain = *s->options;
    const struct verify_options *before = s->options;
    int64_t real = 0;
    for (size_t i = 0; i < s->candidates.count; i++)
        if (s->candidates.items[i].verdict == VERDICT_REAL) {
            s->candidates.items[i].verdict = VERDICT_OPEN;
            s->candidates.items[i].rounds = (struct rounds){0};
        }
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
    int64_t asked = 0, real = 0;
    for (size_t i = 0; i < s->candidates.count; i++)
        real += s->candidates.items[i].verdict == VERDICT_REAL;
    if (real == 0)
        return 0;
    int rc = ask(s, &asked, err);
    if (rc == 0)
        rc = wait_for_run(s, asked, err);
    return rc < 0 ? rc : look_again(s, asked, err);
}

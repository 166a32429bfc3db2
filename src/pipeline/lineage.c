#include "pipeline/lineage.h"

#include "base/log.h"
#include "source/timeline.h"

#define HISTORY_MAX ((size_t)16 * 1024 * 1024)
#define WAYS_OUT "mend the target with banyan verify --repair, or copy again with run --recopy all"

/* Changes of transactions up to there may be in the target, confirmed or not. */
static lsn_t our_position(const struct run *run) {
    return run->routed > run->confirmed ? run->routed : run->confirmed;
}

static int is_fork(const struct run *run, uint32_t from, uint32_t to, lsn_t left, struct err *err) {
    return err_set(err, ERR_STATE,
                   "the source went from timeline %lu to %lu at %s, before our position %s: the "
                   "target has changes that the source lost; %s",
                   (unsigned long)from, (unsigned long)to, lsn_format(left).text,
                   lsn_format(our_position(run)).text, WAYS_OUT);
}

static int follow(struct run *run, struct repl *repl, uint32_t from, uint32_t to, struct err *err) {
    _cleanup_(buf_release) struct buf history = {.max = HISTORY_MAX};
    bool found = false;
    lsn_t left = 0;
    int rc = repl_timeline_history(repl, to, &history, err);
    if (rc == 0)
        rc = timeline_left_at(buf_span(&history), from, &found, &left, err);
    if (rc < 0)
        return rc;
    if (!found)
        return err_set(err, ERR_STATE,
                       "the source is on timeline %lu, which does not come from %lu, the one that "
                       "was followed: it is another branch; %s",
                       (unsigned long)to, (unsigned long)from, WAYS_OUT);
    if (our_position(run) > left)
        return is_fork(run, from, to, left, err);
    log_event(LOG_WARN, "timeline_followed", LOG_INT("from", from), LOG_INT("to", to),
              LOG_STR("left_at", lsn_format(left).text));
    return state_pipeline_set_timeline(run->state, run->name, to, err);
}

/* Restored from an older copy without a new timeline: its log ends before our position. */
static int check_end(const struct run *run, const struct repl_identity *identity, struct err *err) {
    if (identity->flush_lsn >= our_position(run))
        return 0;
    return err_set(err, ERR_STATE,
                   "the source's log ends at %s, before our position %s: it was restored from an "
                   "older copy; %s",
                   lsn_format(identity->flush_lsn).text, lsn_format(our_position(run)).text,
                   WAYS_OUT);
}

int lineage_check(struct run *run, struct repl *repl, const struct repl_identity *identity,
                  struct err *err) {
    struct state_pipeline p;
    bool found = false;
    int rc = state_pipeline_get(run->state, run->name, &p, &found, err);
    if (rc < 0 || !found)
        return rc;
    if (identity->timeline < p.timeline)
        return err_set(
            err, ERR_STATE,
            "the source is on timeline %lu, older than %lu, which was followed: it is an "
            "old copy of the server; %s",
            (unsigned long)identity->timeline, (unsigned long)p.timeline, WAYS_OUT);
    if (identity->timeline > p.timeline)
        rc = follow(run, repl, p.timeline, identity->timeline, err);
    return rc < 0 ? rc : check_end(run, identity, err);
}

int lineage_mend(struct run *run, struct repl *repl, const struct repl_identity *identity,
                 lsn_t slot_lsn, struct err *err) {
    struct err fork = {0};
    int rc = lineage_check(run, repl, identity, &fork);
    if (rc == ERR_STATE) {
        log_event(LOG_WARN, "fork_mended", LOG_STR("reason", fork.text),
                  LOG_STR("from", lsn_format(slot_lsn).text));
        run->confirmed = slot_lsn;
        return state_pipeline_rewind(run->state, run->name, identity->timeline, slot_lsn, err);
    }
    if (rc < 0)
        *err = fork;
    return rc;
}

/* Step 8 of 8: gets from the ledger what is finished, gives it to the state, and then to the slot.
 */
#include "base/log.h"
#include "pipeline/stream.h"

lsn_t confirm_head(struct stream *s) {
    struct run *run = s->run;
    uint64_t given[LEDGER_LANES_MAX], done[LEDGER_LANES_MAX];
    uint64_t resolved = resolver_done(run->resolver);
    for (size_t i = 0; i < run->lane_count; i++) {
        done[i] = lane_done(run->lanes[i]);
        given[i] = queue_pushed(run->lane_queues[i]);
    }
    return ledger_advance(s->ledger, resolved, given, done);
}

struct state_counters confirm_counters(const struct stream *s) {
    struct state_counters c = {.received = (int64_t)router_changes(s->router)};
    for (size_t i = 0; i < s->run->lane_count; i++) {
        struct lane_counters lane = lane_counters(s->run->lanes[i]);
        c.applied += (int64_t)lane.changes;
        c.written += (int64_t)lane.written;
        c.deleted += (int64_t)lane.deleted;
        c.refreshed += (int64_t)lane.refreshed;
    }
    return c;
}

static struct state_counters counters_since(const struct state_counters *now,
                                            const struct state_counters *then) {
    return (struct state_counters){.received = now->received - then->received,
                                   .applied = now->applied - then->applied,
                                   .written = now->written - then->written,
                                   .deleted = now->deleted - then->deleted,
                                   .refreshed = now->refreshed - then->refreshed};
}

static int finish_catch_up(struct run *run, struct err *err) {
    for (size_t c = 0; c < run->plan->collection_count; c++) {
        if (run->collections[c].phase != STATE_CATCHING_UP ||
            run->confirmed < run->collections[c].catch_up_lsn)
            continue;
        bool passed = false;
        int rc = state_fanouts_passed(run->state, run->name, NULL, &run->collections[c].fanouts,
                                      &passed, err);
        if (rc == 0 && !passed)
            continue;
        if (rc == 0)
            rc = control_set_phase(run, c, STATE_STREAMING, 0, err);
        if (rc == 0 && control_is_stopped(run, c))
            continue;
        if (rc == 0)
            rc = indexes_add(run->indexes, c, run->plan->collections[c], err);
        if (rc < 0)
            return rc;
        log_event(LOG_INFO, "caught_up", LOG_STR("collection", run->plan->collections[c]->name));
    }
    return 0;
}

int confirm_checkpoint(struct stream *s, struct err *err) {
    struct run *run = s->run;
    lsn_t head = confirm_head(s);
    if (head > run->confirmed) {
        struct state_counters now = confirm_counters(s);
        struct state_counters added = counters_since(&now, &s->stored);
        int rc = state_checkpoint(run->state, run->name, head, &added, err);
        if (rc < 0)
            return rc;
        run->confirmed = head;
        s->stored = now;
    }
    int rc = finish_catch_up(run, err);
    if (rc == 0 && s->until && run->confirmed >= s->until && !s->reached &&
        !parked_has_deferred(run->parked, s->until))
        rc = state_fanouts_passed(run->state, run->name, NULL, &s->fanouts, &s->reached, err);
    return rc;
}

int confirm_send(struct stream *s, int64_t now, struct err *err) {
    s->next_status = now + s->status_every;
    if (!s->repl)
        return 0;
    lsn_t received = s->received > s->run->confirmed ? s->received : s->run->confirmed;
    return repl_confirm(s->repl, received, s->run->confirmed, err);
}

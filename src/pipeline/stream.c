/*
 * Steps 1 and 2 of 8: the receiver. Gets messages from the socket, has them decoded, gives them to
 * the router.
 */
#include "pipeline/stream.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"

#define LOOK_EVERY 64

int stream_flush(struct stream *s, struct err *err) {
    int rc = router_flush(s->router, err);
    if (rc == 0 && s->handed_out_new) {
        ledger_add(s->ledger, s->handed_out, queue_pushed(s->run->resolver_queue));
        s->handed_out_new = false;
    }
    s->next_flush = clock_mono_us() + s->run->conf->target.batch_delay_us;
    return rc;
}

static void hand_out(struct stream *s, lsn_t lsn) {
    if (lsn > s->handed_out) {
        s->handed_out = lsn;
        s->handed_out_new = true;
        parked_set_received(s->run->parked, lsn);
    }
}

static int take_message(struct stream *s, struct span payload, struct err *err) {
    struct pgo_message m;
    int rc = pgo_decode(s->decoder, payload, &m, err);
    if (rc < 0)
        return rc;
    switch (m.kind) {
    case PGO_BEGIN:
        s->in_transaction = true;
        s->xid = m.begin.xid;
        s->commit_lsn = m.begin.final_lsn;
        return 0;
    case PGO_COMMIT:
        s->in_transaction = false;
        s->commit_time_us = m.commit.commit_time_us + PG_EPOCH_US;
        hand_out(s, m.commit.end_lsn);
        return 0;
    case PGO_INSERT:
    case PGO_UPDATE:
    case PGO_DELETE:
    case PGO_TRUNCATE:
        if (s->run->routed <= s->commit_lsn)
            s->run->routed = s->commit_lsn + 1;
        return router_message(s->router, &m, s->xid, s->commit_lsn, err);
    case PGO_ORIGIN:
    case PGO_TYPE:
    case PGO_MESSAGE:
    case PGO_RELATION:
        return router_message(s->router, &m, s->xid, s->commit_lsn, err);
    }
    return 0;
}

static int take_keepalive(struct stream *s, const struct repl_message *m, struct err *err) {
    s->server_end = m->wal_end;
    if (!s->in_transaction) /* everything up to here was decoded and sent */
        hand_out(s, m->wal_end);
    int rc = stream_flush(s, err);
    if (rc == 0 && m->reply_requested) {
        rc = confirm_checkpoint(s, err);
        if (rc == 0)
            rc = confirm_send(s, clock_mono_us(), err);
    }
    return rc;
}

static bool has_held_back(const struct stream *s) {
    return s->handed_out_new || !router_is_empty(s->router);
}

/* How long what is held back may wait for more: not at all while the lanes have nothing to do, so
 * that a lone change is fast; else up to batch.delay, so that batches are worth their round trip.
 */
static int64_t flush_wait_us(const struct stream *s) {
    int64_t left = s->next_flush - clock_mono_us();
    return left > 0 && !drain_is_idle(s) ? left : 0;
}

static int take(struct stream *s, const struct repl_message *m, struct err *err) {
    switch (m->event) {
    case REPL_DATA:
        if (m->wal_end > s->server_end)
            s->server_end = m->wal_end;
        if (m->wal_start > s->received)
            s->received = m->wal_start;
        return take_message(s, m->payload, err);
    case REPL_KEEPALIVE:
        if (m->wal_end > s->received && !s->in_transaction)
            s->received = m->wal_end;
        return take_keepalive(s, m, err);
    case REPL_TIMEOUT:
        return flush_wait_us(s) > 0 ? 0 : stream_flush(s, err);
    case REPL_END:
        return err_set_retriable(err, ERR_UNREACHABLE, "the source ended the stream");
    }
    return 0;
}

/* What comes after the position is passed is waited for as well. */
static bool is_settled(const struct run *run) {
    for (size_t c = 0; c < run->plan->collection_count; c++)
        if (run->collections[c].phase == STATE_CATCHING_UP)
            return false;
    return indexes_is_idle(run->indexes);
}

static bool is_over(const struct stream *s) {
    return stop_requested() || (s->reached && s->requests.none_left && is_settled(s->run));
}

static int64_t idle_wait_us(const struct stream *s) {
    int64_t now = clock_mono_us(), left = s->next_mark - now;
    if (!side_is_awaited(s, now))
        return DRAIN_LOOK_US;
    return left > SIDE_LOOK_US ? left : SIDE_LOOK_US;
}

/* Everything by the clock, at most every LOOK_EVERY messages: reading it costs as much as decoding.
 */
static int look_at_clock(struct stream *s, const struct repl_message *m, struct err *err) {
    if (m->event == REPL_DATA && ++s->since_look < LOOK_EVERY)
        return 0;
    s->since_look = 0;
    int64_t now = clock_mono_us();
    int rc = now >= s->next_flush && has_held_back(s) ? stream_flush(s, err) : 0;
    if (rc == 0)
        rc = side_tick(s, err);
    return rc < 0 ? rc : side_work(s, now, err);
}

int stream_receive(struct stream *s, struct err *err) {
    while (!is_over(s)) {
        struct repl_message m;
        int64_t wait = !s->ran_dry ? 0 : has_held_back(s) ? flush_wait_us(s) : idle_wait_us(s);
        int rc = repl_receive(s->repl, wait, s->run->wake_fd, &m, err);
        s->ran_dry = rc == 0 && m.event == REPL_TIMEOUT;
        if (s->ran_dry)
            control_clear_wake(s->run);
        if (rc == 0)
            rc = take(s, &m, err);
        if (rc == 0)
            rc = look_at_clock(s, &m, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int stream_run(struct run *run, lsn_t until, struct err *err) {
    struct stream *s = mem_zalloc(1, sizeof *s);
    *s = (struct stream){
        .run = run, .until = until, .received = run->confirmed, .server_end = run->confirmed};
    s->decoder = pgo_decoder_new();
    s->ledger = ledger_new(run->lane_count);
    s->outbox = (struct outbox){.plan = run->plan,
                                .lanes = run->lane_queues,
                                .lane_count = run->lane_count,
                                .while_full = side_while_full,
                                .context = s};
    struct router_events events = {.context = run,
                                   .is_stopped = control_is_stopped,
                                   .is_caught_up = control_is_caught_up,
                                   .stop = control_stop_collection};
    s->router = router_new(run->plan, &s->outbox, run->resolver_queue, &events, drain_all, s);
    int rc = connect_loop(s, err);
    router_free(s->router);
    outbox_release(&s->outbox);
    ledger_free(s->ledger);
    pgo_decoder_free(s->decoder);
    free(s);
    return rc;
}

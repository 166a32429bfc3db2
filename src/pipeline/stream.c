/*
 * Steps 1, 2 and 8 of 8: the receiver. Gets messages from the socket, has them decoded and routed,
 * and confirms what is finished: ledger head -> checkpoint -> slot, never in another order.
 *
 *   connected --(error that may pass)--> drained --(backoff)--> connected
 *       |                                                           each time from the checkpoint
 *       +--(asked to stop, or `until` passed)--> drained --> ended
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "pipeline/lineage.h"
#include "pipeline/requests.h"
#include "pipeline/router.h"
#include "pipeline/run.h"
#include "pipeline/tables.h"
#include "source/heartbeat.h"
#include "state/state.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_EVERY_US 1000000 /* at most; else a third of the server's patience */
#define CHECKPOINT_EVERY_US 100000
#define PROGRESS_EVERY_US 1000000
#define REQUESTS_EVERY_US 500000
#define IDLE_WAIT_US 100000
#define APPLIED_LOOK_US 5000
#define LOOK_EVERY 64
/* After a stop is asked for, or the end is reached, this long for what is under way to finish. */
#define DRAIN_MAX_US 30000000

struct stream {
    struct run *run;
    struct repl *repl;
    struct pgo_decoder *decoder;
    struct outbox outbox;
    struct router *router;
    struct ledger *ledger;
    lsn_t until;
    struct state_fanout_mark fanouts; /* those from before `until` */
    bool reached;                     /* `until`, with its fan-outs */

    bool in_transaction;
    uint32_t xid;
    lsn_t commit_lsn;    /* of the open transaction */
    lsn_t handed_out;    /* end of the last commit, or an idle position */
    bool handed_out_new; /* not in the ledger yet */
    lsn_t received, server_end;
    struct state_counters stored; /* what the state has been told */
    int64_t ending_us;            /* when the end began; 0: not yet */
    int since_look;               /* messages since the clock was read */
    bool ran_dry;                 /* the last look at the socket found nothing */
    int64_t commit_time_us;       /* wall clock, of the newest commit */
    struct requests requests;
    int64_t status_every;
    int64_t next_status, next_checkpoint, next_progress, next_flush, next_heartbeat, next_requests;
    int64_t next_mark, next_applied;
};

/* ---- step 8: confirm ---- */

static lsn_t finished_head(struct stream *s) {
    struct run *run = s->run;
    uint64_t given[LEDGER_LANES_MAX], done[LEDGER_LANES_MAX];
    uint64_t resolved = resolver_done(run->resolver);
    for (size_t i = 0; i < run->lane_count; i++) {
        done[i] = lane_done(run->lanes[i]);
        given[i] = queue_pushed(run->lane_queues[i]);
    }
    return ledger_advance(s->ledger, resolved, given, done);
}

static struct state_counters counters(const struct stream *s) {
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

static int checkpoint(struct stream *s, struct err *err) {
    struct run *run = s->run;
    lsn_t head = finished_head(s);
    if (head > run->confirmed) {
        struct state_counters now = counters(s);
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

static int send_status(struct stream *s, int64_t now, struct err *err) {
    s->next_status = now + s->status_every;
    if (!s->repl)
        return 0;
    lsn_t received = s->received > s->run->confirmed ? s->received : s->run->confirmed;
    return repl_confirm(s->repl, received, s->run->confirmed, err);
}

/* ---- how far the target is, for those who wait ---- */

static bool is_awaited(const struct stream *s, int64_t now) {
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
    lsn_t head = finished_head(s);
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

/* ---- what happens on the side, by the clock ---- */

static void report(struct stream *s) {
    const struct pipeline_options *o = s->run->options;
    if (!o->progress)
        return;
    struct state_counters c = counters(s);
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

static int tick(struct stream *s, struct err *err) {
    int64_t now = clock_mono_us();
    limit_end(s, now);
    int rc = control_check(s->run, err);
    if (rc == 0 && now >= s->next_checkpoint) {
        s->next_checkpoint = now + CHECKPOINT_EVERY_US;
        rc = checkpoint(s, err);
    }
    if (rc == 0 && now >= s->next_applied && is_awaited(s, now)) {
        s->next_applied = now + APPLIED_LOOK_US;
        tell_applied(s, now);
    }
    if (rc == 0 && now >= s->next_progress) {
        s->next_progress = now + PROGRESS_EVERY_US;
        report(s);
    }
    if (rc == 0 && now >= s->next_status)
        rc = send_status(s, now, err);
    return rc;
}

static int while_full(void *context, struct err *err) {
    int rc = tick(context, err);
    if (rc == 0 && stop_forced())
        return err_set(err, ERR_STOPPED, "stopped while a lane was full");
    return rc;
}

/* ---- draining ---- */

static bool is_resolved(const struct stream *s) {
    return resolver_done(s->run->resolver) >= queue_pushed(s->run->resolver_queue);
}

/* Nothing is under way at all. */
static bool is_idle(const struct stream *s) {
    const struct run *run = s->run;
    if (!is_resolved(s))
        return false;
    for (size_t i = 0; i < run->lane_count; i++)
        if (lane_done(run->lanes[i]) < queue_pushed(run->lane_queues[i]))
            return false;
    return true;
}

/* What the receiver handed out is written. Fan-outs go on handing out keys meanwhile, so what
 * comes after the resolver's last is not waited for. */
struct drain_mark {
    bool taken;
    uint64_t tickets[LEDGER_LANES_MAX];
};

static bool is_drained(const struct stream *s, struct drain_mark *mark) {
    const struct run *run = s->run;
    if (!mark->taken && !is_resolved(s))
        return false;
    for (size_t i = 0; i < run->lane_count && !mark->taken; i++)
        mark->tickets[i] = queue_pushed(run->lane_queues[i]);
    mark->taken = true;
    return control_lanes_passed(s->run, mark->tickets);
}

static void wait_for_wake(const struct run *run) {
    struct pollfd p = {.fd = run->wake_fd, .events = POLLIN};
    if (poll(&p, 1, IDLE_WAIT_US / 1000) > 0) {
        uint64_t count;
        ssize_t ignored = read(run->wake_fd, &count, sizeof count);
        (void)ignored;
    }
}

static int drain(void *context, struct err *err) {
    struct stream *s = context;
    struct drain_mark mark = {0};
    int rc = router_flush(s->router, err);
    while (rc == 0 && !is_drained(s, &mark)) {
        if (stop_forced())
            return err_set(err, ERR_STOPPED, "stopped while waiting for the lanes");
        wait_for_wake(s->run);
        rc = tick(s, err);
    }
    return rc;
}

/* ---- steps 1 and 2 ---- */

static int flush_point(struct stream *s, struct err *err) {
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
    int rc = flush_point(s, err);
    if (rc == 0 && m->reply_requested) {
        rc = checkpoint(s, err);
        if (rc == 0)
            rc = send_status(s, clock_mono_us(), err);
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
    return left > 0 && !is_idle(s) ? left : 0;
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
        return flush_wait_us(s) > 0 ? 0 : flush_point(s, err);
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
    if (!is_awaited(s, now))
        return IDLE_WAIT_US;
    return left > APPLIED_LOOK_US ? left : APPLIED_LOOK_US;
}

static void clear_wake(const struct run *run) {
    uint64_t count;
    ssize_t ignored = read(run->wake_fd, &count, sizeof count);
    (void)ignored;
}

/* What may hold the receiver for a moment, so never inside a wait. */
static int side_work(struct stream *s, int64_t now, struct err *err) {
    int rc = now >= s->next_heartbeat ? heartbeat(s, now, err) : 0;
    if (rc == 0 && now >= s->next_mark && is_awaited(s, now))
        rc = mark(s, now, err);
    if (rc == 0 && now >= s->next_requests) {
        s->next_requests = now + REQUESTS_EVERY_US;
        rc = requests_poll(&s->requests, s->run, &s->outbox, err);
    }
    bool some = false;
    if (rc == 0 && !s->in_transaction)
        rc = parked_retry(s->run->parked, s->run->confirmed, &s->outbox, drain, s, &some, err);
    return rc;
}

/* Everything by the clock, at most every LOOK_EVERY messages: reading it costs as much as decoding.
 */
static int look_at_clock(struct stream *s, const struct repl_message *m, struct err *err) {
    if (m->event == REPL_DATA && ++s->since_look < LOOK_EVERY)
        return 0;
    s->since_look = 0;
    int64_t now = clock_mono_us();
    int rc = now >= s->next_flush && has_held_back(s) ? flush_point(s, err) : 0;
    if (rc == 0)
        rc = tick(s, err);
    return rc < 0 ? rc : side_work(s, now, err);
}

static int receive_until_over(struct stream *s, struct err *err) {
    while (!is_over(s)) {
        struct repl_message m;
        int64_t wait = !s->ran_dry ? 0 : has_held_back(s) ? flush_wait_us(s) : idle_wait_us(s);
        int rc = repl_receive(s->repl, wait, s->run->wake_fd, &m, err);
        s->ran_dry = rc == 0 && m.event == REPL_TIMEOUT;
        if (s->ran_dry)
            clear_wake(s->run);
        if (rc == 0)
            rc = take(s, &m, err);
        if (rc == 0)
            rc = look_at_clock(s, &m, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- connections ---- */

/* After kill -9 the server may hold the slot for a dead connection of ours until it notices. */
static int end_leftover(struct run *run, const char *app, struct err *err) {
    struct repl_slot_info slot;
    int rc = repl_slot_info(run->pg, run->slot, &slot, err);
    if (rc < 0 || !slot.active)
        return rc;
    _cleanup_(mem_freep) char *pid = mem_printf("%d", slot.active_pid);
    struct span params[] = {span_of(pid), span_of(app)};
    return pg_query(run->pg,
                    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                    "WHERE pid = $1::int AND application_name = $2",
                    2, params, NULL, err);
}

static int check_same_server(struct run *run, struct repl *repl, struct err *err) {
    struct repl_identity identity;
    int rc = repl_identify(repl, &identity, err);
    if (rc == 0)
        rc = state_check_system(run->state, run->name, identity.system_id, err);
    return rc < 0 ? rc : lineage_check(run, repl, &identity, err);
}

/* As this very session has it: it may be set for the role or the database. */
static int read_patience(struct stream *s, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(repl_session(s->repl),
                     "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
                     &r, err);
    if (rc < 0)
        return rc;
    int64_t ms = pg_rows(r) == 1 ? strtoll(pg_value(r, 0, 0).ptr, NULL, 10) : 0;
    s->status_every = STATUS_EVERY_US;
    if (ms > 0 && ms * 1000 / 3 < s->status_every) /* 0: it waits for ever */
        s->status_every = ms * 1000 / 3;
    return 0;
}

static int open_stream(struct stream *s, struct err *err) {
    struct run *run = s->run;
    int rc = 0;
    _cleanup_(mem_freep) char *app = mem_printf("%s receiver;", run->app_prefix);
    if (!run->pg)
        rc = pg_connect(run->conf->source.uri, PG_SQL, run->app_prefix, &run->pg, err);
    if (rc == 0)
        rc = end_leftover(run, app, err);
    if (rc == 0)
        rc = repl_open(run->conf->source.uri, app, &s->repl, err);
    if (rc == 0)
        rc = check_same_server(run, s->repl, err);
    if (rc == 0)
        rc = read_patience(s, err);
    if (rc == 0)
        rc = repl_start(s->repl, run->slot, run->publication, run->confirmed, err);
    return rc;
}

static void close_stream(struct stream *s) {
    repl_free(s->repl);
    s->repl = NULL;
    s->in_transaction = false;
}

/* Ends in good order: what was received is written, checkpointed and confirmed. */
static int end_stream(struct stream *s, struct err *err) {
    struct drain_mark mark = {0};
    s->ending_us = s->ending_us ? s->ending_us : clock_mono_us();
    fanouts_close(s->run->fanouts);
    int rc = flush_point(s, err);
    while (rc == 0 && !is_drained(s, &mark) && !stop_forced()) {
        wait_for_wake(s->run);
        rc = tick(s, err);
    }
    if (rc == 0)
        rc = checkpoint(s, err);
    if (rc == 0)
        rc = send_status(s, clock_mono_us(), err);
    if (rc == 0)
        rc = repl_stop(s->repl, err);
    return rc;
}

static int connected(struct stream *s, struct err *err) {
    int rc = open_stream(s, err);
    if (rc == 0)
        rc = receive_until_over(s, err);
    return rc < 0 ? rc : end_stream(s, err);
}

/* A lost connection: the lanes finish what they have, then the log is read again from the
 * checkpoint. Transactions that come twice find their work done. Each one that was written whole is
 * in the ledger before: coming again, an older one would write over a newer one's rows, and be
 * confirmed together with it before that came again too. */
static int reconnect_loop(struct stream *s, struct err *err) {
    struct backoff backoff;
    backoff_init(&backoff, 100000, 10000000, (uint64_t)clock_wall_us());
    for (;;) {
        struct err failure = {0};
        lsn_t before = s->run->confirmed;
        int rc = connected(s, &failure);
        close_stream(s);
        if (rc == 0)
            return 0;
        int first = control_check(s->run, err); /* a thread's failure may have led to this one */
        if (first < 0)
            return first;
        if (!failure.retriable) {
            *err = failure;
            return rc;
        }
        log_event(LOG_WARN, "source_lost", LOG_STR("reason", failure.text));
        pg_free(s->run->pg); /* what cut the stream may have cut this session too */
        s->run->pg = NULL;
        rc = flush_point(s, err);
        if (rc == 0)
            rc = drain(s, err);
        if (rc == 0)
            rc = checkpoint(s, err);
        if (rc < 0)
            return rc;
        if (s->run->confirmed > before)
            backoff_reset(&backoff);
        if (stop_wait(backoff_next_us(&backoff)))
            return 0;
    }
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
                                .while_full = while_full,
                                .context = s};
    struct router_events events = {.context = run,
                                   .is_stopped = control_is_stopped,
                                   .is_caught_up = control_is_caught_up,
                                   .stop = control_stop_collection};
    s->router = router_new(run->plan, &s->outbox, run->resolver_queue, &events, drain, s);
    int rc = reconnect_loop(s, err);
    router_free(s->router);
    outbox_release(&s->outbox);
    ledger_free(s->ledger);
    pgo_decoder_free(s->decoder);
    free(s);
    return rc;
}

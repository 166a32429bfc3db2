/*
 * The receiver's connections.
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
#include "pipeline/stream.h"

#include <stdlib.h>

#define STATUS_EVERY_US 1000000 /* at most; else a third of the server's patience */

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

/* Ends in good order: what was received is written, checkpointed and confirmed; what does not
 * finish in time is received again by the next run. */
static int end_stream(struct stream *s, struct err *err) {
    s->ending_us = s->ending_us ? s->ending_us : clock_mono_us();
    fanouts_close(s->run->fanouts);
    int rc = stream_flush(s, err);
    if (rc == 0)
        rc = drain_all(s, err);
    if (rc == 0 || rc == ERR_STOPPED)
        rc = confirm_checkpoint(s, err);
    if (rc == 0)
        rc = confirm_send(s, clock_mono_us(), err);
    if (rc == 0)
        rc = repl_stop(s->repl, err);
    return rc;
}

static int connected(struct stream *s, struct err *err) {
    int rc = open_stream(s, err);
    if (rc == 0)
        rc = stream_receive(s, err);
    return rc < 0 ? rc : end_stream(s, err);
}

/* A lost connection: the lanes finish what they have, then the log is read again from the
 * checkpoint. Transactions that come twice find their work done. Each one that was written whole is
 * in the ledger before: coming again, an older one would write over a newer one's rows, and be
 * confirmed together with it before that came again too. */
int connect_loop(struct stream *s, struct err *err) {
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
        rc = stream_flush(s, err);
        if (rc == 0)
            rc = drain_all(s, err);
        if (rc == 0)
            rc = confirm_checkpoint(s, err);
        if (rc < 0)
            return rc;
        if (s->run->confirmed > before)
            backoff_reset(&backoff);
        if (stop_wait(backoff_next_us(&backoff)))
            return 0;
    }
}

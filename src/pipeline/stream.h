/*
 * What the files of the receiver share: one connection at a time, and what is known about what came
 * through it. Private to stream.c, confirm.c, side.c, drain.c and connect.c. @thread main
 */
#ifndef BANYAN_PIPELINE_STREAM_H
#define BANYAN_PIPELINE_STREAM_H

#include "pipeline/requests.h"
#include "pipeline/router.h"
#include "pipeline/run.h"

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

/* ---- stream.c: steps 1 and 2, from the socket to the router ---- */

/* Receives until the end: a stop, or `until`. */
int stream_receive(struct stream *s, struct err *err) must_check;
/* Sends all that is held back, and enters the commits received so far into the ledger. */
int stream_flush(struct stream *s, struct err *err) must_check;

/* ---- confirm.c: step 8, ledger head -> checkpoint -> slot, never in another order ---- */

lsn_t confirm_head(struct stream *s);
struct state_counters confirm_counters(const struct stream *s);
int confirm_checkpoint(struct stream *s, struct err *err) must_check;
/* To the server, which lets its log go. */
int confirm_send(struct stream *s, int64_t now, struct err *err) must_check;

/* ---- side.c: what happens on the side, by the clock ---- */

/* While somebody waits for what is applied, it is looked at this often. */
#define SIDE_LOOK_US 5000

bool side_is_awaited(const struct stream *s, int64_t now);
/* What must go on in every wait. */
int side_tick(struct stream *s, struct err *err) must_check;
/* The same, while a queue is full: an error when the stop is forced. Fits outbox.h. */
int side_while_full(void *context, struct err *err) must_check;
/* What may hold the receiver for a moment, so never inside a wait. */
int side_work(struct stream *s, int64_t now, struct err *err) must_check;

/* ---- drain.c ---- */

#define DRAIN_LOOK_US 100000

/* Nothing is under way at all. */
bool drain_is_idle(const struct stream *s);
/* Sends all that is held back and waits until it is written. Fits router.h and parked.h. */
int drain_all(void *context, struct err *err) must_check;

/* ---- connect.c ---- */

/* Connects, receives, ends in good order; again from the checkpoint when a connection is lost. */
int connect_loop(struct stream *s, struct err *err) must_check;

#endif

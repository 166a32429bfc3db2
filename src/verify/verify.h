/*
 * Proof while both sides change: every document against its rows, in both directions.
 *
 * Rows are read through the assembler, documents by `_id`; what differs is asked again by the
 * rounds of rounds.h, so lag is never reported. No locks, no pause; memory is bounded by one page
 * and VERIFY_CANDIDATES_MAX candidates. How far it has come and what may differ is kept in the
 * state, so one that was interrupted, however, goes on and forgets nothing that it found. @thread
 * main
 */
#ifndef BANYAN_VERIFY_VERIFY_H
#define BANYAN_VERIFY_VERIFY_H

#include "base/err.h"
#include "conf/conf.h"
#include "state/state.h"

/* More documents than this that are really different, or never settle, end the comparison of a
 * collection early. */
#define VERIFY_CANDIDATES_MAX 10000

enum verify_stage {
    VERIFY_WAITING,
    VERIFY_ROWS,
    VERIFY_DOCUMENTS,
    VERIFY_SETTLING,
    VERIFY_REPAIRING
};

struct verify_progress {
    const char *collection;
    enum verify_stage stage;
    int64_t done, expected; /* of this stage; expected -1: unknown */
    int64_t candidates;
};

/* One real difference; also an unsettled one. Texts are borrowed until the function returns. */
struct verify_difference {
    const char *collection;
    const char *id;      /* extended JSON */
    const char *path;    /* "" for a whole document */
    const char *kind;    /* missing, extra, mismatch, type_difference, decoder, unsettled */
    const char *sql;     /* extended JSON, or PostgreSQL's text for `decoder`; NULL: not there */
    const char *mongodb; /* extended JSON; NULL: not there */
};

struct verify_options {
    const char *module;
    int64_t sample; /* 0: everything */
    bool keys_only;
    bool repair;
    bool restart;    /* forget where an interrupted verification was */
    int64_t wait_us; /* for a collection to have caught up */
    void (*progress)(void *context, const struct verify_progress *p);
    int (*difference)(void *context, const struct verify_difference *d, struct err *err);
    void *context;
};

struct verify_totals {
    int64_t collections, compared; /* documents */
    int64_t different;             /* documents with a real difference, after repair */
    int64_t decoder;               /* documents that a decoder got wrong */
    int64_t unsettled;
    int64_t repaired;
    int64_t not_ready; /* collections that are stopped or have not caught up */
    bool run_is_live;
    int64_t resumed_us; /* when what this one goes on with began, wall clock; 0: nothing */
};

/* 0: everything is equal. ERR_NO: not; the totals and the differences say what. */
int verify_run(const struct conf *conf, struct state *state, const struct verify_options *options,
               struct verify_totals *ret_totals, struct err *err) must_check;

#endif

/*
 * What the files of one verification share. Private to verify/. @thread main
 */
#ifndef BANYAN_VERIFY_SESSION_H
#define BANYAN_VERIFY_SESSION_H

#include "base/arena.h"
#include "base/spanmap.h"
#include "db/mongo.h"
#include "map/identity_back.h"
#include "source/assemble.h"
#include "verify/rounds.h"
#include "verify/verify.h"

#define VERIFY_PAGE 500

/* A document that may differ. */
struct candidate {
    struct span identity;   /* {"_id": ...} */
    const struct span *key; /* texts of the id columns; NULL: `_id` names no row of ours */
    struct rounds rounds;
    enum verdict verdict;
};

struct candidates {
    struct arena memory;
    struct spanmap index; /* identity -> position, from 1 */
    struct candidate *items;
    size_t count, cap;
};

struct session {
    const struct conf *conf;
    struct state *state;
    const struct verify_options *options;
    struct verify_totals *totals;
    struct pg_catalog *catalog;
    struct plan *plan;
    struct pg *pg;
    struct mongo *mongo;

    /* of the collection under verification */
    const struct plan_collection *c;
    struct state_collection stored; /* its pipeline and phase */
    struct assembler *assembler;
    struct candidates candidates;
    int64_t compared;
};

/* ---- candidates.c ---- */
void candidates_release(struct candidates *c);
/* Each document once. ERR_LIMIT when there are VERIFY_CANDIDATES_MAX. */
int candidates_add(struct candidates *c, struct span identity, const struct span *key,
                   size_t key_count, struct err *err) must_check;

/* ---- rows.c, documents.c: find candidates ---- */
int rows_compare(struct session *s, struct err *err) must_check;
int documents_compare(struct session *s, struct err *err) must_check;

/* ---- settle.c: which candidates are real ---- */
int settle_all(struct session *s, struct err *err) must_check;

/* ---- differences.c: what is reported ---- */

/* The paths at which two documents differ, but for stamps. Empty spans stand for no document.
 * Reports them when `report`; returns 1 if there is a difference, 0 if not, or an error. */
int differences(struct session *s, struct span identity, struct span sql, struct span mongodb,
                bool report, struct err *err) must_check;
int difference_report(struct session *s, struct span identity, const char *path, const char *kind,
                      const char *sql, const char *mongodb, struct err *err) must_check;

/* ---- repair.c ---- */
int repair_all(struct session *s, struct err *err) must_check;

/* What the row becomes. One that cannot be mapped counts as an empty document, so that it differs
 * from whatever the target has, and from nothing. */
struct span session_expected(const struct assembled *doc);

/* Ends the reading transaction after `rc`, which is answered when it is an error: the session goes
 * on to be used after a reading that was cut short. */
int session_end_read(struct session *s, int rc, struct err *err) must_check;

void session_progress(const struct session *s, enum verify_stage stage, int64_t done,
                      int64_t expected);

#endif

/*
 * What the files of one verification share. Private to verify/. @thread main
 *
 *   rows.c, documents.c      find candidates, page by page; resume.c keeps how far they came
 *   settle.c with passed.c   ask each candidate again, until it is equal, different or unsettled
 *   repair.c                 asks a run to write what is different, and settles it again
 */
#ifndef BANYAN_VERIFY_SESSION_H
#define BANYAN_VERIFY_SESSION_H

#include "base/arena.h"
#include "base/spanmap.h"
#include "db/mongo.h"
#include "source/assemble.h"
#include "verify/rounds.h"
#include "verify/verify.h"

#define VERIFY_PAGE 500

/* A document that may differ. */
struct candidate {
    struct span identity;   /* {"_id": ...}, as we write it */
    const struct span *key; /* texts of the id columns; NULL: `_id` names no row of ours */
    size_t bytes;           /* of the larger of both documents, where that is known; 0: unknown */
    bool retyped;           /* the target's `_id` is equal to the server, but of another type */
    struct rounds rounds;
    enum verdict verdict;
};

struct candidates {
    struct arena memory;
    struct spanmap index; /* identity -> position, from 1 */
    struct candidate *items;
    size_t count, cap;
};

/* How far the comparison of a collection has come, and what of that the state holds. */
struct resume {
    bool keeping; /* the state's row is ours */
    enum state_verify_direction direction;
    struct buf cursor; /* of the direction; empty: at its beginning */
    int64_t started_us;
    size_t kept;  /* candidates that the state has */
    bool dropped; /* it has some that were settled since: the next position replaces them all */
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
    int64_t owner; /* a random number: whose the rows in the state are */

    /* of the collection under verification */
    const struct plan_collection *c;
    struct state_collection stored; /* its pipeline and phase */
    struct assembler *assembler;
    bool versions; /* rows tell who wrote them */
    struct candidates candidates;
    struct resume resume;
    int64_t compared; /* rows */
    int64_t scanned;  /* documents */
    int64_t decoder;  /* documents that a decoder got wrong */
};

/* ---- candidates.c ---- */
void candidates_release(struct candidates *c);
/* Each document once. ERR_LIMIT when there are VERIFY_CANDIDATES_MAX. */
int candidates_add(struct candidates *c, struct span identity, const struct span *key,
                   size_t key_count, size_t bytes, struct err *err) must_check;
/* Forgets those that turned out equal. */
int candidates_drop_equal(struct candidates *c, size_t key_count, struct err *err) must_check;

/* ---- resume.c ---- */

/* Where an interrupted verification of this collection was, with what it had found; or the
 * beginning. */
int resume_load(struct session *s, struct err *err) must_check;
/* The direction has come to this cursor (empty: its beginning). Kept with all candidates. */
int resume_save(struct session *s, enum state_verify_direction direction, struct span cursor,
                struct err *err) must_check;
void resume_release(struct resume *r);
/* Every collection was verified: nothing is left to go on with. */
int resume_forget(struct session *s, struct err *err) must_check;

/* ---- rows.c, documents.c: find candidates ---- */
int rows_compare(struct session *s, struct err *err) must_check;
int documents_compare(struct session *s, struct err *err) must_check;

/* ---- lookup.c: documents of the target, by `_id` ---- */

/* {"_id": ...} of the document, in `out`. */
int lookup_identity(const bson_t *document, struct buf *out, struct err *err) must_check;
/* The documents with these identities. keys_only: nothing of them but `_id`. */
int lookup_find(struct session *s, const struct span *identities, size_t count, bool keys_only,
                mongo_document_fn fn, void *context, struct err *err) must_check;

/* ---- settle.c: which candidates are real ---- */
int settle_all(struct session *s, struct err *err) must_check;
/* Makes room for another page: a target that is far behind must not end the comparison, so those
 * that were only late are settled now and forgotten. */
int settle_for_room(struct session *s, struct err *err) must_check;

/* ---- passed.c: has the target what the source had? ---- */

/* Waits until everything up to `position` is written; not for long, and not where nobody writes. */
int passed_wait(struct session *s, lsn_t position, bool *ret_passed, struct err *err) must_check;

/* ---- differences.c: what is reported ---- */

/* The paths at which two documents differ, but for stamps. Empty spans stand for no document.
 * Reports them when `report`; returns 1 if there is a difference, 0 if not, or an error. */
int differences(struct session *s, struct span identity, struct span sql, struct span mongodb,
                bool report, struct err *err) must_check;
int difference_report(struct session *s, struct span identity, const char *path, const char *kind,
                      const char *sql, const char *mongodb, struct err *err) must_check;

/* ---- decoder.c ---- */

/* Checks a document backwards against its row (backcheck.h); reports and counts a mistake. */
int decoder_check(struct session *s, const struct assembled *doc, struct err *err) must_check;

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

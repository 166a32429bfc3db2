/*
 * What survives: one SQLite file with positions, phases, chunks, and what waits or stopped.
 *
 * WAL journal, synchronous=FULL: what a function returned 0 for is on disk. A handle is one
 * connection with a lock inside: any thread. What the file cannot do is ERR_STATE, and names it,
 * what is wrong, and what to do. The file and its lock files are readable by their owner only.
 */
#ifndef BANYAN_STATE_STATE_H
#define BANYAN_STATE_STATE_H

#include "base/err.h"
#include "base/span.h"
#include "model/lsn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_NAME_MAX 256 /* bytes of a pipeline, slot, collection or module name, with NUL */

struct state;

/* Opens the file; makes it if it is not there. A file of a newer version, or of another program,
 * is refused and not changed. */
int state_open(const char *path, struct state **ret_state, struct err *err) must_check;
/* Same, but a file that is not there gives *ret_state NULL and no error. */
int state_open_existing(const char *path, struct state **ret_state, struct err *err) must_check;
void state_free(struct state *s);
DEFINE_CLEANUP(struct state *, state_free)
const char *state_path(const struct state *s);

/* ---- pipelines ---- */

/* Making a slot is: intent, create, record; so a crash between leaves no orphan. */
enum state_slot { STATE_SLOT_NONE, STATE_SLOT_INTENT, STATE_SLOT_CREATED };

struct state_counters {
    int64_t received, applied, written, deleted, refreshed;
};

struct state_pipeline {
    char name[STATE_NAME_MAX]; /* module, or "all" */
    char slot[STATE_NAME_MAX];
    char publication[STATE_NAME_MAX];
    char system_id[32];
    uint32_t timeline;
    enum state_slot slot_state;
    lsn_t checkpoint;               /* everything before is acknowledged by the target */
    int64_t checkpoint_us;          /* wall clock */
    struct state_counters counters; /* since the pipeline was made */
};

/* The pipeline as stored; made if it is new. Another system identifier, slot or publication than
 * the stored one is an error that says what to do. */
int state_pipeline_open(struct state *s, const char *name, const char *slot,
                        const char *publication, const char *system_id, uint32_t timeline,
                        struct state_pipeline *ret, struct err *err) must_check;
/* *ret_found false: there is none. */
int state_pipeline_get(struct state *s, const char *name, struct state_pipeline *ret,
                       bool *ret_found, struct err *err) must_check;
int state_pipeline_list(struct state *s, struct state_pipeline **ret, size_t *ret_count,
                        struct err *err) must_check; /* free() it */
/* Also sets the checkpoint to `lsn` when the slot is created. */
int state_pipeline_set_slot(struct state *s, const char *name, enum state_slot slot_state,
                            lsn_t lsn, struct err *err) must_check;
int state_pipeline_set_timeline(struct state *s, const char *name, uint32_t timeline,
                                struct err *err) must_check;
/* The checkpoint goes back to `lsn` of another timeline: the only way back there is. */
int state_pipeline_rewind(struct state *s, const char *name, uint32_t timeline, lsn_t lsn,
                          struct err *err) must_check;
/* The connected server is the one that the pipeline was made with. */
int state_check_system(struct state *s, const char *name, const char *system_id,
                       struct err *err) must_check;

/* Moves the checkpoint forward; an older position is ERR_INTERNAL. `added` is added to the stored
 * counters. */
int state_checkpoint(struct state *s, const char *name, lsn_t lsn,
                     const struct state_counters *added, struct err *err) must_check;

/* ---- collections ----
 *
 *   new -> copying -> catching_up -> streaming
 *    ^        |            |             |
 *    |        +---> stopped <------------+
 *    +------------------+   (reset: --recopy)
 */
enum state_phase {
    STATE_NEW,         /* nothing copied; the target may have to be emptied (`wipe`) */
    STATE_COPYING,     /* chunks are being read */
    STATE_CATCHING_UP, /* all chunks acknowledged; the log has not passed `catch_up_lsn` yet */
    STATE_STREAMING,
    STATE_STOPPED /* cannot go on: `error` says why; only a reset leads out */
};
const char *state_phase_name(enum state_phase phase);

struct state_collection {
    char pipeline[STATE_NAME_MAX];
    char module[STATE_NAME_MAX];
    char name[STATE_NAME_MAX];
    char fingerprint[64];
    enum state_phase phase;
    bool wipe;
    lsn_t catch_up_lsn;
    int64_t documents;        /* copied by the chunks that are done */
    char error[ERR_TEXT_MAX]; /* why it is stopped; or, streaming, what is wrong all the same */
    lsn_t error_lsn;
    int64_t changed_us;
};

/* The collection as stored; made (phase new, no wipe) if it is new to this pipeline. Another
 * pipeline that has it is an error. */
int state_collection_open(struct state *s, const char *pipeline, const char *module,
                          const char *name, const char *fingerprint, struct state_collection *ret,
                          struct err *err) must_check;
/* Back to new, with `wipe` set and its chunks and parked changes forgotten. */
int state_collection_reset(struct state *s, const char *pipeline, const char *module,
                           const char *name, const char *fingerprint, struct err *err) must_check;
/* A step that the diagram does not have is ERR_INTERNAL. 1: it is stopped meanwhile, and stays so.
 */
int state_collection_set_phase(struct state *s, const char *pipeline, const char *name,
                               enum state_phase phase, lsn_t catch_up_lsn,
                               struct err *err) must_check;
/* To stopped, from anywhere; the first reason stays. */
int state_collection_stop(struct state *s, const char *pipeline, const char *name, lsn_t lsn,
                          const char *reason, struct err *err) must_check;
/* What is wrong with a collection that streams all the same; "": nothing. In another phase it is
 * not noted. */
int state_collection_note(struct state *s, const char *pipeline, const char *name, const char *note,
                          struct err *err) must_check;
/* pipeline NULL: of all. free() it. */
int state_collection_list(struct state *s, const char *pipeline, struct state_collection **ret,
                          size_t *ret_count, struct err *err) must_check;

/* ---- chunks of a snapshot ---- */

struct state_chunk {
    int64_t number; /* from 1 */
    char *lower;    /* blob; NULL: open */
    size_t lower_len;
    char *upper;
    size_t upper_len;
};
void state_chunk_clear(struct state_chunk *c);

int state_chunk_add(struct state *s, const char *pipeline, const char *collection, int64_t number,
                    struct span lower, struct span upper, struct err *err) must_check;
int state_chunk_done(struct state *s, const char *pipeline, const char *collection, int64_t number,
                     int64_t documents, struct err *err) must_check;
int state_chunk_last(struct state *s, const char *pipeline, const char *collection,
                     struct state_chunk *ret, bool *ret_found, struct err *err) must_check;
/* Chunks that are not done. free() the array after clearing each, on an error too. */
int state_chunks_open(struct state *s, const char *pipeline, const char *collection,
                      struct state_chunk **ret, size_t *ret_count, struct err *err) must_check;

/* ---- parked documents: what cannot be written now ----
 *
 * One row a document: the operation that waits is always "read the row again, and write or delete",
 * so later changes need not be kept. A deferred one is tried again by the run itself; one that is
 * not waits for a person, or for a later change of the document that succeeds.
 */
struct state_parked {
    int64_t id;
    char pipeline[STATE_NAME_MAX];
    char collection[STATE_NAME_MAX];
    char reason[ERR_TEXT_MAX];
    int code; /* of MongoDB; 0: ours */
    lsn_t first_lsn, last_lsn;
    int attempts;
    bool deferred;
    int64_t parked_us; /* wall clock, of the first failure */
    char *identity;    /* BSON {_id: ...} */
    size_t identity_len;
    char *key; /* keyblob of the id columns */
    size_t key_len;
};
void state_parked_clear(struct state_parked *p);
/* Pipeline, collection, reason, code, last_lsn and deferred count. A document that is there already
 * gets the newer ones, and one attempt more. */
int state_parked_put(struct state *s, const struct state_parked *p, struct span identity,
                     struct span key, struct err *err) must_check;
/* Not there: fine. */
int state_parked_delete(struct state *s, const char *pipeline, const char *collection,
                        struct span identity, struct err *err) must_check;
/* All of the collection. */
int state_parked_delete_all(struct state *s, const char *pipeline, const char *collection,
                            struct err *err) must_check;
int state_parked_get(struct state *s, int64_t id, struct state_parked *ret, bool *ret_found,
                     struct err *err) must_check;
/* pipeline NULL: of all. */
int state_parked_count(struct state *s, const char *pipeline, int64_t *ret,
                       struct err *err) must_check;
/* By id, those above `after`, at most `max`; pipeline NULL: of all. free() the array after clearing
 * each, on an error too. */
int state_parked_list(struct state *s, const char *pipeline, int64_t after, size_t max,
                      struct state_parked **ret, size_t *ret_count, struct err *err) must_check;

/* ---- fan-outs: documents to be read again in the background ----
 *
 *   (change of a row in very many documents) -> waiting -> running, page by page -> gone
 *
 * What waits is started after what it was added for, so a change that finds its fan-out waiting
 * needs no second one; one that finds it running adds another. The running ones of a pipeline
 * always are one group: same collection, path, kind and cursor. Ids only grow.
 */
enum state_fanout_kind {
    STATE_FANOUT_ROOTS,  /* every document of the collection; no key */
    STATE_FANOUT_JOINS,  /* those in which rows with these join values stand */
    STATE_FANOUT_HOLDERS /* those that hold rows with these keys in the target */
};

struct state_fanouts {
    char collection[STATE_NAME_MAX];
    char *path; /* of the plan node */
    enum state_fanout_kind kind;
    struct state_fanout_key {
        char *bytes; /* keyblob */
        size_t len;
    } * keys;
    size_t count;
    char *cursor; /* NULL: at the beginning */
    size_t cursor_len;
    int64_t documents; /* read again so far */
};
void state_fanouts_clear(struct state_fanouts *f);

/* One for each key; durable when it returns. */
int state_fanouts_add(struct state *s, const char *pipeline, const char *collection,
                      const char *path, enum state_fanout_kind kind, const struct span *keys,
                      size_t count, struct err *err) must_check;
/* The group that runs; else the oldest of those that wait, with up to `max` alike, is started.
 * count 0: there is none. */
int state_fanouts_start(struct state *s, const char *pipeline, size_t max,
                        struct state_fanouts *ret, struct err *err) must_check;
/* The running group has come to this cursor. */
int state_fanouts_advance(struct state *s, const char *pipeline, struct span cursor,
                          int64_t documents, struct err *err) must_check;
int state_fanouts_finish(struct state *s, const char *pipeline, struct err *err) must_check;

/* What is left: of one collection, or (NULL) of all. oldest, newest 0: nothing. */
struct state_fanouts_left {
    int64_t oldest, newest; /* ids */
    int64_t count;
    int64_t documents; /* done by the running group */
};
int state_fanouts_left(struct state *s, const char *pipeline, const char *collection,
                       struct state_fanouts_left *ret, struct err *err) must_check;

/* The fan-outs that there were when the mark was first asked; {0} at first. */
struct state_fanout_mark {
    bool taken;
    int64_t newest; /* id */
};
/* Whether all of them are through; what came later is not waited for. collection NULL: of all. */
int state_fanouts_passed(struct state *s, const char *pipeline, const char *collection,
                         struct state_fanout_mark *mark, bool *ret_passed,
                         struct err *err) must_check;

/* ---- requests of other commands to a run ---- */

struct state_request {
    int64_t id;
    char collection[STATE_NAME_MAX];
    char *key; /* keyblob of the id columns */
    size_t key_len;
    int64_t drop; /* id of a parked document to be forgotten; 0: the row is read again */
    bool rewrite; /* the document is deleted first */
};
/* "repair": read the row again and write, or delete, its document. */
int state_request_add(struct state *s, const char *pipeline, const char *collection,
                      struct span key, struct err *err) must_check;
/* "rewrite": the same, but the document is deleted first: a replacement keeps the type of `_id`. */
int state_request_add_rewrite(struct state *s, const char *pipeline, const char *collection,
                              struct span key, struct err *err) must_check;
/* "drop": forget that the document is parked; what the target holds stays as it is. */
int state_request_add_drop(struct state *s, const struct state_parked *parked,
                           struct err *err) must_check;
/* At most `max` open requests, oldest first. free() each key and the array. */
int state_request_list(struct state *s, const char *pipeline, size_t max,
                       struct state_request **ret, size_t *ret_count, struct err *err) must_check;
/* Deletes requests up to and including `id`. */
int state_request_finish(struct state *s, const char *pipeline, int64_t id,
                         struct err *err) must_check;
int state_request_count(struct state *s, const char *pipeline, int64_t *ret,
                        struct err *err) must_check;

/* ---- verification that can be resumed ----
 *
 * One row a collection: how far the comparison has come, and with it, always in one transaction,
 * the documents found so far that may differ. The row belongs to one verification (`owner`, a
 * random number): one that lost it to another goes on, but keeps nothing any more.
 */
enum state_verify_direction { STATE_VERIFY_ROWS, STATE_VERIFY_DOCUMENTS, STATE_VERIFY_SETTLING };

struct state_verify {
    char collection[STATE_NAME_MAX];
    char options[64]; /* of which comparison this is the progress */
    int64_t owner;
    int direction; /* enum state_verify_direction */
    char *cursor;  /* NULL: at the beginning of the direction */
    size_t cursor_len;
    int64_t compared, scanned; /* rows; documents */
    int64_t started_us;        /* wall clock */
};
struct state_candidate {
    struct span identity; /* BSON */
    struct span key;      /* keyblob of the id columns; ptr NULL: names no row */
};
/* free() ret->cursor. */
int state_verify_get(struct state *s, const char *pipeline, const char *collection,
                     struct state_verify *ret, bool *ret_found, struct err *err) must_check;
/* Takes the place of any other; its documents are forgotten. */
int state_verify_begin(struct state *s, const char *pipeline, const struct state_verify *v,
                       struct err *err) must_check;
/* `owner` goes on with what belongs to `before`. *ret_taken false: that is not there any more. */
int state_verify_take(struct state *s, const char *pipeline, const char *collection, int64_t before,
                      int64_t owner, bool *ret_taken, struct err *err) must_check;
/* The new position and what was found up to it: since the last one, or (`replace`) in all.
 * *ret_kept false: it is another's now. */
int state_verify_advance(struct state *s, const char *pipeline, const struct state_verify *v,
                         bool replace, const struct state_candidate *found, size_t count,
                         bool *ret_kept, struct err *err) must_check;
/* In the order in which they were added; the spans hold until `fn` returns. */
int state_verify_candidates(struct state *s, const char *pipeline, const char *collection,
                            int (*fn)(void *context, const struct state_candidate *c,
                                      struct err *err),
                            void *context, struct err *err) must_check;
/* Not there, or another's: fine. */
int state_verify_delete(struct state *s, const char *pipeline, const char *collection,
                        int64_t owner, struct err *err) must_check;

/* ---- what people set while a daemon runs ---- */

struct state_control {
    bool paused;
    int64_t writes_per_second; /* -1: as configured */
};
/* Of a pipeline that nobody set anything for: not paused, as configured. */
int state_control_get(struct state *s, const char *pipeline, struct state_control *ret,
                      struct err *err) must_check;
int state_control_set(struct state *s, const char *pipeline, const struct state_control *control,
                      struct err *err) must_check;

/* ---- the last verification of a module ---- */

struct state_verification {
    char outcome[16]; /* equal, different, unsettled, failed, stopped */
    char error[ERR_TEXT_MAX];
    int64_t compared, different, unsettled, decoder, not_ready;
    int64_t started_us, finished_us; /* wall clock */
    char *differences;               /* a JSON array of the first ones */
};
void state_verification_clear(struct state_verification *v);
int state_verification_put(struct state *s, const char *module, const struct state_verification *v,
                           struct err *err) must_check;
int state_verification_get(struct state *s, const char *module, struct state_verification *ret,
                           bool *ret_found, struct err *err) must_check;

/* ---- statistics by the minute, kept for reports ----
 *
 * One row for each minute, module, kind (http, apply, operation, route), name and side. A batch
 * (what one writer has counted since its last batch) is merged into what is there, as a whole or
 * not at all, and only once: writer and sequence tell one that is sent again.
 */
#define STATE_ROLLUP_ROWS_MAX 10000 /* of one batch */
#define STATE_ROLLUP_DAYS 30        /* that are kept */
#define STATE_ROLLUP_COUNTS(X)                                                                     \
    X(count) X(errors) X(rescued) X(compared) X(real) X(lag) X(unsettled) X(explained)

struct obs_histogram;

struct state_rollup_key {
    const char *module, *kind, *name, *side; /* shorter than STATE_NAME_MAX; "": none */
};

struct state_rollup {
    struct state_rollup_key key;
    int64_t minute; /* since 1970-01-01 UTC; of a sum: the first of its step */
#define STATE_ROLLUP_FIELD(name) int64_t name;
    STATE_ROLLUP_COUNTS(STATE_ROLLUP_FIELD)
#undef STATE_ROLLUP_FIELD
    const struct obs_histogram *histogram;
};

/* `sequence` grows by any step with each batch of a writer; one that is not above the last one
 * merged is left out without an error. */
int state_rollups_write(struct state *s, const char *writer, int64_t sequence,
                        const struct state_rollup *rows, size_t count, struct err *err) must_check;

/* Which ones: NULL in the key is any; minutes from `from` to before `until`. */
struct state_rollup_filter {
    struct state_rollup_key key;
    int64_t from, until;
    int64_t step; /* minutes that are summed; 0: all of them */
};
/* The row is borrowed. Not 0 ends the reading with that code. */
typedef int (*state_rollup_fn)(void *context, const struct state_rollup *row, struct err *err);
/* Sums over each step, in the order of keys, then time. Others can use the file between pages. */
int state_rollups_sum(struct state *s, const struct state_rollup_filter *filter,
                      state_rollup_fn each, void *context, struct err *err) must_check;

/* Rows from `from` on as they are stored, one for each minute, in no order: what is asked often
 * must not read what is kept for long. The file is locked meanwhile. */
int state_rollups_recent(struct state *s, int64_t from, state_rollup_fn each, void *context,
                         struct err *err) must_check;

/* Forgets minutes before `minute`, a thousand in a transaction. */
int state_rollups_expire(struct state *s, int64_t minute, struct err *err) must_check;

/* ---- what people changed about flags, and the audit log ----
 *
 * A flag's version begins at 0 (nobody changed it) and grows by one with each change, a reset
 * included. A change names the version that it was made for: another one in between refuses it.
 * Change and audit line are one transaction.
 */
#define STATE_WHY_MAX 1000      /* bytes of a reason, without NUL */
#define STATE_CHANGES_MAX 65536 /* bytes of the JSON of an override, or of before and after */

struct state_flag {
    char name[STATE_NAME_MAX];
    int64_t version;
    char *changes; /* JSON object; NULL: none */
    bool killed;
    char who[STATE_NAME_MAX];
    char why[STATE_WHY_MAX + 1];
    int64_t changed_us; /* wall clock */
};
void state_flag_clear(struct state_flag *f);

/* Texts are borrowed; NULL is none for `before` and `after` (JSON). */
struct state_audit_line {
    const char *who, *role, *action, *subject, *before, *after, *why;
};

/* Stores f (name, changes, killed; its version is the one it was made for) and the line. Another
 * version in the file: *ret_version is that one, nothing is stored, 0 is returned and
 * *ret_conflict true. Else *ret_version is the new one. who, why and when come from the line. */
int state_flag_change(struct state *s, const struct state_flag *f,
                      const struct state_audit_line *line, int64_t *ret_version, bool *ret_conflict,
                      struct err *err) must_check;
/* As another instance made it, version, who, why and when included; the line says so. */
int state_flag_put(struct state *s, const struct state_flag *f, const struct state_audit_line *line,
                   struct err *err) must_check;
/* Of a flag that nobody changed: version 0. */
int state_flag_get(struct state *s, const char *name, struct state_flag *ret,
                   struct err *err) must_check;
/* All that were ever changed, by name. free() the array after clearing each, on an error too. */
int state_flag_list(struct state *s, struct state_flag **ret, size_t *ret_count,
                    struct err *err) must_check;

/* The flags that are on for everybody now: one that was not gets `now_us`, the others are
 * forgotten. */
int state_flags_full(struct state *s, const char *const *names, size_t count, int64_t now_us,
                     struct err *err) must_check;
/* 0: not on for everybody. */
int state_flag_full_since(struct state *s, const char *name, int64_t *ret_us,
                          struct err *err) must_check;
/* How many have been so since `until_us` at least. */
int state_flags_full_count(struct state *s, int64_t until_us, int64_t *ret_count,
                           struct err *err) must_check;

/* ---- who answers a module's requests, as people set it ---- */

/* A version as of a flag. Empty texts and -1: as configured. */
struct state_routing {
    char module[STATE_NAME_MAX];
    int64_t version;
    char reads[16], writes[16];
    int fallback;
};
/* Of a module that nobody set anything for: version 0. */
int state_routing_get(struct state *s, const char *module, struct state_routing *ret,
                      struct err *err) must_check;
/* Stores it and the line, as state_flag_change does. */
int state_routing_change(struct state *s, const struct state_routing *r,
                         const struct state_audit_line *line, int64_t *ret_version,
                         bool *ret_conflict, struct err *err) must_check;

struct state_audit {
    int64_t id; /* only grows */
    int64_t at_us;
    char who[STATE_NAME_MAX];
    char role[32];
    char action[64];
    char subject[STATE_NAME_MAX];
    char why[STATE_WHY_MAX + 1];
    char *before, *after; /* JSON; NULL: none */
};
void state_audit_clear(struct state_audit *a);
int state_audit_add(struct state *s, const struct state_audit_line *line,
                    struct err *err) must_check;
/* Those with an id below `before` (0: the newest), newest first, at most `max`. free() the array
 * after clearing each, on an error too. */
int state_audit_list(struct state *s, int64_t before, size_t max, struct state_audit **ret,
                     size_t *ret_count, struct err *err) must_check;
/* The newest of an action and subject; *ret_found false: there is none. state_audit_clear it. */
int state_audit_last(struct state *s, const char *action, const char *subject,
                     struct state_audit *ret, bool *ret_found, struct err *err) must_check;

#endif

/*
 * Step 7 of 8: gets a lane's folded operations, at most one for each document, and makes the
 * target hold them; gives back what became of each.
 *
 * Sent as runs of deletes, updates, inserts: unordered commands of up to batch.operations and
 * 4 MiB. Every call ends with a final outcome for each operation, however long that takes: errors
 * that pass are retried with backoff and jitter, only what writeErrors names is sent again, a
 * write-concern error is not an acknowledgement, and after an ambiguous failure nothing is sent
 * until the old command is known to be over. An INSERT that meets a duplicate `_id` becomes a PUT.
 * @thread lane
 */
#ifndef BANYAN_APPLY_WRITER_H
#define BANYAN_APPLY_WRITER_H

#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum target_op_kind {
    TARGET_INSERT, /* document that is most likely not there: the snapshot, an INSERT */
    TARGET_PUT,    /* the document is exactly this: replace, or insert */
    TARGET_SET,    /* update of some fields; never creates a document */
    TARGET_DELETE
};

enum target_outcome {
    TARGET_DONE,
    TARGET_ALREADY, /* an INSERT of a snapshot chunk met its `_id`: already copied */
    TARGET_MISSING, /* a SET found no document */
    TARGET_REFUSED  /* will never succeed as it is: `reason` says why */
};

struct target_op {
    enum target_op_kind kind;
    struct span id;       /* BSON document {"_id": value}: the filter */
    struct span document; /* INSERT, PUT: the whole document. SET: {"$set": …, "$unset": …} */
    enum target_outcome outcome;
    int code;           /* TARGET_REFUSED: MongoDB's error code, 0 for ours */
    const char *reason; /* TARGET_REFUSED: text, valid until the next call of the writer */
};

struct writer;

struct writer_config {
    const char *uri;
    const char *database;
    const char *app; /* own application name, unique among the pipeline's connections */
    int64_t batch_operations;
    bool snapshot; /* a duplicate `_id` on INSERT is TARGET_ALREADY, not a PUT */
    uint64_t seed; /* for jitter */
};

/* Connects. Strings are borrowed for the writer's life. */
int writer_new(const struct writer_config *config, struct writer **ret_writer,
               struct err *err) must_check;
void writer_free(struct writer *w);

/* All ops have an outcome on 0. ERR_STOPPED when stop was requested while a retry waited: nothing
 * is known then about ops without outcome, as after a crash. ERR_TARGET: the target cannot be used
 * at all (authentication, no right to write, quiesce ran out of time). */
int writer_write(struct writer *w, const char *collection, struct target_op *ops, size_t count,
                 struct err *err) must_check;

/* Commands, or parts of them, that were sent again. Any thread. */
uint64_t writer_retries(const struct writer *w);

#endif

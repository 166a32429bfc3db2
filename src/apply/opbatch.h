/*
 * Operations under construction: BSON in one buffer, sent by one writer_write.
 * One thread.
 */
#ifndef BANYAN_APPLY_OPBATCH_H
#define BANYAN_APPLY_OPBATCH_H

#include "apply/writer.h"
#include "base/buf.h"

/* A batch of operations is sent when it holds this much; one document may be larger. */
#define OPBATCH_BYTES ((size_t)4 * 1024 * 1024)
#define OPBATCH_MAX ((size_t)80 * 1024 * 1024)

struct opbatch {
    struct buf bytes;
    struct target_op *ops;
    struct opbatch_place *places; /* offsets, turned into spans when the batch is sent */
    size_t count, cap;
};

void opbatch_init(struct opbatch *b);
void opbatch_release(struct opbatch *b);
void opbatch_clear(struct opbatch *b);

/* Starts an operation on the document `identity`; append its document to b->bytes, then call
 * opbatch_end. opbatch_cancel instead forgets it. */
void opbatch_begin(struct opbatch *b, enum target_op_kind kind, struct span identity);
void opbatch_end(struct opbatch *b);
void opbatch_cancel(struct opbatch *b);

bool opbatch_is_full(const struct opbatch *b, int64_t operations);

/* The operations, with spans that hold until the batch is changed. */
struct target_op *opbatch_ops(struct opbatch *b);

#endif

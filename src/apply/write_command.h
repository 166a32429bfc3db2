/*
 * Write commands and their replies, as bytes: pure.
 */
#ifndef BANYAN_APPLY_WRITE_COMMAND_H
#define BANYAN_APPLY_WRITE_COMMAND_H

#include "apply/writer.h"
#include "base/buf.h"
#include "db/mongo.h"

/* Builds {insert|update|delete: collection, ordered: false, ...} over ops[which[i]]. All are of
 * `kind`. False when it does not fit into the buffer. */
bool write_command_build(struct buf *out, const char *collection, enum target_op_kind kind,
                         const struct target_op *ops, const uint32_t *which, size_t count);

/* What one operation of the command met; `code` 0: no error. */
struct write_error {
    int code;
    bool duplicate_id;   /* 11000 on the index of _id */
    struct span message; /* points into the reply */
};

struct write_reply {
    int64_t n;
    int concern_code; /* writeConcernError; 0: acknowledged */
    struct span concern_message;
};

/* Reads a reply to `count` operations; errors[i] is filled for each. ERR_WIRE when the reply cannot
 * be one to this command. */
int write_reply_read(const bson_t *reply, size_t count, struct write_error *errors,
                     struct write_reply *ret, struct err *err) must_check;

#endif

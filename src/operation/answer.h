/* Rows of one side, collected under the rules of an operation. Private to operation/. */
#ifndef BANYAN_OPERATION_ANSWER_H
#define BANYAN_OPERATION_ANSWER_H

#include "model/bsonw.h"
#include "operation/operation.h"

/* Fills ret->bson row by row; the answer is the caller's, and must not move. */
struct answer_writer {
    const struct conf_operation *operation;
    struct operation_answer *answer;
    struct bsonw w;
};

void answer_begin(struct answer_writer *w, const struct conf_operation *o,
                  struct operation_answer *answer);
/* Opens a row, which the caller fills and closes with bsonw_close. ERR_VALUE, ERR_LIMIT: it would
 * break a rule (returns: one), or a limit. */
int answer_row(struct answer_writer *w, struct err *err) must_check;
/* Whether what was written so far fits. */
int answer_fits(struct answer_writer *w, struct err *err) must_check;
/* OPERATION_OK or OPERATION_NO_ROW. */
int answer_end(struct answer_writer *w, struct err *err) must_check;

/* The answer becomes a failure. */
void answer_fail(struct operation_answer *answer, enum operation_outcome outcome,
                 const struct err *err);

#endif

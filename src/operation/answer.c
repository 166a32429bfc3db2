#include "operation/answer.h"

const char *operation_outcome_name(enum operation_outcome outcome) {
    static const char *const names[] = {
#define OPERATION_OUTCOME_NAME(id, text) [id] = (text),
        OPERATION_OUTCOMES(OPERATION_OUTCOME_NAME)
#undef OPERATION_OUTCOME_NAME
    };
    return names[outcome];
}

void operation_answer_release(struct operation_answer *a) {
    buf_release(&a->bson);
    *a = (struct operation_answer){0};
}

void answer_begin(struct answer_writer *w, const struct conf_operation *o,
                  struct operation_answer *answer) {
    operation_answer_release(answer);
    answer->bson.max = OPERATION_RESULT_MAX;
    w->operation = o;
    w->answer = answer;
    bsonw_begin(&w->w, &answer->bson);
}

int answer_row(struct answer_writer *w, struct err *err) {
    struct bsonw_index room;
    size_t row = w->answer->rows++;
    if (row == 1 && w->operation->returns == CONF_RETURNS_ONE)
        return err_set(err, ERR_VALUE, "operation '%s' returns one row, but there is another",
                       w->operation->name.text);
    if (row == OPERATION_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d rows; limit them in the operation",
                       OPERATION_ROWS_MAX);
    bsonw_doc_open(&w->w, bsonw_index_key(&room, (uint32_t)row));
    return 0;
}

int answer_fits(struct answer_writer *w, struct err *err) {
    if (bsonw_ok(&w->w))
        return 0;
    return err_set(err, ERR_LIMIT,
                   "more than %d MiB of rows, or nested too deep; limit them in the operation",
                   OPERATION_RESULT_MAX / (1024 * 1024));
}

int answer_end(struct answer_writer *w, struct err *err) {
    bsonw_end(&w->w);
    int rc = answer_fits(w, err);
    if (rc < 0)
        return rc;
    bool none = w->answer->rows == 0 && w->operation->returns == CONF_RETURNS_ONE;
    w->answer->outcome = none ? OPERATION_NO_ROW : OPERATION_OK;
    return 0;
}

void answer_fail(struct operation_answer *answer, enum operation_outcome outcome,
                 const struct err *err) {
    operation_answer_release(answer);
    answer->outcome = outcome;
    answer->err = *err;
}

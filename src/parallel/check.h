/*
 * One call of an operation that both sides have answered, compared as the parallel run compares:
 * by the mapping, which is read from the source, and by what `compare` says.
 */
#ifndef BANYAN_PARALLEL_CHECK_H
#define BANYAN_PARALLEL_CHECK_H

#include "operation/operation.h"
#include "parallel/answer.h"

/* Both calls are of the same operation of `conf`. COMPARABLE in *ret_reason, with *ret in `memory`;
 * or why they cannot be compared. Masked values are masked in what is returned. */
int parallel_check(const struct conf *conf, const struct operation_call *sql,
                   const struct operation_call *mongodb, struct arena *memory,
                   enum parallel_reason *ret_reason, struct answer_compared *ret,
                   struct err *err) must_check;

#endif

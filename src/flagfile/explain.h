/*
 * Which step of a flag decided for somebody: for people, and so never in the way of an evaluation.
 */
#ifndef BANYAN_FLAGFILE_EXPLAIN_H
#define BANYAN_FLAGFILE_EXPLAIN_H

#include "flagfile/snapshot.h"

/* "listed in enabled_for_users", "rule 2", "rollout_percentage 12.5" ...: appended to `out`. It
 * asks the evaluator itself about parts of the flag, so the two cannot differ. */
int explain(const struct snapshot *snapshot, size_t flag, const struct flags_context *context,
            struct buf *out, struct err *err) must_check;

#endif

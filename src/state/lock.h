/*
 * One process for a pipeline: a lock beside the state file.
 *
 * "<state>.lock" is locked shared by a run of one module and exclusively by `run all`, so these
 * exclude each other; "<state>.<module>.lock" is locked exclusively by the module's run. The files
 * hold who has them, for the message to the second process. The kernel drops the locks when a
 * process ends, however it ends. Locks are of the open file (OFD), so threads don't matter.
 */
#ifndef BANYAN_STATE_LOCK_H
#define BANYAN_STATE_LOCK_H

#include "base/err.h"

#include <stdbool.h>

#define STATE_HOLDER_MAX                                                                           \
    256 /* bytes of "pid 7 on db1, `banyan run shop`, since 2026-…", with NUL */

struct state_lock;

/* ERR_BUSY names the process that has it, since when, and what it runs. */
int state_lock_acquire(const char *state_path, const char *pipeline, const char *command,
                       struct state_lock **ret_lock, struct err *err) must_check;
void state_lock_free(struct state_lock *lock);
DEFINE_CLEANUP(struct state_lock *, state_lock_free)

/* Whether somebody has the pipeline now; `holder` gets their description ("" if nobody). */
int state_lock_peek(const char *state_path, const char *pipeline, bool *ret_held,
                    char holder[STATE_HOLDER_MAX], struct err *err) must_check;

#endif

/*
 * A running daemon, as commands talk to it. Flags and routing are shared files that it looks at by
 * itself: a command only asks whether it has seen what was made durable. What only a daemon can do
 * at once is asked of its API.
 */
#ifndef BANYAN_CLI_REMOTE_H
#define BANYAN_CLI_REMOTE_H

#include "cli/cli.h"

enum remote_answer { REMOTE_NOT_THERE, REMOTE_IN_USE, REMOTE_NOT_YET };

/* Whether the daemon on `listen` uses this version of the flag, or a later one, within `wait_us`.
 * Nobody listens: REMOTE_NOT_THERE and 0. */
int remote_flag_in_use(const struct cli *cli, const char *flag, int64_t version, int64_t wait_us,
                       enum remote_answer *ret_answer, struct err *err) must_check;

/* The daemons that share flags with the one here, and its edges, that do not use what it uses,
 * within `wait_us`: one line each, into `out`; empty: all do. */
int remote_unconfirmed(const struct cli *cli, int64_t wait_us, struct buf *out,
                       struct err *err) must_check;

/* Whether no daemon here reaches the Redis by which flags are shared. What others have changed has
 * come here when it returns false. */
bool remote_redis_is_away(const struct cli *cli);

/* before + the name percent-encoded (names are any text) + after; free() it. */
char *remote_path(const char *before, const char *name, const char *after);

/* A call of the daemon's API. *ret_status 0: no daemon listens here. ERR_UNREACHABLE: one does, and
 * does not answer; ERR_ACCESS: it does not know our token. */
int remote_call(const struct cli *cli, const char *method, const char *path, struct span body,
                int *ret_status, struct buf *ret_body, struct err *err) must_check;

/* The error that an answer with this status is. */
int remote_failure(const struct cli *cli, int status, struct span body, struct err *err) must_check;

#endif

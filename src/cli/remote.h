/*
 * A running daemon, as a command asks it whether it has seen what was just made durable. State and
 * blob are shared files that the daemon looks at by itself, so nothing has to be sent: without a
 * daemon a command has the same effect.
 */
#ifndef BANYAN_CLI_REMOTE_H
#define BANYAN_CLI_REMOTE_H

#include "cli/cli.h"

enum remote_answer { REMOTE_NOT_THERE, REMOTE_IN_USE, REMOTE_NOT_YET };

/* Whether the daemon on `listen` uses this version of the flag, or a later one, within `wait_us`.
 * Nobody listens: REMOTE_NOT_THERE and 0. */
int remote_flag_in_use(const struct cli *cli, const char *flag, int64_t version, int64_t wait_us,
                       enum remote_answer *ret_answer, struct err *err) must_check;

#endif

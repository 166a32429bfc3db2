/*
 * Runs a program of the user, without a shell, with bytes on its standard input.
 */
#ifndef BANYAN_ADMIN_ALERT_COMMAND_H
#define BANYAN_ADMIN_ALERT_COMMAND_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Waits for its end, at most `limit_us`; then, or when `*stop` becomes true, it and what it started
 * in its process group are killed. The program has our environment and standard error, no standard
 * output, and no other descriptor of ours. 0 only for exit code 0; everything else is
 * ERR_UNREACHABLE.
 */
int alert_command_run(char *const *argv, struct span input, int64_t limit_us,
                      const atomic_bool *stop, struct err *err) must_check;

#endif

/*
 * `banyan serve`: every module's pipeline in one process, and what people and programs ask of it.
 *
 * Threads: main (this loop: signals, files that changed, the clock), one and its own for each
 * pipeline, those of the HTTP server, one for each verification that runs. They share the state
 * and `struct service`, whose parts say who may touch them.
 */
#ifndef BANYAN_ADMIN_DAEMON_H
#define BANYAN_ADMIN_DAEMON_H

#include "base/err.h"
#include "conf/conf.h"

struct daemon_options {
    const char *config_path; /* read again on SIGHUP and when it changes */
    const char *state_path;
};

/* Returns when the program was asked to stop and everything has ended in good order: 0; or with
 * what kept it from starting. @thread main */
int daemon_run(const struct conf *conf, const struct daemon_options *options,
               struct err *err) must_check;

#endif

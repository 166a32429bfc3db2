/*
 * One nginx that we run: its configuration tested and put in place, the process started, watched,
 * told to read again, ended.
 *
 * nginx detaches itself: it goes on when we end, and who comes next finds it by its pid file. So
 * neither a restart of ours nor our death concerns a request. @thread one at a time
 */
#ifndef BANYAN_GATEWAY_NGINX_H
#define BANYAN_GATEWAY_NGINX_H

#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <sys/types.h>

struct nginx {
    const char *program; /* absolute */
    const char *folder;  /* absolute; nginx.conf and nginx.pid stand in it */
};

/* `name` with a slash is a path; else it is looked up in PATH and in the sbin folders. free() it.
 */
int nginx_find(const char *name, char **ret_program, struct err *err) must_check;

/* The master that runs with our configuration; 0: none. */
pid_t nginx_pid(const struct nginx *n);

/* "nginx/1.22.1". */
int nginx_version(const struct nginx *n, char *ret, size_t size, struct err *err) must_check;

/* Whether nginx takes `text` as its configuration. ERR_CONF with nginx's own words. */
int nginx_test(const struct nginx *n, struct span text, struct err *err) must_check;

/* Puts `text` in place as the file `name`. Where it is another than before, a reload is due from
 * then on until nginx was told, whoever asks: a file says so, that outlives us. */
int nginx_put(const struct nginx *n, const char *name, struct span text,
              struct err *err) must_check;
bool nginx_is_due(const struct nginx *n);
void nginx_was_told(const struct nginx *n); /* nginx_start and nginx_reload say it themselves */

/* The same with nginx.conf, after nginx has found it good: on failure what was there stays.
 * ERR_CONF with nginx's own words. */
int nginx_configure(const struct nginx *n, struct span text, struct err *err) must_check;

/* ERR_UNREACHABLE with nginx's own words (a port in use). */
int nginx_start(const struct nginx *n, struct err *err) must_check;

/* Reads its configuration again; requests under way are not touched. */
int nginx_reload(const struct nginx *n, struct err *err) must_check;

/* After what is under way, at most `wait_us`; then at once. */
int nginx_stop(const struct nginx *n, int64_t wait_us, struct err *err) must_check;

/* Runs a command by /bin/sh, at most 30 s; its words when it fails. */
int nginx_command(const char *command, struct err *err) must_check;

#endif

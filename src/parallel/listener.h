/*
 * Frames from nginx's workers (route/frame.h), each worker on a connection of its own. The listener
 * reads and hands on, in its thread: whoever takes must not wait.
 */
#ifndef BANYAN_PARALLEL_LISTENER_H
#define BANYAN_PARALLEL_LISTENER_H

#include "base/err.h"
#include "route/frame.h"

#define LISTENER_CONNECTIONS_MAX 1024 /* nginx's workers */

/* Frames are borrowed until the call ends. */
struct listener_sink {
    void (*sample)(void *context, struct span frame); /* not looked into yet */
    void (*statistics)(void *context, const struct frame_statistics *f);
    void (*broken)(void *context); /* a connection sent what is none of ours, and was closed */
    void *context;
    /* Those that had come together are handed on. May be NULL. */
    void (*end)(void *context);
};

struct listener;

/* A socket at `path` that is there already belongs to a daemon that was killed. ERR_CONF,
 * ERR_STATE.
 */
int listener_start(const char *path, const struct listener_sink *sink, struct listener **ret,
                   struct err *err) must_check;
void listener_stop(struct listener *l); /* NULL is fine */
uint64_t listener_connections(const struct listener *l);

#endif

/*
 * The stop flag: one of the three mutable globals (log level, metrics, stop flag).
 *
 * SIGINT and SIGTERM set it; every loop that waits looks at it, and stop_wait wakes at once when
 * it is set. stop_request is async-signal-safe. Any thread.
 *
 * A part of the program that can be stopped alone (one of several pipelines) has a scope: a thread
 * that entered it, and every thread that thread_start makes from there, sees the scope's stop as
 * well as the program's, and what it asks for by stop_force concerns the scope only.
 */
#ifndef BANYAN_BASE_STOP_H
#define BANYAN_BASE_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* Installs handlers for SIGINT and SIGTERM and ignores SIGPIPE. Once, from main, before threads. */
void stop_install(void);
void stop_request(void);
bool stop_requested(void);

struct stop_scope;
struct stop_scope *stop_scope_new(void);
void stop_scope_free(struct stop_scope *scope); /* after its threads have ended */
/* This thread belongs to it from now on; NULL: to none. */
void stop_scope_enter(struct stop_scope *scope);
struct stop_scope *stop_scope_current(void);
void stop_scope_request(struct stop_scope *scope);

/* The second stage: what is under way may no longer finish (a second signal, or the time to drain
 * is over). Waits for servers and retries end only now. */
void stop_force(void);
bool stop_forced(void);

/* Waits `us` microseconds or until the stop is forced; true if it is. */
bool stop_forced_wait(int64_t us);

/* Waits `us` microseconds or until stop is requested; true if it was. */
bool stop_wait(int64_t us);

/* A descriptor that becomes readable when stop is requested; for poll. -1 before stop_install. In a
 * scope: when the scope is asked to stop, so whoever owns scopes passes the program's stop on. */
int stop_fd(void);

#endif

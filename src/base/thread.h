/*
 * Threads that belong where they were made: the new thread is in the stop scope of its maker. Its
 * locale is C, whatever the process has: numbers have a point, messages are English.
 */
#ifndef BANYAN_BASE_THREAD_H
#define BANYAN_BASE_THREAD_H

#include "base/compiler.h"

#include <locale.h>
#include <pthread.h>
#include <stdbool.h>

/* False: the system has no room for another thread. */
bool thread_start(pthread_t *ret_thread, void *(*main)(void *), void *argument) must_check;

/* The same locale for a thread that somebody else has made. Gives what it had, for uselocale. */
locale_t thread_plain_locale(void);

/* The calling thread makes way for others from now on: nobody waits for what it does. */
void thread_make_way(void);

#endif

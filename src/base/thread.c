#include "base/thread.h"

#include "base/mem.h"
#include "base/stop.h"

#include <sys/resource.h>
#include <unistd.h>

#define NICER 10 /* a tenth of the processor where all of it is asked for (sched(7)) */

struct start {
    void *(*main)(void *);
    void *argument;
    struct stop_scope *scope;
};

static void *thread_main(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    stop_scope_enter(start.scope);
    (void)thread_plain_locale();
    return start.main(start.argument);
}

bool thread_start(pthread_t *ret_thread, void *(*main)(void *), void *argument) {
    struct start *start = mem_alloc(sizeof *start);
    *start = (struct start){.main = main, .argument = argument, .scope = stop_scope_current()};
    if (pthread_create(ret_thread, NULL, thread_main, start) == 0)
        return true;
    free(start);
    return false;
}

/* The C locale needs no room, so it is there always, and never freed. */
locale_t thread_plain_locale(void) {
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

void thread_make_way(void) {
    int most = 19, nice = getpriority(PRIO_PROCESS, 0) + NICER;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice < most ? nice : most);
}

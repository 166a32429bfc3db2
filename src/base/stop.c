#include "base/stop.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct stop_scope {
    atomic_bool requested, forced;
    int event_fd;
};

static struct stop_scope program = {.event_fd = -1};
static _Thread_local struct stop_scope *current;

static void request(struct stop_scope *scope) {
    atomic_store(&scope->requested, true);
    if (scope->event_fd >= 0) {
        uint64_t one = 1;
        ssize_t ignored = write(scope->event_fd, &one, sizeof one);
        (void)ignored;
    }
}

void stop_request(void) {
    int saved = errno;
    request(&program);
    errno = saved;
}

static void on_signal(int number) {
    (void)number;
    if (atomic_load(&program.requested))
        atomic_store(&program.forced, true);
    stop_request();
}

struct stop_scope *stop_scope_new(void) {
    struct stop_scope *scope = mem_zalloc(1, sizeof *scope);
    scope->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return scope;
}

void stop_scope_free(struct stop_scope *scope) {
    if (!scope)
        return;
    if (scope->event_fd >= 0)
        close(scope->event_fd);
    free(scope);
}

void stop_scope_enter(struct stop_scope *scope) {
    current = scope;
}

struct stop_scope *stop_scope_current(void) {
    return current;
}

void stop_scope_request(struct stop_scope *scope) {
    request(scope);
}

void stop_install(void) {
    program.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

bool stop_requested(void) {
    return atomic_load(&program.requested) || (current && atomic_load(&current->requested));
}

int stop_fd(void) {
    return current ? current->event_fd : program.event_fd;
}

bool stop_wait(int64_t us) {
    int64_t until = clock_mono_us() + us;
    for (;;) {
        if (stop_requested())
            return true;
        int64_t left = until - clock_mono_us();
        if (left <= 0)
            return false;
        struct pollfd p[] = {{.fd = program.event_fd, .events = POLLIN},
                             {.fd = stop_fd(), .events = POLLIN}};
        poll(p, 2, (int)(left / 1000 + 1)); /* a negative descriptor is ignored */
    }
}

void stop_force(void) {
    struct stop_scope *scope = current ? current : &program;
    atomic_store(&scope->forced, true);
    request(scope);
}

bool stop_forced(void) {
    return atomic_load(&program.forced) || (current && atomic_load(&current->forced));
}

/* The event is readable from the first stage on, so this one looks at the flag in short steps. */
bool stop_forced_wait(int64_t us) {
    int64_t until = clock_mono_us() + us;
    for (;;) {
        int64_t left = until - clock_mono_us();
        if (stop_forced())
            return true;
        if (left <= 0)
            return false;
        poll(NULL, 0, (int)((left < 50000 ? left : 50000) / 1000 + 1));
    }
}

#include "base/stop.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_bool requested;
static atomic_bool forced;
static int event_fd = -1;

void stop_request(void) {
    int saved = errno;
    atomic_store(&requested, true);
    if (event_fd >= 0) {
        uint64_t one = 1;
        ssize_t ignored = write(event_fd, &one, sizeof one);
        (void)ignored;
    }
    errno = saved;
}

static void on_signal(int number) {
    (void)number;
    if (atomic_load(&requested))
        atomic_store(&forced, true);
    stop_request();
}

void stop_install(void) {
    event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

bool stop_requested(void) {
    return atomic_load(&requested);
}

int stop_fd(void) {
    return event_fd;
}

bool stop_wait(int64_t us) {
    int64_t until = clock_mono_us() + us;
    for (;;) {
        if (stop_requested())
            return true;
        int64_t left = until - clock_mono_us();
        if (left <= 0)
            return false;
        struct pollfd p = {.fd = event_fd, .events = POLLIN};
        poll(&p, event_fd >= 0 ? 1 : 0, (int)(left / 1000 + 1));
    }
}

void stop_force(void) {
    atomic_store(&forced, true);
    stop_request();
}

bool stop_forced(void) {
    return atomic_load(&forced);
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

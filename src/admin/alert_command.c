#include "admin/alert_command.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100 /* how often a wait looks whether it was asked to stop */

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int input) {
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored in this process, and that would be inherited */
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    int rc = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    return rc;
}

static int spawn(char *const *argv, int input, pid_t *ret_pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = prepare(&actions, &attributes, input);
    if (rc == 0)
        rc = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

struct run {
    int input; /* our end; -1: everything is written, or nobody reads it */
    int process;
    struct span left;
    int64_t until_us;
    const atomic_bool *stop;
};

static void feed(struct run *r) {
    ssize_t n = write(r->input, r->left.ptr, r->left.len);
    if (n > 0)
        r->left = span_make(r->left.ptr + n, r->left.len - (size_t)n);
    bool again = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (r->left.len > 0 && (n > 0 || again))
        return;
    close(r->input);
    r->input = -1;
}

/* False: its time is over, or it is to stop. */
static bool wait_for_end(struct run *r) {
    for (;;) {
        int64_t left_us = r->until_us - clock_mono_us();
        if (left_us <= 0 || atomic_load(r->stop))
            return false;
        struct pollfd fds[] = {{.fd = r->process, .events = POLLIN},
                               {.fd = r->input, .events = POLLOUT}};
        int64_t ms = left_us / 1000 + 1;
        if (poll(fds, 2, (int)(ms < LOOK_MS ? ms : LOOK_MS)) <= 0)
            continue;
        if (fds[0].revents)
            return true;
        if (r->input >= 0 && fds[1].revents)
            feed(r);
    }
}

static int outcome(const char *program, int status, bool ended, const struct run *r,
                   struct err *err) {
    if (!ended)
        return err_set(err, ERR_UNREACHABLE, "%s was killed because %s", program,
                       atomic_load(r->stop) ? "the program stops" : "its time was over");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status))
        return err_set(err, ERR_UNREACHABLE, "%s ended with exit code %d", program,
                       WEXITSTATUS(status));
    return err_set(err, ERR_UNREACHABLE, "%s was ended by signal %d", program, WTERMSIG(status));
}

static int run(char *const *argv, int ends[2], struct run *r, struct err *err) {
    pid_t pid;
    int status = 0;
    int rc = spawn(argv, ends[0], &pid);
    close(ends[0]);
    if (rc != 0) {
        close(ends[1]);
        return err_set(err, ERR_UNREACHABLE, "cannot run %s: %s", argv[0], strerrordesc_np(rc));
    }
    r->input = ends[1];
    r->process = pidfd_open(pid, 0);
    int unwatched = r->process < 0 ? errno : 0;
    bool ended = unwatched == 0 && wait_for_end(r);
    if (!ended)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (r->process >= 0)
        close(r->process);
    if (r->input >= 0)
        close(r->input);
    if (unwatched != 0)
        return err_set(err, ERR_UNREACHABLE, "cannot wait for %s: %s", argv[0],
                       strerrordesc_np(unwatched));
    return outcome(argv[0], status, ended, r, err);
}

int alert_command_run(char *const *argv, struct span input, int64_t limit_us,
                      const atomic_bool *stop, struct err *err) {
    struct run r = {.left = input, .until_us = clock_mono_us() + limit_us, .stop = stop};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, ERR_UNREACHABLE, "cannot run %s: %s", argv[0], strerrordesc_np(errno));
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return run(argv, ends, &r, err);
}

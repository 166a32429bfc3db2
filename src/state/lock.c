#include "state/lock.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct state_lock {
    int all;    /* "<state>.lock" */
    int module; /* "<state>.<module>.lock"; -1 for `all` */
};

static int open_lock(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_STATE, "cannot open lock file %s: %s", path, strerror(errno));
    return fd;
}

/* 1: locked; 0: somebody else has it. */
static int try_lock(int fd, short type, const char *path, struct err *err) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &l) == 0)
        return 1;
    if (errno == EAGAIN || errno == EACCES)
        return 0;
    return err_set(err, ERR_STATE,
                   "cannot lock %s: %s; a network file system may not support locks", path,
                   strerror(errno));
}

static void read_holder(int fd, char *holder, size_t size) {
    ssize_t n = pread(fd, holder, size - 1, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

static void write_holder(int fd, const char *command) {
    char host[65] = "";
    char when[32];
    struct tm t;
    time_t now = (time_t)(clock_wall_us() / 1000000);
    (void)gethostname(host, sizeof host - 1);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &t));
    char text[256];
    int n = snprintf(text, sizeof text, "pid %ld on %s, `banyan %.100s`, since %s\n",
                     (long)getpid(), host, command, when);
    if (n < 0 || ftruncate(fd, 0) < 0)
        return; /* only the message to a second process would be poorer */
    ssize_t ignored = pwrite(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, 0);
    (void)ignored;
}

static char *lock_path(const char *state_path, const char *pipeline) {
    if (strcmp(pipeline, "all") == 0)
        return mem_printf("%s.lock", state_path);
    return mem_printf("%s.%s.lock", state_path, pipeline);
}

static int busy(const char *pipeline, int fd, struct err *err) {
    char holder[256];
    read_holder(fd, holder, sizeof holder);
    return err_set(err, ERR_BUSY, "pipeline %s is held by %s; stop it first", pipeline,
                   holder[0] ? holder : "another process");
}

static int lock_all(struct state_lock *lock, const char *state_path, const char *pipeline,
                    struct err *err) {
    bool whole = strcmp(pipeline, "all") == 0;
    _cleanup_(mem_freep) char *path = lock_path(state_path, "all");
    lock->all = open_lock(path, err);
    if (lock->all < 0)
        return lock->all;
    int rc = try_lock(lock->all, whole ? F_WRLCK : F_RDLCK, path, err);
    return rc == 0 ? busy("all", lock->all, err) : rc < 0 ? rc : 0;
}

static int lock_module(struct state_lock *lock, const char *state_path, const char *pipeline,
                       struct err *err) {
    _cleanup_(mem_freep) char *path = lock_path(state_path, pipeline);
    lock->module = open_lock(path, err);
    if (lock->module < 0)
        return lock->module;
    int rc = try_lock(lock->module, F_WRLCK, path, err);
    return rc == 0 ? busy(pipeline, lock->module, err) : rc < 0 ? rc : 0;
}

int state_lock_acquire(const char *state_path, const char *pipeline, const char *command,
                       struct state_lock **ret_lock, struct err *err) {
    struct state_lock *lock = mem_zalloc(1, sizeof *lock);
    lock->all = lock->module = -1;
    bool whole = strcmp(pipeline, "all") == 0;
    /* The module's own lock first: then the message names the run of that very module. */
    int rc = whole ? 0 : lock_module(lock, state_path, pipeline, err);
    if (rc == 0)
        rc = lock_all(lock, state_path, pipeline, err);
    if (rc < 0) {
        state_lock_free(lock);
        return rc;
    }
    write_holder(lock->all, command); /* of shared holders the last one is named */
    if (!whole)
        write_holder(lock->module, command);
    *ret_lock = lock;
    return 0;
}

void state_lock_free(struct state_lock *lock) {
    if (!lock)
        return;
    if (lock->module >= 0)
        close(lock->module);
    if (lock->all >= 0)
        close(lock->all);
    free(lock);
}

int state_lock_peek(const char *state_path, const char *pipeline, bool *ret_held, char holder[256],
                    struct err *err) {
    _cleanup_(mem_freep) char *path = lock_path(state_path, pipeline);
    *ret_held = false;
    holder[0] = '\0';
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_set(err, ERR_STATE, "cannot open lock file %s: %s", path, strerror(errno));
    /* A run of one module holds "<state>.lock" too, but shared: that is not `run all`. */
    short probe = strcmp(pipeline, "all") == 0 ? F_RDLCK : F_WRLCK;
    struct flock l = {.l_type = probe, .l_whence = SEEK_SET};
    int rc = fcntl(fd, F_OFD_GETLK, &l);
    *ret_held = rc == 0 && l.l_type != F_UNLCK;
    if (*ret_held)
        read_holder(fd, holder, 256);
    close(fd);
    if (rc < 0)
        return err_set(err, ERR_STATE, "cannot look at lock %s: %s", path, strerror(errno));
    return 0;
}

#include "state/lock.h"

#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIPELINE_MAX 256 /* bytes of a pipeline's name */

struct state_lock {
    int all;    /* "<state>.lock" */
    int module; /* "<state>.<module>.lock"; -1 for `all` */
};

static const char suffix[] = ".lock";

static bool is_whole(const char *pipeline) {
    return strcmp(pipeline, "all") == 0;
}

/* The state file under one name, however it was given: locks of two names would not meet. The
 * file itself may not be there yet; its folder is. */
static char *true_path(const char *state_path) {
    char *found = realpath(state_path, NULL);
    if (found)
        return found;
    const char *slash = strrchr(state_path, '/');
    _cleanup_(mem_freep) char *folder =
        slash ? mem_strndup(state_path, (size_t)(slash - state_path) + 1) : mem_strdup(".");
    _cleanup_(mem_freep) char *true_folder = realpath(folder, NULL);
    return true_folder ? mem_printf("%s/%s", true_folder, slash ? slash + 1 : state_path)
                       : mem_strdup(state_path);
}

/* Bytes of a module's name that a file name cannot hold, or that would leave the folder, are
 * written as %XX. */
static char *lock_path(const char *state_path, const char *pipeline) {
    _cleanup_(mem_freep) char *base = true_path(state_path);
    if (is_whole(pipeline))
        return mem_printf("%s%s", base, suffix);
    char safe[PIPELINE_MAX * 3 + 1];
    size_t n = 0;
    for (const char *p = pipeline; *p && n + 3 < sizeof safe; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '_' || *p == '-';
        n +=
            (size_t)snprintf(safe + n, sizeof safe - n, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    return mem_printf("%s.%.*s%s", base, (int)n, safe, suffix);
}

static int cannot_open(const char *path, int number, struct err *err) {
    return err_set(err, ERR_STATE, "cannot open lock file %s, beside the state file: %s; %s", path,
                   strerrordesc_np(number), state_file_way_out(number));
}

static int open_lock(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? cannot_open(path, errno, err) : fd;
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
    char text[STATE_HOLDER_MAX];
    int n = snprintf(text, sizeof text, "pid %ld on %s, `banyan %.100s`, since %s\n",
                     (long)getpid(), host, command, when);
    if (n < 0 || ftruncate(fd, 0) < 0)
        return; /* only the message to a second process would be poorer */
    ssize_t ignored = pwrite(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, 0);
    (void)ignored;
}

/* Whether somebody else has a lock that excludes `type`. */
static int probe(int fd, short type, bool *ret_held) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &l) < 0)
        return -1;
    *ret_held = l.l_type != F_UNLCK;
    return 0;
}

/* Looks for the module whose run keeps `all` out: its own lock file names it. */
static void find_module_holder(const char *state_path, char *holder, size_t size) {
    _cleanup_(mem_freep) char *base = true_path(state_path);
    const char *name = strrchr(base, '/');
    name = name ? name + 1 : base;
    _cleanup_(mem_freep) char *folder =
        name == base ? mem_strdup(".") : mem_strndup(base, (size_t)(name - base));
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct dirent *entry;
    holder[0] = '\0';
    while (!holder[0] && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name), base_len = strlen(name);
        bool ours = len > base_len + sizeof suffix && entry->d_name[base_len] == '.' &&
                    strncmp(entry->d_name, name, base_len) == 0 &&
                    strcmp(entry->d_name + len - (sizeof suffix - 1), suffix) == 0;
        int fd = ours ? openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC) : -1;
        bool held = false;
        if (fd >= 0 && probe(fd, F_WRLCK, &held) == 0 && held)
            read_holder(fd, holder, size);
        if (fd >= 0)
            close(fd);
    }
    closedir(dir);
}

static int busy(const char *pipeline, const char *holder, struct err *err) {
    return err_set(err, ERR_BUSY,
                   "pipeline %s is held by %s; stop it first (an interrupt lets it end in order)",
                   pipeline, holder[0] ? holder : "another process");
}

static int lock_all(struct state_lock *lock, const char *state_path, const char *pipeline,
                    struct err *err) {
    _cleanup_(mem_freep) char *path = lock_path(state_path, "all");
    lock->all = open_lock(path, err);
    if (lock->all < 0)
        return lock->all;
    int rc = try_lock(lock->all, is_whole(pipeline) ? F_WRLCK : F_RDLCK, path, err);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* failed, or ours */
    char holder[STATE_HOLDER_MAX];
    bool by_whole = false; /* else by modules, which share it */
    if (is_whole(pipeline) && probe(lock->all, F_RDLCK, &by_whole) == 0 && !by_whole) {
        holder[0] = '\0';
        find_module_holder(state_path, holder, sizeof holder);
        return err_set(
            err, ERR_BUSY,
            "a run of one module excludes `all`: %s; stop it first (an interrupt lets it "
            "end in order)",
            holder[0] ? holder : "another process");
    }
    read_holder(lock->all, holder, sizeof holder);
    return busy("all", holder, err);
}

static int lock_module(struct state_lock *lock, const char *state_path, const char *pipeline,
                       struct err *err) {
    _cleanup_(mem_freep) char *path = lock_path(state_path, pipeline);
    lock->module = open_lock(path, err);
    if (lock->module < 0)
        return lock->module;
    int rc = try_lock(lock->module, F_WRLCK, path, err);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* failed, or ours */
    char holder[STATE_HOLDER_MAX];
    read_holder(lock->module, holder, sizeof holder);
    return busy(pipeline, holder, err);
}

int state_lock_acquire(const char *state_path, const char *pipeline, const char *command,
                       struct state_lock **ret_lock, struct err *err) {
    struct state_lock *lock = mem_zalloc(1, sizeof *lock);
    lock->all = lock->module = -1;
    /* The module's own lock first: then the message names the run of that very module. */
    int rc = is_whole(pipeline) ? 0 : lock_module(lock, state_path, pipeline, err);
    if (rc == 0)
        rc = lock_all(lock, state_path, pipeline, err);
    if (rc < 0) {
        state_lock_free(lock);
        return rc;
    }
    write_holder(lock->module >= 0 ? lock->module : lock->all, command);
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

int state_lock_peek(const char *state_path, const char *pipeline, bool *ret_held,
                    char holder[STATE_HOLDER_MAX], struct err *err) {
    _cleanup_(mem_freep) char *path = lock_path(state_path, pipeline);
    *ret_held = false;
    holder[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : cannot_open(path, errno, err);
    /* A run of one module holds "<state>.lock" too, but shared: that is not `run all`. */
    int rc = probe(fd, is_whole(pipeline) ? F_RDLCK : F_WRLCK, ret_held);
    if (rc < 0)
        rc = err_set(err, ERR_STATE, "cannot look at lock %s: %s", path, strerrordesc_np(errno));
    else if (*ret_held)
        read_holder(fd, holder, STATE_HOLDER_MAX);
    close(fd);
    return rc;
}

#include "gateway/nginx.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_US (30 * (int64_t)1000000)
#define CONF_MAX ((size_t)16 * 1024 * 1024)
#define CONF_NAME "nginx.conf"

/* ---- running a program ---- */

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int output) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    if (rc == 0) /* nginx lives on: nothing of ours may stay open in it */
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    return rc;
}

static int spawn(char *const *argv, int output, pid_t *ret_pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = prepare(&actions, &attributes, output);
    if (rc == 0)
        rc = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

/* False: it did not end in time, and was killed. */
static bool wait_for(pid_t pid, int *status) {
    int64_t until = clock_mono_us() + RUN_US;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if ((got < 0 && errno != EINTR) || clock_mono_us() > until)
            break;
        (void)poll(NULL, 0, 5);
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
    return false;
}

/* The last of what it said, in one line. */
static void add_words(int fd, char *text, size_t size) {
    off_t end = lseek(fd, 0, SEEK_END), room = (off_t)size - 1;
    ssize_t n = pread(fd, text, size - 1, end > room ? end - room : 0);
    size_t len = n > 0 ? (size_t)n : 0;
    while (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ';';
}

#define WORDS_MAX 600

/* To a file, not a pipe: what lives on may keep it open. */
static int run_and_listen(char *const *argv, int code, char words[WORDS_MAX], struct err *err) {
    words[0] = '\0';
    pid_t pid;
    int status = 0;
    int output = memfd_create("nginx", MFD_CLOEXEC);
    if (output < 0)
        return err_set(err, ERR_UNREACHABLE, "cannot run %s: %s", argv[0], strerrordesc_np(errno));
    int rc = spawn(argv, output, &pid);
    if (rc != 0) {
        (void)close(output);
        return err_set(err, ERR_UNREACHABLE, "cannot run %s: %s", argv[0], strerrordesc_np(rc));
    }
    bool ended = wait_for(pid, &status);
    add_words(output, words, WORDS_MAX);
    (void)close(output);
    if (!ended)
        return err_set(err, ERR_UNREACHABLE, "%s did not end within 30 s", argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, code, "%s failed: %s", argv[0], words[0] ? words : "it said nothing");
}

static int run(char *const *argv, int code, struct err *err) {
    char words[WORDS_MAX];
    return run_and_listen(argv, code, words, err);
}

int nginx_command(const char *command, struct err *err) {
    _cleanup_(mem_freep) char *copy = mem_strdup(command);
    char shell[] = "/bin/sh", option[] = "-c";
    char *const argv[] = {shell, option, copy, NULL};
    int rc = run(argv, ERR_UNREACHABLE, err);
    return rc < 0 ? err_prefix(err, "'%s'", command) : 0;
}

/* ---- where it is ---- */

static char *find_in(const char *folders, const char *name) {
    for (const char *p = folders; p && *p;) {
        size_t len = strcspn(p, ":");
        char *path = mem_printf("%.*s/%s", (int)len, p, name);
        if (len > 0 && access(path, X_OK) == 0)
            return path;
        free(path);
        p += len + (p[len] == ':');
    }
    return NULL;
}

int nginx_find(const char *name, char **ret_program, struct err *err) {
    char *found = NULL;
    if (strchr(name, '/'))
        found = access(name, X_OK) == 0 ? realpath(name, NULL) : NULL;
    else
        found = find_in(getenv("PATH"), name);
    if (!found && !strchr(name, '/'))
        found = find_in("/usr/local/sbin:/usr/sbin:/sbin", name);
    if (!found)
        return err_set(err, ERR_CONF,
                       "there is no nginx '%s'; install nginx, or say in gateway.program where it "
                       "is",
                       name);
    *ret_program = found;
    return 0;
}

static char *conf_path(const struct nginx *n) {
    return mem_printf("%s/" CONF_NAME, n->folder);
}

/* A pid may have become another's: its command line must name our configuration. */
static bool is_ours(const struct nginx *n, pid_t pid) {
    _cleanup_(buf_release) struct buf line = {.max = 64 * (size_t)1024};
    _cleanup_(mem_freep) char *path = mem_printf("/proc/%d/cmdline", pid);
    _cleanup_(mem_freep) char *conf = conf_path(n);
    if (file_read(path, &line, NULL) < 0)
        return false;
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\0')
            line.data[i] = ' ';
    return strstr(buf_text(&line), conf) != NULL;
}

pid_t nginx_pid(const struct nginx *n) {
    _cleanup_(buf_release) struct buf text = {.max = 64};
    _cleanup_(mem_freep) char *path = mem_printf("%s/nginx.pid", n->folder);
    if (file_read(path, &text, NULL) < 0)
        return 0;
    long pid = strtol(buf_text(&text), NULL, 10);
    return pid > 1 && is_ours(n, (pid_t)pid) ? (pid_t)pid : 0;
}

/* ---- what is done to it ---- */

/* Folder as prefix: a relative path in somebody's include is found there. */
static int run_nginx(const struct nginx *n, const char *conf, bool test, int code,
                     struct err *err) {
    _cleanup_(mem_freep) char *program = mem_strdup(n->program);
    _cleanup_(mem_freep) char *prefix = mem_printf("%s/", n->folder);
    _cleanup_(mem_freep) char *path = mem_strdup(conf);
    _cleanup_(mem_freep) char *log = mem_printf("%s/error.log", n->folder);
    char p[] = "-p", c[] = "-c", e[] = "-e", t[] = "-t", q[] = "-q";
    char *const argv[] = {program,         p,   prefix, e, log, c, path, test ? t : NULL,
                          test ? q : NULL, NULL};
    return run(argv, code, err);
}

int nginx_version(const struct nginx *n, char *ret, size_t size, struct err *err) {
    static const char before[] = "nginx version: ";
    char words[WORDS_MAX], option[] = "-v";
    _cleanup_(mem_freep) char *program = mem_strdup(n->program);
    char *const argv[] = {program, option, NULL};
    int rc = run_and_listen(argv, ERR_UNREACHABLE, words, err);
    if (rc < 0)
        return rc;
    const char *version = strstr(words, before);
    if (!version)
        return err_set(err, ERR_CONF, "%s is no nginx: `%s -v` says '%.100s'", n->program,
                       n->program, words);
    version += sizeof before - 1;
    (void)snprintf(ret, size, "%.*s", (int)strcspn(version, " ;\n"), version);
    return 0;
}

int nginx_test(const struct nginx *n, struct span text, struct err *err) {
    _cleanup_(mem_freep) char *trial = mem_printf("%s/nginx.conf.trial", n->folder);
    int rc = file_replace(trial, text, err);
    if (rc == 0)
        rc = run_nginx(n, trial, true, ERR_CONF, err);
    (void)unlink(trial);
    return rc;
}

static char *due_path(const struct nginx *n) {
    return mem_printf("%s/reload.due", n->folder);
}

int nginx_put(const struct nginx *n, const char *name, struct span text, struct err *err) {
    _cleanup_(buf_release) struct buf now = {.max = CONF_MAX};
    _cleanup_(mem_freep) char *path = mem_printf("%s/%s", n->folder, name);
    _cleanup_(mem_freep) char *due = due_path(n);
    if (file_read(path, &now, NULL) == 0 && span_eq(buf_span(&now), text))
        return 0;
    int rc = file_replace(due, SPAN_LIT("nginx was not told yet\n"), err);
    return rc < 0 ? rc : file_replace(path, text, err);
}

bool nginx_is_due(const struct nginx *n) {
    _cleanup_(mem_freep) char *due = due_path(n);
    return access(due, F_OK) == 0;
}

void nginx_was_told(const struct nginx *n) {
    _cleanup_(mem_freep) char *due = due_path(n);
    (void)unlink(due);
}

int nginx_configure(const struct nginx *n, struct span text, struct err *err) {
    int rc = nginx_test(n, text, err);
    return rc < 0 ? rc : nginx_put(n, CONF_NAME, text, err);
}

int nginx_start(const struct nginx *n, struct err *err) {
    _cleanup_(mem_freep) char *path = conf_path(n);
    int rc = run_nginx(n, path, false, ERR_UNREACHABLE, err);
    if (rc == 0)
        nginx_was_told(n);
    return rc;
}

int nginx_reload(const struct nginx *n, struct err *err) {
    pid_t pid = nginx_pid(n);
    if (pid == 0 || kill(pid, SIGHUP) < 0)
        return err_set(err, ERR_UNREACHABLE, "nginx does not run");
    nginx_was_told(n);
    return 0;
}

static bool wait_until_gone(const struct nginx *n, pid_t pid, int64_t wait_us) {
    int64_t until = clock_mono_us() + wait_us;
    while (kill(pid, 0) == 0 && is_ours(n, pid)) {
        if (clock_mono_us() > until)
            return false;
        (void)poll(NULL, 0, 20);
    }
    return true;
}

int nginx_stop(const struct nginx *n, int64_t wait_us, struct err *err) {
    pid_t pid = nginx_pid(n);
    if (pid == 0)
        return 0;
    if (kill(pid, SIGQUIT) == 0 && wait_until_gone(n, pid, wait_us))
        return 0;
    if (kill(pid, SIGTERM) == 0 && wait_until_gone(n, pid, RUN_US))
        return 0;
    return err_set(err, ERR_UNREACHABLE, "nginx (pid %d) does not end", pid);
}

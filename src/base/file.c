#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what, const char *path, struct err *err) {
    return err_set(err, ERR_STATE, "cannot %s %s: %s", what, path, strerrordesc_np(errno));
}

static ssize_t read_some(int fd, char *to, size_t len) {
    ssize_t n;
    do
        n = read(fd, to, len);
    while (n < 0 && errno == EINTR);
    return n;
}

int file_read(const char *path, struct buf *to, struct err *err) {
    char piece[16 * 1024];
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed("open", path, err);
    while (!to->full && (n = read_some(fd, piece, sizeof piece)) > 0)
        buf_add(to, piece, (size_t)n);
    int rc = n < 0 ? failed("read", path, err) : 0;
    (void)close(fd);
    return to->full ? err_set(err, ERR_LIMIT, "%s has more than %zu bytes", path, to->max) : rc;
}

static int write_all(int fd, struct span bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = span_make(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

static int sync_folder(const char *path, struct err *err) {
    _cleanup_(mem_freep) char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? failed("make durable", path, err) : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static bool holds(const char *path, struct span bytes) {
    _cleanup_(buf_release) struct buf now = {.max = bytes.len + 1};
    struct stat st;
    return stat(path, &st) == 0 && (size_t)st.st_size == bytes.len &&
           file_read(path, &now, NULL) == 0 && span_eq(buf_span(&now), bytes);
}

int file_replace(const char *path, struct span bytes, struct err *err) {
    if (holds(path, bytes)) /* who watches the file is not woken for nothing */
        return 0;
    /* What a killed one left is written over. */
    _cleanup_(mem_freep) char *beside = mem_printf("%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("make", beside, err);
    int rc = write_all(fd, bytes) < 0 || fsync(fd) < 0 ? failed("write", beside, err) : 0;
    (void)close(fd);
    if (rc == 0 && rename(beside, path) < 0)
        rc = failed("rename", beside, err);
    if (rc < 0)
        (void)unlink(beside);
    return rc < 0 ? rc : sync_folder(path, err);
}

int file_lock(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc;
    if (fd < 0)
        return failed("open", path, err);
    do
        rc = flock(fd, LOCK_EX);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    rc = failed("lock", path, err);
    (void)close(fd);
    return rc;
}

#include "admin/relay.h"

#include "base/clock.h"
#include "base/mem.h"
#include "route/frame.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM_WAIT_US 50000 /* for the listener to read: it never waits for anything itself */

struct relay {
    char *path;
    pthread_mutex_t lock;
    int fd; /* -1: none */
};

struct relay *relay_new(const char *socket_path) {
    struct relay *r = mem_zalloc(1, sizeof *r);
    r->path = mem_strdup(socket_path);
    r->fd = -1;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void hang_up(struct relay *r) {
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void relay_free(struct relay *r) {
    if (!r)
        return;
    hang_up(r);
    pthread_mutex_destroy(&r->lock);
    free(r->path);
    free(r);
}

static int unreachable(const char *what, struct err *err) {
    return err_set_retriable(err, ERR_UNREACHABLE, "the parallel run takes no samples: %s", what);
}

static int dial(struct relay *r, struct err *err) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(r->path);
    if (r->fd >= 0)
        return 0;
    if (len >= sizeof to.sun_path)
        return err_set(err, ERR_CONF, "the path of the gateway's socket is too long");
    memcpy(to.sun_path, r->path, len);
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->fd >= 0 && connect(r->fd, (struct sockaddr *)&to, sizeof to) == 0)
        return 0;
    int failure = errno;
    hang_up(r);
    return unreachable(strerror(failure), err);
}

/* A frame that was begun is ended, or the connection is: half of one would spoil what follows.
 * False: there is no room. */
static int send_frame(struct relay *r, struct span frame, int64_t until_us, bool *ret_sent,
                      struct err *err) {
    size_t sent = 0;
    while (sent < frame.len) {
        ssize_t n = send(r->fd, frame.ptr + sent, frame.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            int failure = errno;
            hang_up(r);
            return unreachable(strerror(failure), err);
        }
        struct pollfd p = {.fd = r->fd, .events = POLLOUT};
        int64_t left = until_us - clock_mono_us();
        if (left > 0 && poll(&p, 1, (int)(left / 1000) + 1) >= 0)
            continue;
        if (sent)
            hang_up(r);
        *ret_sent = false;
        return 0;
    }
    *ret_sent = true;
    return 0;
}

static int count_frames(struct span frames, size_t *ret_all, struct err *err) {
    enum frame_kind kind;
    size_t len, at = 0, count = 0;
    for (; at < frames.len; at += len, count++) {
        int rc = frame_peek(span_make(frames.ptr + at, frames.len - at), &len, &kind, err);
        if (rc < 0)
            return rc;
        if (len == 0 || kind != FRAME_SAMPLE)
            return err_set(err, ERR_WIRE, len ? "not a sample" : "a sample is cut");
    }
    *ret_all = count;
    return 0;
}

static int send_frames(struct relay *r, struct span frames, size_t *ret_taken, struct err *err) {
    int64_t until = clock_mono_us() + ROOM_WAIT_US;
    enum frame_kind kind;
    size_t len;
    int rc = dial(r, err);
    for (size_t at = 0; rc == 0 && at < frames.len; at += len) {
        bool sent = false;
        rc = frame_peek(span_make(frames.ptr + at, frames.len - at), &len, &kind, err);
        if (rc == 0)
            rc = send_frame(r, span_make(frames.ptr + at, len), until, &sent, err);
        if (!sent)
            break;
        ++*ret_taken;
    }
    return rc;
}

int relay_samples(struct relay *r, struct span frames, size_t *ret_taken, size_t *ret_all,
                  struct err *err) {
    int rc = count_frames(frames, ret_all, err);
    if (rc < 0)
        return rc;
    *ret_taken = 0;
    pthread_mutex_lock(&r->lock);
    rc = send_frames(r, frames, ret_taken, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

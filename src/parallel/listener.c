#include "parallel/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM 65536
#define NO_DESCRIPTOR_MS 200 /* until it is tried again */

struct connection {
    int fd;
    struct buf in;
};

struct listener {
    struct listener_sink sink;
    char *path;
    atomic_bool stop;
    int fd, wake;
    bool no_descriptor; /* for the worker that wants to connect */
    pthread_t thread;
    struct connection connections[LISTENER_CONNECTIONS_MAX];
    _Atomic size_t count;
};

/* ---- frames ---- */

/* Negative: the stream cannot be read on. */
static int take_frame(const struct listener_sink *sink, struct span frame, enum frame_kind kind,
                      struct err *err) {
    struct frame_statistics statistics;
    int rc = 0;
    switch (kind) {
    case FRAME_SAMPLE:
        sink->sample(sink->context, frame);
        return 0;
    case FRAME_STATISTICS:
        rc = frame_statistics_read(frame, &statistics, err);
        if (rc == 0)
            sink->statistics(sink->context, &statistics);
        return rc;
    }
    return 0;
}

static int take_frames(const struct listener_sink *sink, struct connection *c, struct err *err) {
    size_t at = 0;
    int rc = 0;
    for (;;) {
        size_t len = 0;
        enum frame_kind kind;
        struct span rest = span_make(c->in.data + at, c->in.len - at);
        rc = frame_peek(rest, &len, &kind, err);
        if (rc < 0 || len == 0)
            break;
        rc = take_frame(sink, span_make(rest.ptr, len), kind, err);
        if (rc < 0)
            break;
        at += len;
    }
    if (at) {
        c->in.len -= at;
        memmove(c->in.data, c->in.data + at, c->in.len);
    }
    return rc;
}

/* ---- connections ---- */

static void close_connection(struct listener *l, size_t i) {
    struct connection *c = &l->connections[i];
    size_t last = atomic_load(&l->count) - 1;
    close(c->fd);
    buf_release(&c->in);
    *c = l->connections[last];
    atomic_store(&l->count, last);
}

/* False: it has ended, or sends what is none of ours. */
static bool read_connection(struct listener *l, struct connection *c) {
    struct err err = {0};
    char *to = buf_reserve(&c->in, ROOM);
    ssize_t n = to ? recv(c->fd, to, ROOM, MSG_DONTWAIT) : 0;
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (n == 0)
        return false;
    c->in.len += (size_t)n;
    int rc = take_frames(&l->sink, c, &err);
    if (l->sink.end)
        l->sink.end(l->sink.context);
    if (rc == 0)
        return true;
    log_event(LOG_WARN, "gateway_frames_refused", LOG_STR("reason", err.text));
    l->sink.broken(l->sink.context);
    return false;
}

static void accept_one(struct listener *l) {
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t n = atomic_load(&l->count);
    if (fd < 0) {
        l->no_descriptor =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        return;
    }
    if (n == LISTENER_CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    l->connections[n] = (struct connection){.fd = fd, .in = {.max = FRAME_MAX + ROOM}};
    atomic_store(&l->count, n + 1);
}

static void look(struct listener *l, struct pollfd *polled) {
    size_t n = atomic_load(&l->count);
    polled[0] = (struct pollfd){.fd = l->wake, .events = POLLIN};
    /* It would be ready at once again. */
    polled[1] = (struct pollfd){.fd = l->no_descriptor ? -1 : l->fd, .events = POLLIN};
    for (size_t i = 0; i < n; i++)
        polled[2 + i] = (struct pollfd){.fd = l->connections[i].fd, .events = POLLIN};
    if (poll(polled, 2 + n, l->no_descriptor ? NO_DESCRIPTOR_MS : -1) < 0)
        return;
    l->no_descriptor = false;
    for (size_t i = n; i-- > 0;) /* from the end: one that is closed is replaced by the last */
        if (polled[2 + i].revents && !read_connection(l, &l->connections[i]))
            close_connection(l, i);
    if (polled[1].revents)
        accept_one(l);
}

static void *listener_main(void *argument) {
    struct listener *l = argument;
    struct pollfd *polled = mem_zalloc(2 + LISTENER_CONNECTIONS_MAX, sizeof *polled);
    while (!atomic_load(&l->stop))
        look(l, polled);
    free(polled);
    return NULL;
}

/* ---- life ---- */

/* One that is there belongs to a daemon that was killed: only one has the state at a time. */
static int listen_at(struct listener *l, struct err *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(l->path);
    if (len >= sizeof address.sun_path)
        return err_set(err, ERR_CONF,
                       "the path of the gateway's socket has more than %zu bytes: %s; put the "
                       "state file into a folder with a shorter name",
                       sizeof address.sun_path - 1, l->path);
    memcpy(address.sun_path, l->path, len);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(l->path);
    mode_t before = umask(0177);
    bool ok = l->fd >= 0 && bind(l->fd, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (ok && listen(l->fd, 64) == 0)
        return 0;
    return err_set(err, ERR_STATE, "cannot listen at %s: %s", l->path, strerror(errno));
}

static void release(struct listener *l) {
    while (atomic_load(&l->count))
        close_connection(l, 0);
    if (l->fd >= 0)
        close(l->fd);
    if (l->wake >= 0)
        close(l->wake);
    free(l->path);
    free(l);
}

int listener_start(const char *path, const struct listener_sink *sink, struct listener **ret,
                   struct err *err) {
    struct listener *l = mem_zalloc(1, sizeof *l);
    l->sink = *sink;
    l->fd = -1;
    l->path = mem_strdup(path);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = listen_at(l, err);
    if (rc == 0 && !thread_start(&l->thread, listener_main, l))
        rc = err_set(err, ERR_INTERNAL, "cannot start the thread that listens to the gateway");
    if (rc < 0) {
        release(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void listener_stop(struct listener *l) {
    uint64_t one = 1;
    if (!l)
        return;
    atomic_store(&l->stop, true);
    ssize_t ignored = write(l->wake, &one, sizeof one);
    (void)ignored;
    pthread_join(l->thread, NULL);
    unlink(l->path);
    release(l);
}

uint64_t listener_connections(const struct listener *l) {
    return atomic_load(&l->count);
}

#include "http/call.h"

#include "base/clock.h"
#include "http/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void call_hang_up(struct call *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void forget_addresses(struct call *c) {
    if (c->found)
        freeaddrinfo(c->found);
    c->found = c->next = NULL;
}

/* Until the last bytes came, not until this thread got to see them. */
static int64_t time_taken(const struct call *c, int64_t until_now_us) {
    int64_t us = c->came_wall_us - c->began_wall_us;
    return us >= 0 && us < until_now_us ? us : until_now_us; /* the clock may have been set */
}

static void finish(struct call *c, int rc) {
    forget_addresses(c);
    c->rc = rc;
    c->used_us = clock_mono_us();
    c->took_us = time_taken(c, c->used_us - c->began_us);
    c->step = CALL_ENDED;
    if (rc < 0)
        call_hang_up(c);
}

static int unreachable(struct call *c, const char *what) {
    return err_set_retriable(&c->err, ERR_UNREACHABLE, "%s:%s: %s", c->host, c->port, what);
}

static int wire(struct call *c, const char *why) {
    return err_set(&c->err, ERR_WIRE, "%s:%s: %s", c->host, c->port, why);
}

static int too_long(struct call *c) {
    return err_set(&c->err, ERR_LIMIT, "%s: the answer is too long", c->host);
}

/* ---- a connection ---- */

/* False: that address is none. */
static bool connect_to(struct call *c, const struct addrinfo *a) {
    int one = 1;
    call_hang_up(c);
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    return connect(c->fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS;
}

static void connect_next(struct call *c, int failure) {
    while (c->next) {
        const struct addrinfo *a = c->next;
        c->next = a->ai_next;
        if (connect_to(c, a)) {
            c->step = CALL_CONNECTING;
            return;
        }
        failure = errno;
    }
    finish(c, unreachable(c, strerror(failure)));
}

static void open_connection(struct call *c) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    c->kept = false;
    int rc = getaddrinfo(c->host, c->port, &hints, &c->found);
    if (rc != 0) {
        c->found = NULL;
        finish(c, unreachable(c, gai_strerror(rc)));
        return;
    }
    c->next = c->found;
    connect_next(c, 0);
}

/* A kept connection that ended in the same moment: nothing has come, nothing was counted. */
static void fail(struct call *c, int rc) {
    if (c->kept && rc == ERR_UNREACHABLE && c->in.len == 0)
        open_connection(c);
    else
        finish(c, rc);
}

/* ---- the request ---- */

static void send_some(struct call *c) {
    struct span bytes = c->ask.request;
    while (c->sent < bytes.len) {
        ssize_t n = send(c->fd, bytes.ptr + c->sent, bytes.len - c->sent, MSG_NOSIGNAL);
        if (n > 0)
            c->sent += (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        else if (n == 0 || errno != EINTR)
            break; /* it may have answered and closed: its answer counts */
    }
    c->step = CALL_RECEIVING;
}

static void begin_sending(struct call *c) {
    c->step = CALL_SENDING;
    c->sent = 0;
    send_some(c);
}

static void connected(struct call *c) {
    int failure = 0;
    socklen_t len = sizeof failure;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
        failure = errno;
    if (failure) {
        connect_next(c, failure);
        return;
    }
    forget_addresses(c);
    begin_sending(c);
}

/* ---- the answer ---- */

static void answered(struct call *c) {
    finish(c, 0);
    if (!http_reading_keeps(&c->reading, &c->in))
        call_hang_up(c);
}

/* 1: all of it is there; 0: more is needed. */
static int read_answer(struct call *c, bool end) {
    const char *why = "the answer ends too soon";
    if (c->in.len == 0)
        return end ? unreachable(c, "the connection was closed without an answer") : 0;
    int rc = http_reading_go_on(&c->reading, &c->in, end, &why);
    if (rc == ERR_LIMIT)
        return too_long(c);
    return rc < 0 || (rc == 0 && end) ? wire(c, why) : rc;
}

/* True: it goes on, and there may be more. */
static bool take(struct call *c, bool end) {
    int rc = read_answer(c, end);
    if (rc < 0)
        fail(c, rc);
    else if (rc > 0)
        answered(c);
    return rc == 0;
}

/* As recv, and takes down when it came (socket(7), SO_TIMESTAMPNS). */
static ssize_t receive_some(struct call *c, char *to) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec bytes = {.iov_base = to, .iov_len = HTTP_READING_ROOM};
    struct msghdr m = {.msg_iov = &bytes,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct timespec t;
    ssize_t n = recvmsg(c->fd, &m, 0);
    const struct cmsghdr *came = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (came && came->cmsg_level == SOL_SOCKET && came->cmsg_type == SCM_TIMESTAMPNS) {
        memcpy(&t, CMSG_DATA(came), sizeof t);
        c->came_wall_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    return n;
}

static void receive(struct call *c) {
    for (;;) {
        char *to = buf_reserve(&c->in, HTTP_READING_ROOM);
        if (!to) {
            finish(c, too_long(c));
            return;
        }
        ssize_t n = receive_some(c, to);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                fail(c, unreachable(c, strerror(errno)));
            return;
        }
        c->in.len += (size_t)n;
        if (!take(c, n == 0))
            return;
    }
}

/* ---- from outside ---- */

void call_begin(struct call *c, const struct http_ask *ask, void *owner, int64_t now_us) {
    c->ask = *ask;
    c->owner = owner;
    c->late = false;
    c->began_us = now_us;
    c->began_wall_us = clock_wall_us();
    c->came_wall_us = 0;
    c->until_us = now_us + ask->limit_us;
    c->reading = (struct http_reading){.max = ask->answer_max, .is_head = ask->is_head};
    c->rc = 0;
    buf_clear(&c->in);
    c->in.max = http_reading_bytes(&c->reading);
    c->kept = http_io_is_usable(c->fd, c->used_us, now_us);
    if (c->kept)
        begin_sending(c);
    else
        open_connection(c);
}

short call_wants(const struct call *c) {
    switch (c->step) {
    case CALL_CONNECTING:
    case CALL_SENDING:
        return POLLOUT;
    case CALL_RECEIVING:
        return POLLIN;
    case CALL_NONE:
    case CALL_ENDED:
        break;
    }
    return 0;
}

void call_go_on(struct call *c) {
    if (c->step == CALL_CONNECTING)
        connected(c);
    else if (c->step == CALL_SENDING)
        send_some(c);
    else if (c->step == CALL_RECEIVING)
        receive(c);
}

void call_check(struct call *c, int64_t now_us) {
    if (c->step == CALL_NONE || c->step == CALL_ENDED)
        return;
    if (c->ask.stop && atomic_load(c->ask.stop)) {
        finish(c, err_set(&c->err, ERR_STOPPED, "asked to stop"));
    } else if (now_us >= c->until_us) {
        c->late = true;
        finish(c, unreachable(c, "no answer in time"));
    }
}

void call_end(struct call *c) {
    forget_addresses(c);
    c->step = CALL_NONE;
}

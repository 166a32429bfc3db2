#include "http/keep.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/client.h"
#include "http/request.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_MS 100 /* how soon a stop is seen */
#define ROOM 16384

struct kept {
    char host[256], port[8];
    int fd; /* -1: none */
    int64_t used_us;
    struct buf in;
};

struct http_keeper {
    struct kept connections[HTTP_KEPT_MAX];
};

struct exchange {
    const struct http_ask *ask;
    struct kept *kept;
    int64_t until_us;
    bool late; /* the time was over */
    struct err *err;
};

struct http_keeper *http_keeper_new(void) {
    struct http_keeper *k = mem_zalloc(1, sizeof *k);
    for (size_t i = 0; i < HTTP_KEPT_MAX; i++)
        k->connections[i].fd = -1;
    return k;
}

static void hang_up(struct kept *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void http_keeper_free(struct http_keeper *k) {
    if (!k)
        return;
    for (size_t i = 0; i < HTTP_KEPT_MAX; i++) {
        hang_up(&k->connections[i]);
        buf_release(&k->connections[i].in);
    }
    free(k);
}

static int unreachable(struct exchange *x, const char *what) {
    return err_set_retriable(x->err, ERR_UNREACHABLE, "%s:%s: %s", x->kept->host, x->kept->port,
                             what);
}

static int wait_for(struct exchange *x, short events) {
    for (;;) {
        struct pollfd p = {.fd = x->kept->fd, .events = events};
        int64_t left = x->until_us - clock_mono_us();
        if (x->ask->stop && atomic_load(x->ask->stop))
            return err_set(x->err, ERR_STOPPED, "asked to stop");
        if (left <= 0) {
            x->late = true;
            return unreachable(x, "no answer in time");
        }
        int64_t ms = left / 1000 + 1;
        int n = poll(&p, 1, ms < STEP_MS ? (int)ms : STEP_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return unreachable(x, strerror(errno));
    }
}

/* ---- connections ---- */

static int connect_to(struct exchange *x, const struct addrinfo *a) {
    int one = 1, failure = 0;
    socklen_t len = sizeof failure;
    struct kept *c = x->kept;
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return unreachable(x, strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
        return unreachable(x, strerror(errno));
    int rc = wait_for(x, POLLOUT);
    if (rc == 0 && (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 || failure != 0))
        rc = unreachable(x, strerror(failure ? failure : errno));
    return rc;
}

static int open_connection(struct exchange *x) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(x->kept->host, x->kept->port, &hints, &found);
    if (rc != 0)
        return unreachable(x, gai_strerror(rc));
    rc = ERR_UNREACHABLE;
    for (const struct addrinfo *a = found; a && rc == ERR_UNREACHABLE && !x->late; a = a->ai_next) {
        hang_up(x->kept);
        rc = connect_to(x, a);
    }
    freeaddrinfo(found);
    return rc;
}

/* A kept one to that service, or the place of the one that was not used for longest. */
static struct kept *place_of(struct http_keeper *k, const struct http_url *url) {
    struct kept *oldest = &k->connections[0];
    for (size_t i = 0; i < HTTP_KEPT_MAX; i++) {
        struct kept *c = &k->connections[i];
        if (c->fd >= 0 && span_is(url->host, c->host) && span_is(url->port, c->port))
            return c;
        if (c->fd < 0 ? oldest->fd >= 0 : oldest->fd >= 0 && c->used_us < oldest->used_us)
            oldest = c;
    }
    hang_up(oldest);
    (void)snprintf(oldest->host, sizeof oldest->host, "%.*s", SPAN_ARG(url->host));
    (void)snprintf(oldest->port, sizeof oldest->port, "%.*s", SPAN_ARG(url->port));
    return oldest;
}

/* The other end may have closed it, or sent what nobody asked for. */
static bool is_usable(const struct kept *c, int64_t now_us) {
    char byte;
    return c->fd >= 0 && now_us - c->used_us < HTTP_KEPT_IDLE_US &&
           recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* ---- one exchange ---- */

static int send_all(struct exchange *x) {
    struct span bytes = x->ask->request;
    while (bytes.len) {
        ssize_t n = send(x->kept->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = span_make(bytes.ptr + n, bytes.len - (size_t)n);
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* it may have answered and closed: its answer counts */
        int rc = wait_for(x, POLLOUT);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int receive(struct exchange *x, bool *ret_end) {
    struct buf *in = &x->kept->in;
    /* Just after the request there is nothing yet. */
    int waited = in->len ? 0 : wait_for(x, POLLIN);
    if (waited < 0)
        return waited;
    for (;;) {
        char *to = buf_reserve(in, ROOM);
        if (!to)
            return err_set(x->err, ERR_LIMIT, "%s: the answer is too long", x->kept->host);
        ssize_t n = recv(x->kept->fd, to, ROOM, 0);
        *ret_end = n == 0;
        if (n > 0)
            in->len += (size_t)n;
        if (n >= 0)
            return 0;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return unreachable(x, strerror(errno));
        int rc = wait_for(x, POLLIN);
        if (rc < 0)
            return rc;
    }
}

static int wire(struct exchange *x, const char *why) {
    return err_set(x->err, ERR_WIRE, "%s:%s: %s", x->kept->host, x->kept->port, why);
}

static int read_reply(struct exchange *x, struct http_reply *reply) {
    struct buf *in = &x->kept->in;
    const char *why = "";
    bool end = false;
    for (;;) {
        int rc = http_reply_read(in->len ? buf_span(in) : SPAN_LIT(""), reply, &why);
        if (rc < 0)
            return wire(x, why);
        if (rc > 0 && reply->status >= 200)
            return 0;
        if (rc > 0) { /* 100 Continue and the like */
            in->len -= reply->head_len;
            memmove(in->data, in->data + reply->head_len, in->len);
            continue;
        }
        if (end)
            return in->len ? wire(x, "the answer ends too soon")
                           : unreachable(x, "the connection was closed without an answer");
        rc = receive(x, &end);
        if (rc < 0)
            return rc;
    }
}

struct body {
    struct http_chunks chunks;
    size_t len;
    size_t raw; /* bytes that it takes behind the head */
    bool to_end;
};

/* 1: whole; 0: more is needed. */
static int body_there(struct exchange *x, const struct http_reply *reply, struct body *b,
                      bool end) {
    struct buf *in = &x->kept->in;
    size_t there = in->len - reply->head_len;
    const char *why = "";
    if (reply->chunked) {
        int rc = http_chunks_read(&b->chunks, in->data + reply->head_len, there, &why);
        b->len = b->chunks.body;
        b->raw = b->chunks.at;
        if (rc < 0)
            return wire(x, why);
        return rc || !end ? rc : wire(x, "the answer ends too soon");
    }
    b->to_end = !reply->has_length;
    b->len = b->raw = reply->has_length ? (size_t)reply->length : there;
    if (reply->has_length && there >= reply->length)
        return 1;
    if (!end)
        return 0;
    return reply->has_length ? wire(x, "the answer ends too soon") : 1;
}

static int read_body(struct exchange *x, const struct http_reply *reply, struct body *b) {
    bool end = false;
    while (!x->ask->is_head) {
        int rc = body_there(x, reply, b, end);
        if (rc < 0)
            return rc;
        if (b->len > x->ask->answer_max)
            return err_set(x->err, ERR_LIMIT, "%s: the answer is too long", x->kept->host);
        if (rc > 0)
            break;
        rc = receive(x, &end);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool says_close(const struct http_answer *a) {
    struct span value = http_head_value(a->head, "connection", NULL);
    return http_same_text(value, SPAN_LIT("close")) ||
           (a->head.len > 8 && a->head.ptr[7] == '0'); /* HTTP/1.0 */
}

static int exchange(struct exchange *x, struct http_answer *ret) {
    struct kept *c = x->kept;
    struct http_reply reply = {0};
    struct body body = {0};
    c->in.len = 0;
    c->in.full = false;
    c->in.max = x->ask->answer_max * 2 + HTTP_HEAD_MAX + 2 * (size_t)ROOM; /* chunks of one byte */
    int rc = send_all(x);
    if (rc == 0)
        rc = read_reply(x, &reply);
    if (rc == 0)
        rc = read_body(x, &reply, &body);
    if (rc < 0)
        return rc;
    *ret = (struct http_answer){.status = reply.status,
                                .head = span_make(c->in.data, reply.head_len),
                                .body = span_make(c->in.data + reply.head_len, body.len)};
    c->used_us = clock_mono_us();
    if (body.to_end || says_close(ret) || c->in.len != reply.head_len + body.raw)
        hang_up(c);
    return 0;
}

/* A kept connection that ended in the same moment: nothing has come, nothing was counted. */
static bool was_stale(const struct exchange *x, int rc, bool kept) {
    return kept && rc == ERR_UNREACHABLE && !x->late && x->kept->in.len == 0;
}

int http_keeper_ask(struct http_keeper *k, const struct http_ask *ask, struct http_answer *ret,
                    bool *ret_late, struct err *err) {
    struct http_url url;
    int64_t now = clock_mono_us();
    struct exchange x = {.ask = ask, .until_us = now + ask->limit_us, .err = err};
    int rc = http_url_parse(ask->url, &url, err);
    if (rc < 0)
        return rc;
    if (url.tls || url.host.len >= sizeof x.kept->host)
        return err_set(err, ERR_CONF, "not the URL of a service: http://host:port");
    x.kept = place_of(k, &url);
    bool kept = is_usable(x.kept, now);
    if (kept)
        rc = exchange(&x, ret);
    if (!kept || was_stale(&x, rc, kept)) {
        rc = open_connection(&x);
        if (rc == 0)
            rc = exchange(&x, ret);
    }
    if (rc < 0)
        hang_up(x.kept);
    if (ret_late)
        *ret_late = x.late;
    return rc;
}

static struct span trimmed(const char *from, const char *to) {
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
        to--;
    return span_make(from, (size_t)(to - from));
}

struct span http_head_value(struct span head, const char *name, const char *from) {
    if (!head.ptr)
        return (struct span){0};
    const char *end = head.ptr + head.len, *at = from ? from : head.ptr;
    struct span wanted = span_of(name);
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        if (!next || next + 1 >= end)
            break;
        at = next + 1;
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        if (colon && http_same_text(span_make(at, (size_t)(colon - at)), wanted))
            return trimmed(colon + 1, stop);
    }
    return (struct span){0};
}

/* The way to the daemon: a stream socket that never makes a request wait.
 *
 *   away --(connect, at most every RETRY_MAX_MS)--> up
 *     ^                                              |
 *     +------(any error, or the daemon closed)-------+
 *
 * up: what the socket does not take is kept in `pending`, up to PENDING_MAX; a frame that does not
 * fit there is refused, and its owner counts it. `pending` begins with a whole frame at all times.
 * away: samples are refused. Of what was pending, samples are counted as dropped; statistics wait
 * for the next connection, and a frame that was half sent is sent whole again: the daemon forgets
 * what it has of it with the connection. */
#include "banyan.h"

#include <poll.h>
#include <sys/un.h>

#define PENDING_MAX ((size_t)4 * 1024 * 1024)
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000
#define END_MS 50
/* Frames wait for each other so long, or until there is much of them: nobody waits for a frame, and
 * to hand over each by itself costs more than to make it. */
#define TOGETHER_MS 10
#define TOGETHER_MAX ((size_t)64 * 1024)

static struct {
    const banyan_main_conf_t *conf;
    ngx_connection_t *connection; /* NULL: away */
    ngx_log_t *log;
    struct buf pending;
    size_t begin; /* of the first frame that is not sent whole */
    size_t sent;  /* so far; at least `begin` */
    ngx_msec_t next_try, delay;
    ngx_event_t timer; /* set: it will send what is pending */
    ngx_uint_t full;   /* the socket took no more: it will say when it does */
} wire;

ngx_uint_t banyan_wire_is_up(void) {
    return wire.connection != NULL;
}

/* ---- what is pending ---- */

static size_t frame_at(size_t at, enum frame_kind *kind) {
    size_t len = 0;
    struct err err;
    if (frame_peek(span_make(wire.pending.data + at, wire.pending.len - at), &len, kind, &err) < 0)
        len = 0; /* cannot be: we wrote it */
    return len;
}

/* Forgets the frames that are sent, and moves the rest to the front when that is worth it. */
static void forget_sent(void) {
    enum frame_kind kind;
    if (wire.sent == wire.pending.len) {
        buf_clear(&wire.pending);
        wire.begin = wire.sent = 0;
        return;
    }
    for (size_t len; (len = frame_at(wire.begin, &kind)) && wire.begin + len <= wire.sent;)
        wire.begin += len;
    if (wire.begin < PENDING_MAX / 4)
        return;
    wire.pending.len -= wire.begin;
    ngx_memmove(wire.pending.data, wire.pending.data + wire.begin, wire.pending.len);
    wire.sent -= wire.begin;
    wire.begin = 0;
}

static void count_lost(struct span frame) {
    static struct frame_sample s;
    struct err err;
    const banyan_route_t *routes = wire.conf->routes.elts;
    if (frame_sample_read(frame, &s, &err) < 0)
        return;
    for (ngx_uint_t i = 0; i < wire.conf->routes.nelts; i++)
        if (span_eq(banyan_span(routes[i].prefix), s.route))
            banyan_count_dropped(&routes[i], s.side, FRAME_DROP_AWAY);
}

static void keep_statistics(void) {
    size_t to = 0;
    enum frame_kind kind = FRAME_SAMPLE;
    for (size_t at = wire.begin, len; (len = frame_at(at, &kind)); at += len) {
        if (kind == FRAME_SAMPLE) {
            count_lost(span_make(wire.pending.data + at, len));
            continue;
        }
        ngx_memmove(wire.pending.data + to, wire.pending.data + at, len);
        to += len;
    }
    wire.pending.len = to;
    wire.begin = wire.sent = 0;
}

/* ---- the connection ---- */

static void go_away(void) {
    ngx_close_connection(wire.connection);
    wire.connection = NULL;
    keep_statistics();
    wire.next_try = ngx_current_msec + wire.delay;
    wire.delay = ngx_min(wire.delay * 2, RETRY_MAX_MS);
}

/* As much as the socket takes. */
static void send_some(void) {
    while (wire.connection && wire.sent < wire.pending.len) {
        ssize_t n = send(wire.connection->fd, wire.pending.data + wire.sent,
                         wire.pending.len - wire.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            wire.sent += (size_t)n;
            wire.delay = RETRY_MIN_MS;
        } else if (n < 0 && ngx_errno == NGX_EAGAIN) {
            wire.full = 1;
            wire.connection->write->ready = 0;
            if (ngx_handle_write_event(wire.connection->write, 0) != NGX_OK)
                go_away();
            break;
        } else if (n == 0 || ngx_errno != NGX_EINTR) {
            go_away();
            return;
        }
    }
    forget_sent();
}

/* Also whenever the daemon has read: what is pending waits for its timer then. */
static void on_write(ngx_event_t *event) {
    (void)event;
    if (!wire.connection || !wire.full)
        return;
    wire.full = 0;
    send_some();
}

static void on_timer(ngx_event_t *event) {
    (void)event;
    if (wire.connection && !wire.full)
        send_some();
}

/* The daemon says nothing: it has closed. */
static void on_read(ngx_event_t *event) {
    (void)event;
    char byte;
    if (!wire.connection)
        return;
    ssize_t n = recv(wire.connection->fd, &byte, 1, MSG_DONTWAIT);
    if (n >= 0 || (ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EINTR))
        go_away();
    else if (ngx_handle_read_event(wire.connection->read, 0) != NGX_OK)
        go_away();
}

static int open_socket(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const ngx_str_t *path = &wire.conf->samples_path;
    ngx_memcpy(to.sun_path, path->data, path->len); /* the length was checked */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static ngx_uint_t adopt(int fd) {
    ngx_connection_t *c = ngx_get_connection(fd, wire.log);
    if (!c) {
        (void)close(fd);
        return 0;
    }
    c->read->handler = on_read;
    c->write->handler = on_write;
    c->read->log = c->write->log = wire.log;
    c->write->ready = 1;
    wire.full = 0;
    wire.connection = c;
    if ((ngx_add_conn ? ngx_add_conn(c) : ngx_handle_read_event(c->read, 0)) == NGX_OK)
        return 1;
    ngx_close_connection(c);
    wire.connection = NULL;
    return 0;
}

void banyan_wire_poll(const banyan_main_conf_t *conf) {
    if (conf->samples_path.len == 0 || wire.connection ||
        (ngx_msec_int_t)(ngx_current_msec - wire.next_try) < 0)
        return;
    int fd = open_socket();
    if (fd >= 0 && adopt(fd)) {
        send_some();
        return;
    }
    wire.next_try = ngx_current_msec + wire.delay;
    wire.delay = ngx_min(wire.delay * 2, RETRY_MAX_MS);
}

void banyan_wire_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf) {
    wire.conf = conf;
    wire.log = cycle->log;
    wire.delay = RETRY_MIN_MS;
    buf_init(&wire.pending, PENDING_MAX);
    wire.timer.handler = on_timer;
    wire.timer.log = cycle->log;
    wire.timer.data = &wire;
    wire.timer.cancelable = 1; /* at the end, banyan_wire_end sends */
}

/* ---- frames ---- */

static bool is_taken(bool written) {
    if (!written || wire.full)
        return written;
    if (wire.pending.len - wire.sent >= TOGETHER_MAX)
        send_some();
    else if (!wire.timer.timer_set)
        ngx_add_timer(&wire.timer, TOGETHER_MS);
    return true;
}

bool banyan_wire_sample(const struct frame_sample *s) {
    return wire.connection && is_taken(frame_sample_write(&wire.pending, s));
}

bool banyan_wire_statistics(const struct frame_statistics *s) {
    return wire.connection && is_taken(frame_statistics_write(&wire.pending, s));
}

void banyan_wire_end(void) {
    struct pollfd p = {.fd = wire.connection ? wire.connection->fd : -1, .events = POLLOUT};
    if (wire.connection && wire.sent < wire.pending.len && poll(&p, 1, END_MS) > 0)
        send_some();
    if (wire.connection)
        ngx_close_connection(wire.connection);
    wire.connection = NULL;
    buf_release(&wire.pending);
}

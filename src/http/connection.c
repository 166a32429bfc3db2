/*
 * One connection. @thread its loop
 *
 *   HEAD --head complete--> BODY --body complete--> (handler) --answered--> HEAD
 *                            |                          |
 *                            |                          +--> STREAM   until the client or we end it
 *                            +--HTTP_SLOW--> WORKING --given back--> HEAD
 *   any of these --to be closed, and all is sent--> LINGER --client's end, or its time is over-->
 * DEAD
 *
 * HEAD, BODY: input is read, unless more than HTTP_PIPELINED_MAX bytes of answers wait.
 * WORKING: nothing is read, so that the request stays where it is.
 * LINGER: input is read and thrown away: closing with unread input would make the kernel send a
 *   reset, and the client might lose our answer.
 * DEAD: freed when the call from the loop ends (settle), but not before a worker has given back
 * what it was lent; nothing else frees a connection there.
 */
#include "http/server.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define ROUNDS 16             /* of reading and handling, until others have their turn */
#define HEAD_ROOM 4096        /* bytes to read at once */
#define BODY_ROOM 65536       /* while a body is read */
#define KEEP_BYTES (64 << 10) /* memory of a buffer that a connection keeps */
#define IN_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX + 2 * BODY_ROOM)
#define OUT_MAX (HTTP_ANSWER_MAX + HTTP_STREAM_QUEUED_MAX + 2 * HTTP_PIPELINED_MAX)

enum state { STATE_HEAD, STATE_BODY, STATE_WORKING, STATE_STREAM, STATE_LINGER, STATE_DEAD };

struct http_connection {
    struct http_loop *loop;
    struct http_connection *prev, *next;
    int fd;
    SSL *ssl; /* NULL: plain */
    struct event read_event, write_event;
    bool reading, writing; /* which of them is added */
    bool read_wants_write; /* TLS */
    enum state state;
    int64_t now_us;      /* of this call from the loop */
    int64_t deadline_us; /* of the state */
    int64_t write_us;    /* when the client must have taken a byte of the output */
    int64_t begun_us;    /* this request's first byte; 0: none yet */
    int64_t handled_us;  /* when handling it began */
    bool close;          /* after what is in the output */
    bool held;           /* there may be input that was not handled because takes_input was false */
    bool end;            /* the client sends no more */

    struct buf in;
    size_t at; /* in `in`: where the request begins */
    struct http_head head;
    struct http_chunks chunks;
    struct http_match match;
    struct http_asker asker;

    struct buf out;
    size_t sent;

    struct http_exchange *exchange; /* lent to a worker */
    bool has_slot;                  /* of the streams */
    int channel;
    uint64_t place;
    bool caught_up;
    int64_t heartbeat_us;
    char peer[INET6_ADDRSTRLEN + 10];
};

struct http_connection *http_connection_next(struct http_connection *c) {
    return c->next;
}

struct http_guard *http_connection_guard(struct http_connection *c) {
    return &c->loop->service->guard;
}

struct http_loop *http_connection_loop(struct http_connection *c) {
    return c->loop;
}

static size_t unsent(const struct http_connection *c) {
    return c->out.len - c->sent;
}

static struct span input(const struct http_connection *c) {
    return c->in.data ? span_make(c->in.data + c->at, c->in.len - c->at) : SPAN_LIT("");
}

/* ---- answers ---- */

static void fresh_date(struct http_loop *loop) {
    int64_t second = clock_wall_us() / 1000000;
    if (second == loop->date_second)
        return;
    time_t t = second;
    struct tm tm;
    gmtime_r(&t, &tm);
    loop->date_len =
        strftime(loop->date, sizeof loop->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    loop->date_second = second;
}

static void count_answer(struct http_connection *c, const struct http_route *route, int status) {
    struct http_server *server = c->loop->server;
    atomic_fetch_add_explicit(&server->counters.requests[status / 100], 1, memory_order_relaxed);
    if (server->observe)
        server->observe(server->observe_context, route, status, clock_mono_us() - c->handled_us);
}

/* The next request begins behind `used` bytes of this one. */
static void next_request(struct http_connection *c, size_t used) {
    c->at += used;
    http_head_clear(&c->head);
    c->begun_us = 0;
    c->state = STATE_HEAD;
    c->deadline_us = c->now_us + HTTP_IDLE_US;
}

static void write_answer(struct http_connection *c, const struct http_exchange *x,
                         unsigned allowed) {
    struct http_loop *loop = c->loop;
    fresh_date(loop);
    c->close = c->close || c->head.close || loop->stopping || x->response.stream;
    const struct http_answer answer = {.response = &x->response,
                                       .cors_origin = c->asker.cors_origin,
                                       .date = loop->date,
                                       .date_len = loop->date_len,
                                       .close = c->close,
                                       .head_only = c->head.method == HTTP_HEAD,
                                       .allowed = allowed};
    if (c->sent == c->out.len)
        c->write_us = c->now_us + HTTP_WRITE_US;
    http_answer_write(&answer, &c->out);
    if (!buf_ok(&c->out))
        c->state = STATE_DEAD;
    count_answer(c, x->route, x->response.status);
}

/* An answer of our own to a request whose body is not wanted. */
static void refuse(struct http_connection *c, int status, const char *code, const char *message,
                   const char *way_out) {
    struct http_exchange *x = &c->loop->exchange;
    http_exchange_clear(x);
    c->handled_us = c->now_us;
    x->route = c->match.route;
    http_error(&x->response, status, code, message, way_out);
    if (status == 429 || status == 503)
        http_add_header(&x->response, "Retry-After", "1");
    bool whole = !c->head.chunked && c->head.len && c->head.length <= input(c).len - c->head.len;
    c->close = c->close || !whole;
    write_answer(c, x, status == 405 ? c->match.allowed : 0);
    next_request(c, whole ? c->head.len + c->head.length : input(c).len);
}

/* The bytes are no request: nothing behind them can be believed. */
static void refuse_bytes(struct http_connection *c, int status, const char *why) {
    struct http_counters *n = &c->loop->server->counters;
    if (status != 503) /* those are counted where they are accepted */
        atomic_fetch_add(status == 408 ? &n->slow : &n->malformed, 1);
    c->match = (struct http_match){0};
    c->asker = (struct http_asker){0};
    c->close = true;
    refuse(c, status, "bad_request", why, NULL);
}

static void begin_stream(struct http_connection *c, int channel, const struct http_lost *lost) {
    struct http_server *server = c->loop->server;
    struct span last = http_head_field(&c->head, "last-event-id");
    c->channel = channel;
    c->caught_up = false;
    buf_add_text(&c->out, "retry: 1000\n\n");
    c->place = http_hub_join(&server->hub, channel, last, lost, &c->out);
    c->heartbeat_us = c->now_us + HTTP_STREAM_US;
    c->begun_us = 0;
    c->state = STATE_STREAM;
}

static bool take_stream_slot(struct http_connection *c) {
    struct http_counters *n = &c->loop->server->counters;
    if (atomic_fetch_add(&n->streams, 1) < HTTP_STREAMS_MAX) {
        atomic_fetch_add(&c->loop->streams, 1);
        c->has_slot = true;
        return true;
    }
    atomic_fetch_sub(&n->streams, 1);
    return false;
}

/* What the handler has filled becomes the answer. */
static void answer(struct http_connection *c, struct http_exchange *x) {
    struct http_response *a = &x->response;
    size_t used = c->head.len + (c->head.chunked ? c->chunks.at : c->head.length);
    bool stream = a->stream && a->status == 200 && c->head.method != HTTP_HEAD;
    if (!buf_ok(&a->body) || !buf_ok(&a->headers))
        http_error(a, 500, "too_long", "the answer is longer than this server sends",
                   "ask for less");
    if (stream && !take_stream_slot(c)) {
        stream = false;
        http_error(a, 503, "too_many_streams", "there are as many streams as this server keeps",
                   "close another one");
        http_add_header(a, "Retry-After", "5");
    }
    int channel = a->stream - 1;
    const struct http_lost lost = a->lost;
    write_answer(c, x, 0);
    if (stream && c->state != STATE_DEAD)
        begin_stream(c, channel, &lost);
    else if (c->state != STATE_DEAD)
        next_request(c, used);
}

/* ---- requests ---- */

static bool decode_parameters(struct http_connection *c, struct http_request *r) {
    for (size_t i = 0; i < HTTP_PARAMETERS; i++) {
        struct span s = c->match.parameter[i];
        char *space = s.len ? arena_alloc(r->arena, s.len + 1) : NULL;
        if (s.len && (!space || !http_percent_decode(s, false, space, &s)))
            return false;
        r->parameter[i] = s;
    }
    return true;
}

static void dispatch(struct http_connection *c, size_t body_len) {
    struct http_server *server = c->loop->server;
    const struct http_route *route = c->match.route;
    struct http_exchange *x = &c->loop->exchange;
    bool lent = route->flags & (HTTP_SLOW | HTTP_DATA);
    if (lent) {
        x = mem_alloc(sizeof *x);
        http_exchange_init(x);
    } else {
        http_exchange_clear(x);
    }
    const char *base = c->in.data + c->at;
    c->head.base = base;
    c->handled_us = c->now_us;
    x->route = route;
    x->connection = c;
    x->request = (struct http_request){
        .method = route->method,
        .path = span_make(base + c->head.path.at, c->head.path.len),
        .query = span_make(base + c->head.query.at, c->head.query.len),
        .body = span_make(base + c->head.len, body_len),
        .role = c->asker.role,
        .who = c->asker.who,
        .peer = c->peer,
        .arena = &x->arena,
        .now_us = c->now_us,
        .head = &c->head,
        .connection = c,
    };
    if (!decode_parameters(c, &x->request)) {
        http_error(&x->response, 400, "bad_request", "the path is not percent-encoded UTF-8", NULL);
    } else if (!lent) {
        route->handler(&x->request, &x->response, route->context);
    } else if (queue_push(route->flags & HTTP_DATA ? server->data.work : server->slow.work, x, 1,
                          0) == QUEUE_OK) {
        c->exchange = x;
        c->state = STATE_WORKING;
        return;
    } else {
        http_error(&x->response, 503, "stopping", "the server is stopping", NULL);
    }
    answer(c, x);
    if (lent) {
        http_exchange_release(x);
        free(x);
    }
}

/* OPTIONS: what is possible here; the browser's question before a request from another site too. */
static void answer_options(struct http_connection *c) {
    struct http_exchange *x = &c->loop->exchange;
    http_exchange_clear(x);
    c->handled_us = c->now_us;
    x->route = NULL;
    x->response.status = 204;
    bool whole = !c->head.chunked && c->head.length <= input(c).len - c->head.len;
    c->close = c->close || !whole;
    write_answer(c, x, c->match.allowed | 1U << HTTP_OPTIONS);
    next_request(c, whole ? c->head.len + c->head.length : input(c).len);
}

static size_t body_max(const struct http_connection *c) {
    return c->match.route->role == HTTP_ANYONE ? HTTP_BODY_ANYONE_MAX : HTTP_BODY_MAX;
}

/* The head is there: everything that can be said without the body is said before it is read. */
static void begin_request(struct http_connection *c) {
    struct http_service *service = c->loop->service;
    struct http_refusal why;
    c->head.base = c->in.data + c->at;
    struct span path = span_make(c->head.base + c->head.path.at, c->head.path.len);
    http_router_match(&service->router, c->head.method, path, &c->match);
    if (http_guard_check(&service->guard, &c->head, &c->match, c->fd, c->now_us, &c->asker, &why)) {
        struct http_counters *n = &c->loop->server->counters;
        atomic_fetch_add(why.status == 421 ? &n->unknown_host : &n->not_allowed, 1);
        refuse(c, why.status, why.code, why.message, why.way_out);
    } else if (!c->match.allowed) {
        refuse(c, 404, "not_found", "there is nothing with this path", NULL);
    } else if (c->head.method == HTTP_OPTIONS) {
        answer_options(c);
    } else if (!c->match.route) {
        refuse(c, 405, "method_not_allowed", "this path does not have that method", NULL);
    } else if (!c->head.chunked && c->head.length > body_max(c)) {
        refuse(c, 413, "too_large", "the body is too long", NULL);
    } else {
        c->state = STATE_BODY;
        c->chunks = (struct http_chunks){.max = body_max(c)};
        c->deadline_us = c->now_us + HTTP_BODY_US;
        if (c->head.expects_continue && input(c).len == c->head.len)
            buf_add_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
}

/* The body may have moved the buffer: what points into the head moves too. */
static void follow_buffer(struct http_connection *c) {
    const char *base = c->in.data + c->at;
    if (base == c->head.base)
        return;
    c->head.base = base;
    http_router_match(&c->loop->service->router, c->head.method,
                      span_make(base + c->head.path.at, c->head.path.len), &c->match);
    if (c->asker.cors_origin.ptr)
        c->asker.cors_origin = http_head_field(&c->head, "origin");
}

/* False: more bytes are needed. */
static bool read_body(struct http_connection *c) {
    size_t before = c->at + c->head.len, there = c->in.len - before;
    const char *why = "";
    follow_buffer(c);
    if (!c->head.chunked) {
        if (there < c->head.length)
            return false;
        dispatch(c, c->head.length);
        return true;
    }
    int rc = http_chunks_read(&c->chunks, c->in.data + before, there, &why);
    if (rc == -413)
        refuse(c, 413, "too_large", why, NULL);
    else if (rc < 0)
        refuse_bytes(c, -rc, why);
    else if (rc == 0)
        c->in.len = before + http_chunks_join(&c->chunks, c->in.data + before, there);
    else
        dispatch(c, c->chunks.body);
    return rc != 0;
}

/* False: more bytes are needed. */
static bool read_head(struct http_connection *c) {
    const char *why = "";
    struct span bytes = input(c);
    if (bytes.len == 0)
        return false;
    if (c->begun_us == 0) {
        c->begun_us = c->now_us;
        c->deadline_us = c->now_us + HTTP_HEAD_US;
    }
    int rc = http_head_read(&c->head, bytes, &why);
    if (rc < 0)
        refuse_bytes(c, -rc, why);
    else if (rc > 0)
        begin_request(c);
    return rc != 0;
}

static bool takes_input(const struct http_connection *c) {
    bool open = c->state == STATE_HEAD || c->state == STATE_BODY;
    return open && !(c->state == STATE_HEAD && c->close) && unsent(c) <= HTTP_PIPELINED_MAX;
}

/* Handles what has been read. */
static void run(struct http_connection *c) {
    bool more = true;
    while (more && takes_input(c))
        more = c->state == STATE_HEAD ? read_head(c) : read_body(c);
    c->held = more;
    if (c->at == 0 || (c->state != STATE_HEAD && c->state != STATE_BODY))
        return;
    struct span rest = input(c);
    memmove(c->in.data, rest.ptr, rest.len);
    c->in.len = rest.len;
    c->at = 0;
    if (rest.len == 0 && c->in.cap > KEEP_BYTES)
        buf_release(&c->in);
}

/* ---- bytes ---- */

/* Bytes read; 0: none now (or the connection is DEAD, or at its end). *ret_filled: there may be
 * more. */
static size_t receive(struct http_connection *c, bool *ret_filled) {
    size_t room = c->state == STATE_BODY ? BODY_ROOM : HEAD_ROOM;
    char *to = buf_reserve(&c->in, room);
    if (!to) {
        c->state = STATE_DEAD; /* cannot be: what is read is bounded by the limits */
        return 0;
    }
    ssize_t n = http_io_read(c->fd, c->ssl, to, room);
    c->read_wants_write = n == HTTP_IO_WRITE;
    *ret_filled = false;
    if (n > 0) {
        c->in.len += (size_t)n;
        *ret_filled = c->ssl ? SSL_pending(c->ssl) > 0 : (size_t)n == room;
        return (size_t)n;
    }
    if (n == HTTP_IO_FAILED)
        c->state = STATE_DEAD;
    c->end = c->end || n == HTTP_IO_END;
    return 0;
}

static void throw_away(struct http_connection *c) {
    char bytes[HEAD_ROOM];
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t n = http_io_read(c->fd, c->ssl, bytes, sizeof bytes);
        c->read_wants_write = n == HTTP_IO_WRITE;
        if (n == HTTP_IO_END || n == HTTP_IO_FAILED)
            c->state = STATE_DEAD;
        if (n <= 0)
            return;
    }
}

static void pump(struct http_connection *c) {
    for (int i = 0; i < ROUNDS; i++) {
        bool filled;
        if (!takes_input(c)) {
            c->held = true;
            return;
        }
        if (c->end)
            return;
        size_t n = receive(c, &filled);
        if (n)
            run(c);
        if (!n || !filled)
            return;
    }
    event_active(&c->read_event, EV_READ, 0); /* go on after the others */
}

/* Its time for the next request, or for the rest of one, begins when it has taken all: until then
 * we may not even have been reading. */
static void all_is_sent(struct http_connection *c) {
    if (c->state == STATE_BODY)
        c->deadline_us = c->now_us + HTTP_BODY_US;
    else if (c->state == STATE_HEAD)
        c->deadline_us = c->now_us + (c->begun_us ? HTTP_HEAD_US : HTTP_IDLE_US);
}

static void flush(struct http_connection *c) {
    while (unsent(c) > 0 && c->state != STATE_DEAD) {
        ssize_t n = http_io_write(c->fd, c->ssl, c->out.data + c->sent, unsent(c));
        if (n == HTTP_IO_WRITE || n == HTTP_IO_READ)
            return;
        if (n <= 0) {
            c->state = STATE_DEAD;
            return;
        }
        c->sent += (size_t)n;
        c->write_us = c->now_us + HTTP_WRITE_US;
        if (unsent(c) == 0)
            all_is_sent(c);
    }
    c->sent = 0;
    if (c->out.cap > KEEP_BYTES)
        buf_release(&c->out);
    buf_clear(&c->out);
}

/* Events of the hub go to the output, as much as fits. */
static void fill_stream(struct http_connection *c) {
    struct http_server *server = c->loop->server;
    size_t before = unsent(c);
    if (c->sent > 0) { /* what was sent does not count */
        memmove(c->out.data, c->out.data + c->sent, before);
        c->out.len = before;
        c->sent = 0;
    }
    if (before == 0)
        c->write_us = c->now_us + HTTP_WRITE_US;
    switch (http_hub_read(&server->hub, c->channel, &c->place, before, &c->out)) {
    case HTTP_HUB_ALL:
        c->caught_up = true;
        break;
    case HTTP_HUB_MORE:
        /* A stream that still gets the past has room for more when it has taken this. */
        if (!c->caught_up)
            break;
        __attribute__((fallthrough));
    case HTTP_HUB_GONE:
        atomic_fetch_add(&server->counters.streams_cut, 1);
        c->state = STATE_DEAD;
        break;
    }
    if (c->out.len > before)
        c->heartbeat_us = c->now_us + HTTP_STREAM_US;
}

static void linger(struct http_connection *c) {
    if (c->ssl)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    c->state = c->end ? STATE_DEAD : STATE_LINGER;
    c->deadline_us = c->now_us + HTTP_LINGERING_US;
}

static void set_events(struct http_connection *c) {
    bool reads = takes_input(c) || c->state == STATE_STREAM || c->state == STATE_LINGER;
    bool writes = c->state != STATE_DEAD && (unsent(c) > 0 || (reads && c->read_wants_write));
    reads = reads && !c->end;
    if (reads != c->reading)
        reads ? event_add(&c->read_event, NULL) : event_del(&c->read_event);
    if (writes != c->writing)
        writes ? event_add(&c->write_event, NULL) : event_del(&c->write_event);
    c->reading = reads;
    c->writing = writes;
}

/* Every call from the loop ends here: sends, goes on with what waited for that, and frees a
 * connection that is over. */
static void settle(struct http_connection *c) {
    flush(c);
    while (c->state == STATE_STREAM && unsent(c) == 0 && !c->caught_up) {
        fill_stream(c);
        flush(c);
    }
    for (int i = 0; i < ROUNDS && c->held && takes_input(c); i++) {
        run(c);
        pump(c);
        flush(c);
    }
    if (unsent(c) == 0 && c->state == STATE_HEAD && c->close)
        linger(c);
    else if (unsent(c) == 0 && c->end && (c->state == STATE_HEAD || c->state == STATE_BODY))
        c->state = STATE_DEAD;
    if (c->state == STATE_DEAD && !c->exchange) {
        http_connection_free(c);
        return;
    }
    if (c->held && takes_input(c))
        event_active(&c->read_event, EV_READ, 0);
    set_events(c);
}

/* ---- calls from the loop ---- */

static void on_read(evutil_socket_t fd, short what, void *argument) {
    (void)fd;
    (void)what;
    struct http_connection *c = argument;
    c->now_us = clock_mono_us();
    if (c->state == STATE_STREAM || c->state == STATE_LINGER)
        throw_away(c);
    else
        pump(c);
    settle(c);
}

static void on_write(evutil_socket_t fd, short what, void *argument) {
    struct http_connection *c = argument;
    if (c->read_wants_write) {
        on_read(fd, what, argument);
        return;
    }
    c->now_us = clock_mono_us();
    settle(c);
}

void http_connection_returned(struct http_exchange *x) {
    struct http_connection *c = x->connection;
    c->now_us = clock_mono_us();
    c->exchange = NULL;
    if (c->state != STATE_DEAD)
        answer(c, x);
    http_exchange_release(x);
    free(x);
    c->held = true; /* in our buffer, or in OpenSSL's */
    settle(c);
}

void http_connection_events(struct http_connection *c) {
    if (c->state != STATE_STREAM)
        return;
    c->now_us = clock_mono_us();
    fill_stream(c);
    settle(c);
}

static void too_slow(struct http_connection *c) {
    if (input(c).len == 0) {
        c->state = STATE_DEAD;
        return;
    }
    refuse_bytes(c, 408,
                 c->state == STATE_HEAD ? "the headers took too long" : "the body took too long");
}

void http_connection_tick(struct http_connection *c, int64_t now_us) {
    c->now_us = now_us;
    if (unsent(c) > 0 && now_us >= c->write_us)
        c->state = STATE_DEAD;
    switch (c->state) {
    case STATE_HEAD:
    case STATE_BODY:
        if (unsent(c) > 0 || now_us < c->deadline_us)
            return;
        too_slow(c);
        break;
    case STATE_LINGER:
        if (now_us < c->deadline_us)
            return;
        c->state = STATE_DEAD;
        break;
    case STATE_STREAM:
        if (now_us < c->heartbeat_us)
            return;
        c->heartbeat_us = now_us + HTTP_STREAM_US;
        if (unsent(c) == 0)
            buf_add_text(&c->out, ":\n\n");
        break;
    case STATE_WORKING:
        return;
    case STATE_DEAD:
        break;
    }
    settle(c);
}

void http_connection_stop(struct http_connection *c, int64_t stop_us) {
    c->now_us = clock_mono_us();
    c->close = true;
    if (c->deadline_us > stop_us)
        c->deadline_us = stop_us;
    if (c->state == STATE_STREAM) {
        c->state = STATE_HEAD;
    } else if (c->state == STATE_LINGER ||
               (c->state == STATE_HEAD && input(c).len == 0 && unsent(c) == 0)) {
        c->state = STATE_DEAD;
    } else if (c->state == STATE_HEAD && input(c).len > 0) {
        c->close = false; /* it has begun to ask: answered with Connection: close */
    }
    settle(c);
}

/* ---- life ---- */

static void name_peer(struct http_connection *c, const struct sockaddr *peer) {
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        port = ntohs(v4.sin_port);
    } else if (peer->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        port = ntohs(v6.sin6_port);
    }
    bool v6 = peer->sa_family == AF_INET6;
    (void)snprintf(c->peer, sizeof c->peer, v6 ? "[%s]:%u" : "%s:%u", text, port);
}

static bool begin_tls(struct http_connection *c) {
    struct http_service *service = c->loop->service;
    pthread_mutex_lock(&service->tls_lock);
    c->ssl = service->tls ? SSL_new(service->tls) : NULL;
    bool wanted = service->tls != NULL;
    pthread_mutex_unlock(&service->tls_lock);
    if (!wanted)
        return true;
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        return false;
    SSL_set_accept_state(c->ssl);
    return true;
}

void http_connection_new(struct http_loop *loop, int fd, const struct sockaddr *peer,
                         bool refused) {
    struct http_connection *c = mem_zalloc(1, sizeof *c);
    int one = 1;
    *c = (struct http_connection){.loop = loop, .fd = fd, .now_us = clock_mono_us()};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buf_init(&c->in, IN_MAX);
    buf_init(&c->out, OUT_MAX);
    c->deadline_us = c->now_us + HTTP_HEAD_US;
    c->next = loop->connections;
    if (c->next)
        c->next->prev = c;
    loop->connections = c;
    name_peer(c, peer);
    event_assign(&c->read_event, loop->base, fd, EV_READ | EV_PERSIST, on_read, c);
    event_assign(&c->write_event, loop->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
    if (!begin_tls(c) || (refused && c->ssl))
        c->state = STATE_DEAD;
    else if (refused)
        refuse_bytes(c, 503, "there are as many connections as this server keeps");
    settle(c);
}

void http_connection_free(struct http_connection *c) {
    struct http_loop *loop = c->loop;
    event_del(&c->read_event);
    event_del(&c->write_event);
    if (c->begun_us && c->state == STATE_DEAD)
        atomic_fetch_add(&loop->server->counters.requests[0], 1);
    if (c->prev)
        c->prev->next = c->next;
    else
        loop->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->has_slot) {
        atomic_fetch_sub(&loop->server->counters.streams, 1);
        atomic_fetch_sub(&loop->streams, 1);
    }
    if (c->exchange) {
        http_exchange_release(c->exchange);
        free(c->exchange);
    }
    SSL_free(c->ssl);
    close(c->fd);
    buf_release(&c->in);
    buf_release(&c->out);
    atomic_fetch_sub(&loop->server->counters.connections, 1);
    free(c);
}

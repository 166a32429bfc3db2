/* Answers of handlers and of our own, and streams of events. */
#include "base/clock.h"
#include "http/connection.h"

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
    const struct http_outgoing outgoing = {.response = &x->response,
                                           .cors_origin = c->asker.cors_origin,
                                           .date = loop->date,
                                           .date_len = loop->date_len,
                                           .close = c->close,
                                           .head_only = c->head.method == HTTP_HEAD,
                                           .allowed = allowed};
    if (c->sent == c->out.len)
        c->write_us = c->now_us + HTTP_WRITE_US;
    http_answer_write(&outgoing, &c->out);
    if (!buf_ok(&c->out))
        c->state = STATE_DEAD;
    count_answer(c, x->route, x->response.status);
}

/* What the request takes of the input, its body unread: that is passed over where it is there, else
 * the connection ends. */
static size_t without_body(struct http_connection *c) {
    size_t there = connection_input(c).len;
    bool whole = !c->head.chunked && c->head.len && c->head.length <= there - c->head.len;
    c->close = c->close || !whole;
    return whole ? c->head.len + c->head.length : there;
}

void connection_refuse(struct http_connection *c, int status, const char *code, const char *message,
                       const char *way_out) {
    struct http_exchange *x = &c->loop->exchange;
    http_exchange_clear(x);
    c->handled_us = c->now_us;
    x->route = c->match.route;
    http_error(&x->response, status, code, message, way_out);
    if (status == 429 || status == 503)
        http_add_header(&x->response, "Retry-After", "1");
    size_t used = without_body(c);
    write_answer(c, x, status == 405 ? c->match.allowed : 0);
    next_request(c, used);
}

void connection_refuse_bytes(struct http_connection *c, int status, const char *why) {
    struct http_counters *n = &c->loop->server->counters;
    if (status != 503) /* those are counted where they are accepted */
        atomic_fetch_add(status == 408 ? &n->slow : &n->malformed, 1);
    c->match = (struct http_match){0};
    c->asker = (struct http_asker){0};
    c->close = true;
    connection_refuse(c, status, "bad_request", why, NULL);
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

void connection_answer(struct http_connection *c, struct http_exchange *x) {
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

void connection_answer_options(struct http_connection *c) {
    struct http_exchange *x = &c->loop->exchange;
    http_exchange_clear(x);
    c->handled_us = c->now_us;
    x->route = NULL;
    x->response.status = 204;
    size_t used = without_body(c);
    write_answer(c, x, c->match.allowed | 1U << HTTP_OPTIONS);
    next_request(c, used);
}

/* ---- streams ---- */

void connection_fill_stream(struct http_connection *c) {
    struct http_server *server = c->loop->server;
    size_t before = connection_unsent(c);
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

/* From bytes to the handler: head, body, route, and who may. */
#include "base/mem.h"
#include "http/connection.h"

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
    connection_answer(c, x);
    if (lent) {
        http_exchange_release(x);
        free(x);
    }
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
        connection_refuse(c, why.status, why.code, why.message, why.way_out);
    } else if (!c->match.allowed) {
        connection_refuse(c, 404, "not_found", "there is nothing with this path", NULL);
    } else if (c->head.method == HTTP_OPTIONS) {
        connection_answer_options(c);
    } else if (!c->match.route) {
        connection_refuse(c, 405, "method_not_allowed", "this path does not have that method",
                          NULL);
    } else if (!c->head.chunked && c->head.length > body_max(c)) {
        connection_refuse(c, 413, "too_large", "the body is too long", NULL);
    } else {
        c->state = STATE_BODY;
        c->chunks = (struct http_chunks){.max = body_max(c)};
        c->deadline_us = c->now_us + HTTP_BODY_US;
        if (c->head.expects_continue && connection_input(c).len == c->head.len)
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
        connection_refuse(c, 413, "too_large", why, NULL);
    else if (rc < 0)
        connection_refuse_bytes(c, -rc, why);
    else if (rc == 0)
        c->in.len = before + http_chunks_join(&c->chunks, c->in.data + before, there);
    else
        dispatch(c, c->chunks.body);
    return rc != 0;
}

/* False: more bytes are needed. */
static bool read_head(struct http_connection *c) {
    const char *why = "";
    struct span bytes = connection_input(c);
    if (bytes.len == 0)
        return false;
    if (c->begun_us == 0) {
        c->begun_us = c->now_us;
        c->deadline_us = c->now_us + HTTP_HEAD_US;
    }
    int rc = http_head_read(&c->head, bytes, &why);
    if (rc < 0)
        connection_refuse_bytes(c, -rc, why);
    else if (rc > 0)
        begin_request(c);
    return rc != 0;
}

bool connection_takes_input(const struct http_connection *c) {
    bool open = c->state == STATE_HEAD || c->state == STATE_BODY;
    return open && !(c->state == STATE_HEAD && c->close) &&
           connection_unsent(c) <= HTTP_PIPELINED_MAX;
}

void connection_run(struct http_connection *c) {
    bool more = true;
    while (more && connection_takes_input(c))
        more = c->state == STATE_HEAD ? read_head(c) : read_body(c);
    c->held = more;
    if (c->at == 0 || (c->state != STATE_HEAD && c->state != STATE_BODY))
        return;
    struct span rest = connection_input(c);
    memmove(c->in.data, rest.ptr, rest.len);
    c->in.len = rest.len;
    c->at = 0;
    if (rest.len == 0 && c->in.cap > CONNECTION_KEEP_BYTES)
        buf_release(&c->in);
}

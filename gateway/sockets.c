/* WebSockets: their side is fixed when they connect. One on MongoDB whose module goes back to SQL
 * may go on for `drain`, then it is closed: what it tells its client would be stale.
 *
 * Who asks is fixed then too: a token that expires meanwhile is no way back, and to look every time
 * would take memory of the request, which ends with the WebSocket. */
#include "banyan.h"

typedef struct {
    ngx_queue_t link;
    ngx_http_request_t *request;
    const banyan_route_t *route;
    struct flags_context asker; /* texts are the request's pool's */
    int64_t back_since_us;      /* 0: MongoDB is still the side */
} socket_t;

static ngx_queue_t sockets;

void banyan_sockets_start(void) {
    ngx_queue_init(&sockets);
}

static void forget(void *data) {
    socket_t *s = data;
    ngx_queue_remove(&s->link);
}

ngx_int_t banyan_socket_add(ngx_http_request_t *r, const banyan_request_t *b) {
    if (banyan_answered_by(b) != ROUTE_MONGODB)
        return NGX_OK;
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->pool, sizeof(socket_t));
    if (!c)
        return NGX_ERROR;
    socket_t *s = c->data;
    if (banyan_asker_keep(r, b->route, &s->asker) != NGX_OK)
        return NGX_ERROR;
    s->request = r;
    s->route = b->route;
    s->back_since_us = 0;
    ngx_queue_insert_tail(&sockets, &s->link);
    c->handler = forget;
    return NGX_OK;
}

/* As if its client had left; `s` is gone then. */
static void end(socket_t *s) {
    ngx_http_request_t *r = s->request;
    ngx_connection_t *c = r->connection;
    ngx_log_error(NGX_LOG_NOTICE, c->log, 0, "banyan: SQL is the side again, the WebSocket ends");
    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(c);
}

static ngx_uint_t is_over(socket_t *s, const banyan_main_conf_t *conf, int64_t now) {
    if (banyan_wants_mongodb(s->route, &s->asker)) {
        s->back_since_us = 0;
        return 0;
    }
    if (s->back_since_us == 0)
        s->back_since_us = now;
    return now - s->back_since_us >= conf->drain_us;
}

void banyan_sockets_look(const banyan_main_conf_t *conf) {
    int64_t now = banyan_now_us();
    for (ngx_queue_t *q = ngx_queue_head(&sockets), *next; q != ngx_queue_sentinel(&sockets);
         q = next) {
        socket_t *s = ngx_queue_data(q, socket_t, link);
        next = ngx_queue_next(q);
        if (is_over(s, conf, now))
            end(s);
    }
}

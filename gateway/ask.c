/* One request: its route, and its decision. */
#include "banyan.h"

static void keep(void *data) {
    (void)data; /* the cleanup is only where the request is found again */
}

banyan_request_t *banyan_request(ngx_http_request_t *r) {
    banyan_request_t *b = ngx_http_get_module_ctx(r->main, ngx_http_banyan_module);
    for (ngx_pool_cleanup_t *c = r->main->pool->cleanup; c && !b; c = c->next)
        if (c->handler == keep)
            b = c->data;
    return b;
}

enum route_side banyan_answered_by(const banyan_request_t *b) {
    return b->rescued ? ROUTE_SQL : b->decision.side;
}

const char *const banyan_failure_names[BANYAN_FAILURES] = {"connect", "timeout", "5xx", "404"};

enum banyan_failure banyan_failure_of(ngx_http_request_t *r, ngx_uint_t *ret_status) {
    const ngx_array_t *states = r->upstream_states;
    const ngx_http_upstream_state_t *last =
        states && states->nelts
            ? (const ngx_http_upstream_state_t *)states->elts + states->nelts - 1
            : NULL;
    *ret_status = last && last->status ? last->status : NGX_HTTP_BAD_GATEWAY;
    if (*ret_status == NGX_HTTP_NOT_FOUND)
        return BANYAN_404;
    if (!last || last->header_time != (ngx_msec_t)-1)
        return BANYAN_5XX; /* the service's own words, a 504 too */
    /* nginx says 504 of a connection that does not come about, too. One that is refused later than
     * at once has a time of connecting, but nothing was sent on it. */
    if (last->connect_time == (ngx_msec_t)-1 || last->bytes_sent == 0)
        return BANYAN_CONNECT;
    return *ret_status == NGX_HTTP_GATEWAY_TIME_OUT ? BANYAN_TIMEOUT : BANYAN_5XX;
}

static banyan_request_t *begin(ngx_http_request_t *r) {
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->main->pool, sizeof(banyan_request_t));
    if (!c)
        return NULL;
    ngx_memzero(c->data, sizeof(banyan_request_t));
    c->handler = keep;
    ngx_http_set_ctx(r->main, c->data, ngx_http_banyan_module);
    return c->data;
}

/* ---- answers of our own ---- */

static ngx_int_t answer(ngx_http_request_t *r, ngx_uint_t status, const char *json) {
    size_t len = ngx_strlen(json);
    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK)
        return rc;
    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t)len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only)
        return rc;
    ngx_buf_t *b = ngx_calloc_buf(r->pool);
    if (!b)
        return NGX_ERROR;
    b->pos = b->start = (u_char *)json;
    b->last = b->end = b->pos + len;
    b->memory = 1;
    b->last_buf = 1;
    ngx_chain_t out = {.buf = b};
    return ngx_http_output_filter(r, &out);
}

/* ---- the decision ---- */

static bool flag_is_on(const banyan_route_t *route, const struct flags_set *set,
                       struct flags_context *asker) {
    struct flags_result result;
    const ngx_time_t *now = ngx_timeofday(); /* of this turn of the event loop */
    asker->now_us = (int64_t)now->sec * 1000000 + (int64_t)now->msec * 1000;
    flags_evaluate(set, flags_find(set, banyan_span(route->flag)), asker, &result);
    return result.on;
}

static bool flag_is_on_for(ngx_http_request_t *r, banyan_request_t *b,
                           const struct flags_set *set) {
    struct flags_attribute of_user[BANYAN_ATTRIBUTES_MAX], of_tenant[BANYAN_ATTRIBUTES_MAX];
    struct flags_context asker = {0};
    banyan_asker_fill(r, b->route, of_user, of_tenant, &asker);
    b->user = asker.user;
    b->user_known = 1;
    return flag_is_on(b->route, set, &asker);
}

static bool is_read(ngx_http_request_t *r, const banyan_route_t *route) {
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_OPTIONS))
        return true;
    for (ngx_uint_t i = 0; route->reads && i < route->reads->nelts; i++) {
        const banyan_read_t *read = (banyan_read_t *)route->reads->elts + i;
        struct span prefix = banyan_span(read->path);
        if (span_eq(banyan_span(read->method), banyan_span(r->method_name)) &&
            route_find(&prefix, 1, banyan_span(r->uri)) == 0)
            return true;
    }
    return false;
}

/* NULL: never published. */
static const struct route_module *module_of(const banyan_route_t *route) {
    const struct route_settings *settings = banyan_published_settings();
    return settings ? route_settings_find(settings, (const char *)route->module.data) : NULL;
}

/* By settings and flag alone. */
static bool wants_mongodb(ngx_http_request_t *r, banyan_request_t *b,
                          const struct route_module *m) {
    const struct flags_set *flags = banyan_published_flags();
    return m->reads == READS_MONGODB ||
           (m->reads == READS_FLAG && flags && flag_is_on_for(r, b, flags));
}

bool banyan_wants_mongodb(const banyan_route_t *route, struct flags_context *asker) {
    const struct route_module *m = module_of(route);
    const struct flags_set *flags = banyan_published_flags();
    if (!m)
        return true; /* never published: as it was */
    return m->reads == READS_MONGODB ||
           (m->reads == READS_FLAG && flags && flag_is_on(route, flags, asker));
}

/* What may keep a read from MongoDB although it is wanted there. */
static void look_around(ngx_http_request_t *r, banyan_main_conf_t *conf, banyan_request_t *b,
                        struct route_question *q, ngx_uint_t *trial) {
    if (b->mongodb_reads)
        q->own_write = banyan_has_written(r, conf, b);
    if (q->may_fall_back && !q->own_write) {
        b->asked_breaker = 1;
        q->breaker_open = banyan_breaker_is_open(conf, b->route, trial);
    }
}

static void ask_module(ngx_http_request_t *r, banyan_main_conf_t *conf, banyan_request_t *b,
                       const struct route_module *m, struct route_question *q, ngx_uint_t *trial) {
    q->reads = m->reads;
    q->writes = m->writes;
    q->may_fall_back = q->is_read && b->route->guarded.len && route_may_fall_back(m);
    q->known = q->reads != READS_FLAG || banyan_published_flags();
    b->mongodb_reads = q->reads >= READS_FLAG && q->writes != WRITES_MONGODB;
    if (!q->known || !q->is_read || !wants_mongodb(r, b, m))
        return;
    q->flag_on = true;
    look_around(r, conf, b, q, trial);
}

static void decide(ngx_http_request_t *r, banyan_main_conf_t *conf, banyan_request_t *b) {
    const struct route_module *m = module_of(b->route);
    struct route_question q = {.is_read = b->read};
    ngx_uint_t trial = 0;
    if (m)
        ask_module(r, conf, b, m, &q, &trial);
    b->decision = route_decide(&q);
    if (b->decision.reason == ROUTE_BY_OWN_WRITE || b->decision.reason == ROUTE_BY_BREAKER)
        banyan_count_kept(b->route, b->decision.reason);
    b->trial = trial && b->decision.side == ROUTE_MONGODB;
    if (b->decision.guarded && !b->trial && !banyan_budget_left(conf, b->route))
        b->decision.guarded = false;
}

static const ngx_str_t *location_of(ngx_http_request_t *r, const banyan_request_t *b) {
    if (b->decision.guarded) /* a WebSocket may be silent for longer than an answer may take */
        return r->headers_in.upgrade ? &b->route->guarded_socket : &b->route->guarded;
    return &(b->read ? b->route->reads_at : b->route->writes_at)[b->decision.side];
}

static struct span raw_path(ngx_http_request_t *r) {
    struct span uri = banyan_span(r->unparsed_uri);
    const char *query = memchr(uri.ptr, '?', uri.len);
    return query ? span_make(uri.ptr, (size_t)(query - uri.ptr)) : uri;
}

/* A path that nginx did not have to decode or tidy up has one reading. */
static bool is_plain(ngx_http_request_t *r, struct span raw) {
    return !r->complex_uri && !r->quoted_uri && span_eq(raw, banyan_span(r->uri));
}

ngx_int_t banyan_ask(ngx_http_request_t *r) {
    banyan_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_banyan_module);
    size_t chosen = route_find(conf->prefixes, conf->routes.nelts, banyan_span(r->uri));
    struct span raw = raw_path(r);
    if (!is_plain(r, raw) && route_is_ambiguous(conf->prefixes, conf->routes.nelts, raw, chosen))
        return answer(r, NGX_HTTP_BAD_REQUEST, "{\"error\":\"Ambiguous path\"}");
    if (chosen == ROUTE_NONE)
        return answer(r, NGX_HTTP_NOT_FOUND, "{\"error\":\"Route not found\"}");
    banyan_request_t *b = begin(r);
    if (!b)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    b->route = (banyan_route_t *)conf->routes.elts + chosen;
    b->read = is_read(r, b->route);
    decide(r, conf, b);
    if (b->decision.reason == ROUTE_BY_NO_FLAGS && b->route->never_stale) {
        b->decision.side = ROUTE_MONGODB; /* whose place SQL must not take */
        return answer(r, NGX_HTTP_SERVICE_UNAVAILABLE, "{\"error\":\"Not ready\"}");
    }
    banyan_sample_begin(r, conf, b);
    banyan_write_begin(r, conf, b);
    b->started_us = banyan_now_us();
    return banyan_forward(r, location_of(r, b));
}

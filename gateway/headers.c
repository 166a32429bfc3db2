/* Headers: what clients may not say, and what every answer says. */
#include "banyan.h"

static ngx_http_output_header_filter_pt next_header_filter;

const char banyan_shadow_header[] = "X-Banyan-Shadow";

static const ngx_str_t OURS[] = {ngx_string("X-Data-Source"), ngx_string("X-Service"),
                                 ngx_string("X-Migrated"), ngx_string("X-Banyan-Fallback"),
                                 ngx_string("X-Banyan-Shadow")};
#define OURS_COUNT (sizeof OURS / sizeof *OURS)
/* The other side may call further services by this gateway: they must not be asked twice for it
 * either. So this one counts from whom we trust, and is passed on. */
#define SHADOW (&OURS[OURS_COUNT - 1])

static ngx_uint_t is_trusted(ngx_http_request_t *r, const banyan_main_conf_t *conf) {
    return conf->trusted && ngx_cidr_match(r->connection->sockaddr, conf->trusted) == NGX_OK;
}

/* For nginx's variables, and for many a service, X_User_Id is X-User-Id. */
static ngx_uint_t is_same(const ngx_str_t *a, const ngx_str_t *b) {
    if (a->len != b->len)
        return 0;
    for (size_t i = a->len; i-- > 0;) { /* many begin alike */
        u_char x = ngx_tolower(a->data[i]), y = ngx_tolower(b->data[i]);
        if ((x == '_' ? '-' : x) != (y == '_' ? '-' : y))
            return 0;
    }
    return 1;
}

/* Most names are none of those that matter, and most of them have another length. */
static uint64_t length_bit(const ngx_str_t *name) {
    return UINT64_C(1) << ngx_min(name->len, 63);
}

static uint64_t lengths_of(const ngx_str_t *list, size_t count) {
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= length_bit(&list[i]);
    return bits;
}

static ngx_uint_t is_among(const ngx_str_t *name, const ngx_str_t *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_same(name, &list[i]))
            return 1;
    return 0;
}

/* Elements cannot leave the list (others point at them), and nginx's proxy forwards whatever stands
 * in it. What it never forwards is Keep-Alive, so that is what the header becomes. */
static void take_away(ngx_table_elt_t *h) {
    static u_char name[] = "Keep-Alive", lowcase[] = "keep-alive";
    h->key.data = name;
    h->key.len = sizeof name - 1;
    h->lowcase_key = lowcase;
    h->hash = ngx_hash_key(lowcase, sizeof lowcase - 1);
    ngx_str_set(&h->value, "");
}

static ngx_uint_t is_forged(const ngx_str_t *name, const banyan_main_conf_t *conf,
                            ngx_uint_t trusted) {
    if (is_among(name, OURS, OURS_COUNT))
        return !(trusted && is_same(name, SHADOW));
    return !trusted && conf->identity &&
           is_among(name, conf->identity->elts, conf->identity->nelts);
}

ngx_int_t banyan_clean_request(ngx_http_request_t *r) {
    const banyan_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_banyan_module);
    if (conf->routes.nelts == 0 || r != r->main)
        return NGX_DECLINED;
    ngx_uint_t trusted = is_trusted(r, conf);
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (!(conf->suspects & length_bit(&h[i].key)))
                continue;
            if (is_forged(&h[i].key, conf, trusted))
                take_away(&h[i]);
        }
    }
    return NGX_DECLINED;
}

const ngx_table_elt_t *banyan_asked_header(ngx_http_request_t *r, const char *name) {
    const ngx_str_t wanted = {ngx_strlen(name), (u_char *)name};
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
        const ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (is_among(&h[i].key, &wanted, 1))
                return &h[i];
    }
    return NULL;
}

const char *banyan_fallback_reason(const banyan_request_t *b) {
    if (b->decision.reason == ROUTE_BY_BREAKER)
        return "breaker";
    return b->rescued ? banyan_failure_names[b->failure] : NULL;
}

static ngx_int_t add(ngx_http_request_t *r, const ngx_str_t *name, ngx_str_t value) {
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (!h)
        return NGX_ERROR;
    ngx_memzero(h, sizeof *h);
    h->hash = 1;
    h->key = *name;
    h->value = value;
    return NGX_OK;
}

static ngx_str_t text(const char *s) {
    return (ngx_str_t){ngx_strlen(s), (u_char *)s};
}

/* Whoever answers below us, says who answers; a service cannot. */
static void hide(ngx_http_request_t *r) {
    uint64_t lengths = lengths_of(OURS, OURS_COUNT); /* a constant, to the compiler */
    for (ngx_list_part_t *part = &r->headers_out.headers.part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (h[i].hash && (lengths & length_bit(&h[i].key)) &&
                is_among(&h[i].key, OURS, OURS_COUNT))
                h[i].hash = 0;
    }
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
    banyan_request_t *b = r == r->main ? banyan_request(r) : NULL;
    if (!b)
        return next_header_filter(r);
    b->headed_us = banyan_now_us();
    enum route_side side = banyan_answered_by(b);
    const char *fallback = banyan_fallback_reason(b);
    hide(r);
    if (b->sample)
        banyan_sample_header(r, b);
    if (r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS && banyan_socket_add(r, b) != NGX_OK)
        return NGX_ERROR;
    if (add(r, &OURS[0], text(route_side_name(side))) != NGX_OK ||
        add(r, &OURS[1], b->route->service[side]) != NGX_OK ||
        add(r, &OURS[2], text(side == ROUTE_MONGODB ? "true" : "false")) != NGX_OK ||
        (fallback && add(r, &OURS[3], text(fallback)) != NGX_OK) ||
        banyan_write_cookie(r, b) != NGX_OK)
        return NGX_ERROR;
    return next_header_filter(r);
}

void banyan_headers_prepare(banyan_main_conf_t *conf) {
    conf->suspects = lengths_of(OURS, OURS_COUNT);
    if (conf->identity)
        conf->suspects |= lengths_of(conf->identity->elts, conf->identity->nelts);
}

ngx_int_t banyan_headers_init(ngx_conf_t *cf) {
    (void)cf;
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    return NGX_OK;
}

/* Samples: the daemon gets a copy of the request and of its answer, and asks the other side.
 *
 * The client's answer is nginx's own, from the side that was chosen; what is copied is copied on
 * its way. Nothing here waits, and what there is no room for is dropped and counted. */
#include "banyan.h"

/* Of all answers that are being copied by this worker at one time. */
#define COPIES_MAX ((size_t)16 * 1024 * 1024)

static ngx_http_output_body_filter_pt next_body_filter;
static size_t copies;

/* ---- which ---- */

static bool is_possible(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                        const banyan_request_t *b) {
    return conf->samples_path.len && b->route->sample && b->read && !r->headers_in.upgrade &&
           !banyan_asked_header(r, banyan_shadow_header);
}

static void let_go(void *data) {
    banyan_sample_t *s = data;
    copies -= s->counted + s->asked_counted;
    buf_release(&s->body);
    buf_release(&s->asked_body);
}

static banyan_sample_t *make(ngx_http_request_t *r) {
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->main->pool, sizeof(banyan_sample_t));
    if (!c)
        return NULL;
    banyan_sample_t *s = c->data;
    ngx_memzero(s, offsetof(banyan_sample_t, answered));
    s->answered.count = 0;
    buf_init(&s->body, FRAME_BODY_MAX);
    buf_init(&s->asked_body, FRAME_ASK_MAX);
    c->handler = let_go;
    return s;
}

/* The id that the services and the log see. */
static struct span request_id(ngx_http_request_t *r, const banyan_main_conf_t *conf) {
    const ngx_http_variable_value_t *v =
        ngx_http_get_indexed_variable(r, (ngx_uint_t)conf->request_id);
    return v && !v->not_found ? span_make(v->data, v->len) : span_make("", 0);
}

static int64_t wall_us(void) {
    const ngx_time_t *now = ngx_timeofday();
    return (int64_t)now->sec * 1000000 + (int64_t)now->msec * 1000;
}

static void take(ngx_http_request_t *r, banyan_request_t *b, enum frame_why why, uint64_t weight) {
    if (!banyan_wire_is_up()) {
        banyan_count_dropped(b->route, b->decision.side, FRAME_DROP_AWAY);
        return;
    }
    if (!b->sample)
        b->sample = make(r);
    if (!b->sample)
        return;
    b->sample->why = why;
    b->sample->weight = weight;
}

void banyan_sample_begin(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                         banyan_request_t *b) {
    uint64_t weight;
    if (!b->decision.sampled || !is_possible(r, conf, b))
        return;
    sampling_word *word = &banyan_shared(conf)->sampling[b->route->number];
    enum sampling s =
        sampling_take(word, b->route->sample, request_id(r, conf), wall_us(), &weight);
    if (s != SAMPLING_NO)
        take(r, b, s == SAMPLING_EARLY ? FRAME_EARLY : FRAME_HASHED, weight);
}

void banyan_sample_missing(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                           banyan_request_t *b) {
    if (is_possible(r, conf, b))
        take(r, b, FRAME_MISSING, SAMPLING_ONE);
}

/* ---- the request's body ---- */

static bool add_part(ngx_buf_t *part, struct buf *to) {
    if (ngx_buf_in_memory(part)) {
        buf_add(to, part->pos, (size_t)(part->last - part->pos));
        return buf_ok(to);
    }
    if (!part->in_file)
        return true;
    size_t len = (size_t)(part->file_last - part->file_pos);
    char *room = buf_reserve(to, len);
    if (!room || ngx_read_file(part->file, (u_char *)room, len, part->file_pos) != (ssize_t)len)
        return false;
    to->len += len;
    return true;
}

/* When the answer's header is there: soon after, nginx closes the file that it may be in. */
static void collect_body(ngx_http_request_t *r, banyan_sample_t *s) {
    const ngx_http_request_body_t *body = r->request_body;
    buf_clear(&s->asked_body);
    copies -= s->asked_counted;
    for (ngx_chain_t *cl = body ? body->bufs : NULL; cl && !s->large && !s->no_room;
         cl = cl->next) {
        size_t sum = copies + s->asked_body.len + (size_t)ngx_buf_size(cl->buf);
        s->no_room = sum > COPIES_MAX;
        s->large = !s->no_room && !add_part(cl->buf, &s->asked_body);
    }
    s->asked_counted = s->asked_body.len;
    copies += s->asked_counted;
}

/* ---- the answer, on its way ---- */

static ngx_uint_t is_compared(const banyan_route_t *route, const ngx_str_t *name) {
    static const ngx_str_t encoding = ngx_string("Content-Encoding");
    const ngx_str_t *list = route->compared ? route->compared->elts : NULL;
    if (name->len == encoding.len && ngx_strncasecmp(name->data, encoding.data, name->len) == 0)
        return 1;
    for (ngx_uint_t i = 0; list && i < route->compared->nelts; i++)
        if (name->len == list[i].len && ngx_strncasecmp(name->data, list[i].data, name->len) == 0)
            return 1;
    return 0;
}

static void add_header(struct frame_headers *to, struct span name, struct span value) {
    if (to->count < FRAME_HEADER_COUNT)
        to->list[to->count++] = (struct frame_header){name, value};
}

void banyan_sample_header(ngx_http_request_t *r, banyan_request_t *b) {
    banyan_sample_t *s = b->sample;
    s->answered.count = 0;
    if (r->headers_out.content_type.len)
        add_header(&s->answered, SPAN_LIT("Content-Type"),
                   banyan_span(r->headers_out.content_type));
    for (ngx_list_part_t *part = &r->headers_out.headers.part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (h[i].hash && is_compared(b->route, &h[i].key))
                add_header(&s->answered, banyan_span(h[i].key), banyan_span(h[i].value));
    }
    collect_body(r, s);
    s->whole = r->header_only || r->method == NGX_HTTP_HEAD ||
               r->headers_out.status == NGX_HTTP_NO_CONTENT ||
               r->headers_out.status == NGX_HTTP_NOT_MODIFIED;
    r->filter_need_in_memory = 1; /* of a file that is sent there would be nothing to copy */
}

static void copy(banyan_sample_t *s, const ngx_buf_t *b) {
    size_t len = (size_t)(b->last - b->pos), room = FRAME_BODY_MAX - s->body.len;
    if (len > room) {
        s->truncated = 1;
        len = room;
    }
    if (copies + len > COPIES_MAX) {
        s->no_room = 1;
        return;
    }
    buf_add(&s->body, b->pos, len);
    copies += len;
    s->counted += len;
}

static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in) {
    const banyan_request_t *b = in && r == r->main ? banyan_request(r) : NULL;
    banyan_sample_t *s = b ? b->sample : NULL;
    for (ngx_chain_t *cl = s ? in : NULL; cl; cl = cl->next) {
        if (ngx_buf_in_memory(cl->buf) && !s->no_room)
            copy(s, cl->buf);
        if (cl->buf->last_buf)
            s->whole = 1;
    }
    return next_body_filter(r, in);
}

void banyan_sample_init(void) {
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

/* ---- the request ---- */

/* Of this connection only, or what the other side must not be asked for. */
static ngx_uint_t is_left_out(const ngx_str_t *name) {
    static const ngx_str_t names[] = {ngx_string("Connection"),
                                      ngx_string("Keep-Alive"),
                                      ngx_string("TE"),
                                      ngx_string("Trailer"),
                                      ngx_string("Upgrade"),
                                      ngx_string("Transfer-Encoding"),
                                      ngx_string("Content-Length"),
                                      ngx_string("Proxy-Connection"),
                                      ngx_string("Expect"),
                                      ngx_string("Accept-Encoding"),
                                      ngx_string("Range"),
                                      ngx_string("If-Range"),
                                      ngx_string("If-Match"),
                                      ngx_string("If-None-Match"),
                                      ngx_string("If-Modified-Since"),
                                      ngx_string("If-Unmodified-Since")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name->len == names[i].len && ngx_strncasecmp(name->data, names[i].data, name->len) == 0)
            return 1;
    return 0;
}

/* False: too many. */
static bool collect_headers(ngx_http_request_t *r, struct frame_headers *to) {
    size_t bytes = 0;
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (is_left_out(&h[i].key))
                continue;
            bytes += h[i].key.len + h[i].value.len;
            if (to->count == FRAME_HEADER_COUNT || bytes > FRAME_HEADERS_MAX)
                return false;
            add_header(to, banyan_span(h[i].key), banyan_span(h[i].value));
        }
    }
    return true;
}

static enum frame_failure failure_of(const banyan_request_t *b) {
    static const enum frame_failure failures[BANYAN_FAILURES] = {FRAME_CONNECT, FRAME_TIMEOUT,
                                                                 FRAME_5XX, FRAME_404};
    return b->rescued ? failures[b->failure] : FRAME_NO_FAILURE;
}

/* ---- handing over ---- */

static void copy_headers(const struct frame_headers *from, struct frame_headers *to) {
    to->count = from->count;
    ngx_memcpy(to->list, from->list, from->count * sizeof *from->list);
}

/* But for the headers that were asked with. */
static void describe(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                     const banyan_request_t *b, struct frame_sample *s) {
    const banyan_sample_t *from = b->sample;
    ngx_memzero(s, offsetof(struct frame_sample, asked));
    s->at_us = (int64_t)r->start_sec * 1000000 + (int64_t)r->start_msec * 1000;
    s->module = banyan_span(b->route->module);
    s->route = banyan_span(b->route->prefix);
    s->request_id = request_id(r, conf);
    s->method = banyan_span(r->method_name);
    s->uri = banyan_span(r->unparsed_uri);
    s->remote = banyan_span(r->connection->addr_text);
    s->tls = r->connection->ssl != NULL;
    s->asked_body = buf_span(&from->asked_body);
    s->side = banyan_answered_by(b);
    s->reason = b->decision.reason;
    s->failure = failure_of(b);
    s->status = (uint16_t)r->headers_out.status;
    s->upstream_us = banyan_latency_us(r, b);
    s->body = buf_span(&from->body);
    s->truncated = from->truncated;
    s->why = from->why;
    s->weight = from->weight;
    s->asked.count = 0;
    copy_headers(&from->answered, &s->answered);
}

static enum frame_drop hand_over(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                                 const banyan_request_t *b) {
    static struct frame_sample s;
    const banyan_sample_t *from = b->sample;
    if (!from->whole || r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
        return FRAME_DROP_ABORTED;
    describe(r, conf, b, &s);
    if (from->large || !collect_headers(r, &s.asked))
        return FRAME_DROP_LARGE;
    if (from->no_room)
        return FRAME_DROP_FULL;
    if (!banyan_wire_is_up())
        return FRAME_DROP_AWAY;
    return banyan_wire_sample(&s) ? FRAME_DROP_COUNT : FRAME_DROP_FULL;
}

void banyan_sample_end(ngx_http_request_t *r, const banyan_main_conf_t *conf, banyan_request_t *b) {
    if (!b->sample || r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS)
        return;
    enum route_side side = banyan_answered_by(b);
    enum frame_drop drop = hand_over(r, conf, b);
    if (drop == FRAME_DROP_COUNT)
        banyan_count_sampled(b->route, side);
    else
        banyan_count_dropped(b->route, side, drop);
}

/* What is counted of each route and side, in this worker; the daemon gets what came to it once a
 * second. While there is no daemon it adds up. */
#include "banyan.h"

#include "obs/histogram.h"

#define FLUSH_EVERY_MS 1000

/* Of one route, side, and reads or writes. */
typedef struct {
    uint64_t count, errors, rescued, pinned, pins_ended, spared, sampled;
    uint64_t dropped[FRAME_DROP_COUNT];
    struct obs_histogram *latency; /* made with the first call: 18 KiB */
    ngx_uint_t changed;
} row_t;

static struct {
    row_t *rows; /* [route][side][write] */
    ngx_uint_t routes;
    ngx_event_t timer;
    struct buf blob;
} counts;

static row_t *row_of(const banyan_route_t *route, enum route_side side, ngx_uint_t write) {
    row_t *row = &counts.rows[(route->number * 2 + side) * 2 + write];
    row->changed = 1;
    return row;
}

static void add_latency(row_t *row, int64_t us) {
    if (!row->latency)
        row->latency = obs_histogram_new();
    obs_histogram_add(row->latency, us);
}

static void add_call(row_t *row, int64_t us, ngx_uint_t failed) {
    row->count++;
    row->errors += failed;
    add_latency(row, us);
}

/* nginx knows milliseconds; the header's time is ours, and exact. What follows the header is added
 * as nginx measured it, so that a client which reads slowly does not count. */
int64_t banyan_latency_us(ngx_http_request_t *r, const banyan_request_t *b) {
    const ngx_array_t *states = r->upstream_states;
    int64_t us = (b->headed_us ? b->headed_us : banyan_now_us()) - b->started_us;
    if (!states || states->nelts == 0)
        return us;
    const ngx_http_upstream_state_t *last =
        (const ngx_http_upstream_state_t *)states->elts + states->nelts - 1;
    if (last->header_time == (ngx_msec_t)-1 || last->response_time == (ngx_msec_t)-1 ||
        last->response_time <= last->header_time)
        return us;
    return us + (int64_t)(last->response_time - last->header_time) * 1000;
}

void banyan_count(ngx_http_request_t *r, const banyan_request_t *b) {
    ngx_uint_t write = !b->read, status = r->headers_out.status;
    if (b->rescued) {
        row_t *row = row_of(b->route, ROUTE_MONGODB, write);
        add_call(row, b->failed_us, b->failure != BANYAN_404);
        row->rescued++;
    }
    /* A client that left says nothing of the side, nor does a connection that became another. */
    if (status == NGX_HTTP_CLIENT_CLOSED_REQUEST || status == NGX_HTTP_SWITCHING_PROTOCOLS)
        return;
    add_call(row_of(b->route, banyan_answered_by(b), write), banyan_latency_us(r, b),
             status >= NGX_HTTP_INTERNAL_SERVER_ERROR);
}

void banyan_count_kept(const banyan_route_t *route, enum route_reason reason) {
    row_t *row = row_of(route, ROUTE_SQL, 0);
    row->pinned += reason == ROUTE_BY_OWN_WRITE;
    row->spared += reason == ROUTE_BY_BREAKER;
}

void banyan_count_pin_ended(const banyan_route_t *route) {
    row_of(route, ROUTE_SQL, 0)->pins_ended++;
}

void banyan_count_sampled(const banyan_route_t *route, enum route_side side) {
    row_of(route, side, 0)->sampled++;
}

void banyan_count_dropped(const banyan_route_t *route, enum route_side side, enum frame_drop drop) {
    row_of(route, side, 0)->dropped[drop]++;
}

/* ---- handing over ---- */

static bool hand_over(const banyan_route_t *route, enum route_side side, bool write, row_t *row) {
    struct frame_statistics s = {.module = banyan_span(route->module),
                                 .route = banyan_span(route->prefix),
                                 .side = side,
                                 .write = write,
                                 .count = row->count,
                                 .errors = row->errors,
                                 .rescued = row->rescued,
                                 .pinned = row->pinned,
                                 .pins_ended = row->pins_ended,
                                 .spared = row->spared,
                                 .sampled = row->sampled};
    ngx_memcpy(s.dropped, row->dropped, sizeof s.dropped);
    buf_clear(&counts.blob);
    if (row->latency)
        obs_histogram_to_blob(row->latency, &counts.blob);
    s.latency = buf_span(&counts.blob);
    return banyan_wire_statistics(&s);
}

/* What was handed over begins anew; its histogram's memory stays. */
static void begin_anew(row_t *row) {
    struct obs_histogram *latency = row->latency;
    if (latency)
        obs_histogram_clear(latency);
    *row = (row_t){.latency = latency};
}

void banyan_counts_flush(const banyan_main_conf_t *conf) {
    const banyan_route_t *routes = conf->routes.elts;
    for (ngx_uint_t i = 0; i < counts.routes * 4; i++) {
        row_t *row = &counts.rows[i];
        if (!row->changed)
            continue;
        if (!hand_over(&routes[i / 4], (enum route_side)(i / 2 % 2), i % 2, row))
            return;
        begin_anew(row);
    }
}

static void on_timer(ngx_event_t *event) {
    const banyan_main_conf_t *conf = event->data;
    banyan_wire_poll(conf);
    banyan_counts_flush(conf);
    ngx_add_timer(event, FLUSH_EVERY_MS);
}

ngx_int_t banyan_counts_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf) {
    counts.routes = conf->routes.nelts;
    counts.rows = ngx_pcalloc(cycle->pool, counts.routes * 4 * sizeof *counts.rows);
    if (!counts.rows)
        return NGX_ERROR;
    buf_init(&counts.blob, OBS_HISTOGRAM_BLOB_MAX);
    counts.timer.handler = on_timer;
    counts.timer.log = cycle->log;
    counts.timer.data = (void *)conf;
    counts.timer.cancelable = 1; /* does not hold a worker that wants to end */
    on_timer(&counts.timer);
    return NGX_OK;
}

/* What an edge answers itself: /health, /metrics, /v1/status. */
#include "admin/collect.h"
#include "admin/health.h"
#include "admin/show.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "edge/core.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY_US INT64_C(3000000) /* a restart of the control daemon is no issue */

static void issue(struct health_report *r, enum health severity, const char *part, const char *fmt,
                  ...) printf_like(4, 5);

static void issue(struct health_report *r, enum health severity, const char *part, const char *fmt,
                  ...) {
    va_list args;
    struct health_issue *i = &r->issues[r->count++];
    i->severity = severity;
    i->module = part;
    va_start(args, fmt);
    (void)vsnprintf(i->words, sizeof i->words, fmt, args);
    va_end(args);
    if (severity > r->worst)
        r->worst = severity;
}

static void check_control(const struct follow_view *v, int64_t now_us, struct health_report *r) {
    if (!v->ready)
        issue(r, HEALTH_BAD, "control",
              "nothing is known of flags and settings yet, so nginx is not started%s%s",
              v->why[0] ? ": " : "", v->why);
    else if (v->away_us && now_us - v->away_us > AWAY_US)
        issue(r, HEALTH_WARN, "control",
              "away for %.0f s; what it said last goes on, a kill switch does not arrive: %s",
              (double)(now_us - v->away_us) / 1e6, v->why);
    if (!v->same_routes)
        issue(r, HEALTH_WARN, "routes",
              "modules or routes are not those of the control daemon: no samples are compared");
}

static void check_gateway(struct edge *e, bool ready, struct health_report *r) {
    struct gateway_view g;
    gateway_view(e->gateway, &g);
    if (ready && g.managed && g.pid == 0)
        issue(r, HEALTH_BAD, "gateway", "nginx does not run%s%s", g.error[0] ? ": " : "", g.error);
    else if (g.error[0])
        issue(r, HEALTH_BAD, "gateway", "runs as it was configured before: %s", g.error);
}

static void check(struct edge *e, struct follow_view *v, struct health_report *r) {
    struct send_view sent;
    memset(r, 0, sizeof *r);
    follow_view(e, v);
    send_view(e, &sent);
    check_gateway(e, v->ready, r);
    check_control(v, clock_wall_us(), r);
    if (sent.batches_lost)
        issue(r, HEALTH_WARN, "statistics", "%" PRId64 " batches of statistics were lost",
              sent.batches_lost);
}

static void get_health(const struct http_request *r, struct http_response *a, void *context) {
    _cleanup_(mem_freep) struct health_report *report = mem_alloc(sizeof *report);
    struct follow_view v;
    struct json_out j;
    (void)r;
    check(context, &v, report);
    a->status = report->worst == HEALTH_BAD ? 503 : 200;
    json_out_begin(&j, &a->body);
    show_health(report, &j);
    json_out_end(&j);
}

static void get_status(const struct http_request *r, struct http_response *a, void *context) {
    struct edge *e = context;
    _cleanup_(mem_freep) struct health_report *report = mem_alloc(sizeof *report);
    struct follow_view v;
    struct send_view sent;
    struct gateway_view g;
    struct json_out j;
    (void)r;
    check(e, &v, report);
    send_view(e, &sent);
    gateway_view(e->gateway, &g);
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "version", BANYAN_VERSION);
    json_out_text(&j, "edge", e->name);
    json_out_text(&j, "control", e->control);
    json_out_bool(&j, "ready", v.ready);
    show_time(&j, "control_away_since", v.away_us);
    show_time(&j, "changed", v.changed_us);
    json_out_bool(&j, "same_routes", v.same_routes);
    json_out_int(&j, "nginx_pid", g.pid);
    json_out_int(&j, "samples_sent", sent.samples_sent);
    json_out_int(&j, "samples_dropped", sent.samples_dropped);
    json_out_int(&j, "batches_sent", sent.batches_sent);
    json_out_int(&j, "batches_waiting", sent.batches_waiting);
    json_out_int(&j, "batches_lost", sent.batches_lost);
    json_out_open(&j, "health", '{');
    json_out_text(&j, "status", health_name(report->worst));
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_metrics(const struct http_request *r, struct http_response *a, void *context) {
    struct edge *e = context;
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    struct follow_view v;
    struct span accept = arena_copy(r->arena, http_header(r, "accept"));
    enum obs_format format = obs_format_accepted(accept.ptr);
    follow_view(e, &v);
    collect_process(e->started_us, page);
    obs_sample(page, METRIC_CONTROL_UP, v.answered && v.away_us == 0);
    send_sample(e, page);
    a->content_type = obs_content_type(format);
    obs_page_write(page, format, &a->body);
}

static const struct http_route routes[] = {
    {"GET", "/health", HTTP_ANYONE, get_health, NULL, 0},
    {"GET", "/metrics", HTTP_VIEWER, get_metrics, NULL, HTTP_SLOW},
    {"GET", "/v1/status", HTTP_VIEWER, get_status, NULL, 0},
};
#define ROUTES (sizeof routes / sizeof *routes)

/* Copied by the server, but for what it points to. */
struct served {
    struct http_route routes[ROUTES];
    const char **hosts;
    struct http_listener listener;
};

int serve_start(struct edge *e, struct err *err) {
    const struct conf_serve *c = &e->conf->serve;
    struct served *s = e->served = mem_zalloc(1, sizeof *s);
    s->hosts = mem_zalloc(c->hosts.count + 1, sizeof *s->hosts);
    for (size_t i = 0; i < c->hosts.count; i++)
        s->hosts[i] = c->hosts.items[i].text;
    memcpy(s->routes, routes, sizeof routes);
    for (size_t i = 0; i < ROUTES; i++)
        s->routes[i].context = e;
    s->listener = (struct http_listener){.address = c->listen,
                                         .key = "listen",
                                         .threads = 1,
                                         .routes = s->routes,
                                         .route_count = ROUTES,
                                         .token_viewer = c->token_viewer,
                                         .token_operator = c->token_operator,
                                         .tls_cert = c->tls_cert,
                                         .tls_key = c->tls_key,
                                         .tls_client_ca = c->tls_client_ca,
                                         .insecure = c->insecure,
                                         .hosts = s->hosts,
                                         .host_count = c->hosts.count};
    const struct http_config config = {.listeners = &s->listener, .listener_count = 1};
    return http_server_start(&config, &e->http, err);
}

void serve_stop(struct edge *e) {
    http_server_stop(e->http);
    e->http = NULL;
    if (e->served)
        free(e->served->hosts);
    free(e->served);
    e->served = NULL;
}

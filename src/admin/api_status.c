/* Looking: the status, health, metrics, alerts, events. */
#include "admin/api.h"

#include "admin/collect.h"
#include "admin/show.h"
#include "admin/watch.h"

#include <string.h>

/* False: the response has become the error. */
static bool take(struct service *s, struct picture *p, struct http_response *a) {
    struct err err = {0};
    if (picture_take(s, p, &err) == 0)
        return true;
    picture_release(p);
    http_error_from(a, &err);
    return false;
}

static void get_status(const struct http_request *r, struct http_response *a, void *context) {
    struct err err = {0};
    (void)r;
    if (service_show_status(context, &a->body, &err) < 0)
        http_error_from(a, &err);
}

static void get_health(const struct http_request *r, struct http_response *a, void *context) {
    struct health_report report;
    struct picture p;
    struct json_out j;
    (void)r;
    if (!take(context, &p, a))
        return;
    health_check(&p, &report);
    a->status = report.worst == HEALTH_BAD ? 503 : 200;
    json_out_begin(&j, &a->body);
    show_health(&report, &j);
    json_out_end(&j);
    picture_release(&p);
}

static void get_metrics(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    struct picture p;
    enum obs_format format = obs_format_accepted(api_text(r, http_header(r, "accept")));
    if (!take(s, &p, a))
        return;
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    collect_picture(&p, page);
    service_sample(s, page);
    a->content_type = obs_content_type(format);
    obs_page_write(page, format, &a->body);
    picture_release(&p);
}

static void get_alerts(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct json_out j;
    (void)r;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    watch_show_alerts(s->watch, &j, "alerts");
    json_out_close(&j, '}');
    json_out_end(&j);
}

/* What the page may offer. */
static void get_session(const struct http_request *r, struct http_response *a, void *context) {
    struct json_out j;
    (void)context;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "role", http_role_name(r->role));
    json_out_text(&j, "who", r->who);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_events(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    (void)context;
    http_stream(a, SERVICE_EVENTS, (struct http_lost){"reset", "{}"});
}

static const struct http_route routes[] = {
    {"GET", "/v1/status", HTTP_VIEWER, get_status, NULL, HTTP_SLOW},
    {"GET", "/metrics", HTTP_VIEWER, get_metrics, NULL, HTTP_SLOW},
    {"GET", "/v1/alerts", HTTP_VIEWER, get_alerts, NULL, HTTP_SLOW},
    {"GET", "/v1/events", HTTP_VIEWER, get_events, NULL, 0},
    {"GET", "/v1/session", HTTP_VIEWER, get_session, NULL, 0},
    {"POST", "/v1/login", HTTP_ANYONE, http_login, NULL, 0},
    {"POST", "/v1/logout", HTTP_ANYONE, http_logout, NULL, 0},
};
static const struct http_route health_routes[] = {
    {"GET", "/health", HTTP_ANYONE, get_health, NULL, HTTP_SLOW},
};
const struct api_routes api_health_routes = {health_routes, 1};
const struct api_routes api_status_routes = {routes, sizeof routes / sizeof *routes};

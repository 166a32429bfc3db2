/* Who answers a module's requests, and the gateway. */
#include "admin/api.h"

#include "admin/answered.h"
#include "admin/flagstore.h"
#include "admin/routestore.h"
#include "admin/show.h"
#include "base/clock.h"
#include "gateway/explain.h"

#include <stdio.h>
#include <string.h>

static void show_or_null(struct json_out *j, const char *name, const char *text) {
    json_out_text(j, name, text[0] ? text : NULL);
}

/* Where the settings come from: the file, and what somebody has laid over it. */
static int show_origin(const struct service *s, const struct conf_module *m,
                       const struct routing *r, struct json_out *j, struct err *err) {
    struct state_audit line = {0};
    bool found = false;
    int rc = r->set.version
                 ? state_audit_last(s->state, "routing", m->name.text, &line, &found, err)
                 : 0;
    if (rc < 0)
        return rc;
    json_out_open(j, "configured", '{');
    json_out_text(j, "reads", routing_configured_reads(m));
    json_out_text(j, "writes", routing_configured_writes(m));
    json_out_close(j, '}');
    json_out_open(j, "set", '{');
    show_or_null(j, "reads", r->set.reads);
    show_or_null(j, "writes", r->set.writes);
    if (r->set.fallback < 0)
        json_out_text(j, "fallback", NULL);
    else
        json_out_bool(j, "fallback", r->set.fallback);
    json_out_close(j, '}');
    if (!found) {
        json_out_text(j, "changed", NULL);
    } else {
        json_out_open(j, "changed", '{');
        json_out_text(j, "who", line.who);
        show_time(j, "when", line.at_us);
        json_out_text(j, "why", line.why);
        json_out_close(j, '}');
    }
    state_audit_clear(&line);
    return 0;
}

static void show_operations(const struct conf_module *m, const struct answered *answered,
                            struct json_out *j) {
    json_out_open(j, "operations", '[');
    for (size_t i = 0; i < m->operation_count; i++) {
        const char *name = m->operations[i].name.text;
        const struct answered_row row = answered_sum(answered, m->name.text, "operation", name);
        json_out_open(j, NULL, '{');
        json_out_text(j, "name", name);
        json_out_bool(j, "fallback", m->operations[i].fallback.enabled);
        answered_show(&row, j, "answered");
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

static void show_routes(const struct conf_module *m, const struct answered *answered,
                        struct json_out *j) {
    json_out_open(j, "routes", '[');
    for (size_t i = 0; i < m->route_count; i++) {
        const struct conf_route *route = &m->routes[i];
        const struct answered_row row =
            answered_sum(answered, m->name.text, "route", route->prefix.text);
        json_out_open(j, NULL, '{');
        json_out_text(j, "prefix", route->prefix.text);
        json_out_text(j, "sql", route->sql.service.text);
        json_out_text(j, "mongodb", route->mongodb.service.text);
        json_out_bool(j, "fallback", route->fallback.enabled);
        json_out_text(j, "planned", route->planned.text);
        answered_show(&row, j, "answered");
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

static int show_routing(const struct service *s, const struct conf_module *m,
                        const struct answered *answered, struct json_out *j, struct err *err) {
    struct routing r;
    int rc = routing_get(m, s->state, &r, err);
    if (rc < 0)
        return rc;
    json_out_open(j, NULL, '{');
    json_out_text(j, "module", m->name.text);
    json_out_text(j, "reads", route_reads_name(r.module.reads));
    json_out_text(j, "writes", route_writes_name(r.module.writes));
    json_out_bool(j, "fallback", r.module.fallback);
    json_out_text(j, "flag", m->flag.text);
    json_out_text(j, "stage", routing_stage(&r.module));
    json_out_text(j, "source", r.set.reads[0] || r.set.writes[0] ? "set" : "configuration");
    json_out_int(j, "version", r.set.version);
    rc = show_origin(s, m, &r, j, err);
    show_routes(m, answered, j);
    show_operations(m, answered, j);
    json_out_close(j, '}');
    return rc;
}

static void show_gateway(const struct service *s, struct json_out *j) {
    struct gateway_view view;
    if (!routestore_gateway(s->routestore, &view)) {
        json_out_text(j, "gateway", NULL);
        return;
    }
    json_out_open(j, "gateway", '{');
    json_out_text(j, "listen", s->conf->gateway.listen);
    json_out_text(j, "nginx", view.managed ? "managed" : "external");
    json_out_bool(j, "running", !view.managed || view.pid != 0);
    json_out_text(j, "problem", view.error[0] ? view.error : NULL);
    json_out_close(j, '}');
}

static void get(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct answered answered;
    struct err err = {0};
    struct json_out j;
    (void)r;
    int rc = answered_take(s->state, clock_wall_us(), &answered, &err);
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_int(&j, "minutes", ANSWERED_MINUTES);
    json_out_open(&j, "modules", '[');
    for (size_t i = 0; rc == 0 && i < s->conf->module_count; i++)
        rc = show_routing(s, &s->conf->modules[i], &answered, &j, &err);
    json_out_close(&j, ']');
    answered_release(&answered);
    show_gateway(s, &j);
    json_out_close(&j, '}');
    json_out_end(&j);
    if (rc < 0)
        http_error_from(a, &err);
}

/* ---- changes ---- */

/* A text of the body; absent: NULL. False: the response has become the error. */
static bool read_text(const struct api_change *c, struct http_response *a, const char *name,
                      char *memory, size_t size, const char **ret) {
    const struct json_node *node = json_member(&c->body, json_root(&c->body), name);
    *ret = NULL;
    if (!node)
        return true;
    if (!json_copy(&c->body, node, memory, size)) {
        char words[100];
        (void)snprintf(words, sizeof words, "%s must be a short text", name);
        http_error(a, 400, "bad_value", words, NULL);
        return false;
    }
    *ret = memory;
    return true;
}

static bool read_fallback(const struct api_change *c, struct http_response *a, int *ret) {
    const struct json_node *node = json_member(&c->body, json_root(&c->body), "fallback");
    bool on;
    *ret = -1;
    if (!node)
        return true;
    if (!json_bool(node, &on)) {
        http_error(a, 400, "bad_value", "fallback must be true or false", NULL);
        return false;
    }
    *ret = on;
    return true;
}

static void answer(struct http_response *a, struct service *s, const struct conf_module *m) {
    struct answered answered;
    struct err err = {0};
    struct json_out j;
    int rc = answered_take(s->state, clock_wall_us(), &answered, &err);
    json_out_begin(&j, &a->body);
    if (rc == 0)
        rc = show_routing(s, m, &answered, &j, &err);
    if (rc < 0)
        http_error_from(a, &err);
    else
        json_out_end(&j);
    answered_release(&answered);
}

static void change(const struct http_request *r, struct http_response *a, struct service *s,
                   const struct conf_module *m, struct routing_change *c) {
    struct err err = {0};
    bool conflict = false;
    int64_t version = 0;
    c->who = r->who;
    c->role = http_role_name(r->role);
    int rc = routestore_change(s->routestore, m, c, &version, &conflict, &err);
    if (rc == ERR_CONF)
        http_error(a, 400, "bad_value", err.text, NULL);
    else if (rc < 0)
        http_error_from(a, &err);
    else if (conflict)
        http_error(a, 409, "version", "somebody else has changed it meanwhile",
                   "look at it again, then send its version");
    else
        answer(a, s, m);
}

static void patch(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    const struct conf_module *m = conf_module(s->conf, api_text(r, r->parameter[0]));
    struct api_change c;
    struct routing_change wanted = {.version = -1, .fallback = -1};
    char reads[32], writes[32], stage[32];
    bool there;
    if (!m) {
        http_error(a, 404, "no_such_module", "there is no module of that name",
                   "GET /v1/routing lists them");
        return;
    }
    if (!api_read_change(r, a, &c) ||
        !api_knows_members(&c, a, "version reads writes stage fallback") ||
        !api_read_int(&c, a, "version", 0, INT64_MAX, &wanted.version, &there) ||
        !read_text(&c, a, "reads", reads, sizeof reads, &wanted.reads) ||
        !read_text(&c, a, "writes", writes, sizeof writes, &wanted.writes) ||
        !read_text(&c, a, "stage", stage, sizeof stage, &wanted.stage) ||
        !read_fallback(&c, a, &wanted.fallback))
        return;
    wanted.why = c.why;
    change(r, a, s, m, &wanted);
}

/* ---- explain ---- */

/* A parameter of the query as text; absent: `otherwise`. */
static const char *asked(const struct http_request *r, const char *name, const char *otherwise) {
    struct span value = http_query(r, name);
    return value.ptr ? api_text(r, value) : otherwise;
}

static int explain_now(struct service *s, const struct flags_context *context,
                       struct explanation *x, struct err *err) {
    bool ask = false;
    int rc = explain_settings(x, s->state, &ask, err);
    if (rc == 0 && ask) {
        rc = explain_flag(x, flagstore_begin(s->flagstore), context, err);
        flagstore_end(s->flagstore);
    }
    explain_decide(x);
    return rc;
}

static void get_explain(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    struct explanation x = {
        .method = asked(r, "method", "GET"), .path = asked(r, "path", ""), .flag = {.max = 8192}};
    const struct flags_context who = {.user = span_of(asked(r, "user", "")),
                                      .tenant = span_of(asked(r, "tenant", "")),
                                      .now_us = clock_wall_us(),
                                      .random = (uint64_t)clock_mono_us() | 1};
    struct err err = {0};
    struct json_out j;
    int rc = explain_route(s->conf, &x, &err);
    if (rc == 0 && !explain_answer(&x))
        rc = explain_now(s, &who, &x, &err);
    if (rc == ERR_USAGE)
        http_error(a, 400, "bad_value", err.text,
                   "path is what a client asks for: /api/products/7");
    else if (rc < 0)
        http_error_from(a, &err);
    if (rc == 0) {
        json_out_begin(&j, &a->body);
        explain_show(&x, &j);
        json_out_end(&j);
    }
    buf_release(&x.flag);
}

static const struct http_route routes[] = {
    {"GET", "/v1/routing", HTTP_VIEWER, get, NULL, HTTP_SLOW},
    {"GET", "/v1/routing/explain", HTTP_VIEWER, get_explain, NULL, HTTP_SLOW},
    {"PATCH", "/v1/routing/{module}", HTTP_OPERATOR, patch, NULL, HTTP_SLOW},
};
const struct api_routes api_routing_routes = {routes, sizeof routes / sizeof *routes};

/* Operations: who may call them, and what they answer. Calls run in threads of their own kind and
 * touch neither the state nor what the admin API waits for. */
#include "admin/api.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "operation/exchange.h"

#include <string.h>
#include <xxhash.h>

/* ---- the list ---- */

static void show_param(const struct conf_param *p, struct json_out *j) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", p->name.text);
    json_out_text(j, "type", p->type_name.text);
    json_out_bool(j, "null", p->null);
    json_out_bool(j, "needed", !p->value);
    json_out_close(j, '}');
}

static void show_operation(const struct conf_module *m, const struct conf_operation *o,
                           struct json_out *j) {
    static const char *const returns[] = {"many", "one", "set"};
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", o->name.text);
    json_out_text(j, "module", m->name.text);
    json_out_text(j, "returns", returns[o->returns]);
    json_out_int(j, "timeout_us", o->timeout_us);
    json_out_bool(j, "evaluate", o->evaluate);
    json_out_open(j, "params", '[');
    for (size_t i = 0; i < o->param_count; i++)
        show_param(&o->params[i], j);
    json_out_close(j, ']');
    json_out_close(j, '}');
}

static void list(const struct service *s, bool granted, struct http_response *a) {
    struct json_out j;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "operations", '[');
    for (size_t i = 0; i < s->conf->module_count; i++)
        for (size_t k = 0; k < s->conf->modules[i].operation_count; k++)
            if (!granted || s->conf->modules[i].operations[k].evaluate)
                show_operation(&s->conf->modules[i], &s->conf->modules[i].operations[k], &j);
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_all(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    list(context, false, a);
}

static void get_granted(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    list(context, true, a);
}

/* ---- a call ---- */

static void no_such_operation(struct http_response *a) {
    http_error(a, 404, "no_such_operation", "there is no operation of that name",
               "GET /v1/operations lists them");
}

static void add_headers(struct http_response *a, const struct operation_call *call) {
    const char *side = route_side_name(call->answered);
    const char *why = operation_fallback_reason(call);
    http_add_header(a, "X-Data-Source", side);
    http_add_header(a, "X-Service", call->operation->name.text);
    http_add_header(a, "X-Migrated", call->answered == ROUTE_MONGODB ? "true" : "false");
    if (why)
        http_add_header(a, "X-Banyan-Fallback", why);
}

static bool read_body(const struct http_request *r, struct http_response *a,
                      struct operation_body *ret) {
    struct err err = {0};
    struct span type = http_header(r, "Content-Type");
    if (r->body.len && !(type.len >= 16 && strncasecmp(type.ptr, "application/json", 16) == 0)) {
        http_error(a, 415, "not_json", "the body must be application/json", NULL);
        return false;
    }
    if (operation_body_read(r->body, r->arena, clock_wall_us(),
                            XXH3_64bits(&r->now_us, sizeof r->now_us) | 1, ret, &err) == 0)
        return true;
    http_error(a, 400, "bad_request", err.text, "docs/api.md has the form of a call");
    return false;
}

static void call(const struct http_request *r, struct http_response *a, struct service *s,
                 bool granted_only) {
    const char *name = api_text(r, r->parameter[0]);
    const struct conf_operation *o = conf_operation(s->conf, name, NULL);
    _cleanup_(operation_call_unrefp) struct operation_call *answer = NULL;
    struct operation_body body;
    struct err err = {0};
    bool privileged = r->role == HTTP_OPERATOR;
    /* What is not granted is as if it were not there. */
    if (!o || (!o->evaluate && (granted_only || !privileged))) {
        no_such_operation(a);
        return;
    }
    if (!read_body(r, a, &body))
        return;
    if (body.side >= 0 && (granted_only || !privileged)) {
        http_error(a, 403, "forbidden", "'side' is for operators", NULL);
        return;
    }
    const struct operation_request request = {
        .params = body.params, .who = &body.who, .side = body.side};
    if (operations_call(s->operations, name, &request, &answer, &err) < 0) {
        http_error(a, 400, "bad_parameter", err.text, "GET /v1/operations lists the parameters");
        return;
    }
    a->status = operation_reply(answer, body.numbers, privileged && !granted_only, &a->body);
    add_headers(a, answer);
}

static void post_all(const struct http_request *r, struct http_response *a, void *context) {
    call(r, a, context, false);
}

static void post_granted(const struct http_request *r, struct http_response *a, void *context) {
    call(r, a, context, true);
}

static const struct http_route routes[] = {
    {"GET", "/v1/operations", HTTP_VIEWER, get_all, NULL, 0},
    {"POST", "/v1/operations/{name}", HTTP_EVALUATE, post_all, NULL, HTTP_DATA},
};
const struct api_routes api_operation_routes = {routes, sizeof routes / sizeof *routes};

static const struct http_route granted[] = {
    {"GET", "/v1/operations", HTTP_EVALUATE, get_granted, NULL, HTTP_CORS},
    {"POST", "/v1/operations/{name}", HTTP_EVALUATE, post_granted, NULL, HTTP_DATA | HTTP_CORS},
};
const struct api_routes api_granted_routes = {granted, sizeof granted / sizeof *granted};

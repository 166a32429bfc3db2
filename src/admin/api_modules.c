/* Modules: how they are, and what people set for them. */
#include "admin/api.h"

#include "admin/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void show_list(const struct picture *p, const char *name, struct http_response *a) {
    struct json_out j;
    bool found = false;
    json_out_begin(&j, &a->body);
    if (!name) {
        json_out_open(&j, NULL, '{');
        json_out_open(&j, "modules", '[');
    }
    for (size_t i = 0; i < p->module_count; i++)
        if (!name || strcmp(p->modules[i].view.name, name) == 0) {
            show_module(p, &p->modules[i], &j);
            found = true;
        }
    if (!name) {
        json_out_close(&j, ']');
        json_out_close(&j, '}');
    }
    json_out_end(&j);
    if (name && !found)
        http_error(a, 404, "no_such_module", "there is no module of that name",
                   "GET /v1/modules lists them");
}

static void get(const struct http_request *r, struct http_response *a, void *context) {
    struct err err = {0};
    struct picture p;
    if (picture_take(context, &p, &err) < 0)
        http_error_from(a, &err);
    else
        show_list(&p, r->parameter[0].ptr ? api_text(r, r->parameter[0]) : NULL, a);
    picture_release(&p);
}

/* ---- changes ---- */

static void audit(const struct service *s, const struct http_request *r, struct http_response *a,
                  const char *action, const struct module *m, const char *after,
                  const struct api_change *c) {
    api_audit(s, r, a,
              &(struct state_audit_line){
                  .action = action, .subject = module_name(m), .after = after, .why = c->why});
}

static void set_paused(const struct http_request *r, struct http_response *a, void *context,
                       bool paused) {
    struct err err = {0};
    struct api_change change;
    struct module *m = api_module(context, r, a);
    if (!m || !api_read_change(r, a, &change) || !api_knows_members(&change, a, ""))
        return;
    if ((paused ? module_pause(m, &err) : module_resume(m, &err)) < 0) {
        http_error_from(a, &err);
        return;
    }
    api_done(a);
    audit(context, r, a, paused ? "module.pause" : "module.resume", m, NULL, &change);
}

static void post_pause(const struct http_request *r, struct http_response *a, void *context) {
    set_paused(r, a, context, true);
}

static void post_resume(const struct http_request *r, struct http_response *a, void *context) {
    set_paused(r, a, context, false);
}

#define LIMIT_MAX INT64_C(1000000000)

static void post_throttle(const struct http_request *r, struct http_response *a, void *context) {
    struct err err = {0};
    struct api_change change;
    int64_t limit = -1;
    bool there;
    char after[64];
    struct module *m = api_module(context, r, a);
    if (!m || !api_read_change(r, a, &change) ||
        !api_knows_members(&change, a, "writes_per_second") ||
        !api_read_int(&change, a, "writes_per_second", -1, LIMIT_MAX, &limit, &there))
        return;
    if (!there) {
        http_error(a, 400, "value_missing", "writes_per_second is missing",
                   "0 is no limit, -1 goes back to the configured one");
        return;
    }
    if (module_throttle(m, limit, &err) < 0) {
        http_error_from(a, &err);
        return;
    }
    api_done(a);
    (void)snprintf(after, sizeof after, "{\"writes_per_second\":%" PRId64 "}", limit);
    audit(context, r, a, "module.throttle", m, after, &change);
}

/* ---- verification ---- */

static void post_verify(const struct http_request *r, struct http_response *a, void *context) {
    struct err err = {0};
    struct api_change change;
    int64_t sample = 0;
    bool there;
    struct module *m = api_module(context, r, a);
    if (!m || !api_read_change(r, a, &change) || !api_knows_members(&change, a, "sample") ||
        !api_read_int(&change, a, "sample", 1, INT64_MAX, &sample, &there))
        return;
    if (module_verify(m, api_text(r, r->parameter[0]), sample, &err) < 0) {
        http_error_from(a, &err);
        return;
    }
    a->status = 202;
    api_done(a);
    audit(context, r, a, "module.verify", m, NULL, &change);
}

static void show_progress(struct module *m, const struct picture_verification *v,
                          struct http_response *a) {
    struct module_view view;
    struct json_out j;
    module_view(m, &view);
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "state", view.verifying ? "running" : v->found ? "done" : "never");
    if (view.verifying) {
        json_out_text(&j, "stage", view.verify_stage);
        json_out_text(&j, "collection", view.verify_collection);
        json_out_int(&j, "done", view.verify_done);
    }
    show_verification(v, true, &j, "last");
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_verify(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct err err = {0};
    struct module *m = api_module(s, r, a);
    struct picture_verification v = {.module = api_text(r, r->parameter[0])};
    if (!m)
        return;
    if (state_verification_get(s->state, v.module, &v.last, &v.found, &err) < 0)
        http_error_from(a, &err);
    else
        show_progress(m, &v, a);
    state_verification_clear(&v.last);
}

static const struct http_route routes[] = {
    {"GET", "/v1/modules", HTTP_VIEWER, get, NULL, HTTP_SLOW},
    {"GET", "/v1/modules/{module}", HTTP_VIEWER, get, NULL, HTTP_SLOW},
    {"POST", "/v1/modules/{module}/pause", HTTP_OPERATOR, post_pause, NULL, HTTP_SLOW},
    {"POST", "/v1/modules/{module}/resume", HTTP_OPERATOR, post_resume, NULL, HTTP_SLOW},
    {"POST", "/v1/modules/{module}/throttle", HTTP_OPERATOR, post_throttle, NULL, HTTP_SLOW},
    {"POST", "/v1/modules/{module}/verify", HTTP_OPERATOR, post_verify, NULL, HTTP_SLOW},
    {"GET", "/v1/modules/{module}/verify", HTTP_VIEWER, get_verify, NULL, HTTP_SLOW},
};
const struct api_routes api_module_routes = {routes, sizeof routes / sizeof *routes};

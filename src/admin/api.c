#include "admin/api.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_route *api_routes_new(struct service *s, bool ofrep_only, size_t *ret_count) {
    static const struct api_routes *const admin[] = {
        &ofrep_routes,      &api_health_routes, &api_status_routes,    &api_module_routes,
        &api_parked_routes, &api_flag_routes,   &api_routing_routes,   &api_instance_routes,
        &api_rollup_routes, &api_edge_routes,   &api_operation_routes, &api_divergence_routes,
        &api_report_routes, &api_audit_routes,  &page_routes};
    static const struct api_routes *const ofrep[] = {&ofrep_routes, &api_health_routes,
                                                     &api_granted_routes};
    const struct api_routes *const *groups = ofrep_only ? ofrep : admin;
    size_t group_count = ofrep_only ? sizeof ofrep / sizeof *ofrep : sizeof admin / sizeof *admin;
    struct http_route *all = mem_zalloc(HTTP_ROUTES_MAX, sizeof *all);
    size_t n = 0;
    for (size_t g = 0; g < group_count; g++)
        for (size_t i = 0; i < groups[g]->count; i++) {
            all[n] = groups[g]->routes[i];
            if (!all[n].context)
                all[n].context = s;
            n++;
        }
    *ret_count = n;
    return all;
}

const char *api_text(const struct http_request *r, struct span s) {
    struct span copy = arena_copy(r->arena, s);
    return copy.ptr ? copy.ptr : "";
}

bool api_read_change(const struct http_request *r, struct http_response *a,
                     struct api_change *ret) {
    if (!http_json_body(r, a, &ret->body))
        return false;
    const struct json_node *given = json_member(&ret->body, json_root(&ret->body), "why");
    if (!json_copy(&ret->body, given, ret->why, sizeof ret->why) || !ret->why[0]) {
        http_error(a, 400, "why_missing", "a change needs a reason of at most 1000 bytes",
                   "send {\"why\": \"...\"}; it is kept in the audit log");
        return false;
    }
    return true;
}

static bool is_one_of(const char *names, const char *name) {
    size_t len = strlen(name);
    for (const char *at = names; len && *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, name, len) == 0)
            return true;
        at += n;
    }
    return false;
}

bool api_knows_members(const struct api_change *c, struct http_response *a, const char *names) {
    const struct json_doc *d = &c->body;
    const struct json_node *root = json_root(d);
    for (const struct json_node *n = json_first(d, root); n; n = json_next(d, root, n)) {
        char name[64] = "", words[200];
        if (json_is(d, n, "why") || (json_copy(d, n, name, sizeof name) && is_one_of(names, name)))
            continue;
        (void)snprintf(words, sizeof words, "'%s' is not known here; known are why %s", name,
                       names);
        http_error(a, 400, "unknown_member", words, NULL);
        return false;
    }
    return true;
}

bool api_read_int(const struct api_change *c, struct http_response *a, const char *name,
                  int64_t least, int64_t most, int64_t *value, bool *ret_there) {
    const struct json_node *node = json_member(&c->body, json_root(&c->body), name);
    int64_t v;
    *ret_there = node != NULL;
    if (!node)
        return true;
    if (json_int(&c->body, node, &v) && v >= least && v <= most) {
        *value = v;
        return true;
    }
    char words[200];
    (void)snprintf(words, sizeof words, "%s must be a whole number from %lld to %lld", name,
                   (long long)least, (long long)most);
    http_error(a, 400, "bad_value", words, NULL);
    return false;
}

struct module *api_module(const struct service *s, const struct http_request *r,
                          struct http_response *a) {
    struct module *m = service_module(s, api_text(r, r->parameter[0]));
    if (!m)
        http_error(a, 404, "no_such_module", "there is no module of that name",
                   "GET /v1/modules lists them");
    return m;
}

void api_audit(const struct service *s, const struct http_request *r, struct http_response *a,
               const struct state_audit_line *line) {
    struct err err = {0};
    struct state_audit_line full = *line;
    full.who = r->who;
    full.role = http_role_name(r->role);
    if (state_audit_add(s->state, &full, &err) < 0)
        http_error_from(a, &err);
}

void api_done(struct http_response *a) {
    buf_add_text(&a->body, "{\"ok\":true}\n");
}

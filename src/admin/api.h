/*
 * The admin API: what every group of routes shares. Private to admin/.
 *
 * Handlers of routes with HTTP_SLOW run in the HTTP server's worker threads, the others in its
 * loops, which they must not hold up. Each change is made, then audited with who
 * asked and why; where both must hold together the state does them in one transaction.
 */
#ifndef BANYAN_ADMIN_API_H
#define BANYAN_ADMIN_API_H

#include "admin/service.h"
#include "http/http.h"

/* Routes of a group; their context is the service. */
struct api_routes {
    const struct http_route *routes;
    size_t count;
};
extern const struct api_routes api_edge_routes, api_status_routes, api_health_routes,
    api_module_routes, api_parked_routes, api_divergence_routes, api_report_routes,
    api_routing_routes, api_instance_routes, api_rollup_routes, api_audit_routes, api_flag_routes,
    api_operation_routes, api_granted_routes, ofrep_routes, page_routes;

/* All groups in one array with the service as their context; free() it. `ofrep_only`: what the
 * second listener has: evaluation, health and the operations that are granted. */
struct http_route *api_routes_new(struct service *s, bool ofrep_only, size_t *ret_count);

/* What a change must say. False: the response has become the error. */
struct api_change {
    struct json_doc body;
    char why[STATE_WHY_MAX + 1];
};
bool api_read_change(const struct http_request *r, struct http_response *a,
                     struct api_change *ret) must_check;
/* The body has no other members than `why` and those of `names`, "a b c": a word that is spelt
 * wrong would change nothing, or too much. False as above. */
bool api_knows_members(const struct api_change *c, struct http_response *a,
                       const char *names) must_check;
/* A whole number of the body; absent: *value stays. False as above. */
bool api_read_int(const struct api_change *c, struct http_response *a, const char *name,
                  int64_t least, int64_t most, int64_t *value, bool *ret_there) must_check;

/* The module of the route's first parameter. NULL: the response has become 404. */
struct module *api_module(const struct service *s, const struct http_request *r,
                          struct http_response *a);

/* before, after: JSON or NULL. An error becomes the response. */
void api_audit(const struct service *s, const struct http_request *r, struct http_response *a,
               const struct state_audit_line *line);

/* {"ok":true} */
void api_done(struct http_response *a);

/* The span as a text in the request's memory. */
const char *api_text(const struct http_request *r, struct span s);

#endif

/* A request goes to the named location of the side that answers.
 *
 * ngx_http_named_location would run the phases once more for it: rules of access, limits and
 * authentication that stand in the server would be asked twice. They say the same for both, so the
 * location is entered where the request stands: at its content. */
#include "banyan.h"

static ngx_http_core_loc_conf_t *find(ngx_http_request_t *r, const ngx_str_t *name) {
    const ngx_http_core_srv_conf_t *server = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    for (ngx_http_core_loc_conf_t **l = server->named_locations; l && *l; l++)
        if ((*l)->name.len == name->len && ngx_memcmp((*l)->name.data, name->data, name->len) == 0)
            return *l;
    return NULL;
}

/* nginx looks at the length before it looks for the route, and would answer 413 in nobody's name:
 * so the first location takes any, and this is for the side's. */
static ngx_uint_t is_too_long(ngx_http_request_t *r, const ngx_http_core_loc_conf_t *location) {
    return location->client_max_body_size &&
           r->headers_in.content_length_n > location->client_max_body_size;
}

ngx_int_t banyan_forward(ngx_http_request_t *r, const ngx_str_t *name) {
    const ngx_http_core_loc_conf_t *location = find(r, name);
    if (!location || !location->handler) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "the server has no location \"%V\"",
                      name);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    r->loc_conf = location->loc_conf;
    ngx_http_update_location_config(r);
    if (is_too_long(r, location)) {
        r->expect_tested = 1; /* no 100 for what is not wanted */
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    return location->handler(r);
}

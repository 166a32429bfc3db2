/* $banyan_route, $banyan_target, $banyan_service, $banyan_migrated, $banyan_reason and
 * $banyan_fallback: for the access log. */
#include "banyan.h"

enum { ROUTE, TARGET, SERVICE, MIGRATED, REASON, FALLBACK };

static ngx_str_t of_text(const char *s) {
    return s ? (ngx_str_t){ngx_strlen(s), (u_char *)s} : (ngx_str_t)ngx_null_string;
}

static ngx_str_t value_of(const banyan_request_t *b, uintptr_t which) {
    enum route_side side = banyan_answered_by(b);
    switch (which) {
    case ROUTE:
        return b->route->prefix;
    case TARGET:
        return of_text(route_side_name(side));
    case SERVICE:
        return b->route->service[side];
    case MIGRATED:
        return of_text(side == ROUTE_MONGODB ? "true" : "false");
    case REASON:
        return of_text(route_reason_name(b->decision.reason));
    default:
        return of_text(banyan_fallback_reason(b));
    }
}

static ngx_int_t get(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t which) {
    const banyan_request_t *b = banyan_request(r);
    ngx_str_t text = b ? value_of(b, which) : (ngx_str_t)ngx_null_string;
    v->not_found = text.len == 0;
    v->valid = 1;
    v->no_cacheable = 1;
    v->len = (unsigned)text.len;
    v->data = text.data;
    return NGX_OK;
}

ngx_int_t banyan_vars_init(ngx_conf_t *cf) {
    static const struct {
        ngx_str_t name;
        uintptr_t which;
    } vars[] = {
        {ngx_string("banyan_route"), ROUTE},     {ngx_string("banyan_target"), TARGET},
        {ngx_string("banyan_service"), SERVICE}, {ngx_string("banyan_migrated"), MIGRATED},
        {ngx_string("banyan_reason"), REASON},   {ngx_string("banyan_fallback"), FALLBACK},
    };
    for (size_t i = 0; i < sizeof vars / sizeof *vars; i++) {
        ngx_str_t name = vars[i].name;
        ngx_http_variable_t *v = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
        if (!v)
            return NGX_ERROR;
        v->get_handler = get;
        v->data = vars[i].which;
    }
    return NGX_OK;
}

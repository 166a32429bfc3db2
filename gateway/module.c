/* Directives and phases.
 *
 *   banyan_flags PATH;  banyan_settings PATH;      the published files
 *   banyan_trusted CIDR ...;                       peers whose identity headers count
 *   banyan_identity_header NAME ...;               those headers
 *   banyan_route PREFIX { module, flag, sql, mongodb, guarded, on, user, tenant,
 *                         user_attribute, tenant_attribute, read, breaker, budget }
 *   banyan;             (location) asks, and hands over to the side's named location
 *   banyan_rescue;      (location) SQL answers in MongoDB's place
 */
#include "banyan.h"

/* ---- the route block ---- */

static char *set_value(ngx_conf_t *cf, ngx_http_complex_value_t **at, ngx_str_t *source) {
    ngx_http_compile_complex_value_t compile = {.cf = cf, .value = source};
    *at = ngx_pcalloc(cf->pool, sizeof **at);
    compile.complex_value = *at;
    return *at && ngx_http_compile_complex_value(&compile) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static char *add_attribute(ngx_conf_t *cf, ngx_array_t **list, ngx_str_t *v) {
    ngx_http_complex_value_t *value;
    if (!*list)
        *list = ngx_array_create(cf->pool, 4, sizeof(banyan_attribute_t));
    if (!*list || (*list)->nelts == BANYAN_ATTRIBUTES_MAX)
        return "has too many attributes";
    banyan_attribute_t *a = ngx_array_push(*list);
    if (!a || set_value(cf, &value, &v[2]) != NGX_CONF_OK)
        return NGX_CONF_ERROR;
    a->name = v[1];
    a->value = *value;
    return NGX_CONF_OK;
}

static char *add_read(ngx_conf_t *cf, banyan_route_t *route, ngx_str_t *v) {
    if (!route->reads)
        route->reads = ngx_array_create(cf->pool, 4, sizeof(banyan_read_t));
    banyan_read_t *read = route->reads ? ngx_array_push(route->reads) : NULL;
    if (!read)
        return NGX_CONF_ERROR;
    read->method = v[1];
    read->path = v[2];
    return NGX_CONF_OK;
}

static char *set_breaker(banyan_route_t *route, ngx_str_t *v) {
    ngx_int_t errors = ngx_atoi(v[1].data, v[1].len), of = ngx_atoi(v[2].data, v[2].len);
    ngx_int_t open = ngx_parse_time(&v[3], 0);
    if (errors < 1 || errors > 100 || of < 1 || of > 64 || open < 1)
        return "needs: percent (1 to 100), calls (1 to 64), time";
    route->limits.errors = (ngx_uint_t)errors;
    route->limits.of = (ngx_uint_t)of;
    route->limits.open = (ngx_msec_t)open;
    return NGX_CONF_OK;
}

static char *set_budget(banyan_route_t *route, ngx_str_t *v) {
    ngx_int_t share = ngx_atoi(v[1].data, v[1].len);
    if (share < 0 || share > 10000)
        return "needs hundredths of a percent";
    route->limits.budget = (ngx_uint_t)share;
    return NGX_CONF_OK;
}

static ngx_uint_t is(const ngx_str_t *s, const char *text) {
    return s->len == ngx_strlen(text) && ngx_strncmp(s->data, text, s->len) == 0;
}

/* Locations of reads and of writes, and the service's name. */
static char *set_side(banyan_route_t *route, enum route_side side, ngx_str_t *v) {
    route->reads_at[side] = v[1];
    route->writes_at[side] = v[2];
    route->service[side] = v[3];
    return NGX_CONF_OK;
}

static char *set_failures(banyan_route_t *route, ngx_str_t *v, ngx_uint_t n) {
    for (ngx_uint_t i = 1; i < n; i++) {
        ngx_uint_t f = 0;
        while (f < BANYAN_FAILURES && !is(&v[i], banyan_failure_names[f]))
            f++;
        if (f == BANYAN_FAILURES)
            return "needs connect, timeout, 5xx, 404";
        route->covered |= 1u << f;
    }
    return NGX_CONF_OK;
}

static char *set_text(banyan_route_t *route, ngx_str_t *v) {
    ngx_str_t *to = is(v, "module")    ? &route->module
                    : is(v, "flag")    ? &route->flag
                    : is(v, "guarded") ? &route->guarded
                                       : NULL;
    if (!to)
        return "is unknown in banyan_route";
    *to = v[1];
    return NGX_CONF_OK;
}

static char *in_route(ngx_conf_t *cf, ngx_command_t *dummy, void *conf) {
    (void)dummy;
    banyan_route_t *route = conf;
    ngx_str_t *v = cf->args->elts;
    ngx_uint_t n = cf->args->nelts;
    if (n == 4 && is(v, "breaker"))
        return set_breaker(route, v);
    if (n == 3 && is(v, "user_attribute"))
        return add_attribute(cf, &route->attributes[0], v);
    if (n == 3 && is(v, "tenant_attribute"))
        return add_attribute(cf, &route->attributes[1], v);
    if (n == 3 && is(v, "read"))
        return add_read(cf, route, v);
    if (n == 4 && is(v, "sql"))
        return set_side(route, ROUTE_SQL, v);
    if (n == 4 && is(v, "mongodb"))
        return set_side(route, ROUTE_MONGODB, v);
    if (is(v, "on"))
        return set_failures(route, v, n);
    if (n != 2)
        return "is unknown in banyan_route, or has another number of arguments";
    if (is(v, "user"))
        return set_value(cf, &route->user, &v[1]);
    if (is(v, "tenant"))
        return set_value(cf, &route->tenant, &v[1]);
    return is(v, "budget") ? set_budget(route, v) : set_text(route, v);
}

static char *check_route(const banyan_route_t *route) {
    if (route->prefix.len == 0 || route->prefix.data[0] != '/' ||
        (route->prefix.len > 1 && route->prefix.data[route->prefix.len - 1] == '/'))
        return "needs a prefix that begins with / and does not end with one";
    if (route->module.len == 0 || route->reads_at[ROUTE_SQL].len == 0 ||
        route->reads_at[ROUTE_MONGODB].len == 0)
        return "needs module, sql and mongodb";
    return NGX_CONF_OK;
}

static char *set_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    banyan_main_conf_t *main = conf;
    ngx_str_t *v = cf->args->elts;
    if (main->routes.nelts == BANYAN_ROUTES_MAX)
        return "is one too many";
    banyan_route_t *route = ngx_array_push(&main->routes);
    if (!route)
        return NGX_CONF_ERROR;
    ngx_memzero(route, sizeof *route);
    route->prefix = v[1];
    route->number = main->routes.nelts - 1;
    ngx_conf_t saved = *cf;
    cf->handler = in_route;
    cf->handler_conf = (char *)route;
    char *rc = ngx_conf_parse(cf, NULL);
    *cf = saved;
    return rc == NGX_CONF_OK ? check_route(route) : rc;
}

/* ---- the other directives ---- */

static char *set_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    banyan_main_conf_t *main = conf;
    ngx_str_t *v = cf->args->elts;
    if (!main->trusted)
        main->trusted = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));
    for (ngx_uint_t i = 1; main->trusted && i < cf->args->nelts; i++) {
        ngx_cidr_t *cidr = ngx_array_push(main->trusted);
        if (!cidr || ngx_ptocidr(&v[i], cidr) == NGX_ERROR)
            return "has an address range that cannot be read";
    }
    return main->trusted ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static char *set_identity(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    banyan_main_conf_t *main = conf;
    ngx_str_t *v = cf->args->elts;
    if (!main->identity)
        main->identity = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    for (ngx_uint_t i = 1; main->identity && i < cf->args->nelts; i++) {
        ngx_str_t *name = ngx_array_push(main->identity);
        if (!name)
            return NGX_CONF_ERROR;
        *name = v[i];
    }
    return main->identity ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static char *set_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    ((banyan_loc_conf_t *)conf)->gateway = 1;
    core->handler = banyan_ask;
    return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("banyan_flags"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, flags_path), NULL},
    {ngx_string("banyan_settings"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, settings_path), NULL},
    {ngx_string("banyan_trusted"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, set_trusted,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("banyan_identity_header"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, set_identity,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("banyan_route"), NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1, set_route,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("banyan"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_gateway,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("banyan_rescue"), NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(banyan_loc_conf_t, rescue), NULL},
    ngx_null_command};

static void *make_main_conf(ngx_conf_t *cf) {
    banyan_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (!conf || ngx_array_init(&conf->routes, cf->pool, 8, sizeof(banyan_route_t)) != NGX_OK)
        return NULL;
    return conf;
}

static char *init_main_conf(ngx_conf_t *cf, void *data) {
    banyan_main_conf_t *conf = data;
    const banyan_route_t *routes = conf->routes.elts;
    if (conf->routes.nelts == 0)
        return NGX_CONF_OK;
    if (conf->flags_path.len == 0 || conf->settings_path.len == 0)
        return "banyan_route needs banyan_flags and banyan_settings";
    conf->prefixes = ngx_pcalloc(cf->pool, conf->routes.nelts * sizeof *conf->prefixes);
    if (!conf->prefixes)
        return NGX_CONF_ERROR;
    for (ngx_uint_t i = 0; i < conf->routes.nelts; i++)
        conf->prefixes[i] = banyan_span(routes[i].prefix);
    return banyan_breakers_init(cf, conf);
}

static void *make_loc_conf(ngx_conf_t *cf) {
    banyan_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (conf)
        conf->rescue = NGX_CONF_UNSET;
    return conf;
}

/* Not inherited: each location says it itself. */
static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
    (void)cf, (void)parent;
    ngx_conf_init_value(((banyan_loc_conf_t *)child)->rescue, 0);
    return NGX_CONF_OK;
}

/* ---- phases ---- */

/* Into the rescue: SQL answers, if the route covers for this kind of failure. */
static ngx_int_t on_rewrite(ngx_http_request_t *r) {
    const banyan_loc_conf_t *loc = ngx_http_get_module_loc_conf(r, ngx_http_banyan_module);
    banyan_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_banyan_module);
    banyan_request_t *b = loc->rescue ? banyan_request(r) : NULL;
    if (!b || b->rescued)
        return NGX_DECLINED;
    ngx_uint_t status;
    enum banyan_failure failure = banyan_failure_of(r, &status);
    if (!(b->route->covered & (1u << failure)))
        return (ngx_int_t)status;
    b->rescued = 1;
    b->failure = failure;
    banyan_budget_take(conf, b->route);
    return NGX_DECLINED;
}

/* What MongoDB did, whether somebody covered for it or not. A client that left says nothing. */
static ngx_int_t on_log(ngx_http_request_t *r) {
    banyan_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_banyan_module);
    const banyan_request_t *b = r == r->main ? banyan_request(r) : NULL;
    if (!b || b->decision.side != ROUTE_MONGODB)
        return NGX_OK;
    ngx_uint_t status, failed = b->rescued && b->failure != BANYAN_404, known = 1;
    if (!b->rescued) {
        (void)banyan_failure_of(r, &status);
        failed = status >= NGX_HTTP_INTERNAL_SERVER_ERROR;
        known = r->upstream_states && r->headers_out.status != NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }
    if (known || b->trial)
        banyan_breaker_count(conf, b->route, failed, b->trial);
    return NGX_OK;
}

static ngx_int_t add_handler(ngx_conf_t *cf, ngx_http_phases phase, ngx_http_handler_pt handler) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *h = ngx_array_push(&core->phases[phase].handlers);
    if (!h)
        return NGX_ERROR;
    *h = handler;
    return NGX_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
    if (add_handler(cf, NGX_HTTP_POST_READ_PHASE, banyan_clean_request) != NGX_OK ||
        add_handler(cf, NGX_HTTP_REWRITE_PHASE, on_rewrite) != NGX_OK ||
        add_handler(cf, NGX_HTTP_LOG_PHASE, on_log) != NGX_OK)
        return NGX_ERROR;
    return banyan_headers_init(cf);
}

static ngx_int_t init_process(ngx_cycle_t *cycle) {
    banyan_main_conf_t *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_banyan_module);
    if (!conf || conf->routes.nelts == 0)
        return NGX_OK;
    return banyan_published_start(cycle, conf);
}

static ngx_http_module_t context = {
    .preconfiguration = banyan_vars_init,
    .postconfiguration = postconfiguration,
    .create_main_conf = make_main_conf,
    .init_main_conf = init_main_conf,
    .create_loc_conf = make_loc_conf,
    .merge_loc_conf = merge_loc_conf,
};

ngx_module_t ngx_http_banyan_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE,      NULL, NULL, init_process, NULL,
    NULL,          NULL,     NULL,     NGX_MODULE_V1_PADDING};

/* Phases, and the life of workers. */
#include "banyan.h"

/* Found in the file by `banyan gateway check` (src/gateway/fits.c). */
__attribute__((used)) const char banyan_built_for[] =
    "banyan: built for nginx/" NGINX_VERSION " " NGX_MODULE_SIGNATURE;

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
    banyan_headers_prepare(conf);
    ngx_str_t id = ngx_string("request_id"), cookie = ngx_string("cookie_banyan_rw");
    conf->request_id = ngx_http_get_variable_index(cf, &id);
    conf->cookie = ngx_http_get_variable_index(cf, &cookie);
    return conf->request_id == NGX_ERROR || conf->cookie == NGX_ERROR
               ? NGX_CONF_ERROR
               : banyan_shared_init(cf, conf);
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
    banyan_request_t *b = loc->rescue && r == r->main ? banyan_request(r) : NULL;
    if (!b || b->rescued)
        return NGX_DECLINED;
    ngx_uint_t status;
    enum banyan_failure failure = banyan_failure_of(r, &status);
    if (!(b->route->covered & (1u << failure)))
        return (ngx_int_t)status;
    int64_t now = banyan_now_us();
    b->rescued = 1;
    b->failure = failure;
    b->failed_us = now - b->started_us;
    b->started_us = now;
    if (failure == BANYAN_404)
        banyan_sample_missing(r, conf, b);
    if (!b->trial) /* there is one each while the breaker is open: whoever it is would have got SQL
                    */
        banyan_budget_take(conf, b->route);
    return NGX_DECLINED;
}

/* What MongoDB did, whether somebody covered for it or not, where the breaker was asked. A client
 * that left says nothing: after a trial the next one tries. */
static void tell_breaker(ngx_http_request_t *r, banyan_main_conf_t *conf,
                         const banyan_request_t *b) {
    ngx_uint_t status, failed = b->rescued && b->failure != BANYAN_404, known = 1;
    if (!b->asked_breaker || b->decision.side != ROUTE_MONGODB)
        return;
    if (!b->rescued) {
        (void)banyan_failure_of(r, &status);
        failed = status >= NGX_HTTP_INTERNAL_SERVER_ERROR;
        known = r->upstream_states && r->headers_out.status != NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }
    if (known)
        banyan_breaker_count(conf, b->route, failed, b->trial);
    else if (b->trial)
        banyan_breaker_give_back(conf, b->route);
}

static ngx_int_t on_log(ngx_http_request_t *r) {
    banyan_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_banyan_module);
    banyan_request_t *b = r == r->main ? banyan_request(r) : NULL;
    if (!b)
        return NGX_OK;
    tell_breaker(r, conf, b);
    banyan_write_end(r, conf, b);
    banyan_count(r, b);
    banyan_sample_end(r, conf, b);
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
    banyan_sample_init();
    return banyan_headers_init(cf);
}

static ngx_int_t init_process(ngx_cycle_t *cycle) {
    banyan_main_conf_t *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_banyan_module);
    if (!conf || conf->routes.nelts == 0)
        return NGX_OK;
    banyan_wire_start(cycle, conf);
    if (banyan_counts_start(cycle, conf) != NGX_OK)
        return NGX_ERROR;
    return banyan_published_start(cycle, conf);
}

static void exit_process(ngx_cycle_t *cycle) {
    const banyan_main_conf_t *conf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_banyan_module);
    if (!conf || conf->routes.nelts == 0)
        return;
    banyan_counts_flush(conf);
    banyan_wire_end();
}

static ngx_http_module_t context = {
    .preconfiguration = banyan_vars_init,
    .postconfiguration = postconfiguration,
    .create_main_conf = make_main_conf,
    .init_main_conf = init_main_conf,
    .create_loc_conf = make_loc_conf,
    .merge_loc_conf = merge_loc_conf,
};

ngx_module_t ngx_http_banyan_module = {NGX_MODULE_V1,   &context, banyan_commands,
                                       NGX_HTTP_MODULE, NULL,     NULL,
                                       init_process,    NULL,     NULL,
                                       exit_process,    NULL,     NGX_MODULE_V1_PADDING};

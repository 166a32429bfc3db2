/* Directives.
 *
 *   banyan_flags PATH;  banyan_settings PATH;      the published files
 *   banyan_samples SOCKET;                         where samples and statistics go
 *   banyan_applied PATH;  banyan_watermark_max_age TIME;   how far MongoDB is
 *   banyan_trusted CIDR ...;                       peers whose identity headers count
 *   banyan_identity_header NAME ...;               those headers
 *   banyan_drain TIME;                             of WebSockets, after a rollback
 *
 *   banyan_route PREFIX { module, flag, sql, mongodb, guarded, on, read, breaker, budget, sample,
 *                         compare_header, own_writes, no_snapshot, and who asks: user, tenant,
 *                         user_attribute, tenant_attribute, each also _jwt }
 *
 *   banyan;             (location) asks, and hands over to the side's named location
 *   banyan_rescue;      (location) SQL answers in MongoDB's place
 */
#include "banyan.h"

#include <sys/un.h>

/* ---- the route block ---- */

/* "$http_x_user_id" alone: that can be had without putting a text together. */
static ngx_int_t sole_variable(ngx_conf_t *cf, const ngx_str_t *v) {
    ngx_str_t name = {v->len - 1, v->data + 1};
    if (v->len < 2 || v->data[0] != '$')
        return NGX_ERROR;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.data[i] >= 'a' && name.data[i] <= 'z') || name.data[i] == '_' ||
              (i > 0 && name.data[i] >= '0' && name.data[i] <= '9')))
            return NGX_ERROR;
    return ngx_http_get_variable_index(cf, &name);
}

static char *set_value(ngx_conf_t *cf, banyan_asker_t *asker, ngx_str_t *v) {
    ngx_http_compile_complex_value_t compile = {.cf = cf, .value = v};
    asker->variable = sole_variable(cf, v);
    asker->value = compile.complex_value = ngx_pcalloc(cf->pool, sizeof *asker->value);
    return asker->value && ngx_http_compile_complex_value(&compile) == NGX_OK ? NGX_CONF_OK
                                                                              : NGX_CONF_ERROR;
}

/* "sub" "/folder/jwt.key" */
static char *set_claim(ngx_conf_t *cf, banyan_asker_t *asker, ngx_str_t *v) {
    asker->claim = v[0];
    return banyan_key_load(cf, &v[1], &asker->key);
}

typedef char *(*set_asker_fn)(ngx_conf_t *cf, banyan_asker_t *asker, ngx_str_t *v);

static char *add_attribute(ngx_conf_t *cf, ngx_array_t **list, ngx_str_t *v, set_asker_fn set) {
    if (!*list)
        *list = ngx_array_create(cf->pool, 4, sizeof(banyan_attribute_t));
    if (!*list || (*list)->nelts == BANYAN_ATTRIBUTES_MAX)
        return "has too many attributes";
    banyan_attribute_t *a = ngx_array_push(*list);
    if (!a)
        return NGX_CONF_ERROR;
    ngx_memzero(a, sizeof *a);
    a->name = v[1];
    return set(cf, &a->from, &v[2]);
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

/* Millionths of the calls. */
static char *set_sample(banyan_route_t *route, ngx_str_t *v) {
    ngx_int_t share = ngx_atoi(v[1].data, v[1].len);
    if (share < 0 || share > (ngx_int_t)SAMPLING_ONE)
        return "needs millionths, at most 1000000";
    route->sample = (uint32_t)share;
    return NGX_CONF_OK;
}

static char *set_own_writes(banyan_route_t *route, ngx_str_t *v) {
    ngx_int_t wait = ngx_parse_time(&v[1], 0);
    if (wait < 0)
        return "needs a time";
    route->own_wait_us = (int64_t)wait * 1000;
    return NGX_CONF_OK;
}

/* Names, at the end of a list. */
static char *add_names(ngx_conf_t *cf, ngx_array_t **list, ngx_str_t *v, ngx_uint_t n) {
    if (!*list)
        *list = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    for (ngx_uint_t i = 1; *list && i < n; i++) {
        ngx_str_t *name = ngx_array_push(*list);
        if (!name)
            return NGX_CONF_ERROR;
        *name = v[i];
    }
    return *list ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static ngx_uint_t is(const ngx_str_t *s, const char *text) {
    return s->len == ngx_strlen(text) && ngx_strncmp(s->data, text, s->len) == 0;
}

/* Locations of MongoDB with SQL behind it: for answers, and for WebSockets. */
static char *set_guarded(banyan_route_t *route, ngx_str_t *v) {
    route->guarded = v[1];
    route->guarded_socket = v[2];
    return NGX_CONF_OK;
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

/* What answers before settings were ever published. */
static char *set_no_snapshot(banyan_route_t *route, ngx_str_t *v) {
    if (!is(&v[1], "503") && !is(&v[1], "sql"))
        return "needs sql or 503";
    route->never_stale = is(&v[1], "503");
    return NGX_CONF_OK;
}

static char *set_text(banyan_route_t *route, ngx_str_t *v) {
    ngx_str_t *to = is(v, "module") ? &route->module : is(v, "flag") ? &route->flag : NULL;
    if (!to)
        return "is unknown in banyan_route";
    *to = v[1];
    return NGX_CONF_OK;
}

/* Who asks; *found: it is one of these. */
static char *set_asker(ngx_conf_t *cf, banyan_route_t *route, ngx_str_t *v, ngx_uint_t n,
                       ngx_uint_t *found) {
    *found = 1;
    if (n == 2 && is(v, "user"))
        return set_value(cf, &route->user, &v[1]);
    if (n == 2 && is(v, "tenant"))
        return set_value(cf, &route->tenant, &v[1]);
    if (n == 3 && is(v, "user_jwt"))
        return set_claim(cf, &route->user, &v[1]);
    if (n == 3 && is(v, "tenant_jwt"))
        return set_claim(cf, &route->tenant, &v[1]);
    if (n == 3 && is(v, "user_attribute"))
        return add_attribute(cf, &route->attributes[0], v, set_value);
    if (n == 3 && is(v, "tenant_attribute"))
        return add_attribute(cf, &route->attributes[1], v, set_value);
    if (n == 4 && is(v, "user_attribute_jwt"))
        return add_attribute(cf, &route->attributes[0], v, set_claim);
    if (n == 4 && is(v, "tenant_attribute_jwt"))
        return add_attribute(cf, &route->attributes[1], v, set_claim);
    *found = 0;
    return NGX_CONF_OK;
}

static char *in_route(ngx_conf_t *cf, ngx_command_t *dummy, void *conf) {
    (void)dummy;
    banyan_route_t *route = conf;
    ngx_str_t *v = cf->args->elts;
    ngx_uint_t n = cf->args->nelts;
    ngx_uint_t found;
    char *rc = set_asker(cf, route, v, n, &found);
    if (found)
        return rc;
    if (n == 4 && is(v, "breaker"))
        return set_breaker(route, v);
    if (n == 3 && is(v, "guarded"))
        return set_guarded(route, v);
    if (n == 3 && is(v, "read"))
        return add_read(cf, route, v);
    if (n == 4 && is(v, "sql"))
        return set_side(route, ROUTE_SQL, v);
    if (n == 4 && is(v, "mongodb"))
        return set_side(route, ROUTE_MONGODB, v);
    if (is(v, "on"))
        return set_failures(route, v, n);
    if (is(v, "compare_header"))
        return add_names(cf, &route->compared, v, n);
    if (n != 2)
        return "is unknown in banyan_route, or has another number of arguments";
    return is(v, "budget")        ? set_budget(route, v)
           : is(v, "sample")      ? set_sample(route, v)
           : is(v, "no_snapshot") ? set_no_snapshot(route, v)
           : is(v, "own_writes")  ? set_own_writes(route, v)
                                  : set_text(route, v);
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
    return add_names(cf, &main->identity, cf->args->elts, cf->args->nelts);
}

/* Into the microseconds at the command's offset. */
static char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    int64_t *to = (int64_t *)(void *)((char *)conf + cmd->offset);
    ngx_str_t *v = cf->args->elts;
    ngx_int_t time = ngx_parse_time(&v[1], 0);
    if (time < 0)
        return "needs a time";
    *to = (int64_t)time * 1000;
    return NGX_CONF_OK;
}

static char *set_samples(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    banyan_main_conf_t *main = conf;
    ngx_str_t *v = cf->args->elts;
    if (v[1].len == 0 || v[1].len >= sizeof((struct sockaddr_un *)0)->sun_path)
        return "is no path of a socket, or too long for one";
    main->samples_path = v[1];
    return NGX_CONF_OK;
}

static char *set_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    (void)cmd;
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    core->handler = banyan_ask;
    return NGX_CONF_OK;
}

ngx_command_t banyan_commands[] = {
    {ngx_string("banyan_flags"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, flags_path), NULL},
    {ngx_string("banyan_settings"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, settings_path), NULL},
    {ngx_string("banyan_samples"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_samples,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("banyan_applied"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, applied_path), NULL},
    {ngx_string("banyan_watermark_max_age"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_time,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, watermark_max_age_us), NULL},
    {ngx_string("banyan_drain"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_time,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(banyan_main_conf_t, drain_us), NULL},
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

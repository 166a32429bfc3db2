#include "gateway/nginx_conf.h"

#include "gateway/keys.h"
#include "gateway/nginx_log.h"
#include "route/sampling.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

/* Idle connections that each worker keeps to each service. */
#define KEEPALIVE 64

/* Statuses of services that count as 5xx; 502 and 504 are nginx's own as well. */
#define FAILURES "500 501 502 503 504 505 506 507 508 510 511"

static void line(struct buf *out, int depth, const char *fmt, ...) printf_like(3, 4);

static void line(struct buf *out, int depth, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    buf_printf(out, "%*s", depth * 4, "");
    buf_vprintf(out, fmt, args);
    buf_add_char(out, '\n');
    va_end(args);
}

/* ---- who asks ---- */

/* X-User-Id of "$http_x_user_id": every header that the text takes from the client. To nginx,
 * capitals in the name of a variable are the same. */
static void add_headers_of(struct buf *out, const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    for (const char *p = text; (p = strchr(p, '$')); p++) {
        const char *name = p + 1 + (p[1] == '{');
        if (strncasecmp(name, "http_", 5) != 0)
            continue;
        name += 5;
        size_t len = strspn(name, letters);
        buf_add_char(out, ' ');
        for (size_t i = 0; i < len; i++)
            buf_add_char(out, name[i] == '_' ? '-' : name[i]);
    }
}

static void add_identity_headers(struct buf *out, const struct conf_route *r) {
    const struct conf_asker *single[] = {&r->user, &r->tenant};
    for (size_t i = 0; i < 2; i++)
        if (single[i]->value.text)
            add_headers_of(out, single[i]->value.text);
    for (size_t i = 0; i < r->user_attribute_count; i++)
        if (r->user_attributes[i].from.value.text)
            add_headers_of(out, r->user_attributes[i].from.value.text);
    for (size_t i = 0; i < r->tenant_attribute_count; i++)
        if (r->tenant_attributes[i].from.value.text)
            add_headers_of(out, r->tenant_attributes[i].from.value.text);
}

/* user "$http_x";  user_jwt "sub" "/folder/jwt-1.key";  user_attribute_jwt "plan" "plan" "..."; */
static void add_asker(struct buf *out, const struct nginx_paths *paths, const char *what,
                      const char *name, const struct conf_asker *asker) {
    _cleanup_(buf_release) struct buf key = {.max = PATH_MAX};
    if (!asker->value.text && !asker->claim.text)
        return;
    if (asker->claim.text)
        keys_path(&key, paths->folder, asker->key);
    buf_printf(out, "        %s%s", what, asker->claim.text ? "_jwt" : "");
    if (name)
        buf_printf(out, " \"%s\"", name);
    if (asker->claim.text)
        buf_printf(out, " \"%s\" \"%s\";\n", asker->claim.text, buf_text(&key));
    else
        buf_printf(out, " \"%s\";\n", asker->value.text);
}

static void add_attributes(struct buf *out, const struct nginx_paths *paths, const char *what,
                           const struct conf_attribute *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        add_asker(out, paths, what, list[i].name.text, &list[i].from);
}

/* ---- a route, as the module is told ---- */

static bool falls_back_on(const struct conf_fallback *f, const char *word) {
    for (size_t i = 0; i < f->on.count; i++)
        if (strcmp(f->on.items[i].text, word) == 0)
            return true;
    return f->on.count == 0;
}

static void add_fallback(struct buf *out, size_t n, const struct conf_fallback *f) {
    if (!f->enabled)
        return;
    line(out, 2, "guarded @banyan_%zu_guarded @banyan_%zu_socket;", n, n);
    line(out, 2, "on%s%s%s%s;", falls_back_on(f, "connect") ? " connect" : "",
         falls_back_on(f, "timeout") ? " timeout" : "", falls_back_on(f, "5xx") ? " 5xx" : "",
         falls_back_on(f, "404") ? " 404" : "");
    line(out, 2, "breaker %.0f %d %lldms;", f->breaker.errors, f->breaker.of,
         (long long)(f->breaker.open_us / 1000));
    line(out, 2, "budget %.0f;", f->budget * 100); /* hundredths of a percent */
}

static void add_reads(struct buf *out, const struct conf_list *read) {
    for (size_t i = 0; i < read->count; i++) {
        const char *text = read->items[i].text, *path = strchr(text, ' ') + 1;
        line(out, 2, "read %.*s \"%s\";", (int)(path - 1 - text), text, path);
    }
}

/* In millionths. */
static void add_compare(struct buf *out, const struct conf_compare *c) {
    line(out, 2, "sample %.0f;", c->sample * SAMPLING_ONE / 100);
    for (size_t i = 0; i < c->headers.count; i++)
        line(out, 2, "compare_header %s;", c->headers.items[i].text);
}

static void add_route(struct buf *out, const struct nginx_paths *paths, size_t n,
                      const struct conf_module *m, const struct conf_route *r) {
    line(out, 1, "banyan_route \"%s\" {", r->prefix.text);
    line(out, 2, "module \"%s\";", m->name.text);
    if (m->flag.text)
        line(out, 2, "flag \"%s\";", m->flag.text);
    line(out, 2, "sql @banyan_%zu_sql @banyan_%zu_sql_write \"%s\";", n, n, r->sql.service.text);
    line(out, 2, "mongodb @banyan_%zu_mongodb @banyan_%zu_mongodb_write \"%s\";", n, n,
         r->mongodb.service.text);
    add_asker(out, paths, "user", NULL, &r->user);
    add_asker(out, paths, "tenant", NULL, &r->tenant);
    add_attributes(out, paths, "user_attribute", r->user_attributes, r->user_attribute_count);
    add_attributes(out, paths, "tenant_attribute", r->tenant_attributes, r->tenant_attribute_count);
    add_reads(out, &r->read);
    add_fallback(out, n, &r->fallback);
    add_compare(out, &r->compare);
    const struct route_module *now =
        paths->routing ? route_settings_find(paths->routing, m->name.text) : NULL;
    line(out, 2, "no_snapshot %s;", now && now->writes == WRITES_MONGODB ? "503" : "sql");
    line(out, 2, "own_writes %lldms;", (long long)(r->own_writes_us / 1000));
    line(out, 1, "}");
}

/* ---- upstreams and locations ---- */

/* Writes have connections of their own, each for one: a service may hang up on an idle one in the
 * moment when a write is sent on it, and who could tell whether it has seen the write? */
static void add_upstream(struct buf *out, size_t n, const char *side, const char *url) {
    const char *server = url + strlen("http://");
    line(out, 1, "upstream banyan_%zu_%s {", n, side);
    line(out, 2, "server %s max_fails=0;", server);
    line(out, 2, "keepalive %d;", KEEPALIVE);
    line(out, 1, "}");
    line(out, 1, "upstream banyan_%zu_%s_write {", n, side);
    line(out, 2, "server %s max_fails=0;", server);
    line(out, 1, "}");
}

struct location {
    const char *name;
    enum route_side side;
    bool write;  /* is not tried again on another connection */
    bool rescue; /* SQL in MongoDB's place */
    bool socket; /* may be silent */
    const struct conf_fallback *guard;
};

/* On a connection that was idle, a service may have hung up in the same moment: nginx then opens a
 * fresh one, for reads only. */
static void add_location(struct buf *out, const struct nginx_paths *paths, size_t n,
                         const struct location *l) {
    const char *side = route_side_name(l->side);
    line(out, 2, "location @banyan_%zu_%s {", n, l->name);
    if (l->rescue) /* it may refuse to: the line is the server's, which asks who has answered */
        line(out, 3, "banyan_rescue on;");
    else
        line(out, 3, "access_log \"%s/access.log\" banyan_%zu_%s;", paths->folder, n, side);
    line(out, 3, "proxy_pass http://banyan_%zu_%s%s;", n, side, l->write ? "_write" : "");
    line(out, 3, "proxy_next_upstream %s;", l->write ? "off" : "error");
    if (l->guard) {
        line(out, 3, "proxy_connect_timeout %lldms;", (long long)(l->guard->connect_us / 1000));
        if (!l->socket) {
            line(out, 3, "proxy_read_timeout %lldms;", (long long)(l->guard->timeout_us / 1000));
            line(out, 3, "proxy_send_timeout %lldms;", (long long)(l->guard->timeout_us / 1000));
        }
        line(out, 3, "proxy_intercept_errors on;");
        line(out, 3, "error_page%s %s = @banyan_%zu_rescue;",
             falls_back_on(l->guard, "404") ? " 404" : "",
             falls_back_on(l->guard, "5xx") ? FAILURES : "502 504", n);
    }
    line(out, 2, "}");
}

static void add_locations(struct buf *out, const struct nginx_paths *paths, size_t n,
                          const struct conf_route *r) {
    const struct conf_fallback *guard = &r->fallback;
    const struct location list[] = {
        {.name = "sql", .side = ROUTE_SQL},
        {.name = "sql_write", .side = ROUTE_SQL, .write = true},
        {.name = "mongodb", .side = ROUTE_MONGODB},
        {.name = "mongodb_write", .side = ROUTE_MONGODB, .write = true},
        /* only with a fallback */
        {.name = "guarded", .side = ROUTE_MONGODB, .guard = guard},
        {.name = "socket", .side = ROUTE_MONGODB, .socket = true, .guard = guard},
        {.name = "rescue", .side = ROUTE_SQL, .rescue = true}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (guard->enabled || !(list[i].guard || list[i].rescue))
            add_location(out, paths, n, &list[i]);
}

/* ---- the http context ---- */

typedef void (*each_route_fn)(struct buf *out, const struct nginx_paths *paths, size_t n,
                              const struct conf_module *m, const struct conf_route *r);

static void each_route(struct buf *out, const struct conf *conf, const struct nginx_paths *paths,
                       each_route_fn fn) {
    size_t n = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t j = 0; j < conf->modules[i].route_count; j++)
            fn(out, paths, n++, &conf->modules[i], &conf->modules[i].routes[j]);
}

static void add_route_upstreams(struct buf *out, const struct nginx_paths *paths, size_t n,
                                const struct conf_module *m, const struct conf_route *r) {
    (void)m, (void)paths;
    add_upstream(out, n, "sql", r->sql.url.text);
    add_upstream(out, n, "mongodb", r->mongodb.url.text);
}

static void add_route_locations(struct buf *out, const struct nginx_paths *paths, size_t n,
                                const struct conf_module *m, const struct conf_route *r) {
    (void)m;
    add_locations(out, paths, n, r);
}

static void add_route_logs(struct buf *out, const struct nginx_paths *paths, size_t n,
                           const struct conf_module *m, const struct conf_route *r) {
    (void)m, (void)paths;
    nginx_log_format_of(out, n, r, ROUTE_SQL);
    nginx_log_format_of(out, n, r, ROUTE_MONGODB);
}

static void add_route_headers(struct buf *out, const struct nginx_paths *paths, size_t n,
                              const struct conf_module *m, const struct conf_route *r) {
    (void)n, (void)m, (void)paths;
    add_identity_headers(out, r);
}

static void add_trust(struct buf *out, const struct conf *conf) {
    const struct conf_list *trusted = &conf->gateway.trusted;
    if (trusted->count) {
        buf_add_text(out, "    banyan_trusted");
        for (size_t i = 0; i < trusted->count; i++)
            buf_printf(out, " %s", trusted->items[i].text);
        buf_add_text(out, ";\n");
    }
    _cleanup_(buf_release) struct buf headers = {.max = (size_t)1024 * 1024};
    each_route(&headers, conf, NULL, add_route_headers);
    if (headers.len)
        line(out, 1, "banyan_identity_header%s;", buf_text(&headers));
}

static void add_proxy_settings(struct buf *out) {
    line(out, 2, "proxy_http_version 1.1;");
    line(out, 2, "proxy_set_header Host $http_host;");
    line(out, 2, "proxy_set_header Connection $banyan_connection;");
    line(out, 2, "proxy_set_header Upgrade $http_upgrade;");
    line(out, 2, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
    line(out, 2, "proxy_set_header X-Forwarded-Proto $scheme;");
    line(out, 2, "proxy_set_header X-Request-Id $request_id;");
}

static void add_server(struct buf *out, const struct conf *conf, const struct nginx_paths *paths) {
    const struct conf_gateway *g = &conf->gateway;
    line(out, 1, "server {");
    line(out, 2, "listen %s%s;", g->listen, paths->certificate ? " ssl http2" : "");
    if (paths->certificate) {
        line(out, 2, "ssl_certificate \"%s\";", paths->certificate);
        line(out, 2, "ssl_certificate_key \"%s\";", paths->key);
        line(out, 2, "ssl_protocols TLSv1.2 TLSv1.3;");
    }
    line(out, 2, "access_log \"%s/access.log\" banyan;", paths->folder);
    line(out, 2, "client_max_body_size %lld;", (long long)g->body_limit);
    line(out, 2, "large_client_header_buffers 4 32k;");
    add_proxy_settings(out);
    line(out, 2, "location / {");
    line(out, 3, "banyan;");
    line(out, 3, "client_max_body_size 0;"); /* the side's location has the limit */
    line(out, 2, "}");
    each_route(out, conf, paths, add_route_locations);
    line(out, 1, "}");
}

static void add_http(struct buf *out, const struct conf *conf, const struct nginx_paths *paths) {
    line(out, 1, "banyan_flags \"%s\";", paths->flags);
    line(out, 1, "banyan_settings \"%s\";", paths->settings);
    line(out, 1, "banyan_applied \"%s\";", paths->applied);
    line(out, 1, "banyan_watermark_max_age %lldms;",
         (long long)(conf->gateway.watermark_max_age_us / 1000));
    line(out, 1, "banyan_drain %lldms;", (long long)(conf->gateway.drain_us / 1000));
    line(out, 1, "banyan_samples \"%s\";", paths->samples);
    add_trust(out, conf);
    line(out, 1, "map $http_upgrade $banyan_connection {");
    line(out, 2, "default upgrade;");
    line(out, 2, "'' '';");
    line(out, 1, "}");
    nginx_log_format(out);
    each_route(out, conf, paths, add_route_logs);
    each_route(out, conf, paths, add_route_upstreams);
    each_route(out, conf, paths, add_route);
    add_server(out, conf, paths);
}

/* ---- the files ---- */

static const char HEADING[] = "# Written by banyan serve; what is changed here is lost.\n";

void nginx_conf_main(struct buf *out, const struct nginx_paths *paths) {
    buf_add_text(out, HEADING);
    line(out, 0, "load_module \"%s\";", paths->module);
}

void nginx_conf_http(struct buf *out, const struct conf *conf, const struct nginx_paths *paths) {
    buf_add_text(out, HEADING);
    add_http(out, conf, paths);
}

void nginx_conf_whole(struct buf *out, const struct conf *conf, const struct nginx_paths *paths) {
    static const char *const bodies[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    nginx_conf_main(out, paths);
    if (paths->user)
        line(out, 0, "user %s;", paths->user);
    line(out, 0, "worker_processes %s;", conf->gateway.workers);
    line(out, 0, "pid \"%s/nginx.pid\";", paths->folder);
    line(out, 0, "error_log \"%s/error.log\" warn;", paths->folder);
    line(out, 0, "events {");
    line(out, 1, "worker_connections 4096;");
    line(out, 0, "}");
    line(out, 0, "http {");
    line(out, 1, "default_type application/octet-stream;");
    line(out, 1, "server_tokens off;");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        line(out, 1, "%s_temp_path \"%s/%s\";", bodies[i], paths->folder, bodies[i]);
    add_http(out, conf, paths);
    line(out, 0, "}");
}

/*
 * A server for tests of src/http: the routes that its tests need, and orders on standard input.
 *
 *   http_test_server --listen 127.0.0.1:0 [--threads N] [--operator T] [--viewer T] [--evaluate T]
 *       [--cert F --key F] [--client-ca F] [--insecure] [--host NAME] [--origin O]
 *
 * Prints "listening ADDRESS" and then answers each order with a line: "publish CHANNEL TYPE DATA",
 * "flood CHANNEL COUNT BYTES", "counts", "reload", "stop" (or the end of input).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void on_echo(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    struct json_out j;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "method", r->method);
    json_out_span(&j, "path", r->path);
    json_out_span(&j, "query", r->query);
    json_out_span(&j, "first", r->parameter[0]);
    json_out_span(&j, "second", r->parameter[1]);
    json_out_span(&j, "q", http_query(r, "q"));
    json_out_int(&j, "length", (int64_t)r->body.len);
    json_out_span(&j, "body", span_make(r->body.ptr, r->body.len < 200 ? r->body.len : 200));
    json_out_text(&j, "role", http_role_name(r->role));
    json_out_text(&j, "who", r->who);
    json_out_text(&j, "peer", r->peer);
    json_out_span(&j, "x", http_header(r, "x-test"));
    json_out_close(&j, '}');
    json_out_end(&j);
}

/* What an evaluation of a flag will look like: a small body in, a small body out. */
static void on_json(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    struct json_doc doc;
    struct json_out j;
    int64_t n = 0;
    if (!http_json_body(r, a, &doc))
        return;
    if (!json_int(&doc, json_member(&doc, json_root(&doc), "n"), &n)) {
        http_error(a, 400, "bad_request", "n is missing or no whole number", "send {\"n\":1}");
        return;
    }
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_span(&j, "key", r->parameter[0]);
    json_out_int(&j, "n", n + 1);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void on_slow(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    int64_t ms = 100;
    if (!http_query_int(r, "ms", 0, 60000, &ms)) {
        http_error(a, 400, "bad_request", "ms is no number", NULL);
        return;
    }
    usleep((useconds_t)(ms * 1000)); /* stands for a slow database */
    on_echo(r, a, NULL);
}

static void on_big(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    int64_t bytes = 0;
    if (!http_query_int(r, "bytes", 0, INT64_C(1) << 30, &bytes))
        bytes = 0;
    a->content_type = "text/plain";
    char *to = buf_reserve(&a->body, (size_t)bytes);
    if (!to)
        return;
    memset(to, 'x', (size_t)bytes);
    a->body.len += (size_t)bytes;
}

static void on_tagged(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    if (!http_not_modified(r, a, "\"v1\""))
        buf_add_text(&a->body, "{}\n");
}

static void on_stream(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    (void)context;
    http_stream(a, 0, (struct http_lost){"reset", "{}"});
}

static const struct http_route routes[] = {
    {"GET", "/", HTTP_ANYONE, on_echo, NULL, 0},
    {"POST", "/anyone", HTTP_ANYONE, on_echo, NULL, 0},
    {"GET", "/view", HTTP_VIEWER, on_echo, NULL, 0},
    {"POST", "/echo", HTTP_OPERATOR, on_echo, NULL, 0},
    {"PATCH", "/echo", HTTP_OPERATOR, on_echo, NULL, 0},
    {"GET", "/items/{a}/of/{b}", HTTP_VIEWER, on_echo, NULL, 0},
    {"GET", "/files/{rest*}", HTTP_VIEWER, on_echo, NULL, 0},
    {"POST", "/json/{key}", HTTP_EVALUATE, on_json, NULL, HTTP_CORS},
    {"GET", "/slow", HTTP_VIEWER, on_slow, NULL, HTTP_SLOW},
    {"POST", "/slow", HTTP_OPERATOR, on_slow, NULL, HTTP_SLOW},
    {"GET", "/big", HTTP_VIEWER, on_big, NULL, 0},
    {"GET", "/tagged", HTTP_VIEWER, on_tagged, NULL, HTTP_CORS},
    {"GET", "/events", HTTP_VIEWER, on_stream, NULL, 0},
    {"POST", "/v1/login", HTTP_ANYONE, http_login, NULL, 0},
    {"POST", "/v1/logout", HTTP_ANYONE, http_logout, NULL, 0},
};

static void show_counts(const struct http_server *server) {
    struct http_counts n;
    http_server_counts(server, &n);
    printf("{\"connections\":%" PRIu64 ",\"streams\":%" PRIu64 ",\"accepted\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"events\":%" PRIu64 ",\"streams_cut\":%" PRIu64
           ",\"requests\":[",
           n.connections, n.streams, n.accepted, n.refused, n.events, n.streams_cut);
    for (int i = 0; i < 6; i++)
        printf("%s%" PRIu64, i ? "," : "", n.requests[i]);
    puts("]}");
}

static void flood(struct http_server *server, int channel, int count, int bytes) {
    _cleanup_(mem_freep) char *data = mem_alloc((size_t)bytes);
    memset(data, 'e', (size_t)bytes);
    for (int i = 0; i < count; i++)
        http_publish(server, channel, "flood", span_make(data, (size_t)bytes));
    puts("ok");
}

/* False: stop. */
static bool obey(struct http_server *server, char *line) {
    char type[32];
    int channel = 0, at = 0, count = 0, bytes = 0;
    struct err err = {0};
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "stop") == 0)
        return false;
    if (strcmp(line, "counts") == 0) {
        show_counts(server);
    } else if (strcmp(line, "reload") == 0) {
        puts(http_server_reload_tls(server, &err) < 0 ? err.text : "ok");
    } else if (sscanf(line, "publish %d %31s %n", &channel, type, &at) == 2) {
        http_publish(server, channel, type, span_of(line + at));
        puts("ok");
    } else if (sscanf(line, "flood %d %d %d", &channel, &count, &bytes) == 3) {
        flood(server, channel, count, bytes);
    } else {
        puts("unknown order");
    }
    return true;
}

#define NAMES_MAX 8

struct settings {
    struct http_listener listener;
    const char *hosts[NAMES_MAX], *origins[NAMES_MAX];
};

static bool set_option(struct settings *s, const char *name, const char *value) {
    struct http_listener *l = &s->listener;
    struct {
        const char *name;
        const char **to;
    } const texts[] = {{"--listen", &l->address},
                       {"--operator", &l->token_operator},
                       {"--viewer", &l->token_viewer},
                       {"--evaluate", &l->token_evaluate},
                       {"--cert", &l->tls_cert},
                       {"--key", &l->tls_key},
                       {"--client-ca", &l->tls_client_ca},
                       {"--host", &s->hosts[l->host_count % NAMES_MAX]},
                       {"--origin", &s->origins[l->origin_count % NAMES_MAX]}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) != 0)
            continue;
        *texts[i].to = value;
        l->host_count += texts[i].to == &s->hosts[l->host_count % NAMES_MAX];
        l->origin_count += texts[i].to == &s->origins[l->origin_count % NAMES_MAX];
        return true;
    }
    return strcmp(name, "--threads") == 0 && sscanf(value, "%u", &l->threads) == 1;
}

int main(int argc, char **argv) {
    struct settings s = {.listener = {.address = "127.0.0.1:0",
                                      .key = "listen",
                                      .routes = routes,
                                      .route_count = sizeof routes / sizeof *routes}};
    s.listener.hosts = s.hosts;
    s.listener.origins = s.origins;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--insecure") == 0) {
            s.listener.insecure = true;
        } else if (i + 1 == argc || !set_option(&s, argv[i], argv[i + 1])) {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    struct http_server *server;
    struct err err = {0};
    char line[4096];
    stop_install();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (http_server_start(&(struct http_config){.listeners = &s.listener, .listener_count = 1},
                          &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return err_exit_code(err.code);
    }
    printf("listening %s\n", http_server_address(server, 0));
    while (fgets(line, sizeof line, stdin) && obey(server, line))
        ;
    http_server_stop(server);
    puts("stopped");
    return 0;
}

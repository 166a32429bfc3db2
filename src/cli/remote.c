#include "cli/remote.h"

#include "base/clock.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/stop.h"
#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_US 50000
#define CALL_US 1000000
#define NODES_MAX 20000

/* Where this machine reaches what the daemon listens on. */
static char *url_of(const struct conf *conf, const char *path) {
    const char *listen = conf->serve.listen, *port = strrchr(listen, ':');
    bool tls = conf->serve.tls_cert != NULL;
    bool any = strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
    if (tls && conf->serve.tls_name)
        return mem_printf("https://%s%s%s", conf->serve.tls_name, port, path);
    if (!any)
        return mem_printf("http%s://%s%s", tls ? "s" : "", listen, path);
    return mem_printf("http%s://127.0.0.1%s%s", tls ? "s" : "", port, path);
}

char *remote_path(const char *before, const char *name, const char *after) {
    _cleanup_(buf_release) struct buf path = {.max = 4096};
    buf_add_text(&path, before);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p);
        buf_printf(&path, plain ? "%c" : "%%%02X", *p);
    }
    buf_add_text(&path, after);
    return mem_strdup(buf_text(&path));
}

/* -1: there is none in it. */
static int64_t version_in(struct span body) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc doc;
    if (json_parse(&doc, body, nodes, NODES_MAX, NULL) < 0)
        return -1;
    const struct json_node *version = json_member(&doc, json_root(&doc), "version");
    int64_t v = -1;
    return version && json_int(&doc, version, &v) ? v : -1;
}

int remote_call(const struct cli *cli, const char *method, const char *path, struct span body,
                int *ret_status, struct buf *ret_body, struct err *err) {
    const struct conf_serve *serve = &cli->conf->serve;
    bool nobody = false;
    _cleanup_(mem_freep) char *url = url_of(cli->conf, path);
    struct http_call call = {.method = method,
                             .url = url,
                             .body = body,
                             .token = serve->token_operator ? serve->token_operator
                                                            : serve->token_viewer,
                             .tls_ca = serve->tls_ca ? serve->tls_ca : serve->tls_cert,
                             .tls_cert = serve->tls_client_cert,
                             .tls_key = serve->tls_client_key,
                             .limit_us = CALL_US,
                             .refused = &nobody};
    *ret_status = 0;
    int rc = http_call(&call, ret_status, ret_body, err);
    if (rc == ERR_UNREACHABLE && nobody) { /* one that hangs is a daemon all the same */
        *ret_status = 0;
        return 0;
    }
    if (rc == ERR_UNREACHABLE && serve->tls_client_ca &&
        !(serve->tls_client_cert && serve->tls_client_key))
        return err_prefix(err, "without tls.client_cert and tls.client_key the daemon does not let "
                               "commands in");
    if (rc == 0 && (*ret_status == 401 || *ret_status == 403))
        return err_set(err, ERR_ACCESS,
                       "the daemon on %s does not let us (status %d); are its tokens those of this "
                       "configuration?",
                       serve->listen, *ret_status);
    return rc;
}

/* The words of an error, in an answer of the daemon. */
int remote_failure(const struct cli *cli, int status, struct span body, struct err *err) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc doc;
    char words[ERR_TEXT_MAX];
    struct span text = {0};
    if (json_parse(&doc, body, nodes, NODES_MAX, NULL) == 0) {
        const struct json_node *error = json_member(&doc, json_root(&doc), "error");
        const struct json_node *message = error ? json_member(&doc, error, "message") : NULL;
        if (!message || !json_string(&doc, message, words, sizeof words, &text))
            text = (struct span){0};
    }
    return err_set(err, status >= 500 ? ERR_UNREACHABLE : ERR_NO,
                   "the daemon on %s answers %d%s%.*s", cli->conf->serve.listen, status,
                   text.len ? ": " : "", SPAN_ARG(text));
}

int remote_flag_in_use(const struct cli *cli, const char *flag, int64_t version, int64_t wait_us,
                       enum remote_answer *ret_answer, struct err *err) {
    _cleanup_(mem_freep) char *path = remote_path("/v1/flags/", flag, "/version");
    int64_t end = clock_mono_us() + wait_us;
    for (;;) {
        _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
        int status;
        int rc = remote_call(cli, "GET", path, (struct span){0}, &status, &body, err);
        if (rc < 0)
            return rc;
        *ret_answer = status == 0                                               ? REMOTE_NOT_THERE
                      : status == 200 && version_in(buf_span(&body)) >= version ? REMOTE_IN_USE
                                                                                : REMOTE_NOT_YET;
        if (*ret_answer != REMOTE_NOT_YET || clock_mono_us() >= end || stop_wait(STEP_US))
            return 0;
    }
}

/* ---- others that share flags ---- */

bool remote_redis_is_away(const struct cli *cli) {
    _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc doc;
    int status = 0;
    if (remote_call(cli, "GET", "/v1/instances", (struct span){0}, &status, &body, NULL) < 0 ||
        status != 200 || json_parse(&doc, buf_span(&body), nodes, NODES_MAX, NULL) < 0)
        return true;
    const struct json_node *problem = json_member(&doc, json_root(&doc), "problem");
    return !problem || problem->type != JSON_NULL;
}

static void list_unconfirmed(const struct json_doc *d, const char *what, struct buf *out) {
    const struct json_node *list = json_member(d, json_root(d), what);
    for (const struct json_node *n = list ? json_first(d, list) : NULL; n;
         n = json_next(d, list, n)) {
        const struct json_node *name = json_member(d, n, "name");
        const struct json_node *ok = json_member(d, n, "confirmed");
        const struct json_node *age = json_member(d, n, "seen_seconds_ago");
        char memory[256];
        struct span text;
        bool confirmed = false;
        double seconds = 0;
        if (!name || !ok || !json_bool(ok, &confirmed) || confirmed ||
            !json_string(d, name, memory, sizeof memory, &text))
            continue;
        if (!age || !json_double(d, age, &seconds))
            seconds = 0;
        buf_printf(out, "not confirmed by %.*s, heard of %.0f s ago\n", SPAN_ARG(text), seconds);
    }
}

static int read_instances(struct span body, struct buf *out) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc doc;
    if (json_parse(&doc, body, nodes, NODES_MAX, NULL) < 0)
        return -1;
    const struct json_node *problem = json_member(&doc, json_root(&doc), "problem");
    if (problem && problem->type == JSON_STRING)
        buf_add_text(out, "Redis is away: others have not been told\n");
    list_unconfirmed(&doc, "instances", out);
    list_unconfirmed(&doc, "edges", out);
    return 0;
}

int remote_unconfirmed(const struct cli *cli, int64_t wait_us, struct buf *out, struct err *err) {
    int64_t end = clock_mono_us() + wait_us;
    for (;;) {
        _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
        int status;
        buf_clear(out);
        int rc = remote_call(cli, "GET", "/v1/instances", (struct span){0}, &status, &body, err);
        if (rc < 0)
            return rc;
        if (status == 0)
            buf_add_text(out, "no daemon runs here, so nobody has told Redis\n");
        else if (status != 200 || read_instances(buf_span(&body), out) < 0)
            return remote_failure(cli, status, buf_span(&body), err);
        if (out->len == 0 || clock_mono_us() >= end || stop_wait(STEP_US))
            return 0;
    }
}

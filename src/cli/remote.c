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
    if (!any)
        return mem_printf("http%s://%s%s", tls ? "s" : "", listen, path);
    return mem_printf("http%s://127.0.0.1%s%s", tls ? "s" : "", port, path);
}

/* Names of flags are any text. */
static char *path_of(const char *flag) {
    _cleanup_(buf_release) struct buf path = {.max = 4096};
    buf_add_text(&path, "/v1/flags/");
    for (const unsigned char *p = (const unsigned char *)flag; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p);
        buf_printf(&path, plain ? "%c" : "%%%02X", *p);
    }
    return mem_strdup(buf_text(&path));
}

/* -1: the answer is no flag. */
static int64_t version_in(struct span body) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc doc;
    if (json_parse(&doc, body, nodes, NODES_MAX, NULL) < 0)
        return -1;
    const struct json_node *root = json_root(&doc), *version = json_member(&doc, root, "version");
    if (!version && json_member(&doc, root, "flag"))
        version = json_member(&doc, json_member(&doc, root, "flag"), "version");
    if (!version || version->type != JSON_NUMBER)
        return -1;
    int64_t v = 0;
    for (uint32_t i = 0; i < version->len; i++) {
        char c = doc.text.ptr[version->start + i];
        if (c < '0' || c > '9' || v > INT64_MAX / 10 - 10)
            return -1;
        v = v * 10 + (c - '0');
    }
    return v;
}

static int ask(const struct conf *conf, const char *url, int64_t *ret_version, int *ret_status,
               struct err *err) {
    _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
    const struct conf_serve *serve = &conf->serve;
    struct http_call call = {.url = url,
                             .token = serve->token_operator ? serve->token_operator
                                                            : serve->token_viewer,
                             .tls_ca = serve->tls_cert, /* ours, whoever signed it */
                             .limit_us = CALL_US};
    int rc = http_call(&call, ret_status, &body, err);
    *ret_version = rc == 0 && *ret_status == 200 ? version_in(buf_span(&body)) : -1;
    return rc;
}

int remote_flag_in_use(const struct cli *cli, const char *flag, int64_t version, int64_t wait_us,
                       enum remote_answer *ret_answer, struct err *err) {
    _cleanup_(mem_freep) char *path = path_of(flag);
    _cleanup_(mem_freep) char *url = url_of(cli->conf, path);
    int64_t end = clock_mono_us() + wait_us, found = -1;
    int status = 0;
    for (;;) {
        int rc = ask(cli->conf, url, &found, &status, err);
        if (rc == ERR_UNREACHABLE) {
            *ret_answer = REMOTE_NOT_THERE;
            return 0;
        }
        if (rc < 0)
            return rc;
        if (found >= version) {
            *ret_answer = REMOTE_IN_USE;
            return 0;
        }
        if (status == 401 || status == 403)
            return err_set(err, ERR_ACCESS,
                           "the daemon on %s does not let us ask (status %d); are its tokens those "
                           "of this configuration?",
                           cli->conf->serve.listen, status);
        if (clock_mono_us() >= end || stop_wait(STEP_US))
            break;
    }
    *ret_answer = REMOTE_NOT_YET;
    return 0;
}

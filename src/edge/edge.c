#include "edge/edge.h"

#include "admin/notify.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "edge/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US INT64_C(200000)
#define WATCHDOG_EVERY_US INT64_C(5000000)

/* ---- the control daemon ---- */

/* The words of an error, in an answer. */
static void words_of(struct span body, char *words, size_t size) {
    struct json_node nodes[64];
    struct json_doc d;
    words[0] = '\0';
    if (json_parse(&d, body, nodes, 64, NULL) == 0 &&
        !json_copy(&d, json_member(&d, json_member(&d, json_root(&d), "error"), "message"), words,
                   size))
        words[0] = '\0';
}

static int refused(int status, struct buf *body, struct err *err) {
    char words[400];
    words_of(buf_span(body), words, sizeof words);
    if (status == 401 || status == 403)
        return err_set(err, ERR_ACCESS,
                       "the control daemon does not let us in (%d %s); is edge.token its "
                       "tokens.edge?",
                       status, words);
    return err_set(err, status >= 500 ? ERR_UNREACHABLE : ERR_NO,
                   "the control daemon answers %d %s", status, words);
}

int edge_call(const struct edge *e, struct http_kept *kept, const char *method, const char *path,
              struct span body, struct buf *ret_body, int *ret_status, struct err *err) {
    const struct conf_edge *c = &e->conf->edge;
    _cleanup_(mem_freep) char *url = mem_printf("%s%s", e->control, path);
    const struct http_call call = {.method = method,
                                   .url = url,
                                   .body = body,
                                   .content_type = strcmp(path, "/v1/edge") == 0
                                                       ? "application/json"
                                                       : "application/octet-stream",
                                   .token = c->token,
                                   .tls_ca = c->ca,
                                   .tls_cert = c->cert,
                                   .tls_key = c->key,
                                   .limit_us = EDGE_CALL_US,
                                   .answer_max = HTTP_ANSWER_MAX,
                                   .kept = kept,
                                   .stop = &e->stop};
    *ret_status = 0;
    int rc = http_call(&call, ret_status, ret_body, err);
    if (rc < 0)
        return rc == ERR_STOPPED ? rc : err_prefix(err, "control daemon");
    return *ret_status / 100 == 2 ? 0 : refused(*ret_status, ret_body, err);
}

static bool is_loopback(const struct http_url *u) {
    return span_is(u->host, "localhost") || span_is(u->host, "::1") ||
           (u->host.len > 4 && memcmp(u->host.ptr, "127.", 4) == 0);
}

static int take_control(struct edge *e, struct err *err) {
    struct http_url url;
    e->control = e->options->control ? e->options->control : e->conf->edge.control.text;
    if (!e->control)
        return err_set(err, ERR_CONF,
                       "an edge needs its control daemon: set edge.control, or give --control URL");
    int rc = http_url_parse(e->control, &url, err);
    if (rc == 0 && url.authority.ptr[url.authority.len]) /* paths are put behind it */
        rc = err_set(err, ERR_CONF, "it must have no path, not even a slash");
    if (rc < 0)
        return err_prefix(err, "the control daemon's URL");
    if (!url.tls && !is_loopback(&url) && !e->conf->serve.insecure)
        return err_set(err, ERR_CONF,
                       "the control daemon's URL is not https, and the token would cross the "
                       "network in the clear: use https, or set insecure: true");
    if ((e->conf->edge.cert == NULL) != (e->conf->edge.key == NULL))
        return err_set(err, ERR_CONF, "edge.cert and edge.key belong together: set both");
    return 0;
}

/* ---- nginx ---- */

/* Not before it is known what holds: nginx would send every request to SQL, which may be old. */
static void tend_nginx(struct edge *e, bool *started) {
    struct follow_view v;
    struct err err = {0};
    follow_view(e, &v);
    if (*started) {
        gateway_poll(e->gateway, clock_mono_us());
        return;
    }
    if (!v.ready)
        return;
    *started = true;
    if (gateway_run(e->gateway, &err) < 0)
        log_event(LOG_ERROR, "gateway_refused", LOG_STR("reason", err.text));
    else
        log_event(LOG_INFO, "gateway", LOG_STR("listen", e->conf->gateway.listen));
}

static void loop_until_stopped(struct edge *e) {
    bool started = false;
    int64_t next_watchdog = 0;
    while (!stop_requested()) {
        int64_t now = clock_mono_us();
        tend_nginx(e, &started);
        if (now >= next_watchdog) {
            next_watchdog = now + WATCHDOG_EVERY_US;
            notify_systemd("WATCHDOG=1");
        }
        stop_wait(TICK_US);
    }
}

/* ---- all of it ---- */

static int start_parts(struct edge *e, struct err *err) {
    int rc = take_control(e, err);
    if (rc == 0)
        rc = identity_take(e, err);
    if (rc == 0)
        rc = gateway_new(e->conf, e->options->state_path, e->blob_path, &e->gateway, err);
    if (rc == 0)
        rc = send_start(e, err);
    if (rc == 0)
        rc = follow_start(e, err);
    return rc == 0 ? serve_start(e, err) : rc;
}

static void end_parts(struct edge *e) {
    atomic_store(&e->stop, true);
    serve_stop(e);
    follow_stop(e);
    send_stop(e);
    gateway_free(e->gateway);
    identity_release(e);
}

int edge_run(const struct conf *conf, const struct edge_options *options, struct err *err) {
    struct edge e = {
        .conf = conf, .options = options, .started_us = clock_wall_us(), .lock_fd = -1};
    if (conf->gateway.at.line == 0)
        return err_set(err, ERR_CONF, "%s:1:1: an edge needs a 'gateway'", conf->file);
    int rc = start_parts(&e, err);
    if (rc == 0) {
        notify_systemd("READY=1");
        log_event(LOG_INFO, "serving", LOG_STR("address", http_server_address(e.http, 0)),
                  LOG_STR("edge", e.name));
        loop_until_stopped(&e);
        notify_systemd("STOPPING=1");
        log_event(LOG_INFO, "stopping");
    }
    end_parts(&e);
    return rc;
}

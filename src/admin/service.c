#include "admin/service.h"

#include "admin/edges.h"
#include "admin/flagstore.h"
#include "admin/operationstore.h"
#include "admin/picture.h"
#include "admin/redis.h"
#include "admin/shadow.h"
#include "admin/show.h"
#include "admin/watch.h"

#include <stdio.h>
#include <string.h>

struct module *service_module(const struct service *s, const char *name) {
    for (size_t i = 0; i < s->module_count; i++)
        if (strcmp(module_name(s->modules[i]), name) == 0)
            return s->modules[i];
    return s->module_count && strcmp(module_name(s->modules[0]), "all") == 0 &&
                   conf_module(s->conf, name)
               ? s->modules[0]
               : NULL;
}

void service_set_problem(struct service *s, const char *text) {
    pthread_mutex_lock(&s->problem_lock);
    (void)snprintf(s->problem, sizeof s->problem, "%s", text);
    pthread_mutex_unlock(&s->problem_lock);
}

void service_problem(struct service *s, char text[ERR_TEXT_MAX]) {
    pthread_mutex_lock(&s->problem_lock);
    (void)snprintf(text, ERR_TEXT_MAX, "%s", s->problem);
    pthread_mutex_unlock(&s->problem_lock);
}

void service_publish(const struct service *s, const char *type, struct span json) {
    if (s->http)
        http_publish(s->http, SERVICE_EVENTS, type, json);
}

void service_publish_module(const struct service *s, const char *type, const char *module) {
    struct json_out j;
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    json_out_begin(&j, &out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "module", module);
    json_out_close(&j, '}');
    service_publish(s, type, buf_span(&out));
}

void service_count_evaluation(struct service *s, const struct flags_result *result) {
    atomic_fetch_add_explicit(&s->evaluations.count[result->on][result->reason], 1,
                              memory_order_relaxed);
}

int service_show_status(struct service *s, struct buf *out, struct err *err) {
    struct health_report report;
    struct picture p;
    struct json_out j;
    int rc = picture_take(s, &p, err);
    if (rc == 0)
        rc = answered_take(s->state, p.now_us, &p.answered, err);
    if (rc == 0) {
        json_out_begin(&j, out);
        health_check(&p, &report);
        show_status(&p, &report, &j);
        json_out_end(&j);
    }
    picture_release(&p);
    return rc;
}

static void sample_evaluations(const struct service *s, struct obs_page *page) {
    for (int on = 0; on < 2; on++)
        for (int reason = 0; reason < SERVICE_REASONS; reason++)
            obs_sample(page, METRIC_FLAG_EVALUATIONS, s->evaluations.count[on][reason],
                       on ? "on" : "off", flags_reason_name((enum flags_reason)reason));
}

void service_sample(struct service *s, struct obs_page *page) {
    struct http_counts counts;
    char why[ERR_TEXT_MAX];
    sample_evaluations(s, page);
    if (s->flagstore)
        flagstore_sample(s->flagstore, page);
    if (s->redis)
        obs_sample(page, METRIC_REDIS_UP, redis_away_since(s->redis, why) == 0);
    traffic_sample(s->traffic, page);
    shadow_sample(s, page);
    operationstore_sample(s, page);
    if (s->edges)
        edges_sample(s->edges, page);
    if (s->watch)
        watch_sample(s->watch, page);
    if (!s->http)
        return;
    http_server_counts(s->http, &counts);
    obs_sample(page, METRIC_HTTP_CONNECTIONS, counts.connections);
    obs_sample(page, METRIC_SSE_STREAMS, counts.streams);
    obs_sample(page, METRIC_HTTP_REFUSED, (double)counts.refused, "limit");
    obs_sample(page, METRIC_HTTP_REFUSED, (double)counts.unknown_host, "host");
    obs_sample(page, METRIC_HTTP_REFUSED, (double)counts.not_allowed, "access");
    obs_sample(page, METRIC_HTTP_REFUSED, (double)counts.malformed, "malformed");
    obs_sample(page, METRIC_HTTP_REFUSED, (double)counts.slow, "slow");
    obs_sample(page, METRIC_SSE_CUT, counts.streams_cut, "slow");
}

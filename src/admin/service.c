#include "admin/service.h"

#include "admin/picture.h"
#include "admin/redis.h"
#include "admin/show.h"
#include "admin/watch.h"

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

void service_publish(const struct service *s, const char *type, struct span json) {
    if (s->http)
        http_publish(s->http, SERVICE_EVENTS, type, json);
}

void service_count_evaluation(struct service *s, const struct flags_result *result) {
    atomic_fetch_add_explicit(&s->evaluations.count[result->on][result->reason], 1,
                              memory_order_relaxed);
}

bool service_show_status(const struct service *s, struct buf *out) {
    struct health_report report;
    struct err err = {0};
    struct picture p;
    struct json_out j;
    json_out_begin(&j, out);
    bool ok = picture_take(s, &p, &err) == 0;
    if (ok) {
        health_check(&p, &report);
        show_status(&p, &report, &j);
    } else {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "error", err.text);
        json_out_close(&j, '}');
    }
    json_out_end(&j);
    picture_release(&p);
    return ok;
}

static void sample_evaluations(const struct service *s, struct obs_page *page) {
    for (int on = 0; on < 2; on++)
        for (int reason = 0; reason < SERVICE_REASONS; reason++)
            obs_sample(page, METRIC_FLAG_EVALUATIONS, s->evaluations.count[on][reason],
                       on ? "on" : "off", flags_reason_name((enum flags_reason)reason));
}

void service_sample(const struct service *s, struct obs_page *page) {
    struct http_counts counts;
    char why[ERR_TEXT_MAX];
    sample_evaluations(s, page);
    if (s->redis)
        obs_sample(page, METRIC_REDIS_UP, redis_away_since(s->redis, why) == 0);
    traffic_sample(s->traffic, page);
    if (s->watch)
        watch_sample(s->watch, page);
    if (!s->http)
        return;
    http_server_counts(s->http, &counts);
    obs_sample(page, METRIC_HTTP_CONNECTIONS, counts.connections);
    obs_sample(page, METRIC_SSE_STREAMS, counts.streams);
    obs_sample(page, METRIC_HTTP_REFUSED, counts.refused, "limit");
    obs_sample(page, METRIC_SSE_CUT, counts.streams_cut, "slow");
}

#include "admin/watch.h"

#include "admin/alert_delivery.h"
#include "admin/alert_setup.h"
#include "admin/collect.h"
#include "admin/show.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/client.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALERTS_EVERY_US 5000000
#define MINUTE_US INT64_C(60000000)
#define EXPIRE_EVERY_MINUTES 60

struct watch {
    struct service *service;
    struct alert_delivery *delivery;
    struct obs_page *page;
    bool alerts_changed;
    int64_t next_alerts;

    char writer[64];              /* of rollups: this process */
    int64_t minute;               /* that is being counted */
    int64_t sequence;             /* of the next batch of rollups */
    struct obs_histogram *before; /* by module: apply_us at the last write */
    _Atomic uint64_t minutes_written, minutes_failed;

    pthread_mutex_t lock; /* alerts */
    struct obs_alerts *alerts;
};

/* ---- alerts ---- */

static int post(void *context, const char *url, struct span body, int64_t limit_us,
                const atomic_bool *stop, int *ret_status, struct err *err) {
    (void)context;
    return http_post_json(url, body, limit_us, stop, ret_status, err);
}

static void on_alert(void *context, enum obs_alert_event event, const struct obs_alert *alert) {
    struct watch *w = context;
    w->alerts_changed = true;
    if (!alert_deliver(w->delivery, event, alert))
        log_event(LOG_ERROR, "alert_not_told", LOG_STR("reason", "too many alerts at a time"));
}

static void look_at_alerts(struct watch *w, int64_t now_us) {
    struct picture picture;
    struct err err = {0};
    if (picture_take(w->service, &picture, &err) == 0) {
        obs_page_clear(w->page);
        collect_picture(&picture, w->page);
        service_sample(w->service, w->page);
        pthread_mutex_lock(&w->lock);
        obs_alerts_evaluate(w->alerts, w->page, now_us, on_alert, w);
        pthread_mutex_unlock(&w->lock);
    } else {
        log_event(LOG_ERROR, "alerts_not_evaluated", LOG_STR("reason", err.text));
    }
    picture_release(&picture);
    if (w->alerts_changed)
        service_publish(w->service, "alert", SPAN_LIT("{}"));
    w->alerts_changed = false;
}

static void show_alert(const struct obs_alert *alert, struct json_out *j) {
    _cleanup_(buf_release) struct buf words = {.max = ALERT_WORDS_MAX};
    obs_alert_words(alert, &words);
    /* Alerts are kept by the monotonic clock. */
    int64_t ago_us = clock_mono_us() - alert->since_us;
    json_out_open(j, NULL, '{');
    json_out_text(j, "metric", alert->rule->metric_name);
    json_out_open(j, "labels", '{');
    for (size_t i = 0; i < alert->label_count; i++)
        json_out_text(j, alert->labels[i].name, alert->labels[i].value);
    json_out_close(j, '}');
    json_out_text(j, "state", obs_alert_state_name(alert->state));
    json_out_text(j, "severity", alert->rule->severity);
    show_time(j, "since", clock_wall_us() - ago_us);
    json_out_double(j, "value", alert->value);
    json_out_double(j, "threshold", alert->rule->threshold);
    json_out_text(j, "words", buf_text(&words));
    json_out_close(j, '}');
}

void watch_show_alerts(struct watch *w, struct json_out *j, const char *name) {
    json_out_open(j, name, '[');
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < obs_alerts_count(w->alerts); i++)
        show_alert(obs_alerts_get(w->alerts, i), j);
    pthread_mutex_unlock(&w->lock);
    json_out_close(j, ']');
}

void watch_sample(struct watch *w, struct obs_page *page) {
    pthread_mutex_lock(&w->lock);
    obs_alerts_sample(w->alerts, page);
    pthread_mutex_unlock(&w->lock);
    alert_delivery_sample(w->delivery, page);
    obs_sample(page, METRIC_ROLLUPS_WRITTEN, w->minutes_written, "written");
    obs_sample(page, METRIC_ROLLUPS_WRITTEN, w->minutes_failed, "failed");
}

int watch_reload(struct watch *w, const struct conf *conf, struct err *err) {
    struct obs_alert_rule *rules = NULL;
    size_t count = 0;
    int rc = alert_setup(conf, &rules, &count, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&w->lock);
    obs_alerts_reload(w->alerts, rules, count, clock_mono_us(), on_alert, w);
    pthread_mutex_unlock(&w->lock);
    alert_delivery_set(w->delivery, &conf->alerts);
    free(rules);
    return 0;
}

/* ---- the statistics of a minute ---- */

/* Counted from the last write that succeeded, under the number of the first that did not: what was
 * perhaps stored is not stored twice, and what was not is stored with the next minute. */
static void write_minute(struct watch *w) {
    const struct service *s = w->service;
    struct state_rollup *rows = mem_zalloc(s->module_count + TRAFFIC_ROWS, sizeof *rows);
    struct obs_histogram *now = mem_zalloc(2 * s->module_count + 1, sizeof *now);
    struct obs_histogram *since = now + s->module_count;
    struct err err = {0};
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; i < s->module_count; i++) {
        obs_histogram_copy(&module_live(s->modules[i])->apply_us, &now[i]);
        obs_histogram_since(&now[i], &w->before[i], &since[i]);
        if (obs_histogram_count(&since[i]) == 0)
            continue;
        rows[n++] =
            (struct state_rollup){.key = {module_name(s->modules[i]), "apply", "", "mongodb"},
                                  .minute = w->minute,
                                  .count = (int64_t)obs_histogram_count(&since[i]),
                                  .histogram = &since[i]};
    }
    n += traffic_rows(s->traffic, w->minute, rows + n, TRAFFIC_ROWS);
    if (n)
        rc = state_rollups_write(s->state, w->writer, w->sequence, rows, n, &err);
    if (rc < 0) {
        log_event(LOG_ERROR, "minute_not_kept", LOG_STR("reason", err.text));
        w->minutes_failed++;
    } else if (n) {
        memcpy(w->before, now, s->module_count * sizeof *now);
        traffic_kept(s->traffic);
        w->sequence++;
        w->minutes_written++;
    }
    free(rows);
    free(now);
}

static void expire(const struct watch *w) {
    struct err err = {0};
    int64_t oldest = w->minute - STATE_ROLLUP_DAYS * INT64_C(1440);
    if (state_rollups_expire(w->service->state, oldest, &err) < 0)
        log_event(LOG_ERROR, "minutes_not_expired", LOG_STR("reason", err.text));
}

static void look_at_minute(struct watch *w, int64_t minute) {
    if (minute <= w->minute)
        return;
    write_minute(w);
    w->minute = minute;
    if (minute % EXPIRE_EVERY_MINUTES == 0)
        expire(w);
}

/* ---- */

void watch_tick(struct watch *w, int64_t now_us) {
    if (now_us >= w->next_alerts) {
        w->next_alerts = now_us + ALERTS_EVERY_US;
        look_at_alerts(w, now_us);
    }
    look_at_minute(w, clock_wall_us() / MINUTE_US);
}

void watch_flush(struct watch *w) {
    if (w)
        write_minute(w);
}

int watch_start(struct service *s, struct watch **ret_watch, struct err *err) {
    struct obs_alert_rule *rules = NULL;
    size_t count = 0;
    const struct alert_delivery_options options = {.post = post};
    int rc = alert_setup(s->conf, &rules, &count, err);
    if (rc < 0)
        return rc;
    struct watch *w = mem_zalloc(1, sizeof *w);
    w->service = s;
    w->page = obs_page_new();
    w->alerts = obs_alerts_new(rules, count);
    w->before = mem_zalloc(SERVICE_MODULES_MAX, sizeof *w->before); /* they are made later */
    w->minute = clock_wall_us() / MINUTE_US;
    w->sequence = 1;
    (void)snprintf(w->writer, sizeof w->writer, "%d-%" PRId64, (int)getpid(), clock_wall_us());
    pthread_mutex_init(&w->lock, NULL);
    free(rules);
    rc = alert_delivery_start(&s->conf->alerts, &options, &w->delivery, err);
    if (rc < 0) {
        watch_stop(w);
        return rc;
    }
    *ret_watch = w;
    return 0;
}

void watch_stop(struct watch *w) {
    if (!w)
        return;
    alert_delivery_stop(w->delivery);
    obs_alerts_free(w->alerts);
    obs_page_free(w->page);
    pthread_mutex_destroy(&w->lock);
    free(w->before);
    free(w);
}

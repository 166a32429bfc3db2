/*
 * What is told about an alert, and in which form. Pure.
 */
#ifndef BANYAN_ADMIN_ALERT_BODY_H
#define BANYAN_ADMIN_ALERT_BODY_H

#include "conf/conf.h"
#include "obs/alerts.h"

#define ALERT_WORDS_MAX 1024
#define ALERT_BATCH_MAX 64               /* alerts of one body */
#define ALERT_BODY_MAX (4 * 1024 * 1024) /* bytes: more than ALERT_BATCH_MAX can have */

/* A copy of an alert as it fired or was resolved. Times are wall clock. */
struct alert_notice {
    uint64_t fingerprint;
    bool firing;
    char name[OBS_ALERT_NAME_MAX]; /* of the metric */
    char severity[16];
    struct obs_alert_label labels[OBS_LABELS_MAX];
    size_t label_count;
    char words[ALERT_WORDS_MAX];
    double value, threshold;
    int64_t starts_us;
    int64_t ends_us; /* resolved */
};
/* `starts_us` is when it fired. */
void alert_notice_make(struct alert_notice *notice, enum obs_alert_event event,
                       const struct obs_alert *alert, int64_t starts_us, int64_t now_us);

enum alert_form {
    ALERT_FORM_WEBHOOK, /* what Alertmanager posts to webhooks, version 4 */
    ALERT_FORM_API,     /* what Alertmanager takes on /api/v2/alerts */
    ALERT_FORM_SLACK
};
/* API for an address that ends in /api/v2/alerts; the configured form else; for `auto` Slack where
 * host or path are those of Slack, Mattermost, Rocket.Chat or Discord's Slack hooks. */
enum alert_form alert_form_of(const char *url, enum conf_alert_format format);

/* One body about all of them; they are told again after `repeat_us` at the latest. */
void alert_body_write(enum alert_form form, const struct alert_notice *notices, size_t count,
                      int64_t now_us, int64_t repeat_us, struct buf *out);

#endif

#include "admin/alert_body.h"

#include "admin/show.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Alertmanager takes an alert for resolved when it has not heard of it for so long. */
#define API_GRACE_US INT64_C(300000000)

void alert_notice_make(struct alert_notice *notice, enum obs_alert_event event,
                       const struct obs_alert *alert, int64_t starts_us, int64_t now_us) {
    _cleanup_(buf_release) struct buf words = {.max = ALERT_WORDS_MAX * 2};
    obs_alert_words(alert, &words);
    *notice = (struct alert_notice){
        .fingerprint = alert->fingerprint,
        .firing = event == OBS_ALERT_FIRED,
        .label_count = alert->label_count,
        .value = alert->value,
        .threshold = alert->rule->threshold,
        .starts_us = starts_us,
        .ends_us = event == OBS_ALERT_FIRED ? 0 : now_us,
    };
    memcpy(notice->labels, alert->labels, sizeof notice->labels);
    (void)snprintf(notice->name, sizeof notice->name, "%s", alert->rule->metric_name);
    (void)snprintf(notice->severity, sizeof notice->severity, "%s", alert->rule->severity);
    (void)snprintf(notice->words, sizeof notice->words, "%s", buf_text(&words));
}

static bool ends(struct span s, const char *suffix) {
    size_t n = strlen(suffix);
    return s.len >= n && memcmp(s.ptr + s.len - n, suffix, n) == 0;
}

enum alert_form alert_form_of(const char *url, enum conf_alert_format format) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    struct span name = span_make(host, strcspn(host, ":/?#"));
    const char *slash = strpbrk(host, "/?#");
    struct span path = slash ? span_make(slash, strcspn(slash, "?#")) : SPAN_LIT("");
    if (ends(path, "/api/v2/alerts"))
        return ALERT_FORM_API;
    if (format != CONF_ALERT_AUTO)
        return format == CONF_ALERT_SLACK ? ALERT_FORM_SLACK : ALERT_FORM_WEBHOOK;
    bool slack = ends(name, "hooks.slack.com") || ends(path, "/slack") ||
                 memmem(path.ptr, path.len, "/hooks/", 7) != NULL;
    return slack ? ALERT_FORM_SLACK : ALERT_FORM_WEBHOOK;
}

static void add_time(struct json_out *j, const char *name, int64_t us) {
    /* Go's zero time: none */
    json_out_text(j, name, us > 0 ? show_utc(us).text : "0001-01-01T00:00:00Z");
}

static void add_labels(struct json_out *j, const char *name, const struct alert_notice *n) {
    json_out_open(j, name, '{');
    json_out_text(j, "alertname", n->name);
    json_out_text(j, "severity", n->severity);
    for (size_t i = 0; i < n->label_count; i++)
        json_out_text(j, n->labels[i].name, n->labels[i].value);
    json_out_close(j, '}');
}

static void add_annotations(struct json_out *j, const struct alert_notice *n) {
    char number[40];
    json_out_open(j, "annotations", '{');
    json_out_text(j, "summary", n->words);
    (void)snprintf(number, sizeof number, "%.15g", n->value);
    json_out_text(j, "value", number);
    (void)snprintf(number, sizeof number, "%.15g", n->threshold);
    json_out_text(j, "threshold", number);
    json_out_close(j, '}');
}

static void add_alert(struct json_out *j, const struct alert_notice *n, int64_t ends_us,
                      bool webhook) {
    char fingerprint[24];
    json_out_open(j, NULL, '{');
    if (webhook)
        json_out_text(j, "status", n->firing ? "firing" : "resolved");
    add_labels(j, "labels", n);
    add_annotations(j, n);
    add_time(j, "startsAt", n->starts_us);
    add_time(j, "endsAt", ends_us);
    json_out_text(j, "generatorURL", "");
    if (webhook) {
        (void)snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, n->fingerprint);
        json_out_text(j, "fingerprint", fingerprint);
    }
    json_out_close(j, '}');
}

static bool any_fires(const struct alert_notice *notices, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (notices[i].firing)
            return true;
    return false;
}

/* What all of them have in common: of one alert everything, of several the name, if it is the same.
 */
static void add_common(struct json_out *j, const struct alert_notice *notices, size_t count) {
    if (count == 1) {
        add_labels(j, "commonLabels", &notices[0]);
        add_annotations(j, &notices[0]);
        return;
    }
    bool same = true;
    for (size_t i = 1; i < count; i++)
        same = same && strcmp(notices[i].name, notices[0].name) == 0;
    json_out_open(j, "commonLabels", '{');
    if (same)
        json_out_text(j, "alertname", notices[0].name);
    json_out_close(j, '}');
}

static void write_webhook(struct json_out *j, const struct alert_notice *notices, size_t count) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "version", "4");
    json_out_text(j, "groupKey", "banyan");
    json_out_int(j, "truncatedAlerts", 0);
    json_out_text(j, "status", any_fires(notices, count) ? "firing" : "resolved");
    json_out_text(j, "receiver", "banyan");
    json_out_open(j, "groupLabels", '{');
    json_out_close(j, '}');
    add_common(j, notices, count);
    json_out_text(j, "externalURL", "");
    json_out_open(j, "alerts", '[');
    for (size_t i = 0; i < count; i++)
        add_alert(j, &notices[i], notices[i].ends_us, true);
    json_out_close(j, ']');
    json_out_close(j, '}');
}

static void write_api(struct json_out *j, const struct alert_notice *notices, size_t count,
                      int64_t now_us, int64_t repeat_us) {
    json_out_open(j, NULL, '[');
    for (size_t i = 0; i < count; i++)
        add_alert(j, &notices[i],
                  notices[i].firing ? now_us + repeat_us + API_GRACE_US : notices[i].ends_us,
                  false);
    json_out_close(j, ']');
}

/* Slack's three characters with a meaning of their own. */
static void add_escaped(struct buf *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '&')
            buf_add_text(out, "&amp;");
        else if (*p == '<')
            buf_add_text(out, "&lt;");
        else if (*p == '>')
            buf_add_text(out, "&gt;");
        else
            buf_add_char(out, *p);
    }
}

static void write_slack(struct json_out *j, const struct alert_notice *notices, size_t count) {
    _cleanup_(buf_release) struct buf text = {.max = ALERT_BODY_MAX / 4};
    for (size_t i = 0; i < count; i++) {
        const struct alert_notice *n = &notices[i];
        buf_printf(&text, "%s%s *%s* (%s): ", i > 0 ? "\n" : "",
                   n->firing ? ":red_circle:" : ":large_green_circle:",
                   n->firing ? "firing" : "resolved", n->severity);
        add_escaped(&text, n->words);
    }
    json_out_open(j, NULL, '{');
    json_out_span(j, "text", buf_span(&text));
    json_out_close(j, '}');
}

void alert_body_write(enum alert_form form, const struct alert_notice *notices, size_t count,
                      int64_t now_us, int64_t repeat_us, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    switch (form) {
    case ALERT_FORM_WEBHOOK:
        write_webhook(&j, notices, count);
        break;
    case ALERT_FORM_API:
        write_api(&j, notices, count, now_us, repeat_us);
        break;
    case ALERT_FORM_SLACK:
        write_slack(&j, notices, count);
        break;
    }
    json_out_end(&j);
}

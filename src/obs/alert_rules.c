/* What a rule of the configuration means, and how an alert is said in words. */
#include "obs/alerts.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

#define SECOND INT64_C(1000000)

/* The names of the reference. There a change waits in Kafka; here it waits in the process. */
static const struct {
    const char *name;
    enum obs_alert_kind kind;
    enum obs_metric metric, of;
    bool of_all;
} references[] = {
    {"kafka_lag", OBS_RULE_GAUGE, METRIC_LAG_CHANGES, METRIC_LAG_CHANGES, false},
    {"streaming_lag", OBS_RULE_GAUGE, METRIC_LAG_SECONDS, METRIC_LAG_SECONDS, false},
    {"error_rate", OBS_RULE_RATE, METRIC_RETRIES, METRIC_APPLY_LATENCY, false},
    {"divergence_rate", OBS_RULE_RATE, METRIC_DIVERGENT, METRIC_COMPARED, true},
    {"verification_rate", OBS_RULE_RATE, METRIC_VERIFICATION_DIFFERENT,
     METRIC_VERIFICATION_COMPARED, true},
};
#define REFERENCE_COUNT (sizeof references / sizeof references[0])

static const char *const severities[] = {"low", "medium", "high", "critical"};

static const char *nearest_name(struct span name) {
    const char *best = NULL;
    size_t least = 4;
    for (size_t i = 0; i < OBS_METRIC_COUNT + REFERENCE_COUNT; i++) {
        const char *candidate = i < OBS_METRIC_COUNT ? obs_metric_info((enum obs_metric)i)->name
                                                     : references[i - OBS_METRIC_COUNT].name;
        size_t d = text_distance(name, span_of(candidate));
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

static int find_metric(struct obs_alert_rule *rule, const char *name, struct err *err) {
    for (size_t i = 0; i < REFERENCE_COUNT; i++) {
        if (strcmp(references[i].name, name) != 0)
            continue;
        rule->kind = references[i].kind;
        rule->metric = references[i].metric;
        rule->of = references[i].of;
        rule->of_all = references[i].of_all;
        return 0;
    }
    rule->metric = rule->of = obs_metric_find(span_of(name));
    if (rule->metric == OBS_METRIC_COUNT) {
        const char *near = nearest_name(span_of(name));
        return err_set(err, ERR_CONF, "there is no metric %.64s; %s%s%s", name,
                       near ? "did you mean " : "", near ? near : "docs/metrics.md lists them",
                       near ? "?" : "");
    }
    switch (obs_metric_info(rule->metric)->type) {
    case OBS_COUNTER:
        rule->kind = OBS_RULE_COUNTER;
        break;
    case OBS_HISTOGRAM:
        rule->kind = OBS_RULE_HISTOGRAM;
        break;
    case OBS_GAUGE:
    case OBS_INFO:
        rule->kind = OBS_RULE_GAUGE;
        break;
    }
    return 0;
}

static int set_threshold(struct obs_alert_rule *rule, const struct obs_alert_spec *spec,
                         struct err *err) {
    const char *unit = obs_metric_info(rule->metric)->unit;
    bool rate = rule->kind == OBS_RULE_RATE;
    if (!isfinite(spec->threshold))
        return err_set(err, ERR_CONF, "the threshold is not a finite number");
    if (spec->unit == OBS_UNIT_SECONDS && (rate || strcmp(unit, "seconds") != 0))
        return err_set(err, ERR_CONF, "%s is not a time; write the threshold as %s", spec->metric,
                       rate ? "a percentage" : "a number");
    if (spec->unit == OBS_UNIT_PERCENT && !rate && strcmp(unit, "ratio") != 0)
        return err_set(err, ERR_CONF, "%s is not a share; write the threshold as a number%s",
                       spec->metric, strcmp(unit, "seconds") == 0 ? " or a duration" : "");
    rule->threshold = spec->unit == OBS_UNIT_PERCENT ? spec->threshold / 100 : spec->threshold;
    if (rate && (rule->threshold < 0 || rule->threshold > 1))
        return err_set(err, ERR_CONF, "a rate is from 0 to 100%%; write 1%% or 0.01");
    rule->under = spec->under;
    return 0;
}

static int set_times(struct obs_alert_rule *rule, const struct obs_alert_spec *spec,
                     struct err *err) {
    static const struct {
        int64_t window_us;
        uint64_t min_samples;
    } defaults[] = {
        [OBS_RULE_GAUGE] = {0, 0},
        [OBS_RULE_COUNTER] = {60 * SECOND, 1},
        [OBS_RULE_HISTOGRAM] = {300 * SECOND, 20},
        [OBS_RULE_RATE] = {300 * SECOND, 100},
    };
    rule->window_us = spec->window_us < 0 ? defaults[rule->kind].window_us : spec->window_us;
    rule->min_samples =
        spec->min_samples < 0 ? defaults[rule->kind].min_samples : (uint64_t)spec->min_samples;
    rule->for_us = spec->for_us;
    bool gauge = rule->kind == OBS_RULE_GAUGE;
    if (gauge && rule->min_samples > 0)
        return err_set(err, ERR_CONF,
                       "min_samples does not fit %s, which is not counted; use `for` or `window`",
                       spec->metric);
    if ((!gauge || rule->window_us != 0) && rule->window_us < SECOND)
        return err_set(err, ERR_CONF, "a window of %s is at least 1s", spec->metric);
    if (rule->window_us > OBS_ALERT_WINDOW_MAX || rule->for_us > OBS_ALERT_WINDOW_MAX)
        return err_set(err, ERR_CONF, "a window or `for` is at most 24h");
    if (rule->for_us < 0)
        return err_set(err, ERR_CONF, "`for` is below 0");
    return 0;
}

static int set_severity(struct obs_alert_rule *rule, const char *severity, struct err *err) {
    const char *word = severity ? severity : "high";
    for (size_t i = 0; i < sizeof severities / sizeof severities[0]; i++)
        if (strcmp(word, severities[i]) == 0) {
            snprintf(rule->severity, sizeof rule->severity, "%s", word);
            return 0;
        }
    return err_set(err, ERR_CONF, "there is no severity %.32s; use low, medium, high or critical",
                   word);
}

int obs_alert_rule_init(struct obs_alert_rule *rule, const struct obs_alert_spec *spec,
                        struct err *err) {
    struct obs_alert_rule made = {0};
    int rc = find_metric(&made, spec->metric, err);
    if (rc == 0)
        rc = set_threshold(&made, spec, err);
    if (rc == 0)
        rc = set_times(&made, spec, err);
    if (rc == 0)
        rc = set_severity(&made, spec->severity, err);
    if (rc < 0)
        return rc;
    snprintf(made.metric_name, sizeof made.metric_name, "%s", spec->metric);
    snprintf(made.name, sizeof made.name, "%s %c %.6g", made.metric_name, made.under ? '<' : '>',
             made.threshold);
    if (spec->module)
        snprintf(made.module, sizeof made.module, "%s", spec->module);
    *rule = made;
    return 0;
}

struct obs_interval obs_wilson(uint64_t bad, uint64_t all) {
    const double z = 1.959963984540054; /* 95 %, both sides */
    if (all == 0)
        return (struct obs_interval){0, 1};
    double n = (double)all, p = (double)bad / n;
    double middle = p + z * z / (2 * n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    double low = (middle - half) / (1 + z * z / n), high = (middle + half) / (1 + z * z / n);
    /* At the ends rounding must not leave 0 to 1. */
    return (struct obs_interval){bad == 0 || low < 0 ? 0 : low, bad == all || high > 1 ? 1 : high};
}

const char *obs_alert_state_name(enum obs_alert_state state) {
    switch (state) {
    case OBS_ALERT_INACTIVE:
        return "inactive";
    case OBS_ALERT_PENDING:
        return "pending";
    case OBS_ALERT_FIRING:
        return "firing";
    }
    return "?";
}

const char *obs_alert_label(const struct obs_alert *alert, const char *name) {
    for (size_t i = 0; i < alert->label_count; i++)
        if (strcmp(alert->labels[i].name, name) == 0)
            return alert->labels[i].value;
    return "";
}

static void add_amount(const struct obs_alert_rule *rule, double v, struct buf *out) {
    const char *unit = obs_metric_info(rule->metric)->unit;
    if (rule->kind == OBS_RULE_RATE || strcmp(unit, "ratio") == 0)
        buf_printf(out, "%.3g %%", v * 100);
    else if (strcmp(unit, "seconds") == 0 && rule->kind != OBS_RULE_COUNTER)
        buf_printf(out, "%.4g s", v);
    else
        buf_printf(out, "%.*g%s%s", fabs(v) < 1e6 ? 6 : 15, v, unit[0] != '\0' ? " " : "", unit);
    if (rule->kind == OBS_RULE_COUNTER)
        buf_add_text(out, " a second");
}

void obs_alert_words(const struct obs_alert *alert, struct buf *out) {
    const struct obs_alert_rule *rule = alert->rule;
    bool beyond = rule->under ? alert->value < rule->threshold : alert->value > rule->threshold;
    buf_add_text(out, rule->metric_name);
    if (rule->kind == OBS_RULE_HISTOGRAM)
        buf_add_text(out, " (99 % of samples)");
    const char *module = obs_alert_label(alert, "module");
    const char *collection = obs_alert_label(alert, "collection");
    if (module[0] != '\0')
        buf_printf(out, " of %s", module);
    if (collection[0] != '\0')
        buf_printf(out, ".%s", collection);
    const char *operation = obs_alert_label(alert, "operation");
    const char *route = obs_alert_label(alert, "route");
    if (operation[0] != '\0' || route[0] != '\0')
        buf_printf(out, " %s%s", operation, route);
    buf_add_text(out, " is ");
    add_amount(rule, alert->value, out);
    buf_add_text(out, beyond ? (rule->under ? ", under " : ", over ")
                             : (rule->under ? ", not under " : ", not over "));
    add_amount(rule, rule->threshold, out);
}

#include "admin/alert_setup.h"

#include "base/mem.h"

#include <string.h>

#define MINUTE INT64_C(60000000)

static const struct obs_alert_spec reference[] = {
    {"kafka_lag", false, 10000, OBS_UNIT_NUMBER, -1, 0, -1, "high"},
    {"streaming_lag", false, 60, OBS_UNIT_SECONDS, -1, 0, -1, "high"},
    {"error_rate", false, 1, OBS_UNIT_PERCENT, -1, 0, -1, "high"},
    {"divergence_rate", false, 1, OBS_UNIT_PERCENT, 5 * MINUTE, 0, -1, "high"},
};
#define REFERENCE_COUNT (sizeof reference / sizeof reference[0])

static struct obs_alert_spec spec_of(const struct conf_alert_rule *rule) {
    static const char *const severities[] = {"low", "medium", "high", "critical"};
    static const enum obs_threshold_unit units[] = {
        [CONF_UNIT_NUMBER] = OBS_UNIT_NUMBER,
        [CONF_UNIT_SECONDS] = OBS_UNIT_SECONDS,
        [CONF_UNIT_PERCENT] = OBS_UNIT_PERCENT,
    };
    bool under = rule->under.text != NULL;
    const struct conf_threshold *t = under ? &rule->under : &rule->over;
    return (struct obs_alert_spec){
        .metric = rule->metric.text,
        .under = under,
        .threshold = t->value,
        .unit = units[t->unit],
        .window_us = rule->window_us > 0 ? rule->window_us : -1,
        .for_us = rule->for_us,
        .min_samples = rule->min_samples > 0 ? rule->min_samples : -1,
        .severity = severities[rule->severity],
    };
}

static int make_rule(const struct conf *conf, size_t i, struct obs_alert_rule *rules,
                     struct err *err) {
    const struct conf_alert_rule *rule = &conf->alerts.rules[i];
    struct obs_alert_spec spec = spec_of(rule);
    struct err why;
    if (obs_alert_rule_init(&rules[i], &spec, &why) < 0)
        return conf_error(conf, rule->at, err, "%s", why.text);
    for (size_t k = 0; k < i; k++)
        if (strcmp(rules[k].name, rules[i].name) == 0)
            return conf_error(conf, rule->at, err,
                              "'%s' is watched for the same twice, first at %d:%d; remove one",
                              rule->metric.text, conf->alerts.rules[k].at.line,
                              conf->alerts.rules[k].at.column);
    return 0;
}

int alert_setup(const struct conf *conf, struct obs_alert_rule **ret_rules, size_t *ret_count,
                struct err *err) {
    const struct conf_alerts *alerts = &conf->alerts;
    size_t count = alerts->rules ? alerts->rule_count : REFERENCE_COUNT;
    if (count > OBS_ALERT_RULES_MAX)
        return conf_error(conf, alerts->rules[OBS_ALERT_RULES_MAX].at, err,
                          "'rules' has more than %d entries", OBS_ALERT_RULES_MAX);
    struct obs_alert_rule *rules = mem_zalloc(count + 1, sizeof *rules);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = alerts->rules ? make_rule(conf, i, rules, err)
                           : obs_alert_rule_init(&rules[i], &reference[i], err);
    if (rc < 0) {
        free(rules);
        return rc;
    }
    *ret_rules = rules;
    *ret_count = count;
    return 0;
}

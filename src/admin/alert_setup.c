#include "admin/alert_setup.h"

#include "base/mem.h"

#include <string.h>

#define MINUTE INT64_C(60000000)

static const struct obs_alert_spec reference[] = {
    {"kafka_lag", false, 10000, OBS_UNIT_NUMBER, -1, 0, -1, "high"},
    {"streaming_lag", false, 60, OBS_UNIT_SECONDS, -1, 0, -1, "high"},
    {"error_rate", false, 1, OBS_UNIT_PERCENT, -1, 0, -1, "high"},
    {"divergence_rate", false, 1, OBS_UNIT_PERCENT, 5 * MINUTE, 0, -1, "high"},
    {"verification_rate", false, 1, OBS_UNIT_PERCENT, 5 * MINUTE, 0, -1, "high"},
};
#define REFERENCE_COUNT (sizeof reference / sizeof reference[0])

#define DIVERGENCE_RATE 3 /* of these */

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

static int written_rules(const struct conf *conf, struct obs_alert_rule *rules, size_t *ret_count,
                         struct err *err) {
    const struct conf_alerts *alerts = &conf->alerts;
    int rc = 0;
    if (alerts->rule_count > OBS_ALERT_RULES_MAX)
        return conf_error(conf, alerts->rules[OBS_ALERT_RULES_MAX].at, err,
                          "'rules' has more than %d entries", OBS_ALERT_RULES_MAX);
    for (size_t i = 0; rc == 0 && i < alerts->rule_count; i++)
        rc = make_rule(conf, i, rules, err);
    *ret_count = alerts->rule_count;
    return rc;
}

static bool has_own_gate(const struct conf_gates *g) {
    const struct obs_alert_spec *spec = &reference[DIVERGENCE_RATE];
    return g->divergence_rate != spec->threshold || g->divergence_window_us != spec->window_us;
}

/* Where a module has a gate of its own, each is watched by its own. */
static int divergence_rules(const struct conf *conf, struct obs_alert_rule *rules,
                            size_t *ret_count, struct err *err) {
    bool own = false;
    int rc = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        own |= has_own_gate(&conf->modules[i].gates);
    if (!own)
        return obs_alert_rule_init(&rules[(*ret_count)++], &reference[DIVERGENCE_RATE], err);
    if (*ret_count + conf->module_count > OBS_ALERT_RULES_MAX)
        return err_set(err, ERR_LIMIT,
                       "more than %d modules with gates of their own; write `alerts.rules`",
                       OBS_ALERT_RULES_MAX - (int)REFERENCE_COUNT + 1);
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++) {
        const struct conf_module *m = &conf->modules[i];
        struct obs_alert_spec spec = reference[DIVERGENCE_RATE];
        spec.module = m->name.text;
        spec.threshold = m->gates.divergence_rate;
        spec.window_us = m->gates.divergence_window_us;
        rc = obs_alert_rule_init(&rules[(*ret_count)++], &spec, err);
    }
    return rc;
}

static int default_rules(const struct conf *conf, struct obs_alert_rule *rules, size_t *ret_count,
                         struct err *err) {
    int rc = 0;
    *ret_count = 0;
    for (size_t i = 0; rc == 0 && i < REFERENCE_COUNT; i++)
        if (i != DIVERGENCE_RATE)
            rc = obs_alert_rule_init(&rules[(*ret_count)++], &reference[i], err);
    return rc < 0 ? rc : divergence_rules(conf, rules, ret_count, err);
}

int alert_setup(const struct conf *conf, struct obs_alert_rule **ret_rules, size_t *ret_count,
                struct err *err) {
    struct obs_alert_rule *rules = mem_zalloc(OBS_ALERT_RULES_MAX, sizeof *rules);
    size_t count = 0;
    int rc = conf->alerts.rules ? written_rules(conf, rules, &count, err)
                                : default_rules(conf, rules, &count, err);
    if (rc < 0) {
        free(rules);
        return rc;
    }
    *ret_rules = rules;
    *ret_count = count;
    return 0;
}

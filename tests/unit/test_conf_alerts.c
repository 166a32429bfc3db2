/* The section `alerts`: what is read, what is shown, and the place of every mistake. */
#include "conf/conf.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "source: {uri: postgresql://u@h/d}\n"                                                          \
    "target: {uri: mongodb://h, database: shop}\n"                                                 \
    "modules: {m: {collections: {c: {table: t}}}}\n"

static struct conf *parse(const char *text) {
    struct err err = {0};
    struct conf *conf = NULL;
    if (conf_parse("t.yml", text, strlen(text), &conf, &err) < 0)
        fail_msg("%s", err.text);
    return conf;
}

static void defaults(void **state) {
    (void)state;
    static const char *const texts[] = {HEAD, HEAD "alerts: {}\n"};
    for (size_t i = 0; i < 2; i++) {
        struct conf *conf = parse(texts[i]);
        assert_null(conf->alerts.webhook);
        assert_null(conf->alerts.rules);
        assert_int_equal(conf->alerts.command.at.line, 0);
        assert_int_equal(conf->alerts.format, CONF_ALERT_AUTO);
        conf_free(conf);
    }
}

static void as_in_the_reference(void **state) {
    (void)state;
    struct conf *conf =
        parse(HEAD "alerts:\n"
                   "  webhook: \"http://127.0.0.1:9093/hook\"\n"
                   "  rules:                                  # defaults, from the reference\n"
                   "    - {metric: kafka_lag, over: 10000, severity: high}\n"
                   "    - {metric: streaming_lag, over: 60s, severity: high}\n"
                   "    - {metric: error_rate, over: 1%, severity: high}\n"
                   "    - {metric: divergence_rate, over: 1%, window: 5m, severity: high}\n");
    const struct conf_alerts *a = &conf->alerts;
    assert_string_equal(a->webhook, "http://127.0.0.1:9093/hook");
    assert_int_equal(a->rule_count, 4);
    assert_string_equal(a->rules[0].metric.text, "kafka_lag");
    assert_true(a->rules[0].over.value == 10000);
    assert_int_equal(a->rules[0].over.unit, CONF_UNIT_NUMBER);
    assert_null(a->rules[0].under.text);
    assert_int_equal(a->rules[0].severity, 2);
    assert_true(a->rules[1].over.value == 60);
    assert_int_equal(a->rules[1].over.unit, CONF_UNIT_SECONDS);
    assert_true(a->rules[2].over.value == 1);
    assert_int_equal(a->rules[2].over.unit, CONF_UNIT_PERCENT);
    assert_int_equal(a->rules[2].window_us, 0);
    assert_int_equal(a->rules[3].window_us, 300000000);
    assert_int_equal(a->rules[3].metric.at.line, 10);
    assert_int_equal(a->rules[3].metric.at.column, 16);
    conf_free(conf);
}

static const char everything[] =
    HEAD "alerts:\n"
         "  webhook: https://hooks.example/services/T0/secret\n"
         "  format: slack\n"
         "  command: [/bin/page, --team, data, data]\n"
         "  rules:\n"
         "    - {metric: banyan_lag_bytes, over: 1e9, for: 2m, severity: critical}\n"
         "    - {metric: banyan_changes_applied_total, under: 0.5, window: 90s, min_samples: 7,\n"
         "       severity: low}\n"
         "    - {metric: error_rate, over: \"0.1%\"}\n"
         "    - {metric: streaming_lag, over: 1500ms}\n";

static void every_key(void **state) {
    (void)state;
    struct conf *conf = parse(everything);
    const struct conf_alerts *a = &conf->alerts;
    assert_int_equal(a->format, CONF_ALERT_SLACK);
    assert_int_equal(a->command.count, 4);
    assert_string_equal(a->command.items[3].text, "data");
    assert_true(a->rules[0].over.value == 1e9);
    assert_int_equal(a->rules[0].for_us, 120000000);
    assert_int_equal(a->rules[0].severity, 3);
    assert_null(a->rules[1].over.text);
    assert_true(a->rules[1].under.value == 0.5);
    assert_int_equal(a->rules[1].window_us, 90000000);
    assert_int_equal(a->rules[1].min_samples, 7);
    assert_int_equal(a->rules[1].severity, 0);
    assert_true(a->rules[2].over.value == 0.1);
    assert_true(a->rules[3].over.value == 1.5);
    conf_free(conf);
}

static void shows(const char *text, const char *wanted, const char *unwanted) {
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20}, again = {.max = 1 << 20};
    struct conf *conf = parse(text);
    conf_show(conf, false, &out);
    conf_free(conf);
    if (!strstr(buf_text(&out), wanted) || (unwanted && strstr(buf_text(&out), unwanted)))
        fail_msg("%s", buf_text(&out));
    conf = parse(buf_text(&out));
    conf_show(conf, false, &again);
    conf_free(conf);
    assert_string_equal(buf_text(&out), buf_text(&again));
}

static void shows_what_reads_back(void **state) {
    (void)state;
    shows(everything, "webhook: \"https://hooks.example/***\"", "secret");
    shows(everything, "\"over\": \"0.1%\"", NULL);
    shows(HEAD "alerts: {rules: []}\n", "rules: []", NULL);
    shows(HEAD, "kafka_lag over 10000", NULL);
}

static void addresses_are_hidden(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"http://h:9093/hook?x=y", "http://h:9093/***"},
        {"https://h", "https://h"},
        {"HTTPS://user:pw@h/", "HTTPS://***@h/***"},
        {"http://h?token", "http://h/***"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_(buf_release) struct buf out = {.max = 1 << 10};
        conf_redact_uri(cases[i][0], &out);
        assert_string_equal(buf_text(&out), cases[i][1]);
    }
}

static void mistakes_have_a_place(void **state) {
    (void)state;
#define RULE(text) HEAD "alerts:\n  rules:\n    - {" text "}\n"
    static const char *const cases[][2] = {
        {HEAD "alerts: 5\n", "t.yml:4:9: 'alerts' must be a mapping"},
        {HEAD "alerts: {webhok: x}\n", "t.yml:4:10: unknown key 'webhok', did you mean 'webhook'?"},
        {HEAD "alerts: {webhook: h/x}\n", "t.yml:4:19: 'webhook' is not an address for posts"},
        {HEAD "alerts: {webhook: \"http:///x\"}\n", "t.yml:4:19: 'webhook' names no host"},
        {HEAD "alerts: {webhook: \"http://:80/x\"}\n", "t.yml:4:19: 'webhook' names no host"},
        {HEAD "alerts: {webhook: \"http://a b\"}\n", "t.yml:4:19: 'webhook' has a character"},
        {HEAD "alerts: {webhook: \"http://u:p@h/\"}\n", "t.yml:4:19: 'webhook' has a user"},
        {HEAD "alerts: {format: email}\n", "t.yml:4:18: 'format' must be one of auto, "},
        {HEAD "alerts: {command: page}\n", "t.yml:4:19: 'command' must be a list"},
        {HEAD "alerts: {command: []}\n", "t.yml:4:19: 'command' is empty"},
        {HEAD "alerts: {command: [page, ~]}\n", "t.yml:4:26: 'command' has no value"},
        {HEAD "alerts: {rules: {}}\n", "t.yml:4:17: 'rules' must be a list"},
        {RULE("over: 1"), "t.yml:6:7: 'rules': 'metric' is missing"},
        {RULE("metric: kafka_lag"), "t.yml:6:7: a rule needs one of 'over' and 'under'"},
        {RULE("metric: kafka_lag, over: 1, under: 2"), "t.yml:6:7: a rule needs one of"},
        {RULE("metric: kafka_lag, over: lots"), "t.yml:6:33: 'over' must be a number, a duration"},
        {RULE("metric: kafka_lag, over: 1 %"), "t.yml:6:33: 'over' must be a number"},
        {RULE("metric: kafka_lag, over: %"), "t.yml:6:33: "},
        {RULE("metric: kafka_lag, over: 1e999"), "t.yml:6:33: 'over' must be a number"},
        {RULE("metric: kafka_lag, over: .inf"), "t.yml:6:33: 'over' must be a number"},
        {RULE("metric: kafka_lag, over: 1, window: 10ms"), "t.yml:6:44: 'window' must be a dura"},
        {RULE("metric: kafka_lag, over: 1, for: 25h"), "t.yml:6:41: 'for' must be a duration"},
        {RULE("metric: kafka_lag, over: 1, min_samples: 0"), "t.yml:6:49: 'min_samples' must be"},
        {RULE("metric: kafka_lag, over: 1, severity: loud"), "t.yml:6:46: 'severity' must be one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct conf *conf = NULL;
        assert_int_equal(conf_parse("t.yml", cases[i][0], strlen(cases[i][0]), &conf, &err),
                         ERR_CONF);
        if (strncmp(err.text, cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("%s\ninstead of %s", err.text, cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(as_in_the_reference),
        cmocka_unit_test(every_key),
        cmocka_unit_test(shows_what_reads_back),
        cmocka_unit_test(addresses_are_hidden),
        cmocka_unit_test(mistakes_have_a_place),
    };
    return cmocka_run_group_tests_name("conf_alerts", tests, NULL, NULL);
}

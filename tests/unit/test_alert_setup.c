/* From the configuration to rules: the defaults, and mistakes with their place. */
#include "admin/alert_setup.h"

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

static int setup_from(const char *text, struct obs_alert_rule **ret, size_t *ret_count,
                      struct err *err) {
    struct conf *conf = NULL;
    if (conf_parse("t.yml", text, strlen(text), &conf, err) < 0)
        fail_msg("%s", err->text);
    int rc = alert_setup(conf, ret, ret_count, err);
    conf_free(conf);
    return rc;
}

static const struct obs_alert_rule *named(const struct obs_alert_rule *rules, size_t count,
                                          const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    fail_msg("no rule is named %s", name);
    return NULL;
}

/* Written out or not, they are the same. */
static void the_reference_is_the_default(void **state) {
    (void)state;
    static const char written[] =
        HEAD "alerts:\n  rules:\n"
             "    - {metric: kafka_lag, over: 10000, severity: high}\n"
             "    - {metric: streaming_lag, over: 60s, severity: high}\n"
             "    - {metric: error_rate, over: 1%, severity: high}\n"
             "    - {metric: divergence_rate, over: 1%, window: 5m, severity: high}\n"
             "    - {metric: verification_rate, over: 1%, window: 5m, severity: high}\n";
    struct obs_alert_rule *a, *b;
    size_t count;
    struct err err = {0};
    assert_int_equal(setup_from(HEAD, &a, &count, &err), 0);
    assert_int_equal(count, 5);
    assert_int_equal(setup_from(written, &b, &count, &err), 0);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct obs_alert_rule *w = named(b, count, a[i].name);
        assert_int_equal(a[i].window_us, w->window_us);
        assert_int_equal(a[i].min_samples, w->min_samples);
        assert_string_equal(a[i].severity, "high");
        assert_string_equal(a[i].module, "");
    }
    assert_string_equal(a[1].name, "streaming_lag > 60");
    free(a);
    free(b);
}

static void a_gate_of_a_module_is_watched(void **state) {
    (void)state;
    static const char text[] =
        "source: {uri: postgresql://u@h/d}\n"
        "target: {uri: mongodb://h, database: shop}\n"
        "modules:\n"
        "  m: {collections: {c: {table: t}}}\n"
        "  b: {collections: {b: {table: b}}, gates: {divergence_rate: {over: 0.1%, window: 1h}}}\n";
    struct obs_alert_rule *rules;
    size_t count;
    struct err err = {0};
    assert_int_equal(setup_from(text, &rules, &count, &err), 0);
    assert_int_equal(count, 6);
    const struct obs_alert_rule *own = named(rules, count, "divergence_rate > 0.001"),
                                *other = named(rules, count, "divergence_rate > 0.01");
    assert_string_equal(own->module, "b");
    assert_int_equal(own->window_us, INT64_C(3600000000));
    assert_string_equal(other->module, "m");
    assert_int_equal(other->window_us, INT64_C(300000000));
    free(rules);
}

static void everything_arrives(void **state) {
    (void)state;
    struct obs_alert_rule *rules;
    size_t count;
    struct err err = {0};
    assert_int_equal(setup_from(HEAD "alerts:\n  rules:\n"
                                     "    - {metric: banyan_changes_applied_total, under: 0.5, "
                                     "window: 90s, for: 2m, min_samples: 7, severity: low}\n",
                                &rules, &count, &err),
                     0);
    assert_int_equal(count, 1);
    assert_true(rules[0].under);
    assert_true(rules[0].threshold == 0.5);
    assert_int_equal(rules[0].window_us, 90000000);
    assert_int_equal(rules[0].for_us, 120000000);
    assert_int_equal(rules[0].min_samples, 7);
    assert_string_equal(rules[0].severity, "low");
    free(rules);
    assert_int_equal(setup_from(HEAD "alerts: {rules: []}\n", &rules, &count, &err), 0);
    assert_int_equal(count, 0);
    free(rules);
}

static void mistakes_have_a_place(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{metric: streaming_lga, over: 1}", "t.yml:7:7: there is no metric streaming_lga; did you "
                                             "mean streaming_lag?"},
        {"{metric: kafka_lag, over: 60s}", "t.yml:7:7: kafka_lag is not a time"},
        {"{metric: error_rate, over: 200%}", "t.yml:7:7: a rate is from 0 to 100%"},
        {"{metric: kafka_lag, over: 5, min_samples: 3}", "t.yml:7:7: min_samples does not fit"},
        {"{metric: streaming_lag, over: 1m}", "t.yml:7:7: 'streaming_lag' is watched for the same "
                                              "twice, first at 6:7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct obs_alert_rule *rules;
        size_t count;
        struct err err = {0};
        char *text = mem_printf(HEAD "alerts:\n  rules:\n    - {metric: streaming_lag, over: 60s}\n"
                                     "    - %s\n",
                                cases[i][0]);
        assert_int_equal(setup_from(text, &rules, &count, &err), ERR_CONF);
        if (strncmp(err.text, cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("%s", err.text);
        free(text);
    }
}

static void too_many_are_refused(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf text = {.max = 1 << 20};
    struct obs_alert_rule *rules;
    size_t count;
    struct err err = {0};
    buf_add_text(&text, HEAD "alerts:\n  rules:\n");
    for (int i = 0; i <= OBS_ALERT_RULES_MAX; i++)
        buf_printf(&text, "    - {metric: kafka_lag, over: %d}\n", i);
    assert_int_equal(setup_from(buf_text(&text), &rules, &count, &err), ERR_CONF);
    assert_non_null(strstr(err.text, "t.yml:206:7: 'rules' has more than 200 entries"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_the_default),
        cmocka_unit_test(a_gate_of_a_module_is_watched),
        cmocka_unit_test(everything_arrives),
        cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests_name("alert_setup", tests, NULL, NULL);
}

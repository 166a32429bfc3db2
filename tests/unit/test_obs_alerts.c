/* Alert rules: what a rule may say, Wilson's interval, and the state machine over time. */
#include "obs/alerts.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static struct obs_alert_spec spec(const char *metric, double threshold) {
    return (struct obs_alert_spec){
        .metric = metric, .threshold = threshold, .window_us = -1, .min_samples = -1};
}

static struct obs_alert_rule rule(struct obs_alert_spec from) {
    struct obs_alert_rule r;
    struct err err = {0};
    if (obs_alert_rule_init(&r, &from, &err) != 0)
        fail_msg("%s", err.text);
    return r;
}

static void refused(struct obs_alert_spec from, const char *why) {
    struct obs_alert_rule r;
    struct err err = {0};
    assert_int_equal(obs_alert_rule_init(&r, &from, &err), ERR_CONF);
    if (!strstr(err.text, why))
        fail_msg("%s", err.text);
}

static void the_names_of_the_reference(void **state) {
    (void)state;
    struct obs_alert_rule r = rule(spec("kafka_lag", 10000));
    assert_int_equal(r.metric, METRIC_LAG_CHANGES);
    assert_int_equal(r.kind, OBS_RULE_GAUGE);
    assert_string_equal(r.severity, "high");
    struct obs_alert_spec lag = spec("streaming_lag", 60);
    lag.unit = OBS_UNIT_SECONDS;
    r = rule(lag);
    assert_int_equal(r.metric, METRIC_LAG_SECONDS);
    assert_string_equal(r.name, "streaming_lag > 60");
    struct obs_alert_spec errors = spec("error_rate", 1);
    errors.unit = OBS_UNIT_PERCENT;
    r = rule(errors);
    assert_int_equal(r.kind, OBS_RULE_RATE);
    assert_true(r.threshold == 0.01);
    assert_int_equal(r.window_us, 300 * S);
    assert_int_equal(r.min_samples, 100);
    struct obs_alert_spec low = spec("banyan_changes_applied_total", 0.5);
    low.under = true;
    low.severity = "low";
    r = rule(low);
    assert_int_equal(r.kind, OBS_RULE_COUNTER);
    assert_string_equal(r.name, "banyan_changes_applied_total < 0.5");
    assert_string_equal(r.severity, "low");
    r = rule(spec("banyan_apply_latency_seconds", 0.5));
    assert_int_equal(r.kind, OBS_RULE_HISTOGRAM);
}

static void wrong_rules_are_refused(void **state) {
    (void)state;
    refused(spec("streaming_lga", 1), "did you mean streaming_lag?");
    refused(spec("nothing_like_it_at_all", 1), "docs/metrics.md");
    refused(spec("error_rate", 2), "from 0 to 100%");
    refused(spec("error_rate", -0.1), "from 0 to 100%");
    struct obs_alert_spec s = spec("kafka_lag", 60);
    s.unit = OBS_UNIT_SECONDS;
    refused(s, "is not a time");
    s.unit = OBS_UNIT_PERCENT;
    refused(s, "is not a share");
    s = spec("kafka_lag", 60);
    s.min_samples = 5;
    refused(s, "min_samples does not fit");
    s = spec("kafka_lag", 60);
    s.window_us = 5;
    refused(s, "at least 1s");
    s.window_us = OBS_ALERT_WINDOW_MAX + 1;
    refused(s, "at most 24h");
    s = spec("kafka_lag", 60);
    s.for_us = -1;
    refused(s, "below 0");
    s = spec("kafka_lag", 60);
    s.severity = "loud";
    refused(s, "low, medium, high or critical");
    s = spec("kafka_lag", __builtin_inf());
    refused(s, "finite");
}

static bool near(double a, double b) {
    return a - b < 0.0005 && b - a < 0.0005;
}

/* Newcombe's and Brown's published examples of the interval. */
static void wilsons_interval(void **state) {
    (void)state;
    struct obs_interval i = obs_wilson(81, 263);
    assert_true(near(i.low, 0.2553) && near(i.high, 0.3662));
    i = obs_wilson(15, 148);
    assert_true(near(i.low, 0.0624) && near(i.high, 0.1605));
    i = obs_wilson(0, 20);
    assert_true(i.low == 0 && near(i.high, 0.1611));
    i = obs_wilson(1, 29);
    assert_true(near(i.low, 0.0061) && near(i.high, 0.1718));
    i = obs_wilson(29, 29);
    assert_true(i.high == 1 && i.low > 0.85);
    i = obs_wilson(0, 0);
    assert_true(i.low == 0 && i.high == 1);
}

/* ---- over time ---- */

struct scene {
    struct obs_alerts *alerts;
    struct obs_page *page;
    int64_t now_us;
    int fired, resolved;
    char words[512]; /* of the last event */
    char module[OBS_LABEL_VALUE_MAX + 1];
    uint64_t fingerprint;
};

static void heard(void *context, enum obs_alert_event event, const struct obs_alert *alert) {
    struct scene *s = context;
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    s->fired += event == OBS_ALERT_FIRED;
    s->resolved += event == OBS_ALERT_RESOLVED;
    s->fingerprint = alert->fingerprint;
    obs_alert_words(alert, &out);
    (void)snprintf(s->words, sizeof s->words, "%s", buf_text(&out));
    (void)snprintf(s->module, sizeof s->module, "%s", obs_alert_label(alert, "module"));
}

static struct scene begin(struct obs_alert_rule r) {
    return (struct scene){
        .alerts = obs_alerts_new(&r, 1), .page = obs_page_new(), .now_us = 1000 * S};
}

static void end(struct scene *s) {
    obs_alerts_free(s->alerts);
    obs_page_free(s->page);
}

/* Evaluates what was sampled, then lets `us` pass. */
static void tick(struct scene *s, int64_t us) {
    obs_alerts_evaluate(s->alerts, s->page, s->now_us, heard, s);
    obs_page_clear(s->page);
    s->now_us += us;
}

static void lag(struct scene *s, double v, int64_t us) {
    obs_sample(s->page, METRIC_LAG_SECONDS, v, "shop");
    tick(s, us);
}

static enum obs_alert_state state_of(const struct scene *s, size_t i) {
    assert_true(i < obs_alerts_count(s->alerts));
    return obs_alerts_get(s->alerts, i)->state;
}

static void a_gauge_fires_and_resolves(void **state) {
    (void)state;
    struct scene s = begin(rule(spec("streaming_lag", 60)));
    lag(&s, 60, 5 * S); /* over, not at */
    assert_int_equal(state_of(&s, 0), OBS_ALERT_INACTIVE);
    lag(&s, 75.5, 5 * S);
    assert_int_equal(s.fired, 1);
    assert_string_equal(s.words, "streaming_lag of shop is 75.5 s, over 60 s");
    assert_string_equal(s.module, "shop");
    assert_int_equal(obs_alerts_get(s.alerts, 0)->label_count, 1);
    lag(&s, 59, 5 * S); /* within the hysteresis */
    lag(&s, 61, 5 * S);
    lag(&s, 55, 5 * S);
    assert_int_equal(state_of(&s, 0), OBS_ALERT_FIRING);
    assert_int_equal(s.fired, 1);
    assert_int_equal(s.resolved, 0);
    lag(&s, 54, 5 * S);
    assert_int_equal(s.resolved, 1);
    assert_string_equal(s.words, "streaming_lag of shop is 54 s, not over 60 s");
    assert_int_equal(state_of(&s, 0), OBS_ALERT_INACTIVE);
    end(&s);
}

static void pending_until_for_has_passed(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("streaming_lag", 60);
    from.for_us = 120 * S;
    struct scene s = begin(rule(from));
    for (int i = 0; i < 24; i++) /* 0 to 115 s */
        lag(&s, 100, 5 * S);
    assert_int_equal(state_of(&s, 0), OBS_ALERT_PENDING);
    lag(&s, 10, 5 * S); /* begins anew */
    assert_int_equal(state_of(&s, 0), OBS_ALERT_INACTIVE);
    for (int i = 0; i < 24; i++)
        lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 0);
    lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 1);
    assert_int_equal(s.resolved, 0);
    end(&s);
}

static void under_is_the_mirror(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("banyan_queue_fill_ratio", 50);
    from.unit = OBS_UNIT_PERCENT;
    from.under = true;
    struct scene s = begin(rule(from));
    static const struct {
        double value;
        int fired, resolved;
    } steps[] = {{0.5, 0, 0}, {0.4, 1, 0}, {0.54, 1, 0}, {0.56, 1, 1}, {0.1, 2, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        obs_sample(s.page, METRIC_QUEUE_FILL, steps[i].value, "shop");
        tick(&s, S);
        assert_int_equal(s.fired, steps[i].fired);
        assert_int_equal(s.resolved, steps[i].resolved);
    }
    assert_string_equal(s.words, "banyan_queue_fill_ratio of shop is 10 %, under 50 %");
    end(&s);
}

static void a_window_is_the_mean(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("kafka_lag", 100);
    from.window_us = 60 * S;
    struct scene s = begin(rule(from));
    for (int i = 0; i < 12; i++) { /* not the whole window yet */
        obs_sample(s.page, METRIC_LAG_CHANGES, 1000, "shop");
        tick(&s, 5 * S);
    }
    assert_int_equal(s.fired, 0);
    obs_sample(s.page, METRIC_LAG_CHANGES, 1000, "shop");
    tick(&s, 5 * S);
    assert_int_equal(s.fired, 1);
    assert_true(near(obs_alerts_get(s.alerts, 0)->value, 1000));
    for (int i = 0; i < 6; i++) { /* the mean is over 100 for long */
        obs_sample(s.page, METRIC_LAG_CHANGES, 0, "shop");
        tick(&s, 5 * S);
    }
    assert_int_equal(s.resolved, 0);
    for (int i = 0; i < 6; i++) {
        obs_sample(s.page, METRIC_LAG_CHANGES, 0, "shop");
        tick(&s, 5 * S);
    }
    assert_int_equal(s.resolved, 1);
    end(&s);
}

static void counters_are_growth_a_second(void **state) {
    (void)state;
    struct scene s = begin(rule(spec("banyan_retries_total", 2)));
    double total = 5000; /* whatever it was before does not count */
    for (int i = 0; i < 40; i++) {
        obs_sample(s.page, METRIC_RETRIES, total, "shop");
        tick(&s, 5 * S);
        total += 5;
    }
    assert_int_equal(s.fired, 0);
    assert_true(near(obs_alerts_get(s.alerts, 0)->value, 1));
    for (int i = 0; i < 14; i++) {
        if (i == 3)
            total = 0; /* the process it counts for was started again */
        obs_sample(s.page, METRIC_RETRIES, total, "shop");
        tick(&s, 5 * S);
        total += 15;
    }
    assert_int_equal(s.fired, 1);
    assert_non_null(strstr(s.words, ", over 2 a second"));
    end(&s);
}

/* 110 in a minute fire, where 100 are asked for; 95 are fewer, and still far over the threshold. */
static void fewer_samples_are_no_end(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("banyan_retries_total", 0.5);
    from.window_us = 60 * S;
    from.min_samples = 100;
    struct scene s = begin(rule(from));
    static const struct {
        double per_tick; /* of 10 s */
        int ticks, fired, resolved;
    } steps[] = {{15, 8, 0, 0}, {18, 8, 1, 0}, {15, 8, 1, 0}, {3, 8, 1, 1}};
    double total = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (int k = 0; k < steps[i].ticks; k++) {
            obs_sample(s.page, METRIC_RETRIES, total, "shop");
            tick(&s, 10 * S);
            total += steps[i].per_tick;
        }
        assert_int_equal(s.fired, steps[i].fired);
        assert_int_equal(s.resolved, steps[i].resolved);
    }
    end(&s);
}

static void parts(struct scene *s, double different, double compared) {
    obs_sample(s->page, METRIC_DIVERGENT, different, "shop", "", "/api");
    obs_sample(s->page, METRIC_COMPARED, compared, "shop", "", "/api");
    tick(s, 5 * S);
}

static void rates_need_samples_and_certainty(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("divergence_rate", 1);
    from.unit = OBS_UNIT_PERCENT;
    struct scene s = begin(rule(from));
    parts(&s, 0, 0);
    parts(&s, 50, 99); /* half are different, but fewer than 100 were compared */
    assert_int_equal(obs_alerts_get(s.alerts, 0)->verdict, OBS_INCONCLUSIVE);
    assert_int_equal(obs_alerts_get(s.alerts, 0)->samples, 99);
    parts(&s, 50, 5050); /* 0.99 % */
    assert_int_equal(obs_alerts_get(s.alerts, 0)->verdict, OBS_PASS);
    parts(&s, 60, 5060); /* 1.19 %: over, but not surely */
    assert_int_equal(obs_alerts_get(s.alerts, 0)->verdict, OBS_INCONCLUSIVE);
    assert_int_equal(s.fired, 0);
    parts(&s, 100, 5100);
    assert_int_equal(s.fired, 1);
    assert_string_equal(s.words, "divergence_rate of shop is 1.96 %, over 1 %");
    for (int i = 0; i < 58; i++) /* it stays in the window for 5 minutes */
        parts(&s, 100, 5100);
    assert_int_equal(s.resolved, 0);
    for (int i = 0; i < 3; i++)
        parts(&s, 100, 5100);
    assert_int_equal(s.resolved, 1); /* nothing in the whole window */
    end(&s);
}

static void a_rule_of_one_module_sees_no_other(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("divergence_rate", 1);
    from.unit = OBS_UNIT_PERCENT;
    from.module = "other";
    struct scene s = begin(rule(from));
    parts(&s, 0, 0);
    parts(&s, 500, 1000);
    assert_int_equal(obs_alerts_count(s.alerts), 0);
    end(&s);
}

/* Attempts that failed, against all: those and the batches that were acknowledged. */
static void error_rate_is_of_all_attempts(void **state) {
    (void)state;
    struct obs_alert_spec from = spec("error_rate", 10);
    from.unit = OBS_UNIT_PERCENT;
    struct scene s = begin(rule(from));
    struct obs_histogram *h = obs_histogram_new();
    for (int i = 0; i < 2; i++) {
        obs_sample(s.page, METRIC_RETRIES, i * 50, "shop");
        obs_sample_histogram(s.page, METRIC_APPLY_LATENCY, h, "shop");
        obs_sample(s.page, METRIC_RETRIES, 0, "other");
        tick(&s, 5 * S);
        obs_histogram_add_many(h, 500, 150);
    }
    assert_int_equal(obs_alerts_count(s.alerts), 2);
    assert_int_equal(s.fired, 1);
    assert_string_equal(s.words, "error_rate of shop is 25 %, over 10 %");
    assert_int_equal(obs_alerts_get(s.alerts, 0)->samples, 200);
    obs_histogram_free(h);
    end(&s);
}

/* A rate counts by module: its counters may have more labels, which are summed. */
static void rates_sum_over_other_labels(void **state) {
    (void)state;
    struct obs_alert_rule r = rule(spec("error_rate", 0.1));
    r.metric = METRIC_ERRORS;
    struct scene s = begin(r);
    for (int i = 0; i < 2; i++) {
        obs_sample(s.page, METRIC_ERRORS, i * 70, "shop", "ERR_UNREACHABLE");
        obs_sample(s.page, METRIC_ERRORS, i * 80, "shop", "ERR_WIRE");
        tick(&s, 5 * S);
    }
    assert_int_equal(obs_alerts_count(s.alerts), 1);
    assert_int_equal(obs_alerts_get(s.alerts, 0)->samples, 150);
    assert_int_equal(s.fired, 1);
    end(&s);
}

static void histograms_are_their_p99(void **state) {
    (void)state;
    struct scene s = begin(rule(spec("banyan_apply_latency_seconds", 0.2)));
    struct obs_histogram *h = obs_histogram_new();
    obs_histogram_add_many(h, 50000000, 1000); /* before we looked */
    obs_sample_histogram(s.page, METRIC_APPLY_LATENCY, h, "shop");
    tick(&s, 5 * S);
    assert_int_equal(s.fired, 0);
    obs_histogram_add_many(h, 50000, 980);
    obs_sample_histogram(s.page, METRIC_APPLY_LATENCY, h, "shop");
    tick(&s, 5 * S);
    assert_true(obs_alerts_get(s.alerts, 0)->value <= 0.051);
    obs_histogram_add_many(h, 800000, 20);
    obs_sample_histogram(s.page, METRIC_APPLY_LATENCY, h, "shop");
    tick(&s, 5 * S);
    assert_int_equal(s.fired, 1);
    double value = obs_alerts_get(s.alerts, 0)->value;
    assert_true(value > 0.5 && value <= 1);
    assert_int_equal(obs_alerts_get(s.alerts, 0)->samples, 1000);
    obs_histogram_free(h);
    end(&s);
}

static void a_series_that_is_gone_resolves(void **state) {
    (void)state;
    struct scene s = begin(rule(spec("streaming_lag", 60)));
    lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 1);
    for (int i = 0; i < 11; i++)
        tick(&s, 5 * S);
    assert_int_equal(s.resolved, 0);
    assert_int_equal(state_of(&s, 0), OBS_ALERT_FIRING);
    tick(&s, 5 * S);
    assert_int_equal(s.resolved, 1);
    assert_int_equal(obs_alerts_count(s.alerts), 0);
    lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 2);
    end(&s);
}

static void reloading_keeps_what_stays(void **state) {
    (void)state;
    struct obs_alert_rule one = rule(spec("streaming_lag", 60));
    struct obs_alert_rule two = rule(spec("kafka_lag", 10));
    const struct obs_alert_rule before[] = {one, two}, after[] = {rule(spec("kafka_lag", 5)), one};
    struct scene s = {.alerts = obs_alerts_new(before, 2), .page = obs_page_new(), .now_us = S};
    obs_sample(s.page, METRIC_LAG_CHANGES, 100, "shop");
    lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 2);
    uint64_t fingerprint = obs_alerts_get(s.alerts, 1)->fingerprint;
    obs_alerts_reload(s.alerts, after, 2, s.now_us, heard, &s);
    assert_int_equal(s.resolved, 1); /* kafka_lag > 10 is no rule any more */
    assert_int_equal(obs_alerts_count(s.alerts), 1);
    obs_sample(s.page, METRIC_LAG_CHANGES, 100, "shop");
    lag(&s, 100, 5 * S);
    assert_int_equal(s.fired, 3); /* only kafka_lag > 5 is new */
    assert_int_equal(obs_alerts_count(s.alerts), 2);
    assert_string_equal(obs_alerts_get(s.alerts, 0)->rule->name, "streaming_lag > 60");
    assert_int_not_equal(obs_alerts_get(s.alerts, 1)->fingerprint, fingerprint);
    obs_alerts_reload(s.alerts, NULL, 0, s.now_us, heard, &s);
    assert_int_equal(s.resolved, 3);
    assert_int_equal(obs_alerts_count(s.alerts), 0);
    end(&s);
}

static void states_are_samples_too(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
    struct scene s = begin(rule(spec("banyan_errors_total", 1)));
    for (int i = 0; i < 14; i++) {
        obs_sample(s.page, METRIC_ERRORS, 0, "shop", "network");
        obs_sample(s.page, METRIC_ERRORS, i * 100, "shop", "refused");
        obs_sample(s.page, METRIC_ERRORS, 0, "other", "refused");
        tick(&s, 5 * S);
    }
    assert_int_equal(s.fired, 1);
    obs_alerts_sample(s.alerts, s.page);
    obs_page_write(s.page, OBS_PROMETHEUS, &out);
    const char *text = buf_text(&out);
    assert_non_null(strstr(text, "banyan_alert_state{module=\"other\",reason=\""
                                 "banyan_errors_total > 1\"} 0\n"));
    assert_non_null(strstr(text, "banyan_alert_state{module=\"shop\",reason=\""
                                 "banyan_errors_total > 1\"} 2\n"));
    assert_non_null(strstr(text, "\nbanyan_scrape_series_dropped 0\n"));
    end(&s);
}

static void too_many_are_not_watched(void **state) {
    (void)state;
    struct scene s = begin(rule(spec("streaming_lag", 60)));
    char name[32];
    for (int i = 0; i < OBS_ALERTS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        obs_sample(s.page, METRIC_LAG_SECONDS, 100, name);
    }
    tick(&s, S);
    assert_int_equal(obs_alerts_count(s.alerts), OBS_ALERTS_MAX);
    assert_int_equal(s.fired, OBS_ALERTS_MAX);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_names_of_the_reference),
        cmocka_unit_test(wrong_rules_are_refused),
        cmocka_unit_test(wilsons_interval),
        cmocka_unit_test(a_gauge_fires_and_resolves),
        cmocka_unit_test(pending_until_for_has_passed),
        cmocka_unit_test(under_is_the_mirror),
        cmocka_unit_test(a_window_is_the_mean),
        cmocka_unit_test(counters_are_growth_a_second),
        cmocka_unit_test(fewer_samples_are_no_end),
        cmocka_unit_test(rates_need_samples_and_certainty),
        cmocka_unit_test(a_rule_of_one_module_sees_no_other),
        cmocka_unit_test(error_rate_is_of_all_attempts),
        cmocka_unit_test(rates_sum_over_other_labels),
        cmocka_unit_test(histograms_are_their_p99),
        cmocka_unit_test(a_series_that_is_gone_resolves),
        cmocka_unit_test(reloading_keeps_what_stays),
        cmocka_unit_test(states_are_samples_too),
        cmocka_unit_test(too_many_are_not_watched),
    };
    return cmocka_run_group_tests_name("obs_alerts", tests, NULL, NULL);
}

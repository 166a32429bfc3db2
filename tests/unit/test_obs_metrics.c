/* The table of metrics, the page in both formats, and which of them a client gets. */
#include "obs/metrics.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const allowed_labels[] = {"module", "collection", "operation", "route",
                                             "side",   "reason",     "edge"};

static bool is_allowed(enum obs_metric metric, const char *label) {
    if (metric == METRIC_BUILD_INFO)
        return strcmp(label, "version") == 0;
    for (size_t i = 0; i < sizeof allowed_labels / sizeof *allowed_labels; i++)
        if (strcmp(label, allowed_labels[i]) == 0)
            return true;
    return false;
}

static bool ends(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

/* What the naming rules of Prometheus and OpenMetrics ask of a table. */
static void names_follow_the_rules(void **state) {
    (void)state;
    for (int i = 0; i < OBS_METRIC_COUNT; i++) {
        enum obs_metric m = (enum obs_metric)i;
        const struct obs_metric_info *info = obs_metric_info(m);
        assert_true(strncmp(info->name, "banyan_", 7) == 0);
        assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(info->name));
        assert_int_equal(ends(info->name, "_total"), info->type == OBS_COUNTER);
        assert_int_equal(ends(info->name, "_info"), info->type == OBS_INFO);
        assert_false(ends(info->name, "_count") || ends(info->name, "_sum") ||
                     ends(info->name, "_bucket"));
        char *base = mem_strdup(info->name);
        if (info->type == OBS_COUNTER)
            base[strlen(base) - 6] = '\0';
        if (info->unit[0] != '\0')
            assert_true(ends(base, info->unit));
        else
            assert_false(ends(base, "_seconds") || ends(base, "_bytes") || ends(base, "_ratio"));
        free(base);
        size_t help = strlen(info->help);
        assert_true(help > 10 && info->help[help - 1] == '.');
        for (size_t k = 0; info->labels[k]; k++)
            if (!is_allowed(m, info->labels[k]))
                fail_msg("%s has the label %s", info->name, info->labels[k]);
        assert_int_equal(obs_metric_find(span_of(info->name)), m);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(info->name, obs_metric_info((enum obs_metric)j)->name);
    }
    assert_int_equal(obs_metric_find(SPAN_LIT("banyan_nothing")), OBS_METRIC_COUNT);
}

static const char *write_page(struct obs_page *page, enum obs_format format, struct buf *out) {
    buf_clear(out);
    obs_page_write(page, format, out);
    assert_true(buf_ok(out));
    return buf_text(out);
}

static void fill(struct obs_page *page, bool backwards) {
    for (int i = 0; i < 4; i++) {
        switch (backwards ? 3 - i : i) {
        case 0:
            obs_sample(page, METRIC_CHANGES_RECEIVED, 1234567890123, "shop");
            break;
        case 1:
            obs_sample(page, METRIC_CHANGES_RECEIVED, 0.1, "catalogue");
            break;
        case 2:
            obs_sample(page, METRIC_LAG_BYTES, 0, "shop");
            break;
        case 3:
            obs_sample(page, METRIC_BUILD_INFO, 1, "0.1.0");
            break;
        }
    }
}

static void both_formats_are_exact(void **state) {
    (void)state;
    static const char plain[] =
        "# HELP banyan_build_info The running version; always 1.\n"
        "# TYPE banyan_build_info gauge\n"
        "banyan_build_info{version=\"0.1.0\"} 1\n"
        "# HELP banyan_changes_received_total Changes received from the source's log.\n"
        "# TYPE banyan_changes_received_total counter\n"
        "banyan_changes_received_total{module=\"catalogue\"} 0.1\n"
        "banyan_changes_received_total{module=\"shop\"} 1234567890123\n"
        "# HELP banyan_lag_bytes Bytes of the source's log that the target has not acknowledged "
        "yet.\n"
        "# TYPE banyan_lag_bytes gauge\n"
        "banyan_lag_bytes{module=\"shop\"} 0\n"
        "# HELP banyan_scrape_series_dropped Series left out of this page: given twice, or over a "
        "limit.\n"
        "# TYPE banyan_scrape_series_dropped gauge\n"
        "banyan_scrape_series_dropped 0\n";
    static const char open[] =
        "# HELP banyan_build The running version; always 1.\n"
        "# TYPE banyan_build info\n"
        "banyan_build_info{version=\"0.1.0\"} 1\n"
        "# HELP banyan_changes_received Changes received from the source's log.\n"
        "# TYPE banyan_changes_received counter\n"
        "banyan_changes_received_total{module=\"catalogue\"} 0.1\n"
        "banyan_changes_received_total{module=\"shop\"} 1234567890123\n"
        "# HELP banyan_lag_bytes Bytes of the source's log that the target has not acknowledged "
        "yet.\n"
        "# TYPE banyan_lag_bytes gauge\n"
        "# UNIT banyan_lag_bytes bytes\n"
        "banyan_lag_bytes{module=\"shop\"} 0\n"
        "# HELP banyan_scrape_series_dropped Series left out of this page: given twice, or over a "
        "limit.\n"
        "# TYPE banyan_scrape_series_dropped gauge\n"
        "banyan_scrape_series_dropped 0\n"
        "# EOF\n";
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    for (int backwards = 0; backwards < 2; backwards++) {
        obs_page_clear(page);
        fill(page, backwards);
        assert_string_equal(write_page(page, OBS_PROMETHEUS, &out), plain);
        assert_string_equal(write_page(page, OBS_OPENMETRICS, &out), open);
    }
}

static void values_of_labels_are_escaped(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer + 255, "\xc3\xa9", 2); /* the character that does not fit any more */
    obs_sample(page, METRIC_PARKED, 1, "a\"b\\c\nd",
               "\xff"
               "e\xcc");
    obs_sample(page, METRIC_PARKED, 2, "", "orders");
    obs_sample(page, METRIC_PARKED, 3, NULL, NULL);
    obs_sample(page, METRIC_PARKED, 4, longer, "");
    const char *text = write_page(page, OBS_PROMETHEUS, &out);
    assert_non_null(strstr(text, "\nbanyan_parked_changes{module=\"a\\\"b\\\\c\\nd\",collection="
                                 "\"\xef\xbf\xbd"
                                 "e\xef\xbf\xbd\"} 1\n"));
    assert_non_null(strstr(text, "\nbanyan_parked_changes{collection=\"orders\"} 2\n"));
    assert_non_null(strstr(text, "\nbanyan_parked_changes 3\n"));
    longer[255] = '\0';
    char *want = mem_printf("\nbanyan_parked_changes{module=\"%s\"} 4\n", longer);
    assert_non_null(strstr(text, want));
    free(want);
}

static void what_is_not_known_is_left_out(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    obs_sample(page, METRIC_LAG_SECONDS, NAN, "shop");
    obs_sample(page, METRIC_LAG_SECONDS, INFINITY, "other");
    const char *text = write_page(page, OBS_PROMETHEUS, &out);
    assert_null(strstr(text, "banyan_lag_seconds"));
    assert_non_null(strstr(text, "\nbanyan_scrape_series_dropped 0\n"));
}

static void a_series_stands_once(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    obs_sample(page, METRIC_RETRIES, 5, "shop");
    obs_sample(page, METRIC_LAG_BYTES, 7, "shop");
    obs_sample(page, METRIC_RETRIES, 6, "shop");
    const char *text = write_page(page, OBS_PROMETHEUS, &out);
    assert_non_null(strstr(text, "banyan_retries_total{module=\"shop\"} 5\n"));
    assert_null(strstr(text, "banyan_retries_total{module=\"shop\"} 6\n"));
    assert_non_null(strstr(text, "\nbanyan_scrape_series_dropped 1\n"));
}

static void limits_are_counted(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 64 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    char name[32];
    for (int i = 0; i < OBS_SERIES_MAX + 7; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        obs_sample(page, METRIC_LAG_BYTES, i, name);
    }
    assert_int_equal(obs_page_count(page), OBS_SERIES_MAX);
    assert_non_null(
        strstr(write_page(page, OBS_PROMETHEUS, &out), "\nbanyan_scrape_series_dropped 7\n"));
    obs_page_clear(page);
    assert_non_null(
        strstr(write_page(page, OBS_PROMETHEUS, &out), "\nbanyan_scrape_series_dropped 0\n"));
}

static void histograms_are_cumulative(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    struct obs_histogram *h = obs_histogram_new();
    struct obs_series s;
    obs_histogram_add(h, 10);
    obs_histogram_add(h, 11);
    obs_histogram_add(h, 1000);
    obs_histogram_add_many(h, 90000000, 5); /* over the last bound */
    obs_sample_histogram(page, METRIC_APPLY_LATENCY, h, "shop");
    obs_histogram_clear(h);
    obs_histogram_add(h, 3);
    obs_sample_histogram(page, METRIC_BATCH_OPERATIONS, h, "shop");
    const char *text = write_page(page, OBS_PROMETHEUS, &out);
    assert_non_null(
        strstr(text, "banyan_apply_latency_seconds_bucket{module=\"shop\",le=\"1e-05\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"2.5e-05\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"0.001\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"60\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"+Inf\"} 8\n"
                                 "banyan_apply_latency_seconds_sum{module=\"shop\"} 450.001021\n"
                                 "banyan_apply_latency_seconds_count{module=\"shop\"} 8\n"));
    assert_non_null(strstr(text, "banyan_batch_operations_bucket{module=\"shop\",le=\"2\"} 0\n"));
    assert_non_null(strstr(text, "banyan_batch_operations_bucket{module=\"shop\",le=\"5\"} 1\n"));
    assert_non_null(strstr(text, "banyan_batch_operations_sum{module=\"shop\"} 3\n"));
    text = write_page(page, OBS_OPENMETRICS, &out);
    assert_non_null(strstr(text, "_bucket{module=\"shop\",le=\"60.0\"} 3\n"));
    assert_non_null(strstr(text, "# UNIT banyan_apply_latency_seconds seconds\n"));
    obs_page_series(page, 1, &s);
    assert_int_equal(s.metric, METRIC_APPLY_LATENCY);
    assert_string_equal(s.labels[0], "shop");
    assert_string_equal(s.labels[1], "");
    assert_int_equal(s.cumulative[0], 1);
    obs_histogram_free(h);
}

/* Every line of a page with every metric is a comment or names a metric of the table. */
static void only_names_of_the_table(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    struct obs_histogram *h = obs_histogram_new();
    for (int i = 0; i < OBS_METRIC_COUNT - 1; i++) {
        const struct obs_metric_info *info = obs_metric_info((enum obs_metric)i);
        const char *labels[OBS_LABELS_MAX] = {"a", "b", "c", "d"};
        size_t n = 0;
        while (info->labels[n])
            n++;
        if (info->type == OBS_HISTOGRAM)
            obs_sample_histogram_values(page, (enum obs_metric)i, h, labels, n);
        else
            obs_sample_values(page, (enum obs_metric)i, 1, labels, n);
    }
    obs_histogram_free(h);
    size_t families = 0;
    for (const char *line = write_page(page, OBS_PROMETHEUS, &out); *line;
         line = strchr(line, '\n') + 1) {
        families += strncmp(line, "# TYPE ", 7) == 0;
        if (*line == '#')
            continue;
        struct span name = span_make(line, strcspn(line, "{ "));
        static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
        for (size_t k = 0; obs_metric_find(name) == OBS_METRIC_COUNT && k < 3; k++) {
            size_t m = strlen(suffixes[k]);
            if (name.len > m && memcmp(name.ptr + name.len - m, suffixes[k], m) == 0)
                name.len -= m;
        }
        if (obs_metric_find(name) == OBS_METRIC_COUNT)
            fail_msg("not in the table: %.*s", SPAN_ARG(name));
    }
    assert_int_equal(families, OBS_METRIC_COUNT);
}

static void clients_choose_the_format(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        enum obs_format want;
    } cases[] = {
        {NULL, OBS_PROMETHEUS},
        {"", OBS_PROMETHEUS},
        {"*/*", OBS_PROMETHEUS},
        {"text/html,application/xhtml+xml,*/*;q=0.8", OBS_PROMETHEUS},
        {"application/openmetrics-text", OBS_OPENMETRICS},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", OBS_OPENMETRICS},
        {"Application/OpenMetrics-Text ; Version=\"1.0.0\"", OBS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         OBS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "text/plain;version=0.0.4;q=0.5",
         OBS_OPENMETRICS},
        {"application/openmetrics-text;version=2.0.0", OBS_PROMETHEUS},
        {"application/openmetrics-text;q=0", OBS_PROMETHEUS},
        {"application/openmetrics-text;q=0.4,text/plain;q=0.5", OBS_PROMETHEUS},
        {"application/openmetrics-text;q=abc", OBS_PROMETHEUS},
        {"application/openmetrics-text;q=", OBS_PROMETHEUS},
        {"application/openmetrics-text;q=1.5", OBS_PROMETHEUS},
        {",,;;=,;q", OBS_PROMETHEUS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (obs_format_accepted(cases[i].accept) != cases[i].want)
            fail_msg("%s", cases[i].accept);
    assert_non_null(strstr(obs_content_type(OBS_OPENMETRICS), "version=1.0.0"));
    assert_non_null(strstr(obs_content_type(OBS_PROMETHEUS), "version=0.0.4"));
}

static void docs_have_a_line_for_each(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    obs_metrics_docs(&out);
    const char *text = buf_text(&out);
    for (int i = 0; i < OBS_METRIC_COUNT; i++) {
        char *row = mem_printf("\n| `%s` | ", obs_metric_info((enum obs_metric)i)->name);
        assert_non_null(strstr(text, row));
        free(row);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rules),
        cmocka_unit_test(both_formats_are_exact),
        cmocka_unit_test(values_of_labels_are_escaped),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(a_series_stands_once),
        cmocka_unit_test(limits_are_counted),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(only_names_of_the_table),
        cmocka_unit_test(clients_choose_the_format),
        cmocka_unit_test(docs_have_a_line_for_each),
    };
    return cmocka_run_group_tests_name("obs_metrics", tests, NULL, NULL);
}

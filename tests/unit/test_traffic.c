/* Requests by route: counted from many threads, one series for each template. */
#include "admin/traffic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct http_route routes[] = {
    {.method = "GET", .path = "/v1/status"},
    {.method = "POST", .path = "/v1/modules/{module}/pause"},
    {.method = "GET", .path = "/v1/status"}, /* of another listener */
    {.method = "DELETE", .path = "/v1/status"},
};

static bool has(const struct traffic *t, const char *line) {
    _cleanup_(buf_release) struct buf out = {.max = 4 << 20};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    traffic_sample(t, page);
    obs_page_write(page, OBS_PROMETHEUS, &out);
    assert_non_null(strstr(buf_text(&out), "\nbanyan_scrape_series_dropped 0\n"));
    return strstr(buf_text(&out), line) != NULL;
}

static void templates_are_series(void **state) {
    (void)state;
    struct traffic *t = traffic_new();
    assert_false(has(t, "banyan_http"));
    traffic_observe(t, &routes[0], 200, 1000);
    traffic_observe(t, &routes[2], 204, 2000);
    traffic_observe(t, &routes[3], 405, 10);
    traffic_observe(t, &routes[1], 409, 3000000);
    traffic_observe(t, NULL, 404, 1);
    traffic_observe(t, NULL, 0, 1);
    traffic_observe(t, NULL, 999, 1);
    assert_true(has(t, "_total{route=\"/v1/status\",operation=\"GET\",reason=\"2xx\"} 2\n"));
    assert_true(has(t, "_total{route=\"/v1/status\",operation=\"DELETE\",reason=\"4xx\"} 1\n"));
    assert_true(has(t, "_total{route=\"/v1/modules/{module}/pause\",operation=\"POST\","
                       "reason=\"4xx\"} 1\n"));
    assert_true(has(t, "_total{route=\"none\",reason=\"4xx\"} 1\n"));
    assert_true(has(t, "_total{route=\"none\",reason=\"cut\"} 2\n"));
    assert_true(has(t, "_seconds_count{route=\"/v1/status\"} 3\n"));
    assert_true(has(t, "_seconds_sum{route=\"/v1/status\"} 0.00301\n"));
    assert_false(has(t, "5xx"));
    traffic_free(t);
    traffic_free(NULL);
    assert_int_equal(traffic_rows(NULL, 1, NULL, 0), 0);
    traffic_kept(NULL);
}

static void only_what_is_new_is_kept(void **state) {
    (void)state;
    struct traffic *t = traffic_new();
    struct state_rollup rows[TRAFFIC_ROUTES + 2];
    assert_int_equal(traffic_rows(t, 7, rows, TRAFFIC_ROUTES + 2), 0);
    traffic_observe(t, &routes[0], 200, 1000);
    traffic_observe(t, &routes[0], 500, 3000);
    traffic_observe(t, NULL, 404, 5);
    for (int again = 0; again < 2; again++) { /* not kept yet: the same */
        assert_int_equal(traffic_rows(t, 7, rows, TRAFFIC_ROUTES + 2), 2);
        assert_string_equal(rows[0].key.kind, "http");
        assert_string_equal(rows[0].key.name, "/v1/status");
        assert_int_equal(rows[0].minute, 7);
        assert_int_equal(rows[0].count, 2);
        assert_int_equal(rows[0].errors, 1);
        assert_int_equal(obs_histogram_sum(rows[0].histogram), 4000);
        assert_string_equal(rows[1].key.name, "none");
    }
    traffic_observe(t, &routes[0], 200, 50); /* after the rows were made: not lost */
    traffic_kept(t);
    assert_int_equal(traffic_rows(t, 8, rows, TRAFFIC_ROUTES + 2), 1);
    assert_int_equal(rows[0].count, 1);
    assert_int_equal(rows[0].errors, 0);
    assert_int_equal(obs_histogram_sum(rows[0].histogram), 50);
    traffic_kept(t);
    assert_int_equal(traffic_rows(t, 9, rows, TRAFFIC_ROUTES + 2), 0);
    traffic_observe(t, &routes[1], 200, 1);
    traffic_observe(t, &routes[0], 200, 1);
    assert_int_equal(traffic_rows(t, 9, rows, 1), 1);
    traffic_free(t);
}

enum { THREADS = 4, EACH = 50000, MANY = TRAFFIC_ROUTES + 50 };
static struct http_route many[MANY];

static void *observe(void *t) {
    for (int i = 0; i < EACH; i++)
        traffic_observe(t, &many[i % MANY], 200, i);
    return NULL;
}

static void threads_lose_nothing(void **state) {
    (void)state;
    struct traffic *t = traffic_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < MANY; i++)
        many[i] = (struct http_route){.method = "GET", .path = "/same"};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, observe, t), 0);
    for (int i = 0; i < 5; i++)
        (void)has(t, "x");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    /* The fifty that found no room are together, and not lost. */
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    double requests = 0, took = 0;
    size_t bounds;
    (void)obs_metric_bounds(METRIC_HTTP_LATENCY, &bounds);
    traffic_sample(t, page);
    assert_int_equal(obs_page_count(page), 4); /* two metrics of "/same" and "other" */
    for (size_t i = 0; i < obs_page_count(page); i++) {
        struct obs_series series;
        obs_page_series(page, i, &series);
        assert_true(strcmp(series.labels[0], "/same") == 0 ||
                    strcmp(series.labels[0], "other") == 0);
        if (series.metric == METRIC_HTTP_REQUESTS)
            requests += series.value;
        else
            took += (double)series.cumulative[bounds];
    }
    assert_true(requests == THREADS * EACH && took == THREADS * EACH);
    traffic_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_series),
        cmocka_unit_test(only_what_is_new_is_kept),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}

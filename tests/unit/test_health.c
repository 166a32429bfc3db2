/* What the page says first, and what /health answers. */
#include "admin/collect.h"
#include "admin/health.h"
#include "admin/show.h"
#include "parallel/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct picture picture;
    struct picture_module module;
    struct picture_collection collection;
    struct picture_verification verification;
    struct apply_live live;
    struct health_report report;
};

static int setup(void **state) {
    struct scene *s = test_calloc(1, sizeof *s);
    s->picture = (struct picture){.now_us = 3600000000,
                                  .started_us = 1000000,
                                  .modules = &s->module,
                                  .module_count = 1,
                                  .verifications = &s->verification,
                                  .verification_count = 1};
    s->module = (struct picture_module){
        .live = &s->live, .collections = &s->collection, .collection_count = 1};
    (void)snprintf(s->module.view.name, sizeof s->module.view.name, "shop");
    s->module.view.state = MODULE_STREAMING;
    (void)snprintf(s->collection.stored.name, sizeof s->collection.stored.name, "orders");
    s->collection.stored.phase = STATE_STREAMING;
    s->verification.module = "shop";
    *state = s;
    return 0;
}

static int teardown(void **state) {
    test_free(*state);
    return 0;
}

static void verified(struct scene *s, const char *outcome, int64_t different) {
    s->verification.found = true;
    s->verification.last.different = different;
    s->verification.last.finished_us = s->picture.now_us - 120000000;
    (void)snprintf(s->verification.last.outcome, sizeof s->verification.last.outcome, "%s",
                   outcome);
}

static void words_are(struct scene *s, const char *want) {
    _cleanup_(buf_release) struct buf words = {.max = 4096};
    health_check(&s->picture, &s->report);
    health_words(&s->picture, &s->report, &words);
    assert_string_equal(buf_text(&words), want);
}

static void issue_is(struct scene *s, enum health worst, const char *want) {
    health_check(&s->picture, &s->report);
    assert_int_equal(s->report.worst, worst);
    assert_true(s->report.count >= 1);
    assert_string_equal(s->report.issues[0].words, want);
}

#define BACK " Way back: possible, PostgreSQL is still the source of truth."

static void all_is_well(void **state) {
    struct scene *s = *state;
    s->module.view.now.lag_us = 200000;
    words_are(s, "shop follows PostgreSQL, 0.2 s behind; never verified." BACK);
    verified(s, "equal", 0);
    words_are(s,
              "shop follows PostgreSQL, 0.2 s behind; verified 2 minutes ago, 0 differences." BACK);
    assert_int_equal(s->report.worst, HEALTH_OK);
    assert_int_equal(s->report.count, 0);
}

static void a_copy_says_how_far_it_is(void **state) {
    struct scene *s = *state;
    s->module.view.state = MODULE_COPYING;
    s->module.view.now.documents_copied = 500;
    s->module.view.now.documents_expected = 1000;
    words_are(s, "shop is being copied: 50 %; never verified." BACK);
    s->module.view.now.documents_expected = -1;
    words_are(s, "shop is being copied; never verified." BACK);
}

static void the_worst_comes_first(void **state) {
    struct scene *s = *state;
    s->module.parked = 5; /* two of them are tried again by the run */
    s->module.waiting = 3;
    s->collection.stored.phase = STATE_STOPPED;
    (void)snprintf(s->collection.stored.error, sizeof s->collection.stored.error, "column gone");
    issue_is(s, HEALTH_BAD, "collection orders is stopped: column gone");
    assert_int_equal(s->report.count, 2);
    assert_string_equal(s->report.issues[1].words, "3 documents are parked and wait for a person");
    words_are(
        s, "shop follows PostgreSQL, 0.0 s behind; never verified. 2 things need attention." BACK);
}

static void each_trouble_has_its_words(void **state) {
    struct scene *s = *state;
    s->module.view.now.lag_us = HEALTH_LAG_US + 5000000;
    issue_is(s, HEALTH_BAD, "65 seconds behind the source (limit 60)");
    s->module.view.now.lag_us = HEALTH_LAG_US;
    health_check(&s->picture, &s->report);
    assert_int_equal(s->report.count, 0);
    s->module.view.state = MODULE_PAUSED;
    issue_is(s, HEALTH_WARN, "paused by a person; the source keeps its log meanwhile");
    s->module.view.state = MODULE_FAILED;
    (void)snprintf(s->module.view.error, sizeof s->module.view.error, "no route to host");
    issue_is(s, HEALTH_BAD, "the pipeline does not run: no route to host");
    s->module.view.state = MODULE_STREAMING;
    verified(s, "different", 7);
    issue_is(s, HEALTH_BAD, "the last verification found 7 documents that differ");
}

static void more_issues_than_can_be_shown(void **state) {
    struct scene *s = *state;
    struct picture_collection many[HEALTH_ISSUES_MAX + 5] = {0};
    for (size_t i = 0; i < HEALTH_ISSUES_MAX + 5; i++)
        many[i].stored.phase = STATE_STOPPED;
    s->module.collections = many;
    s->module.collection_count = HEALTH_ISSUES_MAX + 5;
    health_check(&s->picture, &s->report);
    assert_int_equal(s->report.count, HEALTH_ISSUES_MAX);
}

static void answered(struct scene *s, int64_t sql, int64_t mongodb, int64_t rescued,
                     const char *want) {
    struct answered_row rows[] = {{.module = "shop", .kind = "route", .name = "/a", .sql = sql},
                                  {.module = "shop",
                                   .kind = "operation",
                                   .name = "find",
                                   .mongodb = mongodb,
                                   .rescued = rescued},
                                  {.module = "other", .kind = "route", .name = "/b", .sql = 1000}};
    s->picture.routing.count = 1;
    (void)snprintf(s->picture.routing.modules[0].name, ROUTE_NAME_MAX, "shop");
    s->picture.answered = (struct answered){rows, 3};
    words_are(s, want);
}

#define REST "shop follows PostgreSQL, 0.0 s behind; never verified." BACK

static void what_was_measured_comes_first(void **state) {
    struct scene *s = *state;
    answered(s, 62, 38, 0, "38 % of shop reads answered by MongoDB (of 100 in 5 minutes). " REST);
    answered(s, 4, 4, 2,
             "50 % of shop reads answered by MongoDB (of 8 in 5 minutes; PostgreSQL rescued 2 of "
             "them). " REST);
    answered(s, 7, 0, 0, "0 % of shop reads answered by MongoDB (of 7 in 5 minutes). " REST);
    answered(s, 9999, 1, 0,
             "Less than 1 % of shop reads answered by MongoDB (of 10000 in 5 minutes). " REST);
    answered(s, 1, 9999, 0,
             "More than 99 % of shop reads answered by MongoDB (of 10000 in 5 minutes). " REST);
    answered(s, 0, 0, 0, REST); /* no configuration, so no routes: nothing is missed */
}

static void a_name_that_is_too_long_is_found_as_it_is_kept(void **state) {
    struct scene *s = *state;
    char prefix[400];
    struct answered_row row = {.module = "shop", .kind = "route", .sql = 7};
    memset(prefix, 'a', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';
    tally_name(prefix, row.name);
    s->picture.answered = (struct answered){&row, 1};
    assert_int_equal(answered_sum(&s->picture.answered, "shop", "route", prefix).sql, 7);
    prefix[300] = 'b';
    assert_int_equal(answered_sum(&s->picture.answered, "shop", "route", prefix).sql, 0);
}

static void who_reads_nothing_is_told_where_reads_can_be_seen(void **state) {
    struct scene *s = *state;
    struct conf_module module = {.name = {.text = "shop"}, .route_count = 1};
    const struct conf conf = {.modules = &module, .module_count = 1};
    s->picture.conf = &conf;
    answered(s, 0, 0, 0,
             "shop follows PostgreSQL, 0.0 s behind; never verified. Nobody has read shop in the "
             "last 5 minutes." BACK);
}

static void status_is_json(void **state) {
    struct scene *s = *state;
    _cleanup_(buf_release) struct buf out = {.max = 65536};
    struct json_out j;
    verified(s, "equal", 0);
    health_check(&s->picture, &s->report);
    json_out_begin(&j, &out);
    show_status(&s->picture, &s->report, &j);
    json_out_end(&j);
    assert_non_null(strstr(buf_text(&out), "\"now\":\"1970-01-01T01:00:00.000Z\""));
    assert_non_null(strstr(buf_text(&out), "\"state\":\"streaming\""));
    assert_non_null(strstr(buf_text(&out), "\"outcome\":\"equal\""));
}

static void lag_is(struct scene *s, const char *want) {
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    collect_picture(&s->picture, page);
    obs_page_write(page, OBS_PROMETHEUS, &out);
    char line[128];
    (void)snprintf(line, sizeof line, "\nbanyan_lag_seconds{module=\"shop\"} %s\n", want);
    if (!strstr(buf_text(&out), line))
        fail_msg("%s is not in%s", line, strstr(buf_text(&out), "banyan_lag_seconds"));
}

static void what_does_not_run_falls_behind(void **state) {
    struct scene *s = *state;
    s->module.view.now.lag_us = 500000;
    s->module.has_stored = true;
    s->module.stored.checkpoint_us = s->picture.now_us - 90000000;
    lag_is(s, "0.5");
    for (enum module_state down = MODULE_STARTING; down <= MODULE_STOPPED; down++) {
        s->module.view.state = down;
        bool runs = down == MODULE_COPYING || down == MODULE_CATCHING_UP;
        if (down != MODULE_STREAMING)
            lag_is(s, runs ? "0.5" : "90");
    }
    s->module.view.state = MODULE_FAILED; /* before anything was applied */
    s->module.stored.checkpoint_us = 0;
    lag_is(s, "0.5");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_is_well),
        TEST(a_copy_says_how_far_it_is),
        TEST(the_worst_comes_first),
        TEST(each_trouble_has_its_words),
        TEST(more_issues_than_can_be_shown),
        TEST(what_was_measured_comes_first),
        TEST(a_name_that_is_too_long_is_found_as_it_is_kept),
        TEST(who_reads_nothing_is_told_where_reads_can_be_seen),
        TEST(status_is_json),
        TEST(what_does_not_run_falls_behind),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}

/* feature-flags.yml: what is read, where mistakes are, and that what is written reads the same. */
#include "base/mem.h"
#include "flagfile/flagfile.h"
#include "flagfile/zone.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct flagfile *parse(const char *text) {
    struct flagfile *file = NULL;
    struct err err = {0};
    if (flagfile_parse("f.yml", text, strlen(text), FLAGFILE_ANY, &file, &err) < 0)
        fail_msg("%s\n%s", err.text, text);
    return file;
}

#define HEAD "features:\n  - name: a\n    enabled: true\n"

/* The example of the reference, key by key. */
static const char reference[] =
    "features:\n"
    "  - name: orders_mongodb\n"
    "    enabled: true\n"
    "    rollout_percentage: 12.5              # resolution 0.001\n"
    "    enabled_for_users: [user_123]\n"
    "    enabled_for_tenants: [bank_7]\n"
    "    conditions:\n"
    "      - {type: tenant_attribute, attribute: tier, operator: in, value: [enterprise, "
    "premium]}\n"
    "      - {type: user_attribute, attribute: age, operator: \">\", value: 17}\n"
    "      - {type: time_window, start_hour: 22, end_hour: 6}\n"
    "      - {type: custom, name: internal_network, value: 10.0.0.0/8}\n"
    "    match: all\n"
    "    disabled_for_users: []\n"
    "    disabled_for_tenants: []\n"
    "    requires: [customers_mongodb]\n"
    "    bucket_by: user\n"
    "    bucket_group: banking\n"
    "    hash: banyan1\n"
    "    time_zone: Europe/Paris\n"
    "    owner: team-orders\n"
    "    expires: 2027-01-31\n"
    "    module: orders\n"
    "  - {name: customers_mongodb, enabled: false}\n";

static void reads_the_reference(void **state) {
    (void)state;
    struct flagfile *file = parse(reference);
    assert_int_equal(file->format, FLAGFILE_FEATURES);
    assert_int_equal(file->model.flag_count, 2);
    const struct flags_flag *f = &file->model.flags[0];
    assert_string_equal(f->name.ptr, "orders_mongodb");
    assert_true(f->enabled);
    assert_int_equal(f->rollout, 12500);
    assert_int_equal(f->users_on_count, 1);
    assert_string_equal(f->tenants_on[0].ptr, "bank_7");
    assert_int_equal(f->condition_count, 3);
    assert_int_equal(f->conditions[0].subject, FLAGS_TENANT_ATTRIBUTE);
    assert_int_equal(f->conditions[0].op, FLAGS_IN);
    assert_int_equal(f->conditions[0].value_count, 2);
    assert_int_equal(f->conditions[1].op, FLAGS_GREATER);
    assert_true(f->conditions[1].values[0].type == FLAGS_NUMBER);
    assert_true(f->conditions[1].values[0].number == 17);
    assert_int_equal(f->conditions[2].subject, FLAGS_CUSTOM);
    assert_int_equal(f->window_count, 1);
    assert_int_equal(f->windows[0].start_minute, 22 * 60);
    assert_int_equal(f->windows[0].end_minute, 6 * 60);
    assert_string_equal(f->windows[0].zone, "Europe/Paris");
    assert_int_equal(f->require_count, 1);
    assert_int_equal(f->bucketing.by[0].source, FLAGS_BY_USER);
    assert_string_equal(f->bucketing.group.ptr, "banking");
    assert_string_equal(f->owner.ptr, "team-orders");
    assert_string_equal(f->module.ptr, "orders");
    assert_int_equal(f->expires, zone_days(2027, 1, 31));
    assert_int_equal(file->lines[0].first, 2);
    assert_int_equal(file->lines[0].last, 22);
    assert_int_equal(file->lines[1].first, 23);
    assert_false(flagfile_expired(f, zone_days(2027, 1, 31) * INT64_C(86400000000) + 1));
    assert_true(flagfile_expired(f, zone_days(2027, 2, 1) * INT64_C(86400000000)));
    assert_int_equal(file->model.zone_count, 1);
    flagfile_free(file);
}

struct mistake {
    const char *text, *error;
};

static const struct mistake mistakes[] = {
    {"", "f.yml:1:1: the file is empty; 'features' is needed; features: [] is no flags"},
    {"features: 1\n", "f.yml:1:11: 'features' must be a list, not text"},
    {"[]\n", "f.yml:1:1: 'the file' must be a mapping, not a list"},
    {"feature: []\n", "f.yml:1:1: unknown key 'feature', did you mean 'features'?"},
    {"features: [{enabled: true}]\n",
     "f.yml:1:12: features: 'name' is missing; add it: name: orders_mongodb"},
    {"features: [{name: a}]\n",
     "f.yml:1:12: flag 'a': the flag: 'enabled' is missing; add it: enabled: true"},
    {HEAD "    rollout_percentge: 5\n",
     "f.yml:4:5: flag 'a': unknown key 'rollout_percentge', did you mean 'rollout_percentage'?"},
    {HEAD "    rollout_percentage: 100.001\n",
     "f.yml:4:25: flag 'a': 'rollout_percentage' must be a number from 0 to 100 in steps of 0.001, "
     "not 100.001"},
    {HEAD "    rollout_percentage: 12.3456\n",
     "f.yml:4:25: flag 'a': 'rollout_percentage' must be a number from 0 to 100 in steps of 0.001, "
     "not 12.3456"},
    {HEAD "    rollout_percentage: -1\n",
     "f.yml:4:25: flag 'a': 'rollout_percentage' must be a number from 0 to 100 in steps of 0.001, "
     "not -1"},
    {HEAD "    rollout_percentage: \"5\"\n",
     "f.yml:4:25: flag 'a': 'rollout_percentage' must be a number from 0 to 100 in steps of 0.001, "
     "not \"5\""},
    {"features: [{name: a, enabled: yes}]\n",
     "f.yml:1:31: flag 'a': 'enabled' must be true or false, not 'yes'"},
    {HEAD "    conditions: [{type: time_window, start_hour: 6, end_hour: 6}]\n",
     "f.yml:4:63: flag 'a': 'end_hour' equals 'start_hour': the window is empty or the whole day; "
     "0 and 24 are the whole day"},
    {HEAD "    conditions: [{type: time_window, start_hour: 24, end_hour: 6}]\n",
     "f.yml:4:50: flag 'a': 'start_hour' must be a whole number from 0 to 23, not 24"},
    {HEAD "    conditions: [{type: time_windw, start_hour: 6, end_hour: 7}]\n",
     "f.yml:4:25: flag 'a': unknown type 'time_windw', did you mean 'time_window'?"},
    {HEAD "    conditions: [{type: user_attribute, attribute: x, operator: \"=>\", value: 1}]\n",
     "f.yml:4:65: flag 'a': unknown operator '=>'; it is one of =, !=, <, >, in, not_in"},
    {HEAD "    conditions: [{type: user_attribute, attribute: x, operator: in, value: 1}]\n",
     "f.yml:4:76: flag 'a': 'value' of 'in' and 'not_in' must be a list, [a, b], not text"},
    {HEAD "    conditions: [{type: user_attribute, attribute: x, operator: \"<\", value: true}]\n",
     "f.yml:4:77: flag 'a': 'value' of '<' and '>' must be a number or text"},
    {HEAD "    conditions: [{type: custom, name: internal_netwrk, value: 10.0.0.0/8}]\n",
     "f.yml:4:39: flag 'a': unknown custom condition 'internal_netwrk', did you mean "
     "'internal_network'?"},
    {HEAD "    hash: banyan2\n",
     "f.yml:4:11: flag 'a': unknown hash 'banyan2', did you mean 'banyan1'?"},
    {HEAD "    hash: launchdarkly\n",
     "f.yml:4:11: flag 'a': 'hash: launchdarkly' needs 'bucket_group': the flag's key and salt "
     "there, \"key.salt\", or the seed, a number"},
    {HEAD "    time_zone: Europe/Pari\n",
     "f.yml:4:16: flag 'a': unknown time zone 'Europe/Pari'; names are those of "
     "/usr/share/zoneinfo, as Europe/Paris"},
    {HEAD "    time_zone: ../../../etc/passwd\n",
     "f.yml:4:16: flag 'a': unknown time zone '../../../etc/passwd'; names are those of "
     "/usr/share/zoneinfo, as Europe/Paris"},
    {HEAD "    expires: 2027-02-29\n",
     "f.yml:4:14: flag 'a': 'expires' must be a date such as 2027-01-31"},
    {HEAD "    requires: [b]\n",
     "f.yml:4:16: flag 'a': requires 'b', which is no flag of this file"},
    {HEAD "    requires: [a]\n",
     "f.yml:4:16: flag 'a': requires 'a', which requires this flag again: a cycle; remove one of "
     "them"},
    {HEAD "    requires: [orders]\n  - {name: order, enabled: true}\n",
     "f.yml:4:16: flag 'a': requires 'orders', which is no flag of this file, did you mean "
     "'order'?"},
    {HEAD "    requires: [b]\n  - {name: b, enabled: true, requires: [c]}\n"
          "  - {name: c, enabled: true, requires: [a]}\n",
     "f.yml:6:41: flag 'c': requires 'a', which requires this flag again: a cycle; remove one of "
     "them"},
    {HEAD "  - {name: a, enabled: true}\n",
     "f.yml:4:12: flag 'a' is given twice, first at 2:11; remove one"},
    {HEAD "    enabled_for_users: [x, true]\n",
     "f.yml:4:28: flag 'a': 'enabled_for_users' must be text, not true or false; quote it"},
    {HEAD "    enabled_for_users: x\n",
     "f.yml:4:24: flag 'a': 'enabled_for_users' must be a list, not text"},
    {"features:\n  - name: a\n   bad: 1\n", "f.yml:3:"},
};

static void says_where(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct flagfile *file = NULL;
        struct err err = {0};
        const char *text = mistakes[i].text;
        int rc = flagfile_parse("f.yml", text, strlen(text), FLAGFILE_ANY, &file, &err);
        assert_int_equal(rc, ERR_CONF);
        size_t len = strlen(mistakes[i].error);
        bool whole = mistakes[i].error[len - 1] != ':';
        if (whole ? strcmp(err.text, mistakes[i].error) != 0
                  : strncmp(err.text, mistakes[i].error, len) != 0)
            fail_msg("%s\n  said:   %s\n  wanted: %s", text, err.text, mistakes[i].error);
    }
}

/* 0.001 steps come through digits, not through a double. */
static void percentages_are_exact(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t rollout;
    } cases[] = {{"0", 0},        {"0.001", 1},        {"33.333", 33333}, {"99.999", 99999},
                 {"100", 100000}, {"100.000", 100000}, {"5.10", 5100},    {"12.50000", 12500},
                 {"0.29", 290},   {"57.3", 57300}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_(mem_freep) char *text =
            mem_printf(HEAD "    rollout_percentage: %s\n", cases[i].text);
        struct flagfile *file = parse(text);
        assert_int_equal(file->model.flags[0].rollout, cases[i].rollout);
        flagfile_free(file);
    }
}

static void compile(const struct flags_model *model, struct buf *blob) {
    struct err err = {0};
    buf_init(blob, FLAGS_BLOB_MAX);
    if (flags_compile(model, blob, &err) < 0)
        fail_msg("%s", err.text);
}

/* What is written compiles to the same bytes. */
static void check_round_trip(const char *text) {
    _cleanup_(buf_release) struct buf out = {.max = FLAGFILE_MAX}, notes = {.max = 65536};
    _cleanup_(buf_release) struct buf one = {0}, two = {0};
    struct err err = {0};
    struct flagfile *file = parse(text), *again = NULL;
    if (flagfile_write(&file->model, &out, &notes, &err) < 0)
        fail_msg("%s", err.text);
    if (flagfile_parse("again.yml", out.data, out.len, FLAGFILE_FEATURES, &again, &err) < 0)
        fail_msg("%s\n%s", err.text, buf_text(&out));
    compile(&file->model, &one);
    compile(&again->model, &two);
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
        fail_msg("differs:\n%s", buf_text(&out));
    flagfile_free(file);
    flagfile_free(again);
}

static void writes_what_it_reads(void **state) {
    (void)state;
    check_round_trip(reference);
    check_round_trip("features: []\n");
    check_round_trip(
        HEAD
        "    rollout_percentage: 0.007\n    bucket_by: department\n    hash: java31\n"
        "    match: any\n    disabled_for_users: [\"1\", \"true\", \"a: b\", \"\\u00e9\\u0085\"]\n"
        "    conditions:\n"
        "      - {type: user_attribute, attribute: \"x y\", operator: \"!=\", value: \"17\"}\n"
        "      - {type: user_attribute, attribute: ok, operator: \"=\", value: true}\n"
        "      - {type: user_attribute, attribute: n, operator: not_in, value: [1, 2.5, \"2\"]}\n");
    check_round_trip(HEAD "    hash: launchdarkly\n    bucket_group: \"61\"\n"
                          "    rollout_percentage: 10\n");
    check_round_trip(HEAD "    hash: launchdarkly\n    bucket_group: hashKey.saltyA\n"
                          "    rollout_percentage: 10\n    bucket_by: user\n");
    check_round_trip(HEAD "    hash: unleash\n    bucket_group: \"\"\n"
                          "    rollout_percentage: 10\n");
}

/* --- time zones --- */

static int32_t offset_at(const struct flags_zone *z, int64_t at) {
    int32_t offset = z->first_offset;
    for (size_t i = 0; i < z->transition_count && z->transitions[i].at <= at; i++)
        offset = z->transitions[i].offset;
    return offset;
}

static void zones_are_right(void **state) {
    (void)state;
    static const struct {
        const char *zone;
        int64_t at;
        int32_t offset;
    } cases[] = {
        {"Europe/Paris", 1774745999, 3600}, /* 2026-03-29 00:59:59 UTC */
        {"Europe/Paris", 1774746000, 7200}, /* one second later */
        {"Europe/Paris", 1792889999, 7200}, /* 2026-10-25 00:59:59 */
        {"Europe/Paris", 1792890000, 3600},
        {"Europe/Paris", 4087951200, 7200}, /* 2099-07-16: by the rule behind the table */
        {"America/New_York", 1772953199, -18000},
        {"America/New_York", 1772953200, -14400}, /* 2026-03-08 07:00 UTC */
        {"Asia/Kolkata", 1772953200, 19800},
        {"Australia/Sydney", 1767225600, 39600}, /* summer in January */
        {"UTC", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct flags_zone zone;
        struct err err = {0};
        arena_init(&arena, 1024 * 1024);
        if (zone_load(cases[i].zone, &arena, &zone, &err) < 0)
            fail_msg("%s", err.text);
        if (offset_at(&zone, cases[i].at) != cases[i].offset)
            fail_msg("%s at %lld: %d", cases[i].zone, (long long)cases[i].at,
                     offset_at(&zone, cases[i].at));
        arena_release(&arena);
    }
}

static void damaged_zones_are_refused(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf bytes = {.max = 1 << 20};
    struct err err = {0};
    assert_int_equal(flagfile_read("/usr/share/zoneinfo/Europe/Paris", &bytes, &err), 0);
    for (size_t len = 0; len < bytes.len; len++) {
        struct arena arena;
        struct flags_zone zone;
        arena_init(&arena, 1024 * 1024);
        assert_int_equal(zone_parse("z", span_make(bytes.data, len), &arena, &zone, &err),
                         ERR_CONF);
        arena_release(&arena);
    }
}

/* --- a window, through the whole: file, blob, evaluation --- */

static bool is_on(const char *text, const char *user, int64_t at) {
    _cleanup_(buf_release) struct buf blob = {0};
    struct flagfile *file = parse(text);
    struct flags_set set;
    struct flags_result result;
    struct err err = {0};
    compile(&file->model, &blob);
    assert_int_equal(flags_open(blob.data, blob.len, &set, &err), 0);
    struct flags_context context = {.user = span_of(user), .now_us = at * 1000000};
    flags_evaluate(&set, flags_find(&set, SPAN_LIT("a")), &context, &result);
    flagfile_free(file);
    return result.on;
}

static void windows_follow_their_zone(void **state) {
    (void)state;
    static const char text[] =
        HEAD "    rollout_percentage: 100\n    time_zone: Europe/Paris\n"
             "    conditions: [{type: time_window, start_hour: 22, end_hour: 6}]\n";
    /* 2026-07-01 in Paris is UTC+2: 22:00 there is 20:00 UTC. */
    assert_false(is_on(text, "u", 1782935999)); /* 19:59:59 UTC */
    assert_true(is_on(text, "u", 1782936000));  /* 20:00:00: the start is in it */
    assert_true(is_on(text, "u", 1782964799));  /* 03:59:59 */
    assert_false(is_on(text, "u", 1782964800)); /* 04:00:00: the end is not */
    /* 2026-01-01: UTC+1 */
    assert_false(is_on(text, "u", 1767301199)); /* 20:59:59 UTC */
    assert_true(is_on(text, "u", 1767301200));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_reference),       cmocka_unit_test(says_where),
        cmocka_unit_test(percentages_are_exact),     cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(zones_are_right),           cmocka_unit_test(damaged_zones_are_refused),
        cmocka_unit_test(windows_follow_their_zone),
    };
    return cmocka_run_group_tests_name("flagfile", tests, NULL, NULL);
}

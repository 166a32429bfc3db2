/* Flags, compiled and evaluated: the order of decision, conditions, windows, rollouts, rules. */
#include "flags/bucket.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(text) SPAN_LIT(text)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct compiled {
    struct flags_set set;
    struct buf blob;
};

static struct compiled compile(const struct flags_model *model) {
    struct err err = {0};
    struct compiled c = {0};
    buf_init(&c.blob, FLAGS_BLOB_MAX);
    if (flags_compile(model, &c.blob, &err) < 0 ||
        flags_open(c.blob.data, c.blob.len, &c.set, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static struct flags_result evaluate(const struct flags_set *set, const char *name,
                                    const struct flags_context *context) {
    struct flags_result result;
    memset(&result, 0xa5, sizeof result);
    flags_evaluate(set, flags_find(set, span_of(name)), context, &result);
    return result;
}

/* One flag alone. */
static struct flags_result evaluate_one(struct flags_flag flag,
                                        const struct flags_context *context) {
    if (flag.name.len == 0)
        flag.name = S("f");
    struct flags_model model = {.flags = &flag, .flag_count = 1};
    struct compiled c = compile(&model);
    struct flags_result r;
    flags_evaluate(&c.set, 0, context, &r);
    /* The spans point into the blob, which goes now. */
    r.variant = span_is(r.variant, "on") ? S("on") : span_is(r.variant, "off") ? S("off") : S("");
    buf_release(&c.blob);
    return r;
}

#define EXPECT(result, is_on, why)                                                                 \
    do {                                                                                           \
        struct flags_result expect_r = (result);                                                   \
        assert_int_equal(expect_r.error, FLAGS_OK);                                                \
        assert_string_equal(flags_reason_name(expect_r.reason), flags_reason_name(why));           \
        assert_int_equal(expect_r.on, (is_on));                                                    \
        assert_true(expect_r.has_value);                                                           \
        assert_int_equal(expect_r.value.type, FLAGS_BOOL);                                         \
        assert_int_equal(expect_r.value.boolean, (is_on));                                         \
        assert_true(span_is(expect_r.variant, (is_on) ? "on" : "off"));                            \
    } while (0)

static const struct flags_context nobody;
static const struct flags_context user1 = {.user = {"user_1", 6}, .tenant = {"bank_7", 6}};

static void a_switch_is_static(void **state) {
    (void)state;
    struct flags_flag f = {.enabled = true, .rollout = FLAGS_ROLLOUT_ALL};
    EXPECT(evaluate_one(f, &nobody), true, FLAGS_STATIC);
    EXPECT(evaluate_one(f, &user1), true, FLAGS_STATIC);
    f.rollout = 0;
    EXPECT(evaluate_one(f, &user1), false, FLAGS_STATIC);
    f.rollout = FLAGS_ROLLOUT_ALL;
    f.killed = true;
    EXPECT(evaluate_one(f, &user1), false, FLAGS_DISABLED);
    f.killed = f.enabled = false;
    EXPECT(evaluate_one(f, &user1), false, FLAGS_DISABLED);
}

static void an_unknown_flag_is_an_error(void **state) {
    (void)state;
    struct flags_flag f = {.name = S("f"), .enabled = true};
    struct flags_model model = {.flags = &f, .flag_count = 1};
    struct compiled c = compile(&model);
    static const char *const names[] = {"g", "", "ff", "F"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct flags_result r = evaluate(&c.set, names[i], &user1);
        assert_int_equal(r.error, FLAGS_FLAG_NOT_FOUND);
        assert_string_equal(flags_error_name(r.error), "FLAG_NOT_FOUND");
        assert_int_equal(r.reason, FLAGS_ERROR);
        assert_false(r.on || r.has_value);
        assert_non_null(r.detail);
    }
    struct flags_set empty = {0};
    assert_int_equal(flags_count(&empty), 0);
    assert_int_equal(flags_find(&empty, S("f")), FLAGS_NONE);
    assert_int_equal(evaluate(&empty, "f", &user1).error, FLAGS_FLAG_NOT_FOUND);
    buf_release(&c.blob);
}

/* Everything that could decide says the opposite of the step before it: the first one wins. */
static void the_order_of_decision(void **state) {
    (void)state;
    const struct span me = S("user_1"), bank = S("bank_7");
    const struct flags_value gold = {.type = FLAGS_STRING, .text = S("gold")};
    const struct flags_condition condition = {
        .subject = FLAGS_USER_ATTRIBUTE, .attribute = S("tier"), .values = &gold, .value_count = 1};
    const struct flags_window never = {.start_minute = 600, .end_minute = 601};
    const struct flags_attribute tier = {S("tier"), {.type = FLAGS_STRING, .text = S("gold")}};
    const struct flags_context context = {
        .user = me, .tenant = bank, .user_attributes = &tier, .user_attribute_count = 1};
    const struct flags_require require = {.flag = S("base")};
    struct flags_flag flags[2] = {
        {.name = S("base"), .enabled = true, .rollout = 0},
        {.name = S("f"),
         .enabled = false,
         .requires = &require,
         .require_count = 1,
         .users_off = &me,
         .users_off_count = 1,
         .users_on = &me,
         .users_on_count = 1,
         .windows = &never,
         .window_count = 1,
         .conditions = &condition,
         .condition_count = 1,
         .rollout = 0},
    };
    struct flags_flag *f = &flags[1];
    const struct flags_model model = {.flags = flags, .flag_count = 2};
#define STEP(is_on, why)                                                                           \
    do {                                                                                           \
        struct compiled c = compile(&model);                                                       \
        EXPECT(evaluate(&c.set, "f", &context), is_on, why);                                       \
        buf_release(&c.blob);                                                                      \
    } while (0)
    STEP(false, FLAGS_DISABLED);
    f->enabled = true;
    f->users_off_count = 0;
    STEP(false, FLAGS_DEFAULT); /* the required flag is off, though the user is listed */
    flags[0].rollout = FLAGS_ROLLOUT_ALL;
    f->users_off_count = 1;
    STEP(false, FLAGS_TARGETING_MATCH); /* disabled_for beats enabled_for */
    f->users_off_count = 0;
    STEP(true, FLAGS_TARGETING_MATCH); /* listed beats the window */
    f->users_on_count = 0;
    f->rollout = FLAGS_ROLLOUT_ALL;
    STEP(false, FLAGS_DEFAULT); /* the window beats the condition and the rollout */
    f->window_count = 0;
    f->rollout = 0;
    STEP(true, FLAGS_TARGETING_MATCH); /* the condition beats the rollout */
    f->condition_count = 0;
    STEP(false, FLAGS_STATIC);
    f->rollout = FLAGS_ROLLOUT_ALL;
    STEP(true, FLAGS_STATIC);
#undef STEP
}

static void tenants_are_listed_too(void **state) {
    (void)state;
    const struct span bank = S("bank_7"), me = S("user_1"), other = S("user_2");
    struct flags_flag f = {.enabled = true, .tenants_on = &bank, .tenants_on_count = 1};
    EXPECT(evaluate_one(f, &user1), true, FLAGS_TARGETING_MATCH);
    EXPECT(evaluate_one(f, &nobody), false, FLAGS_STATIC);
    /* A user of the tenant's name is not the tenant. */
    EXPECT(evaluate_one(f, &(struct flags_context){.user = S("bank_7")}), false, FLAGS_STATIC);
    f.users_off = &me;
    f.users_off_count = 1;
    EXPECT(evaluate_one(f, &user1), false, FLAGS_TARGETING_MATCH);
    f.users_off = &other;
    EXPECT(evaluate_one(f, &user1), true, FLAGS_TARGETING_MATCH);
    f.users_on = &me;
    f.users_on_count = 1;
    f.tenants_off = &bank;
    f.tenants_off_count = 1;
    f.tenants_on_count = 0;
    EXPECT(evaluate_one(f, &user1), false, FLAGS_TARGETING_MATCH);
}

/* ---- conditions ---- */

static bool holds(enum flags_operator op, const struct flags_value *values, size_t count,
                  const struct flags_attribute *attribute) {
    const struct flags_condition condition = {.subject = FLAGS_USER_ATTRIBUTE,
                                              .attribute = S("a"),
                                              .op = op,
                                              .values = values,
                                              .value_count = count};
    struct flags_flag f = {.enabled = true, .conditions = &condition, .condition_count = 1};
    struct flags_context context = {.user_attributes = attribute,
                                    .user_attribute_count = attribute != NULL};
    return evaluate_one(f, &context).on;
}

#define TEXT(t) ((struct flags_value){.type = FLAGS_STRING, .text = S(t)})
#define NUMBER(n) ((struct flags_value){.type = FLAGS_NUMBER, .number = (n)})
#define BOOLEAN(b) ((struct flags_value){.type = FLAGS_BOOL, .boolean = (b)})
#define NAMED(v) (&(const struct flags_attribute){S("a"), (v)})
#define ONE(op, v, attribute) holds(op, (const struct flags_value[]){v}, 1, attribute)

static void operators_compare_like_with_like(void **state) {
    (void)state;
    assert_true(ONE(FLAGS_EQUAL, TEXT("x"), NAMED(TEXT("x"))));
    assert_false(ONE(FLAGS_EQUAL, TEXT("x"), NAMED(TEXT("X"))));
    assert_false(ONE(FLAGS_EQUAL, TEXT("x"), NAMED(TEXT("x "))));
    assert_true(ONE(FLAGS_NOT_EQUAL, TEXT("x"), NAMED(TEXT("y"))));
    assert_false(ONE(FLAGS_NOT_EQUAL, TEXT("x"), NAMED(TEXT("x"))));
    assert_true(ONE(FLAGS_EQUAL, NUMBER(1.5), NAMED(NUMBER(1.5))));
    assert_true(ONE(FLAGS_EQUAL, NUMBER(0.0), NAMED(NUMBER(-0.0))));
    assert_true(ONE(FLAGS_GREATER, NUMBER(17), NAMED(NUMBER(18))));
    assert_false(ONE(FLAGS_GREATER, NUMBER(17), NAMED(NUMBER(17))));
    assert_true(ONE(FLAGS_LESS, NUMBER(9), NAMED(NUMBER(-10))));
    assert_true(ONE(FLAGS_LESS, TEXT("9"), NAMED(TEXT("10")))); /* bytewise */
    assert_true(ONE(FLAGS_GREATER, TEXT("ab"), NAMED(TEXT("abc"))));
    assert_true(ONE(FLAGS_GREATER, TEXT("z"), NAMED(TEXT("\xc3\xa4"))));
    assert_true(ONE(FLAGS_EQUAL, BOOLEAN(true), NAMED(BOOLEAN(true))));
    assert_true(ONE(FLAGS_NOT_EQUAL, BOOLEAN(true), NAMED(BOOLEAN(false))));
    assert_false(ONE(FLAGS_EQUAL, BOOLEAN(false), NAMED(BOOLEAN(true))));
}

static void a_missing_attribute_and_a_mix_satisfy_nothing(void **state) {
    (void)state;
    for (int op = FLAGS_EQUAL; op <= FLAGS_NOT_IN; op++) {
        bool order = op == FLAGS_LESS || op == FLAGS_GREATER;
        assert_false(ONE((enum flags_operator)op, TEXT("1"), NULL));
        assert_false(ONE((enum flags_operator)op, TEXT("1"), NAMED(NUMBER(1))));
        assert_false(ONE((enum flags_operator)op, NUMBER(2), NAMED(TEXT("1"))));
        assert_false(ONE((enum flags_operator)op, NUMBER(1), NAMED(TEXT("2"))));
        assert_false(ONE((enum flags_operator)op, NUMBER(1), NAMED(BOOLEAN(true))));
        assert_false(ONE((enum flags_operator)op, TEXT("a"),
                         NAMED(((struct flags_value){.type = FLAGS_NULL}))));
        assert_false(ONE((enum flags_operator)op, TEXT("a"),
                         NAMED(((struct flags_value){.type = FLAGS_JSON, .text = S("[\"a\"]")}))));
        if (!order)
            assert_false(ONE((enum flags_operator)op, BOOLEAN(true), NAMED(TEXT("true"))));
        assert_false(
            ONE((enum flags_operator)op, NUMBER(1), NAMED(NUMBER((double)__builtin_nan("")))));
    }
}

static void lists_of_values(void **state) {
    (void)state;
    const struct flags_value tiers[] = {TEXT("premium"), TEXT("enterprise"), NUMBER(7), NUMBER(3),
                                        BOOLEAN(true)};
    assert_true(holds(FLAGS_IN, tiers, 5, NAMED(TEXT("enterprise"))));
    assert_true(holds(FLAGS_IN, tiers, 5, NAMED(NUMBER(3))));
    assert_true(holds(FLAGS_IN, tiers, 5, NAMED(BOOLEAN(true))));
    assert_false(holds(FLAGS_IN, tiers, 5, NAMED(TEXT("7"))));
    assert_true(holds(FLAGS_NOT_IN, tiers, 5, NAMED(TEXT("basic"))));
    assert_false(holds(FLAGS_NOT_IN, tiers, 5, NAMED(NUMBER(7))));
    struct flags_value many[300];
    char texts[300][8];
    for (int i = 0; i < 300; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "t%d", i * 7 % 300);
        many[i] = (struct flags_value){.type = FLAGS_STRING, .text = {texts[i], (size_t)n}};
    }
    for (int i = 0; i < 300; i++) {
        struct flags_attribute a = {S("a"), many[i]};
        assert_true(holds(FLAGS_IN, many, 300, &a));
        assert_false(holds(FLAGS_NOT_IN, many, 300, &a));
    }
    assert_false(holds(FLAGS_IN, many, 300, NAMED(TEXT("t300"))));
    assert_true(holds(FLAGS_NOT_IN, many, 300, NAMED(TEXT("t"))));
}

static void conditions_combine(void **state) {
    (void)state;
    const struct flags_value gold = TEXT("gold"), old = NUMBER(17);
    const struct flags_condition conditions[] = {
        {.subject = FLAGS_TENANT_ATTRIBUTE,
         .attribute = S("tier"),
         .values = &gold,
         .value_count = 1},
        {.subject = FLAGS_USER_ATTRIBUTE,
         .attribute = S("age"),
         .op = FLAGS_GREATER,
         .values = &old,
         .value_count = 1},
    };
    const struct flags_attribute tier = {S("tier"), gold}, age = {S("age"), NUMBER(20)};
    struct flags_flag f = {.enabled = true, .conditions = conditions, .condition_count = 2};
    struct flags_context context = {.tenant_attributes = &tier,
                                    .tenant_attribute_count = 1,
                                    .user_attributes = &age,
                                    .user_attribute_count = 1};
    EXPECT(evaluate_one(f, &context), true, FLAGS_TARGETING_MATCH);
    context.user_attribute_count = 0;
    EXPECT(evaluate_one(f, &context), false, FLAGS_STATIC);
    f.match_any = true;
    EXPECT(evaluate_one(f, &context), true, FLAGS_TARGETING_MATCH);
    /* The tenant's attribute is not the user's. */
    context.user_attributes = &tier;
    context.user_attribute_count = 1;
    context.tenant_attribute_count = 0;
    EXPECT(evaluate_one(f, &context), false, FLAGS_STATIC);
}

static bool in_network(const char *network, const char *ip, enum flags_operator op) {
    const struct flags_value value = {.type = FLAGS_STRING, .text = span_of(network)};
    const struct flags_condition condition = {.subject = FLAGS_CUSTOM,
                                              .attribute = S("internal_network"),
                                              .op = op,
                                              .values = &value,
                                              .value_count = 1};
    const struct flags_attribute a = {S("ip"), {.type = FLAGS_STRING, .text = span_of(ip)}};
    struct flags_flag f = {.enabled = true, .conditions = &condition, .condition_count = 1};
    return evaluate_one(f, &(struct flags_context){.user_attributes = &a,
                                                   .user_attribute_count = ip != NULL})
        .on;
}

static void internal_network_knows_both_kinds(void **state) {
    (void)state;
    static const struct {
        const char *network, *ip;
        bool in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"192.168.4.0/23", "192.168.5.9", true},
        {"192.168.4.0/23", "192.168.6.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"fd00::/8", "fdab::1", true},
        {"fd00::/8", "fe80::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"2001:db8::/127", "2001:db8::1", true},
        {"2001:db8::/127", "2001:db8::2", false},
        {"10.0.0.0/8", "10.1.1", false},
        {"10.0.0.0/8", "", false},
        {"10.0.0.0/8", "10.1.1.1 ", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(in_network(cases[i].network, cases[i].ip, FLAGS_EQUAL), cases[i].in);
    assert_true(in_network("10.0.0.0/8", "11.0.0.1", FLAGS_NOT_EQUAL));
    assert_false(in_network("10.0.0.0/8", "10.0.0.1", FLAGS_NOT_IN));
    assert_false(in_network("10.0.0.0/8", "nonsense", FLAGS_NOT_EQUAL));
    assert_false(in_network("10.0.0.0/8", NULL, FLAGS_NOT_EQUAL));
}

/* ---- windows ---- */

#define MINUTE INT64_C(60000000)

static bool open_at(struct flags_window w, const struct flags_zone *zone, int64_t now_us) {
    struct flags_flag f = {.name = S("f"),
                           .enabled = true,
                           .rollout = FLAGS_ROLLOUT_ALL,
                           .windows = &w,
                           .window_count = 1};
    struct flags_model model = {
        .flags = &f, .flag_count = 1, .zones = zone, .zone_count = zone != NULL};
    struct compiled c = compile(&model);
    bool on = evaluate(&c.set, "f", &(struct flags_context){.now_us = now_us}).on;
    buf_release(&c.blob);
    return on;
}

static void windows_have_their_start_and_not_their_end(void **state) {
    (void)state;
    const struct flags_window day = {.start_minute = 9 * 60, .end_minute = 17 * 60};
    const struct flags_window night = {.start_minute = 22 * 60, .end_minute = 6 * 60};
    const struct flags_window late = {.start_minute = 22 * 60, .end_minute = 1440};
    const struct flags_window early = {.start_minute = 22 * 60, .end_minute = 0};
    static const int64_t days[] = {0, 20000, -20000};
    for (size_t i = 0; i < 3; i++) {
        int64_t d = days[i] * 1440;
#define AT(w, minutes, us) open_at(w, NULL, (d + (minutes)) * MINUTE + (us))
        assert_true(AT(day, 540, 0));
        assert_false(AT(day, 540, -1));
        assert_true(AT(day, 1020, -1));
        assert_false(AT(day, 1020, 0));
        assert_true(AT(night, 1320, 0));
        assert_true(AT(night, 0, 0));
        assert_true(AT(night, 359, 59999999));
        assert_false(AT(night, 360, 0));
        assert_false(AT(night, 1320, -1));
        assert_true(AT(late, 1439, 59999999) && !AT(late, 0, 0) && !AT(late, 1319, 0));
        assert_true(AT(early, 1439, 59999999) && !AT(early, 0, 0) && !AT(early, 1319, 0));
#undef AT
    }
}

static void windows_follow_their_zone(void **state) {
    (void)state;
    /* Paris in 2026: winter + 1 h, summer + 2 h from 29 March 01:00 UTC to 25 October 01:00 UTC. */
    const struct flags_transition changes[] = {{1774746000, 7200}, {1792890000, 3600}};
    const struct flags_zone paris = {.name = "Europe/Paris",
                                     .first_offset = 3600,
                                     .transitions = changes,
                                     .transition_count = 2};
    const struct flags_window day = {
        .start_minute = 9 * 60, .end_minute = 10 * 60, .zone = "Europe/Paris"};
    const int64_t january = INT64_C(1767225600000000), july = INT64_C(1782864000000000),
                  december = INT64_C(1796083200000000);
    assert_false(open_at(day, &paris, january + 7 * 60 * MINUTE));
    assert_true(open_at(day, &paris, january + 8 * 60 * MINUTE));
    assert_true(open_at(day, &paris, july + 7 * 60 * MINUTE));
    assert_false(open_at(day, &paris, july + 8 * 60 * MINUTE));
    assert_true(open_at(day, &paris, december + 8 * 60 * MINUTE));
    /* The very second of the change: 01:00 UTC is 03:00 in Paris. */
    const struct flags_window three = {
        .start_minute = 180, .end_minute = 181, .zone = "Europe/Paris"};
    assert_true(open_at(three, &paris, INT64_C(1774746000000000)));
    assert_false(open_at(three, &paris, INT64_C(1774745999999999)));
}

static void all_windows_must_hold(void **state) {
    (void)state;
    const struct flags_window windows[] = {{.start_minute = 60, .end_minute = 180},
                                           {.start_minute = 120, .end_minute = 240}};
    struct flags_flag f = {
        .enabled = true, .rollout = FLAGS_ROLLOUT_ALL, .windows = windows, .window_count = 2};
    EXPECT(evaluate_one(f, &(struct flags_context){.now_us = 90 * MINUTE}), false, FLAGS_DEFAULT);
    EXPECT(evaluate_one(f, &(struct flags_context){.now_us = 130 * MINUTE}), true, FLAGS_STATIC);
    EXPECT(evaluate_one(f, &(struct flags_context){.now_us = 200 * MINUTE}), false, FLAGS_DEFAULT);
}

/* ---- rollouts ---- */

static struct flags_flag rollout_of(uint32_t rollout, enum flags_hash hash) {
    return (struct flags_flag){
        .name = S("orders_mongodb"),
        .enabled = true,
        .rollout = rollout,
        .bucketing = {.hash = hash, .group = S("orders_mongodb"), .salt = S("salt")}};
}

/* Raising takes more in and turns nobody off; as many are in as were asked for. */
static void rollouts_are_monotone_and_right(void **state) {
    (void)state;
    static const uint32_t steps[] = {0, 1, 500, 1000, 12500, 50000, 90000, 99999, 100000};
    enum { USERS = 20000 };
    static bool before[USERS];
    for (int hash = 0; hash <= FLAGS_HASH_LAUNCHDARKLY; hash++) {
        memset(before, 0, sizeof before);
        for (size_t s = 0; s < COUNT(steps); s++) {
            struct flags_flag f = rollout_of(steps[s], (enum flags_hash)hash);
            struct flags_model model = {.flags = &f, .flag_count = 1};
            struct compiled c = compile(&model);
            int in = 0;
            for (int i = 0; i < USERS; i++) {
                char key[24];
                int n = snprintf(key, sizeof key, "user_%d", i);
                struct flags_context context = {.user = {key, (size_t)n}};
                struct flags_result r;
                flags_evaluate(&c.set, 0, &context, &r);
                assert_true(r.on || !before[i]);
                assert_int_equal(r.reason,
                                 steps[s] == 0 || steps[s] == 100000 ? FLAGS_STATIC : FLAGS_SPLIT);
                before[i] = r.on;
                in += r.on;
            }
            double share = in / (double)USERS * 100000;
            bool whole_percent = hash == FLAGS_HASH_UNLEASH || hash == FLAGS_HASH_JAVA31;
            if (!whole_percent)
                assert_true(share > steps[s] - 1500.0 && share < steps[s] + 1500.0);
            buf_release(&c.blob);
        }
        assert_true(before[0] && before[USERS - 1]);
    }
}

static bool is_in(struct flags_flag f, struct flags_context context) {
    return evaluate_one(f, &context).on;
}

/* The rollout is the bucket of bucket.h, and its edge is exact. */
static void rollouts_end_at_the_bucket(void **state) {
    (void)state;
    const struct flags_context me = {.user = S("user_123")};
    uint32_t bucket =
        bucket_banyan1(bucket_banyan1_seed(S("orders_mongodb")), S("user_123"), 100000);
    assert_true(bucket > 0);
    assert_false(is_in(rollout_of(bucket, FLAGS_HASH_BANYAN1), me));
    assert_true(is_in(rollout_of(bucket + 1, FLAGS_HASH_BANYAN1), me));
    bucket = bucket_java31(S("user_123"));
    assert_false(is_in(rollout_of(bucket * 1000, FLAGS_HASH_JAVA31), me));
    assert_true(is_in(rollout_of(bucket * 1000 + 1, FLAGS_HASH_JAVA31), me));
    bucket = bucket_flagd(S("orders_mongodb"), S("user_123"), 100000);
    assert_false(is_in(rollout_of(bucket, FLAGS_HASH_FLAGD), me));
    assert_true(is_in(rollout_of(bucket + 1, FLAGS_HASH_FLAGD), me));
    bucket = bucket_unleash(S("orders_mongodb"), S("user_123"), 100, 0);
    assert_false(is_in(rollout_of((bucket - 1) * 1000, FLAGS_HASH_UNLEASH), me));
    assert_true(is_in(rollout_of(bucket * 1000, FLAGS_HASH_UNLEASH), me));
    float f = bucket_launchdarkly(S("orders_mongodb.salt."), S("user_123"));
    assert_false(is_in(rollout_of((uint32_t)(f * 100000), FLAGS_HASH_LAUNCHDARKLY), me));
    assert_true(is_in(rollout_of((uint32_t)(f * 100000) + 1, FLAGS_HASH_LAUNCHDARKLY), me));
}

static void nobody_is_out_below_everybody(void **state) {
    (void)state;
    EXPECT(evaluate_one(rollout_of(99999, FLAGS_HASH_BANYAN1), &nobody), false, FLAGS_DEFAULT);
    EXPECT(evaluate_one(rollout_of(100000, FLAGS_HASH_BANYAN1), &nobody), true, FLAGS_STATIC);
    EXPECT(evaluate_one(rollout_of(99999, FLAGS_HASH_UNLEASH), &nobody), false, FLAGS_DEFAULT);
    /* Unleash: a named field that is absent is off at 100 % too. */
    struct flags_flag f = rollout_of(100000, FLAGS_HASH_UNLEASH);
    f.bucketing.needs_key = true;
    assert_false(is_in(f, nobody));
    assert_true(is_in(f, user1));
    /* The reference calls nobody 'anonymous'. */
    uint32_t anonymous = bucket_java31(S("anonymous"));
    assert_false(is_in(rollout_of(anonymous * 1000, FLAGS_HASH_JAVA31), nobody));
    assert_true(is_in(rollout_of(anonymous * 1000 + 1, FLAGS_HASH_JAVA31), nobody));
    /* LaunchDarkly: bucket 0. */
    assert_true(is_in(rollout_of(1, FLAGS_HASH_LAUNCHDARKLY), nobody));
    assert_false(is_in(rollout_of(0, FLAGS_HASH_LAUNCHDARKLY), nobody));
}

static void what_is_bucketed_by(void **state) {
    (void)state;
    uint64_t seed = bucket_banyan1_seed(S("orders_mongodb"));
    struct flags_flag f = rollout_of(1, FLAGS_HASH_BANYAN1);
    const struct flags_attribute session[] = {
        {S("session"), TEXT("user_123")}, {S("number"), NUMBER(-42)}, {S("half"), NUMBER(0.5)}};
    struct flags_context context = {
        .tenant = S("user_123"), .user_attributes = session, .user_attribute_count = 3};
    f.rollout = bucket_banyan1(seed, S("user_123"), 100000) + 1;
    assert_true(is_in(f, context)); /* no user: the tenant */
    f.bucketing.by_count = 1;
    f.bucketing.by[0].source = FLAGS_BY_USER;
    assert_false(is_in(f, context));
    f.bucketing.by[0].source = FLAGS_BY_TENANT;
    assert_true(is_in(f, context));
    f.bucketing.by[0].source = FLAGS_BY_ATTRIBUTE;
    f.bucketing.by[0].attribute = S("session");
    assert_true(is_in(f, context));
    f.bucketing.by[0].attribute = S("absent");
    assert_false(is_in(f, context));
    f.bucketing.by_count = 2;
    f.bucketing.by[1].source = FLAGS_BY_TENANT;
    assert_true(is_in(f, context));
    f.bucketing.by_count = 1;
    f.bucketing.by[0].attribute = S("half");
    f.rollout = 99999;
    assert_false(is_in(f, context)); /* a fraction is no key */
    f.bucketing.by[0].attribute = S("number");
    f.rollout = bucket_banyan1(seed, S("-42"), 100000) + 1;
    assert_true(is_in(f, context));
    f.rollout--;
    assert_false(is_in(f, context));
    f.bucketing.by[0].source = FLAGS_BY_RANDOM;
    f.rollout = 99999;
    assert_false(is_in(f, context));
    int in = 0;
    f.rollout = 10000;
    struct flags_model model = {.flags = &f, .flag_count = 1};
    struct compiled c = compile(&model);
    for (context.random = 1; context.random <= 10000; context.random++)
        in += evaluate(&c.set, "orders_mongodb", &context).on;
    assert_in_range(in, 850, 1150);
    buf_release(&c.blob);
}

static void groups_move_together(void **state) {
    (void)state;
    struct flags_flag flags[3] = {rollout_of(30000, FLAGS_HASH_BANYAN1),
                                  rollout_of(30000, FLAGS_HASH_BANYAN1),
                                  rollout_of(30000, FLAGS_HASH_BANYAN1)};
    flags[0].name = S("a");
    flags[1].name = S("b");
    flags[2].name = S("c");
    flags[2].bucketing.group = (struct span){0}; /* its own name */
    struct flags_model model = {.flags = flags, .flag_count = 3};
    struct compiled c = compile(&model);
    int apart = 0;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int n = snprintf(key, sizeof key, "%d", i);
        struct flags_context context = {.user = {key, (size_t)n}};
        bool a = evaluate(&c.set, "a", &context).on;
        assert_int_equal(a, evaluate(&c.set, "b", &context).on);
        apart += a != evaluate(&c.set, "c", &context).on;
    }
    assert_true(apart > 200);
    buf_release(&c.blob);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_is_static),
        cmocka_unit_test(an_unknown_flag_is_an_error),
        cmocka_unit_test(the_order_of_decision),
        cmocka_unit_test(tenants_are_listed_too),
        cmocka_unit_test(operators_compare_like_with_like),
        cmocka_unit_test(a_missing_attribute_and_a_mix_satisfy_nothing),
        cmocka_unit_test(lists_of_values),
        cmocka_unit_test(conditions_combine),
        cmocka_unit_test(internal_network_knows_both_kinds),
        cmocka_unit_test(windows_have_their_start_and_not_their_end),
        cmocka_unit_test(windows_follow_their_zone),
        cmocka_unit_test(all_windows_must_hold),
        cmocka_unit_test(rollouts_are_monotone_and_right),
        cmocka_unit_test(rollouts_end_at_the_bucket),
        cmocka_unit_test(nobody_is_out_below_everybody),
        cmocka_unit_test(what_is_bucketed_by),
        cmocka_unit_test(groups_move_together),
    };
    return cmocka_run_group_tests_name("flags_evaluate", tests, NULL, NULL);
}

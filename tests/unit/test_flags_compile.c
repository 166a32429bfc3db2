/* Compiling flags: errors that name the flag, limits, equal bytes; requirements, splits, rules;
 * and blobs that are not what they should be. */
#include "flags_node.h"

#include "flags/blob.h"
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

struct fixture {
    struct buf blob;
    struct flags_set set;
    struct err err;
};

static int compile(const struct flags_model *model, struct fixture *f) {
    *f = (struct fixture){0};
    buf_init(&f->blob, FLAGS_BLOB_MAX);
    int r = flags_compile(model, &f->blob, &f->err);
    if (r == 0 && flags_open(f->blob.data, f->blob.len, &f->set, &f->err) < 0)
        fail_msg("%s", f->err.text);
    return r;
}

static void must_compile(const struct flags_model *model, struct fixture *f) {
    if (compile(model, f) < 0)
        fail_msg("%s", f->err.text);
}

static void refused(const struct flags_flag *flags, size_t count, int code, const char *text) {
    struct fixture f;
    const struct flags_model model = {.file = "flags.yml", .flags = flags, .flag_count = count};
    assert_int_equal(compile(&model, &f), code);
    if (!strstr(f.err.text, text))
        fail_msg("%s", f.err.text);
    assert_int_equal(f.blob.len, 0);
    buf_release(&f.blob);
}

static void refused_one(struct flags_flag flag, int code, const char *text) {
    if (!flag.name.ptr)
        flag.name = S("f");
    refused(&flag, 1, code, text);
}

static struct flags_result evaluate(const struct flags_set *set, const char *name,
                                    const struct flags_context *context) {
    struct flags_result r;
    flags_evaluate(set, flags_find(set, span_of(name)), context, &r);
    return r;
}

static const struct flags_context me = {.user = {"user_1", 6}};

static void errors_say_where(void **state) {
    (void)state;
    const struct flags_window w = {.start_minute = 60, .end_minute = 60, .place = {12, 9}};
    const struct flags_flag f = {
        .name = S("orders"), .place = {7, 5}, .windows = &w, .window_count = 1};
    refused(&f, 1, ERR_CONF,
            "flags.yml:12:9: flag orders: a time window starts where it ends: remove it");
    const struct flags_flag g = {.name = S("orders"), .place = {7, 5}, .rollout = 100001};
    refused(&g, 1, ERR_CONF, "flags.yml:7:5: flag orders: the rollout is more than 100 %");
    const struct flags_flag two[] = {{.name = S("a")}, {.name = S("a"), .place = {3, 1}}};
    refused(two, 2, ERR_CONF, "flag a: there are two flags of this name");
    const struct flags_model many = {.flags = &f, .flag_count = FLAGS_MAX + 1};
    struct fixture x;
    assert_int_equal(compile(&many, &x), ERR_LIMIT);
    assert_int_equal(flags_compile(&many, &x.blob, NULL), ERR_LIMIT);
    buf_release(&x.blob);
}

static void names_are_checked(void **state) {
    (void)state;
    static char longest[FLAGS_NAME_MAX + 1];
    memset(longest, 'n', sizeof longest);
    struct flags_flag f = {.name = span_make(longest, FLAGS_NAME_MAX)};
    struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
    assert_int_equal(flags_find(&x.set, f.name), 0);
    buf_release(&x.blob);
    f.name.len++;
    refused(&f, 1, ERR_LIMIT, "more than 256 bytes");
    refused_one((struct flags_flag){.name = {"", 0}}, ERR_CONF, "a flag has no name");
    refused_one((struct flags_flag){.name = S("a\xff")}, ERR_CONF, "not UTF-8");
    refused_one((struct flags_flag){.name = S("a\0b")}, ERR_CONF, "not UTF-8");
    const struct span ids[] = {{longest, sizeof longest}, {"", 0}};
    refused_one((struct flags_flag){.users_on = ids, .users_on_count = 1}, ERR_LIMIT,
                "a listed user or tenant has a name of more than 256 bytes");
    refused_one((struct flags_flag){.tenants_off = &ids[1], .tenants_off_count = 1}, ERR_CONF,
                "a listed user or tenant has no name");
}

static void conditions_are_checked(void **state) {
    (void)state;
    const struct flags_value text = {.type = FLAGS_STRING, .text = S("x")},
                             yes = {.type = FLAGS_BOOL, .boolean = true},
                             json = {.type = FLAGS_JSON, .text = S("[]")},
                             nan = {.type = FLAGS_NUMBER, .number = (double)__builtin_nan("")},
                             net = {.type = FLAGS_STRING, .text = S("10.0.0.1/8")};
    static const struct flags_value many[FLAGS_VALUES_MAX + 1];
    struct flags_condition c = {.attribute = S("a"), .values = &text, .value_count = 1};
    const struct flags_flag f = {.name = S("f"), .conditions = &c, .condition_count = 1};
#define REFUSED(code, text) refused(&f, 1, code, text)
    c.value_count = 0;
    REFUSED(ERR_CONF, "without a value");
    c.values = many;
    c.value_count = COUNT(many);
    REFUSED(ERR_LIMIT, "more than 100000 values");
    c.value_count = 2;
    c.op = FLAGS_LESS;
    REFUSED(ERR_CONF, "one number or one text");
    c.value_count = 1;
    c.values = &yes;
    REFUSED(ERR_CONF, "one number or one text");
    c.op = FLAGS_EQUAL;
    c.values = &json;
    REFUSED(ERR_CONF, "text, a number, true or false");
    c.values = &nan;
    REFUSED(ERR_CONF, "not a finite number");
    c.values = &text;
    c.attribute = S("");
    REFUSED(ERR_CONF, "an attribute of a condition has no name");
    c.subject = FLAGS_CUSTOM;
    c.attribute = S("is_admin");
    REFUSED(ERR_CONF, "custom condition is_admin is not known: there is internal_network");
    c.attribute = S("internal_network");
    REFUSED(ERR_CONF, "internal_network: not an address");
    c.values = &net;
    REFUSED(ERR_CONF, "bits are set behind the prefix");
    static const char *const networks[] = {
        "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.0/8x", "/8", "", "::/0008"};
    for (size_t i = 0; i < COUNT(networks); i++) {
        const struct flags_value v = {.type = FLAGS_STRING, .text = span_of(networks[i])};
        c.values = &v;
        REFUSED(ERR_CONF, "flag f: custom condition internal_network: not a");
    }
    c.values = &yes;
    REFUSED(ERR_CONF, "not text such as");
#undef REFUSED
}

static void windows_and_zones_are_checked(void **state) {
    (void)state;
    const struct flags_window late = {.start_minute = 1440, .end_minute = 1},
                              whole = {.start_minute = 0, .end_minute = 1440},
                              mars = {.start_minute = 0, .end_minute = 1, .zone = "Mars/Olympus"};
    refused_one((struct flags_flag){.windows = &late, .window_count = 1}, ERR_CONF, "its day");
    refused_one((struct flags_flag){.windows = &whole, .window_count = 1}, ERR_CONF,
                "starts where it ends");
    refused_one((struct flags_flag){.windows = &mars, .window_count = 1}, ERR_CONF,
                "time zone Mars/Olympus is not known");
    refused_one((struct flags_flag){.windows = &mars, .window_count = FLAGS_WINDOWS_MAX + 1},
                ERR_LIMIT, "more than 100 time windows");
    const struct flags_transition back[] = {{5, 0}, {5, 3600}};
    const struct flags_zone zones[] = {
        {.name = "A", .transitions = back, .transition_count = 2}, {.name = "B"}, {.name = "B"}};
    struct fixture x;
    struct flags_model model = {.zones = zones, .zone_count = 1};
    assert_int_equal(compile(&model, &x), ERR_CONF);
    assert_string_equal(x.err.text, "time zone A: changes are not in order");
    buf_release(&x.blob);
    model.zones++;
    model.zone_count = 2;
    assert_int_equal(compile(&model, &x), ERR_CONF);
    assert_string_equal(x.err.text, "time zone B is there twice");
    buf_release(&x.blob);
}

static void variants_are_checked(void **state) {
    (void)state;
    const struct flags_variant v[] = {{S("a"), {.type = FLAGS_BOOL}},
                                      {S("b"), {.type = FLAGS_BOOL}},
                                      {S("a"), {.type = FLAGS_BOOL}}};
    refused_one((struct flags_flag){.variants = v, .variant_count = 3, .on_variant = S("a")},
                ERR_CONF, "there are two variants a");
    refused_one((struct flags_flag){.variants = v, .variant_count = 2}, ERR_CONF,
                "nothing says which one on gives");
    refused_one((struct flags_flag){.variants = v, .variant_count = 2, .on_variant = S("c")},
                ERR_CONF, "there is no variant c");
    const struct flags_weight none[] = {{S("a"), 0}, {S("b"), 0}};
    refused_one(
        (struct flags_flag){.variants = v, .variant_count = 2, .split = none, .split_count = 2},
        ERR_CONF, "add up to 0");
    const struct flags_weight much[] = {{S("a"), INT32_MAX}, {S("b"), 1}};
    refused_one(
        (struct flags_flag){.variants = v, .variant_count = 2, .split = much, .split_count = 2},
        ERR_CONF, "more than 2147483647");
    refused_one((struct flags_flag){.variants = v,
                                    .variant_count = 2,
                                    .split = much,
                                    .split_count = 1,
                                    .split_bucketing = {.hash = FLAGS_HASH_JAVA31}},
                ERR_CONF, "java31 cannot draw");
}

/* ---- requirements ---- */

static void requirements_have_no_cycles(void **state) {
    (void)state;
    const struct flags_require a = {.flag = S("a")}, b = {.flag = S("b")}, c = {.flag = S("c")},
                               gone = {.flag = S("gone"), .place = {9, 3}};
    const struct flags_flag self = {.name = S("a"), .requires = &a, .require_count = 1};
    refused(&self, 1, ERR_CONF, "flag a: it requires flag a, which requires it in turn");
    const struct flags_flag ring[] = {{.name = S("a"), .requires = &b, .require_count = 1},
                                      {.name = S("b"), .requires = &c, .require_count = 1},
                                      {.name = S("c"), .requires = &a, .require_count = 1}};
    refused(ring, 3, ERR_CONF, "flag c: it requires flag a, which requires it in turn");
    const struct flags_flag lost = {.name = S("a"), .requires = &gone, .require_count = 1};
    refused(&lost, 1, ERR_CONF, "flags.yml:9:3: flag a: it requires flag gone, which does not");
}

/* A chain of flags, each requiring the one before. */
static void chain(int length, int off, struct fixture *ret_fixture, int expected) {
    struct flags_flag flags[FLAGS_REQUIRES_MAX + 2] = {0};
    struct flags_require requires[FLAGS_REQUIRES_MAX + 2] = {0};
    char names[FLAGS_REQUIRES_MAX + 2][8];
    for (int i = 0; i < length; i++) {
        int n = snprintf(names[i], sizeof names[i], "f%d", i);
        flags[i] = (struct flags_flag){
            .name = {names[i], (size_t)n}, .enabled = i != off, .rollout = FLAGS_ROLLOUT_ALL};
        if (i) {
            requires[i].flag = flags[i - 1].name;
            flags[i].requires = &requires[i];
            flags[i].require_count = 1;
        }
    }
    const struct flags_model model = {.flags = flags, .flag_count = (size_t)length};
    assert_int_equal(compile(&model, ret_fixture), expected);
}

static void requirements_reach_through_others(void **state) {
    (void)state;
    struct fixture x;
    char last[8];
    snprintf(last, sizeof last, "f%d", FLAGS_REQUIRES_MAX);
    chain(FLAGS_REQUIRES_MAX + 1, -1, &x, 0);
    assert_true(evaluate(&x.set, last, &me).on);
    buf_release(&x.blob);
    chain(FLAGS_REQUIRES_MAX + 1, 0, &x, 0);
    struct flags_result r = evaluate(&x.set, last, &me);
    assert_true(!r.on && r.has_value && r.reason == FLAGS_DEFAULT);
    assert_int_equal(evaluate(&x.set, "f0", &me).reason, FLAGS_DISABLED);
    buf_release(&x.blob);
    chain(FLAGS_REQUIRES_MAX + 2, -1, &x, ERR_LIMIT);
    assert_non_null(strstr(x.err.text, "64"));
    buf_release(&x.blob);
}

/* 2^n ways through, each flag looked at once. */
static void requirements_of_many_ways_are_taken_once(void **state) {
    (void)state;
    enum { ROWS = 31 };
    struct flags_flag flags[ROWS * 2] = {0};
    struct flags_require requires[ROWS][2];
    char names[ROWS * 2][8];
    for (int i = 0; i < ROWS * 2; i++) {
        int n = snprintf(names[i], sizeof names[i], "f%02d", i);
        flags[i] = (struct flags_flag){
            .name = {names[i], (size_t)n}, .enabled = true, .rollout = FLAGS_ROLLOUT_ALL};
        requires[i / 2][i % 2] = (struct flags_require){.flag = flags[i].name};
        if (i >= 2) {
            flags[i].requires = requires[i / 2 - 1];
            flags[i].require_count = 2;
        }
    }
    const struct flags_model model = {.flags = flags, .flag_count = ROWS * 2};
    struct fixture x;
    must_compile(&model, &x);
    assert_true(evaluate(&x.set, "f61", &me).on);
    buf_release(&x.blob);
}

static void a_requirement_may_name_a_variant(void **state) {
    (void)state;
    const struct flags_variant v[] = {{S("red"), {.type = FLAGS_STRING, .text = S("r")}},
                                      {S("blue"), {.type = FLAGS_STRING, .text = S("b")}}};
    struct flags_require red = {.flag = S("a"), .variant = S("red")};
    struct flags_flag flags[] = {{.name = S("a"),
                                  .enabled = true,
                                  .variants = v,
                                  .variant_count = 2,
                                  .on_variant = S("red"),
                                  .off_variant = S("blue"),
                                  .rollout = FLAGS_ROLLOUT_ALL},
                                 {.name = S("b"),
                                  .enabled = true,
                                  .rollout = FLAGS_ROLLOUT_ALL,
                                  .requires = &red,
                                  .require_count = 1}};
    const struct flags_model model = {.flags = flags, .flag_count = 2};
    static const struct {
        uint32_t rollout;
        bool enabled;
        const char *variant;
        bool on;
    } cases[] = {{FLAGS_ROLLOUT_ALL, true, "red", true},
                 {FLAGS_ROLLOUT_ALL, true, "blue", false},
                 {0, true, "blue", true},
                 {0, true, "red", false},
                 {0, false, "blue", false}, /* switched off gives blue, but does not count */
                 {FLAGS_ROLLOUT_ALL, true, "", true},
                 {0, true, "", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture x;
        flags[0].rollout = cases[i].rollout;
        flags[0].enabled = cases[i].enabled;
        red.variant = span_of(cases[i].variant);
        must_compile(&model, &x);
        assert_int_equal(evaluate(&x.set, "b", &me).on, cases[i].on);
        buf_release(&x.blob);
    }
    red.variant = S("green");
    refused(flags, 2, ERR_CONF, "flag a: there is no variant green");
}

/* ---- splits and rules ---- */

static const struct flags_variant colours[] = {
    {S("red"), {.type = FLAGS_STRING, .text = S("r")}},
    {S("green"), {.type = FLAGS_NUMBER, .number = 2.5, .text = S("2.50")}},
    {S("blue"), {.type = FLAGS_JSON, .text = S("{\"a\":1}")}},
};

static void splits_follow_their_weights(void **state) {
    (void)state;
    enum { USERS = 10000 };
    static const struct flags_weight weights[] = {
        {S("red"), 200}, {S("green"), 0}, {S("blue"), 800}};
    struct flags_flag f = {.name = S("colour"),
                           .enabled = true,
                           .variants = colours,
                           .variant_count = 3,
                           .rollout = 50000,
                           .split = weights,
                           .split_count = 3};
    static const enum flags_hash hashes[] = {FLAGS_HASH_BANYAN1, FLAGS_HASH_FLAGD,
                                             FLAGS_HASH_UNLEASH};
    for (size_t h = 0; h < COUNT(hashes); h++) {
        struct fixture x;
        const struct flags_model model = {.flags = &f, .flag_count = 1};
        int red = 0, on = 0;
        f.bucketing.hash = f.split_bucketing.hash = hashes[h];
        f.split_bucketing.seed = 86028157;
        must_compile(&model, &x);
        for (int i = 0; i < USERS; i++) {
            char key[24];
            int n = snprintf(key, sizeof key, "user_%d", i);
            struct flags_context context = {.user = {key, (size_t)n}};
            struct flags_result r = evaluate(&x.set, "colour", &context);
            assert_int_equal(r.reason, FLAGS_SPLIT);
            assert_int_equal(r.on, r.has_value); /* off gives no variant here */
            on += r.on;
            red += span_is(r.variant, "red");
            assert_false(span_is(r.variant, "green"));
            if (hashes[h] == FLAGS_HASH_UNLEASH && r.on)
                assert_int_equal(span_is(r.variant, "red"),
                                 bucket_unleash(S("colour"), context.user, 1000, 86028157) <= 200);
        }
        assert_in_range(on, 4700, 5300);
        assert_in_range(red, 850, 1150); /* a fifth of those who are in, not all of the first */
        buf_release(&x.blob);
    }
}

static void launchdarkly_splits_give_the_rest_to_the_last(void **state) {
    (void)state;
    const struct flags_weight weights[] = {{S("red"), 42157}, {S("green"), 1}, {S("blue"), 1}};
    const struct flags_flag f = {
        .name = S("hashKey"),
        .enabled = true,
        .variants = colours,
        .variant_count = 3,
        .rollout = FLAGS_ROLLOUT_ALL,
        .split = weights,
        .split_count = 3,
        .split_bucketing = {.hash = FLAGS_HASH_LAUNCHDARKLY, .salt = S("saltyA")}};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
#define DRAWN(key) evaluate(&x.set, "hashKey", &(struct flags_context){.user = S(key)}).variant
    assert_true(span_is(DRAWN("userKeyA"), "green")); /* 0.42157587 */
    assert_true(span_is(DRAWN("userKeyB"), "blue"));  /* 0.6708485: past the sum */
    assert_true(span_is(DRAWN("userKeyC"), "red"));   /* 0.10343106 */
    assert_true(span_is(DRAWN(""), "red"));           /* nobody: bucket 0 */
#undef DRAWN
    struct flags_result r =
        evaluate(&x.set, "hashKey", &(struct flags_context){.user = S("userKeyA")});
    assert_true(r.value.type == FLAGS_NUMBER && r.value.number == 2.5);
    assert_true(span_is(r.value.text, "2.50"));
    buf_release(&x.blob);
}

static void the_first_rule_that_says_yes(void **state) {
    (void)state;
    const struct flags_value gold = {.type = FLAGS_STRING, .text = S("gold")};
    const struct flags_condition tier = {.attribute = S("tier"), .values = &gold, .value_count = 1};
    const struct flags_member arguments[] = {
        {.value = &(struct flags_node){.type = FLAGS_NODE_STRING, .text = S("email")}}};
    const struct flags_node email = {.type = FLAGS_NODE_LIST, .in = arguments, .count = 1};
    const struct flags_member var = {S("var"), &email};
    const struct flags_node has_email = {.type = FLAGS_NODE_OBJECT, .in = &var, .count = 1};
    struct flags_rule rules[] = {
        {.conditions = &tier, .condition_count = 1, .rollout = 0, .variant = S("red")},
        {.when = &has_email, .rollout = FLAGS_ROLLOUT_ALL, .variant = S("green")},
        {.rollout = FLAGS_ROLLOUT_ALL, .variant = S("blue")},
    };
    struct flags_flag f = {.name = S("f"),
                           .enabled = true,
                           .variants = colours,
                           .variant_count = 3,
                           .rules = rules,
                           .rule_count = 3,
                           .rules_only = true};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    const struct flags_attribute both[] = {{S("tier"), gold},
                                           {S("email"), {.type = FLAGS_STRING, .text = S("a@b")}}};
    struct flags_context context = {
        .user = S("u"), .user_attributes = both, .user_attribute_count = 2};
    struct fixture x;
#define EXPECT(name, why)                                                                          \
    do {                                                                                           \
        must_compile(&model, &x);                                                                  \
        struct flags_result expect_r = evaluate(&x.set, "f", &context);                            \
        assert_int_equal(expect_r.error, FLAGS_OK);                                                \
        assert_true(span_is(expect_r.variant, name));                                              \
        assert_int_equal(expect_r.reason, why);                                                    \
        buf_release(&x.blob);                                                                      \
    } while (0)
    EXPECT("green", FLAGS_TARGETING_MATCH); /* the first holds, but takes nobody in */
    rules[0].otherwise_off = true;
    EXPECT("", FLAGS_TARGETING_MATCH);
    rules[0].rollout = FLAGS_ROLLOUT_ALL;
    EXPECT("red", FLAGS_TARGETING_MATCH);
    context.user_attribute_count = 0;
    EXPECT("blue", FLAGS_STATIC);
    f.rule_count = 2;
    EXPECT("", FLAGS_DEFAULT);
    f.off_variant = S("blue");
    EXPECT("blue", FLAGS_DEFAULT);
    f.rule_count = 0;
    EXPECT("blue", FLAGS_DEFAULT);
#undef EXPECT
}

static void flagd_flags_may_carry_no_value(void **state) {
    (void)state;
    struct flags_flag f = {.name = S("f"),
                           .enabled = true,
                           .variants = colours,
                           .variant_count = 3,
                           .off_variant = S("blue"),
                           .fixed = true,
                           .no_value_when_off = true};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
    struct flags_result r = evaluate(&x.set, "f", &me);
    assert_true(r.has_value && !r.on && r.reason == FLAGS_STATIC);
    assert_true(r.value.type == FLAGS_JSON && span_is(r.value.text, "{\"a\":1}"));
    buf_release(&x.blob);
    f.off_variant = (struct span){0};
    must_compile(&model, &x);
    r = evaluate(&x.set, "f", &me);
    assert_true(!r.has_value && r.reason == FLAGS_DEFAULT && r.error == FLAGS_OK);
    buf_release(&x.blob);
    f.off_variant = S("blue");
    f.enabled = false;
    must_compile(&model, &x);
    r = evaluate(&x.set, "f", &me);
    assert_true(!r.has_value && r.variant.len == 0 && r.reason == FLAGS_DISABLED);
    buf_release(&x.blob);
}

/* ---- the blob ---- */

static void make_many(struct flags_flag *flags, char (*names)[16], size_t count, bool backwards) {
    for (size_t i = 0; i < count; i++) {
        size_t number = backwards ? count - 1 - i : i;
        int n = snprintf(names[i], 16, "flag_%zu", number);
        flags[i] = (struct flags_flag){.name = {names[i], (size_t)n},
                                       .enabled = true,
                                       .owner = S("team"),
                                       .module = S("orders"),
                                       .metadata = S("{}"),
                                       .expires = 20000,
                                       .rollout = (uint32_t)(number % 3 * 50000)};
    }
}

static void equal_models_give_equal_bytes(void **state) {
    (void)state;
    enum { FLAGS = 10000 };
    static struct flags_flag flags[FLAGS];
    static char names[FLAGS][16];
    struct flags_model model = {
        .flags = flags, .flag_count = FLAGS, .version = 77, .metadata = S("{\"v\":1}")};
    struct fixture a, b;
    make_many(flags, names, FLAGS, false);
    must_compile(&model, &a);
    make_many(flags, names, FLAGS, true);
    must_compile(&model, &b);
    assert_int_equal(a.blob.len, b.blob.len);
    assert_memory_equal(a.blob.data, b.blob.data, a.blob.len);
    assert_int_equal(flags_count(&a.set), FLAGS);
    assert_int_equal(blob_head(&a.set)->version, 77);
    assert_true(span_is(flags_metadata(&a.set), "{\"v\":1}"));
    for (uint32_t i = 0; i < FLAGS; i++) {
        struct flags_info info;
        flags_describe(&a.set, i, &info);
        assert_int_equal(flags_find(&a.set, info.name), i);
        assert_true(info.enabled && !info.killed && info.expires == 20000 && info.variants == 2);
        assert_true(span_is(info.owner, "team") && span_is(info.module, "orders"));
        assert_int_equal(flags_find(&a.set, flags[i].name) == FLAGS_NONE, false);
    }
    assert_int_equal(flags_find(&a.set, S("flag_10000")), FLAGS_NONE);
    model.version++;
    buf_release(&b.blob);
    must_compile(&model, &b);
    assert_int_equal(blob_head(&b.set)->version, 78);
    buf_release(&a.blob);
    buf_release(&b.blob);
}

/* Variants, rules, texts: a flag more costs its name, its own struct and its place in the index. */
static void what_is_the_same_is_there_once(void **state) {
    (void)state;
    enum { FLAGS = 8192 };
    static struct flags_flag flags[FLAGS];
    static char names[FLAGS][16];
    struct fixture half, whole;
    make_many(flags, names, FLAGS, false);
    for (size_t i = 0; i < FLAGS; i++)
        flags[i].rollout = FLAGS_ROLLOUT_ALL; /* a percentage is salted by the name */
    must_compile(&(struct flags_model){.flags = flags, .flag_count = FLAGS / 2}, &half);
    must_compile(&(struct flags_model){.flags = flags, .flag_count = FLAGS}, &whole);
    size_t more = (whole.blob.len - half.blob.len) / (FLAGS / 2);
    assert_in_range(more, 1, sizeof(struct blob_flag) + 2 * sizeof(struct blob_slot) + 16);
    buf_release(&half.blob);
    buf_release(&whole.blob);
}

/* Each flag names the one list again, and each is checked: that is no forged blob. */
static void many_flags_share_a_list(void **state) {
    (void)state;
    enum { FLAGS = 5000, CODES = 500 };
    static struct flags_flag flags[FLAGS];
    static char names[FLAGS][16], codes[CODES][8];
    static struct flags_value values[CODES];
    for (int i = 0; i < CODES; i++) {
        int n = snprintf(codes[i], sizeof codes[i], "c%03d", i);
        values[i] =
            (struct flags_value){.type = FLAGS_STRING, .text = span_make(codes[i], (size_t)n)};
    }
    const struct flags_condition in = {
        .attribute = S("country"), .op = FLAGS_IN, .values = values, .value_count = CODES};
    make_many(flags, names, FLAGS, false);
    for (int i = 0; i < FLAGS; i++) {
        flags[i].conditions = &in;
        flags[i].condition_count = 1;
    }
    struct fixture x;
    must_compile(&(struct flags_model){.flags = flags, .flag_count = FLAGS}, &x);
    assert_in_range(x.blob.len / sizeof(struct blob_text), 1, (size_t)FLAGS * CODES / 8);
    const struct flags_attribute there = {.name = S("country"),
                                          .value = {.type = FLAGS_STRING, .text = S("c499")}};
    const struct flags_context context = {
        .user = S("u"), .user_attributes = &there, .user_attribute_count = 1};
    assert_true(evaluate(&x.set, names[FLAGS - 1], &context).on);
    buf_release(&x.blob);
}

/* The same for targeting: segments that many flags name. */
static void many_flags_share_a_targeting(void **state) {
    (void)state;
    enum { FLAGS = 5000 };
    static struct flags_flag flags[FLAGS];
    static char names[FLAGS][16];
    static const char segment[] =
        "{\"in\":[{\"var\":\"n\"},[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
        "25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50]]}";
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const struct flags_node *when = node_parse(span_of(segment), &arena);
    assert_non_null(when);
    const struct flags_rule rule = {.when = when, .rollout = FLAGS_ROLLOUT_ALL};
    make_many(flags, names, FLAGS, false);
    for (int i = 0; i < FLAGS; i++) {
        flags[i].rules = &rule;
        flags[i].rule_count = 1;
        flags[i].rules_only = true;
    }
    struct fixture x;
    must_compile(&(struct flags_model){.flags = flags, .flag_count = FLAGS}, &x);
    assert_in_range(x.blob.len / sizeof(struct blob_node), 1, (size_t)FLAGS * 50 / 4);
    buf_release(&x.blob);
    arena_release(&arena);
}

static void a_hundred_thousand_users_are_listed(void **state) {
    (void)state;
    enum { USERS = 100000 };
    static struct span on[USERS], off[USERS];
    static char ids[USERS * 2][16];
    for (int i = 0; i < USERS * 2; i++) {
        int n = snprintf(ids[i], sizeof ids[i], "user_%d", i);
        (i % 2 ? off : on)[i / 2] = span_make(ids[i], (size_t)n);
    }
    const struct flags_flag f = {.name = S("f"),
                                 .enabled = true,
                                 .users_on = on,
                                 .users_on_count = USERS,
                                 .users_off = off,
                                 .users_off_count = USERS};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
    for (int i = 0; i < USERS * 2; i++) {
        struct flags_result r =
            evaluate(&x.set, "f", &(struct flags_context){.user = span_of(ids[i])});
        assert_int_equal(r.on, i % 2 == 0);
        assert_int_equal(r.reason, FLAGS_TARGETING_MATCH);
    }
    assert_int_equal(
        evaluate(&x.set, "f", &(struct flags_context){.user = S("user_200000")}).reason,
        FLAGS_STATIC);
    buf_release(&x.blob);
    refused_one((struct flags_flag){.users_on = on, .users_on_count = FLAGS_LISTED_MAX + 1},
                ERR_LIMIT, "more than 1000000 users and tenants");
    refused_one(
        (struct flags_flag){
            .users_on = on, .users_on_count = SIZE_MAX, .users_off = on, .users_off_count = 2},
        ERR_LIMIT, "more than 1000000 users and tenants");
}

static void a_blob_has_a_limit(void **state) {
    (void)state;
    const struct flags_flag f = {.name = S("f"), .enabled = true};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
    size_t len = x.blob.len;
    buf_release(&x.blob);
    for (size_t max = 0; max <= len; max++) {
        struct buf blob;
        struct err err;
        buf_init(&blob, max);
        assert_int_equal(flags_compile(&model, &blob, &err), max < len ? ERR_LIMIT : 0);
        if (max < len)
            assert_non_null(strstr(err.text, "the flags need more than"));
        buf_release(&blob);
    }
}

static void expect_closed(const void *bytes, size_t len, const char *text) {
    struct flags_set set = {(const unsigned char *)"x", 1};
    struct err err = {0};
    assert_int_equal(flags_open(bytes, len, &set, &err), ERR_STATE);
    if (!strstr(err.text, text))
        fail_msg("%s", err.text);
    assert_int_equal(set.len, 1); /* untouched */
}

static void damaged_blobs_are_not_opened(void **state) {
    (void)state;
    const struct flags_flag f = {.name = S("f"), .enabled = true};
    const struct flags_model model = {.flags = &f, .flag_count = 1};
    struct fixture x;
    must_compile(&model, &x);
    size_t len = x.blob.len;
    unsigned char *copy = malloc(len + 8);
    assert_non_null(copy);
    memcpy(copy, x.blob.data, len);
    for (size_t n = 0; n < len; n++) {
        unsigned char *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, copy, n);
        expect_closed(cut, n, "cannot use the compiled flags: the");
        free(cut);
    }
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            copy[i] = (unsigned char)(copy[i] ^ 1 << bit);
            expect_closed(copy, len, "cannot use the compiled flags: the");
            copy[i] = (unsigned char)(copy[i] ^ 1 << bit);
        }
    }
    struct blob_header *head = (struct blob_header *)copy;
    head->layout++;
    expect_closed(copy, len, "another version of banyan");
    head->layout--;
    memmove(copy + 4, copy, len);
    expect_closed(copy + 4, len, "address divisible by 8");
    free(copy);
    buf_release(&x.blob);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(conditions_are_checked),
        cmocka_unit_test(windows_and_zones_are_checked),
        cmocka_unit_test(variants_are_checked),
        cmocka_unit_test(requirements_have_no_cycles),
        cmocka_unit_test(requirements_reach_through_others),
        cmocka_unit_test(requirements_of_many_ways_are_taken_once),
        cmocka_unit_test(a_requirement_may_name_a_variant),
        cmocka_unit_test(splits_follow_their_weights),
        cmocka_unit_test(launchdarkly_splits_give_the_rest_to_the_last),
        cmocka_unit_test(the_first_rule_that_says_yes),
        cmocka_unit_test(flagd_flags_may_carry_no_value),
        cmocka_unit_test(equal_models_give_equal_bytes),
        cmocka_unit_test(what_is_the_same_is_there_once),
        cmocka_unit_test(many_flags_share_a_list),
        cmocka_unit_test(many_flags_share_a_targeting),
        cmocka_unit_test(a_hundred_thousand_users_are_listed),
        cmocka_unit_test(a_blob_has_a_limit),
        cmocka_unit_test(damaged_blobs_are_not_opened),
    };
    return cmocka_run_group_tests_name("flags_compile", tests, NULL, NULL);
}

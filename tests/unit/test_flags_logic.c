/* Targeting: JSONLogic's operators and flagd's own, what they give and what they refuse. */
#include "flags/bucket.h"
#include "flags/compile.h"
#include "flags/flags.h"
#include "flags/logic.h"
#include "flags_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(text) SPAN_LIT(text)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct flags_attribute attributes[] = {
    {S("name"), {.type = FLAGS_STRING, .text = S("Zo\xc3\xab")}},
    {S("email"), {.type = FLAGS_STRING, .text = S("zoe@acme.com")}},
    {S("empty"), {.type = FLAGS_STRING, .text = S("")}},
    {S("age"), {.type = FLAGS_NUMBER, .number = 42}},
    {S("half"), {.type = FLAGS_NUMBER, .number = 0.5}},
    {S("staff"), {.type = FLAGS_BOOL, .boolean = true}},
    {S("nothing"), {.type = FLAGS_NULL}},
    {S("version"), {.type = FLAGS_STRING, .text = S("2.1.3-rc.2")}},
    {S("groups"), {.type = FLAGS_JSON, .text = S(" [ \"a\", 2 , true,null, [\"x\",\"y\"] ] ")}},
    {S("numbers"), {.type = FLAGS_JSON, .text = S("[1,2,3,4,5]")}},
    {S("none"), {.type = FLAGS_JSON, .text = S("[]")}},
    {S("pies"),
     {.type = FLAGS_JSON,
      .text = S("[{\"filling\":\"apple\",\"temp\":110},{\"filling\":\"pumpkin\",\"temp\":200}]")}},
    {S("home"),
     {.type = FLAGS_JSON,
      .text = S("{\"city\":\"K\\u00f6ln\",\"zip\":{\"code\":\"50667\",\"list\":[10,20]},"
                "\"quote\":\"a\\\"b\\\\\\n\",\"smile\":\"\\ud83d\\ude00\",\"half\":\"\\ud83d!\","
                "\"e\":-1.5e2,\"city2\":null}")}},
};

static const struct flags_attribute tenant_attributes[] = {
    {S("tier"), {.type = FLAGS_STRING, .text = S("gold")}},
};

static const struct flags_context full = {.user = S("user_1"),
                                          .tenant = S("bank_7"),
                                          .user_attributes = attributes,
                                          .user_attribute_count = COUNT(attributes),
                                          .tenant_attributes = tenant_attributes,
                                          .tenant_attribute_count = 1,
                                          .now_us = INT64_C(1771622898123456)};

static const struct flags_variant variants[] = {
    {S("on"), {.type = FLAGS_BOOL, .boolean = true}},
    {S("off"), {.type = FLAGS_BOOL}},
    {S("1"), {.type = FLAGS_NUMBER, .number = 1}},
    {S("true"), {.type = FLAGS_STRING, .text = S("yes")}},
};

struct flag_blob {
    struct buf blob;
    struct flags_set set;
};

/* NULL, or the error. */
static const char *compile(const char *targeting, struct flag_blob *out) {
    static struct err err;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 28);
    const struct flags_node *node = node_parse(span_of(targeting), &arena);
    if (!node)
        fail_msg("not JSON: %s", targeting);
    struct flags_flag flag = {.name = S("headline"),
                              .enabled = true,
                              .variants = variants,
                              .variant_count = COUNT(variants),
                              .off_variant = S("off"),
                              .targeting = node};
    struct flags_model model = {.flags = &flag, .flag_count = 1};
    buf_init(&out->blob, FLAGS_BLOB_MAX);
    int r = flags_compile(&model, &out->blob, &err);
    if (r == 0 && flags_open(out->blob.data, out->blob.len, &out->set, &err) < 0)
        fail_msg("%s", err.text);
    arena_release(&arena);
    return r < 0 ? err.text : NULL;
}

static struct flags_result evaluate(const char *targeting, const struct flags_context *context) {
    struct flag_blob f;
    struct flags_result r;
    const char *wrong = compile(targeting, &f);
    if (wrong)
        fail_msg("%s: %s", targeting, wrong);
    flags_evaluate(&f.set, 0, context, &r);
    for (size_t i = 0; i < COUNT(variants); i++)
        if (r.has_value && span_eq(r.variant, variants[i].name))
            r.variant = variants[i].name;
    buf_release(&f.blob);
    return r;
}

/* Whether the expression, as text between < and >, is `expected`. */
static void check(const char *expression, const char *expected) {
    char targeting[4096];
    int n = snprintf(targeting, sizeof targeting,
                     "{\"if\":[{\"===\":[{\"cat\":[\"<\",%s,\">\"]},\"<%s>\"]},\"on\",\"off\"]}",
                     expression, expected);
    assert_true(n > 0 && (size_t)n < sizeof targeting);
    struct flags_result r = evaluate(targeting, &full);
    if (r.error != FLAGS_OK)
        fail_msg("%s: %s", expression, r.detail);
    if (!span_is(r.variant, "on"))
        fail_msg("%s is not %s", expression, expected);
}

struct logic_case {
    const char *expression, *expected;
};

static void check_all(const struct logic_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        check(cases[i].expression, cases[i].expected);
}

static void variables(void **state) {
    (void)state;
    static const struct logic_case cases[] = {
        {"{\"var\":\"name\"}", "Zo\xc3\xab"},
        {"{\"var\":[\"name\"]}", "Zo\xc3\xab"},
        {"{\"var\":\"age\"}", "42"},
        {"{\"var\":\"half\"}", "0.5"},
        {"{\"var\":\"staff\"}", "true"},
        {"{\"var\":\"absent\"}", ""},
        {"{\"var\":[\"absent\",\"other\"]}", "other"},
        {"{\"var\":[\"nothing\",\"other\"]}", "other"},
        {"{\"var\":[\"absent\",{\"var\":\"age\"}]}", "42"},
        {"{\"var\":{\"cat\":[\"a\",\"ge\"]}}", "42"},
        {"{\"var\":\"home.city\"}", "K\xc3\xb6ln"},
        {"{\"var\":\"home.zip.code\"}", "50667"},
        {"{\"var\":\"home.zip.list.1\"}", "20"},
        {"{\"var\":\"home.zip.list.2\"}", ""},
        {"{\"var\":\"home.zip.list.-1\"}", ""},
        {"{\"var\":\"home.city.x\"}", ""},
        {"{\"var\":\"home.e\"}", "-150"},
        {"{\"var\":[\"home.city2\",7]}", "7"},
        {"{\"var\":\"home.quote\"}", "a\\\"b\\\\\\n"},
        {"{\"var\":\"home.smile\"}", "\xf0\x9f\x98\x80"},
        {"{\"var\":\"home.half\"}", "\xef\xbf\xbd!"},
        {"{\"var\":\"groups\"}", "a,2,true,,x,y"},
        {"{\"var\":\"groups.4.0\"}", "x"},
        {"{\"var\":\"pies.1.filling\"}", "pumpkin"},
        {"{\"var\":\"home\"}", "[object Object]"},
        {"{\"var\":\"targetingKey\"}", "user_1"},
        {"{\"var\":\"userId\"}", "user_1"},
        {"{\"var\":\"tenantId\"}", "bank_7"},
        {"{\"var\":\"tenantAttributes.tier\"}", "gold"},
        {"{\"var\":\"userAttributes.age\"}", "42"},
        {"{\"var\":\"$flagd.flagKey\"}", "headline"},
        {"{\"var\":\"$flagd.timestamp\"}", "1771622898"},
        {"{\"var\":\"$flagd.other\"}", ""},
        {"{\"missing\":[\"age\",\"absent\",\"empty\"]}", "absent,empty"},
        {"{\"missing\":{\"merge\":[\"age\",\"absent\"]}}", "absent"},
        {"{\"missing\":[]}", ""},
        {"{\"missing_some\":[1,[\"age\",\"absent\"]]}", ""},
        {"{\"missing_some\":[2,[\"age\",\"absent\",\"gone\"]]}", "absent,gone"},
    };
    check_all(cases, COUNT(cases));
}

static void comparisons(void **state) {
    (void)state;
    static const struct logic_case cases[] = {
        {"{\"==\":[1,1]}", "true"},
        {"{\"==\":[1,\"1\"]}", "true"},
        {"{\"===\":[1,\"1\"]}", "false"},
        {"{\"===\":[\"a\",\"a\"]}", "true"},
        {"{\"==\":[0,false]}", "true"},
        {"{\"==\":[null,false]}", "false"},
        {"{\"==\":[null,null]}", "true"},
        {"{\"==\":[{\"var\":\"absent\"},null]}", "true"},
        {"{\"==\":[\"\",0]}", "true"},
        {"{\"==\":[\"x\",0]}", "false"},
        {"{\"!=\":[\"x\",0]}", "true"},
        {"{\"!==\":[1,\"1\"]}", "true"},
        {"{\"==\":[[1],1]}", "true"},
        {"{\"==\":[[1],[1]]}", "false"},
        {"{\"<\":[1,2]}", "true"},
        {"{\"<\":[\"10\",\"9\"]}", "true"},
        {"{\"<\":[\"10\",9]}", "false"},
        {"{\"<\":[1,2,3]}", "true"},
        {"{\"<\":[1,1,3]}", "false"},
        {"{\"<\":[1,4,3]}", "false"},
        {"{\"<=\":[1,1,3]}", "true"},
        {"{\">\":[2,1]}", "true"},
        {"{\">=\":[1,1]}", "true"},
        {"{\">=\":[\"ab\",\"abc\"]}", "false"},
        {"{\"<\":[null,1]}", "true"},
        {"{\"<\":[\"x\",1]}", "false"},
        {"{\">\":[\"x\",1]}", "false"},
        {"{\">\":[{\"var\":\"age\"},41.9]}", "true"},
        {"{\"<\":[\"\",\"a\"]}", "true"},
        {"{\"!\":[true]}", "false"},
        {"{\"!\":true}", "false"},
        {"{\"!\":[[]]}", "true"},
        {"{\"!\":[\"0\"]}", "false"},
        {"{\"!!\":[0]}", "false"},
        {"{\"!!\":[\"\"]}", "false"},
        {"{\"!!\":[{\"var\":\"none\"}]}", "false"},
        {"{\"!!\":[{\"var\":\"home\"}]}", "true"},
        {"{\"!!\":{\"var\":\"\"}}", "true"},
        {"{\"and\":[1,0,3]}", "0"},
        {"{\"and\":[1,2,3]}", "3"},
        {"{\"or\":[0,\"\",\"a\",2]}", "a"},
        {"{\"or\":[0,false]}", "false"},
        {"{\"if\":[false,1,true,2,3]}", "2"},
        {"{\"if\":[false,1,false,2,3]}", "3"},
        {"{\"if\":[false,1]}", ""},
        {"{\"if\":[]}", ""},
        {"{\"if\":[7]}", "7"},
        {"{\"?:\":[true,1,2]}", "1"},
    };
    check_all(cases, COUNT(cases));
}

static void numbers(void **state) {
    (void)state;
    static const struct logic_case cases[] = {
        {"{\"+\":[1,2,3]}", "6"},
        {"{\"+\":[\"3.14\"]}", "3.14"},
        {"{\"+\":\"3.5abc\"}", "3.5"},
        {"{\"-\":[2]}", "-2"},
        {"{\"-\":[\"3\",2]}", "1"},
        {"{\"*\":[2,\"3\",4]}", "24"},
        {"{\"/\":[1,4]}", "0.25"},
        {"{\"/\":[1,3]}", "0.3333333333333333"},
        {"{\"%\":[101,2]}", "1"},
        {"{\"%\":[-7,3]}", "-1"},
        {"{\"max\":[1,3,2]}", "3"},
        {"{\"min\":[1,-3,2]}", "-3"},
        {"{\"+\":[0.1,0.2]}", "0.30000000000000004"},
        {"{\"*\":[1e10,1e11]}", "1e+21"},
        {"{\"==\":[{\"+\":[\"x\"]},{\"+\":[\"x\"]}]}", "false"},
        {"{\">\":[{\"-\":[{\"var\":\"$flagd.timestamp\"},1771622800]},90]}", "true"},
    };
    check_all(cases, COUNT(cases));
}

static void lists(void **state) {
    (void)state;
    static const struct logic_case cases[] = {
        {"{\"map\":[{\"var\":\"numbers\"},{\"*\":[{\"var\":\"\"},2]}]}", "2,4,6,8,10"},
        {"{\"map\":[{\"var\":\"pies\"},{\"var\":\"filling\"}]}", "apple,pumpkin"},
        {"{\"map\":[{\"var\":\"absent\"},1]}", ""},
        {"{\"filter\":[{\"var\":\"numbers\"},{\"%\":[{\"var\":\"\"},2]}]}", "1,3,5"},
        {"{\"reduce\":[{\"var\":\"numbers\"},{\"+\":[{\"var\":\"current\"},{\"var\":"
         "\"accumulator\"}]},10]}",
         "25"},
        {"{\"reduce\":[{\"var\":\"pies\"},{\"+\":[{\"var\":\"current.temp\"},{\"var\":"
         "\"accumulator\"}]},0]}",
         "310"},
        {"{\"reduce\":[{\"var\":\"absent\"},{\"var\":\"current\"},\"start\"]}", "start"},
        {"{\"all\":[{\"var\":\"numbers\"},{\">\":[{\"var\":\"\"},0]}]}", "true"},
        {"{\"all\":[{\"var\":\"numbers\"},{\">\":[{\"var\":\"\"},1]}]}", "false"},
        {"{\"all\":[[],true]}", "false"},
        {"{\"some\":[{\"var\":\"pies\"},{\"==\":[{\"var\":\"filling\"},\"apple\"]}]}", "true"},
        {"{\"some\":[[],true]}", "false"},
        {"{\"none\":[{\"var\":\"pies\"},{\"==\":[{\"var\":\"filling\"},\"cherry\"]}]}", "true"},
        {"{\"none\":[[],true]}", "true"},
        {"{\"merge\":[[1,2],3,[[4]]]}", "1,2,3,4"},
        {"{\"merge\":[{\"var\":\"numbers\"},{\"var\":\"numbers\"}]}", "1,2,3,4,5,1,2,3,4,5"},
        {"{\"merge\":[]}", ""},
        {"{\"in\":[\"a\",{\"var\":\"groups\"}]}", "true"},
        {"{\"in\":[\"2\",{\"var\":\"groups\"}]}", "false"},
        {"{\"in\":[2,{\"var\":\"groups\"}]}", "true"},
        {"{\"in\":[{\"var\":\"age\"},[41,42]]}", "true"},
        {"{\"in\":[{\"var\":\"age\"},[]]}", "false"},
        {"{\"in\":[\"acme\",{\"var\":\"email\"}]}", "true"},
        {"{\"in\":[\"\",{\"var\":\"email\"}]}", "true"},
        {"{\"in\":[\"x\",{\"var\":\"absent\"}]}", "false"},
        {"{\"in\":[\"x\",5]}", "false"},
        {"{\"map\":[[1,2],{\"reduce\":[[10,20],{\"+\":[{\"var\":\"accumulator\"},{\"var\":"
         "\"current\"}]},{\"var\":\"\"}]}]}",
         "31,32"},
    };
    check_all(cases, COUNT(cases));
}

static void texts(void **state) {
    (void)state;
    static const struct logic_case cases[] = {
        {"{\"cat\":[\"I love \",{\"var\":\"pies.0.filling\"},\" pie\"]}", "I love apple pie"},
        {"{\"cat\":\"x\"}", "x"},
        {"{\"cat\":[1,true,null,[1,[2,3]]]}", "1true1,2,3"},
        {"{\"substr\":[\"jsonlogic\",4]}", "logic"},
        {"{\"substr\":[\"jsonlogic\",-5]}", "logic"},
        {"{\"substr\":[\"jsonlogic\",1,3]}", "son"},
        {"{\"substr\":[\"jsonlogic\",4,-2]}", "log"},
        {"{\"substr\":[\"jsonlogic\",-5,-2]}", "log"},
        {"{\"substr\":[\"jsonlogic\",20]}", ""},
        {"{\"substr\":[\"jsonlogic\",-20,4]}", "json"},
        {"{\"substr\":[\"jsonlogic\",0,-20]}", ""},
        {"{\"substr\":[{\"var\":\"name\"},2,1]}", "\xc3\xab"},
        {"{\"starts_with\":[{\"var\":\"email\"},\"zoe\"]}", "true"},
        {"{\"starts_with\":[{\"var\":\"email\"},\"acme\"]}", "false"},
        {"{\"ends_with\":[{\"var\":\"email\"},\"@acme.com\"]}", "true"},
        {"{\"ends_with\":[{\"var\":\"email\"},\"zzzoe@acme.com\"]}", "false"},
        {"{\"ends_with\":[{\"var\":\"email\"},\"\"]}", "true"},
        {"{\"ends_with\":[{\"var\":\"absent\"},\"x\"]}", "false"},
        {"{\"starts_with\":[{\"var\":\"age\"},\"4\"]}", "false"},
    };
    check_all(cases, COUNT(cases));
}

static void versions(void **state) {
    (void)state;
    static const struct {
        const char *a, *op, *b;
        bool holds;
    } cases[] = {
        {"2.0.0", ">=", "1.0.0", true},
        {"v2.0.0", "=", "2.0.0", true},
        {"1.2.3", "=", "1.2.3+build", true},
        {"1.2.3", "!=", "1.2.4", true},
        {"1.10.0", ">", "1.9.9", true},
        {"1.2.3-rc.1", "<", "1.2.3", true},
        {"1.2.3-rc.2", "<", "1.2.3-rc.10", true},
        {"1.2.3-alpha", "<", "1.2.3-alpha.1", true},
        {"1.2.3-1", "<", "1.2.3-alpha", true},
        {"1.2.3-beta", ">", "1.2.3-alpha.9", true},
        {"1.2", "=", "1.2.0", true},
        {"1", "<=", "1.0.0", true},
        {"1.2.9", "~", "1.2.0", true},
        {"1.3.0", "~", "1.2.9", false},
        {"1.9.9", "^", "1.0.0", true},
        {"2.0.0", "^", "1.0.0", false},
        {"1.02.3", "=", "1.2.3", false},
        {"1.2.3.4", "=", "1.2.3", false},
        {"", "=", "", false},
        {"1.2.3-", "=", "1.2.3-", false},
        {"1.2-rc", "=", "1.2-rc", false},
        {"1.2.3-01", "=", "1.2.3-01", false},
        {"1.2.3", "==", "1.2.3", false},
        {"a.b.c", "!=", "1.0.0", false},
        {"99999999999999999999.0.0", ">", "99999999999999999998.9.9", true},
        {"1.2.3-a..b", "=", "1.2.3-a..b", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (logic_sem_ver(span_of(cases[i].a), span_of(cases[i].op), span_of(cases[i].b)) !=
            cases[i].holds)
            fail_msg("%s %s %s", cases[i].a, cases[i].op, cases[i].b);
    check("{\"sem_ver\":[{\"var\":\"version\"},\"~\",\"2.1\"]}", "true");
    check("{\"sem_ver\":[{\"var\":\"age\"},\">\",\"2.1\"]}", "false");
}

static struct flags_result fractional(const char *arguments, struct span user) {
    char targeting[1024];
    snprintf(targeting, sizeof targeting, "{\"fractional\":%s}", arguments);
    struct flags_context context = full;
    context.user = user;
    return evaluate(targeting, &context);
}

static void fractional_is_version_2(void **state) {
    (void)state;
    /* murmur3("headline" + key) over the whole range: the buckets of docs/flags.md, for 100. */
    unsigned on = 0;
    for (int i = 0; i < 2000; i++) {
        char key[24];
        int n = snprintf(key, sizeof key, "user_%d", i);
        struct span user = span_make(key, (size_t)n);
        struct flags_result r = fractional("[[\"on\",25],[\"off\",75]]", user);
        assert_int_equal(r.reason, FLAGS_TARGETING_MATCH);
        uint32_t bucket =
            (uint32_t)(((uint64_t)bucket_murmur3(S("headline"), user, 0) * 100) >> 32);
        assert_int_equal(r.on, bucket < 25);
        r = fractional("[{\"var\":\"email\"},[\"on\",25],[\"off\",75]]", user);
        bucket = (uint32_t)(((uint64_t)bucket_murmur3(S("zoe@acme.com"), S(""), 0) * 100) >> 32);
        assert_int_equal(r.on, bucket < 25);
        on += fractional("[[\"on\"],[\"off\"]]", user).on;
    }
    assert_in_range(on, 900, 1100);
}

static void fractional_without_an_answer_is_the_default(void **state) {
    (void)state;
    static const char *const cases[] = {
        "[[\"on\",0],[\"off\",0]]",
        "[[\"on\",-5],[\"on\",0]]",
        "[[\"on\",1.5],[\"off\",1]]",
        "[[\"on\",\"1\"],[\"off\",1]]",
        "[[],[\"off\",1]]",
        "[7,[\"on\",1],[\"on\",1]]",
        "[[\"on\",2147483647],[\"on\",1]]",
        "[{\"var\":\"email\"}]",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct flags_result r = fractional(cases[i], S("user_1"));
        assert_int_equal(r.error, FLAGS_OK);
        assert_int_equal(r.reason, FLAGS_DEFAULT);
        assert_true(span_is(r.variant, "off"));
    }
    struct flags_result r = fractional("[[\"on\",1],[\"on\",1]]", (struct span){0});
    assert_int_equal(r.reason, FLAGS_DEFAULT);
    /* A missing attribute to bucket by: the targeting key. */
    r = fractional("[{\"var\":\"absent\"},[\"on\",1],[\"on\",1]]", S("user_1"));
    assert_int_equal(r.reason, FLAGS_TARGETING_MATCH);
    r = fractional("[[\"on\",-5],[\"off\",1]]", S("user_1"));
    assert_true(r.has_value && !r.on && r.reason == FLAGS_TARGETING_MATCH);
    /* Weights and variants may be expressions: a ramp over time. */
    r = fractional("[[{\"if\":[true,\"on\"]},{\"-\":[{\"var\":\"$flagd.timestamp\"},1771622800]}],"
                   "[\"off\",0]]",
                   S("user_1"));
    assert_true(r.on);
}

static void the_result_names_a_variant(void **state) {
    (void)state;
    struct flags_result r = evaluate("\"on\"", &full);
    assert_true(r.on && r.reason == FLAGS_TARGETING_MATCH);
    r = evaluate("null", &full);
    assert_true(r.has_value && !r.on && r.reason == FLAGS_DEFAULT);
    r = evaluate("true", &full);
    assert_true(span_is(r.variant, "true") && r.value.type == FLAGS_STRING && r.on);
    r = evaluate("{\"+\":[0,1]}", &full);
    assert_true(span_is(r.variant, "1") && r.value.type == FLAGS_NUMBER && r.value.number == 1);
    r = evaluate("{}", &full);
    assert_true(span_is(r.variant, "off") && r.reason == FLAGS_STATIC);
    static const char *const none[] = {
        "\"gone\"", "false", "7", "\"\"", "[\"on\"]", "{\"a\":1,\"b\":2}", "{\"var\":\"home\"}"};
    for (size_t i = 0; i < COUNT(none); i++) {
        r = evaluate(none[i], &full);
        assert_int_equal(r.error, FLAGS_GENERAL);
        assert_int_equal(r.reason, FLAGS_ERROR);
        assert_false(r.has_value || r.on);
        assert_non_null(r.detail);
    }
}

static void bad_json_in_the_context_is_its_fault(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{",     "[1,",   "[1 2]",     "{\"a\" 1}",   "{\"a\":1", "{a:1}",
        "[1,]",  "[\"x]", "[\"\\q\"]", "[\"\\u12\"]", "[nul]",    "[1e]",
        "[--1]", "[]]",   "{\"a\":[}", "[\"\\",       "[\"\\\"]", "{\"\\x\":1}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct flags_attribute a = {S("x"), {.type = FLAGS_JSON, .text = span_of(texts[i])}};
        struct flags_context context = {.user_attributes = &a, .user_attribute_count = 1};
        struct flags_result r = evaluate("{\"if\":[{\"merge\":[{\"var\":\"x.a\"},{\"var\":\"x\"},"
                                         "{\"map\":[{\"var\":\"x\"},{\"var\":\"\"}]}]},\"on\"]}",
                                         &context);
        bool closed_early = strcmp(texts[i], "[]]") == 0; /* what follows is never looked at */
        if ((r.error == FLAGS_INVALID_CONTEXT) == closed_early)
            fail_msg("%s: %s", texts[i], flags_error_name(r.error));
    }
    char deep[200] = "";
    memset(deep, '[', 99);
    memset(deep + 99, ']', 99);
    struct flags_attribute a = {S("x"), {.type = FLAGS_JSON, .text = span_of(deep)}};
    struct flags_context context = {.user_attributes = &a, .user_attribute_count = 1};
    assert_int_equal(evaluate("{\"map\":[{\"var\":\"x\"},1]}", &context).error,
                     FLAGS_INVALID_CONTEXT);
}

static void work_and_memory_are_bounded(void **state) {
    (void)state;
    static char list[40000];
    size_t n = 0;
    list[n++] = '[';
    for (int i = 0; i < 900; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%d", i ? "," : "", i);
    list[n++] = ']';
    struct flags_attribute a = {S("x"), {.type = FLAGS_JSON, .text = span_make(list, n)}};
    struct flags_context context = {.user_attributes = &a, .user_attribute_count = 1};
    const char *sum = "{\"if\":[{\"<\":[{\"reduce\":[{\"var\":\"x\"},{\"+\":[{\"var\":\"current\"},"
                      "{\"var\":\"accumulator\"}]},0]},0]},\"on\",\"off\"]}";
    assert_int_equal(evaluate(sum, &context).error, FLAGS_GENERAL);
    static char scratch[1 << 20];
    context.scratch = scratch + 1; /* it need not be aligned */
    context.scratch_len = sizeof scratch - 1;
    struct flags_result r = evaluate(sum, &context);
    assert_int_equal(r.error, FLAGS_OK);
    assert_true(span_is(r.variant, "off"));
    /* 900 times 300 numbers. */
    char nested_sum[4000];
    n = (size_t)snprintf(nested_sum, sizeof nested_sum,
                         "{\"if\":[{\"all\":[{\"var\":\"x\"},{\"none\":[[0");
    for (int i = 1; i < 300; i++)
        n += (size_t)snprintf(nested_sum + n, sizeof nested_sum - n, ",%d", i);
    snprintf(nested_sum + n, sizeof nested_sum - n, "],{\"<\":[{\"var\":\"\"},0]}]}]},\"on\"]}");
    r = evaluate(nested_sum, &context);
    assert_int_equal(r.error, FLAGS_GENERAL);
    assert_non_null(strstr(r.detail, "steps"));
}

/* A list in a list in a list ...: written as text by recursion, so its depth has an end. */
static void lists_in_lists_are_bounded(void **state) {
    (void)state;
    static char list[4000], scratch[1 << 20];
    size_t n = 0;
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%c%d", i ? ',' : '[', i % 10);
    list[n++] = ']';
    struct flags_attribute a = {S("x"), {.type = FLAGS_JSON, .text = span_make(list, n)}};
    struct flags_context context = {.user_attributes = &a,
                                    .user_attribute_count = 1,
                                    .scratch = scratch,
                                    .scratch_len = sizeof scratch};
    struct flags_result r = evaluate("{\"cat\":[{\"reduce\":[{\"var\":\"x\"},[{\"var\":"
                                     "\"accumulator\"}],\"on\"]}]}",
                                     &context);
    assert_int_equal(r.error, FLAGS_GENERAL);
    assert_non_null(strstr(r.detail, "too deep"));
    a.value.text = S("[1,2,3,4,5,6,7,8,9]");
    r = evaluate("{\"cat\":[{\"reduce\":[{\"var\":\"x\"},[{\"var\":\"accumulator\"}],\"on\"]}]}",
                 &context);
    assert_true(r.error == FLAGS_OK && r.on);
}

static void wrong_targeting_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *targeting, *text;
    } cases[] = {
        {"{\"nope\":[1]}", "flag headline: targeting has no operator nope"},
        {"{\"if\":[{\"log\":1},\"on\"]}", "no operator log"},
        {"{\"==\":[1]}", "operator == takes 2 arguments, not 1"},
        {"{\"reduce\":[[],1]}", "operator reduce takes 3 arguments, not 2"},
        {"{\"<\":[1,2,3,4]}", "operator < takes 2 or more arguments, not 4"},
        {"{\"fractional\":[]}", "operator fractional takes 1 or more"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct flag_blob f;
        const char *wrong = compile(cases[i].targeting, &f);
        assert_non_null(wrong);
        if (!strstr(wrong, cases[i].text))
            fail_msg("%s", wrong);
        assert_int_equal(f.blob.len, 0);
        buf_release(&f.blob);
    }
}

static char *nested(int depth) {
    char *text = malloc((size_t)depth * 8 + 16), *at = text;
    assert_non_null(text);
    for (int i = 0; i < depth; i++)
        at = (char *)memcpy(at, "{\"!\":", 5) + 5;
    *at++ = '1';
    memset(at, '}', (size_t)depth);
    at[depth] = '\0';
    return text;
}

static void depth_and_size_are_limited(void **state) {
    (void)state;
    struct flag_blob f;
    char *text = nested(FLAGS_LOGIC_DEPTH_MAX);
    assert_null(compile(text, &f));
    struct flags_result r;
    flags_evaluate(&f.set, 0, &full, &r);
    assert_true(span_is(r.variant, "true"));
    buf_release(&f.blob);
    free(text);
    text = nested(FLAGS_LOGIC_DEPTH_MAX + 1);
    assert_non_null(strstr(compile(text, &f), "more than 64 deep"));
    buf_release(&f.blob);
    free(text);
    size_t size = FLAGS_LOGIC_NODES_MAX * 2 + 32, n = 0;
    text = malloc(size);
    assert_non_null(text);
    n += (size_t)snprintf(text, size, "{\"in\":[1,[0");
    for (int i = 0; i < FLAGS_LOGIC_NODES_MAX - 4; i++)
        n += (size_t)snprintf(text + n, size - n, ",0");
    snprintf(text + n, size - n, "]]}");
    assert_null(compile(text, &f));
    buf_release(&f.blob);
    snprintf(text + n, size - n, ",0]]}");
    assert_non_null(strstr(compile(text, &f), "more than 10000 operators"));
    buf_release(&f.blob);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(numbers),
        cmocka_unit_test(lists),
        cmocka_unit_test(texts),
        cmocka_unit_test(versions),
        cmocka_unit_test(fractional_is_version_2),
        cmocka_unit_test(fractional_without_an_answer_is_the_default),
        cmocka_unit_test(the_result_names_a_variant),
        cmocka_unit_test(bad_json_in_the_context_is_its_fault),
        cmocka_unit_test(work_and_memory_are_bounded),
        cmocka_unit_test(lists_in_lists_are_bounded),
        cmocka_unit_test(wrong_targeting_is_refused),
        cmocka_unit_test(depth_and_size_are_limited),
    };
    return cmocka_run_group_tests_name("flags_logic", tests, NULL, NULL);
}

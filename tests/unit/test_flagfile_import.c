/*
 * flagd, Unleash and LaunchDarkly: the users that those systems take are taken here, and what
 * cannot be kept is refused with flag and place.
 */
#include "base/mem.h"
#include "flagfile/flagfile.h"
#include "flags/bucket.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct loaded {
    struct flagfile *file;
    struct buf blob;
    struct flags_set set;
};

static struct loaded load(const char *text) {
    struct loaded l = {0};
    struct err err = {0};
    buf_init(&l.blob, FLAGS_BLOB_MAX);
    if (flagfile_parse("f.json", text, strlen(text), FLAGFILE_ANY, &l.file, &err) < 0 ||
        flags_compile(&l.file->model, &l.blob, &err) < 0 ||
        flags_open(l.blob.data, l.blob.len, &l.set, &err) < 0)
        fail_msg("%s\n%s", err.text, text);
    return l;
}

static void unload(struct loaded *l) {
    flagfile_free(l->file);
    buf_release(&l->blob);
}

/* As feature-flags.yml, read again. */
static struct loaded converted(const struct loaded *l) {
    struct buf out = {.max = FLAGFILE_MAX}, notes = {.max = 65536};
    struct err err = {0};
    if (flagfile_write(&l->file->model, &out, &notes, &err) < 0)
        fail_msg("%s", err.text);
    buf_add_char(&out, '\0');
    struct loaded again = load(out.data);
    assert_int_equal(again.file->format, FLAGFILE_FEATURES);
    buf_release(&out);
    buf_release(&notes);
    return again;
}

static struct flags_result ask(const struct loaded *l, const char *flag,
                               const struct flags_context *context) {
    struct flags_result result;
    flags_evaluate(&l->set, flags_find(&l->set, span_of(flag)), context, &result);
    assert_int_equal(result.error, FLAGS_OK);
    return result;
}

static bool is_on(const struct loaded *l, const char *flag, const char *user) {
    struct flags_context context = {.user = span_of(user), .random = 1};
    return ask(l, flag, &context).on;
}

static struct flags_result ask_with(const struct loaded *l, const char *flag, const char *user,
                                    const char *name, struct flags_value value) {
    struct flags_attribute attribute = {span_of(name), value};
    struct flags_context context = {.user = span_of(user),
                                    .user_attributes = &attribute,
                                    .user_attribute_count = 1,
                                    .now_us = INT64_C(1800000000000000),
                                    .random = 1};
    return ask(l, flag, &context);
}

static struct flags_value text_value(const char *text) {
    return (struct flags_value){.type = FLAGS_STRING, .text = span_of(text)};
}

static struct flags_value number_value(double number) {
    return (struct flags_value){.type = FLAGS_NUMBER, .number = number};
}

/* ---- LaunchDarkly ---- */

/* The published buckets: one hundred-thousandth below, the user is out; from there, in. */
static void launchdarkly_vectors(void **state) {
    (void)state;
    static const struct {
        const char *user, *seed;
        unsigned bucket; /* floor of the published value times 100000 */
    } vectors[] = {{"userKeyA", "", 42157},
                   {"userKeyB", "", 67084},
                   {"userKeyC", "", 10343},
                   {"userKeyA", "\"seed\":61,", 9801}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        for (unsigned more = 0; more < 2; more++) {
            unsigned weight = vectors[i].bucket + more;
            _cleanup_(mem_freep) char *text = mem_printf(
                "{\"flags\":{\"hashKey\":{\"key\":\"hashKey\",\"on\":true,\"salt\":\"saltyA\","
                "\"variations\":[true,false],\"offVariation\":1,\"fallthrough\":{\"rollout\":{%s"
                "\"variations\":[{\"variation\":0,\"weight\":%u},{\"variation\":1,\"weight\":%u}]"
                "}}}}}",
                vectors[i].seed, weight, 100000 - weight);
            struct loaded l = load(text);
            struct loaded yaml = converted(&l);
            assert_int_equal(l.file->format, FLAGFILE_LAUNCHDARKLY);
            assert_int_equal(is_on(&l, "hashKey", vectors[i].user), more == 1);
            assert_int_equal(is_on(&yaml, "hashKey", vectors[i].user), more == 1);
            unload(&yaml);
            unload(&l);
        }
}

static const char darkly[] =
    "{\"flags\":{"
    "\"base\":{\"key\":\"base\",\"on\":true,\"salt\":\"s\",\"variations\":[true,false],"
    "\"offVariation\":1,\"fallthrough\":{\"variation\":0}},"
    "\"f\":{\"key\":\"f\",\"version\":3,\"on\":true,\"salt\":\"s\",\"sel\":\"x\","
    "\"variations\":[\"red\",\"green\",\"blue\"],\"offVariation\":0,"
    "\"prerequisites\":[{\"key\":\"base\",\"variation\":0}],"
    "\"targets\":[{\"values\":[\"ann\"],\"variation\":2},{\"values\":[\"ann\",\"bob\"],"
    "\"variation\":0}],"
    "\"rules\":[{\"id\":\"r1\",\"variation\":2,\"clauses\":[{\"attribute\":\"email\","
    "\"op\":\"endsWith\",\"values\":[\"@bank.example\",\"@b.example\"],\"negate\":false}]},"
    "{\"id\":\"r2\",\"variation\":0,\"clauses\":[{\"attribute\":\"age\",\"op\":\"lessThan\","
    "\"values\":[18]}]},"
    "{\"id\":\"r3\",\"variation\":2,\"clauses\":[{\"attribute\":\"groups\",\"op\":\"in\","
    "\"values\":[\"staff\"]}]},"
    "{\"id\":\"r4\",\"variation\":0,\"clauses\":[{\"attribute\":\"country\",\"op\":\"in\","
    "\"values\":[\"fr\"],\"negate\":true}]}],"
    "\"fallthrough\":{\"variation\":1}}}}";

static void launchdarkly_rules(void **state) {
    (void)state;
    struct loaded l = load(darkly);
    struct flags_context nobody = {.user = SPAN_LIT("zoe")};
    assert_true(span_is(ask(&l, "f", &nobody).value.text, "green"));
    struct flags_context ann = {.user = SPAN_LIT("ann")}, bob = {.user = SPAN_LIT("bob")};
    assert_true(span_is(ask(&l, "f", &ann).value.text, "blue")); /* the first list counts */
    assert_true(span_is(ask(&l, "f", &bob).value.text, "red"));
    assert_true(span_is(ask_with(&l, "f", "zoe", "email", text_value("z@bank.example")).value.text,
                        "blue"));
    assert_true(span_is(ask_with(&l, "f", "zoe", "email", number_value(1)).value.text, "green"));
    assert_true(span_is(ask_with(&l, "f", "zoe", "age", number_value(17)).value.text, "red"));
    /* text is no number, not even "17" */
    assert_true(span_is(ask_with(&l, "f", "zoe", "age", text_value("17")).value.text, "green"));
    struct flags_value groups = {.type = FLAGS_JSON, .text = SPAN_LIT("[\"a\",\"staff\"]")};
    assert_true(span_is(ask_with(&l, "f", "zoe", "groups", groups).value.text, "blue"));
    assert_true(
        span_is(ask_with(&l, "f", "zoe", "groups", text_value("staff")).value.text, "blue"));
    /* `negate` needs the attribute too */
    assert_true(span_is(ask_with(&l, "f", "zoe", "country", text_value("de")).value.text, "red"));
    assert_true(span_is(ask_with(&l, "f", "zoe", "country", text_value("fr")).value.text, "green"));
    unload(&l);
}

/* A prerequisite that is switched off fails, whatever it gives. */
static void launchdarkly_prerequisite_off(void **state) {
    (void)state;
    _cleanup_(mem_freep) char *text = mem_strdup(darkly);
    char *on = strstr(text, "\"on\":true");
    memcpy(on, "\"on\":null", 9);
    struct loaded l = load(text);
    struct flags_context zoe = {.user = SPAN_LIT("zoe")};
    assert_true(span_is(ask(&l, "f", &zoe).value.text, "red"));
    unload(&l);
}

/* ---- Unleash ---- */

/* Published with the SDKs: normalize("123", "gr1") is 73, normalize("999", "groupX") is 25. */
static void unleash_vectors(void **state) {
    (void)state;
    static const struct {
        const char *user, *group;
        unsigned value;
    } vectors[] = {{"123", "gr1", 73}, {"999", "groupX", 25}};
    static const char *const forms[] = {
        "{\"name\":\"flexibleRollout\",\"parameters\":{\"rollout\":\"%u\",\"stickiness\":"
        "\"userId\",\"groupId\":\"%s\"}}",
        "{\"name\":\"flexibleRollout\",\"parameters\":{\"rollout\":%u,\"stickiness\":\"default\","
        "\"groupId\":\"%s\"},\"constraints\":[]}",
        "{\"name\":\"gradualRolloutUserId\",\"parameters\":{\"percentage\":\"%u\",\"groupId\":"
        "\"%s\"}}"};
    for (size_t i = 0; i < 2; i++)
        for (size_t form = 0; form < 3; form++)
            for (unsigned more = 0; more < 2; more++) {
                char strategy[400];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                (void)snprintf(strategy, sizeof strategy, forms[form], vectors[i].value - 1 + more,
                               vectors[i].group);
#pragma GCC diagnostic pop
                _cleanup_(mem_freep) char *text =
                    mem_printf("{\"version\":1,\"features\":[{\"name\":\"f\",\"enabled\":true,"
                               "\"strategies\":[%s]}]}",
                               strategy);
                struct loaded l = load(text), yaml = converted(&l);
                assert_int_equal(l.file->format, FLAGFILE_UNLEASH);
                assert_int_equal(is_on(&l, "f", vectors[i].user), more == 1);
                assert_int_equal(is_on(&yaml, "f", vectors[i].user), more == 1);
                unload(&yaml);
                unload(&l);
            }
}

static void unleash_strategies(void **state) {
    (void)state;
    struct loaded l = load(
        "{\"version\":2,\"features\":["
        "{\"name\":\"off\",\"enabled\":false,\"strategies\":[{\"name\":\"default\"}]},"
        "{\"name\":\"on\",\"enabled\":true,\"strategies\":[]},"
        "{\"name\":\"listed\",\"enabled\":true,\"strategies\":[{\"name\":\"userWithId\","
        "\"parameters\":{\"userIds\":\" ann, bob ,\"}},{\"name\":\"default\",\"constraints\":["
        "{\"contextName\":\"plan\",\"operator\":\"IN\",\"values\":[\"gold\",\"silver\"]}]}]},"
        "{\"name\":\"c\",\"enabled\":true,\"strategies\":[{\"name\":\"default\",\"constraints\":["
        "{\"contextName\":\"plan\",\"operator\":\"NOT_IN\",\"values\":[\"gold\"]},"
        "{\"contextName\":\"level\",\"operator\":\"NUM_GTE\",\"value\":\"5\",\"inverted\":true}]}]}"
        ","
        "{\"name\":\"seg\",\"enabled\":true,\"strategies\":[{\"name\":\"default\",\"segments\":[7]}"
        "]},"
        "{\"name\":\"later\",\"enabled\":true,\"strategies\":[{\"name\":\"default\","
        "\"constraints\":["
        "{\"contextName\":\"currentTime\",\"operator\":\"DATE_AFTER\",\"value\":"
        "\"2027-01-15T08:00:01Z\"}]}]},"
        "{\"name\":\"soon\",\"enabled\":true,\"strategies\":[{\"name\":\"default\",\"constraints\":"
        "["
        "{\"contextName\":\"currentTime\",\"operator\":\"DATE_AFTER\",\"value\":"
        "\"2027-01-15T08:00:00Z\"}]}]},"
        "{\"name\":\"dep\",\"enabled\":true,\"strategies\":[],\"dependencies\":[{\"feature\":"
        "\"off\"}]}],"
        "\"segments\":[{\"id\":7,\"constraints\":[{\"contextName\":\"email\",\"operator\":"
        "\"STR_CONTAINS\",\"values\":[\"@bank\"]}]}]}");
    assert_false(is_on(&l, "off", "u"));
    assert_true(is_on(&l, "on", "u"));
    assert_false(is_on(&l, "dep", "u"));
    assert_true(is_on(&l, "listed", "ann"));
    assert_true(is_on(&l, "listed", "bob"));
    assert_false(is_on(&l, "listed", "zoe"));
    assert_false(is_on(&l, "listed", ""));
    assert_true(ask_with(&l, "listed", "zoe", "plan", text_value("silver")).on);
    assert_false(ask_with(&l, "listed", "zoe", "plan", text_value("tin")).on);
    assert_true(is_on(&l, "c", "u")); /* no plan is not in, no level is not at least 5 */
    assert_false(ask_with(&l, "c", "u", "plan", text_value("gold")).on);
    assert_false(ask_with(&l, "c", "u", "level", text_value("5")).on);
    assert_true(ask_with(&l, "c", "u", "level", number_value(4)).on);
    assert_true(ask_with(&l, "seg", "u", "email", text_value("x@bank.example")).on);
    assert_false(ask_with(&l, "seg", "u", "email", text_value("x@example")).on);
    /* ask_with's now is 2027-01-15T08:00:00Z */
    assert_false(ask_with(&l, "later", "u", "x", number_value(1)).on);
    assert_true(ask_with(&l, "soon", "u", "x", number_value(1)).on);
    unload(&l);
}

/* normalize with the seed of variants: "123", "gr1" is 96 of 100, "999", "groupX" is 60. */
static void unleash_variants(void **state) {
    (void)state;
    static const char form[] =
        "{\"version\":1,\"features\":[{\"name\":\"gr1\",\"enabled\":true,\"strategies\":[],"
        "\"variants\":[{\"name\":\"a\",\"weight\":%u,\"stickiness\":\"userId\"},{\"name\":\"b\","
        "\"weight\":%u,\"payload\":{\"type\":\"string\",\"value\":\"bee\"},\"overrides\":[{"
        "\"contextName\":\"userId\",\"values\":[\"boss\"]}]}]}]}";
    for (unsigned more = 0; more < 2; more++) {
        _cleanup_(mem_freep) char *text = mem_printf(form, 95 + more, 5 - more);
        struct loaded l = load(text);
        struct flags_context user = {.user = SPAN_LIT("123"), .random = 1};
        struct flags_context boss = {.user = SPAN_LIT("boss"), .random = 1};
        assert_true(span_is(ask(&l, "gr1", &user).variant, more ? "a" : "b"));
        assert_true(span_is(ask(&l, "gr1", &boss).value.text, "bee"));
        unload(&l);
    }
}

/* ---- flagd ---- */

static void flagd_reads(void **state) {
    (void)state;
    struct loaded l = load(
        "{\"$schema\":\"https://flagd.dev/schema/v0/flags.json\","
        "\"$evaluators\":{\"staff\":{\"ends_with\":[{\"var\":\"email\"},\"@acme.com\"]},"
        "\"both\":{\"and\":[{\"$ref\":\"staff\"},{\"==\":[{\"var\":\"tier\"},1]}]}},"
        "\"metadata\":{\"flagSetId\":\"orders\",\"version\":\"7\"},"
        "\"flags\":{\"read\":{\"state\":\"ENABLED\",\"variants\":{\"sql\":\"sql\",\"mongo\":"
        "\"m\\u00f6ngo\"},\"defaultVariant\":\"sql\",\"targeting\":{\"if\":[{\"$ref\":\"staff\"},"
        "\"mongo\"]}},"
        "\"none\":{\"state\":\"ENABLED\",\"variants\":{\"on\":true},\"defaultVariant\":null,"
        "\"metadata\":{\"owner\":\"x\"}},"
        "\"size\":{\"state\":\"ENABLED\",\"variants\":{\"s\":1,\"l\":1.50},\"defaultVariant\":"
        "\"l\"},"
        "\"off\":{\"state\":\"DISABLED\",\"variants\":{\"on\":true},\"defaultVariant\":\"on\"},"
        "\"obj\":{\"state\":\"ENABLED\",\"variants\":{\"o\":{\"a\":[1,null,\"x\"]}},"
        "\"defaultVariant\":\"o\",\"targeting\":{}}}}");
    assert_int_equal(l.file->format, FLAGFILE_FLAGD);
    assert_true(span_is(flags_metadata(&l.set), "{\"flagSetId\":\"orders\",\"version\":\"7\"}"));
    struct flags_context zoe = {.user = SPAN_LIT("zoe")};
    struct flags_result r = ask_with(&l, "read", "zoe", "email", text_value("z@acme.com"));
    assert_true(span_is(r.value.text, "m\xc3\xb6ngo"));
    assert_int_equal(r.reason, FLAGS_TARGETING_MATCH);
    r = ask(&l, "read", &zoe);
    assert_true(span_is(r.value.text, "sql"));
    assert_int_equal(r.reason, FLAGS_DEFAULT);
    assert_false(ask(&l, "none", &zoe).has_value);
    r = ask(&l, "size", &zoe);
    assert_int_equal(r.reason, FLAGS_STATIC);
    assert_true(r.value.number == 1.5);
    r = ask(&l, "off", &zoe);
    assert_int_equal(r.reason, FLAGS_DISABLED);
    assert_false(r.has_value);
    assert_true(span_is(ask(&l, "obj", &zoe).value.text, "{\"a\":[1,null,\"x\"]}"));
    unload(&l);
    l = load("{\"flags\":[{\"key\":\"a\",\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":"
             "false},\"defaultVariant\":\"on\"}]}");
    assert_true(is_on(&l, "a", "u"));
    unload(&l);
}

/* bucket = murmur3(flag user) * sum >> 32, cumulative; the converted flag takes the same people. */
static void flagd_fractional(void **state) {
    (void)state;
    struct loaded l = load(
        "{\"flags\":{\"f\":{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},"
        "\"defaultVariant\":\"off\",\"targeting\":{\"fractional\":[[\"on\",7],[\"off\",33]]}}}}");
    struct loaded yaml = converted(&l);
    size_t on = 0;
    for (int i = 0; i < 2000; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "user-%d", i);
        uint64_t hash = bucket_murmur3(SPAN_LIT("f"), span_of(user), 0);
        bool wanted = (hash * 40) >> 32 < 7;
        assert_int_equal(is_on(&l, "f", user), wanted);
        assert_int_equal(is_on(&yaml, "f", user), wanted);
        on += wanted;
    }
    assert_in_range(on, 280, 420); /* 17.5 % of 2000 is 350 */
    unload(&yaml);
    unload(&l);
}

/* ---- what is refused ---- */

#define FLAGD(flag) "{\"flags\":{\"f\":" flag "}}"
#define UNLEASH(strategy)                                                                          \
    "{\"version\":1,\"features\":[{\"name\":\"f\",\"enabled\":true,\"strategies\":[" strategy "]}" \
    "]}"
#define DARKLY(rest)                                                                               \
    "{\"flags\":{\"f\":{\"on\":true,\"salt\":\"s\",\"variations\":[true,false],"                   \
    "\"offVariation\":1,\"fallthrough\":{\"variation\":0}," rest "}}}"

static const struct {
    const char *text, *error;
} refused[] = {
    {"{\"flags\":{}", "f.json:1:12: not JSON: the file ends where ',' or '}' should be"},
    {"{\"flags\":{},}", "f.json:1:13: not JSON: '}' where a name in quotes should be"},
    {"{\n  \"flags\": {\"a\": \"\xff\"}}",
     "f.json:2:19: not UTF-8 (byte 0xff); save the file as UTF-8"},
    {"{\"flags\":{\"f\":1,\"f\":2}}", "f.json:1:17: 'f' is given twice; remove one"},
    {"{\"flags\":{\"\\ud800\":1}}",
     "f.json:1:18: half of a surrogate pair; the other half must follow"},
    {"{\"flags\":{\"f\":01}}", "f.json:1:16: not JSON: '1' where ',' or '}' should be"},
    {FLAGD("{\"state\":\"ENABLED\"}"), "f.json:1:15: flag 'f': 'variants' is missing"},
    {FLAGD("{\"state\":\"ON\",\"variants\":{\"on\":true}}"),
     "f.json:1:24: flag 'f': unknown state 'ON'; it is one of ENABLED, DISABLED"},
    {FLAGD("{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":0}}"),
     "f.json:1:62: flag 'f': variant 'off' has another type than 'on'; all variants of a flag "
     "have one type"},
    {FLAGD("{\"state\":\"ENABLED\",\"variants\":{\"on\":true},\"defaultVariant\":\"of\"}"),
     "f.json:1:74: flag 'f': defaultVariant 'of' is not one of its variants"},
    {FLAGD("{\"state\":\"ENABLED\",\"variants\":{\"on\":true},\"targeting\":{\"$ref\":\"x\"}}"),
     "f.json:1:77: flag 'f': $ref 'x' is not in $evaluators"},
    {"{\"$evaluators\":{\"a\":{\"!\":{\"$ref\":\"a\"}}},\"flags\":{\"f\":{\"state\":\"ENABLED\","
     "\"variants\":{\"on\":true},\"targeting\":{\"$ref\":\"a\"}}}}",
     "f.json:1:34: flag 'f': $ref 'a' leads back to itself"},
    {UNLEASH("{\"name\":\"remoteAddress\",\"parameters\":{\"IPs\":\"1.2.3.4\"}}"),
     "f.json:1:75: flag 'f': strategy 'remoteAddress' cannot be kept; there is default, "
     "flexibleRollout, userWithId, gradualRolloutUserId, gradualRolloutSessionId and "
     "gradualRolloutRandom"},
    {UNLEASH("{\"name\":\"default\",\"constraints\":[{\"contextName\":\"v\",\"operator\":"
             "\"SEMVER_GT\",\"value\":\"1.0.0\"}]}"),
     "f.json:1:100: flag 'f': constraint SEMVER_GT on 'v' cannot be kept exactly: the operator "
     "has no equal here"},
    {UNLEASH("{\"name\":\"default\",\"constraints\":[{\"contextName\":\"v\",\"operator\":"
             "\"STR_CONTAINS\",\"values\":[\"x\"],\"caseInsensitive\":true}]}"),
     "f.json:1:100: flag 'f': constraint STR_CONTAINS on 'v' cannot be kept exactly: "
     "caseInsensitive has no equal here"},
    {UNLEASH("{\"name\":\"default\",\"segments\":[3]}"),
     "f.json:1:97: flag 'f': segment 3 is not in the file's 'segments'"},
    {UNLEASH("{\"name\":\"flexibleRollout\",\"parameters\":{\"rollout\":\"101\"}}"),
     "f.json:1:117: flag 'f': 'rollout' must be a whole number from 0 to 100"},
    {DARKLY("\"rules\":[{\"variation\":0,\"clauses\":[{\"attribute\":\"a\",\"op\":\"matches\","
            "\"values\":[\"x\"]}]}]"),
     "f.json:1:167: flag 'f': operator 'matches' cannot be kept exactly"},
    {DARKLY("\"rules\":[{\"variation\":2,\"clauses\":[]}]"),
     "f.json:1:132: flag 'f': 'variation' must be a whole number from 0 to 1, not 2"},
    {DARKLY("\"targets\":[{\"variation\":0,\"values\":[\"x\"],\"contextKind\":\"org\"}]"),
     "f.json:1:165: flag 'f': context kind 'org' cannot be kept; only 'user' exists here"},
    {DARKLY("\"prerequisites\":[{\"key\":\"g\",\"variation\":0}]"),
     "f.json:1:134: flag 'f': prerequisite 'g' is no flag of this file"},
};

static void says_what_cannot_be_kept(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct flagfile *file = NULL;
        struct err err = {0};
        const char *text = refused[i].text;
        int rc = flagfile_parse("f.json", text, strlen(text), FLAGFILE_ANY, &file, &err);
        wrong += rc != ERR_CONF || strcmp(err.text, refused[i].error) != 0;
        if (rc != ERR_CONF || strcmp(err.text, refused[i].error) != 0)
            print_error("%s\n  said:   %s\n  wanted: %s\n", text, err.text, refused[i].error);
    }
    assert_int_equal(wrong, 0);
}

/* Read they can be, written as feature-flags.yml not. */
static const struct {
    const char *text, *error;
} unwritable[] = {
    {FLAGD(
         "{\"state\":\"ENABLED\",\"variants\":{\"a\":\"x\",\"b\":\"y\"},\"defaultVariant\":\"a\"}"),
     "f.json:1:11: flag 'f': a value that is not true or false cannot be kept in "
     "feature-flags.yml; change it, or name this file itself under 'flags:'"},
    {FLAGD("{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":"
           "\"off\",\"targeting\":{\"fractional\":[[\"off\",95],[\"on\",5]]}}"),
     "f.json:1:11: flag 'f': a rollout that takes its users from the upper end (put the variant "
     "that is true first) cannot be kept in feature-flags.yml; change it, or name this file "
     "itself under 'flags:'"},
    {FLAGD("{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":"
           "\"off\",\"targeting\":{\"if\":[{\"var\":\"x\"},\"on\"]}}"),
     "f.json:1:104: flag 'f': this targeting cannot be kept in feature-flags.yml; change it, or "
     "name this file itself under 'flags:'"},
    {UNLEASH("{\"name\":\"flexibleRollout\",\"parameters\":{\"rollout\":\"50\",\"stickiness\":"
             "\"random\"}}"),
     "f.json:1:34: flag 'f': a rollout at random cannot be kept in feature-flags.yml; change it, "
     "or name this file itself under 'flags:'"},
};

static void says_what_cannot_be_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof unwritable / sizeof *unwritable; i++) {
        _cleanup_(buf_release) struct buf out = {.max = 65536}, notes = {.max = 65536};
        struct loaded l = load(unwritable[i].text);
        struct err err = {0};
        int rc = flagfile_write(&l.file->model, &out, &notes, &err);
        if (rc != ERR_CONF || strcmp(err.text, unwritable[i].error) != 0)
            fail_msg("%s\n  said:   %s\n  wanted: %s", unwritable[i].text, err.text,
                     unwritable[i].error);
        unload(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launchdarkly_vectors),
        cmocka_unit_test(launchdarkly_rules),
        cmocka_unit_test(launchdarkly_prerequisite_off),
        cmocka_unit_test(unleash_vectors),
        cmocka_unit_test(unleash_strategies),
        cmocka_unit_test(unleash_variants),
        cmocka_unit_test(flagd_reads),
        cmocka_unit_test(flagd_fractional),
        cmocka_unit_test(says_what_cannot_be_kept),
        cmocka_unit_test(says_what_cannot_be_written),
    };
    return cmocka_run_group_tests_name("flagfile_import", tests, NULL, NULL);
}

/* Whether routes give the attributes that flags ask for. */
#include "base/buf.h"
#include "flagfile/flagfile.h"
#include "flagfile/given.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CONF                                                                                       \
    "source: {uri: postgresql://h}\ntarget: {uri: mongodb://h, database: d}\n"                     \
    "gateway: {listen: \"127.0.0.1:8080\"}\n"                                                      \
    "modules:\n  m:\n    flag: f\n    collections: {c: {table: t}}\n    routes:\n"
#define SIDES                                                                                      \
    "sql: {url: \"http://127.0.0.1:1\", service: a}, mongodb: {url: \"http://127.0.0.1:2\", "      \
    "service: b}"
#define GIVES "attributes: {user: {plan: $http_x_plan}, tenant: {tier: $http_x_tier}}"

static int check(const char *conf_text, const char *flags_text, struct err *err) {
    struct conf *conf = NULL;
    struct flagfile *file = NULL;
    *err = (struct err){0};
    if (conf_parse("c.yml", conf_text, strlen(conf_text), &conf, err) < 0)
        fail_msg("%s", err->text);
    if (flagfile_parse("f.yml", flags_text, strlen(flags_text), FLAGFILE_ANY, &file, err) < 0)
        fail_msg("%s", err->text);
    int rc = given_check(conf, &file->model, err);
    flagfile_free(file);
    conf_free(conf);
    return rc;
}

#define GIVING CONF "    - {prefix: /a, " GIVES ", " SIDES "}\n"

static void accepts(const char *flags) {
    struct err err;
    if (check(GIVING, flags, &err) < 0)
        fail_msg("%s\n%s", flags, err.text);
}

static void refuses(const char *flags, const char *words) {
    struct err err;
    if (check(GIVING, flags, &err) != ERR_CONF || !strstr(err.text, words))
        fail_msg("%s\n%s", flags, err.text);
}

#define FLAG(more) "features:\n  - {name: f, enabled: true, rollout_percentage: 5" more "}\n"
#define WANTS(type, name)                                                                          \
    FLAG(", conditions: [{type: " type ", attribute: " name ", operator: \"=\", value: x}]")

static void conditions(void **state) {
    (void)state;
    accepts(FLAG(""));
    accepts(WANTS("user_attribute", "plan"));
    accepts(WANTS("tenant_attribute", "tier"));
    refuses(WANTS("user_attribute", "tier"),
            "f.yml:2:66: flag 'f' asks for the attribute 'tier' of the user, which the route /a of "
            "module m does not give; add it under attributes: user: of that route");
    refuses(WANTS("tenant_attribute", "plan"), "the attribute 'plan' of the tenant");
    refuses(FLAG(", conditions: [{type: custom, name: internal_network, value: 10.0.0.0/8}]"),
            "the attribute 'ip' of the user");
}

static void every_route_must_give(void **state) {
    (void)state;
    struct err err;
    const char *two =
        CONF "    - {prefix: /a, " GIVES ", " SIDES "}\n    - {prefix: /b, " SIDES "}\n";
    assert_int_equal(check(two, FLAG(""), &err), 0);
    assert_int_equal(check(two, WANTS("user_attribute", "plan"), &err), ERR_CONF);
    assert_non_null(strstr(err.text, "the route /b of module m"));
}

static void other_flags(void **state) {
    (void)state;
    /* One that is required counts, one that is not asked for here does not. */
    static const char both[] =
        "features:\n  - {name: f, enabled: true, rollout_percentage: 5, requires: [g]}\n"
        "  - {name: g, enabled: true, rollout_percentage: 5, conditions: [{type: user_attribute, "
        "attribute: age, operator: \">\", value: 5}]}\n";
    refuses(both, "flag 'g' asks for the attribute 'age'");
    accepts("features:\n  - {name: f, enabled: true, rollout_percentage: 5}\n"
            "  - {name: g, enabled: true, rollout_percentage: 5, conditions: [{type: "
            "user_attribute, attribute: age, operator: \">\", value: 5}]}\n");
}

/* `count` flags of which each requires the `width` next ones; the last asks for what is not given.
 */
static void refuses_many(int count, int width) {
    _cleanup_(buf_release) struct buf text = {.max = 64 << 20};
    buf_add_text(&text, "features:\n  - {name: f, enabled: true, rollout_percentage: 5, requires: "
                        "[f0]}\n");
    for (int i = 0; i < count - 1; i++) {
        buf_printf(&text, "  - {name: f%d, enabled: true, rollout_percentage: 5, requires: [", i);
        for (int k = i + 1; k <= i + width && k < count; k++)
            buf_printf(&text, "%sf%d", k > i + 1 ? ", " : "", k);
        buf_add_text(&text, "]}\n");
    }
    buf_printf(&text,
               "  - {name: f%d, enabled: true, rollout_percentage: 5, conditions: [{type: "
               "user_attribute, attribute: age, operator: \">\", value: 5}]}\n",
               count - 1);
    refuses(buf_text(&text), "asks for the attribute 'age'");
}

static void many_that_require_each_other(void **state) {
    (void)state;
    refuses_many(60, 4);    /* 10^16 ways */
    refuses_many(90000, 1); /* deeper than a stack */
}

#define FLAGD(targeting)                                                                           \
    "{\"flags\": {\"f\": {\"state\": \"ENABLED\", \"variants\": {\"on\": true, \"off\": false}, "  \
    "\"defaultVariant\": \"off\", \"targeting\": " targeting "}}}"

static void targeting(void **state) {
    (void)state;
    accepts(FLAGD("{\"if\": [{\"==\": [{\"var\": \"plan\"}, \"gold\"]}, \"on\", \"off\"]}"));
    accepts(
        FLAGD("{\"if\": [{\"==\": [{\"var\": [\"userAttributes.plan\", 1]}, \"x\"]}, \"on\"]}"));
    accepts(FLAGD("{\"if\": [{\"==\": [{\"var\": \"tenantAttributes.tier\"}, \"x\"]}, \"on\"]}"));
    accepts(FLAGD("{\"if\": [{\"==\": [{\"var\": \"targetingKey\"}, {\"var\": "
                  "\"$flagd.flagKey\"}]}, \"on\"]}"));
    accepts(
        FLAGD("{\"if\": [{\"some\": [[1, 2], {\"==\": [{\"var\": \"\"}, 2]}]}, \"on\", \"off\"]}"));
    accepts(FLAGD(
        "{\"if\": [{\"some\": [[1, 2], {\"==\": [{\"var\": \"x\"}, 2]}]}, \"on\", \"off\"]}"));
    refuses(FLAGD("{\"if\": [{\"==\": [{\"var\": \"email\"}, \"gold\"]}, \"on\", \"off\"]}"),
            "the attribute 'email' of the user");
    refuses(FLAGD("{\"if\": [{\"some\": [{\"var\": \"groups\"}, {\"==\": [{\"var\": \"\"}, 2]}]}, "
                  "\"on\"]}"),
            "the attribute 'groups' of the user");
    refuses(FLAGD("{\"if\": [{\"==\": [{\"var\": \"tenantAttributes.plan\"}, 1]}, \"on\"]}"),
            "the attribute 'plan' of the tenant");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),  cmocka_unit_test(every_route_must_give),
        cmocka_unit_test(other_flags), cmocka_unit_test(many_that_require_each_other),
        cmocka_unit_test(targeting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

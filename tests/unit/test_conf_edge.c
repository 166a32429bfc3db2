/* banyan.yml as an edge reads it: what need not be there, and what is not looked into. */
#include "conf_try.h"

#include <stdlib.h>

#define SIDES "sql: {url: 'http://a:1', service: x}, mongodb: {url: 'http://a:2', service: y}"
#define MODULES "modules: {m: {flag: f, routes: [{prefix: /a, " SIDES "}]}}\n"
#define EDGE "edge: {control: 'https://control:8420', token: 0123456789abcdef, name: e-1}\n"
/* A variable that nobody sets, where the control daemon has its secrets. */
#define SECRETS                                                                                    \
    "source: {uri: 'postgresql://u:${BANYAN_TEST_NOT_SET}@h'}\n"                                   \
    "target: {uri: 'mongodb://u:${BANYAN_TEST_NOT_SET}@h', database: d}\n"                         \
    "redis: '${BANYAN_TEST_NOT_SET}'\nalerts: {webhook: '${BANYAN_TEST_NOT_SET}'}\n"               \
    "flags: nowhere.yml\n"

static void needs_no_secrets(void **state) {
    static const char *const files[] = {EDGE MODULES, EDGE SECRETS MODULES};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct conf *conf = parse(files[i]);
        assert_true(conf->is_edge);
        assert_null(conf->source.uri);
        assert_null(conf->redis);
        assert_string_equal(conf->edge.control.text, "https://control:8420");
        assert_string_equal(conf->edge.token, "0123456789abcdef");
        assert_string_equal(conf->edge.name.text, "e-1");
        assert_int_equal(conf->modules[0].route_count, 1);
        assert_int_equal(conf->modules[0].collection_count, 0);
        conf_free(conf);
    }
}

/* What is skipped must not be shown either: it would be shown wrong. */
static void shows_what_it_reads(void **state) {
    _cleanup_(buf_release) struct buf out = {.max = CONF_SHOWN_MAX};
    struct conf *conf = parse(EDGE SECRETS MODULES);
    (void)state;
    conf_show(conf, false, &out);
    assert_null(strstr(buf_text(&out), "source"));
    assert_null(strstr(buf_text(&out), "0123456789abcdef"));
    struct conf *again = parse(buf_text(&out));
    assert_true(again->is_edge);
    conf_free(again);
    conf_free(conf);
}

static void the_control_daemon_reads_everything(void **state) {
    (void)state;
    refuse("edge: {token: 0123456789abcdef}\n" MODULES,
           "c.yml:1:1: 'source' is missing; add it: source: {uri: "
           "\"postgresql://banyan@127.0.0.1:5432/shop\"}");
    struct err err = {0};
    struct conf *conf = NULL;
    assert_int_equal(conf_parse("c.yml", SECRETS MODULES, strlen(SECRETS MODULES), &conf, &err),
                     ERR_CONF);
    assert_non_null(strstr(err.text, "BANYAN_TEST_NOT_SET"));
}

static void refuses(void **state) {
    (void)state;
    refuse("edge: {control: 'https://c/v1'}\n" MODULES,
           "c.yml:1:17: 'control' must be https://host:port (or http://), without a path");
    refuse("edge: {control: 'https://c', name: 'a b'}\n" MODULES,
           "c.yml:1:36: 'name' must have 1 to 64 letters, digits, dots, dashes and underscores");
    refuse("edge: {control: 'https://c', tokn: x}\n" MODULES,
           "c.yml:1:30: unknown key 'tokn', did you mean 'token'?");
    refuse("edge: {control: 'https://c'}\nsorce: {}\n" MODULES,
           "c.yml:2:1: unknown key 'sorce', did you mean 'source'?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_no_secrets),
        cmocka_unit_test(shows_what_it_reads),
        cmocka_unit_test(the_control_daemon_reads_everything),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

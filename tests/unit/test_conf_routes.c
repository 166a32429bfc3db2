/* The gateway and its routes in banyan.yml: what is read, what is refused and where. */
#include "conf_try.h"

#define HEAD "source: {uri: postgresql://h}\ntarget: {uri: mongodb://h, database: d}\n"
#define MODULE HEAD "modules:\n  m:\n    collections: {c: {table: t}}\n    flag: f\n"
#define SIDES "sql: {url: 'http://a:1', service: x}, mongodb: {url: 'http://[::1]:2', service: y}"
#define ROUTE(text) MODULE "    routes:\n      - {prefix: /a, " SIDES ", " text "}\n"

static void reads_a_route(void **state) {
    (void)state;
    struct conf *conf =
        parse(MODULE "    routes:\n"
                     "      - prefix: /api/products\n"
                     "        sql: {url: 'http://127.0.0.1:9001', service: old}\n"
                     "        mongodb: {url: 'http://127.0.0.1:9002', service: new}\n"
                     "        user: $http_x_user\n"
                     "        tenant: {jwt: org, key: 0123456789abcdef0123456789abcdef}\n"
                     "        attributes: {user: {plan: $http_plan, age: {jwt: age, key: "
                     "0123456789abcdef0123456789abcdef}}}\n"
                     "        read: [POST /api/products/search]\n"
                     "        fallback: {on: [5xx], timeout: 1s, budget: 2.5%, breaker: {of: 64}}\n"
                     "        planned: 2028-02-29\n"
                     "    reads: flag\n"
                     "gateway: {body_limit: 2g, workers: 3, trusted: [10.0.0.0/8, '::1']}\n");
    const struct conf_route *r = conf->modules[0].routes;
    assert_int_equal(conf->modules[0].route_count, 1);
    assert_int_equal(conf->modules[0].reads, CONF_READS_FLAG);
    assert_int_equal(conf->modules[0].writes, CONF_WRITES_AUTO);
    assert_string_equal(r->prefix.text, "/api/products");
    assert_string_equal(r->mongodb.service.text, "new");
    assert_string_equal(r->user.value.text, "$http_x_user");
    assert_string_equal(r->tenant.claim.text, "org");
    assert_int_equal(r->user_attribute_count, 2);
    assert_string_equal(r->user_attributes[0].name.text, "plan");
    assert_string_equal(r->user_attributes[1].from.claim.text, "age");
    assert_true(r->fallback.enabled);
    assert_int_equal(r->fallback.on.count, 1);
    assert_int_equal(r->fallback.connect_us, 200000);
    assert_int_equal(r->fallback.timeout_us, 1000000);
    assert_int_equal(r->fallback.budget * 10, 25);
    assert_int_equal(r->fallback.breaker.of, 64);
    assert_int_equal(r->fallback.breaker.open_us, 5000000);
    assert_true(conf->gateway.at.line > 0);
    assert_int_equal(conf->gateway.body_limit, INT64_C(2) << 30);
    assert_int_equal(conf->gateway.nginx, CONF_NGINX_MANAGED);
    conf_free(conf);
}

static void has_defaults(void **state) {
    (void)state;
    struct conf *conf = parse(MODULE "    routes: [{prefix: /, " SIDES "}]\n");
    assert_int_equal(conf->gateway.at.line, 0);
    assert_true(conf->modules[0].routes->fallback.enabled);
    assert_int_equal(conf->modules[0].routes->fallback.on.count, 0);
    conf_free(conf);
    conf = parse(ROUTE("fallback: false"));
    assert_false(conf->modules[0].routes->fallback.enabled);
    conf_free(conf);
}

static void stages(void **state) {
    (void)state;
    struct conf *conf = parse(MODULE "    stage: live\n");
    assert_int_equal(conf->modules[0].reads, CONF_READS_FLAG);
    assert_int_equal(conf->modules[0].writes, CONF_WRITES_BOTH);
    conf_free(conf);
    refuse(MODULE "    stage: alive\n",
           "c.yml:7:12: 'stage' must be one of off, dualwrite, shadow, live, rampdown, complete, "
           "not 'alive'");
    refuse(MODULE "    stage: live\n    reads: sql\n",
           "c.yml:7:12: 'stage' sets reads and writes; remove it, or both of them");
    refuse(HEAD "modules: {m: {collections: {c: {table: t}}, reads: flag}}\n",
           "c.yml:3:11: module 'm' reads by a flag but names none; add 'flag'");
}

static void refuses_routes(void **state) {
    (void)state;
    refuse(MODULE "    routes:\n      - {prefix: /a/, " SIDES "}\n",
           "c.yml:8:18: 'prefix' must not end with /: it owns what is below it anyway");
    refuse(MODULE "    routes:\n      - {prefix: /a//b, " SIDES "}\n",
           "c.yml:8:18: 'prefix' must be a plain path: no empty segments, dots, escapes, query or "
           "fragment");
    refuse(MODULE "    routes:\n      - {prefix: /a, " SIDES "}\n      - {prefix: /a, " SIDES "}\n",
           "c.yml:9:18: two routes have the prefix /a, the first at 8:18");
    refuse(MODULE "    routes:\n      - {prefix: /a, sql: {url: 'http://a', service: s}}\n",
           "c.yml:8:9: 'routes': 'mongodb' is missing; add it: mongodb: {url: "
           "\"http://127.0.0.1:9002\", service: product-service-mongo}");
    refuse(MODULE "    routes:\n      - {prefix: /a, sql: {url: 'https://a', service: s}}\n",
           "c.yml:8:33: 'url' is https, which is not built for services; the gateway speaks plain "
           "HTTP to them");
    refuse(MODULE "    routes:\n      - {prefix: /a, sql: {url: 'http://a/b', service: s}}\n",
           "c.yml:8:33: 'url' must be http://host:port, without a path");
    refuse(MODULE "    routes:\n      - {prefix: /a, sql: {url: 'http://a', service: 'a\"b'}}\n",
           "c.yml:8:54: 'service' must be at most 128 letters, digits, dots, dashes and "
           "underscores");
    refuse(ROUTE("user: me"), "c.yml:8:112: 'user' is the same for every request; name an nginx "
                              "variable, such as \"$http_x_user_id\"");
    refuse(ROUTE("user: '$a\"; return 200'"),
           "c.yml:8:112: 'user' has a quote, a backslash or a control character");
    refuse(ROUTE("user: {jwt: sub, key: short}"),
           "c.yml:8:106: 'key' is neither PEM nor a secret of at least 32 characters (a shorter "
           "one can be guessed from a token)");
    refuse(ROUTE("read: [/a/b]"),
           "c.yml:8:113: 'read' must be a method and a path, as POST /api/products/search");
    refuse(ROUTE("fallback: {on: [4xx]}"),
           "c.yml:8:122: 'on' must name connect, timeout, 5xx or 404, not '4xx'");
    refuse(ROUTE("fallback: {budget: 101%}"),
           "c.yml:8:125: 'budget' must be a percentage from 0% to 100%");
    refuse(ROUTE("planned: 2027-02-29"), "c.yml:8:115: 'planned' must be a date, as 2027-02-01");
}

static void refuses_gateways(void **state) {
    (void)state;
    refuse(MODULE "gateway: {trusted: [10.0.0.0/33]}\n",
           "c.yml:7:21: 'trusted' must name addresses or ranges, as 10.0.0.0/8, not '10.0.0.0/33'");
    refuse(MODULE "gateway: {tls: {cert: a}}\n",
           "c.yml:7:1: 'gateway.tls' needs both cert and key");
    refuse(MODULE "gateway: {workers: 0}\n",
           "c.yml:7:20: 'workers' must be auto, or a number from 1 to 1024");
    refuse(MODULE "gateway: {body_limit: 1x}\n",
           "c.yml:7:23: 'body_limit' must be a size such as 512k, 1m or 2g, at most 1024g");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_route),    cmocka_unit_test(has_defaults),
        cmocka_unit_test(stages),           cmocka_unit_test(refuses_routes),
        cmocka_unit_test(refuses_gateways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Routes, rights and the ring of events. */
#include "http/guard.h"
#include "http/hub.h"
#include "http/route.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct http_router router;

static const struct http_route routes[] = {
    {"GET", "/", HTTP_ANYONE, NULL, NULL, 0},
    {"GET", "/v1/flags/{name}", HTTP_VIEWER, NULL, NULL, 0},
    {"PATCH", "/v1/flags/{name}", HTTP_OPERATOR, NULL, NULL, 0},
    {"GET", "/v1/flags/list", HTTP_VIEWER, NULL, NULL, 0},
    {"POST", "/v1/flags/{name}/{verb}", HTTP_OPERATOR, NULL, NULL, HTTP_CORS},
    {"GET", "/v1/{rest*}", HTTP_VIEWER, NULL, NULL, 0},
};

static const char *find(enum http_method method, const char *path, struct http_match *m) {
    http_router_match(&router, method, span_of(path), m);
    return m->route ? m->route->path : NULL;
}

static void the_closest_route_wins(void **state) {
    (void)state;
    struct http_match m;
    assert_int_equal(http_router_init(&router, routes, sizeof routes / sizeof *routes, NULL), 0);
    assert_string_equal(find(HTTP_GET, "/", &m), "/");
    assert_string_equal(find(HTTP_HEAD, "/", &m), "/");
    assert_string_equal(find(HTTP_GET, "/v1/flags/list", &m), "/v1/flags/list");
    assert_string_equal(find(HTTP_GET, "/v1/flags/a%2Fb", &m), "/v1/flags/{name}");
    assert_true(span_is(m.parameter[0], "a%2Fb"));
    assert_string_equal(find(HTTP_POST, "/v1/flags/x/off", &m), "/v1/flags/{name}/{verb}");
    assert_true(span_is(m.parameter[0], "x") && span_is(m.parameter[1], "off") && m.cors);
    assert_string_equal(find(HTTP_GET, "/v1/a//b/", &m), "/v1/{rest*}");
    assert_true(span_is(m.parameter[0], "a//b/"));
    assert_string_equal(find(HTTP_PATCH, "/v1/flags/list", &m), "/v1/flags/{name}");
    assert_null(find(HTTP_POST, "/v1/flags/x", &m));
    assert_int_equal(m.allowed, 1U << HTTP_GET | 1U << HTTP_HEAD | 1U << HTTP_PATCH);
    assert_null(find(HTTP_GET, "/v2", &m));
    assert_int_equal(m.allowed, 0);
    assert_null(find(HTTP_GET, "/v1/", &m)); /* nothing is no rest */
    assert_null(find(HTTP_GET, "//", &m));
}

static void wrong_tables_are_refused(void **state) {
    (void)state;
    static const struct http_route bad[] = {
        {"GET", "no/slash", HTTP_ANYONE, NULL, NULL, 0},
        {"FETCH", "/a", HTTP_ANYONE, NULL, NULL, 0},
        {"HEAD", "/a", HTTP_ANYONE, NULL, NULL, 0},
        {"GET", "/{a*}/b", HTTP_ANYONE, NULL, NULL, 0},
        {"GET", "/{a}/{b}/{c}/{d}/{e}", HTTP_ANYONE, NULL, NULL, 0},
        {"GET", "/a/a/a/a/a/a/a/a/a/a/a/a/a", HTTP_ANYONE, NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_router_init(&router, &bad[i], 1, NULL), ERR_INTERNAL);
    static const struct http_route twice[] = {{"GET", "/{a}", HTTP_ANYONE, NULL, NULL, 0},
                                              {"GET", "/{b}", HTTP_ANYONE, NULL, NULL, 0}};
    assert_int_equal(http_router_init(&router, twice, 2, NULL), ERR_INTERNAL);
}

static int start_at(const char *address, struct http_listener l, struct err *err) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct http_guard g;
    *err = (struct err){0};
    inet_pton(AF_INET, address, &at.sin_addr);
    l.key = "listen";
    l.address = "ADDRESS:1";
    int rc = http_guard_init(&g, &l, (const struct sockaddr *)&at, err);
    http_guard_release(&g);
    return rc;
}

static void reach_needs_tokens_and_tls(void **state) {
    (void)state;
    struct err err;
    const char *token = "0123456789abcdef";
    assert_int_equal(start_at("127.0.0.9", (struct http_listener){0}, &err), 0);
    assert_int_equal(start_at("0.0.0.0", (struct http_listener){0}, &err), ERR_CONF);
    assert_string_equal(err.text,
                        "listen: ADDRESS:1 can be reached from other machines: set tokens "
                        "and tls.cert and tls.key, or listen on 127.0.0.1, or set "
                        "insecure: true");
    assert_int_equal(start_at("10.0.0.1", (struct http_listener){.token_viewer = token}, &err),
                     ERR_CONF);
    assert_non_null(strstr(err.text, "set tls.cert and tls.key,"));
    assert_int_equal(
        start_at("10.0.0.1", (struct http_listener){.tls_cert = "c", .tls_key = "k"}, &err),
        ERR_CONF);
    assert_non_null(strstr(err.text, "set tokens,"));
    assert_int_equal(
        start_at("10.0.0.1",
                 (struct http_listener){.tls_cert = "c", .tls_key = "k", .token_operator = token},
                 &err),
        0);
    assert_int_equal(start_at("10.0.0.1",
                              (struct http_listener){
                                  .tls_cert = "c", .tls_key = "k", .token_operator = token + 1},
                              &err),
                     ERR_CONF);
    assert_int_equal(start_at("10.0.0.1", (struct http_listener){.insecure = true}, &err), 0);
    assert_int_equal(start_at("127.0.0.1", (struct http_listener){.tls_cert = "c"}, &err),
                     ERR_CONF);
    assert_int_equal(start_at("127.0.0.1", (struct http_listener){.token_viewer = ""}, &err),
                     ERR_CONF);
    assert_int_equal(
        start_at("127.0.0.1",
                 (struct http_listener){.token_viewer = token, .token_operator = token}, &err),
        ERR_CONF);
    assert_null(strstr(err.text, token));
}

static void roles_cover(void **state) {
    (void)state;
    /* wanted: anyone, evaluate, edge, viewer, operator */
    static const char covers[5][5] = {
        {1, 0, 0, 0, 0}, {1, 1, 0, 0, 0}, {1, 0, 1, 0, 0}, {1, 0, 0, 1, 0}, {1, 1, 1, 1, 1}};
    for (int has = 0; has < 5; has++) {
        for (int wanted = 0; wanted < 5; wanted++)
            assert_int_equal(http_role_covers((enum http_role)has, (enum http_role)wanted),
                             covers[has][wanted]);
    }
}

static struct http_hub hub;

static void the_ring_replays(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22};
    const struct http_lost lost = {"gone", "{\"a\":1}"};
    http_hub_init(&hub, 0xab);
    uint64_t place = http_hub_join(&hub, 1, (struct span){0}, &lost, &out);
    assert_int_equal(out.len, 0);
    assert_true(http_hub_add(&hub, 1, "one", SPAN_LIT("a\nb\r\nc\r")));
    assert_true(http_hub_add(&hub, 0, "other", SPAN_LIT("x")));
    assert_true(http_hub_add(&hub, 1, "two", SPAN_LIT("")));
    assert_false(http_hub_add(&hub, 1, "two words", SPAN_LIT("")));
    assert_false(http_hub_add(&hub, 1, "line\n", SPAN_LIT("")));
    assert_false(http_hub_add(&hub, 1, "", SPAN_LIT("")));
    assert_int_equal(http_hub_read(&hub, 1, &place, 0, &out), HTTP_HUB_ALL);
    assert_string_equal(buf_text(&out),
                        "id: ab-1\nevent: one\ndata: a\ndata: b\ndata: c\ndata: \n\n"
                        "id: ab-2\nevent: two\ndata: \n\n");
    buf_clear(&out);
    place = http_hub_join(&hub, 1, SPAN_LIT("ab-1"), &lost, &out);
    assert_int_equal(place, 2);
    assert_int_equal(http_hub_read(&hub, 1, &place, 0, &out), HTTP_HUB_ALL);
    assert_string_equal(buf_text(&out), "id: ab-2\nevent: two\ndata: \n\n");
    static const char *const unknown[] = {"ab-",  "aa-1", "ab-3",
                                          "ab-x", "",     "ab-99999999999999999999"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        buf_clear(&out);
        assert_int_equal(http_hub_join(&hub, 1, span_of(unknown[i]), &lost, &out), 3);
        assert_string_equal(buf_text(&out), "id: ab-2\nevent: gone\ndata: {\"a\":1}\n\n");
    }
    http_hub_release(&hub);
}

static void the_ring_forgets(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22};
    static char big[HTTP_EVENT_MAX];
    http_hub_init(&hub, 1);
    uint64_t place = 1;
    for (int i = 0; i < HTTP_RING + 1; i++)
        assert_true(http_hub_add(&hub, 0, "e", SPAN_LIT("x")));
    assert_int_equal(hub.channels[0].first, 2);
    assert_int_equal(http_hub_read(&hub, 0, &place, 0, &out), HTTP_HUB_GONE);
    place = 2;
    assert_int_equal(http_hub_read(&hub, 0, &place, 0, &out), HTTP_HUB_ALL);
    memset(big, 'b', sizeof big);
    assert_false(http_hub_add(&hub, 0, "e", span_make(big, sizeof big)));
    for (int i = 0; i < 100; i++)
        assert_true(http_hub_add(&hub, 0, "e", span_make(big, sizeof big - 100)));
    assert_true(hub.channels[0].bytes <= HTTP_RING_BYTES);
    place = hub.channels[0].first;
    buf_clear(&out);
    assert_int_equal(http_hub_read(&hub, 0, &place, 0, &out), HTTP_HUB_MORE);
    assert_true(out.len <= HTTP_STREAM_QUEUED_MAX && out.len > HTTP_STREAM_QUEUED_MAX / 2);
    http_hub_release(&hub);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_closest_route_wins),     cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(reach_needs_tokens_and_tls), cmocka_unit_test(roles_cover),
        cmocka_unit_test(the_ring_replays),           cmocka_unit_test(the_ring_forgets),
    };
    return cmocka_run_group_tests_name("http_route", tests, NULL, NULL);
}

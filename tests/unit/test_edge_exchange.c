/* What edge and control daemon say to each other: the exchange, batches of statistics, and what the
 * two configurations must agree in. */
#include "base/mem.h"
#include "gateway/batch.h"
#include "gateway/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ETAG "0123456789abcdef"
#define ASK                                                                                        \
    "{\"name\":\"e-1\",\"id\":\"" ETAG "\",\"version\":\"0.1\",\"routes\":\"" ETAG                 \
    "\",\"flags\":\"\",\"settings\":\"" ETAG                                                       \
    "\",\"nginx\":true,\"problem\":\"\",\"samples_dropped\":7,\"waiting\":[\"m\",\"n\"]}"

static void an_ask_is_read(void **state) {
    _cleanup_(mem_freep) struct exchange_ask *ask = mem_alloc(sizeof *ask);
    _cleanup_(buf_release) struct buf out = {.max = EXCHANGE_ASK_MAX};
    struct err err = {0};
    (void)state;
    assert_int_equal(exchange_ask_read(SPAN_LIT(ASK), ask, &err), 0);
    assert_string_equal(ask->name, "e-1");
    assert_string_equal(ask->flags, "");
    assert_string_equal(ask->settings, ETAG);
    assert_true(ask->nginx);
    assert_int_equal(ask->samples_dropped, 7);
    assert_int_equal(ask->waiting_count, 2);
    assert_string_equal(ask->waiting[1], "n");
    exchange_ask_write(&out, ask);
    assert_string_equal(buf_text(&out), ASK "\n");
}

static void refuse(const char *from, const char *to, const char *member) {
    _cleanup_(mem_freep) struct exchange_ask *ask = mem_alloc(sizeof *ask);
    const char *at = strstr(ASK, from);
    struct err err = {0};
    char wanted[100];
    assert_non_null(at);
    _cleanup_(mem_freep) char *text =
        mem_printf("%.*s%s%s", (int)(at - ASK), ASK, to, at + strlen(from));
    assert_int_equal(exchange_ask_read(span_of(text), ask, &err), ERR_VALUE);
    (void)snprintf(wanted, sizeof wanted, "member '%s' is missing or wrong", member);
    assert_string_equal(err.text, wanted);
}

static void a_wrong_ask_is_refused(void **state) {
    (void)state;
    refuse("\"e-1\"", "\"a b\"", "name");
    refuse("\"e-1\"", "\"\"", "name");
    refuse("\"id\":\"" ETAG "\"", "\"id\":\"\"", "id");
    refuse("\"flags\":\"\"", "\"flags\":\"0123\"", "flags");
    refuse("\"flags\":\"\"", "\"flags\":\"0123456789ABCDEF\"", "flags");
    refuse("\"nginx\":true", "\"nginx\":1", "nginx");
    refuse(":7", ":-1", "samples_dropped");
    refuse("[\"m\",\"n\"]", "[1]", "waiting");
    refuse("[\"m\",\"n\"]", "{}", "waiting");
    refuse("\"version\":\"0.1\",", "", "version");
}

static void an_answer_comes_back(void **state) {
    _cleanup_(mem_freep) struct exchange_answer *answer = mem_zalloc(1, sizeof *answer);
    _cleanup_(mem_freep) struct exchange_answer *again = mem_zalloc(1, sizeof *again);
    _cleanup_(buf_release) struct buf out = {.max = EXCHANGE_ANSWER_MAX};
    struct err err = {0};
    (void)state;
    memcpy(answer->routes, ETAG, sizeof ETAG);
    memcpy(answer->flags, ETAG, sizeof ETAG);
    memcpy(answer->settings, ETAG, sizeof ETAG);
    answer->applied_count = ROUTE_MODULES_MAX;
    for (size_t i = 0; i < ROUTE_MODULES_MAX; i++) {
        memset(answer->applied[i].module, 'm', ROUTE_NAME_MAX - 1);
        answer->applied[i].age_us = (int64_t)i * 1000000000;
        answer->applied[i].beat_us = (int64_t)i;
    }
    exchange_answer_write(&out, answer);
    assert_true(buf_ok(&out));
    assert_int_equal(exchange_answer_read(buf_span(&out), again, &err), 0);
    assert_memory_equal(answer, again, sizeof *answer);
}

static void batches_come_back(void **state) {
    _cleanup_(buf_release) struct buf out = {.max = 200};
    const struct batch_row row = {.module = SPAN_LIT("m"),
                                  .route = SPAN_LIT("/api"),
                                  .side = ROUTE_MONGODB,
                                  .count = 5,
                                  .errors = 2,
                                  .rescued = 1,
                                  .histogram = SPAN_LIT("blob")};
    struct batch b;
    struct batch_row read;
    struct err err = {0};
    int rows = 0;
    (void)state;
    batch_begin(&out, ETAG, 77);
    while (batch_add(&out, &row)) /* until there is no room: then it is as it was */
        rows++;
    assert_int_equal(rows, 4);
    assert_int_equal(batch_open(buf_span(&out), &b, &err), 0);
    assert_string_equal(b.id, ETAG);
    assert_int_equal(b.sequence, 77);
    for (; rows; rows--) {
        assert_int_equal(batch_next(&b, &read, &err), 1);
        assert_true(span_is(read.module, "m") && span_is(read.route, "/api"));
        assert_true(read.side == ROUTE_MONGODB && read.count == 5 && read.errors == 2);
        assert_true(read.rescued == 1 && span_is(read.histogram, "blob"));
    }
    assert_int_equal(batch_next(&b, &read, &err), 0);
    assert_int_equal(batch_open(span_make(out.data, out.len - 1), &b, &err), 0);
    while (batch_next(&b, &read, &err) > 0)
        rows++;
    assert_int_equal(err.code, ERR_WIRE);
    assert_int_equal(rows, 3);
}

/* ---- routes ---- */

#define MODULES(prefix, url, user)                                                                 \
    "edge: {control: 'https://c'}\nmodules: {m: {flag: f, routes: [{prefix: " prefix               \
    ", sql: {url: '" url "', service: x}, mongodb: {url: 'http://a:2', service: y}, user: " user   \
    "}]}}\n"

static void routes_of(const char *text, char ret[EXCHANGE_ETAG_MAX]) {
    struct conf *conf = NULL;
    struct err err = {0};
    if (conf_parse("c.yml", text, strlen(text), &conf, &err) < 0)
        fail_msg("%s", err.text);
    exchange_routes(conf, ret);
    conf_free(conf);
}

static void what_must_agree(void **state) {
    char one[EXCHANGE_ETAG_MAX], other[EXCHANGE_ETAG_MAX];
    (void)state;
    routes_of(MODULES("/a", "http://a:1", "$http_u"), one);
    routes_of(MODULES("/a", "http://elsewhere:9", "$http_u"), other);
    assert_string_equal(one, other); /* addresses are each machine's own */
    routes_of(MODULES("/b", "http://a:1", "$http_u"), other);
    assert_string_not_equal(one, other);
    routes_of(MODULES("/a", "http://a:1", "$http_v"), other);
    assert_string_not_equal(one, other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ask_is_read),       cmocka_unit_test(a_wrong_ask_is_refused),
        cmocka_unit_test(an_answer_comes_back), cmocka_unit_test(batches_come_back),
        cmocka_unit_test(what_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

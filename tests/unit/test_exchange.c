/* A call as JSON: what it may hold, and its answer's words. */
#include "operation/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void read_body(const char *json, struct arena *arena, struct operation_body *ret) {
    struct err err = {0};
    arena_init(arena, 1 << 20);
    if (operation_body_read(span_of(json), arena, 5, 7, ret, &err) < 0)
        fail_msg("%s: %s", json, err.text);
}

static void refuses(const char *json, const char *wanted) {
    struct operation_body body;
    struct err err = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(operation_body_read(span_of(json), &arena, 5, 7, &body, &err), ERR_USAGE);
    assert_string_equal(err.text, wanted);
    arena_release(&arena);
}

static void reads(void **state) {
    (void)state;
    struct operation_body b;
    struct arena arena;
    read_body(
        "{\"params\": {\"id\": 7}, \"user\": \"u1\", \"tenant\": 42, \"attributes\": {\"user\": "
        "{\"plan\": \"gold\", \"n\": 1}, \"tenant\": {\"tier\": null}}, \"numbers\": \"string\", "
        "\"side\": \"mongodb\"}",
        &arena, &b);
    assert_true(span_is(b.params, "{\"id\": 7}"));
    assert_true(span_is(b.who.user, "u1") && span_is(b.who.tenant, "42"));
    assert_int_equal(b.who.user_attribute_count, 2);
    assert_true(span_is(b.who.user_attributes[0].value.text, "gold"));
    assert_int_equal(b.who.tenant_attribute_count, 1);
    assert_int_equal(b.numbers, OPERATION_NUMBERS_STRING);
    assert_int_equal(b.side, ROUTE_MONGODB);
    arena_release(&arena);
    read_body("", &arena, &b);
    assert_int_equal(b.side, -1);
    assert_int_equal(b.who.now_us, 5);
    assert_null(b.params.ptr);
    arena_release(&arena);
}

static void refusals(void **state) {
    (void)state;
    refuses("[]", "the body must be an object");
    refuses("{\"id\": 7}",
            "the body has params, user, tenant, attributes, numbers and side, nothing "
            "else; parameters stand in 'params'");
    refuses("{\"params\": 7}", "'params' must be an object");
    refuses("{\"user\": {}}", "'user' and 'tenant' are texts");
    refuses("{\"attributes\": {\"plan\": 1}}",
            "'attributes' has 'user' and 'tenant', nothing else");
    refuses("{\"attributes\": {\"user\": 1}}",
            "'attributes' is {\"user\": {...}, \"tenant\": {...}}");
    refuses("{\"numbers\": 1}", "'numbers' is \"plain\" or \"string\"");
    refuses("{\"side\": \"both\"}", "'side' is \"sql\" or \"mongodb\"");
    refuses("{\"params\": {}", "line 1, column 14: a comma or } is missing");
}

/* What clients of applications see of a failure is its kind, not what servers say. */
static void failures(void **state) {
    (void)state;
    struct operation_call call = {
        .decision = {.side = ROUTE_MONGODB}, .answered = ROUTE_MONGODB, .fell_back = true};
    _cleanup_(buf_release) struct buf out = {.max = 10000};
    call.answers[ROUTE_MONGODB].outcome = OPERATION_TIMEOUT;
    (void)err_set(&call.answers[ROUTE_MONGODB].err, ERR_UNREACHABLE, "target: secret");
    call.answers[ROUTE_SQL].outcome = OPERATION_FAILED;
    (void)err_set(&call.answers[ROUTE_SQL].err, ERR_UNREACHABLE, "source: secret");
    assert_int_equal(operation_reply(&call, OPERATION_NUMBERS_PLAIN, false, &out), 504);
    assert_string_equal(
        buf_text(&out),
        "{\"error\":{\"code\":\"timeout\",\"message\":\"both sides "
        "failed\",\"sides\":{\"mongodb\":{"
        "\"outcome\":\"timeout\",\"took_us\":0},\"sql\":{\"outcome\":\"5xx\",\"took_us\":0}}}}\n");
    buf_clear(&out);
    (void)operation_reply(&call, OPERATION_NUMBERS_PLAIN, true, &out);
    assert_non_null(strstr(buf_text(&out), "target: secret"));
    assert_non_null(strstr(buf_text(&out), "source: secret"));
    buf_clear(&out);
    call.answers[ROUTE_MONGODB].outcome = OPERATION_NO_ROW;
    assert_int_equal(operation_reply(&call, OPERATION_NUMBERS_PLAIN, false, &out), 404);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refusals),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Frames between nginx's workers and the daemon: there and back, limits, damage. */
#include "base/mem.h"
#include "route/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct frame_sample sample(void) {
    struct frame_sample s = {.at_us = 1234567890,
                             .module = SPAN_LIT("shop"),
                             .route = SPAN_LIT("/api/products"),
                             .request_id = SPAN_LIT("0123456789abcdef"),
                             .method = SPAN_LIT("POST"),
                             .uri = SPAN_LIT("/api/products/search?q=%20a"),
                             .remote = SPAN_LIT("192.0.2.7"),
                             .tls = true,
                             .asked_body = SPAN_LIT("{\"q\":1}"),
                             .side = ROUTE_MONGODB,
                             .reason = ROUTE_BY_FLAG,
                             .failure = FRAME_404,
                             .status = 404,
                             .upstream_us = 1500,
                             .body = {"a\0b", 3},
                             .truncated = true,
                             .why = FRAME_HASHED,
                             .weight = 20000000};
    s.asked.count = 2;
    s.asked.list[0] = (struct frame_header){SPAN_LIT("Accept"), SPAN_LIT("*/*")};
    s.asked.list[1] = (struct frame_header){SPAN_LIT("Cookie"), SPAN_LIT("")};
    s.answered.count = 1;
    s.answered.list[0] =
        (struct frame_header){SPAN_LIT("Content-Type"), SPAN_LIT("application/json")};
    return s;
}

static void same_headers(const struct frame_headers *a, const struct frame_headers *b) {
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(span_eq(a->list[i].name, b->list[i].name));
        assert_true(span_eq(a->list[i].value, b->list[i].value));
    }
}

static void a_sample_there_and_back(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = FRAME_MAX};
    struct frame_sample in = sample(), back;
    struct err err;
    enum frame_kind kind;
    size_t len;
    assert_true(frame_sample_write(&out, &in));
    assert_int_equal(frame_peek(buf_span(&out), &len, &kind, &err), 0);
    assert_int_equal(len, out.len);
    assert_int_equal(kind, FRAME_SAMPLE);
    assert_int_equal(frame_sample_read(buf_span(&out), &back, &err), 0);
    assert_int_equal(back.at_us, in.at_us);
    assert_true(span_eq(back.module, in.module));
    assert_true(span_eq(back.route, in.route));
    assert_true(span_eq(back.request_id, in.request_id));
    assert_true(span_eq(back.method, in.method));
    assert_true(span_eq(back.uri, in.uri));
    assert_true(span_eq(back.remote, in.remote));
    assert_true(back.tls);
    same_headers(&back.asked, &in.asked);
    assert_true(span_eq(back.asked_body, in.asked_body));
    assert_int_equal(back.side, in.side);
    assert_int_equal(back.reason, in.reason);
    assert_int_equal(back.failure, in.failure);
    assert_int_equal(back.status, in.status);
    assert_int_equal(back.upstream_us, in.upstream_us);
    same_headers(&back.answered, &in.answered);
    assert_true(span_eq(back.body, in.body));
    assert_true(back.truncated);
    assert_int_equal(back.why, in.why);
    assert_int_equal(back.weight, in.weight);
}

static void statistics_there_and_back(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = FRAME_MAX};
    struct frame_statistics in = {.module = SPAN_LIT("shop"),
                                  .route = SPAN_LIT("/api"),
                                  .side = ROUTE_SQL,
                                  .write = true,
                                  .count = 1,
                                  .errors = 2,
                                  .rescued = 3,
                                  .pinned = 4,
                                  .pins_ended = 5,
                                  .spared = 7,
                                  .sampled = UINT64_MAX,
                                  .latency = {"\1\0", 2}};
    struct frame_statistics back;
    struct err err;
    for (unsigned i = 0; i < FRAME_DROP_COUNT; i++)
        in.dropped[i] = 100 + i;
    assert_true(frame_statistics_write(&out, &in));
    assert_int_equal(frame_statistics_read(buf_span(&out), &back, &err), 0);
    assert_true(span_eq(back.module, in.module));
    assert_true(span_eq(back.route, in.route));
    assert_int_equal(back.side, ROUTE_SQL);
    assert_true(back.write);
    assert_int_equal(back.count, 1);
    assert_int_equal(back.errors, 2);
    assert_int_equal(back.rescued, 3);
    assert_int_equal(back.pinned, 4);
    assert_int_equal(back.pins_ended, 5);
    assert_int_equal(back.spared, 7);
    assert_int_equal(back.sampled, UINT64_MAX);
    assert_memory_equal(back.dropped, in.dropped, sizeof in.dropped);
    assert_true(span_eq(back.latency, in.latency));
    /* not taken for the other kind */
    struct frame_sample other;
    assert_int_equal(frame_sample_read(buf_span(&out), &other, &err), ERR_WIRE);
}

/* Every cut is either "not all there" or refused; never read. */
static void cut_frames(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = FRAME_MAX};
    struct frame_sample in = sample(), back;
    struct err err;
    assert_true(frame_sample_write(&out, &in));
    for (size_t cut = 0; cut < out.len; cut++) {
        size_t len = 1;
        enum frame_kind kind;
        assert_int_equal(frame_peek(span_make(out.data, cut), &len, &kind, &err), 0);
        assert_int_equal(len, 0);
        assert_int_equal(frame_sample_read(span_make(out.data, cut), &back, &err), ERR_WIRE);
    }
    /* the length says less than what its texts claim */
    for (size_t cut = FRAME_HEAD + 2; cut < out.len; cut++) {
        size_t rest = cut - FRAME_HEAD;
        char *copy = mem_zalloc(cut, 1);
        memcpy(copy, out.data, cut);
        copy[0] = copy[1] = 0;
        copy[2] = (char)(rest >> 8);
        copy[3] = (char)rest;
        assert_int_equal(frame_sample_read(span_make(copy, cut), &back, &err), ERR_WIRE);
        free(copy);
    }
    /* bytes behind */
    buf_add_char(&out, 0);
    assert_int_equal(frame_sample_read(buf_span(&out), &back, &err), ERR_WIRE);
}

static void refuses(const char *bytes, size_t len, const char *word) {
    struct err err;
    size_t ret;
    enum frame_kind kind;
    assert_int_equal(frame_peek(span_make(bytes, len), &ret, &kind, &err), ERR_WIRE);
    assert_non_null(strstr(err.text, word));
}

static void foreign_heads(void **state) {
    (void)state;
    refuses("\0\0\0\0", 4, "0 bytes");
    refuses("\0\x10\0\0", 4, "1048576 bytes");
    refuses("\xff\xff\xff\xff", 4, "bytes");
    refuses("\0\0\0\2\1\1", 6, "version 1");
    refuses("\0\0\0\2\2\3", 6, "kind 3");
}

static bool fits(const struct frame_sample *s) {
    _cleanup_(buf_release) struct buf out = {.max = 2 * FRAME_MAX};
    buf_add_text(&out, "before");
    bool ok = frame_sample_write(&out, s);
    assert_int_equal(ok, out.len > 6); /* all or nothing */
    return ok;
}

static void limits(void **state) {
    (void)state;
    char *bytes = mem_zalloc(FRAME_BODY_MAX + 1, 1);
    struct frame_sample s = sample();
    s.body = span_make(bytes, FRAME_BODY_MAX);
    s.asked_body = span_make(bytes, FRAME_ASK_MAX);
    assert_true(fits(&s));
    s.body.len++;
    assert_false(fits(&s));
    s.body.len--;
    s.asked_body.len++;
    assert_false(fits(&s));
    s = sample();
    s.asked.count = 1;
    s.asked.list[0].value = span_make(bytes, FRAME_HEADERS_MAX - s.asked.list[0].name.len);
    assert_true(fits(&s));
    s.asked.list[0].value.len++;
    assert_false(fits(&s));
    s = sample();
    s.asked.count = FRAME_HEADER_COUNT + 1;
    assert_false(fits(&s));
    s = sample();
    s.uri = span_make(bytes, (size_t)64 * 1024 + 1);
    assert_false(fits(&s));
    s = sample();
    s.request_id = span_make(bytes, 4097);
    assert_false(fits(&s));
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_there_and_back),
        cmocka_unit_test(statistics_there_and_back),
        cmocka_unit_test(cut_frames),
        cmocka_unit_test(foreign_heads),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

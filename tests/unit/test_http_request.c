/* The strict reader of requests: what it takes, and everything that two readers could read in two
 * ways. Each text is also fed byte by byte. */
#include "http/client.h"
#include "http/reply.h"
#include "http/request.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct http_head head;

/* Reads it whole and byte by byte; both must agree. The bytes end where the block ends. */
static int read_text(const char *text, size_t len) {
    const char *why = "", *again = "";
    struct http_head slow;
    _cleanup_(mem_freep) char *copy = mem_alloc(len);
    memcpy(copy, text, len);
    http_head_clear(&head);
    int rc = http_head_read(&head, span_make(copy, len), &why);
    http_head_clear(&slow);
    int step = 0;
    for (size_t n = 1; n <= len && step == 0; n++)
        step = http_head_read(&slow, span_make(copy, n), &again);
    if (rc < 0 ? step >= 0 : step != rc)
        fail_msg("%s: at once %d, byte by byte %d", text, rc, step);
    assert_true(rc > 0 || rc == 0 || *why);
    return rc;
}

static int read_all(const char *text) {
    return read_text(text, strlen(text));
}

static void takes_requests(void **state) {
    (void)state;
    const char *text = "POST /a/b%20c?x=1&y HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\n"
                       "X-Empty:\r\nX-Blank:  \t v w \t\r\n\r\nhello";
    assert_int_equal(read_all(text), 1);
    http_head_clear(&head);
    const char *why;
    assert_int_equal(http_head_read(&head, span_of(text), &why), 1);
    head.base = text;
    assert_int_equal(head.method, HTTP_POST);
    assert_true(span_is(span_make(text + head.path.at, head.path.len), "/a/b%20c"));
    assert_true(span_is(span_make(text + head.query.at, head.query.len), "x=1&y"));
    assert_int_equal(head.length, 5);
    assert_string_equal(text + head.len, "hello");
    assert_true(span_is(http_head_field(&head, "x-blank"), "v w"));
    assert_true(span_is(http_head_field(&head, "HOST"), "h:1"));
    assert_int_equal(http_head_field(&head, "x-empty").len, 0);
    assert_non_null(http_head_field(&head, "x-empty").ptr);
    assert_null(http_head_field(&head, "x-gone").ptr);
    assert_false(head.close || head.chunked);
    assert_int_equal(read_all("GET / HTTP/1.0\r\nHost: h\r\n\r\n"), 1);
    assert_true(head.close);
    assert_int_equal(
        read_all(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\nExpect: 100-continue\r\n\r\n"),
        1);
    assert_true(head.close && head.expects_continue);
    assert_int_equal(read_all("PATCH / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n"),
                     1);
    assert_true(head.chunked);
}

#define H "Host: h\r\n"

static void refuses_what_is_not_strict(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *text;
    } bad[] = {
        {400, "\x16\x03\x01"},
        {400, "\r\nGET / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET / HTTP/1.1\n" H "\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\r\n" H "\r\n"},
        {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
        {400, "GET / http/1.1\r\n" H "\r\n"},
        {505, "GET / HTTP/2.0\r\n" H "\r\n"},
        {400, "GET http://h/ HTTP/1.1\r\n" H "\r\n"},
        {400, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\x01 HTTP/1.1\r\n" H "\r\n"},
        {501, "BREW / HTTP/1.1\r\n" H "\r\n"},
        {501, "get / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
        {400, "GET / HTTP/1.1\r\n" H " folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X : y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H ": y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X(: a\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H
              "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = read_all(bad[i].text);
        if (rc != -bad[i].status)
            fail_msg("%s: %d, not %d", bad[i].text, rc, -bad[i].status);
    }
}

static void every_prefix_needs_more(void **state) {
    (void)state;
    const char *text = "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(read_text(text, n), 0);
    assert_int_equal(read_all(text), 1);
}

static void limits_of_the_head(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf b = {.max = 1 << 20};
    /* The line: at the limit, one over it, and without an end in sight. */
    for (size_t extra = 0; extra < 2; extra++) {
        buf_clear(&b);
        buf_add_text(&b, "GET /");
        while (b.len < HTTP_LINE_MAX - 9 + extra)
            buf_add_char(&b, 'a');
        buf_add_text(&b, " HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(read_text(b.data, b.len), extra ? -414 : 1);
    }
    b.len = HTTP_LINE_MAX + 2;
    memset(b.data, 'A', b.len);
    assert_int_equal(read_text(b.data, b.len), -414);
    /* The whole head. */
    for (size_t extra = 0; extra < 2; extra++) {
        buf_clear(&b);
        buf_add_text(&b, "GET / HTTP/1.1\r\n" H "X: ");
        while (b.len < HTTP_HEAD_MAX - 4 + extra)
            buf_add_char(&b, 'a');
        buf_add_text(&b, "\r\n\r\n");
        assert_int_equal(read_text(b.data, b.len), extra ? -431 : 1);
    }
    b.len = HTTP_HEAD_MAX + 1; /* without its end */
    assert_int_equal(read_text(b.data, b.len), -431);
    /* The number of headers. */
    for (int extra = 0; extra < 2; extra++) {
        buf_clear(&b);
        buf_add_text(&b, "GET / HTTP/1.1\r\n" H);
        for (int i = 1; i < HTTP_HEADERS_MAX + extra; i++)
            buf_add_text(&b, "X: y\r\n");
        buf_add_text(&b, "\r\n");
        assert_int_equal(read_text(b.data, b.len), extra ? -431 : 1);
    }
}

/* In one piece, and in two at every place, taken together as a connection does. */
static int read_chunks(const char *text, char *ret_body, size_t *ret_used) {
    size_t len = strlen(text);
    int first = 0;
    for (size_t cut = 0; cut <= len; cut++) {
        _cleanup_(mem_freep) char *copy = mem_alloc(len);
        struct http_chunks c = {.max = HTTP_BODY_MAX};
        const char *why = "";
        memcpy(copy, text, len);
        int rc = http_chunks_read(&c, copy, cut, &why);
        if (rc == 0)
            rc = http_chunks_read(&c, copy, len, &why);
        if (cut == 0)
            first = rc;
        assert_int_equal(rc, first);
        if (rc > 0) {
            memcpy(ret_body, copy, c.body);
            ret_body[c.body] = '\0';
            *ret_used = c.at;
        }
    }
    return first;
}

static void chunks_are_joined(void **state) {
    (void)state;
    char body[64];
    size_t used = 0;
    assert_int_equal(read_chunks("5\r\nhello\r\n00A\r\n, world ok\r\n0\r\n\r\nGET", body, &used),
                     1);
    assert_string_equal(body, "hello, world ok");
    assert_int_equal(used, strlen("5\r\nhello\r\n00A\r\n, world ok\r\n0\r\n\r\n"));
    assert_int_equal(read_chunks("0\r\n\r\n", body, &used), 1);
    assert_string_equal(body, "");
    assert_int_equal(read_chunks("5\r\nhello\r\n0\r\n", body, &used), 0);
    static const char *const bad[] = {"5;ext=1\r\nhello\r\n0\r\n\r\n",
                                      "5 \r\nhello\r\n0\r\n\r\n",
                                      "\r\n",
                                      "x\r\n",
                                      "-5\r\n",
                                      "0x5\r\nhello\r\n",
                                      "5\nhello\r\n0\r\n\r\n",
                                      "5\r\nhelloo\r\n0\r\n\r\n",
                                      "5\r\nhello\n0\r\n\r\n",
                                      "0\r\nTrailer: x\r\n\r\n",
                                      "000000005\r\nhello\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_chunks(bad[i], body, &used), -400);
    assert_int_equal(read_chunks("ffffffff\r\n", body, &used), -413);
    assert_int_equal(read_chunks("f4241\r\n", body, &used), -413);
    assert_int_equal(read_chunks("f4240\r\n", body, &used), 0);
}

/* Read a little at a time, they take no more room than their bytes. */
static void chunks_leave_no_gap(void **state) {
    (void)state;
    static const char text[] = "1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n0\r\n\r\n";
    char data[16];
    const char *why = "";
    struct http_chunks c = {.max = 4};
    size_t len = 0;
    int rc = 0;
    for (size_t at = 0; at < sizeof text - 1; at++) {
        assert_int_equal(rc, 0);
        data[len++] = text[at];
        rc = http_chunks_read(&c, data, len, &why);
        len = http_chunks_join(&c, data, len);
        assert_in_range(len, 0, c.body + 4);
    }
    assert_int_equal(rc, 1);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "abcd", 4);
}

static void percent_is_decoded(void **state) {
    (void)state;
    char space[64];
    struct span s;
    assert_true(http_percent_decode(SPAN_LIT("a%20b+c%C3%a9%2F"), false, space, &s));
    assert_true(span_is(s, "a b+c\xc3\xa9/"));
    assert_true(http_percent_decode(SPAN_LIT("a+b"), true, space, &s) && span_is(s, "a b"));
    static const char *const bad[] = {"%", "%4", "%4g", "a%00", "%ff", "%c3", "%u0041"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(http_percent_decode(span_of(bad[i]), false, space, &s));
}

static void replies_and_urls(void **state) {
    (void)state;
    struct http_reply r;
    struct http_url u;
    const char *why;
    assert_int_equal(
        http_reply_read(SPAN_LIT("HTTP/1.1 201 Made\r\nContent-Length: 3\r\n\r\nabc"), &r, &why),
        1);
    assert_true(r.status == 201 && r.has_length && r.length == 3 && !r.chunked);
    assert_int_equal(
        http_reply_read(SPAN_LIT("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"), &r, &why),
        1);
    assert_true(r.chunked);
    assert_int_equal(http_reply_read(SPAN_LIT("HTTP/1.1 200 OK\r\nA: b\r\n"), &r, &why), 0);
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 999 ?\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_reply_read(span_of(bad[i]), &r, &why), -1);
    assert_int_equal(http_url_parse("https://[::1]:8443/a?b#c", &u, NULL), 0);
    assert_true(u.tls && span_is(u.host, "::1") && span_is(u.port, "8443") &&
                span_is(u.target, "/a?b"));
    assert_int_equal(http_url_parse("http://h", &u, NULL), 0);
    assert_true(!u.tls && span_is(u.host, "h") && span_is(u.port, "80") && span_is(u.target, "/"));
    static const char *const no[] = {"",
                                     "ftp://h/",
                                     "http://",
                                     "http://:1/",
                                     "http://h:x/",
                                     "http://u:p@h/",
                                     "http://h/a b",
                                     "http://h\r\n/",
                                     "http://h?x",
                                     "http://h:/"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(http_url_parse(no[i], &u, NULL), ERR_CONF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_requests),          cmocka_unit_test(refuses_what_is_not_strict),
        cmocka_unit_test(every_prefix_needs_more), cmocka_unit_test(limits_of_the_head),
        cmocka_unit_test(chunks_are_joined),       cmocka_unit_test(chunks_leave_no_gap),
        cmocka_unit_test(percent_is_decoded),      cmocka_unit_test(replies_and_urls),
    };
    return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}

/* Bytes -> head, body in chunks, route, access: at once and byte by byte, which must agree. Answers
 * as the client reads them, too. */
#include "base/mem.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/route.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_route routes[] = {
    {"GET", "/", HTTP_ANYONE, NULL, NULL, 0},
    {"POST", "/ofrep/v1/evaluate/flags/{key}", HTTP_EVALUATE, NULL, NULL, HTTP_CORS},
    {"GET", "/v1/{a}/{b}", HTTP_VIEWER, NULL, NULL, 0},
    {"GET", "/f/{rest*}", HTTP_VIEWER, NULL, NULL, 0},
    {"GET", "/events", HTTP_EVALUATE, NULL, NULL, HTTP_CORS | HTTP_TICKET},
};

static void ask_guard(struct http_head *head, const char *base) {
    static const char *const origins[] = {"https://app.example"};
    static struct http_router router;
    const struct http_listener config = {.address = "127.0.0.1:1",
                                         .key = "listen",
                                         .token_operator = "operator-token-1",
                                         .origins = origins,
                                         .origin_count = 1};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct http_guard guard;
    struct http_match match;
    struct http_asker asker;
    struct http_refusal why;
    if (http_router_init(&router, routes, sizeof routes / sizeof *routes, NULL) < 0 ||
        http_guard_init(&guard, &config, (const struct sockaddr *)&at, NULL) < 0)
        abort();
    http_guard_set_port(&guard, 1);
    head->base = base;
    http_router_match(&router, head->method, span_make(base + head->path.at, head->path.len),
                      &match);
    int status = http_guard_check(&guard, head, &match, -1, 1, &asker, &why);
    if (status == 0 && match.route && !http_role_covers(asker.role, match.route->role))
        abort();
    if (match.route &&
        !(match.allowed & 1U << (head->method == HTTP_HEAD ? HTTP_GET : head->method)))
        abort();
    http_guard_release(&guard);
}

static int head_in_steps(const uint8_t *data, size_t size, struct http_head *head) {
    const char *why = "";
    int rc = 0;
    http_head_clear(head);
    for (size_t n = 1; n <= size && rc == 0; n++)
        rc = http_head_read(head, span_make(data, n), &why);
    return rc;
}

static void read_body(const uint8_t *data, size_t size) {
    char *whole = mem_alloc(size), *steps = mem_alloc(size);
    struct http_chunks a = {.max = HTTP_BODY_MAX}, b = a;
    const char *why = "";
    memcpy(whole, data, size);
    int at_once = http_chunks_read(&a, whole, size, &why), stepped = 0;
    size_t len = 0;
    for (size_t n = 0; n <= size && stepped == 0; n++) {
        if (n)
            steps[len++] = (char)data[n - 1];
        stepped = http_chunks_read(&b, steps, len, &why);
        len = http_chunks_join(&b, steps, len);
    }
    if (at_once != stepped || a.body > a.at || a.at > size || b.at != b.body)
        abort();
    if (at_once == 1 && (a.body != b.body || memcmp(whole, steps, a.body) != 0))
        abort();
    free(whole);
    free(steps);
}

/* An answer as a client reads it, in steps of so many bytes. */
static int read_answer(const uint8_t *data, size_t size, size_t step, struct http_reading *r,
                       struct buf *in) {
    const char *why = NULL;
    int rc = 0;
    *r = (struct http_reading){.max = 4096};
    *in = (struct buf){.max = http_reading_bytes(r)};
    for (size_t at = 0; rc == 0 && at < size; at += step) {
        buf_add(in, data + at, size - at < step ? size - at : step);
        rc = http_reading_go_on(r, in, at + step >= size, &why);
    }
    if ((rc == ERR_WIRE && !why) || (rc > 0 && r->reply.head_len + r->body_len > in->len))
        abort();
    return rc;
}

static void read_answers(const uint8_t *data, size_t size) {
    struct http_reading a, b;
    struct buf whole, steps;
    int at_once = read_answer(data, size, size, &a, &whole);
    int stepped = read_answer(data, size, 1, &b, &steps);
    if (stepped != at_once)
        abort();
    if (stepped > 0 &&
        (a.body_len != b.body_len ||
         memcmp(whole.data + a.reply.head_len, steps.data + b.reply.head_len, a.body_len) != 0))
        abort();
    buf_release(&whole);
    buf_release(&steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_head head, steps;
    struct http_reply reply;
    const char *why = NULL;
    if (size == 0 || size > 16384)
        return 0;
    http_head_clear(&head);
    int rc = http_head_read(&head, span_make(data, size), &why);
    int stepped = head_in_steps(data, size, &steps);
    if (rc < 0 ? stepped >= 0 || !why : rc != stepped)
        abort();
    if (rc > 0) {
        if (head.len > size || head.len != steps.len || head.field_count != steps.field_count ||
            (head.chunked && head.length))
            abort();
        ask_guard(&head, (const char *)data);
        if (head.chunked)
            read_body(data + head.len, size - head.len);
    }
    read_body(data, size);
    read_answers(data, size);
    if (http_reply_read(span_make(data, size), &reply, &why) > 0 && reply.head_len > size)
        abort();
    return 0;
}

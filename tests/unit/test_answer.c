/* Two answers to one request: what can be compared, and in what they differ. */
#define ZLIB_CONST
#include "parallel/answer.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"

static struct answer answer(int status, const char *head, const char *body) {
    return (struct answer){.status = status, .head = span_of(head), .body = span_of(body)};
}

static struct answer json(const char *body) {
    return answer(200, JSON_HEAD, body);
}

/* ---- comparable ---- */

static void what_cannot_be_compared_is_named(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *headers;
        enum parallel_reason reason;
    } cases[] = {
        {200, "", COMPARABLE},
        {200, "Content-Type: text/html\r\n", COMPARABLE},
        {404, "", COMPARABLE},
        {304, "", NOT_COMPARED_UNCHANGED},
        {206, "Content-Range: bytes 0-1/9\r\n", NOT_COMPARED_PARTIAL},
        {200, "Content-Type: text/event-stream\r\n", NOT_COMPARED_EVENTS},
        {200, "content-type: Text/Event-Stream ; charset=utf-8\r\n", NOT_COMPARED_EVENTS},
        {200, "Content-Encoding: br\r\n", NOT_COMPARED_ENCODING},
        {200, "Content-Encoding: zstd\r\n", NOT_COMPARED_ENCODING},
        {200, "Content-Encoding: gzip, br\r\n", NOT_COMPARED_ENCODING},
        {200, "Content-Encoding: identity\r\n", COMPARABLE},
        {200, "Content-Encoding: GZIP\r\n", COMPARABLE},
        {200, "Content-Encoding: deflate\r\n", COMPARABLE},
        {503, "Content-Encoding: br\r\n", COMPARABLE}, /* only its class counts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[256];
        (void)snprintf(head, sizeof head, "HTTP/1.1 %d X\r\n%s\r\n", cases[i].status,
                       cases[i].headers);
        const struct answer a = answer(cases[i].status, head, "{}");
        assert_int_equal(answer_comparable(&a, false), cases[i].reason);
        assert_int_equal(answer_comparable(&a, true), NOT_COMPARED_HEAD);
    }
}

static void a_cut_body_is_too_large(void **state) {
    (void)state;
    struct answer a = json("{\"a\":");
    a.cut = true;
    assert_int_equal(answer_comparable(&a, false), NOT_COMPARED_TOO_LARGE);
}

/* ---- inflating ---- */

static struct span packed(struct span text, int window, struct buf *out) {
    z_stream z = {.next_in = (const unsigned char *)text.ptr, .avail_in = (unsigned)text.len};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, text.len) + 64;
    char *to = buf_reserve(out, bound);
    assert_non_null(to);
    z.next_out = (unsigned char *)to;
    z.avail_out = (unsigned)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    struct span made = span_make(to, bound - z.avail_out);
    out->len += made.len;
    deflateEnd(&z);
    return made;
}

static void all_forms_are_inflated(void **state) {
    (void)state;
    static const int windows[] = {15 + 16, 15, -15}; /* gzip, deflate with and without its head */
    for (size_t i = 0; i < 3; i++) {
        _cleanup_(buf_release) struct buf in = {.max = 1 << 20}, out = {.max = 1 << 20};
        bool too_large = true;
        (void)packed(SPAN_LIT("{\"name\":\"lamp\"}"), windows[i], &in);
        assert_true(answer_inflate(buf_span(&in), &out, &too_large));
        assert_true(span_is(buf_span(&out), "{\"name\":\"lamp\"}"));
    }
}

static void members_of_gzip_are_put_together(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf in = {.max = 1 << 20}, out = {.max = 1 << 20};
    bool too_large;
    (void)packed(SPAN_LIT("{\"a\":"), 15 + 16, &in);
    (void)packed(SPAN_LIT("1}"), 15 + 16, &in);
    assert_true(answer_inflate(buf_span(&in), &out, &too_large));
    assert_true(span_is(buf_span(&out), "{\"a\":1}"));
}

/* A bomb: 64 MiB of zeroes in 64 KiB. */
static void inflating_has_a_limit(void **state) {
    (void)state;
    const size_t size = (size_t)64 << 20;
    _cleanup_(buf_release) struct buf in = {.max = 2 * size}, out = {.max = ANSWER_INFLATED_MAX};
    _cleanup_(mem_freep) char *zeroes = mem_zalloc(1, size);
    bool too_large = false;
    (void)packed(span_make(zeroes, size), 15 + 16, &in);
    assert_true(in.len < (1 << 20));
    assert_false(answer_inflate(buf_span(&in), &out, &too_large));
    assert_true(too_large);
    assert_true(out.cap <= ANSWER_INFLATED_MAX);
}

static void what_is_cut_or_changed_is_damaged(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf in = {.max = 1 << 20};
    struct span whole = packed(SPAN_LIT("{\"name\":\"a longer name than that\"}"), 15 + 16, &in);
    for (size_t len = 0; len < whole.len; len++) {
        _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
        bool too_large = false;
        assert_false(answer_inflate(span_make(whole.ptr, len), &out, &too_large));
        assert_false(too_large);
    }
    in.data[whole.len - 6] ^= 1; /* of the checksum */
    _cleanup_(buf_release) struct buf out = {.max = 1 << 20};
    bool too_large = false;
    assert_false(answer_inflate(buf_span(&in), &out, &too_large));
}

/* ---- comparing ---- */

struct fixture {
    struct answer_rules rules;
    struct arena memory, scratch;
    struct answer_compared found;
    struct err err;
};

static const struct compare_pattern patterns[] = {
    {.path = "*.email", .mask = true},
    {.path = "updated", .ignore = true},
    {.path = "items", .key = "id"},
};
static const char *const headers[] = {"ETag", "Set-Cookie"};

static int setup(void **ret) {
    struct fixture *f = mem_zalloc(1, sizeof *f);
    const struct compare_options options = {
        .mode = COMPARE_EXACT, .patterns = patterns, .pattern_count = 3};
    assert_int_equal(compare_compile(&options, &f->rules.rules, &f->err), 0);
    arena_init(&f->memory, ANSWER_ARENA_MAX);
    arena_init(&f->scratch, ANSWER_ARENA_MAX);
    *ret = f;
    return 0;
}

static int teardown(void **given) {
    struct fixture *f = *given;
    compare_rules_free(f->rules.rules);
    arena_release(&f->memory);
    arena_release(&f->scratch);
    free(f);
    return 0;
}

static void compare(struct fixture *f, const struct answer *sql, const struct answer *mongodb) {
    const struct span key = SPAN_LIT("a key of thirty-two bytes, or so");
    bool equal;
    assert_int_equal(answer_compare(&f->rules, sql, mongodb, false, key, &f->memory, &f->scratch,
                                    &f->found, &f->err),
                     0);
    equal = f->found.equal;
    assert_int_equal(answer_compare(&f->rules, sql, mongodb, true, key, &f->memory, &f->scratch,
                                    &f->found, &f->err),
                     0);
    assert_int_equal(equal, f->found.equal); /* the same with and without details */
}

static void is_only(struct fixture *f, const char *path, enum compare_kind kind, const char *sql,
                    const char *mongodb) {
    assert_false(f->found.equal);
    assert_int_equal(f->found.count, 1);
    const struct answer_difference *d = &f->found.differences[0];
    assert_true(span_is(d->path, path));
    assert_int_equal(d->kind, kind);
    assert_true(sql ? span_is(d->sql, sql) : !d->sql.ptr);
    assert_true(mongodb ? span_is(d->mongodb, mongodb) : !d->mongodb.ptr);
}

static void values_are_compared_not_bytes(void **state) {
    struct fixture *f = *state;
    const struct answer a = json("{\"a\":1,\"b\":[true,null]}"),
                        b = json(" { \"b\" : [true, null], \"a\" : 1 }");
    compare(f, &a, &b);
    assert_true(f->found.equal);
}

static void path_kind_and_values_are_told(void **state) {
    struct fixture *f = *state;
    const struct answer a = json("{\"items\":[{\"id\":1,\"n\":2},{\"id\":2,\"n\":3}]}"),
                        b = json("{\"items\":[{\"id\":1,\"n\":2},{\"id\":2,\"n\":4}]}");
    compare(f, &a, &b);
    is_only(f, "items[id=2].n", COMPARE_MISMATCH, "3", "4");
    assert_true(span_is(f->found.differences[0].shape, "items[].n"));
}

static void what_is_ignored_is_explained(void **state) {
    struct fixture *f = *state;
    const struct answer a = json("{\"updated\":1}"), b = json("{\"updated\":2}");
    compare(f, &a, &b);
    assert_true(f->found.equal);
    assert_int_equal(f->found.explained[COMPARE_BY_IGNORED], 1);
}

static bool holds(struct span text, const char *word) {
    return text.ptr && memmem(text.ptr, text.len, word, strlen(word));
}

/* Neither alone, nor in what it is in, nor in whole documents. */
static void masked_values_are_nowhere(void **state) {
    struct fixture *f = *state;
    f->rules.store_documents = true;
    static const char *const pairs[][2] = {
        {"{\"email\":\"ann@secret\",\"a\":1}", "{\"email\":\"bob@secret\",\"a\":1}"},
        {"{\"user\":{\"email\":\"ann@secret\"}}", "{}"},
        {"{\"a\":1,\"user\":{\"email\":\"ann@secret\"}}",
         "{\"a\":2,\"user\":{\"email\":\"ann@secret\"}}"},
        {"[{\"email\":\"ann@secret\"}]", "[]"},
        {"{\"email\":{\"x\":\"ann@secret\"}}", "{\"email\":\"bob@secret\"}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct answer a = json(pairs[i][0]), b = json(pairs[i][1]);
        compare(f, &a, &b);
        assert_true(f->found.count > 0);
        for (size_t k = 0; k < f->found.count; k++) {
            assert_false(holds(f->found.differences[k].sql, "secret"));
            assert_false(holds(f->found.differences[k].mongodb, "secret"));
        }
        assert_false(holds(f->found.sql_document, "secret"));
        assert_false(holds(f->found.mongodb_document, "secret"));
        assert_true(f->found.sql_document.len > 0);
    }
}

static void whole_documents_are_kept_only_where_they_are_asked_for(void **state) {
    struct fixture *f = *state;
    const struct answer a = json("{\"a\":1,\"b\":\"x\"}"), b = json("{\"a\":2,\"b\":\"x\"}");
    compare(f, &a, &b);
    assert_null(f->found.sql_document.ptr);
    f->rules.store_documents = true;
    compare(f, &a, &b);
    assert_true(span_is(f->found.sql_document, "{\"a\":1,\"b\":\"x\"}"));
    assert_true(span_is(f->found.mongodb_document, "{\"a\":2,\"b\":\"x\"}"));
}

static void statuses(void **state) {
    struct fixture *f = *state;
    const struct answer fine = json("{}"), none = answer(404, JSON_HEAD, "{\"error\":1}"),
                        made = answer(201, JSON_HEAD, "{}");
    compare(f, &fine, &none);
    is_only(f, "(status)", COMPARE_MISSING, "200", "404");
    compare(f, &none, &fine);
    is_only(f, "(status)", COMPARE_EXTRA, "404", "200");
    compare(f, &fine, &made);
    is_only(f, "(status)", COMPARE_MISMATCH, "200", "201");
}

static void of_failures_only_the_class_counts(void **state) {
    struct fixture *f = *state;
    const struct answer a = answer(500, JSON_HEAD, "{\"id\":1}"),
                        b = answer(503, "HTTP/1.1 503 X\r\n\r\n", "<html>"), fine = json("{}");
    compare(f, &a, &b);
    assert_true(f->found.equal);
    compare(f, &a, &fine);
    is_only(f, "(status)", COMPARE_MISMATCH, "500", "200");
}

static void an_answer_without_rows_is_no_tree(void **state) {
    (void)state;
    const enum answer_form forms[] = {ANSWER_ROW, ANSWER_ROWS};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct answer failed = {.status = 503, .form = forms[i]};
        struct arena memory;
        struct compare_tree tree;
        struct err err;
        arena_init(&memory, ANSWER_ARENA_MAX);
        assert_int_equal(answer_tree(&failed, &memory, &tree, &err), ERR_VALUE);
        arena_release(&memory);
    }
}

static void other_bodies_by_type_and_hash(void **state) {
    struct fixture *f = *state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
                      html[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
    const struct answer a = answer(200, text, "same"), b = answer(200, text, "same"),
                        c = answer(200, text, "secret"), d = answer(200, html, "same");
    compare(f, &a, &b);
    assert_true(f->found.equal);
    compare(f, &a, &c);
    assert_int_equal(f->found.count, 1);
    assert_true(span_is(f->found.differences[0].path, "(body)"));
    assert_false(holds(f->found.differences[0].mongodb, "secret")); /* may be anything */
    compare(f, &a, &d);
    is_only(f, "(type)", COMPARE_TYPE_DIFFERENCE, "\"text/plain\"", "\"text/html\"");
}

static void what_says_json_and_is_not_is_bytes(void **state) {
    struct fixture *f = *state;
    const struct answer a = json("{\"a\":1}"), b = json("{\"a\":1");
    compare(f, &a, &b);
    assert_int_equal(f->found.count, 1);
    assert_true(span_is(f->found.differences[0].path, "(body)"));
}

/* `count` prices by article, the first of them number `from`. */
static void add_prices(struct buf *out, int from, int count) {
    for (int i = 0; i < count; i++)
        buf_printf(out, "%s\"a%d\":%d", i ? "," : "{", (from + i) % count, (from + i) % count);
    buf_add_char(out, '}');
}

/* They may well be equal: the same prices in another order are no divergence. */
static void what_passes_a_limit_is_not_compared(void **state) {
    struct fixture *f = *state;
    _cleanup_(buf_release) struct buf a = {.max = 1 << 20}, b = {.max = 1 << 20};
    add_prices(&a, 0, 1200);
    add_prices(&b, 7, 1200);
    const struct answer large = json(buf_text(&a)), other = json(buf_text(&b)), small = json("{}");
    const struct answer *const pairs[][2] = {{&large, &other}, {&large, &small}, {&small, &large}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(answer_compare(&f->rules, pairs[i][0], pairs[i][1], false,
                                        (struct span){0}, &f->memory, &f->scratch, &f->found,
                                        &f->err),
                         ERR_LIMIT);
    compare(f, &large, &large); /* the same bytes are equal without being read */
    assert_true(f->found.equal);
}

static void only_named_headers_and_never_cookies(void **state) {
    struct fixture *f = *state;
    f->rules.headers = headers;
    f->rules.header_count = 2;
    const struct answer a = answer(200,
                                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "
                                   "\"secret\"\r\nX-A: 1\r\nSet-Cookie: a=1\r\n\r\n",
                                   "{}"),
                        b = answer(200,
                                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: "
                                   "2\r\nSet-Cookie: a=2\r\n\r\n",
                                   "{}");
    compare(f, &a, &b);
    assert_int_equal(f->found.count, 1);
    assert_true(span_is(f->found.differences[0].path, "(header ETag)"));
    assert_int_equal(f->found.differences[0].kind, COMPARE_MISSING);
    assert_false(holds(f->found.differences[0].sql, "secret"));
}

static void every_header_of_a_name_is_compared(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"Link"};
    f->rules.headers = names;
    f->rules.header_count = 1;
    static const char *const heads[] = {"HTTP/1.1 200 OK\r\nLink: <a>\r\nX: y\r\nlink: <b>\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nLink: <a>\r\nLink: <b>\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nLink: <a>\r\nLink: <c>\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nLink: <a>\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nLink: <a>\r\nLink:\r\n\r\n"};
    const struct answer a = answer(200, heads[0], "");
    struct answer b = answer(200, heads[1], "");
    compare(f, &a, &b);
    assert_true(f->found.equal);
    static const enum compare_kind kinds[] = {COMPARE_MISMATCH, COMPARE_MISSING, COMPARE_MISMATCH};
    for (size_t i = 0; i < 3; i++) {
        b = answer(200, heads[2 + i], "");
        compare(f, &a, &b);
        assert_int_equal(f->found.count, 1);
        assert_int_equal(f->found.differences[0].kind, kinds[i]);
    }
    b = answer(200, heads[3], "");
    compare(f, &b, &a);
    assert_int_equal(f->found.differences[0].kind, COMPARE_EXTRA);
}

static void many_differences_are_counted_and_some_kept(void **state) {
    struct fixture *f = *state;
    _cleanup_(buf_release) struct buf a = {.max = 1 << 20}, b = {.max = 1 << 20};
    for (int i = 0; i < 2000; i++) {
        buf_printf(&a, "%c%d", i ? ',' : '[', i);
        buf_printf(&b, "%c%d", i ? ',' : '[', i + 10000);
    }
    buf_add_char(&a, ']');
    buf_add_char(&b, ']');
    const struct answer x = json(buf_text(&a)), y = json(buf_text(&b));
    compare(f, &x, &y);
    assert_int_equal(f->found.count, ANSWER_DIFFERENCES_MAX);
    assert_int_equal(f->found.found, 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_compared_is_named),
        cmocka_unit_test(a_cut_body_is_too_large),
        cmocka_unit_test(all_forms_are_inflated),
        cmocka_unit_test(members_of_gzip_are_put_together),
        cmocka_unit_test(inflating_has_a_limit),
        cmocka_unit_test(what_is_cut_or_changed_is_damaged),
        TEST(values_are_compared_not_bytes),
        TEST(path_kind_and_values_are_told),
        TEST(what_is_ignored_is_explained),
        TEST(masked_values_are_nowhere),
        TEST(whole_documents_are_kept_only_where_they_are_asked_for),
        TEST(statuses),
        TEST(of_failures_only_the_class_counts),
        TEST(an_answer_without_rows_is_no_tree),
        TEST(other_bodies_by_type_and_hash),
        TEST(what_says_json_and_is_not_is_bytes),
        TEST(what_passes_a_limit_is_not_compared),
        TEST(only_named_headers_and_never_cookies),
        TEST(every_header_of_a_name_is_compared),
        TEST(many_differences_are_counted_and_some_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

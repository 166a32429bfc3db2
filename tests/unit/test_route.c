/* Routes: prefixes, ambiguous paths, who answers, and the published settings. */
#include "route/decide.h"
#include "route/path.h"
#include "route/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct span PREFIXES[] = {SPAN_LIT("/api/products"), SPAN_LIT("/api"),
                                       SPAN_LIT("/api/products/admin"), SPAN_LIT("/other")};
#define COUNT (sizeof PREFIXES / sizeof *PREFIXES)

static void finds(const char *path, size_t expected) {
    assert_int_equal(route_find(PREFIXES, COUNT, span_of(path)), expected);
}

static void the_longest_prefix_on_a_border(void **state) {
    (void)state;
    const struct span root[] = {SPAN_LIT("/")};
    finds("/api/products", 0);
    finds("/api/products/", 0);
    finds("/api/products/7", 0);
    finds("/api/productsX", 1);
    finds("/api", 1);
    finds("/api/products/admin", 2);
    finds("/api/products/administrator", 0);
    finds("/ap", ROUTE_NONE);
    finds("/", ROUTE_NONE);
    finds("", ROUTE_NONE);
    assert_int_equal(route_find(root, 1, SPAN_LIT("/x")), 0);
    assert_int_equal(route_find(root, 1, SPAN_LIT("*")), ROUTE_NONE);
}

static void decodes(const char *path, const char *expected) {
    char out[100];
    size_t len = route_decode(span_of(path), out);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void resolves(const char *path, const char *expected) {
    char work[100];
    memcpy(work, path, strlen(path));
    size_t len = route_resolve(work, strlen(path));
    work[len] = '\0';
    assert_string_equal(work, expected);
}

static void readings_of_a_path(void **state) {
    (void)state;
    decodes("/a%2Fb%2e", "/a/b.");
    decodes("%25", "%");
    decodes("%2", "%2");
    decodes("%zz%4", "%zz%4");
    decodes("%", "%");
    resolves("/a/b", "/a/b");
    resolves("//a///b/", "/a/b/");
    resolves("/a/./b/../c", "/a/c");
    resolves("/a/..", "/");
    resolves("/../../a", "/a");
    resolves("/a/.", "/a/");
    resolves("/", "/");
    resolves("", "");
    resolves("*", "*");
    resolves("/...", "/...");
}

static void ambiguous(const char *raw, bool expected) {
    char path[200];
    size_t len = route_resolve(path, route_decode(span_of(raw), path));
    size_t chosen = route_find(PREFIXES, COUNT, span_make(path, len));
    assert_int_equal(route_is_ambiguous(PREFIXES, COUNT, span_of(raw), chosen), expected);
}

static void paths_that_could_get_past_a_route(void **state) {
    (void)state;
    ambiguous("/api/products/7", false);
    ambiguous("/api/products/a%20b", false);
    ambiguous("/api/products/100%25", false);
    ambiguous("//api//products", false);
    ambiguous("/%61pi/products", false);
    ambiguous("/api/products/../orders", true);
    ambiguous("/api/products/..%2forders", true);
    ambiguous("/api/products/%2e%2e/orders", true);
    ambiguous("/api/products/%252e%252e/orders", true);
    ambiguous("/api/products/%2561dmin", true);
    ambiguous("/other/../api", true);
    ambiguous("/api/x/../products", true);
    ambiguous("/api/products/x/../y", false);
    _cleanup_(buf_release) struct buf big = {.max = 2 * ROUTE_PATH_MAX};
    while (big.len <= ROUTE_PATH_MAX)
        buf_add_text(&big, "/api");
    assert_true(route_is_ambiguous(PREFIXES, COUNT, buf_span(&big), 1));
}

struct decision_case {
    struct route_question q;
    struct route_decision expected;
};

#define READ .is_read = true, .known = true
static const struct decision_case DECISIONS[] = {
    /* nothing is known: SQL */
    {{.reads = READS_MONGODB, .is_read = true}, {ROUTE_SQL, false, false, ROUTE_BY_NO_FLAGS}},
    /* reads */
    {{READ, .reads = READS_SQL, .flag_on = true}, {ROUTE_SQL, false, false, ROUTE_BY_SETTING}},
    {{READ, .reads = READS_SHADOW, .flag_on = true}, {ROUTE_SQL, false, true, ROUTE_BY_SETTING}},
    {{READ, .reads = READS_FLAG}, {ROUTE_SQL, false, true, ROUTE_BY_FLAG}},
    {{READ, .reads = READS_FLAG, .flag_on = true, .may_fall_back = true},
     {ROUTE_MONGODB, true, true, ROUTE_BY_FLAG}},
    {{READ, .reads = READS_FLAG, .flag_on = true}, {ROUTE_MONGODB, false, true, ROUTE_BY_FLAG}},
    {{READ, .reads = READS_FLAG, .flag_on = true, .own_write = true},
     {ROUTE_SQL, false, false, ROUTE_BY_OWN_WRITE}},
    {{READ, .reads = READS_FLAG, .flag_on = true, .breaker_open = true, .may_fall_back = true},
     {ROUTE_SQL, false, false, ROUTE_BY_BREAKER}},
    /* without a way back the breaker does not help anybody */
    {{READ, .reads = READS_FLAG, .flag_on = true, .breaker_open = true},
     {ROUTE_MONGODB, false, true, ROUTE_BY_FLAG}},
    {{READ, .reads = READS_MONGODB, .writes = WRITES_MONGODB, .own_write = true},
     {ROUTE_MONGODB, false, false, ROUTE_BY_SETTING}},
    /* writes: the flag, the breaker and a fallback never touch them */
    {{.known = true, .reads = READS_FLAG, .flag_on = true, .may_fall_back = true},
     {ROUTE_SQL, false, false, ROUTE_BY_SETTING}},
    {{.known = true, .writes = WRITES_BOTH, .flag_on = true},
     {ROUTE_SQL, false, false, ROUTE_BY_SETTING}},
    {{.known = true,
      .reads = READS_MONGODB,
      .writes = WRITES_MONGODB,
      .breaker_open = true,
      .may_fall_back = true},
     {ROUTE_MONGODB, false, false, ROUTE_BY_SETTING}},
};

static void who_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof DECISIONS / sizeof *DECISIONS; i++) {
        struct route_decision d = route_decide(&DECISIONS[i].q);
        assert_int_equal(d.side, DECISIONS[i].expected.side);
        assert_int_equal(d.guarded, DECISIONS[i].expected.guarded);
        assert_int_equal(d.sampled, DECISIONS[i].expected.sampled);
        assert_int_equal(d.reason, DECISIONS[i].expected.reason);
    }
}

static struct route_settings settings(void) {
    struct route_settings s = {.version = 7, .count = 2};
    s.modules[0] = (struct route_module){.name = "catalogue",
                                         .reads = READS_FLAG,
                                         .writes = WRITES_BOTH,
                                         .fallback = true,
                                         .caught_up = true};
    s.modules[1] = (struct route_module){.name = "orders", .reads = READS_SHADOW};
    return s;
}

static void settings_round_trip(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 100000};
    const struct route_settings written = settings();
    static struct route_settings read;
    struct err err = {0};
    route_settings_write(&out, &written);
    assert_int_equal(route_settings_read(buf_span(&out), &read, &err), 0);
    assert_int_equal(read.version, 7);
    assert_int_equal(read.count, 2);
    const struct route_module *m = route_settings_find(&read, "catalogue");
    assert_non_null(m);
    assert_int_equal(m->reads, READS_FLAG);
    assert_int_equal(m->writes, WRITES_BOTH);
    assert_true(m->fallback && m->caught_up);
    assert_false(route_settings_find(&read, "orders")->fallback);
    assert_null(route_settings_find(&read, "other"));
}

static void every_damaged_byte_is_seen(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf out = {.max = 100000};
    const struct route_settings written = settings();
    static struct route_settings read;
    struct err err = {0};
    route_settings_write(&out, &written);
    for (size_t i = 0; i < out.len; i++) {
        out.data[i] ^= 0x10;
        assert_int_equal(route_settings_read(buf_span(&out), &read, &err), ERR_STATE);
        out.data[i] ^= 0x10;
    }
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(route_settings_read(span_make(out.data, len), &read, &err), ERR_STATE);
}

static void names(void **state) {
    (void)state;
    enum route_reads reads = READS_SQL;
    enum route_writes writes = WRITES_SQL;
    assert_true(route_reads_parse("flag", &reads) && reads == READS_FLAG);
    assert_true(route_writes_parse("both", &writes) && writes == WRITES_BOTH);
    assert_false(route_reads_parse("both", &reads));
    assert_false(route_writes_parse("", &writes));
    assert_string_equal(route_reason_name(ROUTE_BY_OWN_WRITE), "own_write");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_on_a_border),
        cmocka_unit_test(readings_of_a_path),
        cmocka_unit_test(paths_that_could_get_past_a_route),
        cmocka_unit_test(who_answers),
        cmocka_unit_test(settings_round_trip),
        cmocka_unit_test(every_damaged_byte_is_seen),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}

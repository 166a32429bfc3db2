/* Flags that several daemons share: the document, and how two become one. */
#include "base/mem.h"
#include "conf/conf_check.h"
#include "flagfile/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct state_flag flag(const char *name, int64_t version, bool killed, const char *changes) {
    struct state_flag f = {.version = version, .killed = killed, .changed_us = 7};
    (void)snprintf(f.name, sizeof f.name, "%s", name);
    (void)snprintf(f.who, sizeof f.who, "ann");
    (void)snprintf(f.why, sizeof f.why, "why \"so\"");
    f.changes = changes ? mem_strdup(changes) : NULL;
    return f;
}

#define G "\"generation\":\"0123456789abcdef\","

static void is_read_as_it_was_written(void **state) {
    (void)state;
    struct state_flag flags[] = {flag("a", 3, true, NULL),
                                 flag("b\n\"", 1, false, "{\"enabled\":false}")};
    struct shared_flags out = {
        .generation = "0123456789abcdef", .version = 9, .flags = flags, .count = 2};
    struct shared_flags in;
    _cleanup_(buf_release) struct buf json = {.max = SHARED_MAX};
    struct err err = {0};
    shared_write(&out, &json);
    assert_int_equal(shared_read(buf_span(&json), &in, &err), 0);
    assert_int_equal(in.version, 9);
    assert_int_equal(in.count, 2);
    assert_true(in.flags[0].killed && !in.flags[0].changes);
    assert_string_equal(in.flags[1].name, "b\n\"");
    assert_string_equal(in.flags[1].changes, "{\"enabled\":false}");
    assert_string_equal(in.flags[1].why, "why \"so\"");
    shared_clear(&in);
    state_flag_clear(&flags[1]);
}

static void refuses_nonsense(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"version\":1,\"flags\":[]}",
        "{\"generation\":\"x\",\"version\":1,\"flags\":[]}",
        "{" G "\"version\":9007199254740993,\"flags\":[]}",
        "{" G "\"version\":0,\"flags\":[]}",
        "{" G "\"version\":1}",
        "{" G "\"version\":1,\"flags\":[{}]}",
        "{" G "\"version\":1,\"flags\":[{\"name\":\"f\"}]}",
        "{" G
        "\"version\":1,\"flags\":[{\"name\":\"f\",\"version\":1,\"killed\":1,\"override\":null,"
        "\"who\":\"\",\"why\":\"\",\"changed_us\":0}]}",
        "{" G "\"version\":1,\"flags\":[{\"name\":\"f\\u0000\",\"version\":1,\"killed\":true,"
        "\"override\":null,\"who\":\"\",\"why\":\"\",\"changed_us\":0}]}",
        "{" G
        "\"version\":1,\"flags\":[{\"name\":\"f\",\"version\":1,\"killed\":true,\"override\":7,"
        "\"who\":\"\",\"why\":\"\",\"changed_us\":0}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct shared_flags s;
        struct err err = {0};
        assert_true(shared_read(span_of(bad[i]), &s, &err) < 0);
        assert_null(s.flags);
    }
}

struct outcome {
    bool given;
    size_t taken;
    int64_t version;
    bool killed;
};

/* Of one flag: what is shared and what is here. */
static struct outcome meet(struct state_flag shared, struct state_flag own) {
    struct shared_flags s = {.version = 5, .flags = mem_zalloc(1, sizeof shared), .count = 1};
    const struct state_flag **taken = NULL;
    struct outcome o = {0};
    struct err err = {0};
    s.flags[0] = shared;
    assert_int_equal(shared_merge(&s, &own, 1, &taken, &o.taken, &o.given, &err), 0);
    o.version = s.flags[0].version;
    o.killed = s.flags[0].killed;
    assert_int_equal(s.version, o.given ? 6 : 5);
    free(taken);
    shared_clear(&s);
    state_flag_clear(&own);
    return o;
}

static void the_higher_version_holds(void **state) {
    (void)state;
    struct outcome o = meet(flag("f", 3, false, NULL), flag("f", 2, true, NULL));
    assert_true(o.taken == 1 && !o.given && o.version == 3 && !o.killed);
    o = meet(flag("f", 3, true, NULL), flag("f", 4, false, "{\"enabled\":true}"));
    assert_true(o.taken == 0 && o.given && o.version == 4 && !o.killed);
    o = meet(flag("f", 3, true, NULL), flag("f", 3, true, NULL));
    assert_true(o.taken == 0 && !o.given);
}

static void a_kill_holds_in_a_tie(void **state) {
    (void)state;
    struct outcome o = meet(flag("f", 3, false, NULL), flag("f", 3, true, NULL));
    assert_true(o.taken == 1 && o.given && o.version == 4 && o.killed);
    o = meet(flag("f", 3, true, NULL), flag("f", 3, false, NULL));
    assert_true(o.taken == 1 && !o.given && o.version == 3 && o.killed);
    o = meet(flag("f", 3, false, "{\"a\":1}"), flag("f", 3, false, "{\"a\":2}"));
    assert_true(o.taken == 1 && !o.given);
}

static void what_one_side_lacks(void **state) {
    (void)state;
    struct state_flag own[] = {flag("mine", 2, true, NULL), flag("never", 0, false, NULL)};
    struct shared_flags s = {.version = 1, .flags = mem_zalloc(1, sizeof *own), .count = 1};
    const struct state_flag **taken = NULL;
    size_t count = 0;
    bool given = false;
    struct err err = {0};
    s.flags[0] = flag("theirs", 1, false, NULL);
    assert_int_equal(shared_merge(&s, own, 2, &taken, &count, &given, &err), 0);
    assert_true(given && count == 1 && s.count == 2);
    assert_string_equal(taken[0]->name, "theirs");
    assert_string_equal(s.flags[1].name, "mine");
    free(taken);
    shared_clear(&s);
}

static void addresses(void **state) {
    (void)state;
    struct conf_redis r;
    assert_true(conf_read_redis("redis://:p%3Aw%2F%40@h:7000/12", &r));
    assert_string_equal(r.password, "p:w/@");
    assert_string_equal(r.host, "h");
    assert_true(r.port == 7000 && r.database == 12 && !r.user[0]);
    assert_true(conf_read_redis("redis://u:p@[::1]", &r));
    assert_string_equal(r.user, "u");
    assert_string_equal(r.host, "::1");
    assert_int_equal(r.port, 6379);
    static const char *const bad[] = {"redis://",        "redis://h:",      "redis://h:0",
                                      "redis://h:65536", "redis://h/x",     "redis://:p%4@h",
                                      "redis://:p%00@h", "rediss://h",      "http://h",
                                      "redis://[::1",    "redis://[::1]:x", "redis://:%@h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(conf_read_redis(bad[i], &r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_as_it_was_written), cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(the_higher_version_holds),  cmocka_unit_test(a_kill_holds_in_a_tie),
        cmocka_unit_test(what_one_side_lacks),       cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

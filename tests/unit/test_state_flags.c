/* Overrides of flags with versions, since when a flag is on for everybody, and the audit log. */
#include "state_fixture.h"

#include "state/statement.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static const struct state_audit_line line = {.who = "ann",
                                             .role = "operator",
                                             .action = "flag_set",
                                             .subject = "orders",
                                             .before = NULL,
                                             .after = "{\"rollout_percentage\":5}",
                                             .why = "first step"};

/* made for `version`; returns the version afterwards */
static int64_t change(struct fixture *f, int64_t version, const char *changes, bool killed,
                      bool *ret_conflict) {
    struct state_flag flag = {.name = "orders", .version = version, .killed = killed};
    flag.changes = changes ? mem_strdup(changes) : NULL;
    int64_t now = -1;
    assert_int_equal(state_flag_change(f->s, &flag, &line, &now, ret_conflict, &f->err), 0);
    state_flag_clear(&flag);
    return now;
}

static void test_versions(void **given) {
    struct fixture *f = *given;
    struct state_flag got;
    bool conflict = true;
    assert_int_equal(state_flag_get(f->s, "orders", &got, &f->err), 0);
    assert_int_equal(got.version, 0);
    assert_null(got.changes);

    assert_int_equal(change(f, 0, "{\"rollout_percentage\":5}", false, &conflict), 1);
    assert_false(conflict);
    assert_int_equal(change(f, 0, "{\"rollout_percentage\":50}", false, &conflict), 1);
    assert_true(conflict); /* made for a version that is gone */
    assert_int_equal(change(f, 1, "{\"rollout_percentage\":5}", true, &conflict), 2);
    assert_int_equal(state_flag_get(f->s, "orders", &got, &f->err), 0);
    assert_true(got.killed);
    assert_string_equal(got.changes, "{\"rollout_percentage\":5}");
    assert_string_equal(got.who, "ann");
    assert_string_equal(got.why, "first step");
    assert_true(got.changed_us > 0);
    state_flag_clear(&got);

    /* A reset is a change too: whoever holds version 2 is told. */
    assert_int_equal(change(f, 2, NULL, false, &conflict), 3);
    assert_int_equal(change(f, 2, "{}", false, &conflict), 3);
    assert_true(conflict);
    struct state_flag *list = NULL;
    size_t count = 0;
    assert_int_equal(state_flag_list(f->s, &list, &count, &f->err), 0);
    assert_int_equal(count, 1);
    assert_null(list[0].changes);
    assert_false(list[0].killed);
    state_flag_clear(&list[0]);
    free(list);
}

static void test_last_of_a_subject(void **given) {
    struct fixture *f = *given;
    struct state_audit last = {0};
    bool found = true;
    assert_int_equal(state_audit_last(f->s, "routing", "shop", &last, &found, &f->err), 0);
    assert_false(found);
    const char *const subjects[] = {"shop", "shop", "other"}, *const why[] = {"one", "two",
                                                                              "three"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(state_audit_add(f->s,
                                         &(struct state_audit_line){.who = "me",
                                                                    .role = "operator",
                                                                    .action = "routing",
                                                                    .subject = subjects[i],
                                                                    .why = why[i]},
                                         &f->err),
                         0);
    assert_int_equal(state_audit_last(f->s, "routing", "shop", &last, &found, &f->err), 0);
    assert_true(found);
    assert_string_equal(last.why, "two");
    state_audit_clear(&last);
    assert_int_equal(state_audit_last(f->s, "flag", "shop", &last, &found, &f->err), 0);
    assert_false(found);
}

static size_t audit_count(struct fixture *f) {
    struct state_audit *list = NULL;
    size_t count = 0;
    assert_int_equal(state_audit_list(f->s, 0, 1000, &list, &count, &f->err), 0);
    for (size_t i = 0; i < count; i++)
        state_audit_clear(&list[i]);
    free(list);
    return count;
}

static void test_change_and_line_are_one(void **given) {
    struct fixture *f = *given;
    bool conflict;
    change(f, 0, "{\"enabled\":false}", false, &conflict);
    change(f, 0, "{\"enabled\":true}", false, &conflict); /* refused: no line */
    assert_int_equal(audit_count(f), 1);
    change(f, 1, NULL, false, &conflict);
    assert_int_equal(audit_count(f), 2);
}

static void test_reason_is_needed(void **given) {
    struct fixture *f = *given;
    struct state_flag flag = {.name = "orders"};
    struct state_audit_line bad = line;
    char long_text[STATE_CHANGES_MAX + 2];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    int64_t version = 0;
    bool conflict;
    bad.why = "";
    assert_int_equal(state_flag_change(f->s, &flag, &bad, &version, &conflict, &f->err), ERR_USAGE);
    long_text[STATE_WHY_MAX + 1] = '\0';
    bad.why = long_text;
    assert_int_equal(state_flag_change(f->s, &flag, &bad, &version, &conflict, &f->err), ERR_LIMIT);
    long_text[STATE_WHY_MAX + 1] = 'x';
    long_text[STATE_WHY_MAX] = '\0';
    assert_int_equal(state_flag_change(f->s, &flag, &bad, &version, &conflict, &f->err), 0);
    long_text[STATE_WHY_MAX] = 'x';
    flag.version = 1;
    flag.changes = long_text;
    assert_int_equal(state_flag_change(f->s, &flag, &line, &version, &conflict, &f->err),
                     ERR_LIMIT);
    assert_int_equal(audit_count(f), 1);
}

static void test_audit_pages_and_is_only_added_to(void **given) {
    struct fixture *f = *given;
    for (int i = 0; i < 5; i++)
        assert_int_equal(state_audit_add(f->s, &line, &f->err), 0);
    struct state_audit *list = NULL;
    size_t count = 0;
    assert_int_equal(state_audit_list(f->s, 0, 2, &list, &count, &f->err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(list[0].id, 5);
    assert_int_equal(list[1].id, 4);
    assert_null(list[0].before);
    assert_string_equal(list[0].after, line.after);
    assert_string_equal(list[0].role, "operator");
    for (size_t i = 0; i < count; i++)
        state_audit_clear(&list[i]);
    free(list);
    assert_int_equal(state_audit_list(f->s, 4, 100, &list, &count, &f->err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(list[0].id, 3);
    for (size_t i = 0; i < count; i++)
        state_audit_clear(&list[i]);
    free(list);

    struct statement st;
    statement_begin(&st, f->s, "UPDATE audit SET who = 'nobody'");
    assert_int_equal(statement_run(&st, NULL, &f->err), ERR_STATE);
    statement_begin(&st, f->s, "DELETE FROM audit");
    assert_int_equal(statement_run(&st, NULL, &f->err), ERR_STATE);
    assert_non_null(strstr(f->err.text, "only added to"));
    assert_int_equal(audit_count(f), 5);
}

static int64_t since(struct fixture *f, const char *name) {
    int64_t us = -1;
    assert_int_equal(state_flag_full_since(f->s, name, &us, &f->err), 0);
    return us;
}

static void test_since_when(void **given) {
    struct fixture *f = *given;
    assert_int_equal(state_flags_full(f->s, (const char *[]){"a", "b"}, 2, 100, &f->err), 0);
    assert_int_equal(state_flags_full(f->s, (const char *[]){"b", "c"}, 2, 200, &f->err), 0);
    assert_int_equal(since(f, "a"), 0);
    assert_int_equal(since(f, "b"), 100);
    assert_int_equal(since(f, "c"), 200);
    assert_int_equal(state_flags_full(f->s, NULL, 0, 300, &f->err), 0);
    assert_int_equal(since(f, "b"), 0);
}

/* Ends without closing anything, as kill -9 does, right after the change returned. */
static void test_killed_after_a_change(void **given) {
    struct fixture *f = *given;
    struct state_flag got;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct state *s = NULL;
        struct state_flag flag = {.name = "orders", .killed = true};
        int64_t version;
        bool conflict;
        int rc = state_open(f->path, &s, NULL);
        if (rc == 0)
            rc = state_flag_change(s, &flag, &line, &version, &conflict, NULL);
        kill(getpid(), rc == 0 ? SIGKILL : SIGABRT);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(state_flag_get(f->s, "orders", &got, &f->err), 0);
    assert_true(got.killed);
    assert_int_equal(got.version, 1);
    state_flag_clear(&got);
    assert_int_equal(audit_count(f), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_and_line_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reason_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_audit_pages_and_is_only_added_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_of_a_subject, setup, teardown),
        cmocka_unit_test_setup_teardown(test_since_when, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_after_a_change, setup, teardown),
    };
    return cmocka_run_group_tests_name("state_flags", tests, NULL, NULL);
}

/* The command line's options: what is taken, what is left, what is refused and how it is said. */
#include "cli/options.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16

struct values {
    bool json, catch_up;
    const char *config, *state;
    int64_t sample;
};

/* The line is split at spaces; "^" stands for an empty word. */
struct line {
    char text[256];
    char *argv[WORDS_MAX];
    int argc;
    struct values values;
    size_t left;
    struct err err;
};

static int parse(struct line *l, const char *text) {
    *l = (struct line){.values = {.config = "banyan.yml", .sample = -1}};
    (void)snprintf(l->text, sizeof l->text, "%s", text);
    for (char *p = l->text; *p; l->argc++) {
        l->argv[l->argc] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
        if (strcmp(l->argv[l->argc], "^") == 0)
            l->argv[l->argc][0] = '\0';
    }
    const struct option_spec global[] = {
        {"--config", "-c", OPTION_TEXT, "FILE", offsetof(struct values, config),
         "the configuration"},
        {"--state", NULL, OPTION_TEXT, "FILE", offsetof(struct values, state), "the state file"},
        {"--json", "-j", OPTION_FLAG, NULL, offsetof(struct values, json), "answer in JSON"},
        {NULL, NULL, OPTION_FLAG, NULL, 0, NULL}};
    const struct option_spec own[] = {
        {"--catch-up", NULL, OPTION_FLAG, NULL, offsetof(struct values, catch_up), "then end"},
        {"--sample", NULL, OPTION_NUMBER, "N", offsetof(struct values, sample), "so many"},
        {NULL, NULL, OPTION_FLAG, NULL, 0, NULL}};
    const struct option_table tables[] = {{global, &l->values}, {own, &l->values}};
    return options_parse(tables, 2, l->argc, l->argv, &l->left, &l->err);
}

static void words(const struct line *l, const char *want) {
    char got[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < l->left; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%s", i ? " " : "", l->argv[i]);
    assert_string_equal(got, want);
}

static void options_may_stand_anywhere(void **state) {
    (void)state;
    static const char *const lines[] = {
        "-c a.yml --json run shop --catch-up --sample 7",
        "run --sample=7 -ca.yml shop --catch-up -j",
        "--catch-up --sample 7 --config=a.yml run -j shop",
        "--config b.yml run shop --sample 8 --sample 7 --catch-up -j -c a.yml",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct line l;
        assert_int_equal(parse(&l, lines[i]), 0);
        words(&l, "run shop");
        assert_true(l.values.json);
        assert_true(l.values.catch_up);
        assert_string_equal(l.values.config, "a.yml");
        assert_null(l.values.state);
        assert_int_equal(l.values.sample, 7);
    }
}

static void nothing_given_changes_nothing(void **state) {
    (void)state;
    struct line l;
    assert_int_equal(parse(&l, ""), 0);
    assert_int_equal(l.left, 0);
    assert_string_equal(l.values.config, "banyan.yml");
    assert_int_equal(l.values.sample, -1);
    assert_false(l.values.json);
}

static void two_dashes_end_options_and_one_is_a_word(void **state) {
    (void)state;
    struct line l;
    assert_int_equal(parse(&l, "run - -- --json -c"), 0);
    words(&l, "run - --json -c");
    assert_false(l.values.json);
}

static void values_may_be_empty_or_hold_signs(void **state) {
    (void)state;
    struct line l;
    assert_int_equal(parse(&l, "--state=--json --config=a=b"), 0);
    assert_string_equal(l.values.state, "--json");
    assert_string_equal(l.values.config, "a=b");
    assert_false(l.values.json);
    assert_int_equal(parse(&l, "--state ^ --config -"), 0);
    assert_string_equal(l.values.state, "");
    assert_string_equal(l.values.config, "-");
}

static void mistakes_name_the_word(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"--sttae x", "unknown option '--sttae', did you mean '--state'?"},
        {"--sttae=x", "unknown option '--sttae=x', did you mean '--state'?"},
        {"--catchup", "did you mean '--catch-up'?"},
        {"--wholly-unlike", "unknown option '--wholly-unlike'; see"},
        {"-x", "unknown option '-x'"},
        {"--state", "option --state wants a value: --state FILE"},
        {"--state --json", "option --state wants a value: --state FILE"},
        {"-c", "option --config wants a value"},
        {"--json=yes", "option --json takes no value, so '--json=yes' is wrong"},
        {"-jq", "option --json takes no value, so '-jq' is wrong"},
        {"--sample many", "option --sample wants a number from 0"},
        {"--sample ^", "wants a number"},
        {"--sample=-5", "not '-5'"},
        {"--sample 7x", "not '7x'"},
        {"--sample +7", "not '+7'"},
        {"--sample 9223372036854775808", "not '9223372036854775808'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct line l;
        assert_int_equal(parse(&l, cases[i].line), ERR_USAGE);
        assert_int_equal(err_exit_code(l.err.code), 2);
        if (!strstr(l.err.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].line, l.err.text, cases[i].says);
    }
    struct line l;
    assert_int_equal(parse(&l, "--sample 9223372036854775807"), 0);
    assert_true(l.values.sample == INT64_MAX);
}

static void the_help_holds_every_option(void **state) {
    (void)state;
    static const struct option_spec table[] = {
        {"--config", "-c", OPTION_TEXT, "FILE", 0, "the configuration"},
        {"--json", NULL, OPTION_FLAG, NULL, 0, "answer in JSON"},
        {NULL, NULL, OPTION_FLAG, NULL, 0, NULL}};
    struct buf out = {.max = 4096};
    options_help(table, &out);
    assert_string_equal(buf_text(&out), "  -c, --config FILE        the configuration\n"
                                        "  --json                   answer in JSON\n");
    buf_release(&out);
}

static void distance_is_that_of_edits(void **state) {
    (void)state;
    char longer[100];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(text_distance(span_of("run"), span_of("run")), 0);
    assert_int_equal(text_distance(span_of(""), span_of("run")), 3);
    assert_int_equal(text_distance(span_of("stats"), span_of("status")), 1);
    assert_int_equal(text_distance(span_of("kitten"), span_of("sitting")), 3);
    assert_true(text_distance(span_of(longer), span_of("run")) > 60);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(options_may_stand_anywhere),
    cmocka_unit_test(nothing_given_changes_nothing),
    cmocka_unit_test(two_dashes_end_options_and_one_is_a_word),
    cmocka_unit_test(values_may_be_empty_or_hold_signs),
    cmocka_unit_test(mistakes_name_the_word),
    cmocka_unit_test(the_help_holds_every_option),
    cmocka_unit_test(distance_is_that_of_edits),
};

int main(void) {
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}

/* One comparison in one line: two texts, rules, and what is to come out. Included by
 * test_compare*.c only. A text is JSON, or MongoDB's extended JSON, which becomes BSON. */
#ifndef BANYAN_TESTS_COMPARE_TRY_H
#define BANYAN_TESTS_COMPARE_TRY_H

#include "compare/compare.h"

#include <bson/bson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define TRY_MEMORY ((size_t)256 << 20)

enum try_as { TRY_JSON, TRY_BSON };

struct try_tree {
    struct compare_tree tree;
    struct arena arena;
    bson_t *bson;
};

static inline void try_read(enum try_as as, const char *text, struct try_tree *ret) {
    struct err err = {0};
    bson_error_t error;
    int rc;
    *ret = (struct try_tree){0};
    arena_init(&ret->arena, TRY_MEMORY);
    if (as == TRY_BSON) {
        ret->bson = bson_new_from_json((const uint8_t *)text, -1, &error);
        if (!ret->bson)
            fail_msg("%s: %s", text, error.message);
        rc = compare_read_bson(span_make(bson_get_data(ret->bson), ret->bson->len), &ret->arena,
                               &ret->tree, &err);
    } else {
        rc = compare_read_json(span_of(text), &ret->arena, &ret->tree, &err);
    }
    if (rc < 0)
        fail_msg("%s: %s", text, err.text);
}

static inline void try_release(struct try_tree *t) {
    if (t->bson)
        bson_destroy(t->bson);
    arena_release(&t->arena);
}

/* "missing a.b[].c" for each difference, and at the end "name=2" for each rule that explained. */
static inline int try_note(void *context, const struct compare_difference *d) {
    struct buf *out = context;
    assert_true(d->kind == COMPARE_MISSING ? d->sql && !d->mongodb
                : d->kind == COMPARE_EXTRA ? !d->sql && d->mongodb
                                           : d->sql && d->mongodb);
    buf_printf(out, "%s%s %.*s%s", out->len ? "; " : "", compare_kind_name(d->kind),
               SPAN_ARG(d->path), d->masked ? " (masked)" : "");
    return 0;
}

static inline void try_explained(const struct compare_result *result, struct buf *out) {
    for (enum compare_rule rule = 0; rule < COMPARE_RULE_COUNT; rule++)
        if (result->explained[rule])
            buf_printf(out, "%s%s=%u", out->len ? "; " : "", compare_rule_name(rule),
                       result->explained[rule]);
}

static inline struct compare_rules *try_rules(const struct compare_options *options) {
    struct compare_rules *rules = NULL;
    struct err err;
    if (compare_compile(options, &rules, &err) < 0)
        fail_msg("%s", err.text);
    return rules;
}

static inline void try_trees(const struct compare_options *options, const struct compare_tree *sql,
                             const struct compare_tree *mongodb, struct buf *out) {
    struct compare_rules *rules = try_rules(options);
    struct compare_result result = {0};
    struct arena scratch;
    struct err err;
    arena_init(&scratch, TRY_MEMORY);
    if (compare_trees(rules, sql, mongodb, &scratch, try_note, out, &result, &err) < 0)
        fail_msg("%s", err.text);
    try_explained(&result, out);
    arena_release(&scratch);
    compare_rules_free(rules);
}

static inline void try_as(const struct compare_options *options, enum try_as sql_as,
                          const char *sql, enum try_as mongodb_as, const char *mongodb,
                          const char *expected) {
    struct try_tree a, b;
    _cleanup_(buf_release) struct buf out = {0};
    buf_init(&out, 1 << 20);
    try_read(sql_as, sql, &a);
    try_read(mongodb_as, mongodb, &b);
    try_trees(options, &a.tree, &b.tree, &out);
    if (strcmp(buf_text(&out), expected) != 0)
        fail_msg("%s\nagainst %s:\n  %s\nshould be:\n  %s", sql, mongodb, buf_text(&out), expected);
    try_release(&a);
    try_release(&b);
}

static inline void try_json(const struct compare_options *options, const char *sql,
                            const char *mongodb, const char *expected) {
    try_as(options, TRY_JSON, sql, TRY_JSON, mongodb, expected);
}

static inline void try_bson(const struct compare_options *options, const char *sql,
                            const char *mongodb, const char *expected) {
    try_as(options, TRY_BSON, sql, TRY_BSON, mongodb, expected);
}

#define WITH(of, ...)                                                                              \
    &(const struct compare_options) {                                                              \
        .mode = (of), .patterns = (const struct compare_pattern[]){__VA_ARGS__},                   \
        .pattern_count =                                                                           \
            sizeof((const struct compare_pattern[]){__VA_ARGS__}) / sizeof(struct compare_pattern) \
    }

static const struct compare_options exact = {.mode = COMPARE_EXACT},
                                    mapped = {.mode = COMPARE_MAPPED},
                                    reference = {.mode = COMPARE_REFERENCE};

#endif

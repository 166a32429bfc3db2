/*
 * What the three parts of Unleash's reader share: features and strategies (unleash.c), constraints
 * and segments, variants. Private to flagfile/. One thread.
 */
#ifndef BANYAN_FLAGFILE_UNLEASH_H
#define BANYAN_FLAGFILE_UNLEASH_H

#include "flagfile/rules.h"

/* All conditions of a strategy, for one "and". */
struct unleash_all {
    const struct flags_node *items[FLAGS_CONDITIONS_MAX];
    size_t count;
};

struct unleash {
    struct reader *r;
    const struct tree_node *segments; /* NULL: none */
    struct flags_flag *flag;
    /* Gathered for one feature or strategy, and copied at its end. */
    struct flags_rule *rules;
    size_t rule_count;
    struct flags_variant *variants;
    size_t variant_count;
    struct unleash_all *all;
};

/* What is in the file as text or as number: "50", 50. */
int unleash_int(struct reader *r, const char *what, const struct tree_node *node, int64_t max,
                int64_t *ret) must_check;
/* The name of a field of the context. */
int unleash_attribute(struct reader *r, const struct tree_node *node, struct span *ret) must_check;

/* [var, [values]] of the texts in a list; NULL with the error set. */
const struct flags_node *unleash_in(struct reader *r, struct span name, const struct span *values,
                                    size_t count);
/* `node` NULL: the error is set. */
int unleash_add(struct reader *r, struct unleash_all *all, struct conf_at at,
                const struct flags_node *node) must_check;
/* Both add to `all`; the list may be NULL. */
int unleash_constraints(struct reader *r, const struct tree_node *list,
                        struct unleash_all *all) must_check;
int unleash_segments(struct unleash *u, const struct tree_node *ids,
                     struct unleash_all *all) must_check;

/* By what is bucketed; `node` NULL: as without it. */
int unleash_stickiness(struct reader *r, const struct tree_node *node, bool variants,
                       struct flags_bucketing *b) must_check;
/* The rule is one of the feature's. */
int unleash_push(struct unleash *u, struct conf_at at, const struct flags_rule *rule) must_check;
/* The same with variants, drawn among those whom the rule takes in; their overrides come before. */
int unleash_push_variants(struct unleash *u, const struct tree_node *list, struct flags_rule *rule,
                          struct span group) must_check;

#endif

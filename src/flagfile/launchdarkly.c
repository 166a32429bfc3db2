/*
 * LaunchDarkly: {"flags": {key: flag}, ...} as its SDKs get it, a list of such flags under
 * "items", or one flag. Only the context kind "user" exists here: other kinds are errors.
 *
 * Targets become listed users or rules, rules become rules whose clauses are JSONLogic, a rollout
 * becomes a split that is bucketed as LaunchDarkly does it.
 */
#include "flagfile/rules.h"

#include "base/mem.h"
#include "base/spanmap.h"

#include <stdio.h>

struct launchdarkly {
    struct reader *r;
    const struct tree_node *all; /* "flags" of the file; NULL: one flag */
    const struct tree_node *node;
    struct flags_flag *flag;
    struct span salt;
    struct flags_rule *rules; /* gathered for one flag, copied at its end */
    size_t rule_count;
};

/* ---- variations ---- */

/* true and false are on and off; others are called by their number. */
static int variation_name(struct reader *r, const struct tree_node *variations, int64_t index,
                          struct span *ret) {
    const struct tree_entry *e = variations->first;
    bool truth = false, boolean = variations->count == 2;
    char text[24];
    for (const struct tree_entry *v = e; v; v = v->next)
        boolean = boolean && tree_is_bool(v->value, &truth);
    if (boolean) {
        bool first = false, second = false;
        (void)tree_is_bool(e->value, &first);
        (void)tree_is_bool(e->next->value, &second);
        boolean = first != second;
    }
    for (int64_t i = 0; i < index; i++)
        e = e->next;
    if (boolean) {
        (void)tree_is_bool(e->value, &truth);
        *ret = truth ? SPAN_LIT("on") : SPAN_LIT("off");
        return 0;
    }
    int n = snprintf(text, sizeof text, "%lld", (long long)index);
    *ret = arena_copy(r->arena, span_make(text, (size_t)n));
    return ret->ptr ? 0 : ERR_CONF;
}

static int read_variation_of(struct reader *r, const struct tree_node *variations,
                             const struct tree_node *node, struct span *ret) {
    int64_t index;
    if (!variations || variations->kind != TREE_LIST || variations->count == 0)
        return read_fail(r, node->at, "the flag has no 'variations'");
    int rc = read_int(r, "variation", node, 0, (int64_t)variations->count - 1, &index);
    return rc < 0 ? rc : variation_name(r, variations, index, ret);
}

static int read_variation(struct launchdarkly *l, const struct tree_node *node, struct span *ret) {
    return read_variation_of(l->r, read_get(l->node, "variations"), node, ret);
}

static int read_variations(struct launchdarkly *l) {
    const struct tree_node *list = read_get(l->node, "variations");
    struct flags_flag *f = l->flag;
    if (!list)
        return read_fail(l->r, l->node->at, "'variations' is missing");
    int rc = read_kind(l->r, "variations", list, TREE_LIST);
    if (rc == 0 && (list->count == 0 || list->count > FLAGS_VARIANTS_MAX))
        rc =
            read_fail(l->r, list->at, "'variations' must have 1 to %d entries", FLAGS_VARIANTS_MAX);
    struct flags_variant *variants =
        rc == 0 ? read_alloc(l->r, list->count, sizeof *variants) : NULL;
    if (!variants)
        return ERR_CONF;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next) {
        struct flags_variant *v = &variants[f->variant_count];
        rc = variation_name(l->r, list, (int64_t)f->variant_count, &v->name);
        if (rc == 0)
            rc = read_value(l->r, e->value, &v->value);
        if (rc == 0 && v->value.type == FLAGS_NULL)
            rc = read_fail(l->r, e->value->at, "a variation without a value cannot be kept");
        f->variant_count++;
    }
    f->variants = variants;
    return rc;
}

/* ---- who is asked about ---- */

static int check_kind(struct launchdarkly *l, const struct tree_node *node) {
    const struct tree_node *kind = read_get(node, "contextKind");
    return !kind || span_is(kind->text, "user")
               ? 0
               : read_fail(l->r, kind->at,
                           "context kind '%.100s' cannot be kept; only 'user' exists here",
                           kind->kind == TREE_SCALAR ? kind->text.ptr : "?");
}

/* "key" is the user; "/a/b" leads into an attribute, with ~1 for / and ~0 for ~. */
static int read_attribute(struct launchdarkly *l, const struct tree_node *node,
                          struct span *ret_path, bool *ret_user) {
    struct span text;
    int rc = read_text(l->r, "attribute", node, FLAGS_NAME_MAX, &text);
    if (rc < 0)
        return rc;
    *ret_user = span_is(text, "key");
    *ret_path = *ret_user ? LOGIC_USER : text;
    if (span_is(text, "kind") || memchr(text.ptr, '.', text.len) || memchr(text.ptr, '~', text.len))
        return read_fail(l->r, node->at, "attribute '%s' cannot be kept", text.ptr);
    if (text.ptr[0] != '/')
        return 0;
    char *path = read_alloc(l->r, text.len, 1);
    if (!path)
        return ERR_CONF;
    for (size_t i = 1; i < text.len; i++)
        path[i - 1] = text.ptr[i] == '/' ? '.' : text.ptr[i];
    *ret_path = span_make(path, text.len - 1);
    return 0;
}

/* ---- clauses ---- */

struct clause {
    const struct tree_node *node, *values;
    struct span op;
};

/* One value against the item at hand, which `some` calls "". */
static const struct flags_node *one_value(struct launchdarkly *l, const struct clause *c,
                                          const struct tree_node *value) {
    static const struct {
        const char *name, *op;
    } numbers[] = {{"lessThan", "<"},
                   {"lessThanOrEqual", "<="},
                   {"greaterThan", ">"},
                   {"greaterThanOrEqual", ">="},
                   {NULL, NULL}};
    struct reader *r = l->r;
    const struct flags_node *item = node_of_var(r, SPAN_LIT("")),
                            *literal = node_of_literal(r, value);
    double number;
    for (size_t i = 0; numbers[i].name; i++) {
        if (!span_is(c->op, numbers[i].name))
            continue;
        if (!tree_is_number(value, &number)) {
            (void)read_fail(r, value->at, "%s needs a number", numbers[i].name);
            return NULL;
        }
        /* A number only: {"+": x} of text is not x. */
        return node_of_op(
            r, "and", 2,
            node_of_op(r, "===", 2, node_of_op(r, "+", 1, item, NULL, NULL), item, NULL),
            node_of_op(r, numbers[i].op, 2, item, literal, NULL), NULL);
    }
    if (span_is(c->op, "in"))
        return node_of_op(r, "===", 2, item, literal, NULL);
    const struct flags_node *text =
        node_of_op(r, "===", 2, node_of_op(r, "cat", 1, item, NULL, NULL), item, NULL);
    const struct flags_node *holds = NULL;
    if (value->plain || value->kind != TREE_SCALAR) {
        (void)read_fail(r, value->at, "%s needs text", c->op.ptr);
        return NULL;
    }
    if (span_is(c->op, "contains"))
        holds = node_of_op(r, "in", 2, literal, item, NULL);
    else if (span_is(c->op, "startsWith"))
        holds = node_of_op(r, "starts_with", 2, item, literal, NULL);
    else if (span_is(c->op, "endsWith"))
        holds = node_of_op(r, "ends_with", 2, item, literal, NULL);
    return node_of_op(r, "and", 2, text, holds, NULL);
}

static bool known_op(struct span op) {
    static const char *const names[] = {"in",          "contains",          "startsWith",
                                        "endsWith",    "lessThan",          "lessThanOrEqual",
                                        "greaterThan", "greaterThanOrEqual"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(op, names[i]))
            return true;
    return false;
}

/* Any of the values. Many equal ones are one list. */
static const struct flags_node *any_value(struct launchdarkly *l, const struct clause *c) {
    const struct flags_node **items = read_alloc(l->r, c->values->count, sizeof *items);
    bool in = span_is(c->op, "in");
    size_t n = 0;
    if (!items)
        return NULL;
    for (const struct tree_entry *e = c->values->first; e; e = e->next, n++) {
        items[n] = in ? node_of_literal(l->r, e->value) : one_value(l, c, e->value);
        if (!items[n])
            return NULL;
    }
    return in ? node_of_op(l->r, "in", 2, node_of_var(l->r, SPAN_LIT("")),
                           node_of_list(l->r, items, n), NULL)
              : node_of_many(l->r, "or", items, n);
}

static int read_clause(struct launchdarkly *l, const struct tree_node *node,
                       const struct flags_node **ret) {
    struct clause c = {.node = node};
    const struct tree_node *attribute = NULL, *op = NULL;
    struct span path = {0};
    bool user = false, negate = false;
    int rc = read_keys(l->r, "clauses", node, "_id attribute op values negate contextKind");
    if (rc == 0)
        rc = check_kind(l, node);
    if (rc == 0 && (!(attribute = read_get(node, "attribute")) || !(op = read_get(node, "op")) ||
                    !(c.values = read_get(node, "values"))))
        rc = read_fail(l->r, node->at, "a clause needs 'attribute', 'op' and 'values'");
    if (rc == 0)
        rc = read_text(l->r, "op", op, 64, &c.op);
    if (rc == 0 && !known_op(c.op))
        rc = read_fail(l->r, op->at, "operator '%s' cannot be kept exactly", c.op.ptr);
    if (rc == 0)
        rc = read_attribute(l, attribute, &path, &user);
    if (rc == 0)
        rc = read_kind(l->r, "values", c.values, TREE_LIST);
    if (rc == 0)
        rc = read_optional_bool(l->r, node, "negate", &negate);
    if (rc == 0 && c.values->count == 0)
        rc = read_fail(l->r, node->at, "a clause without values never holds; remove its rule");
    if (rc < 0)
        return rc;
    /* An attribute may be a list, of which one item is enough; merge makes a list of anything. A
     * missing one says no, with `negate` too. */
    const struct flags_node *var = node_of_var(l->r, path);
    const struct flags_node *some = node_of_op(
        l->r, "some", 2, node_of_op(l->r, "merge", 1, var, NULL, NULL), any_value(l, &c), NULL);
    const struct flags_node *there = node_of_op(l->r, "!==", 2, var, node_of_null(l->r), NULL);
    *ret = node_of_op(l->r, "and", 2, there, negate ? node_of_not(l->r, some) : some, NULL);
    return *ret ? 0 : ERR_CONF;
}

/* ---- rollouts ---- */

static int read_bucketing(struct launchdarkly *l, const struct tree_node *rollout,
                          struct flags_bucketing *b) {
    const struct tree_node *by = read_get(rollout, "bucketBy"), *seed = read_get(rollout, "seed");
    const struct tree_node *kind = read_get(rollout, "kind");
    bool experiment = kind && span_is(kind->text, "experiment"), user = true;
    struct span path = {0};
    int64_t v;
    int rc = check_kind(l, rollout);
    *b = (struct flags_bucketing){.hash = FLAGS_HASH_LAUNCHDARKLY, .salt = l->salt, .by_count = 1};
    b->group = l->flag->name;
    if (rc == 0 && by && !experiment)
        rc = read_attribute(l, by, &path, &user);
    if (rc == 0 && !user && memchr(path.ptr, '.', path.len))
        rc = read_fail(l->r, by->at, "'bucketBy' leads into an attribute, which cannot be kept");
    if (rc == 0 && seed) {
        rc = read_int(l->r, "seed", seed, 0, UINT32_MAX, &v);
        b->seeded = rc == 0;
        b->seed = rc == 0 ? (uint32_t)v : 0;
    }
    b->by[0].source = user ? FLAGS_BY_USER : FLAGS_BY_ATTRIBUTE;
    b->by[0].attribute = user ? (struct span){0} : path;
    return rc;
}

static int read_rollout(struct launchdarkly *l, const struct tree_node *rollout,
                        const struct flags_weight **ret_split, size_t *ret_count,
                        struct flags_bucketing *b) {
    const struct tree_node *list = read_get(rollout, "variations");
    int rc = read_keys(l->r, "rollout", rollout, "variations bucketBy seed kind contextKind");
    if (rc == 0 && !list)
        rc = read_fail(l->r, rollout->at, "a rollout needs 'variations'");
    if (rc == 0)
        rc = read_kind(l->r, "variations", list, TREE_LIST);
    if (rc == 0 && list->count == 0)
        rc = read_fail(l->r, list->at, "a rollout needs 'variations'");
    struct flags_weight *split = rc == 0 ? read_alloc(l->r, list->count, sizeof *split) : NULL;
    if (!split)
        return ERR_CONF;
    size_t n = 0;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next, n++) {
        const struct tree_node *variation = read_get(e->value, "variation");
        const struct tree_node *weight = read_get(e->value, "weight");
        int64_t w = 0;
        if (!variation || !weight)
            return read_fail(l->r, e->value->at, "needs 'variation' and 'weight'");
        rc = read_variation(l, variation, &split[n].variant);
        if (rc == 0)
            rc = read_int(l->r, "weight", weight, 0, FLAGS_ROLLOUT_ALL, &w);
        split[n].weight = (uint32_t)w;
    }
    *ret_split = split;
    *ret_count = n;
    return rc < 0 ? rc : read_bucketing(l, rollout, b);
}

static int push_rule(struct launchdarkly *l, struct conf_at at, const struct flags_rule *rule) {
    if (l->rule_count == FLAGS_RULES_MAX)
        return read_fail(l->r, at, "more than %d rules and targets", FLAGS_RULES_MAX);
    l->rules[l->rule_count++] = *rule;
    return 0;
}

/* What a rule or the fallthrough serves. */
static int read_served(struct launchdarkly *l, const struct tree_node *node,
                       struct flags_rule *rule) {
    const struct tree_node *variation = read_get(node, "variation");
    const struct tree_node *rollout = read_get(node, "rollout");
    rule->rollout = FLAGS_ROLLOUT_ALL;
    if (variation)
        return read_variation(l, variation, &rule->variant);
    if (rollout)
        return read_rollout(l, rollout, &rule->split, &rule->split_count, &rule->split_bucketing);
    return read_fail(l->r, node->at, "needs 'variation' or 'rollout'");
}

static int read_rules(struct launchdarkly *l) {
    const struct tree_node *list = read_get(l->node, "rules");
    int rc = list ? read_kind(l->r, "rules", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        const struct tree_node *clauses;
        struct flags_rule rule = {0};
        size_t n = 0;
        rc = read_kind(l->r, "rules", e->value, TREE_MAP);
        if (rc == 0)
            rc = read_served(l, e->value, &rule);
        clauses = rc == 0 ? read_get(e->value, "clauses") : NULL;
        if (clauses)
            rc = read_kind(l->r, "clauses", clauses, TREE_LIST);
        const struct flags_node **items =
            rc == 0 ? read_alloc(l->r, clauses ? clauses->count : 0, sizeof *items) : NULL;
        if (!items)
            return ERR_CONF;
        for (const struct tree_entry *c = clauses ? clauses->first : NULL; rc == 0 && c;
             c = c->next)
            rc = read_clause(l, c->value, &items[n++]);
        if (rc == 0 && n > 0 && !(rule.when = node_of_many(l->r, "and", items, n)))
            rc = ERR_CONF;
        if (rc == 0)
            rc = push_rule(l, e->value->at, &rule);
    }
    return rc;
}

/* ---- targets ---- */

struct listed {
    struct span *on, *off;
    size_t on_count, off_count;
    struct spanmap seen; /* the first list that names somebody counts */
};

static int target_rule(struct launchdarkly *l, const struct tree_node *node, struct span variant,
                       const struct span *values, size_t count) {
    const struct flags_node **items = read_alloc(l->r, count, sizeof *items);
    struct flags_rule rule = {.variant = variant, .rollout = FLAGS_ROLLOUT_ALL};
    if (!items)
        return ERR_CONF;
    for (size_t i = 0; i < count; i++)
        items[i] = node_of_text(l->r, values[i]);
    rule.when = node_of_op(l->r, "in", 2, node_of_var(l->r, LOGIC_USER),
                           node_of_list(l->r, items, count), NULL);
    return rule.when ? push_rule(l, node->at, &rule) : ERR_CONF;
}

static int read_target(struct launchdarkly *l, const struct tree_node *node,
                       struct listed *listed) {
    const struct tree_node *list = read_get(node, "values"), *variation;
    struct span variant;
    struct span *values;
    size_t n = 0;
    int rc = read_keys(l->r, "targets", node, "values variation contextKind");
    if (rc == 0)
        rc = check_kind(l, node);
    if (rc == 0 && (!list || !(variation = read_get(node, "variation"))))
        rc = read_fail(l->r, node->at, "a target needs 'values' and 'variation'");
    if (rc == 0)
        rc = read_variation(l, variation, &variant);
    if (rc == 0)
        rc = read_kind(l->r, "values", list, TREE_LIST);
    values = rc == 0 ? read_alloc(l->r, list->count, sizeof *values) : NULL;
    if (!values)
        return ERR_CONF;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next) {
        bool fresh;
        rc = read_text(l->r, "values", e->value, FLAGS_TEXT_MAX, &values[n]);
        if (rc < 0)
            return rc;
        (void)spanmap_put(&listed->seen, values[n], &fresh);
        n += fresh;
    }
    struct flags_flag *f = l->flag;
    if (span_eq(variant, f->on_variant) && listed->on_count == 0) {
        listed->on = values;
        listed->on_count = n;
    } else if (span_eq(variant, f->off_variant) && listed->off_count == 0) {
        listed->off = values;
        listed->off_count = n;
    } else if (n > 0) {
        return target_rule(l, node, variant, values, n);
    }
    return 0;
}

static int read_context_targets(struct launchdarkly *l) {
    const struct tree_node *list = read_get(l->node, "contextTargets");
    int rc = list ? read_kind(l->r, "contextTargets", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        const struct tree_node *values = read_get(e->value, "values");
        rc = check_kind(l, e->value);
        if (rc == 0 && values && values->count > 0)
            rc = read_fail(l->r, e->value->at,
                           "context targets of users with values cannot be kept; list them under "
                           "'targets'");
    }
    return rc;
}

static int read_targets(struct launchdarkly *l) {
    const struct tree_node *list = read_get(l->node, "targets");
    struct listed listed = {0};
    int rc = list ? read_kind(l->r, "targets", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next)
        rc = read_target(l, e->value, &listed);
    spanmap_release(&listed.seen);
    l->flag->users_on = listed.on;
    l->flag->users_on_count = listed.on_count;
    l->flag->users_off = listed.off;
    l->flag->users_off_count = listed.off_count;
    return rc < 0 ? rc : read_context_targets(l);
}

/* ---- the flag ---- */

/* What holds where no rule does: a rule of its own where "on" and "off" have no words for it. */
static int read_fallthrough(struct launchdarkly *l, const struct flags_rule *served,
                            const struct tree_node *node) {
    struct flags_flag *f = l->flag;
    f->bucketing.hash = FLAGS_HASH_LAUNCHDARKLY;
    f->bucketing.group = f->name;
    f->bucketing.salt = l->salt;
    if (served->split_count > 0) {
        f->rollout = FLAGS_ROLLOUT_ALL;
        f->split = served->split;
        f->split_count = served->split_count;
        f->split_bucketing = served->split_bucketing;
    } else if (span_eq(served->variant, f->on_variant)) {
        f->rollout = FLAGS_ROLLOUT_ALL;
    } else if (span_eq(served->variant, f->off_variant)) {
        f->rollout = 0;
    } else {
        return push_rule(l, node->at, served);
    }
    return 0;
}

static int read_prerequisites(struct launchdarkly *l) {
    const struct tree_node *list = read_get(l->node, "prerequisites");
    struct flags_flag *f = l->flag;
    int rc = list ? read_kind(l->r, "prerequisites", list, TREE_LIST) : 0;
    struct flags_require *requires =
        rc == 0 ? read_alloc(l->r, list ? list->count : 0, sizeof *requires) : NULL;
    if (!requires)
        return ERR_CONF;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        struct flags_require *q = &requires[f->require_count++];
        const struct tree_node *key = read_get(e->value, "key"), *other = NULL;
        const struct tree_node *variation = read_get(e->value, "variation");
        if (!key || !variation)
            return read_fail(l->r, e->value->at, "a prerequisite needs 'key' and 'variation'");
        q->place = read_place(e->value->at);
        rc = read_text(l->r, "key", key, FLAGS_NAME_MAX, &q->flag);
        if (rc == 0 && l->all)
            for (const struct tree_entry *o = l->all->first; o && !other; o = o->next) {
                const struct tree_node *name = read_get(o->value, "key");
                if (span_eq(o->key, q->flag) || (name && span_eq(name->text, q->flag)))
                    other = o->value;
            }
        if (rc == 0 && !other)
            rc = read_fail(l->r, key->at, "prerequisite '%s' is no flag of this file", q->flag.ptr);
        if (rc == 0)
            rc = read_variation_of(l->r, read_get(other, "variations"), variation, &q->variant);
    }
    f->requires = requires;
    return rc;
}

/* For true and false, "on" is true. Else "on" is what the fallthrough gives. */
static int choose_on(struct launchdarkly *l, const struct flags_rule *served) {
    struct flags_flag *f = l->flag;
    for (size_t i = 0; i < f->variant_count; i++)
        if (span_is(f->variants[i].name, "on")) {
            f->on_variant = f->variants[i].name;
            return 0;
        }
    f->on_variant = served->variant.len ? served->variant : served->split[0].variant;
    return 0;
}

static int read_body(struct launchdarkly *l) {
    const struct tree_node *off = read_get(l->node, "offVariation"), *salt = NULL;
    const struct tree_node *fallthrough = read_get(l->node, "fallthrough");
    struct flags_rule served = {0};
    struct flags_flag *f = l->flag;
    if (tree_find(l->node, "environments"))
        return read_fail(l->r, l->node->at,
                         "a flag of the REST API; take what the SDKs get, of one environment");
    int rc = read_optional_bool(l->r, l->node, "on", &f->enabled);
    if (rc == 0 && (salt = read_get(l->node, "salt")) && salt->text.len > 0)
        rc = read_text(l->r, "salt", salt, FLAGS_NAME_MAX, &l->salt);
    if (rc == 0)
        rc = read_variations(l);
    if (rc == 0 && off)
        rc = read_variation(l, off, &f->off_variant);
    if (rc == 0 && !fallthrough)
        rc = read_fail(l->r, l->node->at, "'fallthrough' is missing");
    if (rc == 0)
        rc = read_served(l, fallthrough, &served);
    if (rc == 0)
        rc = choose_on(l, &served);
    if (rc == 0)
        rc = read_prerequisites(l);
    if (rc == 0)
        rc = read_targets(l);
    if (rc == 0)
        rc = read_rules(l);
    return rc < 0 ? rc : read_fallthrough(l, &served, fallthrough);
}

static int read_flag(struct launchdarkly *l, struct span name, struct conf_at at) {
    struct flags_flag *f = l->flag;
    const struct tree_node *key = NULL;
    int rc = read_kind(l->r, "flags", l->node, TREE_MAP);
    if (rc == 0 && (key = read_get(l->node, "key")))
        rc = read_text(l->r, "key", key, FLAGS_NAME_MAX, &f->name);
    else
        f->name = name;
    if (rc == 0 && (f->name.len == 0 || f->name.len > FLAGS_NAME_MAX))
        rc = read_fail(l->r, at, "the flag has no 'key'");
    if (rc < 0)
        return rc;
    f->place = read_place(key ? key->at : at);
    l->r->flag = f->name.ptr;
    l->salt = SPAN_LIT("");
    l->rule_count = 0;
    rc = read_body(l);
    struct flags_rule *rules = rc == 0 ? read_alloc(l->r, l->rule_count, sizeof *rules) : NULL;
    if (!rules)
        return ERR_CONF;
    memcpy(rules, l->rules, l->rule_count * sizeof *rules);
    f->rules = rules;
    f->rule_count = l->rule_count;
    l->r->flag = NULL;
    return 0;
}

int launchdarkly_read(struct reader *r) {
    struct launchdarkly l = {.r = r};
    const struct tree_node *all = read_get(r->root, "flags");
    bool deleted;
    if (!all)
        all = read_get(r->root, "items");
    if (all && all->kind == TREE_SCALAR)
        return read_kind(r, "flags", all, TREE_MAP);
    struct tree_entry only = {.value = r->root, .key = SPAN_LIT(""), .key_at = r->root->at};
    size_t count = all ? all->count : 1, n = 0;
    if (count > FLAGS_MAX)
        return read_fail(r, r->root->at, "more than %d flags", FLAGS_MAX);
    struct flags_flag *flags = read_alloc(r, count, sizeof *flags);
    struct flagfile_lines *lines = read_alloc(r, count, sizeof *lines);
    l.rules = read_alloc(r, FLAGS_RULES_MAX, sizeof *l.rules);
    l.all = all;
    if (!flags || !lines || !l.rules)
        return ERR_CONF;
    for (const struct tree_entry *e = all ? all->first : &only; e; e = e->next) {
        const struct tree_node *gone = read_get(e->value, "deleted");
        if (gone && tree_is_bool(gone, &deleted) && deleted)
            continue;
        l.flag = &flags[n];
        l.node = e->value;
        struct conf_at at = e->key.len ? e->key_at : e->value->at;
        int rc = read_flag(&l, e->key, at);
        if (rc < 0)
            return rc;
        lines[n++] = (struct flagfile_lines){(unsigned)at.line, read_last_line(e->value)};
    }
    read_finish(r, flags, lines, n);
    return 0;
}

/*
 * Unleash: {"version", "features": [...], "segments": [...]}, as its client API gives it.
 *
 * A strategy becomes a rule: constraints and segments are JSONLogic, the rollout is bucketed as
 * Unleash does it, and one that does not take the user in gives way to the next.
 */
#include "flagfile/rules.h"

#include "conf/conf_check.h"
#include "flagfile/zone.h"

#include <stdio.h>

#define VARIANT_SEED 86028157

/* All conditions of a strategy, for one "and". */
struct all {
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
    struct all *all;
};

/* ---- what several places need ---- */

static int attribute_name(struct reader *r, const struct tree_node *node, struct span *ret) {
    int rc = read_text(r, "contextName", node, FLAGS_NAME_MAX, ret);
    if (rc == 0 && memchr(ret->ptr, '.', ret->len))
        rc = read_fail(r, node->at,
                       "context field '%s' has a dot in its name, which cannot be kept", ret->ptr);
    return rc;
}

static const struct flags_node *context_var(struct reader *r, struct span name) {
    return node_of_var(r, span_is(name, "userId") ? LOGIC_USER : name);
}

/* What is in the file as text or as number: "50", 50. */
static int read_loose_int(struct reader *r, const char *what, const struct tree_node *node,
                          int64_t max, int64_t *ret) {
    int64_t v;
    if (node->kind != TREE_SCALAR || !conf_read_int(node->text, &v) || v < 0 || v > max)
        return read_fail(r, node->at, "'%s' must be a whole number from 0 to %lld", what,
                         (long long)max);
    *ret = v;
    return 0;
}

/* [var, [values]] of the texts in a list. */
static const struct flags_node *in_values(struct reader *r, struct span name,
                                          const struct span *values, size_t count) {
    const struct flags_node **items = read_alloc(r, count, sizeof *items);
    if (!items)
        return NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = node_of_text(r, values[i]);
    return node_of_op(r, "in", 2, context_var(r, name), node_of_list(r, items, count), NULL);
}

/* ---- constraints ---- */

struct constraint {
    const struct tree_node *node;
    struct span name, op;
    const struct span *values;
    size_t value_count;
};

static int cannot_keep(struct reader *r, const struct constraint *c, const char *why) {
    return read_fail(r, c->node->at, "constraint %s on '%s' cannot be kept exactly: %s", c->op.ptr,
                     c->name.ptr, why);
}

static const struct flags_node *is_text(struct reader *r, struct span name) {
    return node_of_op(r, "===", 2, node_of_op(r, "cat", 1, context_var(r, name), NULL, NULL),
                      context_var(r, name), NULL);
}

static const struct flags_node *text_operator(struct reader *r, const struct constraint *c) {
    const struct flags_node **items = read_alloc(r, c->value_count, sizeof *items);
    bool contains = span_is(c->op, "STR_CONTAINS");
    const char *op = contains                          ? "in"
                     : span_is(c->op, "STR_ENDS_WITH") ? "ends_with"
                                                       : "starts_with";
    if (!items)
        return NULL;
    for (size_t i = 0; i < c->value_count; i++) {
        const struct flags_node *value = node_of_text(r, c->values[i]);
        const struct flags_node *var = context_var(r, c->name);
        items[i] = contains ? node_of_op(r, op, 2, value, var, NULL)
                            : node_of_op(r, op, 2, var, value, NULL);
    }
    return node_of_op(r, "and", 2, is_text(r, c->name),
                      node_of_many(r, "or", items, c->value_count), NULL);
}

static const struct flags_node *number_operator(struct reader *r, const struct constraint *c,
                                                const char *op) {
    const struct tree_node *node = read_get(c->node, "value");
    struct tree_node plain = {.kind = TREE_SCALAR, .plain = true};
    double number;
    if (node)
        plain.text = node->text;
    if (!node || !tree_is_number(&plain, &number)) {
        (void)read_fail(r, c->node->at, "constraint %s needs a number as 'value'", c->op.ptr);
        return NULL;
    }
    return node_of_op(
        r, "and", 2, node_of_op(r, "!==", 2, context_var(r, c->name), node_of_null(r), NULL),
        node_of_op(r, op, 2, context_var(r, c->name), node_of_number(r, number), NULL), NULL);
}

/* "2027-01-31T12:00:00Z", with or without a fraction that is 0. */
static bool read_instant(struct span s, int64_t *ret_seconds) {
    static const char form[] = "0000-00-00T00:00:00";
    int part[6] = {0};
    size_t n = 0;
    if (s.len < sizeof form)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (digit != (form[i] == '0') || (!digit && s.ptr[i] != form[i]))
            return false;
        if (digit)
            part[n] = part[n] * 10 + (s.ptr[i] - '0');
        else
            n++;
    }
    struct span rest = span_make(s.ptr + sizeof form - 1, s.len - (sizeof form - 1));
    if (!span_is(rest, "Z") && !span_is(rest, ".000Z") && !span_is(rest, "+00:00"))
        return false;
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 ||
        part[4] > 59 || part[5] > 60)
        return false;
    *ret_seconds = zone_days(part[0], part[1], part[2]) * 86400 + part[3] * (int64_t)3600 +
                   part[4] * (int64_t)60 + part[5];
    return true;
}

static const struct flags_node *date_operator(struct reader *r, const struct constraint *c,
                                              bool after) {
    const struct tree_node *value = read_get(c->node, "value");
    int64_t seconds;
    if (!span_is(c->name, "currentTime")) {
        (void)cannot_keep(r, c, "only currentTime is compared with dates");
        return NULL;
    }
    if (!value || value->kind != TREE_SCALAR || !read_instant(value->text, &seconds)) {
        (void)read_fail(r, c->node->at,
                        "constraint %s needs a 'value' such as 2027-01-31T12:00:00Z", c->op.ptr);
        return NULL;
    }
    return node_of_op(r, after ? ">=" : "<", 2, node_of_var(r, SPAN_LIT("$flagd.timestamp")),
                      node_of_number(r, (double)seconds), NULL);
}

static const struct flags_node *constraint_operator(struct reader *r, const struct constraint *c) {
    static const struct {
        const char *name, *op;
    } numbers[] = {{"NUM_EQ", "=="}, {"NUM_GT", ">"},   {"NUM_GTE", ">="},
                   {"NUM_LT", "<"},  {"NUM_LTE", "<="}, {NULL, NULL}};
    bool in = span_is(c->op, "IN"), not_in = span_is(c->op, "NOT_IN");
    if (in || not_in) {
        const struct flags_node *found = in_values(r, c->name, c->values, c->value_count);
        return in ? found : node_of_not(r, found);
    }
    for (size_t i = 0; numbers[i].name; i++)
        if (span_is(c->op, numbers[i].name))
            return number_operator(r, c, numbers[i].op);
    if (span_is(c->op, "STR_ENDS_WITH") || span_is(c->op, "STR_STARTS_WITH") ||
        span_is(c->op, "STR_CONTAINS"))
        return text_operator(r, c);
    if (span_is(c->op, "DATE_AFTER") || span_is(c->op, "DATE_BEFORE"))
        return date_operator(r, c, span_is(c->op, "DATE_AFTER"));
    (void)cannot_keep(r, c, "the operator has no equal here");
    return NULL;
}

static int read_constraint_name(struct reader *r, struct constraint *c) {
    const struct tree_node *name = read_get(c->node, "contextName");
    const struct tree_node *op = read_get(c->node, "operator");
    if (!name || !op)
        return read_fail(r, c->node->at, "a constraint needs 'contextName' and 'operator'");
    int rc = attribute_name(r, name, &c->name);
    return rc < 0 ? rc : read_text(r, "operator", op, 64, &c->op);
}

static int read_constraint_values(struct reader *r, struct constraint *c) {
    const struct tree_node *values = read_get(c->node, "values");
    int rc =
        values ? read_texts(r, "values", values, FLAGS_VALUES_MAX, &c->values, &c->value_count) : 0;
    bool needs = c->op.len > 4 && memcmp(c->op.ptr, "STR_", 4) == 0;
    if (rc == 0 && needs && c->value_count == 0)
        rc = read_fail(r, c->node->at, "constraint %.*s has no 'values'", SPAN_ARG(c->op));
    return rc;
}

static int read_constraint(struct reader *r, const struct tree_node *node,
                           const struct flags_node **ret) {
    struct constraint c = {.node = node};
    bool inverted = false, any_case = false;
    int rc = read_kind(r, "constraints", node, TREE_MAP);
    if (rc == 0)
        rc = read_constraint_name(r, &c);
    if (rc == 0)
        rc = read_constraint_values(r, &c);
    if (rc == 0)
        rc = read_optional_bool(r, node, "inverted", &inverted);
    if (rc == 0)
        rc = read_optional_bool(r, node, "caseInsensitive", &any_case);
    if (rc == 0 && any_case)
        rc = cannot_keep(r, &c, "caseInsensitive has no equal here");
    if (rc < 0)
        return rc;
    const struct flags_node *made = constraint_operator(r, &c);
    *ret = inverted && made ? node_of_not(r, made) : made;
    return *ret ? 0 : ERR_CONF;
}

static int add_condition(struct reader *r, struct all *all, struct conf_at at,
                         const struct flags_node *node) {
    if (!node)
        return ERR_CONF;
    if (all->count == FLAGS_CONDITIONS_MAX)
        return read_fail(r, at, "more than %d constraints", FLAGS_CONDITIONS_MAX);
    all->items[all->count++] = node;
    return 0;
}

static int read_constraints(struct reader *r, const struct tree_node *list, struct all *all) {
    int rc = list ? read_kind(r, "constraints", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        const struct flags_node *node = NULL;
        rc = read_constraint(r, e->value, &node);
        if (rc == 0)
            rc = add_condition(r, all, e->value->at, node);
    }
    return rc;
}

static int read_segments(struct unleash *u, const struct tree_node *ids, struct all *all) {
    int rc = ids ? read_kind(u->r, "segments", ids, TREE_LIST) : 0;
    for (const struct tree_entry *e = ids ? ids->first : NULL; rc == 0 && e; e = e->next) {
        const struct tree_node *found = NULL;
        for (const struct tree_entry *s = u->segments ? u->segments->first : NULL; s && !found;
             s = s->next) {
            const struct tree_node *id = read_get(s->value, "id");
            if (id && id->kind == TREE_SCALAR && span_eq(id->text, e->value->text))
                found = s->value;
        }
        if (e->value->kind != TREE_SCALAR || !found)
            return read_fail(u->r, e->value->at, "segment %.60s is not in the file's 'segments'",
                             e->value->kind == TREE_SCALAR ? e->value->text.ptr : "?");
        rc = read_constraints(u->r, read_get(found, "constraints"), all);
    }
    return rc;
}

/* ---- variants ---- */

static int read_payload(struct reader *r, const struct tree_node *payload,
                        struct flags_value *ret) {
    const struct tree_node *type = read_get(payload, "type"),
                           *value = tree_find(payload, "value") ? tree_find(payload, "value")->value
                                                                : NULL;
    const struct tree_node *parsed = NULL;
    struct tree_limits limits = {FLAGS_TEXT_MAX, 10000, ""};
    struct tree_input in = {r->file, "", 0, &limits};
    if (!type || !value || value->kind != TREE_SCALAR)
        return read_fail(r, payload->at, "a payload needs 'type' and 'value'");
    if (span_is(type->text, "string") || span_is(type->text, "csv")) {
        *ret = (struct flags_value){.type = FLAGS_STRING, .text = value->text};
        return 0;
    }
    if (!span_is(type->text, "json") && !span_is(type->text, "number"))
        return read_fail(r, type->at, "payload type '%.60s' is not known", type->text.ptr);
    in.text = value->text.ptr;
    in.len = value->text.len;
    if (json_tree_parse(&in, r->arena, &parsed, NULL) < 0 || read_value(r, parsed, ret) < 0 ||
        (span_is(type->text, "number") && ret->type != FLAGS_NUMBER))
        return read_fail(r, value->at, "the payload is no %s", type->text.ptr);
    return 0;
}

static bool same_value(const struct flags_value *a, const struct flags_value *b) {
    return a->type == b->type && a->boolean == b->boolean && a->number == b->number &&
           span_eq(a->text, b->text);
}

/* Strategies may have variants of their own: one name means one value. */
static int add_variant(struct unleash *u, const struct tree_node *node, struct span *ret_name) {
    const struct tree_node *name = read_get(node, "name"), *payload = read_get(node, "payload");
    struct flags_variant v = {0};
    if (!name)
        return read_fail(u->r, node->at, "a variant needs a 'name'");
    int rc = read_text(u->r, "name", name, FLAGS_NAME_MAX, &v.name);
    v.value = (struct flags_value){.type = FLAGS_STRING, .text = v.name};
    if (rc == 0 && payload)
        rc = read_payload(u->r, payload, &v.value);
    if (rc < 0)
        return rc;
    *ret_name = v.name;
    for (size_t i = 0; i < u->variant_count; i++)
        if (span_eq(u->variants[i].name, v.name))
            return same_value(&u->variants[i].value, &v.value)
                       ? 0
                       : read_fail(u->r, node->at,
                                   "variant '%s' has another payload in another strategy, which "
                                   "cannot be kept; give it another name",
                                   v.name.ptr);
    if (u->variant_count == FLAGS_VARIANTS_MAX)
        return read_fail(u->r, node->at, "more than %d variants", FLAGS_VARIANTS_MAX);
    u->variants[u->variant_count++] = v;
    return 0;
}

static int read_stickiness(struct reader *r, const struct tree_node *node, bool variants,
                           struct flags_bucketing *b) {
    struct span name = SPAN_LIT("default");
    size_t n = 0;
    int rc = node ? read_text(r, "stickiness", node, FLAGS_NAME_MAX, &name) : 0;
    if (rc < 0)
        return rc;
    if (span_is(name, "default")) {
        b->by[n++].source = FLAGS_BY_USER;
        b->by[n].source = FLAGS_BY_ATTRIBUTE;
        b->by[n++].attribute = SPAN_LIT("sessionId");
        if (variants) {
            b->by[n].source = FLAGS_BY_ATTRIBUTE;
            b->by[n++].attribute = SPAN_LIT("remoteAddress");
        }
        b->by[n++].source = FLAGS_BY_RANDOM;
    } else if (span_is(name, "random")) {
        b->by[n++].source = FLAGS_BY_RANDOM;
    } else {
        b->by[n].source = span_is(name, "userId") ? FLAGS_BY_USER : FLAGS_BY_ATTRIBUTE;
        b->by[n++].attribute = name;
        if (variants) /* without the field a variant is drawn at random */
            b->by[n++].source = FLAGS_BY_RANDOM;
    }
    b->by_count = n;
    return 0;
}

static int push_rule(struct unleash *u, struct conf_at at, const struct flags_rule *rule) {
    if (u->rule_count == FLAGS_RULES_MAX)
        return read_fail(u->r, at, "more than %d strategies and overrides", FLAGS_RULES_MAX);
    u->rules[u->rule_count++] = *rule;
    return 0;
}

/* An override is a rule of its own before the draw: same people, one variant. */
static int push_overrides(struct unleash *u, const struct tree_node *variant, struct span name,
                          const struct flags_rule *rule) {
    const struct tree_node *list = read_get(variant, "overrides");
    int rc = list ? read_kind(u->r, "overrides", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        const struct tree_node *field = read_get(e->value, "contextName");
        const struct tree_node *values = read_get(e->value, "values");
        const struct span *texts = NULL;
        size_t count = 0;
        struct span attribute = {0};
        struct flags_rule r = *rule;
        if (!field || !values)
            return read_fail(u->r, e->value->at, "an override needs 'contextName' and 'values'");
        rc = attribute_name(u->r, field, &attribute);
        if (rc == 0)
            rc = read_texts(u->r, "values", values, FLAGS_VALUES_MAX, &texts, &count);
        if (rc < 0)
            return rc;
        const struct flags_node *in = in_values(u->r, attribute, texts, count);
        r.when = rule->when ? node_of_op(u->r, "and", 2, rule->when, in, NULL) : in;
        r.variant = name;
        rc = r.when ? push_rule(u, e->value->at, &r) : ERR_CONF;
    }
    return rc;
}

static int push_with_variants(struct unleash *u, const struct tree_node *list,
                              struct flags_rule *rule, struct span group) {
    struct flags_weight *split = read_alloc(u->r, list->count, sizeof *split);
    int rc = split ? read_kind(u->r, "variants", list, TREE_LIST) : ERR_CONF;
    int64_t sum = 0;
    size_t drawn = 0; /* not in the rule yet: overrides copy it */
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next) {
        const struct tree_node *weight;
        struct span name;
        int64_t w = 0;
        rc = read_kind(u->r, "variants", e->value, TREE_MAP);
        if (rc == 0)
            rc = add_variant(u, e->value, &name);
        if (rc == 0 && (weight = read_get(e->value, "weight")))
            rc = read_loose_int(u->r, "weight", weight, INT32_MAX, &w);
        if (rc == 0)
            rc = push_overrides(u, e->value, name, rule);
        if (rc == 0 && w > 0)
            split[drawn++] = (struct flags_weight){name, (uint32_t)w};
        sum += w;
    }
    if (rc == 0 && (sum == 0 || sum > INT32_MAX))
        rc =
            read_fail(u->r, list->at, "the weights of the variants add up to %lld", (long long)sum);
    if (rc < 0)
        return rc;
    rule->split = split;
    rule->split_count = drawn;
    rule->split_bucketing =
        (struct flags_bucketing){.hash = FLAGS_HASH_UNLEASH, .group = group, .seed = VARIANT_SEED};
    rc = read_stickiness(u->r, read_get(list->first->value, "stickiness"), true,
                         &rule->split_bucketing);
    return rc < 0 ? rc : push_rule(u, list->at, rule);
}

/* ---- strategies ---- */

static const struct tree_node *parameter(const struct tree_node *strategy, const char *name) {
    const struct tree_node *parameters = read_get(strategy, "parameters");
    return parameters ? read_get(parameters, name) : NULL;
}

static int read_rollout(struct unleash *u, const struct tree_node *strategy, const char *key,
                        struct flags_rule *rule) {
    const struct tree_node *percent = parameter(strategy, key);
    const struct tree_node *group = parameter(strategy, "groupId");
    int64_t v = 0;
    if (!percent)
        return read_fail(u->r, strategy->at, "the strategy needs the parameter '%s'", key);
    int rc = read_loose_int(u->r, key, percent, 100, &v);
    if (rc == 0 && group && group->kind != TREE_SCALAR)
        rc = read_fail(u->r, group->at, "'groupId' must be text");
    rule->rollout = (uint32_t)v * 1000;
    rule->bucketing.hash = FLAGS_HASH_UNLEASH;
    if (group)
        rule->bucketing.group = group->text;
    return rc;
}

static int read_flexible(struct unleash *u, const struct tree_node *strategy,
                         struct flags_rule *rule) {
    const struct tree_node *sticky = parameter(strategy, "stickiness");
    int rc = read_rollout(u, strategy, "rollout", rule);
    if (rc == 0)
        rc = read_stickiness(u->r, sticky, false, &rule->bucketing);
    /* Without the named field Unleash says no, at 100 % too. */
    rule->bucketing.needs_key =
        sticky && !span_is(sticky->text, "default") && !span_is(sticky->text, "random");
    return rc;
}

static int read_gradual(struct unleash *u, const struct tree_node *strategy, const char *field,
                        struct flags_rule *rule) {
    int rc = read_rollout(u, strategy, "percentage", rule);
    if (!rule->bucketing.group.ptr)
        rule->bucketing.group = SPAN_LIT("");
    rule->bucketing.by_count = 1;
    rule->bucketing.by[0].source = !field                         ? FLAGS_BY_RANDOM
                                   : strcmp(field, "userId") == 0 ? FLAGS_BY_USER
                                                                  : FLAGS_BY_ATTRIBUTE;
    if (field)
        rule->bucketing.by[0].attribute = span_of(field);
    rule->bucketing.needs_key = field != NULL;
    return rc;
}

/* "a, b,c" */
static int read_user_ids(struct unleash *u, const struct tree_node *strategy, struct all *all) {
    const struct tree_node *ids = parameter(strategy, "userIds");
    struct span text = ids && ids->kind == TREE_SCALAR ? ids->text : SPAN_LIT("");
    size_t max = 1, count = 0;
    for (size_t i = 0; i < text.len; i++)
        max += text.ptr[i] == ',';
    struct span *list = read_alloc(u->r, max, sizeof *list);
    if (!list)
        return ERR_CONF;
    while (text.len > 0) {
        const char *comma = memchr(text.ptr, ',', text.len);
        struct span one = span_make(text.ptr, comma ? (size_t)(comma - text.ptr) : text.len);
        size_t step = one.len + (comma != NULL);
        text = span_make(text.ptr + step, text.len - step);
        while (one.len && strchr(" \t\r\n", one.ptr[0]))
            one = span_make(one.ptr + 1, one.len - 1);
        while (one.len && strchr(" \t\r\n", one.ptr[one.len - 1]))
            one.len--;
        if (one.len)
            list[count++] = one;
    }
    return add_condition(u->r, all, strategy->at, in_values(u->r, SPAN_LIT("userId"), list, count));
}

static int read_strategy_kind(struct unleash *u, const struct tree_node *strategy,
                              struct flags_rule *rule, struct all *all) {
    const struct tree_node *name = read_get(strategy, "name");
    struct span kind;
    if (!name)
        return read_fail(u->r, strategy->at, "a strategy needs a 'name'");
    int rc = read_text(u->r, "name", name, FLAGS_NAME_MAX, &kind);
    if (rc < 0)
        return rc;
    if (span_is(kind, "default"))
        return 0;
    if (span_is(kind, "flexibleRollout"))
        return read_flexible(u, strategy, rule);
    if (span_is(kind, "userWithId"))
        return read_user_ids(u, strategy, all);
    if (span_is(kind, "gradualRolloutUserId"))
        return read_gradual(u, strategy, "userId", rule);
    if (span_is(kind, "gradualRolloutSessionId"))
        return read_gradual(u, strategy, "sessionId", rule);
    if (span_is(kind, "gradualRolloutRandom"))
        return read_gradual(u, strategy, NULL, rule);
    return read_fail(u->r, name->at,
                     "strategy '%.100s' cannot be kept; there is default, flexibleRollout, "
                     "userWithId, gradualRolloutUserId, gradualRolloutSessionId and "
                     "gradualRolloutRandom",
                     kind.ptr);
}

static int read_strategy(struct unleash *u, const struct tree_node *strategy,
                         const struct tree_node *feature_variants) {
    struct flags_rule rule = {.rollout = FLAGS_ROLLOUT_ALL};
    struct all *all = u->all;
    bool disabled = false;
    int rc = read_kind(u->r, "strategies", strategy, TREE_MAP);
    all->count = 0;
    if (rc == 0)
        rc = read_optional_bool(u->r, strategy, "disabled", &disabled);
    if (rc < 0 || disabled)
        return rc;
    rc = read_strategy_kind(u, strategy, &rule, all);
    if (rc == 0)
        rc = read_constraints(u->r, read_get(strategy, "constraints"), all);
    if (rc == 0)
        rc = read_segments(u, read_get(strategy, "segments"), all);
    if (rc < 0)
        return rc;
    rule.when = all->count ? node_of_many(u->r, "and", all->items, all->count) : NULL;
    if (all->count && !rule.when)
        return ERR_CONF;
    const struct tree_node *own = read_get(strategy, "variants");
    bool has_own = own && own->count > 0;
    if (has_own)
        return push_with_variants(u, own, &rule, rule.bucketing.group);
    return feature_variants ? push_with_variants(u, feature_variants, &rule, u->flag->name)
                            : push_rule(u, strategy->at, &rule);
}

/* ---- features ---- */

static int read_dependencies(struct unleash *u, const struct tree_node *list) {
    struct flags_flag *f = u->flag;
    int rc = list ? read_kind(u->r, "dependencies", list, TREE_LIST) : 0;
    if (rc < 0 || !list)
        return rc;
    struct flags_require *requires = read_alloc(u->r, list->count, sizeof *requires);
    if (!requires)
        return ERR_CONF;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next) {
        const struct tree_node *feature = read_get(e->value, "feature");
        const struct tree_node *variants = read_get(e->value, "variants");
        struct flags_require *q = &requires[f->require_count++];
        bool on = true;
        q->place = read_place(e->value->at);
        if (!feature)
            return read_fail(u->r, e->value->at, "a dependency needs a 'feature'");
        rc = read_text(u->r, "feature", feature, FLAGS_NAME_MAX, &q->flag);
        if (rc == 0)
            rc = read_optional_bool(u->r, e->value, "enabled", &on);
        if (rc == 0 && !on)
            rc = read_fail(u->r, e->value->at, "a dependency on '%s' being off cannot be kept",
                           q->flag.ptr);
        if (rc == 0 && variants && variants->count > 1)
            rc = read_fail(u->r, e->value->at,
                           "a dependency on one of several variants of '%s' cannot be kept",
                           q->flag.ptr);
        if (rc == 0 && variants && variants->count == 1)
            rc = read_text(u->r, "variants", variants->first->value, FLAGS_NAME_MAX, &q->variant);
    }
    f->requires = requires;
    return rc;
}

static int read_strategies(struct unleash *u, const struct tree_node *node) {
    const struct tree_node *strategies = read_get(node, "strategies");
    const struct tree_node *variants = read_get(node, "variants");
    struct flags_rule everybody = {.rollout = FLAGS_ROLLOUT_ALL};
    bool has_variants = variants && variants->count > 0;
    int rc = strategies ? read_kind(u->r, "strategies", strategies, TREE_LIST) : 0;
    if (rc < 0)
        return rc;
    if (!strategies || strategies->count == 0)
        return has_variants ? push_with_variants(u, variants, &everybody, u->flag->name)
                            : push_rule(u, node->at, &everybody);
    for (const struct tree_entry *e = strategies->first; rc == 0 && e; e = e->next)
        rc = read_strategy(u, e->value, has_variants ? variants : NULL);
    return rc;
}

/* Copies what was gathered at its real size. */
static int keep(struct unleash *u) {
    struct flags_flag *f = u->flag;
    struct flags_rule *rules = read_alloc(u->r, u->rule_count, sizeof *rules);
    struct flags_variant *variants = read_alloc(u->r, u->variant_count, sizeof *variants);
    if (!rules || !variants)
        return ERR_CONF;
    memcpy(rules, u->rules, u->rule_count * sizeof *rules);
    memcpy(variants, u->variants, u->variant_count * sizeof *variants);
    f->rules = rules;
    f->rule_count = u->rule_count;
    f->rules_only = true;
    if (u->variant_count > 0) {
        f->variants = variants;
        f->variant_count = u->variant_count;
        f->on_variant = variants[0].name;
        f->no_value_when_off = true;
        for (size_t i = 0; i < f->rule_count; i++) {
            const struct flags_rule *rule = &rules[i];
            if (rule->split_count == 0 && rule->variant.len == 0)
                return read_fail(u->r, (struct conf_at){(int)f->place.line, (int)f->place.column},
                                 "one strategy has variants and another has none, which cannot be "
                                 "kept");
        }
    }
    return 0;
}

static int read_feature(struct unleash *u, const struct tree_node *node) {
    const struct tree_node *name = read_get(node, "name");
    struct flags_flag *f = u->flag;
    if (!name)
        return read_fail(u->r, node->at, "a feature needs a 'name'");
    int rc = read_text(u->r, "name", name, FLAGS_NAME_MAX, &f->name);
    if (rc < 0)
        return rc;
    f->place = read_place(name->at);
    u->r->flag = f->name.ptr;
    u->rule_count = u->variant_count = 0;
    rc = read_optional_bool(u->r, node, "enabled", &f->enabled);
    if (rc == 0)
        rc = read_dependencies(u, read_get(node, "dependencies"));
    if (rc == 0)
        rc = read_strategies(u, node);
    if (rc == 0)
        rc = keep(u);
    u->r->flag = NULL;
    return rc;
}

int unleash_read(struct reader *r) {
    struct unleash u = {.r = r, .segments = read_get(r->root, "segments")};
    const struct tree_node *features = read_get(r->root, "features");
    if (tree_find(r->root, "featureStrategies"))
        return read_fail(r, r->root->at,
                         "an export of Unleash's admin API; take what its client API gives, "
                         "/api/client/features");
    if (!features)
        return read_fail(r, r->root->at, "'features' is missing");
    int rc = read_kind(r, "features", features, TREE_LIST);
    if (rc == 0 && features->count > FLAGS_MAX)
        rc = read_fail(r, features->at, "more than %d flags", FLAGS_MAX);
    if (rc == 0 && u.segments)
        rc = read_kind(r, "segments", u.segments, TREE_LIST);
    if (rc < 0)
        return rc;
    struct flags_flag *flags = read_alloc(r, features->count, sizeof *flags);
    struct flagfile_lines *lines = read_alloc(r, features->count, sizeof *lines);
    size_t n = 0;
    u.rules = read_alloc(r, FLAGS_RULES_MAX, sizeof *u.rules);
    u.variants = read_alloc(r, FLAGS_VARIANTS_MAX, sizeof *u.variants);
    u.all = read_alloc(r, 1, sizeof *u.all);
    if (!flags || !lines || !u.rules || !u.variants || !u.all)
        return ERR_CONF;
    for (const struct tree_entry *e = features->first; rc == 0 && e; e = e->next, n++) {
        u.flag = &flags[n];
        rc = read_kind(r, "features", e->value, TREE_MAP);
        if (rc == 0)
            rc = read_feature(&u, e->value);
        lines[n] = (struct flagfile_lines){(unsigned)e->value->at.line, read_last_line(e->value)};
    }
    if (rc == 0)
        read_finish(r, flags, lines, n);
    return rc;
}

/*
 * Unleash: {"version", "features": [...], "segments": [...]}, as its client API gives it.
 *
 * A strategy becomes a rule: constraints and segments are JSONLogic, the rollout is bucketed as
 * Unleash does it, and one that does not take the user in gives way to the next.
 */
#include "flagfile/unleash.h"

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
    int rc = unleash_int(u->r, key, percent, 100, &v);
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
        rc = unleash_stickiness(u->r, sticky, false, &rule->bucketing);
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
static int read_user_ids(struct unleash *u, const struct tree_node *strategy,
                         struct unleash_all *all) {
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
    return unleash_add(u->r, all, strategy->at, unleash_in(u->r, SPAN_LIT("userId"), list, count));
}

static int read_strategy_kind(struct unleash *u, const struct tree_node *strategy,
                              struct flags_rule *rule, struct unleash_all *all) {
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
    struct unleash_all *all = u->all;
    bool disabled = false;
    int rc = read_kind(u->r, "strategies", strategy, TREE_MAP);
    all->count = 0;
    if (rc == 0)
        rc = read_optional_bool(u->r, strategy, "disabled", &disabled);
    if (rc < 0 || disabled)
        return rc;
    rc = read_strategy_kind(u, strategy, &rule, all);
    if (rc == 0)
        rc = unleash_constraints(u->r, read_get(strategy, "constraints"), all);
    if (rc == 0)
        rc = unleash_segments(u, read_get(strategy, "segments"), all);
    if (rc < 0)
        return rc;
    rule.when = all->count ? node_of_many(u->r, "and", all->items, all->count) : NULL;
    if (all->count && !rule.when)
        return ERR_CONF;
    const struct tree_node *own = read_get(strategy, "variants");
    bool has_own = own && own->count > 0;
    if (has_own)
        return unleash_push_variants(u, own, &rule, rule.bucketing.group);
    return feature_variants ? unleash_push_variants(u, feature_variants, &rule, u->flag->name)
                            : unleash_push(u, strategy->at, &rule);
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
        return has_variants ? unleash_push_variants(u, variants, &everybody, u->flag->name)
                            : unleash_push(u, node->at, &everybody);
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

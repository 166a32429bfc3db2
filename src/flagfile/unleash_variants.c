/* Unleash's variants: rules that draw one by weight, as Unleash buckets them. */
#include "flagfile/unleash.h"

#define VARIANT_SEED 86028157

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

int unleash_stickiness(struct reader *r, const struct tree_node *node, bool variants,
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

int unleash_push(struct unleash *u, struct conf_at at, const struct flags_rule *rule) {
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
        rc = unleash_attribute(u->r, field, &attribute);
        if (rc == 0)
            rc = read_texts(u->r, "values", values, FLAGS_VALUES_MAX, &texts, &count);
        if (rc < 0)
            return rc;
        const struct flags_node *in = unleash_in(u->r, attribute, texts, count);
        r.when = rule->when ? node_of_op(u->r, "and", 2, rule->when, in, NULL) : in;
        r.variant = name;
        rc = r.when ? unleash_push(u, e->value->at, &r) : ERR_CONF;
    }
    return rc;
}

int unleash_push_variants(struct unleash *u, const struct tree_node *list, struct flags_rule *rule,
                          struct span group) {
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
            rc = unleash_int(u->r, "weight", weight, INT32_MAX, &w);
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
    rc = unleash_stickiness(u->r, read_get(list->first->value, "stickiness"), true,
                            &rule->split_bucketing);
    return rc < 0 ? rc : unleash_push(u, list->at, rule);
}

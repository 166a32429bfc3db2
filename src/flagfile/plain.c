#include "flagfile/plain.h"

struct plainer {
    const struct flags_model *model;
    const struct flags_flag *f;
    struct arena *arena;
    struct plain *out;
    struct buf *notes;
    struct err *err;
    struct span on; /* the variant that is true; empty: there are no variants */
    struct span off;
};

static int cannot(const struct plainer *p, struct flags_place place, const char *what) {
    if (place.line == 0)
        place = p->f->place;
    return err_set(p->err, ERR_CONF,
                   "%s:%u:%u: flag '%.*s': %s cannot be kept in feature-flags.yml; change it, or "
                   "name this file itself under 'flags:'",
                   p->model->file ? p->model->file : "flags", place.line, place.column,
                   SPAN_ARG(p->f->name), what);
}

static void note(const struct plainer *p, const char *text) {
    buf_printf(p->notes, "flag '%.*s': %s\n", SPAN_ARG(p->f->name), text);
}

/* ---- variants ---- */

static int read_variants(struct plainer *p) {
    const struct flags_flag *f = p->f;
    if (f->variant_count == 0) {
        p->on = SPAN_LIT("on");
        p->off = SPAN_LIT("off");
        return 0;
    }
    for (size_t i = 0; i < f->variant_count; i++) {
        const struct flags_variant *v = &f->variants[i];
        if (v->value.type != FLAGS_BOOL)
            return cannot(p, f->place, "a value that is not true or false");
        struct span *which = v->value.boolean ? &p->on : &p->off;
        if (which->ptr)
            return cannot(p, f->place, "more than one variant for true, or for false,");
        *which = v->name;
    }
    if ((p->on.ptr && !span_is(p->on, "on")) || (p->off.ptr && !span_is(p->off, "off")))
        note(p, "its variants are called on and off here");
    if (f->no_value_when_off && !f->enabled)
        note(p, "switched off it gives false here, and no value there");
    return 0;
}

/* -1: neither. An answer without a value is false here. */
static int truth_of(const struct plainer *p, struct span variant) {
    if (variant.ptr && p->on.ptr && span_eq(variant, p->on))
        return 1;
    if (variant.ptr && p->off.ptr && span_eq(variant, p->off))
        return 0;
    return -1;
}

static bool off_is_false(struct plainer *p) {
    if (p->f->variant_count == 0)
        return true;
    if (p->f->off_variant.len == 0) {
        note(p, "off it gives false here, and no value there");
        return true;
    }
    return truth_of(p, p->f->off_variant) == 0;
}

/* ---- bucketing ---- */

static int keep_bucketing(struct plainer *p, const struct flags_bucketing *b) {
    bool first_user = b->by_count > 0 && b->by[0].source == FLAGS_BY_USER;
    bool by_default = b->by_count == 0;
    if (b->by_count > 1 && first_user)
        note(p, "who has no user is off here, and drawn by session or at random there");
    else if (b->by_count > 1 || (!by_default && b->by[0].source == FLAGS_BY_RANDOM))
        return cannot(p, p->f->place, "a rollout at random");
    if (!by_default && b->by[0].source == FLAGS_BY_ATTRIBUTE &&
        (span_is(b->by[0].attribute, "user") || span_is(b->by[0].attribute, "tenant")))
        return cannot(p, p->f->place, "a rollout by an attribute called user or tenant");
    if (b->hash == FLAGS_HASH_LAUNCHDARKLY && !b->seeded && b->group.ptr == NULL)
        return cannot(p, p->f->place, "a bucketing without its key");
    p->out->bucketing = *b;
    p->out->bucketing.by_count = by_default ? 0 : 1;
    p->out->bucketed = true;
    return 0;
}

/* A split between true and false is a percentage where true comes first. */
static int keep_split(struct plainer *p, const struct flags_weight *split, size_t count,
                      const struct flags_bucketing *b, uint64_t total) {
    uint64_t on = 0, sum = 0;
    bool off_seen = false;
    for (size_t i = 0; i < count; i++) {
        int truth = truth_of(p, split[i].variant);
        sum += split[i].weight;
        if (split[i].weight == 0)
            continue;
        if (truth < 0)
            return cannot(p, p->f->place, "a variant that is not true or false");
        if (truth && off_seen)
            return cannot(p, p->f->place,
                          "a rollout that takes its users from the upper end (put the variant "
                          "that is true first)");
        off_seen = off_seen || !truth;
        on += truth ? split[i].weight : 0;
    }
    if (total == 0)
        total = sum;
    /* LaunchDarkly gives what is left to the last one. */
    if (sum < total && count > 0 && truth_of(p, split[count - 1].variant) == 1) {
        if (off_seen)
            return cannot(p, p->f->place, "a rollout whose rest is on");
        on = total;
    }
    if (total == 0 || sum > total || on * FLAGS_ROLLOUT_ALL % total != 0)
        return cannot(p, p->f->place, "a share that is not a multiple of 0.001 %");
    p->out->rollout = (uint32_t)(on * FLAGS_ROLLOUT_ALL / total);
    return keep_bucketing(p, b);
}

/* ---- JSONLogic that has a plain form ---- */

/* The arguments of {"op": [...]}; NULL: another operation. */
static const struct flags_node *operation(const struct flags_node *n, const char *op,
                                          size_t *ret_count) {
    if (!n || n->type != FLAGS_NODE_OBJECT || n->count != 1 || !span_is(n->in[0].key, op))
        return NULL;
    const struct flags_node *arguments = n->in[0].value;
    *ret_count = arguments->type == FLAGS_NODE_LIST ? arguments->count : 1;
    return arguments;
}

static bool variable(const struct flags_node *n, struct span *ret_name) {
    size_t count;
    const struct flags_node *a = operation(n, "var", &count);
    if (a && a->type == FLAGS_NODE_LIST && a->count == 1)
        a = a->in[0].value;
    if (!a || a->type != FLAGS_NODE_STRING || a->text.len == 0)
        return false;
    *ret_name = a->text;
    return true;
}

/* {"in": [{"var": name}, ["a", "b"]]} */
static bool in_texts(const struct flags_node *n, struct span *ret_name,
                     const struct flags_node **ret_list) {
    size_t count = 0;
    const struct flags_node *a = operation(n, "in", &count);
    if (!a || a->type != FLAGS_NODE_LIST || count != 2 || !variable(a->in[0].value, ret_name))
        return false;
    *ret_list = a->in[1].value;
    if ((*ret_list)->type != FLAGS_NODE_LIST)
        return false;
    for (size_t i = 0; i < (*ret_list)->count; i++)
        if ((*ret_list)->in[i].value->type != FLAGS_NODE_STRING)
            return false;
    return true;
}

static int add_users(struct plainer *p, const struct flags_node *list) {
    struct plain *out = p->out;
    struct span *items = arena_alloc(p->arena, (list->count + 1) * sizeof *items);
    if (!items || out->users_on_count == PLAIN_LISTS_MAX)
        return cannot(p, p->f->place, "so many lists of users");
    for (size_t i = 0; i < list->count; i++)
        items[i] = list->in[i].value->text;
    out->users_on[out->users_on_count++] = (struct plain_list){items, list->count};
    return 0;
}

static int make_condition(struct plainer *p, struct span name, const struct flags_node *list,
                          struct flags_condition *ret) {
    struct flags_value *values = arena_alloc(p->arena, (list->count + 1) * sizeof *values);
    if (!values)
        return cannot(p, p->f->place, "so many values");
    for (size_t i = 0; i < list->count; i++)
        values[i] = (struct flags_value){.type = FLAGS_STRING, .text = list->in[i].value->text};
    *ret = (struct flags_condition){.subject = FLAGS_USER_ATTRIBUTE,
                                    .attribute = name,
                                    .op = FLAGS_IN,
                                    .values = values,
                                    .value_count = list->count};
    return 0;
}

/* ---- rules: each only ever says on, so their order is nothing ---- */

static bool says_on(const struct plainer *p, const struct flags_rule *r) {
    return r->split_count == 0 && !r->otherwise_off &&
           (r->variant.len == 0 ? p->f->variant_count == 0 || truth_of(p, p->f->on_variant) == 1
                                : truth_of(p, r->variant) == 1);
}

static int keep_rule(struct plainer *p, const struct flags_rule *r,
                     struct flags_condition *conditions, bool *used_rollout) {
    struct span name;
    const struct flags_node *list;
    if (!says_on(p, r))
        return cannot(p, p->f->place, "a rule that gives a variant or says off");
    if (!r->when && r->condition_count == 0) {
        if (*used_rollout)
            return cannot(p, p->f->place, "more than one rollout");
        *used_rollout = true;
        p->out->rollout = r->rollout;
        if (r->rollout == 0 || r->rollout == FLAGS_ROLLOUT_ALL)
            return 0;
        return keep_bucketing(p, &r->bucketing);
    }
    if (r->rollout != FLAGS_ROLLOUT_ALL)
        return cannot(p, p->f->place, "a percentage of those for whom a condition holds");
    if (r->condition_count > 0 || !in_texts(r->when, &name, &list))
        return cannot(p, p->f->place, "a rule's condition");
    if (span_is(name, "targetingKey"))
        return add_users(p, list);
    if (memchr(name.ptr, '.', name.len))
        return cannot(p, p->f->place, "a condition on a part of an attribute");
    return list->count == 0 ? 0
                            : make_condition(p, name, list, &conditions[p->out->condition_count++]);
}

static int keep_rules(struct plainer *p) {
    const struct flags_flag *f = p->f;
    bool used_rollout = !f->rules_only && f->rollout != 0;
    if (f->rule_count == 0)
        return 0;
    if (f->condition_count > 0)
        return cannot(p, f->place, "conditions beside rules");
    struct flags_condition *conditions =
        arena_alloc(p->arena, (f->rule_count + 1) * sizeof *conditions);
    int rc = conditions ? 0 : cannot(p, f->place, "so many rules");
    for (size_t i = 0; rc == 0 && i < f->rule_count; i++)
        rc = keep_rule(p, &f->rules[i], conditions, &used_rollout);
    p->out->conditions = conditions;
    p->out->match_any = true; /* each rule alone is enough */
    return rc;
}

/* ---- flagd ---- */

static int keep_fractional(struct plainer *p, const struct flags_node *a, size_t count) {
    struct flags_weight *split = arena_alloc(p->arena, (count + 1) * sizeof *split);
    struct flags_bucketing b = {
        .hash = FLAGS_HASH_FLAGD, .by = {{.source = FLAGS_BY_USER}}, .by_count = 1};
    if (!split || a->type != FLAGS_NODE_LIST)
        return cannot(p, p->f->place, "this targeting");
    for (size_t i = 0; i < count; i++) {
        const struct flags_node *part = a->in[i].value;
        const struct flags_node *name =
            part->type == FLAGS_NODE_LIST && part->count > 0 ? part->in[0].value : NULL;
        const struct flags_node *weight = name && part->count == 2 ? part->in[1].value : NULL;
        if (!name || name->type != FLAGS_NODE_STRING || part->count > 2 ||
            (weight && (weight->type != FLAGS_NODE_NUMBER || weight->number > INT32_MAX ||
                        weight->number != (double)(int64_t)weight->number)))
            return cannot(p, part->place, "a fractional that is bucketed by something else");
        double w = !weight ? 1 : weight->number < 0 ? 0 : weight->number;
        split[i] = (struct flags_weight){name->text, (uint32_t)w};
    }
    return keep_split(p, split, count, &b, 0);
}

static int keep_targeting(struct plainer *p) {
    size_t count = 0;
    const struct flags_node *a = operation(p->f->targeting, "fractional", &count);
    if (!a)
        return cannot(p, p->f->targeting->place, "this targeting");
    if (!off_is_false(p))
        return cannot(p, p->f->place, "a defaultVariant that is true beside a fractional");
    return keep_fractional(p, a, count);
}

/* ---- the whole ---- */

static int check_requires(struct plainer *p) {
    for (size_t i = 0; i < p->f->require_count; i++) {
        const struct flags_require *q = &p->f->requires[i];
        if (q->variant.len > 0 && !span_is(q->variant, "on"))
            return cannot(p, q->place, "a requirement of another variant than on");
    }
    return 0;
}

static int decide_fixed(struct plainer *p) {
    const struct flags_flag *f = p->f;
    int truth = f->off_variant.len ? truth_of(p, f->off_variant) : 0;
    if (f->off_variant.len == 0)
        note(p, "it gives false here, and no value there");
    p->out->rollout = truth == 1 ? FLAGS_ROLLOUT_ALL : 0;
    if (truth == 1 && !f->enabled)
        note(p, "once enabled it gives true to everybody");
    return 0;
}

static int decide_split(struct plainer *p) {
    const struct flags_flag *f = p->f;
    if (f->rollout != FLAGS_ROLLOUT_ALL)
        return cannot(p, f->place, "a draw among a percentage");
    bool whole = f->split_bucketing.hash == FLAGS_HASH_LAUNCHDARKLY;
    return keep_split(p, f->split, f->split_count, &f->split_bucketing,
                      whole ? FLAGS_ROLLOUT_ALL : 0);
}

static int decide_rollout(struct plainer *p) {
    const struct flags_flag *f = p->f;
    bool rolls_out = !f->rules_only && f->rollout > 0;
    p->out->rollout = f->rules_only ? 0 : f->rollout;
    if (rolls_out && f->split_count > 0)
        return decide_split(p);
    if (rolls_out && f->rollout < FLAGS_ROLLOUT_ALL)
        return keep_bucketing(p, &f->bucketing);
    if (f->bucketing.hash != FLAGS_HASH_LAUNCHDARKLY || f->bucketing.group.ptr)
        p->out->bucketing = f->bucketing;
    return 0;
}

static int decide(struct plainer *p) {
    const struct flags_flag *f = p->f;
    if (f->targeting)
        return keep_targeting(p);
    if (f->fixed)
        return decide_fixed(p);
    if (!off_is_false(p) || (f->variant_count > 0 && truth_of(p, f->on_variant) != 1))
        return cannot(p, f->place, "off meaning true");
    int rc = decide_rollout(p);
    return rc < 0 ? rc : keep_rules(p);
}

int plain_of(const struct flags_model *model, const struct flags_flag *flag, struct arena *arena,
             struct plain *ret, struct buf *notes, struct err *err) {
    struct plainer p = {
        .model = model, .f = flag, .arena = arena, .out = ret, .notes = notes, .err = err};
    *ret = (struct plain){.flag = flag,
                          .conditions = flag->conditions,
                          .condition_count = flag->condition_count,
                          .match_any = flag->match_any};
    if (flag->users_on_count > 0)
        ret->users_on[ret->users_on_count++] =
            (struct plain_list){flag->users_on, flag->users_on_count};
    int rc = read_variants(&p);
    if (rc == 0)
        rc = check_requires(&p);
    if (rc == 0)
        rc = decide(&p);
    if (rc == 0 && flag->metadata.len > 0)
        note(&p, "its metadata is left out");
    return rc;
}

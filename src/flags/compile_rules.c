#include "flags/bucket.h"
#include "flags/compile.h"
#include "flags/compiler.h"
#include "flags/custom.h"

#include <stdlib.h>

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_spans(const void *a, const void *b) {
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

static void sort_values(struct compiler *c, const struct flags_condition *condition,
                        struct blob_condition *out) {
    double *numbers = compiler_scratch(c, condition->value_count, sizeof *numbers);
    struct span *texts = compiler_scratch(c, condition->value_count, sizeof *texts);
    struct blob_text *list = compiler_scratch(c, condition->value_count, sizeof *list);
    size_t number_count = 0, text_count = 0;
    for (size_t i = 0; i < condition->value_count; i++) {
        const struct flags_value *v = &condition->values[i];
        if (v->type == FLAGS_NUMBER)
            numbers[number_count++] = v->number == 0 ? 0 : v->number; /* no -0 */
        else if (v->type == FLAGS_STRING)
            texts[text_count++] = v->text;
        else
            out->booleans |= v->boolean ? 2 : 1;
    }
    if (number_count)
        qsort(numbers, number_count, sizeof *numbers, compare_numbers);
    if (text_count)
        qsort(texts, text_count, sizeof *texts, compare_spans);
    for (size_t i = 0; i < text_count; i++)
        list[i] = compiler_emit_text(c, texts[i]);
    out->numbers = compiler_emit_list(c, numbers, number_count, sizeof *numbers);
    out->texts = compiler_emit_list(c, list, text_count, sizeof *list);
}

static int check_values(struct compiler *c, const struct flags_condition *condition) {
    for (size_t i = 0; i < condition->value_count; i++) {
        const struct flags_value *v = &condition->values[i];
        if (v->type != FLAGS_BOOL && v->type != FLAGS_NUMBER && v->type != FLAGS_STRING)
            return compiler_error(c, ERR_CONF, condition->place,
                                  "a condition compares with text, a number, true or false");
        int r = compiler_check_value(c, condition->place, "the value of a condition", v);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compile_custom(struct compiler *c, const struct flags_condition *condition,
                          struct blob_condition *out) {
    size_t number = 0;
    const struct custom *custom;
    while ((custom = custom_at(number)) && !span_is(condition->attribute, custom->name))
        number++;
    if (!custom)
        return compiler_error(
            c, ERR_CONF, condition->place, "custom condition %.*s is not known: there is %s",
            (int)(condition->attribute.len > 64 ? 64 : condition->attribute.len),
            condition->attribute.len ? condition->attribute.ptr : "", flags_custom_name(0));
    out->custom = (uint32_t)number;
    uint64_t *words = compiler_scratch(c, condition->value_count * custom->words, sizeof *words);
    for (size_t i = 0; i < condition->value_count; i++) {
        const char *wrong = custom->compile(&condition->values[i], words + i * custom->words);
        if (wrong)
            return compiler_error(c, ERR_CONF, condition->place, "custom condition %s: %s",
                                  custom->name, wrong);
    }
    out->raw = compiler_emit_list(c, words, condition->value_count * custom->words, sizeof *words);
    return 0;
}

static int compile_condition(struct compiler *c, const struct flags_condition *condition,
                             struct blob_condition *out) {
    bool order = condition->op == FLAGS_LESS || condition->op == FLAGS_GREATER;
    int r = compiler_check_name(c, condition->place, "an attribute of a condition",
                                condition->attribute);
    if (r < 0)
        return r;
    if (condition->value_count == 0)
        return compiler_error(c, ERR_CONF, condition->place,
                              "a condition without a value never holds: give it one");
    if (condition->value_count > FLAGS_VALUES_MAX)
        return compiler_error(c, ERR_LIMIT, condition->place, "a condition has more than %d values",
                              FLAGS_VALUES_MAX);
    if (order && (condition->value_count != 1 || condition->values[0].type == FLAGS_BOOL ||
                  condition->subject == FLAGS_CUSTOM))
        return compiler_error(c, ERR_CONF, condition->place,
                              "< and > compare an attribute with one number or one text");
    r = check_values(c, condition);
    if (r < 0)
        return r;
    out->subject = condition->subject;
    out->op = condition->op;
    if (condition->subject == FLAGS_CUSTOM)
        return compile_custom(c, condition, out);
    out->attribute = compiler_emit_text(c, condition->attribute);
    sort_values(c, condition, out);
    return 0;
}

int compiler_conditions(struct compiler *c, const struct flags_condition *conditions, size_t count,
                        struct blob_list *ret_list) {
    if (count > FLAGS_CONDITIONS_MAX)
        return compiler_error(c, ERR_LIMIT, c->flag->place, "there are more than %d conditions",
                              FLAGS_CONDITIONS_MAX);
    struct blob_condition *list = compiler_scratch(c, count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        int r = compile_condition(c, &conditions[i], &list[i]);
        if (r < 0)
            return r;
    }
    *ret_list = compiler_emit_list(c, list, count, sizeof *list);
    return 0;
}

/* What stands before the key in the hash of the imported systems. */
static struct blob_text prefix_of(struct compiler *c, const struct flags_bucketing *b,
                                  struct span group) {
    if (b->hash != FLAGS_HASH_LAUNCHDARKLY)
        return b->hash == FLAGS_HASH_JAVA31 ? (struct blob_text){0} : compiler_emit_text(c, group);
    uint32_t at = (uint32_t)c->out->len;
    if (b->seeded) {
        buf_printf(c->out, "%u.", b->seed);
    } else {
        buf_add_span(c->out, group);
        buf_add_char(c->out, '.');
        buf_add_span(c->out, b->salt);
        buf_add_char(c->out, '.');
    }
    return (struct blob_text){at, (uint32_t)(c->out->len - at)};
}

static int compile_sources(struct compiler *c, const struct flags_bucketing *b,
                           struct blob_bucketing *out) {
    if (b->by_count > FLAGS_SOURCES_MAX)
        return compiler_error(c, ERR_LIMIT, c->flag->place,
                              "there are more than %d things to bucket by", FLAGS_SOURCES_MAX);
    out->by_count = b->by_count ? (uint32_t)b->by_count : 2;
    if (b->by_count == 0) {
        out->by[0].source = FLAGS_BY_USER;
        out->by[1].source = FLAGS_BY_TENANT;
    }
    for (size_t i = 0; i < b->by_count; i++) {
        out->by[i].source = b->by[i].source;
        if (b->by[i].source != FLAGS_BY_ATTRIBUTE)
            continue;
        int r = compiler_check_name(c, c->flag->place, "the attribute to bucket by",
                                    b->by[i].attribute);
        if (r < 0)
            return r;
        out->by[i].attribute = compiler_emit_text(c, b->by[i].attribute);
    }
    return 0;
}

/* A split must not follow the rollout, or those who are taken in first would all get its first
 * part. Unleash has a seed for it, LaunchDarkly no rollout beside it. */
static struct span default_group(struct compiler *c, const struct flags_bucketing *b, bool split) {
    static const char suffix[] = "#split";
    struct span name = c->flag->name;
    if (!split || (b->hash != FLAGS_HASH_BANYAN1 && b->hash != FLAGS_HASH_FLAGD))
        return name;
    char *both = compiler_scratch(c, name.len + sizeof suffix, 1);
    memcpy(both, name.ptr, name.len);
    memcpy(both + name.len, suffix, sizeof suffix);
    return span_make(both, name.len + sizeof suffix - 1);
}

static int compile_bucketing(struct compiler *c, const struct flags_bucketing *b, bool split,
                             uint32_t *ret_at) {
    struct blob_bucketing out = {.hash = b->hash, .seed = b->seed};
    struct span group = b->group.ptr ? b->group : default_group(c, b, split);
    int r = compile_sources(c, b, &out);
    if (r < 0)
        return r;
    if ((b->group.ptr && group.len > FLAGS_NAME_MAX) || b->salt.len > FLAGS_NAME_MAX)
        return compiler_error(c, ERR_LIMIT, c->flag->place,
                              "the group or salt of a bucketing has more than %d bytes",
                              FLAGS_NAME_MAX);
    out.prefix = prefix_of(c, b, group);
    if (b->hash == FLAGS_HASH_BANYAN1)
        out.seed = bucket_banyan1_seed(group);
    *ret_at = compiler_emit(c, &out, sizeof out);
    return 0;
}

static int compile_split(struct compiler *c, const struct flags_weight *split, size_t count,
                         const struct flags_bucketing *b, struct blob_rule *out) {
    if (count == 0)
        return 0;
    if (count > FLAGS_VARIANTS_MAX)
        return compiler_error(c, ERR_LIMIT, c->flag->place, "a split has more than %d parts",
                              FLAGS_VARIANTS_MAX);
    if (b->hash == FLAGS_HASH_JAVA31)
        return compiler_error(c, ERR_CONF, c->flag->place,
                              "hash java31 cannot draw variants by weight: use banyan1");
    struct blob_weight *list = compiler_scratch(c, count, sizeof *list);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        int r = compiler_variant(c, split[i].variant, &list[i].variant);
        if (r < 0)
            return r;
        list[i].weight = split[i].weight;
        sum += split[i].weight;
    }
    if (sum == 0 || sum > INT32_MAX)
        return compiler_error(c, ERR_CONF, c->flag->place,
                              "the weights of a split add up to 0, or to more than %d", INT32_MAX);
    out->split = compiler_emit_list(c, list, count, sizeof *list);
    return compile_bucketing(c, b, true, &out->split_bucketing);
}

static int compile_rollout(struct compiler *c, uint32_t rollout, const struct flags_bucketing *b,
                           struct blob_rule *out) {
    if (rollout > FLAGS_ROLLOUT_ALL)
        return compiler_error(c, ERR_CONF, c->flag->place, "the rollout is more than 100 %%");
    if (b->hash > FLAGS_HASH_LAUNCHDARKLY)
        return compiler_error(c, ERR_CONF, c->flag->place, "the hash is not known");
    out->rollout = rollout;
    if (rollout == 0 || (rollout == FLAGS_ROLLOUT_ALL && !b->needs_key))
        return 0;
    return compile_bucketing(c, b, false, &out->bucketing);
}

static int compile_rule(struct compiler *c, const struct flags_rule *rule, int32_t on_variant,
                        struct blob_rule *out) {
    out->bits =
        (rule->match_any ? BLOB_MATCH_ANY : 0u) | (rule->otherwise_off ? BLOB_OFF_LAST : 0u);
    out->variant = on_variant;
    int r = rule->variant.len ? compiler_variant(c, rule->variant, &out->variant) : 0;
    if (r == 0)
        r = compiler_conditions(c, rule->conditions, rule->condition_count, &out->conditions);
    if (r == 0 && rule->when)
        r = compiler_logic(c, rule->when, &out->when);
    if (r == 0)
        r = compile_rollout(c, rule->rollout, &rule->bucketing, out);
    if (r == 0)
        r = compile_split(c, rule->split, rule->split_count, &rule->split_bucketing, out);
    return r;
}

int compiler_rules(struct compiler *c, int32_t on_variant, struct blob_list *ret_list) {
    const struct flags_flag *f = c->flag;
    if (f->rule_count > FLAGS_RULES_MAX)
        return compiler_error(c, ERR_LIMIT, f->place, "there are more than %d rules",
                              FLAGS_RULES_MAX);
    bool last = !f->rules_only;
    bool needs_on =
        (last && !f->split_count) || f->users_on_count || f->tenants_on_count || f->condition_count;
    if (needs_on && on_variant == BLOB_NO_VARIANT)
        return compiler_error(c, ERR_CONF, f->place,
                              "the flag has variants, but nothing says which one on gives");
    struct blob_rule *list = compiler_scratch(c, f->rule_count + 1, sizeof *list);
    for (size_t i = 0; i < f->rule_count; i++) {
        int r = compile_rule(c, &f->rules[i], on_variant, &list[i]);
        if (r < 0)
            return r;
    }
    struct flags_rule own = {.rollout = f->rollout,
                             .bucketing = f->bucketing,
                             .split = f->split,
                             .split_count = f->split_count,
                             .split_bucketing = f->split_bucketing};
    int r = last ? compile_rule(c, &own, on_variant, &list[f->rule_count]) : 0;
    if (r < 0)
        return r;
    *ret_list = compiler_emit_list(c, list, f->rule_count + last, sizeof *list);
    return 0;
}

#include "flags/decide.h"

#include "flags/bucket.h"
#include "flags/custom.h"
#include "flags/logic.h"

const struct flags_attribute *logic_attribute(const struct flags_attribute *attributes,
                                              size_t count, struct span name) {
    for (size_t i = 0; i < count; i++)
        if (span_eq(attributes[i].name, name))
            return &attributes[i];
    return NULL;
}

static bool has_number(const struct flags_set *set, struct blob_list list, double v) {
    const double *numbers = blob_at(set, list.at);
    uint32_t low = 0, high = list.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (numbers[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list.count && numbers[low] == v;
}

static bool has_text(const struct flags_set *set, struct blob_list list, struct span v) {
    const struct blob_text *texts = blob_at(set, list.at);
    uint32_t low = 0, high = list.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int r = span_compare(blob_span(set, texts[middle]), v);
        if (r == 0)
            return true;
        if (r < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* For < and >: `a` against the one value of the condition. */
static bool in_order(enum flags_operator op, bool less, bool greater) {
    return op == FLAGS_LESS ? less : greater;
}

/* For the operators of sets. */
static bool among(enum flags_operator op, bool found) {
    return op == FLAGS_EQUAL || op == FLAGS_IN ? found : !found;
}

static bool number_holds(const struct flags_set *set, const struct blob_condition *c, double v) {
    if (c->numbers.count == 0 || v != v)
        return false;
    enum flags_operator op = (enum flags_operator)c->op;
    if (op == FLAGS_LESS || op == FLAGS_GREATER) {
        double other = *(const double *)blob_at(set, c->numbers.at);
        return in_order(op, v<other, v> other);
    }
    return among(op, has_number(set, c->numbers, v));
}

static bool text_holds(const struct flags_set *set, const struct blob_condition *c, struct span v) {
    if (c->texts.count == 0)
        return false;
    enum flags_operator op = (enum flags_operator)c->op;
    if (op == FLAGS_LESS || op == FLAGS_GREATER) {
        int r =
            span_compare(v, blob_span(set, *(const struct blob_text *)blob_at(set, c->texts.at)));
        return in_order(op, r<0, r> 0);
    }
    return among(op, has_text(set, c->texts, v));
}

static bool boolean_holds(const struct blob_condition *c, bool v) {
    enum flags_operator op = (enum flags_operator)c->op;
    if (c->booleans == 0 || op == FLAGS_LESS || op == FLAGS_GREATER)
        return false;
    return among(op, c->booleans & (v ? 2u : 1u));
}

static bool condition_holds(const struct flags_set *set, const struct flags_context *context,
                            const struct blob_condition *c) {
    if (c->subject == FLAGS_CUSTOM) {
        const struct custom *custom = custom_at(c->custom);
        int r = custom->holds(context, blob_at(set, c->raw.at), c->raw.count / custom->words);
        return r >= 0 && among((enum flags_operator)c->op, r == 1);
    }
    struct span name = blob_span(set, c->attribute);
    const struct flags_attribute *a =
        c->subject == FLAGS_USER_ATTRIBUTE
            ? logic_attribute(context->user_attributes, context->user_attribute_count, name)
            : logic_attribute(context->tenant_attributes, context->tenant_attribute_count, name);
    if (!a)
        return false;
    switch (a->value.type) {
    case FLAGS_BOOL:
        return boolean_holds(c, a->value.boolean);
    case FLAGS_NUMBER:
        return number_holds(set, c, a->value.number);
    case FLAGS_STRING:
        return text_holds(set, c, a->value.text);
    case FLAGS_NULL:
    case FLAGS_JSON:
        break;
    }
    return false;
}

bool decide_conditions(const struct flags_set *set, const struct flags_context *context,
                       struct blob_list conditions, bool any) {
    const struct blob_condition *c = blob_at(set, conditions.at);
    for (uint32_t i = 0; i < conditions.count; i++)
        if (condition_holds(set, context, &c[i]) == any)
            return any;
    return !any;
}

/* Room for a number that is a key. */
struct key_text {
    char bytes[24];
};

static struct span whole_number(struct key_text *room, uint64_t v, bool negative) {
    size_t at = sizeof room->bytes;
    do {
        room->bytes[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (negative)
        room->bytes[--at] = '-';
    return span_make(room->bytes + at, sizeof room->bytes - at);
}

/* Texts, and whole numbers that a double holds exactly. */
static struct span attribute_key(const struct flags_attribute *a, struct key_text *room) {
    if (a && a->value.type == FLAGS_STRING)
        return a->value.text;
    if (!a || a->value.type != FLAGS_NUMBER)
        return (struct span){0};
    double v = a->value.number;
    if (!(v >= -9007199254740992.0 && v <= 9007199254740992.0) || v != (double)(int64_t)v)
        return (struct span){0};
    int64_t whole = (int64_t)v;
    return whole_number(room, (uint64_t)(whole < 0 ? -whole : whole), whole < 0);
}

/* Empty: nobody. */
static struct span key_of(const struct flags_set *set, const struct blob_bucketing *b,
                          const struct flags_context *context, struct key_text *room) {
    struct span key = {0};
    for (uint32_t i = 0; i < b->by_count && key.len == 0; i++) {
        switch ((enum flags_source)b->by[i].source) {
        case FLAGS_BY_USER:
            key = context->user;
            break;
        case FLAGS_BY_TENANT:
            key = context->tenant;
            break;
        case FLAGS_BY_ATTRIBUTE:
            key = attribute_key(logic_attribute(context->user_attributes,
                                                context->user_attribute_count,
                                                blob_span(set, b->by[i].attribute)),
                                room);
            break;
        case FLAGS_BY_RANDOM:
            if (context->random)
                key = whole_number(room, context->random, false);
            break;
        }
    }
    return key;
}

static float launchdarkly_bucket(struct span prefix, struct span key) {
    return key.len ? bucket_launchdarkly(prefix, key) : 0;
}

enum decide_in decide_rollout(const struct flags_set *set, const struct flags_context *context,
                              const struct blob_rule *rule) {
    if (!rule->bucketing || rule->rollout == 0)
        return rule->rollout ? DECIDE_IN : DECIDE_OUT;
    const struct blob_bucketing *b = blob_at(set, rule->bucketing);
    struct span prefix = blob_span(set, b->prefix);
    struct key_text room;
    struct span key = key_of(set, b, context, &room);
    enum flags_hash hash = (enum flags_hash)b->hash;
    if (key.len == 0 && hash == FLAGS_HASH_JAVA31)
        key = SPAN_LIT("anonymous");
    if (key.len == 0 && hash != FLAGS_HASH_LAUNCHDARKLY)
        return DECIDE_NOBODY;
    bool in = false;
    switch (hash) {
    case FLAGS_HASH_BANYAN1:
        in = bucket_banyan1(b->seed, key, FLAGS_ROLLOUT_ALL) < rule->rollout;
        break;
    case FLAGS_HASH_JAVA31:
        in = bucket_java31(key) * (FLAGS_ROLLOUT_ALL / 100) < rule->rollout;
        break;
    case FLAGS_HASH_FLAGD:
        in = bucket_flagd(prefix, key, FLAGS_ROLLOUT_ALL) < rule->rollout;
        break;
    case FLAGS_HASH_UNLEASH:
        in = bucket_unleash(prefix, key, 100, (uint32_t)b->seed) * (FLAGS_ROLLOUT_ALL / 100) <=
             rule->rollout;
        break;
    case FLAGS_HASH_LAUNCHDARKLY:
        in = launchdarkly_bucket(prefix, key) < (float)rule->rollout / 100000.0f;
        break;
    }
    if (rule->rollout == FLAGS_ROLLOUT_ALL)
        in = true; /* a key was needed, and is there */
    return in ? DECIDE_IN : DECIDE_OUT;
}

static uint32_t total_of(const struct blob_weight *w, uint32_t count) {
    uint32_t total = 0; /* flags_open checked that it fits */
    for (uint32_t i = 0; i < count; i++)
        total += w[i].weight;
    return total;
}

/* Sums in single precision, as LaunchDarkly does; what rounding leaves over goes to the last. */
static int32_t draw_launchdarkly(const struct blob_weight *w, uint32_t count, float bucket) {
    float sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (float)w[i].weight / 100000.0f;
        if (bucket < sum)
            return w[i].variant;
    }
    return w[count - 1].variant;
}

static int32_t draw(const struct blob_weight *w, uint32_t count, uint32_t bucket) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += w[i].weight;
        if (bucket < sum)
            return w[i].variant;
    }
    return w[count - 1].variant;
}

enum decide_in decide_split(const struct flags_set *set, const struct flags_context *context,
                            const struct blob_rule *rule, int32_t *ret_variant) {
    const struct blob_weight *w = blob_at(set, rule->split.at);
    const struct blob_bucketing *b = blob_at(set, rule->split_bucketing);
    struct span prefix = blob_span(set, b->prefix);
    struct key_text room;
    struct span key = key_of(set, b, context, &room);
    enum flags_hash hash = (enum flags_hash)b->hash;
    uint32_t count = rule->split.count, total = total_of(w, count);
    if (key.len == 0 && hash != FLAGS_HASH_LAUNCHDARKLY)
        return DECIDE_NOBODY;
    switch (hash) {
    case FLAGS_HASH_BANYAN1:
        *ret_variant = draw(w, count, bucket_banyan1(b->seed, key, total));
        return DECIDE_IN;
    case FLAGS_HASH_FLAGD:
        *ret_variant = draw(w, count, bucket_flagd(prefix, key, total));
        return DECIDE_IN;
    case FLAGS_HASH_UNLEASH:
        *ret_variant = draw(w, count, bucket_unleash(prefix, key, total, (uint32_t)b->seed) - 1);
        return DECIDE_IN;
    case FLAGS_HASH_LAUNCHDARKLY:
        *ret_variant = draw_launchdarkly(w, count, launchdarkly_bucket(prefix, key));
        return DECIDE_IN;
    case FLAGS_HASH_JAVA31:
        break; /* the compiler refuses it: its hundred buckets are not even */
    }
    return DECIDE_NOBODY;
}

int32_t decide_variant_named(const struct flags_set *set, const struct blob_flag *f,
                             struct span name) {
    const struct blob_variant *v = blob_at(set, f->variants.at);
    for (uint32_t i = 0; i < f->variants.count; i++)
        if (span_eq(blob_span(set, v[i].name), name))
            return (int32_t)i;
    return BLOB_NO_VARIANT;
}

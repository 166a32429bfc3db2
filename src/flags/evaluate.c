#include "flags/flags.h"

#include "flags/blob.h"
#include "flags/decide.h"
#include "flags/logic.h"

/* What one flag, and those that it requires, comes to. */
struct decision {
    const struct flags_set *set;
    const struct flags_context *context;
    unsigned steps; /* of logic, all targetings together */
    int32_t variant;
    enum flags_reason reason;
    enum flags_error error;
    const char *detail;
};

uint32_t flags_count(const struct flags_set *set) {
    return set->bytes ? blob_head(set)->flags.count : 0;
}

struct span flags_metadata(const struct flags_set *set) {
    return set->bytes ? blob_span(set, blob_head(set)->metadata) : (struct span){"", 0};
}

uint32_t flags_find(const struct flags_set *set, struct span name) {
    if (!set->bytes || name.len == 0)
        return FLAGS_NONE;
    const struct blob_list index = blob_head(set)->index;
    const struct blob_slot *slots = blob_at(set, index.at);
    uint64_t hash = blob_hash(name, 0);
    uint32_t mask = index.count - 1, at = (uint32_t)hash & mask;
    for (uint32_t tries = 0; tries <= mask && slots[at].flag; tries++, at = (at + 1) & mask)
        if (slots[at].fingerprint == (uint32_t)(hash >> 32) &&
            span_eq(blob_span(set, slots[at].name), name))
            return slots[at].flag - 1;
    return FLAGS_NONE;
}

void flags_describe(const struct flags_set *set, uint32_t flag, struct flags_info *ret_info) {
    *ret_info = (struct flags_info){0};
    if (flag >= flags_count(set))
        return;
    const struct blob_flag *f = blob_flag_at(set, flag);
    ret_info->name = blob_span(set, f->name);
    ret_info->owner = blob_span(set, f->owner);
    ret_info->module = blob_span(set, f->module);
    ret_info->metadata = blob_span(set, f->metadata);
    ret_info->expires = f->expires;
    ret_info->enabled = f->bits & BLOB_ENABLED;
    ret_info->killed = f->bits & BLOB_KILLED;
    ret_info->rollout = f->rollout;
    ret_info->variants = f->variants.count;
}

static bool is_switched_off(const struct blob_flag *f) {
    return !(f->bits & BLOB_ENABLED) || (f->bits & BLOB_KILLED);
}

static void decide(struct decision *d, int32_t variant, enum flags_reason reason) {
    d->variant = variant;
    d->reason = reason;
}

/* The flag as a switch: see struct flags_result. */
static bool is_on(const struct flags_set *set, const struct blob_flag *f, int32_t variant) {
    if (variant == BLOB_NO_VARIANT)
        return false;
    const struct blob_variant *v = (const struct blob_variant *)blob_at(set, f->variants.at);
    const struct blob_value *value = &v[variant].value;
    return value->type == FLAGS_BOOL ? value->boolean != 0 : variant != f->off_variant;
}

static uint32_t listed_bits(const struct flags_set *set, struct blob_list list, struct span id,
                            uint32_t subject) {
    const struct blob_listed *slots = blob_at(set, list.at);
    uint64_t hash = blob_hash(id, subject);
    uint32_t mask = list.count - 1, at = (uint32_t)hash & mask;
    for (uint32_t tries = 0; tries <= mask && slots[at].bits; tries++, at = (at + 1) & mask)
        if (slots[at].fingerprint == (uint32_t)(hash >> 32) && (slots[at].bits & subject) &&
            span_eq(blob_span(set, slots[at].id), id))
            return slots[at].bits;
    return 0;
}

static bool decide_listed(struct decision *d, const struct blob_flag *f) {
    uint32_t bits = 0;
    if (d->context->user.len)
        bits |= listed_bits(d->set, f->listed, d->context->user, BLOB_LISTED_USER);
    if (d->context->tenant.len)
        bits |= listed_bits(d->set, f->listed, d->context->tenant, BLOB_LISTED_TENANT);
    if (bits & BLOB_LISTED_OFF)
        decide(d, f->off_variant, FLAGS_TARGETING_MATCH);
    else if (bits & BLOB_LISTED_ON)
        decide(d, f->on_variant, FLAGS_TARGETING_MATCH);
    return bits & (BLOB_LISTED_OFF | BLOB_LISTED_ON);
}

static int32_t zone_offset(const struct flags_set *set, uint32_t zone, int64_t second) {
    if (zone == 0)
        return 0;
    const struct blob_zone *z =
        (const struct blob_zone *)blob_at(set, blob_head(set)->zones.at) + (zone - 1);
    const struct blob_transition *t = blob_at(set, z->transitions.at);
    uint32_t low = 0, high = z->transitions.count; /* those before `low` have happened */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t[middle].at <= second)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? t[low - 1].offset : z->first_offset;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static bool window_holds(const struct flags_set *set, const struct blob_window *w, int64_t now_us) {
    int64_t second = floor_div(now_us, 1000000);
    int64_t local = second + zone_offset(set, w->zone, second);
    int64_t minute = floor_div(local, 60) - floor_div(local, 86400) * 1440;
    if (w->start_minute < w->end_minute)
        return minute >= w->start_minute && minute < w->end_minute;
    return minute >= w->start_minute || minute < w->end_minute;
}

static bool windows_hold(const struct flags_set *set, struct blob_list list, int64_t now_us) {
    const struct blob_window *w = blob_at(set, list.at);
    for (uint32_t i = 0; i < list.count; i++)
        if (!window_holds(set, &w[i], now_us))
            return false;
    return true;
}

/* Kept out of line: its stack is needed by targeting only. */
static __attribute__((noinline)) struct logic_value
run_logic(struct decision *d, const struct blob_flag *f, uint32_t logic, struct logic_run *run) {
    _Alignas(16) char own[LOGIC_SCRATCH];
    *run = (struct logic_run){.set = d->set,
                              .context = d->context,
                              .flag_name = blob_span(d->set, f->name),
                              .scratch = d->context->scratch,
                              .scratch_len = d->context->scratch_len,
                              .steps = d->steps,
                              .variant = BLOB_NO_VARIANT};
    if (!run->scratch) {
        run->scratch = own;
        run->scratch_len = sizeof own;
    }
    struct logic_value v = logic_evaluate(run, logic);
    d->steps = run->steps;
    d->error = run->error;
    d->detail = run->detail;
    /* What is handed back must not lie on this stack: the name of a variant is all it is good for,
     * and the truth of a condition. */
    bool truth = logic_truth(run, &v);
    v.items = NULL;
    if (v.type == LOGIC_NUMBER || v.type == LOGIC_BOOL || v.type == LOGIC_STRING) {
        struct span text = logic_text(run, &v);
        run->variant = decide_variant_named(d->set, f, text);
    }
    v.boolean = truth;
    return v;
}

static void decide_targeting(struct decision *d, const struct blob_flag *f) {
    struct logic_run run;
    struct logic_value v = run_logic(d, f, f->targeting, &run);
    if (d->error != FLAGS_OK)
        return;
    if (v.type == LOGIC_NULL) {
        decide(d, f->off_variant, FLAGS_DEFAULT);
    } else if (run.variant != BLOB_NO_VARIANT) {
        decide(d, run.variant, FLAGS_TARGETING_MATCH);
    } else {
        d->error = FLAGS_GENERAL;
        d->detail = "targeting gives the name of a variant that the flag does not have";
    }
}

static bool rule_holds(struct decision *d, const struct blob_flag *f, const struct blob_rule *r) {
    if (r->conditions.count &&
        !decide_conditions(d->set, d->context, r->conditions, r->bits & BLOB_MATCH_ANY))
        return false;
    if (!r->when)
        return true;
    struct logic_run run;
    struct logic_value v = run_logic(d, f, r->when, &run);
    return d->error == FLAGS_OK && v.boolean;
}

/* False: the rule gives way to the next one. */
static bool decide_rule(struct decision *d, const struct blob_flag *f, const struct blob_rule *r) {
    if (!rule_holds(d, f, r))
        return d->error != FLAGS_OK;
    bool targeted = r->conditions.count || r->when;
    bool partial = r->rollout != 0 && r->rollout != FLAGS_ROLLOUT_ALL;
    enum flags_reason reason = targeted ? FLAGS_TARGETING_MATCH : FLAGS_STATIC;
    int32_t variant = r->variant;
    enum decide_in in = decide_rollout(d->set, d->context, r);
    if (in == DECIDE_IN && r->split.count) {
        in = decide_split(d->set, d->context, r, &variant);
        partial = true;
    }
    if (partial)
        reason = in == DECIDE_NOBODY ? FLAGS_DEFAULT : FLAGS_SPLIT;
    if (in == DECIDE_IN) {
        decide(d, variant, reason);
        return true;
    }
    /* The next rules may still say yes; the reason of the last one stays. */
    decide(d, f->off_variant, reason);
    return r->bits & BLOB_OFF_LAST;
}

static void decide_rules(struct decision *d, const struct blob_flag *f) {
    const struct blob_rule *r = blob_at(d->set, f->rules.at);
    decide(d, f->off_variant, FLAGS_DEFAULT);
    for (uint32_t i = 0; i < f->rules.count; i++)
        if (decide_rule(d, f, &r[i]))
            return;
}

/* Steps 3 to 9 of model.h. */
static void decide_alone(struct decision *d, const struct blob_flag *f) {
    if (f->bits & BLOB_SETTLED) {
        decide(d, f->settled_variant, (enum flags_reason)f->settled_reason);
        return;
    }
    if (is_switched_off(f)) {
        decide(d, f->bits & BLOB_NO_VALUE ? BLOB_NO_VARIANT : f->off_variant, FLAGS_DISABLED);
        return;
    }
    if (f->listed.count && decide_listed(d, f))
        return;
    if (!windows_hold(d->set, f->windows, d->context->now_us)) {
        decide(d, f->off_variant, FLAGS_DEFAULT);
        return;
    }
    if (f->conditions.count &&
        decide_conditions(d->set, d->context, f->conditions, f->bits & BLOB_MATCH_ANY)) {
        decide(d, f->on_variant, FLAGS_TARGETING_MATCH);
        return;
    }
    if (f->targeting)
        decide_targeting(d, f);
    else
        decide_rules(d, f);
}

static bool requires_hold(struct decision *d, const struct blob_flag *f) {
    const struct blob_require *r = blob_at(d->set, f->requires.at);
    for (uint32_t i = 0; i < f->requires.count; i++) {
        const struct blob_flag *other = blob_flag_at(d->set, r[i].flag);
        struct decision theirs = {.set = d->set, .context = d->context, .steps = d->steps};
        if (is_switched_off(other))
            return false;
        decide_alone(&theirs, other);
        d->steps = theirs.steps;
        bool holds = r[i].variant == BLOB_NO_VARIANT ? is_on(d->set, other, theirs.variant)
                                                     : theirs.variant == r[i].variant;
        if (theirs.error != FLAGS_OK || !holds)
            return false;
    }
    return true;
}

static void give(struct flags_result *result, const struct flags_set *set,
                 const struct blob_flag *f, int32_t variant, enum flags_reason reason) {
    *result = (struct flags_result){.reason = reason};
    if (variant == BLOB_NO_VARIANT)
        return;
    const struct blob_variant *v =
        (const struct blob_variant *)blob_at(set, f->variants.at) + variant;
    result->has_value = true;
    result->variant = blob_span(set, v->name);
    result->value = blob_value_of(set, &v->value);
    result->on = is_on(set, f, variant);
}

static void give_error(struct flags_result *result, enum flags_error error, const char *detail) {
    *result = (struct flags_result){.reason = FLAGS_ERROR, .error = error, .detail = detail};
}

void flags_evaluate(const struct flags_set *set, uint32_t flag, const struct flags_context *context,
                    struct flags_result *ret_result) {
    if (flag >= flags_count(set)) {
        give_error(ret_result, FLAGS_FLAG_NOT_FOUND, "there is no flag of this name");
        return;
    }
    const struct blob_flag *f = blob_flag_at(set, flag);
    if (f->bits & BLOB_SETTLED) {
        give(ret_result, set, f, f->settled_variant, (enum flags_reason)f->settled_reason);
        return;
    }
    struct decision d = {.set = set, .context = context};
    if (!is_switched_off(f) && f->requires.count && !requires_hold(&d, f))
        decide(&d, f->off_variant, FLAGS_DEFAULT);
    else
        decide_alone(&d, f);
    if (d.error != FLAGS_OK)
        give_error(ret_result, d.error, d.detail);
    else
        give(ret_result, set, f, d.variant, d.reason);
}

const char *flags_reason_name(enum flags_reason reason) {
    static const char *const names[] = {
#define REASON_NAME(id, text) text,
        FLAGS_REASONS(REASON_NAME)
#undef REASON_NAME
    };
    return (size_t)reason < sizeof names / sizeof names[0] ? names[reason] : "UNKNOWN";
}

const char *flags_error_name(enum flags_error error) {
    static const char *const names[] = {
#define ERROR_NAME(id, text) text,
        FLAGS_ERRORS(ERROR_NAME)
#undef ERROR_NAME
    };
    return (size_t)error < sizeof names / sizeof names[0] ? names[error] : "GENERAL";
}

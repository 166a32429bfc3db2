#include "flagfile/explain.h"

#include "flags/compile.h"

#include <stdio.h>

struct explaining {
    const struct snapshot *snapshot;
    const struct flags_flag *f;
    const struct flags_context *context;
    struct buf *out;
    struct err *err;
};

/* What a part of the flag says, as a flag of its own. */
static int probe(struct explaining *e, struct flags_flag part, bool *ret_on) {
    _cleanup_(buf_release) struct buf blob = {.max = FLAGS_BLOB_MAX};
    struct flags_model model = e->snapshot->model;
    struct flags_result result;
    struct flags_set set;
    part.name = e->f->name;
    part.enabled = true;
    model.flags = &part;
    model.flag_count = 1;
    int rc = flags_compile(&model, &blob, e->err);
    if (rc == 0)
        rc = flags_open(blob.data, blob.len, &set, e->err);
    if (rc < 0)
        return rc;
    flags_evaluate(&set, 0, e->context, &result);
    *ret_on = result.on;
    return 0;
}

static bool is_listed(const struct span *list, size_t count, struct span who) {
    for (size_t i = 0; who.len > 0 && i < count; i++)
        if (span_eq(list[i], who))
            return true;
    return false;
}

/* True: it decided, and `out` says so. */
static bool by_switch(struct explaining *e) {
    struct state_flag change = snapshot_change_of(e->snapshot, e->f->name.ptr);
    if (e->f->killed)
        buf_printf(e->out, "switched off by %s: %s", change.who, change.why);
    else if (!e->f->enabled)
        buf_add_text(e->out, "enabled is false");
    return e->f->killed || !e->f->enabled;
}

static bool by_requirement(struct explaining *e) {
    const struct flags_set *set = &e->snapshot->set;
    for (size_t i = 0; i < e->f->require_count; i++) {
        const struct flags_require *q = &e->f->requires[i];
        struct flags_result result;
        flags_evaluate(set, flags_find(set, q->flag), e->context, &result);
        bool holds = q->variant.len
                         ? result.reason != FLAGS_DISABLED && span_eq(result.variant, q->variant)
                         : result.on;
        if (!holds) {
            buf_printf(e->out, "requires %.*s, which is off", SPAN_ARG(q->flag));
            return true;
        }
    }
    return false;
}

static bool by_list(struct explaining *e) {
    const struct flags_flag *f = e->f;
    const struct flags_context *c = e->context;
    const char *key =
        is_listed(f->users_off, f->users_off_count, c->user)         ? "disabled_for_users"
        : is_listed(f->tenants_off, f->tenants_off_count, c->tenant) ? "disabled_for_tenants"
        : is_listed(f->users_on, f->users_on_count, c->user)         ? "enabled_for_users"
        : is_listed(f->tenants_on, f->tenants_on_count, c->tenant)   ? "enabled_for_tenants"
                                                                     : NULL;
    if (key)
        buf_printf(e->out, "listed in %s", key);
    return key != NULL;
}

/* 1: decided; 0: goes on. */
static int by_window(struct explaining *e) {
    for (size_t i = 0; i < e->f->window_count; i++) {
        const struct flags_window *w = &e->f->windows[i];
        bool on = false;
        struct flags_flag part = {.windows = w, .window_count = 1, .rollout = FLAGS_ROLLOUT_ALL};
        int rc = probe(e, part, &on);
        if (rc < 0)
            return rc;
        if (on)
            continue;
        buf_printf(e->out, "outside the time window %u:00 to %u:00 %s (line %u)",
                   w->start_minute / 60, w->end_minute / 60, w->zone ? w->zone : "UTC",
                   w->place.line);
        return 1;
    }
    return 0;
}

static int by_condition(struct explaining *e) {
    const struct flags_flag *f = e->f;
    bool on = false;
    if (f->condition_count == 0)
        return 0;
    struct flags_flag all = {.conditions = f->conditions,
                             .condition_count = f->condition_count,
                             .match_any = f->match_any};
    int rc = probe(e, all, &on);
    if (rc < 0 || !on)
        return rc;
    for (size_t i = 0; f->match_any && i < f->condition_count; i++) {
        struct flags_flag one = {.conditions = &f->conditions[i], .condition_count = 1};
        rc = probe(e, one, &on);
        if (rc < 0)
            return rc;
        if (on) {
            buf_printf(e->out, "condition %zu holds (line %u)", i + 1, f->conditions[i].place.line);
            return 1;
        }
    }
    buf_add_text(e->out, f->condition_count > 1 ? "all conditions hold" : "its condition holds");
    return 1;
}

/* The rules before have not decided, so up to and with this one they have if it does. */
static int by_rule(struct explaining *e) {
    for (size_t i = 0; i < e->f->rule_count; i++) {
        const struct flags_rule *rule = &e->f->rules[i];
        static const struct flags_variant probes[] = {
            {{"no", 2}, {.type = FLAGS_BOOL, .boolean = false}},
            {{"yes", 3}, {.type = FLAGS_BOOL, .boolean = true}}};
        struct flags_rule asked = *rule;
        bool on = false;
        asked.variant = probes[1].name;
        asked.split = NULL;
        asked.split_count = 0;
        struct flags_flag part = {.rules = &asked,
                                  .rule_count = 1,
                                  .rules_only = true,
                                  .variants = probes,
                                  .variant_count = 2,
                                  .on_variant = probes[1].name,
                                  .off_variant = probes[0].name};
        int rc = probe(e, part, &on);
        if (rc < 0)
            return rc;
        if (on) {
            buf_printf(e->out, "rule %zu", i + 1);
            return 1;
        }
    }
    return 0;
}

static void by_rollout(struct explaining *e) {
    const struct flags_flag *f = e->f;
    if (f->rules_only) {
        buf_add_text(e->out, "no rule holds");
        return;
    }
    buf_printf(e->out, "rollout_percentage %g", f->rollout / 1000.0);
    if (f->split_count > 0)
        buf_add_text(e->out, ", split by weight");
}

int explain(const struct snapshot *snapshot, size_t flag, const struct flags_context *context,
            struct buf *out, struct err *err) {
    struct explaining e = {.snapshot = snapshot,
                           .f = &snapshot->model.flags[flag],
                           .context = context,
                           .out = out,
                           .err = err};
    if (by_switch(&e) || by_requirement(&e) || by_list(&e))
        return 0;
    int rc = by_window(&e);
    if (rc == 0)
        rc = by_condition(&e);
    if (rc == 0 && (e.f->targeting || e.f->fixed)) {
        buf_add_text(out, e.f->targeting ? "targeting" : "its default variant");
        return 0;
    }
    if (rc == 0)
        rc = by_rule(&e);
    if (rc == 0)
        by_rollout(&e);
    return rc < 0 ? rc : 0;
}

#include "parallel/report.h"

#include "base/mem.h"
#include "parallel/tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *report_coverage_name(enum report_coverage coverage) {
    switch (coverage) {
    case REPORT_NEVER:
        return "never";
    case REPORT_NOT_SAMPLED:
        return "not_sampled";
    case REPORT_NOT_COMPARABLE:
        return "not_comparable";
    case REPORT_COMPARED:
        return "compared";
    }
    return "?";
}

int report_range(const char *text, int64_t *ret_minutes, struct err *err) {
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    int64_t unit = 0;
    if (end != text && *end && !end[1])
        unit = *end == 'm' ? 1 : *end == 'h' ? 60 : *end == 'd' ? 24 * 60 : 0;
    if (errno || !unit || n < 1 || n > REPORT_RANGE_MAX / unit)
        return err_set(err, ERR_USAGE, "a range is like 5m, 1h or 7d, at most 30d, not '%.32s'",
                       text);
    *ret_minutes = n * unit;
    return 0;
}

/* ---- adding up ---- */

struct gathering {
    struct report *report;
    size_t room;
};

static struct report_entry *entry_of(struct gathering *g, const char *module, const char *name,
                                     const char *kind) {
    struct report *r = g->report;
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->entries[i].module, module) == 0 && strcmp(r->entries[i].name, name) == 0)
            return &r->entries[i];
    if (r->count == g->room) {
        g->room = g->room ? 2 * g->room : 16;
        r->entries = mem_realloc(r->entries, g->room, sizeof *r->entries);
    }
    struct report_entry *e = &r->entries[r->count++];
    *e = (struct report_entry){0};
    (void)snprintf(e->module, sizeof e->module, "%s", module);
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    (void)snprintf(e->kind, sizeof e->kind, "%s", kind);
    return e;
}

static void add_took(struct report_side *s, const struct obs_histogram *h) {
    if (!h || obs_histogram_count(h) == 0)
        return;
    if (!s->took_us)
        s->took_us = obs_histogram_new();
    obs_histogram_merge(s->took_us, h);
}

static void add_calls(struct report_entry *e, const struct state_rollup *row) {
    struct report_side *s = &e->sides[strcmp(row->key.side, "mongodb") == 0];
    s->calls += row->count;
    s->errors += row->errors;
    add_took(s, row->histogram);
    e->rescued += row->rescued;
    e->counts.compared += row->compared;
    e->counts.real += row->real;
    e->lag += row->lag;
    e->unsettled += row->unsettled;
}

static void add_shadow(struct report_entry *e, const struct state_rollup *row) {
    struct report_side *s = &e->sides[strcmp(row->key.side, "mongodb") == 0];
    s->shadow += row->count;
    s->shadow_errors += row->errors;
    add_took(s, row->histogram);
}

static void add_named(const struct state_rollup *row, struct report_entry *e) {
    if (strcmp(row->key.kind, "explained") == 0) {
        for (int i = 0; i < COMPARE_RULE_COUNT; i++)
            if (strcmp(row->key.side, compare_rule_name((enum compare_rule)i)) == 0)
                e->by_rule[i] += row->count;
    } else if (strcmp(row->key.kind, "not_compared") == 0) {
        e->not_compared += row->count;
        for (int i = 1; i < PARALLEL_REASON_COUNT; i++)
            if (strcmp(row->key.side, parallel_reason_name((enum parallel_reason)i)) == 0)
                e->by_reason[i] += row->count;
    } else if (strcmp(row->key.kind, "noise") == 0) {
        e->counts.noise_runs += row->count;
        e->counts.noise_hits += row->real;
    } else {
        e->counts.weight += (double)row->compared / TALLY_WEIGHT;
        e->counts.weight_real += (double)row->real / TALLY_WEIGHT;
        e->counts.weight_squares += (double)row->count;
    }
}

static bool is_one_of(const char *text, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

static int on_row(void *context, const struct state_rollup *row, struct err *err) {
    static const char *const others[] = {"shadow", "explained", "not_compared", "noise", "weight"};
    struct gathering *g = context;
    const char *kind = row->key.kind;
    bool calls = strcmp(kind, "route") == 0 || strcmp(kind, "operation") == 0;
    (void)err;
    if (!calls && !is_one_of(kind, others, sizeof others / sizeof *others))
        return 0;
    struct report_entry *e = entry_of(g, row->key.module, row->key.name,
                                      row->key.name[0] == '/' ? "route" : "operation");
    if (calls)
        add_calls(e, row);
    else if (strcmp(kind, "shadow") == 0)
        add_shadow(e, row);
    else
        add_named(row, e);
    return 0;
}

/* ---- conclusions ---- */

static void add_entry(struct report_entry *sum, const struct report_entry *e) {
    for (int i = 0; i < 2; i++) {
        sum->sides[i].calls += e->sides[i].calls;
        sum->sides[i].errors += e->sides[i].errors;
        sum->sides[i].shadow += e->sides[i].shadow;
        sum->sides[i].shadow_errors += e->sides[i].shadow_errors;
        add_took(&sum->sides[i], e->sides[i].took_us);
    }
    sum->rescued += e->rescued;
    sum->counts.compared += e->counts.compared;
    sum->counts.real += e->counts.real;
    sum->counts.weight += e->counts.weight;
    sum->counts.weight_real += e->counts.weight_real;
    sum->counts.weight_squares += e->counts.weight_squares;
    sum->counts.noise_runs += e->counts.noise_runs;
    sum->counts.noise_hits += e->counts.noise_hits;
    sum->lag += e->lag;
    sum->unsettled += e->unsettled;
    sum->not_compared += e->not_compared;
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        sum->by_rule[i] += e->by_rule[i];
    for (int i = 0; i < PARALLEL_REASON_COUNT; i++)
        sum->by_reason[i] += e->by_reason[i];
}

static void conclude(struct report_entry *e, double over) {
    bool called = e->sides[0].calls + e->sides[1].calls > 0;
    bool asked = e->not_compared + e->sides[0].shadow + e->sides[1].shadow > 0;
    e->coverage = e->counts.compared ? REPORT_COMPARED
                  : asked            ? REPORT_NOT_COMPARABLE
                  : called           ? REPORT_NOT_SAMPLED
                                     : REPORT_NEVER;
    e->verdict = verdict_of(&e->counts, over, VERDICT_SAMPLES_MIN);
}

static void sum_up(struct report *r, const struct conf *conf) {
    double strictest = 1;
    r->modules = mem_zalloc(conf->module_count + 1, sizeof *r->modules);
    r->module_count = conf->module_count;
    for (size_t m = 0; m < conf->module_count; m++) {
        struct report_entry *sum = &r->modules[m];
        double over = conf->modules[m].gates.divergence_rate / 100;
        (void)snprintf(sum->module, sizeof sum->module, "%s", conf->modules[m].name.text);
        (void)snprintf(sum->kind, sizeof sum->kind, "module");
        strictest = over < strictest ? over : strictest;
        for (size_t i = 0; i < r->count; i++) {
            if (strcmp(r->entries[i].module, sum->module) != 0)
                continue;
            conclude(&r->entries[i], over);
            add_entry(sum, &r->entries[i]);
        }
        conclude(sum, over);
        add_entry(&r->all, sum);
    }
    conclude(&r->all, strictest);
}

static void entry_release(struct report_entry *e) {
    free(e->sides[0].took_us);
    free(e->sides[1].took_us);
}

static bool is_configured(const struct conf *conf, const char *module) {
    return conf_module(conf, module) != NULL;
}

/* Rows of modules that the configuration no longer has say nothing about this one. */
static void forget_others(struct report *r, const struct conf *conf) {
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (is_configured(conf, r->entries[i].module)) {
            r->entries[n++] = r->entries[i];
            continue;
        }
        entry_release(&r->entries[i]);
    }
    r->count = n;
}

int report_make(const struct conf *conf, struct state *state, int64_t minutes, int64_t now,
                struct report *ret, struct err *err) {
    struct gathering g = {.report = ret};
    const struct state_rollup_filter filter = {.from = now - minutes + 1, .until = now + 1};
    char name[STATE_NAME_MAX];
    *ret = (struct report){.from = filter.from, .until = filter.until};
    for (size_t m = 0; m < conf->module_count; m++) {
        const struct conf_module *module = &conf->modules[m];
        for (size_t i = 0; i < module->route_count; i++) {
            tally_name(module->routes[i].prefix.text, name);
            (void)entry_of(&g, module->name.text, name, "route");
        }
        for (size_t i = 0; i < module->operation_count; i++) {
            tally_name(module->operations[i].name.text, name);
            (void)entry_of(&g, module->name.text, name, "operation");
        }
    }
    int rc = state ? state_rollups_sum(state, &filter, on_row, &g, err) : 0;
    if (rc < 0) {
        report_release(ret);
        return rc;
    }
    forget_others(ret, conf);
    sum_up(ret, conf);
    return 0;
}

void report_release(struct report *r) {
    for (size_t i = 0; i < r->count; i++)
        entry_release(&r->entries[i]);
    for (size_t i = 0; i < r->module_count; i++)
        entry_release(&r->modules[i]);
    entry_release(&r->all);
    free(r->entries);
    free(r->modules);
    *r = (struct report){0};
}

double report_mean(const struct report_side *s) {
    uint64_t n = s->took_us ? obs_histogram_count(s->took_us) : 0;
    return n ? (double)obs_histogram_sum(s->took_us) / (double)n : 0;
}

bool report_improvement(const struct report_entry *e, double *ret_percent) {
    double sql = report_mean(&e->sides[0]), mongodb = report_mean(&e->sides[1]);
    if (sql <= 0 || mongodb <= 0)
        return false;
    *ret_percent = (sql - mongodb) / sql * 100;
    return true;
}

size_t report_top(const struct report *r, size_t *ret, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        double rate = r->entries[i].verdict.rate;
        size_t at = n;
        if (r->entries[i].counts.real == 0)
            continue;
        while (at > 0 && r->entries[ret[at - 1]].verdict.rate < rate)
            at--;
        if (at >= max)
            continue;
        n += n < max;
        memmove(&ret[at + 1], &ret[at], (n - 1 - at) * sizeof *ret);
        ret[at] = i;
    }
    return n;
}

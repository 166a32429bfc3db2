#include "parallel/tally.h"

#include "route/sampling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define NAME_KEPT 200 /* bytes of a prefix that is too long for a name */

static const char *const sides[] = {"sql", "mongodb"};

void tally_name(const char *prefix, char *ret) {
    size_t len = strlen(prefix);
    if (len < STATE_NAME_MAX)
        (void)snprintf(ret, STATE_NAME_MAX, "%s", prefix);
    else
        (void)snprintf(ret, STATE_NAME_MAX, "%.*s...%016" PRIx64, NAME_KEPT, prefix,
                       (uint64_t)XXH3_64bits(prefix, len));
}

/* Latencies of reads: they are what the sides are compared by. */
bool tally_gateway(struct tally *t, const struct frame_statistics *f) {
    struct err ignored;
    tally_add(t, TALLY_CALLS + (int)f->side, f->count);
    tally_add(t, TALLY_ERRORS + (int)f->side, f->errors);
    tally_add(t, TALLY_RESCUED + (int)f->side, f->rescued);
    tally_add(t, TALLY_PINNED, f->pinned);
    tally_add(t, TALLY_PINS_ENDED, f->pins_ended);
    tally_add(t, TALLY_SPARED, f->spared);
    for (int i = 0; i < FRAME_DROP_COUNT; i++)
        tally_add(t, TALLY_DROPPED + i, f->dropped[i]);
    return f->write || f->latency.len == 0 ||
           obs_histogram_merge_blob(&t->calls_us[f->side], f->latency, &ignored) == 0;
}

void tally_sample_gateway(const struct tally *t, struct obs_page *page, const char *module,
                          const char *route) {
    for (int i = 0; i < FRAME_DROP_COUNT; i++)
        obs_sample(page, METRIC_SAMPLES_DROPPED, tally_get(t, TALLY_DROPPED + i), module, route,
                   frame_drop_name((enum frame_drop)i));
    obs_sample(page, METRIC_KEPT_ON_SQL, tally_get(t, TALLY_PINNED), module, route,
               route_reason_name(ROUTE_BY_OWN_WRITE));
    obs_sample(page, METRIC_KEPT_ON_SQL, tally_get(t, TALLY_SPARED), module, route,
               route_reason_name(ROUTE_BY_BREAKER));
    obs_sample(page, METRIC_OWN_WRITES_EXPIRED, tally_get(t, TALLY_PINS_ENDED), module, route);
}

void tally_shadow(struct tally *t, enum route_side side, bool failed, int64_t took_us) {
    tally_add(t, TALLY_SHADOW_CALLS + (int)side, 1);
    tally_add(t, TALLY_SHADOW_ERRORS + (int)side, failed);
    obs_histogram_add(&t->shadow_us[side], took_us);
}

void tally_compared(struct tally *t, uint64_t weight) {
    uint64_t whole = (weight + SAMPLING_ONE / 2) / SAMPLING_ONE;
    tally_add(t, TALLY_COMPARED, 1);
    tally_add(t, TALLY_WEIGHT_COMPARED, weight / (SAMPLING_ONE / TALLY_WEIGHT));
    tally_add(t, TALLY_WEIGHT_SQUARES, whole * whole);
}

void tally_real(struct tally *t, uint64_t weight) {
    tally_add(t, TALLY_REAL, 1);
    tally_add(t, TALLY_WEIGHT_REAL, weight / (SAMPLING_ONE / TALLY_WEIGHT));
}

static int64_t since(const struct tally *t, int count) {
    return (int64_t)(t->kept.now[count] - t->kept.n[count]);
}

/* A call more or less in the histogram than in the counter, which was read before, comes with the
 * next rows. */
static void set_histogram(struct tally *t, struct state_rollup *row,
                          const struct obs_histogram *now, const struct obs_histogram *before,
                          int place) {
    obs_histogram_since(now, before, &t->kept.since[place]);
    row->histogram = &t->kept.since[place];
    t->kept.handed_out[place] = true;
}

static struct state_rollup calls_row(struct tally *t, int side, int64_t minute) {
    struct state_rollup row = {.minute = minute,
                               .count = since(t, TALLY_CALLS + side),
                               .errors = since(t, TALLY_ERRORS + side),
                               .rescued = since(t, TALLY_RESCUED + side)};
    if (side == 0)
        return row;
    row.compared = since(t, TALLY_COMPARED);
    row.real = since(t, TALLY_REAL);
    row.lag = since(t, TALLY_LAG);
    row.unsettled = since(t, TALLY_UNSETTLED);
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        row.explained += since(t, TALLY_EXPLAINED + i);
    return row;
}

static bool is_empty(const struct state_rollup *row) {
#define ADD(name) row->name +
    return (STATE_ROLLUP_COUNTS(ADD) 0) == 0;
#undef ADD
}

struct rows {
    const char *module, *name;
    int64_t minute;
    struct state_rollup *list;
    size_t count;
};

static struct state_rollup *add_row(struct rows *r, const struct state_rollup *row,
                                    const char *kind, const char *side) {
    if (is_empty(row))
        return NULL;
    struct state_rollup *to = &r->list[r->count++];
    *to = *row;
    to->key = (struct state_rollup_key){r->module, kind, r->name, side};
    to->minute = r->minute;
    return to;
}

static void add_sides(struct rows *r, struct tally *t, const char *kind) {
    for (int side = 0; side < 2; side++) {
        const struct state_rollup calls = calls_row(t, side, r->minute);
        struct state_rollup *row = add_row(r, &calls, kind, sides[side]);
        if (row)
            set_histogram(t, row, &t->calls_us[side], &t->kept.calls_us[side], side);
        const struct state_rollup shadow = {.count = since(t, TALLY_SHADOW_CALLS + side),
                                            .errors = since(t, TALLY_SHADOW_ERRORS + side)};
        row = add_row(r, &shadow, "shadow", sides[side]);
        if (row)
            set_histogram(t, row, &t->shadow_us[side], &t->kept.shadow_us[side], 2 + side);
    }
}

size_t tally_rows(struct tally *t, const char *module, const char *kind, const char *name,
                  int64_t minute, struct state_rollup *rows) {
    struct rows r = {.module = module, .name = name, .minute = minute, .list = rows};
    bool any = false;
    for (int i = 0; i < TALLY_COUNT; i++) {
        t->kept.now[i] = tally_get(t, i);
        any = any || t->kept.now[i] != t->kept.n[i];
    }
    memset(t->kept.handed_out, 0, sizeof t->kept.handed_out);
    if (!any)
        return 0;
    add_sides(&r, t, kind);
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        (void)add_row(&r, &(struct state_rollup){.count = since(t, TALLY_EXPLAINED + i)},
                      "explained", compare_rule_name((enum compare_rule)i));
    for (int i = 1; i < PARALLEL_REASON_COUNT; i++)
        (void)add_row(&r, &(struct state_rollup){.count = since(t, TALLY_NOT_COMPARED + i)},
                      "not_compared", parallel_reason_name((enum parallel_reason)i));
    (void)add_row(&r,
                  &(struct state_rollup){.count = since(t, TALLY_NOISE_RUNS),
                                         .real = since(t, TALLY_NOISE_HITS)},
                  "noise", "sql");
    (void)add_row(&r,
                  &(struct state_rollup){.count = since(t, TALLY_WEIGHT_SQUARES),
                                         .compared = since(t, TALLY_WEIGHT_COMPARED),
                                         .real = since(t, TALLY_WEIGHT_REAL)},
                  "weight", "");
    return r.count;
}

/* What the histograms have gained meanwhile is in neither: they are kept as they were handed out.
 */
void tally_keep(struct tally *t) {
    for (int side = 0; side < 2; side++) {
        if (t->kept.handed_out[side])
            obs_histogram_merge(&t->kept.calls_us[side], &t->kept.since[side]);
        if (t->kept.handed_out[2 + side])
            obs_histogram_merge(&t->kept.shadow_us[side], &t->kept.since[2 + side]);
    }
    memcpy(t->kept.n, t->kept.now, sizeof t->kept.n);
}

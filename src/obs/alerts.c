/*
 * From samples to alerts: the state machine in the header.
 *
 * An evaluation has three steps: every series of the page goes into the `now` of its watches (a
 * rate sums over all labels but the module); then each watch that was seen moves on by one point;
 * then those that were not seen for long are closed.
 *
 * Where a window counts, a watch keeps a ring of points: sums that only grow (of counters what came
 * since they were first seen, so that one that starts again at 0 is no jump; of gauges value x
 * time). The difference of two points is what happened between them.
 */
#include "obs/alerts.h"

#include "base/mem.h"
#include "base/spanmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define POINTS 64 /* of a ring: the window is known to 1/60 */
#define WIDTH_MAX (OBS_BOUNDS_MAX + 1)
#define UNSEEN_US INT64_C(60000000)
#define HYSTERESIS 0.1

struct watch {
    struct obs_alert alert;
    char *key; /* number of the rule, labels */
    size_t key_len;
    uint64_t round; /* of the last evaluation that saw it */
    int64_t seen_us;
    bool known; /* `last` holds the values of the round before */
    size_t width;
    double now[WIDTH_MAX], last[WIDTH_MAX], grown[WIDTH_MAX];
    struct {
        int64_t us;
        double *sums;
    } points[POINTS];
    double *sums; /* POINTS x width */
    size_t first, count;
};

struct obs_alerts {
    struct obs_alert_rule *rules;
    size_t rule_count;
    struct watch **watches;
    size_t count;
    struct spanmap index; /* key -> place in watches, plus 1 */
    uint64_t round;
};

static size_t rule_width(const struct obs_alert_rule *rule) {
    size_t bounds;
    switch (rule->kind) {
    case OBS_RULE_GAUGE:
    case OBS_RULE_COUNTER:
        return 1;
    case OBS_RULE_RATE:
        return 2;
    case OBS_RULE_HISTOGRAM:
        (void)obs_metric_bounds(rule->metric, &bounds);
        return bounds + 1;
    }
    return 1;
}

static void watch_free(struct watch *w) {
    free(w->key);
    free(w->sums);
    free(w);
}

static void copy_rules(struct obs_alerts *a, const struct obs_alert_rule *rules, size_t count) {
    a->rule_count = count < OBS_ALERT_RULES_MAX ? count : OBS_ALERT_RULES_MAX;
    a->rules = mem_zalloc(a->rule_count + 1, sizeof *rules);
    if (a->rule_count > 0)
        memcpy(a->rules, rules, a->rule_count * sizeof *rules);
}

struct obs_alerts *obs_alerts_new(const struct obs_alert_rule *rules, size_t count) {
    struct obs_alerts *a = mem_zalloc(1, sizeof *a);
    copy_rules(a, rules, count);
    return a;
}

void obs_alerts_free(struct obs_alerts *a) {
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++)
        watch_free(a->watches[i]);
    spanmap_release(&a->index);
    free(a->watches);
    free(a->rules);
    free(a);
}

/* ---- which watch a series belongs to ---- */

/* Of a rate only the module: its two counters need not have the same labels. */
static bool label_counts(const struct obs_alert_rule *rule, const char *label) {
    return rule->kind != OBS_RULE_RATE || strcmp(label, "module") == 0;
}

static void fill_alert(struct watch *w, const struct obs_alert_rule *rule,
                       const struct obs_series *s) {
    const struct obs_metric_info *info = obs_metric_info(s->metric);
    struct obs_alert *alert = &w->alert;
    alert->fingerprint = XXH3_64bits(rule->name, strlen(rule->name));
    for (size_t i = 0; info->labels[i]; i++) {
        if (s->labels[i][0] == '\0' || !label_counts(rule, info->labels[i]))
            continue;
        struct obs_alert_label *label = &alert->labels[alert->label_count++];
        label->name = info->labels[i];
        snprintf(label->value, sizeof label->value, "%s", s->labels[i]);
        alert->fingerprint =
            XXH3_64bits_withSeed(label->name, strlen(label->name), alert->fingerprint);
        alert->fingerprint =
            XXH3_64bits_withSeed(label->value, strlen(label->value), alert->fingerprint);
    }
}

static void add_key(struct buf *key, const struct obs_alert_rule *rule, size_t number,
                    const struct obs_series *s) {
    const struct obs_metric_info *info = obs_metric_info(s->metric);
    buf_printf(key, "%zu", number);
    for (size_t i = 0; info->labels[i]; i++)
        if (label_counts(rule, info->labels[i])) {
            buf_add_char(key, '\0');
            buf_add_text(key, s->labels[i]);
        }
}

static struct watch *new_watch(struct obs_alerts *a, size_t number, struct span key,
                               const struct obs_series *s, int64_t now_us) {
    struct watch *w = mem_zalloc(1, sizeof *w);
    w->key = mem_strndup(key.ptr, key.len);
    w->key_len = key.len;
    w->width = rule_width(&a->rules[number]);
    w->alert.rule = &a->rules[number];
    w->alert.since_us = now_us;
    fill_alert(w, &a->rules[number], s);
    a->watches = mem_realloc(a->watches, a->count + 1, sizeof *a->watches);
    a->watches[a->count++] = w;
    return w;
}

/* NULL: there are too many. */
static struct watch *find_watch(struct obs_alerts *a, size_t number, const struct obs_series *s,
                                struct buf *key, int64_t now_us) {
    buf_clear(key);
    add_key(key, &a->rules[number], number, s);
    const uint32_t *found = spanmap_get(&a->index, buf_span(key));
    if (found)
        return a->watches[*found - 1];
    if (a->count == OBS_ALERTS_MAX)
        return NULL;
    struct watch *w = new_watch(a, number, buf_span(key), s, now_us);
    bool fresh;
    *spanmap_put(&a->index, span_make(w->key, w->key_len), &fresh) = (uint32_t)a->count;
    return w;
}

static void take_values(struct watch *w, const struct obs_alert_rule *rule,
                        const struct obs_series *s) {
    size_t bounds;
    if (rule->kind == OBS_RULE_RATE) {
        double v = s->value;
        if (s->cumulative) {
            (void)obs_metric_bounds(s->metric, &bounds);
            v = (double)s->cumulative[bounds];
        }
        if (s->metric == rule->metric)
            w->now[0] += v;
        if (s->metric == rule->of || !rule->of_all)
            w->now[1] += v;
    } else if (rule->kind == OBS_RULE_HISTOGRAM) {
        for (size_t i = 0; i < w->width; i++)
            w->now[i] = (double)s->cumulative[i];
    } else {
        w->now[0] = s->value;
    }
}

static bool is_watched(const struct obs_alert_rule *rule, const struct obs_series *s) {
    if (s->metric != rule->metric && s->metric != rule->of)
        return false;
    const struct obs_metric_info *info = obs_metric_info(s->metric);
    for (size_t i = 0; rule->module[0] && info->labels[i]; i++)
        if (strcmp(info->labels[i], "module") == 0)
            return strcmp(s->labels[i], rule->module) == 0;
    return !rule->module[0];
}

static void take_series(struct obs_alerts *a, const struct obs_page *page, int64_t now_us) {
    struct buf key;
    buf_init(&key, OBS_LABELS_MAX * (OBS_LABEL_VALUE_MAX + 1) + 32);
    for (size_t i = 0; i < obs_page_count(page); i++) {
        struct obs_series s;
        obs_page_series(page, i, &s);
        for (size_t r = 0; r < a->rule_count; r++) {
            const struct obs_alert_rule *rule = &a->rules[r];
            if (!is_watched(rule, &s))
                continue;
            struct watch *w = find_watch(a, r, &s, &key, now_us);
            if (!w)
                continue;
            if (w->round != a->round)
                memset(w->now, 0, sizeof w->now);
            w->round = a->round;
            take_values(w, rule, &s);
        }
    }
    buf_release(&key);
}

/* ---- points and what they say ---- */

/* Adds what came since the last point; counters that went back have started anew. */
static void grow(struct watch *w, int64_t now_us) {
    size_t total = w->width - 1;
    bool anew = w->now[total] < w->last[total];
    if (!w->known) {
        memset(w->grown, 0, sizeof w->grown);
    } else if (w->alert.rule->kind == OBS_RULE_GAUGE) {
        w->grown[0] += w->last[0] * (double)(now_us - w->seen_us) / 1e6;
    } else {
        for (size_t i = 0; i < w->width; i++)
            w->grown[i] += anew ? w->now[i] : w->now[i] - w->last[i];
    }
    memcpy(w->last, w->now, sizeof w->last);
    w->known = true;
    w->seen_us = now_us;
}

static size_t place(const struct watch *w, size_t i) {
    return (w->first + i) % POINTS;
}

static void add_point(struct watch *w, int64_t now_us) {
    int64_t window_us = w->alert.rule->window_us;
    if (!w->sums) {
        w->sums = mem_zalloc(POINTS * w->width, sizeof *w->sums);
        for (size_t i = 0; i < POINTS; i++)
            w->points[i].sums = w->sums + i * w->width;
    }
    /* The oldest is the newest of those that are the whole window away. */
    while (w->count > 1 && w->points[place(w, 1)].us <= now_us - window_us) {
        w->first = place(w, 1);
        w->count--;
    }
    if (w->count > 0 && now_us - w->points[place(w, w->count - 1)].us < window_us / (POINTS - 4))
        return;
    if (w->count == POINTS) {
        w->first = place(w, 1);
        w->count--;
    }
    size_t at = place(w, w->count++);
    w->points[at].us = now_us;
    memcpy(w->points[at].sums, w->grown, w->width * sizeof *w->grown);
}

static double since_oldest(const struct watch *w, size_t i) {
    return w->grown[i] - w->points[w->first].sums[i];
}

/* The 99th percentile of what came in the window, interpolated between the bounds. */
static double percentile(const struct watch *w, double total) {
    size_t bounds;
    const double *bound = obs_metric_bounds(w->alert.rule->metric, &bounds);
    double rank = 0.99 * total, before = 0;
    for (size_t i = 0; i < bounds; i++) {
        double upto = since_oldest(w, i), lower = i > 0 ? bound[i - 1] : 0;
        if (upto >= rank && upto > before)
            return lower + (bound[i] - lower) * (rank - before) / (upto - before);
        before = upto;
    }
    return bound[bounds - 1]; /* over the last: at least that */
}

static enum obs_verdict compare(const struct obs_alert *alert, double value) {
    const struct obs_alert_rule *rule = alert->rule;
    double sign = rule->under ? -1 : 1, margin = HYSTERESIS * fabs(rule->threshold);
    double beyond = sign * (value - rule->threshold);
    if (beyond > 0)
        return OBS_FAIL;
    return alert->state == OBS_ALERT_FIRING && beyond > -margin ? OBS_INCONCLUSIVE : OBS_PASS;
}

static enum obs_verdict judge_rate(struct obs_alert *alert, double bad, double all) {
    const struct obs_alert_rule *rule = alert->rule;
    alert->value = all > 0 ? bad / all : 0;
    if (alert->samples < rule->min_samples || all <= 0)
        return OBS_INCONCLUSIVE;
    struct obs_interval i = obs_wilson((uint64_t)bad, (uint64_t)all);
    enum obs_verdict by_estimate = compare(alert, alert->value);
    if (by_estimate != OBS_FAIL)
        return by_estimate;
    bool sure = rule->under ? i.high < rule->threshold : i.low > rule->threshold;
    return sure ? OBS_FAIL : OBS_INCONCLUSIVE;
}

static enum obs_verdict judge_window(struct watch *w, int64_t now_us) {
    struct obs_alert *alert = &w->alert;
    const struct obs_alert_rule *rule = alert->rule;
    int64_t spent_us = now_us - w->points[w->first].us;
    bool whole = spent_us >= rule->window_us;
    double seconds = (double)spent_us / 1e6;
    double total = since_oldest(w, w->width - 1);
    alert->samples = rule->kind == OBS_RULE_GAUGE ? w->count : (uint64_t)total;
    switch (rule->kind) {
    case OBS_RULE_GAUGE:
        if (!whole)
            return OBS_INCONCLUSIVE;
        alert->value = total / seconds;
        return compare(alert, alert->value);
    case OBS_RULE_COUNTER:
        if (!whole)
            return OBS_INCONCLUSIVE;
        alert->value = total / seconds;
        /* Too little growth is what an `under` looks for; and what fires has had enough. */
        if (!rule->under && alert->state != OBS_ALERT_FIRING && total < (double)rule->min_samples)
            return OBS_PASS;
        return compare(alert, alert->value);
    case OBS_RULE_RATE:
        if (total <= 0 && whole) {
            alert->value = 0;
            return OBS_PASS;
        }
        return judge_rate(alert, since_oldest(w, 0), total);
    case OBS_RULE_HISTOGRAM:
        if (total <= 0)
            return whole ? OBS_PASS : OBS_INCONCLUSIVE;
        alert->value = percentile(w, total);
        return total < (double)rule->min_samples ? OBS_INCONCLUSIVE : compare(alert, alert->value);
    }
    return OBS_INCONCLUSIVE;
}

/* ---- the state machine ---- */

struct listener {
    obs_alert_fn changed;
    void *context;
};

static void set_state(struct obs_alert *alert, enum obs_alert_state state, int64_t now_us,
                      const struct listener *l) {
    enum obs_alert_state before = alert->state;
    alert->state = state;
    alert->since_us = now_us;
    if (state == OBS_ALERT_FIRING) {
        alert->fired_us = now_us;
        l->changed(l->context, OBS_ALERT_FIRED, alert);
    } else if (before == OBS_ALERT_FIRING) {
        l->changed(l->context, OBS_ALERT_RESOLVED, alert);
    }
}

static void step(struct obs_alert *alert, int64_t now_us, const struct listener *l) {
    switch (alert->state) {
    case OBS_ALERT_INACTIVE:
        if (alert->verdict != OBS_FAIL)
            return;
        set_state(alert, alert->rule->for_us > 0 ? OBS_ALERT_PENDING : OBS_ALERT_FIRING, now_us, l);
        return;
    case OBS_ALERT_PENDING:
        if (alert->verdict == OBS_PASS)
            set_state(alert, OBS_ALERT_INACTIVE, now_us, l);
        else if (alert->verdict == OBS_FAIL && now_us - alert->since_us >= alert->rule->for_us)
            set_state(alert, OBS_ALERT_FIRING, now_us, l);
        return;
    case OBS_ALERT_FIRING:
        if (alert->verdict == OBS_PASS)
            set_state(alert, OBS_ALERT_INACTIVE, now_us, l);
        return;
    }
}

static void judge(struct watch *w, int64_t now_us, const struct listener *l) {
    struct obs_alert *alert = &w->alert;
    grow(w, now_us);
    if (alert->rule->window_us == 0) {
        alert->value = w->now[0];
        alert->samples = 1;
        alert->verdict = compare(alert, alert->value);
    } else {
        add_point(w, now_us);
        alert->verdict = judge_window(w, now_us);
    }
    step(alert, now_us, l);
}

static void index_again(struct obs_alerts *a) {
    bool fresh;
    spanmap_clear(&a->index);
    for (size_t i = 0; i < a->count; i++)
        *spanmap_put(&a->index, span_make(a->watches[i]->key, a->watches[i]->key_len), &fresh) =
            (uint32_t)i + 1;
}

/* A series that is gone says nothing any more: what fired is over, and its place is free. */
static void close_unseen(struct obs_alerts *a, int64_t now_us, const struct listener *l) {
    size_t left = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct watch *w = a->watches[i];
        int64_t window_us = w->alert.rule->window_us;
        int64_t wait_us = window_us > UNSEEN_US ? window_us : UNSEEN_US;
        if (w->round == a->round || now_us - w->seen_us < wait_us) {
            a->watches[left++] = w;
            continue;
        }
        if (w->alert.state == OBS_ALERT_FIRING)
            set_state(&w->alert, OBS_ALERT_INACTIVE, now_us, l);
        watch_free(w);
    }
    bool changed = left != a->count;
    a->count = left;
    if (changed)
        index_again(a);
}

void obs_alerts_evaluate(struct obs_alerts *a, const struct obs_page *page, int64_t now_us,
                         obs_alert_fn changed, void *context) {
    struct listener l = {changed, context};
    a->round++;
    take_series(a, page, now_us);
    for (size_t i = 0; i < a->count; i++)
        if (a->watches[i]->round == a->round)
            judge(a->watches[i], now_us, &l);
    close_unseen(a, now_us, &l);
}

/* The name holds metric, direction and threshold. */
static bool same_rule(const struct obs_alert_rule *a, const struct obs_alert_rule *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->severity, b->severity) == 0 &&
           strcmp(a->module, b->module) == 0 && a->window_us == b->window_us &&
           a->for_us == b->for_us && a->min_samples == b->min_samples;
}

/* Its place among the new ones; `count`: it is gone. */
static size_t find_rule(const struct obs_alert_rule *rules, size_t count,
                        const struct obs_alert_rule *rule) {
    size_t i = 0;
    while (i < count && !same_rule(&rules[i], rule))
        i++;
    return i;
}

static void set_key_rule(struct watch *w, size_t number) {
    const char *labels = memchr(w->key, 0, w->key_len);
    size_t skip = labels ? (size_t)(labels - w->key) : w->key_len;
    struct buf key;
    buf_init(&key, w->key_len + 32);
    buf_printf(&key, "%zu", number);
    buf_add(&key, w->key + skip, w->key_len - skip);
    free(w->key);
    w->key = key.data;
    w->key_len = key.len;
}

void obs_alerts_reload(struct obs_alerts *a, const struct obs_alert_rule *rules, size_t count,
                       int64_t now_us, obs_alert_fn changed, void *context) {
    struct listener l = {changed, context};
    struct obs_alert_rule *old = a->rules;
    size_t left = 0;
    copy_rules(a, rules, count);
    for (size_t i = 0; i < a->count; i++) {
        struct watch *w = a->watches[i];
        size_t number = find_rule(a->rules, a->rule_count, w->alert.rule);
        if (number < a->rule_count) {
            w->alert.rule = &a->rules[number];
            set_key_rule(w, number);
            a->watches[left++] = w;
            continue;
        }
        if (w->alert.state == OBS_ALERT_FIRING)
            set_state(&w->alert, OBS_ALERT_INACTIVE, now_us, &l);
        watch_free(w);
    }
    a->count = left;
    index_again(a);
    free(old);
}

size_t obs_alerts_count(const struct obs_alerts *a) {
    return a->count;
}

const struct obs_alert *obs_alerts_get(const struct obs_alerts *a, size_t index) {
    return &a->watches[index]->alert;
}

static bool same_place(const struct obs_alert *x, const struct obs_alert *y) {
    return x->rule == y->rule &&
           strcmp(obs_alert_label(x, "module"), obs_alert_label(y, "module")) == 0 &&
           strcmp(obs_alert_label(x, "collection"), obs_alert_label(y, "collection")) == 0;
}

/* Alerts that differ in other labels are one series: the worst of them. */
void obs_alerts_sample(const struct obs_alerts *a, struct obs_page *page) {
    for (size_t i = 0; i < a->count; i++) {
        const struct obs_alert *alert = &a->watches[i]->alert;
        enum obs_alert_state worst = alert->state;
        bool first = true;
        for (size_t k = 0; k < a->count && first; k++) {
            const struct obs_alert *other = &a->watches[k]->alert;
            if (k == i || !same_place(alert, other))
                continue;
            first = k > i;
            if (other->state > worst)
                worst = other->state;
        }
        if (first)
            obs_sample(page, METRIC_ALERT_STATE, worst, obs_alert_label(alert, "module"),
                       obs_alert_label(alert, "collection"), alert->rule->name);
    }
}

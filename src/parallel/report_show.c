/* The report in words and as JSON. */
#include "parallel/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const char *const sides[] = {"sql", "mongodb"};

static double percent(double rate) {
    return rate * 100;
}

/* ---- JSON ---- */

static void show_minute(struct json_out *j, const char *name, int64_t minute) {
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(minute * 60);
    gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_out_text(j, name, text);
}

static void show_side(struct json_out *j, const char *name, const struct report_side *s) {
    const struct obs_histogram *h = s->took_us;
    json_out_open(j, name, '{');
    json_out_int(j, "calls", s->calls);
    json_out_int(j, "errors", s->errors);
    json_out_int(j, "shadow_calls", s->shadow);
    json_out_int(j, "shadow_errors", s->shadow_errors);
    if (h) {
        json_out_double(j, "mean_ms", report_mean(s) / 1000);
        json_out_double(j, "p50_ms", obs_histogram_percentile(h, 50) / 1000);
        json_out_double(j, "p95_ms", obs_histogram_percentile(h, 95) / 1000);
        json_out_double(j, "p99_ms", obs_histogram_percentile(h, 99) / 1000);
    }
    json_out_close(j, '}');
}

static void show_counts(struct json_out *j, const struct report_entry *e) {
    json_out_int(j, "compared", e->counts.compared);
    json_out_int(j, "divergent", e->counts.real);
    json_out_int(j, "lag", e->lag);
    json_out_int(j, "unsettled", e->unsettled);
    json_out_int(j, "rescued", e->rescued);
    json_out_open(j, "explained", '{');
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        if (e->by_rule[i])
            json_out_int(j, compare_rule_name((enum compare_rule)i), e->by_rule[i]);
    json_out_close(j, '}');
    json_out_open(j, "not_compared", '{');
    for (int i = 1; i < PARALLEL_REASON_COUNT; i++)
        if (e->by_reason[i])
            json_out_int(j, parallel_reason_name((enum parallel_reason)i), e->by_reason[i]);
    json_out_close(j, '}');
    json_out_int(j, "noise_runs", e->counts.noise_runs);
    json_out_int(j, "noise_hits", e->counts.noise_hits);
}

static void show_members(struct json_out *j, const struct report_entry *e) {
    double improvement = 0;
    show_counts(j, e);
    json_out_double(j, "rate_percent", percent(e->verdict.rate));
    json_out_double(j, "noise_percent", percent(e->verdict.noise));
    json_out_double(j, "net_rate_percent", percent(e->verdict.net));
    json_out_open(j, "net_rate_interval_percent", '[');
    json_out_double(j, NULL, percent(e->verdict.interval.low));
    json_out_double(j, NULL, percent(e->verdict.interval.high));
    json_out_close(j, ']');
    json_out_text(j, "verdict", verdict_name(e->verdict.verdict));
    json_out_text(j, "coverage", report_coverage_name(e->coverage));
    for (int i = 0; i < 2; i++)
        show_side(j, sides[i], &e->sides[i]);
    if (report_improvement(e, &improvement))
        json_out_double(j, "improvement_percent", improvement);
}

static void show_entry(struct json_out *j, const struct report_entry *e) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "module", e->module);
    json_out_text(j, "kind", e->kind);
    if (e->name[0])
        json_out_text(j, "name", e->name);
    show_members(j, e);
    json_out_close(j, '}');
}

static void show_top(struct json_out *j, const struct report *r) {
    size_t top[REPORT_TOP], n = report_top(r, top, REPORT_TOP);
    json_out_open(j, "top", '[');
    for (size_t i = 0; i < n; i++) {
        const struct report_entry *e = &r->entries[top[i]];
        json_out_open(j, NULL, '{');
        json_out_text(j, "module", e->module);
        json_out_text(j, "kind", e->kind);
        json_out_text(j, "name", e->name);
        json_out_int(j, "divergent", e->counts.real);
        json_out_double(j, "rate_percent", percent(e->verdict.rate));
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

void report_json(const struct report *r, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    show_minute(&j, "from", r->from);
    show_minute(&j, "until", r->until);
    show_members(&j, &r->all);
    show_top(&j, r);
    json_out_open(&j, "modules", '[');
    for (size_t i = 0; i < r->module_count; i++)
        show_entry(&j, &r->modules[i]);
    json_out_close(&j, ']');
    json_out_open(&j, "operations", '[');
    for (size_t i = 0; i < r->count; i++)
        show_entry(&j, &r->entries[i]);
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
}

/* ---- words ---- */

/* Names are of the configuration: no control characters. */
static void add_side(struct buf *out, const char *name, const struct report_side *s) {
    const struct obs_histogram *h = s->took_us;
    if (!h)
        return;
    buf_printf(out,
               "    %-8s %" PRId64 " calls, %" PRId64
               " failed; mean %.2f ms, p50 %.2f, p95 %.2f, p99 %.2f\n",
               name, s->calls + s->shadow, s->errors + s->shadow_errors, report_mean(s) / 1000,
               obs_histogram_percentile(h, 50) / 1000, obs_histogram_percentile(h, 95) / 1000,
               obs_histogram_percentile(h, 99) / 1000);
}

static void add_list(struct buf *out, const char *what, const char *name, int64_t n,
                     bool *is_first) {
    if (n == 0)
        return;
    if (*is_first)
        buf_printf(out, "    %s", what);
    buf_printf(out, "%s %s %" PRId64, *is_first ? "" : ",", name, n);
    *is_first = false;
}

static void add_lists(struct buf *out, const struct report_entry *e) {
    bool is_first = true;
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        add_list(out, "explained by", compare_rule_name((enum compare_rule)i), e->by_rule[i],
                 &is_first);
    if (!is_first)
        buf_add_char(out, '\n');
    is_first = true;
    for (int i = 1; i < PARALLEL_REASON_COUNT; i++)
        add_list(out, "not compared:", parallel_reason_name((enum parallel_reason)i),
                 e->by_reason[i], &is_first);
    if (!is_first)
        buf_add_char(out, '\n');
}

static void add_entry(struct buf *out, const struct report_entry *e) {
    double improvement = 0;
    if (e->coverage == REPORT_NEVER) {
        buf_add_text(out, "never called\n");
        return;
    }
    if (e->coverage != REPORT_COMPARED)
        buf_printf(out, "%s\n",
                   e->coverage == REPORT_NOT_SAMPLED ? "never asked of the other side"
                                                     : "nothing could be compared");
    else
        buf_printf(out,
                   "%s: %" PRId64 " of %" PRId64 " compared differ (%.3g %%, without noise %.3g "
                   "%%, from %.3g %% to %.3g %%), lag %" PRId64 ", unsettled %" PRId64 "\n",
                   verdict_name(e->verdict.verdict), e->counts.real, e->counts.compared,
                   percent(e->verdict.rate), percent(e->verdict.net),
                   percent(e->verdict.interval.low), percent(e->verdict.interval.high), e->lag,
                   e->unsettled);
    for (int i = 0; i < 2; i++)
        add_side(out, sides[i], &e->sides[i]);
    if (report_improvement(e, &improvement))
        buf_printf(out, "    MongoDB is %.1f %% %s\n", improvement < 0 ? -improvement : improvement,
                   improvement < 0 ? "slower" : "faster");
    add_lists(out, e);
}

void report_text(const struct report *r, struct buf *out) {
    for (size_t m = 0; m < r->module_count; m++) {
        buf_printf(out, "%s  ", r->modules[m].module);
        add_entry(out, &r->modules[m]);
        for (size_t i = 0; i < r->count; i++) {
            if (!span_eq(span_of(r->entries[i].module), span_of(r->modules[m].module)))
                continue;
            buf_printf(out, "  %s  ", r->entries[i].name);
            add_entry(out, &r->entries[i]);
        }
    }
}

#include "admin/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *health_name(enum health h) {
    static const char *const names[] = {"ok", "warn", "bad"};
    return names[h];
}

static void issue(struct health_report *r, enum health severity, const char *module,
                  const char *fmt, ...) printf_like(4, 5);

static void issue(struct health_report *r, enum health severity, const char *module,
                  const char *fmt, ...) {
    va_list args;
    if (severity > r->worst)
        r->worst = severity;
    if (r->count == HEALTH_ISSUES_MAX)
        return;
    struct health_issue *i = &r->issues[r->count++];
    i->severity = severity;
    i->module = module;
    va_start(args, fmt);
    (void)vsnprintf(i->words, sizeof i->words, fmt, args);
    va_end(args);
}

static void check_pipeline(const struct picture_module *m, struct health_report *r) {
    const struct module_view *v = &m->view;
    if (v->state == MODULE_FAILED)
        issue(r, HEALTH_BAD, v->name, "the pipeline does not run: %s", v->error);
    if (v->state == MODULE_PAUSED)
        issue(r, HEALTH_WARN, v->name, "paused by a person; the source keeps its log meanwhile");
    if (v->now.lag_us > HEALTH_LAG_US)
        issue(r, HEALTH_BAD, v->name, "%.0f seconds behind the source (limit %.0f)",
              (double)v->now.lag_us / 1e6, (double)HEALTH_LAG_US / 1e6);
    if (m->waiting)
        issue(r, HEALTH_WARN, v->name, "%" PRId64 " documents are parked and wait for a person",
              m->waiting);
}

static void check_slot(const struct picture_module *m, struct health_report *r) {
    if (!m->slot.known)
        return;
    if (strcmp(m->slot.status, "lost") == 0 || strcmp(m->slot.status, "missing") == 0)
        issue(r, HEALTH_BAD, m->view.name,
              "the source has no longer the log that is needed (slot %s is %s); copy again with "
              "banyan run %s --recopy all",
              m->stored.slot, m->slot.status, m->view.name);
    else if (strcmp(m->slot.status, "unreserved") == 0)
        issue(r, HEALTH_BAD, m->view.name,
              "the source is about to drop log that is needed (%.1f GB kept)",
              (double)m->slot.retained / 1e9);
}

static void check_collections(const struct picture_module *m, struct health_report *r) {
    for (size_t i = 0; i < m->collection_count; i++)
        if (m->collections[i].stored.phase == STATE_STOPPED)
            issue(r, HEALTH_BAD, m->view.name, "collection %s is stopped: %s",
                  m->collections[i].stored.name, m->collections[i].stored.error);
}

static void check_verification(const struct picture_verification *v, struct health_report *r) {
    if (!v->found)
        return;
    if (strcmp(v->last.outcome, "different") == 0)
        issue(r, HEALTH_BAD, v->module,
              "the last verification found %" PRId64 " documents that differ",
              v->last.different + v->last.decoder);
    else if (strcmp(v->last.outcome, "failed") == 0)
        issue(r, HEALTH_WARN, v->module, "the last verification did not come to its end: %s",
              v->last.error);
    else if (strcmp(v->last.outcome, "unsettled") == 0)
        issue(r, HEALTH_WARN, v->module,
              "the last verification left %" PRId64 " documents unsettled", v->last.unsettled);
}

static void check_gateway(const struct gateway_view *g, struct health_report *r) {
    if (g->managed && g->pid == 0)
        issue(r, HEALTH_BAD, "gateway", "nginx does not run%s%s", g->error[0] ? ": " : "",
              g->error);
    else if (g->error[0])
        issue(r, HEALTH_BAD, "gateway", "runs as it was configured before: %s", g->error);
}

/* Away alone is a matter of its machine; what counts here is that it goes on with something else
 * than what holds. */
static void check_edge(const struct edge_view *e, int64_t now_us, struct health_report *r) {
    double age = (double)(now_us - e->seen_us) / 1e6;
    if (e->away && e->confirmed)
        issue(r, HEALTH_WARN, "edges", "%s was last heard of %.0f s ago; it uses what holds",
              e->name, age);
    else if (e->away)
        issue(r, HEALTH_BAD, "edges",
              "%s was last heard of %.0f s ago and has not confirmed what holds since; its nginx "
              "goes on with what it had (gone for good: banyan edges forget %s)",
              e->name, age, e->name);
    else if (!e->nginx)
        issue(r, HEALTH_BAD, "edges", "nginx does not run on %s: %s", e->name, e->problem);
    else if (e->problem[0])
        issue(r, HEALTH_BAD, "edges", "%s: %s", e->name, e->problem);
    if (!e->same_routes)
        issue(r, HEALTH_WARN, "edges",
              "%s has other modules or routes than we: its samples are not compared", e->name);
}

/* What runs is not what the files say: it was good, and stays, but somebody believes otherwise. */
static void check_files(const struct picture *p, struct health_report *r) {
    if (p->configuration_problem[0])
        issue(r, HEALTH_WARN, "configuration", "as it was before, the file is refused: %s",
              p->configuration_problem);
    if (p->flags_problem[0])
        issue(r, HEALTH_WARN, "flags", "as they were before, the file is refused: %s",
              p->flags_problem);
}

/* Worst first; else in the order of modules. */
static void sort(struct health_report *r) {
    struct health_issue sorted[HEALTH_ISSUES_MAX];
    size_t n = 0;
    for (int severity = HEALTH_BAD; severity >= HEALTH_OK; severity--)
        for (size_t i = 0; i < r->count; i++)
            if (r->issues[i].severity == (enum health)severity)
                sorted[n++] = r->issues[i];
    memcpy(r->issues, sorted, n * sizeof *sorted);
}

void health_check(const struct picture *p, struct health_report *ret) {
    ret->worst = HEALTH_OK;
    ret->count = 0;
    for (size_t i = 0; i < p->module_count; i++) {
        check_pipeline(&p->modules[i], ret);
        check_slot(&p->modules[i], ret);
        check_collections(&p->modules[i], ret);
    }
    for (size_t i = 0; i < p->verification_count; i++)
        check_verification(&p->verifications[i], ret);
    if (p->redis_away_us)
        issue(ret, HEALTH_WARN, "redis",
              "away for %.0f s, so flags can only be switched off or lowered: %s",
              (double)(p->now_us - p->redis_away_us) / 1e6, p->redis_why);
    check_files(p, ret);
    for (size_t i = 0; i < p->edge_count; i++)
        check_edge(&p->edges[i], p->now_us, ret);
    if (p->has_gateway)
        check_gateway(&p->gateway, ret);
    sort(ret);
}

/* ---- words ---- */

static void add_age(struct buf *out, int64_t us) {
    int64_t seconds = us > 0 ? us / 1000000 : 0;
    if (seconds < 120)
        buf_printf(out, "%" PRId64 " seconds ago", seconds);
    else if (seconds < 7200)
        buf_printf(out, "%" PRId64 " minutes ago", seconds / 60);
    else if (seconds < 172800)
        buf_printf(out, "%" PRId64 " hours ago", seconds / 3600);
    else
        buf_printf(out, "%" PRId64 " days ago", seconds / 86400);
}

static void say_copying(const struct module_view *v, struct buf *out) {
    buf_printf(out, "%s is being copied", v->name);
    if (v->now.documents_expected > 0)
        buf_printf(out, ": %.0f %%",
                   100.0 * (double)v->now.documents_copied / (double)v->now.documents_expected);
}

static void say_module(const struct module_view *v, struct buf *out) {
    switch (v->state) {
    case MODULE_STARTING:
        buf_printf(out, "%s is starting", v->name);
        return;
    case MODULE_WAITING:
        buf_printf(out, "%s waits for %s", v->name, v->waiting_for);
        return;
    case MODULE_COPYING:
        say_copying(v, out);
        return;
    case MODULE_CATCHING_UP:
        buf_printf(out, "%s is copied and catches up with the log", v->name);
        return;
    case MODULE_STREAMING:
        buf_printf(out, "%s follows PostgreSQL, %.1f s behind", v->name,
                   (double)v->now.lag_us / 1e6);
        return;
    case MODULE_PAUSED:
        buf_printf(out, "%s is paused", v->name);
        return;
    case MODULE_FAILED:
        buf_printf(out, "%s does not run", v->name);
        return;
    case MODULE_STOPPED:
        buf_printf(out, "%s is stopped", v->name);
        return;
    }
}

/* Of the module, or (of the pipeline of all modules) the one that was verified longest ago; NULL:
 * never. */
static const struct picture_verification *verification_of(const struct picture *p,
                                                          const char *module) {
    const struct picture_verification *oldest = NULL;
    bool all = strcmp(module, "all") == 0;
    for (size_t i = 0; i < p->verification_count; i++) {
        const struct picture_verification *v = &p->verifications[i];
        if (!all && strcmp(v->module, module) != 0)
            continue;
        if (!v->found)
            return NULL;
        if (!oldest || v->last.finished_us < oldest->last.finished_us)
            oldest = v;
    }
    return oldest;
}

static int64_t differences_of(const struct picture *p, const char *module) {
    int64_t sum = 0;
    bool all = strcmp(module, "all") == 0;
    for (size_t i = 0; i < p->verification_count; i++)
        if (all || strcmp(p->verifications[i].module, module) == 0)
            sum += p->verifications[i].last.different + p->verifications[i].last.decoder;
    return sum;
}

static void say_verification(const struct picture *p, const char *module, struct buf *out) {
    const struct picture_verification *v = verification_of(p, module);
    if (!v) {
        buf_add_text(out, "; never verified");
        return;
    }
    buf_add_text(out, "; verified ");
    add_age(out, p->now_us - v->last.finished_us);
    buf_printf(out, ", %" PRId64 " differences", differences_of(p, module));
}

/* Not "0 %" of some, nor "100 %" of nearly all. */
static void add_share(struct buf *out, int64_t part, int64_t all) {
    double percent = 100.0 * (double)part / (double)all;
    if (part > 0 && percent < 1)
        buf_add_text(out, "Less than 1 %");
    else if (part < all && percent > 99)
        buf_add_text(out, "More than 99 %");
    else
        buf_printf(out, "%.0f %%", percent);
}

/* What was measured. */
static void say_answered(const struct picture *p, const struct route_module *m, struct buf *out) {
    const struct answered_row sum = answered_sum(&p->answered, m->name, NULL, NULL);
    int64_t all = sum.sql + sum.mongodb;
    if (all == 0)
        return;
    add_share(out, sum.mongodb, all);
    buf_printf(out, " of %s reads answered by MongoDB (of %" PRId64 " in %d minutes", m->name, all,
               ANSWERED_MINUTES);
    if (sum.rescued)
        buf_printf(out, "; PostgreSQL rescued %" PRId64 " of them", sum.rescued);
    buf_add_text(out, "). ");
}

/* Whether Banyan sees the module's reads at all. */
static bool has_reads(const struct picture *p, size_t i) {
    const struct conf_module *m = p->conf ? conf_module(p->conf, p->routing.modules[i].name) : NULL;
    return m && (m->route_count || m->operation_count);
}

static void say_reads(const struct picture *p, size_t i, struct buf *out) {
    const struct route_module *m = &p->routing.modules[i];
    static const char *const words[READS_COUNT] = {
        [READS_SHADOW] = "are answered by PostgreSQL, and a sample is asked of MongoDB too",
        [READS_FLAG] = "are answered by the side that the flag says",
        [READS_MONGODB] = "are answered by MongoDB"};
    if (words[m->reads])
        buf_printf(out, " Reads of %s %s.", m->name, words[m->reads]);
    const struct answered_row sum = answered_sum(&p->answered, m->name, NULL, NULL);
    if (has_reads(p, i) && sum.sql + sum.mongodb == 0)
        buf_printf(out, " Nobody has read %s in the last %d minutes.", m->name, ANSWERED_MINUTES);
}

static void say_way_back(const struct picture *p, struct buf *out) {
    for (size_t i = 0; i < p->routing.count; i++)
        if (p->routing.modules[i].writes == WRITES_MONGODB) {
            buf_printf(out,
                       " Way back: not by itself, %s writes to MongoDB alone and PostgreSQL lacks "
                       "what was written.",
                       p->routing.modules[i].name);
            return;
        }
    buf_add_text(out, " Way back: possible, PostgreSQL is still the source of truth.");
}

void health_words(const struct picture *p, const struct health_report *report, struct buf *out) {
    for (size_t i = 0; i < p->routing.count; i++)
        say_answered(p, &p->routing.modules[i], out);
    for (size_t i = 0; i < p->module_count; i++) {
        buf_add_text(out, i ? " " : "");
        say_module(&p->modules[i].view, out);
        say_verification(p, p->modules[i].view.name, out);
        buf_add_char(out, '.');
    }
    for (size_t i = 0; i < p->routing.count; i++)
        say_reads(p, i, out);
    if (report->count)
        buf_printf(out, " %zu %s attention.", report->count,
                   report->count == 1 ? "thing needs" : "things need");
    say_way_back(p, out);
}

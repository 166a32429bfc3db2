#include "admin/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct show_utc show_utc(int64_t wall_us) {
    struct show_utc utc = {""};
    time_t s = (time_t)(wall_us / 1000000);
    struct tm t;
    if (!gmtime_r(&s, &t))
        return utc;
    size_t n = strftime(utc.text, sizeof utc.text, "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(utc.text + n, sizeof utc.text - n, ".%03dZ", (int)(wall_us % 1000000 / 1000));
    return utc;
}

void show_time(struct json_out *j, const char *name, int64_t wall_us) {
    json_out_text(j, name, wall_us ? show_utc(wall_us).text : NULL);
}

static void show_latency(const struct apply_live *live, struct json_out *j) {
    json_out_open(j, "latency_us", '{');
    json_out_double(j, "p50", obs_histogram_percentile(&live->apply_us, 50));
    json_out_double(j, "p95", obs_histogram_percentile(&live->apply_us, 95));
    json_out_double(j, "p99", obs_histogram_percentile(&live->apply_us, 99));
    json_out_int(j, "count", (int64_t)obs_histogram_count(&live->apply_us));
    json_out_close(j, '}');
}

static void show_snapshot(const struct module_view *v, struct json_out *j) {
    int64_t left = v->now.documents_expected - v->now.documents_copied;
    json_out_open(j, "snapshot", '{');
    json_out_int(j, "copied", v->now.documents_copied);
    if (v->now.documents_expected >= 0)
        json_out_int(j, "expected", v->now.documents_expected);
    json_out_double(j, "per_second", v->copied_per_second);
    if (left > 0 && v->copied_per_second > 0)
        json_out_int(j, "eta_s", (int64_t)((double)left / v->copied_per_second));
    json_out_close(j, '}');
}

static void show_pipeline(const struct picture_module *m, struct json_out *j) {
    const struct module_view *v = &m->view;
    json_out_open(j, "pipeline", '{');
    json_out_text(j, "state", module_state_name(v->state));
    show_time(j, "since", v->since_us);
    json_out_text(j, "error", v->state == MODULE_FAILED ? v->error : NULL);
    json_out_text(j, "waiting_for", v->state == MODULE_WAITING ? v->waiting_for : NULL);
    json_out_text(j, "slot", m->has_stored ? m->stored.slot : NULL);
    json_out_text(j, "checkpoint",
                  m->has_stored && m->stored.checkpoint ? lsn_format(m->stored.checkpoint).text
                                                        : NULL);
    show_time(j, "checkpoint_time", m->has_stored ? m->stored.checkpoint_us : 0);
    json_out_text(j, "slot_status", m->slot.known ? m->slot.status : NULL);
    if (m->slot.retained >= 0)
        json_out_int(j, "slot_retained_bytes", m->slot.retained);
    json_out_int(j, "lag_bytes", v->now.lag_bytes);
    json_out_double(j, "lag_seconds", (double)v->now.lag_us / 1e6);
    json_out_open(j, "rates", '{');
    json_out_double(j, "received_per_second", v->received_per_second);
    json_out_double(j, "written_per_second", v->written_per_second);
    json_out_close(j, '}');
    json_out_int(j, "received", v->now.changes);
    json_out_int(j, "written", v->now.written);
    json_out_int(j, "deleted", v->now.deleted);
    json_out_int(j, "refreshed", v->now.refreshed);
    json_out_int(j, "retries", v->now.retries);
    json_out_int(j, "writes_per_second", v->writes_per_second);
    json_out_int(j, "parked", m->parked);
    show_snapshot(v, j);
    show_latency(m->live, j);
    json_out_close(j, '}');
}

/* The phase as one word. */
static void show_phase(struct json_out *j, enum state_phase phase) {
    char word[32];
    (void)snprintf(word, sizeof word, "%s", state_phase_name(phase));
    for (char *p = word; *p; p++)
        if (*p == ' ')
            *p = '_';
    json_out_text(j, "state", word);
}

static void show_collections(const struct picture_module *m, struct json_out *j) {
    json_out_open(j, "collections", '[');
    for (size_t i = 0; i < m->collection_count; i++) {
        const struct picture_collection *c = &m->collections[i];
        json_out_open(j, NULL, '{');
        json_out_text(j, "name", c->stored.name);
        json_out_text(j, "module", c->stored.module);
        show_phase(j, c->stored.phase);
        json_out_int(j, "documents_copied", c->stored.documents);
        json_out_int(j, "fanouts", c->fanouts.count);
        json_out_int(j, "parked", c->parked);
        json_out_text(j, "error", c->stored.error[0] ? c->stored.error : NULL);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

void show_verification(const struct picture_verification *v, bool differences, struct json_out *j,
                       const char *name) {
    json_out_open(j, name, '{');
    json_out_text(j, "module", v->module);
    json_out_text(j, "outcome", v->found ? v->last.outcome : "never");
    if (v->found) {
        json_out_text(j, "error", v->last.error[0] ? v->last.error : NULL);
        json_out_int(j, "compared", v->last.compared);
        json_out_int(j, "different", v->last.different);
        json_out_int(j, "unsettled", v->last.unsettled);
        json_out_int(j, "decoder", v->last.decoder);
        json_out_int(j, "not_ready", v->last.not_ready);
        show_time(j, "started", v->last.started_us);
        show_time(j, "finished", v->last.finished_us);
    }
    if (v->found && differences)
        json_out_raw(j, "differences", span_of(v->last.differences));
    json_out_close(j, '}');
}

static void show_verifying(const struct module_view *v, struct json_out *j) {
    json_out_open(j, "verifying", '{');
    json_out_bool(j, "running", v->verifying);
    if (v->verifying) {
        json_out_text(j, "stage", v->verify_stage);
        json_out_text(j, "collection", v->verify_collection);
        json_out_int(j, "done", v->verify_done);
        if (v->verify_expected >= 0)
            json_out_int(j, "expected", v->verify_expected);
    }
    json_out_close(j, '}');
}

/* Of the pipeline "all": every module's; else its own. */
static void show_verifications(const struct picture *p, const struct picture_module *m,
                               struct json_out *j) {
    json_out_open(j, "verifications", '[');
    for (size_t i = 0; i < p->verification_count; i++)
        if (strcmp(m->view.name, "all") == 0 ||
            strcmp(m->view.name, p->verifications[i].module) == 0)
            show_verification(&p->verifications[i], false, j, NULL);
    json_out_close(j, ']');
}

void show_module(const struct picture *p, const struct picture_module *m, struct json_out *j) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", m->view.name);
    json_out_text(j, "phase", NULL); /* until modules have phases */
    show_pipeline(m, j);
    show_collections(m, j);
    show_verifying(&m->view, j);
    show_verifications(p, m, j);
    json_out_close(j, '}');
}

static void show_issues(const struct health_report *report, struct json_out *j) {
    json_out_open(j, "issues", '[');
    for (size_t i = 0; i < report->count; i++) {
        json_out_open(j, NULL, '{');
        json_out_text(j, "severity", health_name(report->issues[i].severity));
        json_out_text(j, "module", report->issues[i].module);
        json_out_text(j, "words", report->issues[i].words);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

void show_health(const struct health_report *report, struct json_out *j) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "status", health_name(report->worst));
    show_issues(report, j);
    json_out_close(j, '}');
}

void show_status(const struct picture *p, const struct health_report *report, struct json_out *j) {
    _cleanup_(buf_release) struct buf words = {.max = 64 * 1024};
    health_words(p, report, &words);
    json_out_open(j, NULL, '{');
    json_out_text(j, "version", BANYAN_VERSION);
    show_time(j, "now", p->now_us);
    json_out_int(j, "uptime_s", (p->now_us - p->started_us) / 1000000);
    json_out_open(j, "summary", '{');
    json_out_text(j, "words", buf_text(&words));
    json_out_text(j, "severity", health_name(report->worst));
    json_out_close(j, '}');
    show_issues(report, j);
    json_out_open(j, "modules", '[');
    for (size_t i = 0; i < p->module_count; i++)
        show_module(p, &p->modules[i], j);
    json_out_close(j, ']');
    edges_show_list(p->edges, p->edge_count, p->now_us, j, "edges");
    json_out_close(j, '}');
}

#include "admin/collect.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* ---- the process ---- */

static double status_kb(const char *name) {
    char line[256];
    double value = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            (void)sscanf(line + strlen(name), " %lf", &value);
    if (f)
        (void)fclose(f);
    return value;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void collect_process(int64_t started_us, struct obs_page *page) {
    struct rusage usage;
    obs_sample(page, METRIC_BUILD_INFO, 1, BANYAN_VERSION);
    obs_sample(page, METRIC_PROCESS_START, (double)started_us / 1e6);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        obs_sample(page, METRIC_PROCESS_CPU, seconds(usage.ru_utime) + seconds(usage.ru_stime));
    obs_sample(page, METRIC_PROCESS_RESIDENT, status_kb("VmRSS:") * 1024);
    obs_sample(page, METRIC_PROCESS_PEAK, status_kb("VmHWM:") * 1024);
}

/* ---- modules ---- */

static void collect_state(const struct module_view *v, struct obs_page *page) {
    for (int state = MODULE_STARTING; state <= MODULE_STOPPED; state++)
        obs_sample(page, METRIC_PIPELINE_STATE, v->state == (enum module_state)state, v->name,
                   module_state_name((enum module_state)state));
}

/* What does not run applies nothing, however little it was behind when it ended. */
static double lag_seconds(const struct picture *p, const struct picture_module *m) {
    const struct module_view *v = &m->view;
    bool runs = v->state == MODULE_COPYING || v->state == MODULE_CATCHING_UP ||
                v->state == MODULE_STREAMING;
    if (runs || !m->has_stored || m->stored.checkpoint_us == 0)
        return (double)v->now.lag_us / 1e6;
    return (double)(p->now_us - m->stored.checkpoint_us) / 1e6;
}

static void collect_progress(const struct module_view *v, struct obs_page *page) {
    const struct pipeline_progress *now = &v->now;
    obs_sample(page, METRIC_CHANGES_RECEIVED, now->changes, v->name);
    obs_sample(page, METRIC_CHANGES_APPLIED, now->applied, v->name);
    obs_sample(page, METRIC_LAG_CHANGES, now->changes - now->applied, v->name);
    obs_sample(page, METRIC_LAG_BYTES, now->lag_bytes, v->name);
    obs_sample(page, METRIC_DOCUMENTS_WRITTEN, now->written, v->name, "", "written");
    obs_sample(page, METRIC_DOCUMENTS_WRITTEN, now->deleted, v->name, "", "deleted");
    obs_sample(page, METRIC_DOCUMENTS_WRITTEN, now->refreshed, v->name, "", "refreshed");
    obs_sample(page, METRIC_RETRIES, now->retries, v->name);
    obs_sample(page, METRIC_WRITES_LIMIT, v->writes_per_second, v->name);
    if (now->queue_room)
        obs_sample(page, METRIC_QUEUE_FILL, (double)now->queued / (double)now->queue_room, v->name);
    if (now->stage == PIPELINE_COPYING && now->documents_expected >= 0)
        obs_sample(page, METRIC_SNAPSHOT_EXPECTED, now->documents_expected, v->name);
    obs_sample(page, METRIC_VERIFICATION_RUNNING, v->verifying, v->name);
    obs_sample(page, METRIC_VERIFICATION_COMPARED, v->verified_compared, v->name);
    obs_sample(page, METRIC_VERIFICATION_DIFFERENT, v->verified_different, v->name);
    obs_sample(page, METRIC_VERIFICATION_UNSETTLED, v->verified_unsettled, v->name);
    for (int i = 1; i < MODULE_FAILURES; i++)
        if (v->failures[i] > 0 || i == -ERR_UNREACHABLE)
            obs_sample(page, METRIC_ERRORS, v->failures[i], v->name, err_code_name(-i));
}

static void collect_collections(const struct picture_module *m, struct obs_page *page) {
    int64_t phases[STATE_STOPPED + 1] = {0}, copied = 0;
    for (size_t i = 0; i < m->collection_count; i++) {
        const struct picture_collection *c = &m->collections[i];
        phases[c->stored.phase]++;
        copied += c->stored.documents;
        obs_sample(page, METRIC_PARKED, c->waiting, m->view.name, c->stored.name);
        obs_sample(page, METRIC_FANOUTS_WAITING, c->fanouts.count, m->view.name, c->stored.name);
    }
    /* By the chunks that are done, in all runs; while copying the run knows better. */
    const struct pipeline_progress *now = &m->view.now;
    bool copying = now->stage == PIPELINE_COPYING && now->documents_copied > copied;
    obs_sample(page, METRIC_SNAPSHOT_COPIED, copying ? now->documents_copied : copied,
               m->view.name);
    for (int phase = STATE_NEW; phase <= STATE_STOPPED; phase++)
        obs_sample(page, METRIC_COLLECTIONS, phases[phase], m->view.name,
                   state_phase_name((enum state_phase)phase));
}

static void collect_slot(const struct picture_module *m, struct obs_page *page) {
    static const char *const states[] = {"reserved", "extended", "unreserved", "lost", "missing"};
    if (!m->slot.known)
        return;
    if (m->slot.retained >= 0)
        obs_sample(page, METRIC_SLOT_RETAINED, m->slot.retained, m->view.name);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        obs_sample(page, METRIC_SLOT_STATE, strcmp(m->slot.status, states[i]) == 0, m->view.name,
                   states[i]);
}

static void collect_module(const struct picture *p, const struct picture_module *m,
                           struct obs_page *page) {
    collect_state(&m->view, page);
    collect_progress(&m->view, page);
    obs_sample(page, METRIC_LAG_SECONDS, lag_seconds(p, m), m->view.name);
    collect_collections(m, page);
    collect_slot(m, page);
    obs_sample_histogram(page, METRIC_APPLY_LATENCY, &m->live->apply_us, m->view.name);
    obs_sample_histogram(page, METRIC_BATCH_OPERATIONS, &m->live->batch_operations, m->view.name);
    if (!m->has_stored)
        return;
    obs_sample(page, METRIC_CHECKPOINT_POSITION, m->stored.checkpoint, m->view.name);
    obs_sample(page, METRIC_CHECKPOINT_AGE, (double)(p->now_us - m->stored.checkpoint_us) / 1e6,
               m->view.name);
}

void collect_picture(const struct picture *p, struct obs_page *page) {
    collect_process(p->started_us, page);
    for (size_t i = 0; i < p->module_count; i++)
        collect_module(p, &p->modules[i], page);
    for (size_t i = 0; i < p->verification_count; i++) {
        const struct picture_verification *v = &p->verifications[i];
        if (!v->found)
            continue;
        obs_sample(page, METRIC_VERIFICATION_LAST_DIFFERENT, v->last.different + v->last.decoder,
                   v->module);
        obs_sample(page, METRIC_VERIFICATION_AGE, (double)(p->now_us - v->last.finished_us) / 1e6,
                   v->module);
    }
}

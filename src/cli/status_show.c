/* The two forms of `banyan status`. Pure. */
#include "cli/render.h"
#include "cli/status.h"

#include <inttypes.h>
#include <string.h>

int64_t status_lag(const struct status *s, const struct state_pipeline *p) {
    if (!s->reachable || p->slot_state != STATE_SLOT_CREATED ||
        strcmp(s->system_id, p->system_id) != 0)
        return -1;
    return s->source_end > p->checkpoint ? (int64_t)(s->source_end - p->checkpoint) : 0;
}

void status_next_step(const struct state_collection *c, struct buf *out) {
    buf_printf(out, "mend the cause, then banyan run %s --recopy %s", c->pipeline, c->name);
}

/* ---- text ---- */

static bool is_copied(const struct state_collection *c) {
    return c->phase == STATE_CATCHING_UP || c->phase == STATE_STREAMING;
}

static void add_collection(struct buf *out, const struct status_collection *c, int width) {
    const struct state_collection *stored = &c->stored;
    buf_printf(out, "  %-*s  %-11s  %" PRId64 " documents copied", width, stored->name,
               state_phase_name(stored->phase), stored->documents);
    if (!is_copied(stored) && c->estimated >= 0)
        buf_printf(out, " of about %" PRId64, c->estimated);
    if (stored->phase == STATE_CATCHING_UP)
        buf_printf(out, ", until %s", lsn_format(stored->catch_up_lsn).text);
    buf_add_char(out, '\n');
    if (c->fanouts.count)
        buf_printf(out,
                   "    %" PRId64 " changes of many documents go on in the background, %" PRId64
                   " documents read again so far\n",
                   c->fanouts.count, c->fanouts.documents);
    if (stored->phase != STATE_STOPPED) {
        if (stored->error[0]) {
            buf_add_text(out, "    ");
            render_clean(out, stored->error);
            buf_add_char(out, '\n');
        }
        return;
    }
    buf_add_text(out, "    stopped");
    if (stored->error_lsn)
        buf_printf(out, " at %s", lsn_format(stored->error_lsn).text);
    buf_add_text(out, ": ");
    render_clean(out, stored->error);
    buf_add_text(out, "\n    next: ");
    status_next_step(stored, out);
    buf_add_char(out, '\n');
}

static void add_position(struct buf *out, const struct status *s, const struct state_pipeline *p) {
    if (p->slot_state != STATE_SLOT_CREATED) {
        buf_printf(out, "  slot %s: not made yet\n", p->slot);
        return;
    }
    buf_printf(out, "  slot %s, checkpoint %s of ", p->slot, lsn_format(p->checkpoint).text);
    render_time(out, p->checkpoint_us);
    buf_add_text(out, " (");
    render_age(out, s->now_us - p->checkpoint_us);
    buf_add_text(out, " ago)");
    int64_t lag = status_lag(s, p);
    if (lag >= 0)
        buf_printf(out, ", %.1f MB of log (%" PRId64 " bytes) behind the source", (double)lag / 1e6,
                   lag);
    else if (s->reachable)
        buf_printf(out, "; the source is another cluster (system identifier %s, not %s)",
                   s->system_id, p->system_id);
    buf_add_char(out, '\n');
}

static void add_pipeline(struct buf *out, const struct status *s, const struct status_pipeline *p) {
    const struct state_counters *n = &p->stored.counters;
    int width = 10;
    buf_printf(out, "pipeline %s: %s", p->stored.name, p->running ? "running, " : "not running");
    render_clean(out, p->running ? p->holder : "");
    buf_add_char(out, '\n');
    add_position(out, s, &p->stored);
    buf_printf(out,
               "  %" PRId64 " changes received, %" PRId64 " documents written, %" PRId64
               " deleted, %" PRId64 " read again\n",
               n->received, n->written, n->deleted, n->refreshed);
    if (p->requests)
        buf_printf(out, "  %" PRId64 " requests wait%s\n", p->requests,
                   p->running ? "" : " for a run");
    for (size_t i = 0; i < p->collection_count; i++) {
        int len = (int)strlen(p->collections[i].stored.name);
        width = len > width ? len : width;
    }
    for (size_t i = 0; i < p->collection_count; i++)
        add_collection(out, &p->collections[i], width);
}

void status_text(const struct status *s, struct buf *out) {
    if (s->pipeline_count) {
        if (s->reachable) {
            buf_printf(out, "source: at %s\n", lsn_format(s->source_end).text);
        } else {
            buf_add_text(out, "source: unreachable, so lag is unknown: ");
            render_clean(out, s->problem);
            buf_add_char(out, '\n');
        }
    } else {
        buf_printf(out, "nothing has run yet (state file %s)\n", s->state_path);
    }
    for (size_t i = 0; i < s->pipeline_count; i++)
        add_pipeline(out, s, &s->pipelines[i]);
    for (size_t i = 0; i < s->not_started_count; i++)
        buf_printf(out, "module %s: not started; banyan run %s starts it\n", s->not_started[i],
                   s->not_started[i]);
    for (size_t i = 0; i < s->edge_count; i++) {
        buf_printf(out, "edge %s: heard of about ", s->edges[i].name);
        render_age(out, s->now_us - s->edges[i].seen_us);
        buf_add_text(out, " ago; banyan edges list asks the daemon\n");
    }
    if (s->parked)
        buf_printf(out, "%" PRId64 " parked changes; banyan parked list shows them\n", s->parked);
}

/* ---- JSON ---- */

static void time_json(struct json_out *j, const char *name, int64_t wall_us) {
    _cleanup_(buf_release) struct buf text = {.max = 64};
    render_time(&text, wall_us);
    json_out_text(j, name, wall_us ? buf_text(&text) : NULL);
}

static void lsn_json(struct json_out *j, const char *name, lsn_t lsn) {
    json_out_text(j, name, lsn ? lsn_format(lsn).text : NULL);
}

static void collection_json(struct json_out *j, const struct status_collection *c) {
    const struct state_collection *stored = &c->stored;
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", stored->name);
    json_out_text(j, "module", stored->module);
    json_out_text(j, "phase", state_phase_name(stored->phase));
    time_json(j, "phase_time", stored->changed_us);
    json_out_int(j, "documents_copied", stored->documents);
    if (c->estimated >= 0)
        json_out_int(j, "documents_estimated", c->estimated);
    if (stored->phase == STATE_CATCHING_UP)
        lsn_json(j, "catch_up_lsn", stored->catch_up_lsn);
    json_out_int(j, "fanouts", c->fanouts.count);
    json_out_int(j, "fanout_documents", c->fanouts.documents);
    if (stored->phase != STATE_STOPPED && stored->error[0])
        json_out_text(j, "error", stored->error);
    if (stored->phase == STATE_STOPPED) {
        _cleanup_(buf_release) struct buf next = {.max = 4 * STATE_NAME_MAX};
        status_next_step(stored, &next);
        json_out_text(j, "error", stored->error);
        lsn_json(j, "error_lsn", stored->error_lsn);
        json_out_text(j, "next", buf_text(&next));
    }
    json_out_close(j, '}');
}

static void pipeline_json(struct json_out *j, const struct status *s,
                          const struct status_pipeline *p) {
    static const char *const slot_states[] = {"none", "intent", "created"};
    const struct state_counters *n = &p->stored.counters;
    int64_t lag = status_lag(s, &p->stored);
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", p->stored.name);
    json_out_text(j, "slot", p->stored.slot);
    json_out_text(j, "slot_state", slot_states[p->stored.slot_state]);
    json_out_text(j, "publication", p->stored.publication);
    json_out_bool(j, "running", p->running);
    json_out_text(j, "holder", p->holder);
    lsn_json(j, "checkpoint", p->stored.checkpoint);
    time_json(j, "checkpoint_time", p->stored.checkpoint_us);
    json_out_bool(j, "source_reachable", s->reachable);
    if (lag >= 0)
        json_out_int(j, "lag_bytes", lag);
    json_out_int(j, "requests", p->requests);
    json_out_int(j, "changes", n->received);
    json_out_int(j, "written", n->written);
    json_out_int(j, "deleted", n->deleted);
    json_out_int(j, "refreshed", n->refreshed);
    json_out_open(j, "collections", '[');
    for (size_t i = 0; i < p->collection_count; i++)
        collection_json(j, &p->collections[i]);
    json_out_close(j, ']');
    json_out_close(j, '}');
}

void status_json(const struct status *s, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "state", s->state_path);
    json_out_open(&j, "source", '{');
    json_out_bool(&j, "reachable", s->reachable);
    if (s->reachable) {
        lsn_json(&j, "lsn", s->source_end);
        json_out_text(&j, "system_identifier", s->system_id);
    } else if (s->problem[0]) {
        json_out_text(&j, "error", s->problem);
    }
    json_out_close(&j, '}');
    json_out_open(&j, "pipelines", '[');
    for (size_t i = 0; i < s->pipeline_count; i++)
        pipeline_json(&j, s, &s->pipelines[i]);
    json_out_close(&j, ']');
    json_out_open(&j, "not_started", '[');
    for (size_t i = 0; i < s->not_started_count; i++)
        json_out_text(&j, NULL, s->not_started[i]);
    json_out_close(&j, ']');
    json_out_open(&j, "edges", '[');
    for (size_t i = 0; i < s->edge_count; i++) {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "name", s->edges[i].name);
        time_json(&j, "heard", s->edges[i].seen_us);
        json_out_close(&j, '}');
    }
    json_out_close(&j, ']');
    json_out_int(&j, "parked", s->parked);
    json_out_close(&j, '}');
    json_out_end(&j);
}

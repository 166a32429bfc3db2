/* Where everything stands: from the state file, and the log's end where the source answers. */
#include "base/json_text.h"
#include "cli/cli.h"
#include "db/pg.h"
#include "state/lock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct view {
    struct cli *cli;
    struct state *state;
    struct state_pipeline *pipelines;
    size_t pipeline_count;
    bool reachable;
    lsn_t source_end;
    char unreachable[ERR_TEXT_MAX];
};

/* Best effort: the state file says where we are even when the source is away. */
static void ask_source(struct view *v) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct err err = {0};
    int rc = pg_connect(v->cli->conf->source.uri, PG_SQL, "banyan status", &pg, &err);
    if (rc == 0)
        rc = pg_exec(pg, "SELECT pg_catalog.pg_current_wal_lsn()", &r, &err);
    v->reachable = rc == 0 && lsn_parse(pg_value(r, 0, 0), &v->source_end);
    memcpy(v->unreachable, err.text, sizeof v->unreachable);
}

static int64_t lag(const struct view *v, const struct state_pipeline *p) {
    return v->source_end > p->checkpoint ? (int64_t)(v->source_end - p->checkpoint) : 0;
}

/* ---- text ---- */

static void add_collection(struct buf *out, const struct state_collection *c) {
    buf_printf(out, "  %-32s %-12s %" PRId64 " documents copied\n", c->name,
               state_phase_name(c->phase), c->documents);
    if (c->phase == STATE_STOPPED)
        buf_printf(out, "    %s\n    next: mend the cause, then banyan run %s --recopy %s\n",
                   c->error, c->pipeline, c->name);
}

static void add_pipeline(struct buf *out, const struct view *v, const struct state_pipeline *p,
                         const char *holder) {
    buf_printf(out, "pipeline %s (slot %s)\n", p->name, p->slot);
    buf_printf(out, "  %s\n", holder[0] ? holder : "not running");
    buf_printf(out, "  checkpoint %s", lsn_format(p->checkpoint).text);
    if (v->reachable)
        buf_printf(out, ", %.1f MB of log behind the source", (double)lag(v, p) / 1e6);
    else
        buf_printf(out, "; %s", v->unreachable);
    buf_printf(out,
               "\n  %" PRId64 " changes received, %" PRId64 " documents written, %" PRId64
               " deleted, %" PRId64 " read again\n",
               p->counters.received, p->counters.written, p->counters.deleted,
               p->counters.refreshed);
}

/* ---- JSON ---- */

static void add_string(struct buf *out, const char *name, const char *text) {
    buf_printf(out, "\"%s\":", name);
    json_text_string(out, span_of(text));
}

static void add_collection_json(struct buf *out, const struct state_collection *c) {
    buf_add_char(out, '{');
    add_string(out, "name", c->name);
    buf_add_char(out, ',');
    add_string(out, "module", c->module);
    buf_add_char(out, ',');
    add_string(out, "phase", state_phase_name(c->phase));
    buf_printf(out, ",\"documents_copied\":%" PRId64, c->documents);
    if (c->phase == STATE_STOPPED) {
        buf_add_char(out, ',');
        add_string(out, "error", c->error);
    }
    buf_add_char(out, '}');
}

static void add_pipeline_json(struct buf *out, const struct view *v, const struct state_pipeline *p,
                              const char *holder, int64_t requests) {
    add_string(out, "name", p->name);
    buf_add_char(out, ',');
    add_string(out, "slot", p->slot);
    buf_printf(out, ",\"running\":%s,", holder[0] ? "true" : "false");
    add_string(out, "holder", holder);
    buf_printf(out, ",\"checkpoint\":\"%s\",\"source_reachable\":%s",
               lsn_format(p->checkpoint).text, v->reachable ? "true" : "false");
    if (v->reachable)
        buf_printf(out, ",\"lag_bytes\":%" PRId64, lag(v, p));
    buf_printf(out,
               ",\"requests\":%" PRId64 ",\"changes\":%" PRId64 ",\"written\":%" PRId64
               ",\"deleted\":%" PRId64 ",\"refreshed\":%" PRId64,
               requests, p->counters.received, p->counters.written, p->counters.deleted,
               p->counters.refreshed);
}

/* ---- the command ---- */

static int show_pipeline(struct view *v, const struct state_pipeline *p, bool first,
                         struct buf *out, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    char holder[256];
    bool held;
    int64_t requests = 0;
    int rc = state_lock_peek(v->cli->state_path, p->name, &held, holder, err);
    if (rc == 0)
        rc = state_request_count(v->state, p->name, &requests, err);
    if (rc == 0)
        rc = state_collection_list(v->state, p->name, &list, &count, err);
    if (rc < 0)
        return rc;
    if (v->cli->json) {
        buf_add_text(out, first ? "{" : ",{");
        add_pipeline_json(out, v, p, holder, requests);
        buf_add_text(out, ",\"collections\":[");
    } else {
        add_pipeline(out, v, p, holder);
    }
    for (size_t i = 0; i < count; i++) {
        if (v->cli->json && i)
            buf_add_char(out, ',');
        (v->cli->json ? add_collection_json : add_collection)(out, &list[i]);
    }
    if (v->cli->json)
        buf_add_text(out, "]}");
    free(list);
    return 0;
}

static int show(struct view *v, const char *module, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 64 * 1024 * 1024};
    size_t shown = 0;
    int rc = 0;
    buf_add_text(&out, v->cli->json ? "{\"pipelines\":[" : "");
    for (size_t i = 0; rc == 0 && i < v->pipeline_count; i++) {
        const char *name = v->pipelines[i].name;
        if (module && strcmp(module, "all") != 0 && strcmp(name, module) != 0 &&
            strcmp(name, "all") != 0)
            continue;
        rc = show_pipeline(v, &v->pipelines[i], shown++ == 0, &out, err);
    }
    if (rc < 0)
        return rc;
    if (v->cli->json)
        buf_add_text(&out, "]}\n");
    else if (shown == 0)
        buf_add_text(&out, "nothing has run yet\n");
    return cli_print(&out, err);
}

int cmd_status(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc > 1)
        return err_set(err, ERR_USAGE, "status takes one module at most");
    int rc = argc ? cli_check_module(cli, argv[0], err) : 0;
    if (rc < 0)
        return rc;
    _cleanup_(state_freep) struct state *state = NULL;
    struct view v = {.cli = cli};
    rc = state_open_existing(cli->state_path, &state, err);
    v.state = state;
    if (rc == 0 && state)
        rc = state_pipeline_list(state, &v.pipelines, &v.pipeline_count, err);
    if (rc < 0)
        return rc;
    if (v.pipeline_count)
        ask_source(&v);
    rc = show(&v, argc ? argv[0] : NULL, err);
    free(v.pipelines);
    return rc;
}

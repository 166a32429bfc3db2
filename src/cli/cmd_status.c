/* Where everything stands: from the state file, and the log's end where the source answers. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/status.h"
#include "db/pg.h"

#include <string.h>

/* ---- from the source: best effort, the state file says where we are even when it is away ---- */

static const char end_sql[] = "SELECT pg_catalog.pg_current_wal_lsn(), "
                              "(SELECT system_identifier FROM pg_catalog.pg_control_system())";

static const char rows_sql[] =
    "SELECT CASE WHEN c.relkind = 'p' THEN "
    "  (SELECT coalesce(sum(l.reltuples) FILTER (WHERE l.reltuples > 0), 0) "
    "   FROM pg_catalog.pg_partition_tree(c.oid) t "
    "   JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf) "
    "  WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples END::bigint "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2";

static const struct conf_table *find_table(const struct conf *conf, const char *collection) {
    for (size_t m = 0; m < conf->module_count; m++)
        for (size_t i = 0; i < conf->modules[m].collection_count; i++)
            if (strcmp(conf->modules[m].collections[i].name.text, collection) == 0)
                return &conf->modules[m].collections[i].table;
    return NULL;
}

static int64_t to_number(struct span s) {
    int64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s.ptr[i] - '0', &v))
            return -1;
    return s.len ? v : -1;
}

static int estimate(struct pg *pg, const struct conf_table *table, int64_t *ret_rows,
                    struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    const struct span names[] = {span_of(table->schema), span_of(table->name)};
    int rc = pg_query(pg, rows_sql, 2, names, &r, err);
    if (rc == 0 && pg_rows(r) == 1)
        *ret_rows = to_number(pg_value(r, 0, 0));
    return rc;
}

static int ask_end(struct status *s, struct pg *pg, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(pg, end_sql, &r, err);
    if (rc < 0)
        return rc;
    struct span id = pg_rows(r) == 1 ? pg_value(r, 0, 1) : (struct span){0};
    if (id.len == 0 || id.len >= sizeof s->system_id ||
        !lsn_parse(pg_value(r, 0, 0), &s->source_end))
        return err_set(err, ERR_WIRE, "the source does not say where its log ends");
    memcpy(s->system_id, id.ptr, id.len);
    return 0;
}

static void ask_source(struct status *s, const struct conf *conf) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    struct err err = {0};
    int rc = pg_connect(conf->source.uri, PG_SQL, "banyan status", &pg, &err);
    if (rc == 0)
        rc = ask_end(s, pg, &err);
    for (size_t i = 0; rc == 0 && i < s->pipeline_count; i++)
        for (size_t k = 0; rc == 0 && k < s->pipelines[i].collection_count; k++) {
            struct status_collection *c = &s->pipelines[i].collections[k];
            const struct conf_table *table = find_table(conf, c->stored.name);
            if (table)
                rc = estimate(pg, table, &c->estimated, &err);
        }
    s->reachable = rc == 0;
    memcpy(s->problem, err.text, sizeof s->problem);
}

/* ---- from the state file ---- */

/* Of the pipeline `all` only the module's collections are shown. */
static int load_collections(struct state *state, const char *module, struct status_pipeline *p,
                            struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(state, p->stored.name, &list, &count, err);
    if (rc < 0)
        return rc;
    p->collections = mem_zalloc(count, sizeof *p->collections);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct status_collection *c = &p->collections[p->collection_count];
        if (module && strcmp(list[i].module, module) != 0)
            continue;
        *c = (struct status_collection){.stored = list[i], .estimated = -1};
        p->collection_count++;
        rc = state_fanouts_left(state, p->stored.name, list[i].name, &c->fanouts, err);
    }
    free(list);
    return rc;
}

static int load_pipeline(struct state *state, const char *path, const char *module,
                         const struct state_pipeline *stored, struct status_pipeline *p,
                         struct err *err) {
    p->stored = *stored;
    int rc = state_lock_peek(path, stored->name, &p->running, p->holder, err);
    if (rc == 0)
        rc = state_request_count(state, stored->name, &p->requests, err);
    return rc < 0 ? rc : load_collections(state, module, p, err);
}

static int count_parked(struct state *state, struct status *s, struct err *err) {
    struct state_parked *list = NULL;
    size_t count = 0;
    int rc = state_parked_list(state, NULL, 0, SIZE_MAX, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        s->waiting += !list[i].deferred;
        state_parked_clear(&list[i]);
    }
    free(list);
    s->parked = (int64_t)count;
    return rc;
}

/* `module` NULL: all of them. A pipeline is shown if it is the module's own or holds a part of it.
 */
static int load(struct status *s, struct state *state, const char *module, struct err *err) {
    struct state_pipeline *list = NULL;
    size_t count = 0;
    int rc = count_parked(state, s, err);
    if (rc == 0)
        rc = state_edge_list(state, &s->edges, &s->edge_count, err);
    if (rc == 0)
        rc = state_pipeline_list(state, &list, &count, err);
    if (rc < 0)
        return rc;
    s->pipelines = mem_zalloc(count, sizeof *s->pipelines);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct status_pipeline *p = &s->pipelines[s->pipeline_count++];
        rc = load_pipeline(state, s->state_path, module, &list[i], p, err);
        if (rc == 0 && module && p->collection_count == 0 && strcmp(list[i].name, module) != 0) {
            free(p->collections);
            *p = (struct status_pipeline){0};
            s->pipeline_count--;
        }
    }
    free(list);
    return rc;
}

static bool is_started(const struct status *s, const char *module) {
    for (size_t i = 0; i < s->pipeline_count; i++) {
        if (strcmp(s->pipelines[i].stored.name, module) == 0)
            return true;
        for (size_t k = 0; k < s->pipelines[i].collection_count; k++)
            if (strcmp(s->pipelines[i].collections[k].stored.module, module) == 0)
                return true;
    }
    return false;
}

static void list_not_started(struct status *s, const struct conf *conf, const char *module) {
    s->not_started = mem_zalloc(conf->module_count, sizeof *s->not_started);
    for (size_t i = 0; i < conf->module_count; i++) {
        const char *name = conf->modules[i].name.text;
        if ((!module || strcmp(name, module) == 0) && !is_started(s, name))
            s->not_started[s->not_started_count++] = name;
    }
}

static void status_release(struct status *s) {
    for (size_t i = 0; i < s->pipeline_count; i++)
        free(s->pipelines[i].collections);
    free(s->pipelines);
    free(s->not_started);
    free(s->edges);
}

/* ---- the command ---- */

struct given {
    bool health;
};

static const struct given defaults = {0};

static const struct option_spec options[] = {
    {"--health", NULL, OPTION_FLAG, NULL, offsetof(struct given, health),
     "only what is not as it should be; exit code 1 if anything"},
    OPTIONS_END};

const struct option_set cmd_status_options = {options, &defaults, sizeof defaults};

int cmd_status(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc > 1)
        return err_set(err, ERR_USAGE, "status takes one module at most, so '%s' is wrong",
                       argv[1]);
    int rc = argc ? cli_check_module(cli, argv[0], err) : 0;
    if (rc < 0)
        return rc;
    const char *module = argc && strcmp(argv[0], "all") != 0 ? argv[0] : NULL;
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 64 * 1024 * 1024};
    _cleanup_(status_release) struct status s = {.state_path = cli->state_path,
                                                 .now_us = clock_wall_us()};
    rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0 && state)
        rc = load(&s, state, module, err);
    if (rc < 0)
        return rc;
    if (s.pipeline_count)
        ask_source(&s, cli->conf);
    list_not_started(&s, cli->conf, module);
    const struct given *given = cli->given;
    int64_t issues = 0;
    if (given->health)
        issues = status_health(&s, cli->json, &out);
    else
        (cli->json ? status_json : status_text)(&s, &out);
    rc = cli_print(&out, err);
    return rc == 0 && issues ? err_set(err, ERR_NO, "%lld things need attention", (long long)issues)
                             : rc;
}

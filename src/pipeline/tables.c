#include "pipeline/tables.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

static bool reads(const struct plan_collection *c, const struct pg_table *table) {
    for (size_t n = 0; n < c->node_count; n++)
        if (c->nodes[n]->table->oid == table->oid)
            return true;
    return false;
}

typedef bool (*is_concerned_fn)(const struct run *run, size_t collection, const void *context);

static int stop_readers(struct run *run, const struct pg_table *table, const char *what,
                        is_concerned_fn is_concerned, const void *context, struct err *err) {
    char reason[ERR_TEXT_MAX];
    (void)snprintf(reason, sizeof reason, "table %s.%s %s: its changes are not in the log",
                   table->schema, table->name, what);
    for (size_t c = 0; c < run->plan->collection_count; c++) {
        if (!reads(run->plan->collections[c], table) || !is_concerned(run, c, context))
            continue;
        int rc = control_stop_collection(run, c, run->confirmed, reason, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- before it runs ---- */

struct stored {
    struct state_collection *list;
    size_t count;
};

/* Copied, wholly or in part, and to be gone on with. */
static bool is_continued(const struct run *run, size_t c, const void *context) {
    const struct stored *stored = context;
    const char *name = run->plan->collections[c]->name;
    const char *again = run->options->recopy;
    if (again && (strcmp(again, "all") == 0 || strcmp(again, name) == 0))
        return false;
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->list[i].name, name) == 0)
            return stored->list[i].phase != STATE_NEW && stored->list[i].phase != STATE_STOPPED;
    return false;
}

static bool is_listed(const struct pg_result *r, const struct pg_table *table) {
    char oid[16];
    (void)snprintf(oid, sizeof oid, "%" PRIu32, table->oid);
    for (size_t i = 0; i < pg_rows(r); i++)
        if (span_is(pg_value(r, i, 0), oid))
            return true;
    return false;
}

int tables_check_published(struct run *run, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *there = NULL;
    _cleanup_(pg_result_freep) struct pg_result *tables = NULL;
    struct span params[] = {span_of(run->publication)};
    struct stored stored = {0};
    int rc = pg_query(run->pg, "SELECT oid FROM pg_catalog.pg_publication WHERE pubname = $1", 1,
                      params, &there, err);
    if (rc < 0 || pg_rows(there) == 0)
        return rc; /* it is made */
    rc = pg_query(run->pg,
                  "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r "
                  "JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1",
                  1, params, &tables, err);
    if (rc == 0)
        rc = state_collection_list(run->state, run->name, &stored.list, &stored.count, err);
    for (size_t i = 0; rc == 0 && i < run->plan->use_count; i++)
        if (!is_listed(tables, run->plan->uses[i].table))
            rc = stop_readers(run, run->plan->uses[i].table,
                              "was dropped or made again, or taken out of the publication",
                              is_continued, &stored, err);
    free(stored.list);
    return rc;
}

/* ---- while it runs ---- */

static bool is_running(const struct run *run, size_t c, const void *context) {
    (void)context;
    return run->collections[c].phase != STATE_STOPPED;
}

/* By names in the catalogue, which asks for no right on a schema. */
static void ask_names(struct buf *sql, const struct plan *plan) {
    buf_add_text(sql, "SELECT t.id FROM (VALUES ");
    for (size_t i = 0; i < plan->use_count; i++) {
        const struct pg_table *t = plan->uses[i].table;
        buf_printf(sql, "%s(%" PRIu32 "::oid, ", i ? ", " : "", t->oid);
        pg_add_literal(sql, span_of(t->schema));
        buf_add_text(sql, ", ");
        pg_add_literal(sql, span_of(t->name));
        buf_add_char(sql, ')');
    }
    buf_add_text(sql, ") t(id, schema, name) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c "
                      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                      "WHERE c.oid = t.id AND c.relname = t.name AND n.nspname = t.schema)");
}

int tables_check_names(struct run *run, void *context, struct err *err) {
    (void)context;
    _cleanup_(buf_release) struct buf sql = {.max = 4 * 1024 * 1024};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    ask_names(&sql, run->plan);
    int rc = pg_exec(run->pg, buf_text(&sql), &r, err);
    for (size_t i = 0; rc == 0 && i < run->plan->use_count; i++)
        if (is_listed(r, run->plan->uses[i].table))
            rc = stop_readers(run, run->plan->uses[i].table,
                              "was dropped or made again, or renamed", is_running, NULL, err);
    return rc;
}

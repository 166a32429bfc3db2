#include "source/rights.h"

#include <stdio.h>
#include <string.h>

bool rights_are_missing(const struct pg *pg) {
    return strcmp(pg_sqlstate(pg), "42501") == 0;
}

/* 1,2,3) */
static void add_tables(struct buf *sql, const struct plan_collection *c) {
    for (size_t i = 0; i < c->node_count; i++)
        buf_printf(sql, "%s%lu", i ? "," : "", (unsigned long)c->nodes[i]->table->oid);
    buf_add_char(sql, ')');
}

/* A policy that lets the role see all is no way out: reads have row_security = off, which refuses
 * every table that has policies for the role. */
static void add_statement(struct buf *sql, const struct plan_collection *c) {
    buf_add_text(
        sql, "SELECT pg_catalog.string_agg(DISTINCT CASE "
             "WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') "
             "THEN pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) "
             "WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') "
             "THEN pg_catalog.format('GRANT SELECT ON %I.%I TO %I', n.nspname, c.relname, "
             "current_user) "
             "WHEN pg_catalog.row_security_active(c.oid) "
             "THEN pg_catalog.format('ALTER ROLE %I BYPASSRLS', current_user) END, '; ') "
             "FROM pg_catalog.pg_class c "
             "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (");
    add_tables(sql, c);
}

void rights_explain(struct pg *pg, const struct plan_collection *c, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 1024 * 1024};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct err ignored;
    if (!rights_are_missing(pg) || !err)
        return;
    add_statement(&sql, c);
    if (pg_exec(pg, "ROLLBACK", NULL, &ignored) < 0 ||
        pg_exec(pg, buf_text(&sql), &r, &ignored) < 0 || !pg_value(r, 0, 0).ptr)
        return;
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, "; what the role lacks: %s",
                   pg_value(r, 0, 0).ptr);
}

int rights_to_tables(struct pg *pg, const struct plan_collection *c, bool *ret, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 1024 * 1024};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    buf_add_text(&sql, "SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(oid, 'SELECT')) "
                       "FROM pg_catalog.pg_class WHERE oid IN (");
    add_tables(&sql, c);
    int rc = pg_exec(pg, buf_text(&sql), &r, err);
    if (rc == 0)
        *ret = pg_rows(r) == 1 && span_is(pg_value(r, 0, 0), "t");
    return rc;
}

/* Replication slots (PostgreSQL 15 docs, 54.19 "pg_replication_slots", 55.4). */
#include "source/repl.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOT_NAME_MAX 63

/* What PostgreSQL takes: lower case letters, digits, underscores. */
static int check_name(const char *slot, struct err *err) {
    size_t n = strlen(slot);
    if (n < 1 || n > SLOT_NAME_MAX || strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != n)
        return err_set(err, ERR_CONF,
                       "slot name '%s' is not one PostgreSQL takes: 1 to %d lower case letters, "
                       "digits and underscores; correct source.slot",
                       slot, SLOT_NAME_MAX);
    return 0;
}

/* From PostgreSQL 15 on options stand in parentheses; the older form goes up to 16. */
static void add_options(struct buf *sql, int version, bool export) {
    if (version >= 170000)
        buf_printf(sql, " LOGICAL pgoutput (SNAPSHOT '%s', FAILOVER)",
                   export ? "export" : "nothing");
    else
        buf_printf(sql, " LOGICAL pgoutput %s", export ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
}

int repl_create_slot(struct repl *r, const char *slot, lsn_t *ret_consistent, char **ret_snapshot,
                     struct err *err) {
    struct pg *pg = repl_session(r);
    _cleanup_(pg_result_freep) struct pg_result *created = NULL;
    _cleanup_(buf_release) struct buf sql = {.max = 4096};
    int rc = check_name(slot, err);
    if (rc < 0)
        return rc;
    buf_add_text(&sql, "CREATE_REPLICATION_SLOT ");
    pg_add_ident(&sql, slot);
    add_options(&sql, pg_server_version(pg), ret_snapshot != NULL);
    /* It takes as long as the oldest open transaction, and nothing is under way yet. */
    pg_end_on_stop(pg, true);
    rc = pg_exec(pg, buf_text(&sql), &created, err);
    pg_end_on_stop(pg, false);
    if (rc == 0 && (pg_rows(created) != 1 || !lsn_parse(pg_value(created, 0, 1), ret_consistent)))
        rc = err_set(err, ERR_WIRE, "the source's answer to CREATE_REPLICATION_SLOT is not one");
    if (rc == 0 && ret_snapshot)
        *ret_snapshot = mem_strndup(pg_value(created, 0, 2).ptr, pg_value(created, 0, 2).len);
    return rc < 0 ? err_prefix(err, "create replication slot %s", slot) : 0;
}

/* Columns came with versions: wal_status 13, conflicting 16, invalidation_reason 17. */
static const char *info_sql(int version) {
#define INFO_COLUMNS "SELECT active, coalesce(active_pid, 0), plugin, confirmed_flush_lsn, "
#define INFO_FROM " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1"
    if (version >= 170000)
        return INFO_COLUMNS "coalesce(wal_status, ''), invalidation_reason IS NOT NULL" INFO_FROM;
    if (version >= 160000)
        return INFO_COLUMNS "coalesce(wal_status, ''), coalesce(conflicting, false)" INFO_FROM;
    if (version >= 130000)
        return INFO_COLUMNS "coalesce(wal_status, ''), false" INFO_FROM;
    return INFO_COLUMNS "'', false" INFO_FROM;
}

static void copy_text(struct span from, char *to, size_t size) {
    (void)snprintf(to, size, "%.*s", SPAN_ARG(from));
}

int repl_slot_info(struct pg *pg, const char *slot, struct repl_slot_info *ret, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct span params[] = {span_of(slot)};
    int rc = pg_query(pg, info_sql(pg_server_version(pg)), 1, params, &r, err);
    if (rc < 0)
        return rc;
    *ret = (struct repl_slot_info){0};
    if (pg_rows(r) == 0)
        return 0;
    ret->exists = true;
    ret->active = span_is(pg_value(r, 0, 0), "t");
    struct span pid = pg_value(r, 0, 1);
    ret->active_pid = pid.ptr ? (int)strtol(pid.ptr, NULL, 10) : 0;
    copy_text(pg_value(r, 0, 2), ret->plugin, sizeof ret->plugin);
    copy_text(pg_value(r, 0, 4), ret->wal_status, sizeof ret->wal_status);
    if (pg_value(r, 0, 3).ptr && !lsn_parse(pg_value(r, 0, 3), &ret->confirmed_flush_lsn))
        return err_set(err, ERR_WIRE, "confirmed_flush_lsn of slot %s is not a position", slot);
    ret->invalidated = span_is(pg_value(r, 0, 5), "t") || strcmp(ret->wal_status, "lost") == 0;
    return 0;
}

int repl_drop_slot(struct pg *pg, const char *slot, struct err *err) {
    struct span params[] = {span_of(slot)};
    int rc = pg_query(pg, "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, params, NULL, err);
    if (rc < 0 && strcmp(pg_sqlstate(pg), "42704") == 0) /* it is gone already */
        return 0;
    return rc < 0 ? err_prefix(err, "drop replication slot %s", slot) : 0;
}

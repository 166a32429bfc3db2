#include "source/heartbeat.h"

#define MESSAGES_VERSION 140000
#define COLUMNS "(slot text PRIMARY KEY, beat timestamptz NOT NULL)"

static int exists(struct pg *pg, const struct conf_table *table, bool *ret, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct span params[] = {span_of(table->schema), span_of(table->name)};
    int rc = pg_query(pg,
                      "SELECT FROM pg_catalog.pg_class c "
                      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                      "WHERE n.nspname = $1 AND c.relname = $2",
                      2, params, &r, err);
    *ret = rc == 0 && pg_rows(r) > 0;
    return rc;
}

int heartbeat_prepare(struct pg *pg, const struct conf_table *table, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 8192};
    bool there = false;
    struct err why = {0};
    int rc = exists(pg, table, &there, err);
    if (rc < 0 || there)
        return rc;
    buf_add_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    pg_add_table(&sql, table->schema, table->name);
    buf_add_text(&sql, " " COLUMNS);
    rc = pg_exec(pg, buf_text(&sql), NULL, &why);
    if (rc == 0)
        return 0;
    return err_set(err, rc,
                   "cannot make source.heartbeat_table (%.300s); run as its owner: %s; and GRANT "
                   "SELECT, INSERT, UPDATE on it to Banyan's user",
                   why.text, buf_text(&sql));
}

/* No commit of ours waits for a standby: the receiver would stand still with it. It is on this
 * server's disk at once all the same, or the stream would not get it. */
#define COMMIT_HERE " FROM pg_catalog.set_config('synchronous_commit', 'local', true)"

static int beat_row(struct pg *pg, const struct conf_table *table, const char *slot,
                    struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 8192};
    buf_add_text(&sql, "INSERT INTO ");
    pg_add_table(&sql, table->schema, table->name);
    buf_add_text(&sql, " (slot, beat) SELECT ");
    pg_add_literal(&sql, span_of(slot));
    buf_add_text(&sql, ", pg_catalog.clock_timestamp()" COMMIT_HERE
                       " ON CONFLICT (slot) DO UPDATE SET beat = excluded.beat");
    int rc = pg_exec(pg, buf_text(&sql), NULL, err);
    return rc < 0 ? err_prefix(err, "source.heartbeat_table %s.%s", table->schema, table->name) : 0;
}

int heartbeat_beat(struct pg *pg, const struct conf_table *table, const char *slot,
                   struct err *err) {
    if (table->at.line)
        return beat_row(pg, table, slot, err);
    if (pg_server_version(pg) < MESSAGES_VERSION)
        return 0;
    return pg_exec(
        pg, "SELECT pg_catalog.pg_logical_emit_message(true, 'banyan', 'heartbeat')" COMMIT_HERE,
        NULL, err);
}

/* The record of a message comes behind all that was committed before; its own commit comes back in
 * the stream. */
int heartbeat_position(struct pg *pg, lsn_t *ret_lsn, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    const char *sql =
        pg_server_version(pg) >= MESSAGES_VERSION
            ? "SELECT pg_catalog.pg_logical_emit_message(true, 'banyan', 'position')" COMMIT_HERE
            : "SELECT pg_catalog.pg_current_wal_insert_lsn()";
    int rc = pg_exec(pg, sql, &r, err);
    if (rc == 0 && !lsn_parse(pg_value(r, 0, 0), ret_lsn))
        rc = err_set(err, ERR_WIRE, "the source's log position is not a position");
    return rc;
}

int heartbeat_mark(struct pg *pg, const struct conf_table *table, const char *slot, lsn_t *ret_lsn,
                   struct err *err) {
    int rc = heartbeat_position(pg, ret_lsn, err);
    bool silent = pg_server_version(pg) < MESSAGES_VERSION;
    return rc == 0 && silent && table->at.line ? beat_row(pg, table, slot, err) : rc;
}

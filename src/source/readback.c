#include "source/readback.h"

static bool read_number(struct span *s, char end, uint64_t *ret) {
    uint64_t v = 0;
    size_t i = 0;
    while (i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9' && i < 20)
        v = v * 10 + (uint64_t)(s->ptr[i++] - '0');
    if (i == 0 || (end && (i == s->len || s->ptr[i] != end)))
        return false;
    i += end ? 1 : 0;
    *s = span_make(s->ptr + i, s->len - i);
    *ret = v;
    return true;
}

/* The log has 32-bit ids; one that is within 2^31 of the snapshot is meant. */
static uint64_t widen(uint32_t xid, uint64_t xmax) {
    return xmax + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)xmax);
}

static bool is_running(struct span running, uint64_t xid) {
    uint64_t one;
    while (running.len && read_number(&running, 0, &one)) {
        if (one == xid)
            return true;
        if (running.len)
            running = span_make(running.ptr + 1, running.len - 1);
    }
    return false;
}

bool readback_sees(struct span snapshot, const uint32_t *xids, size_t count) {
    uint64_t xmin, xmax;
    if (!read_number(&snapshot, ':', &xmin) || !read_number(&snapshot, ':', &xmax))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t xid = widen(xids[i], xmax);
        if (xid >= xmax || (xid >= xmin && is_running(snapshot, xid)))
            return false;
    }
    return true;
}

static int check_snapshot(struct pg *pg, const uint32_t *xids, size_t count, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(pg, "SELECT pg_catalog.txid_current_snapshot()::text", &r, err);
    if (rc < 0)
        return rc;
    if (pg_rows(r) == 1 && readback_sees(pg_value(r, 0, 0), xids, count))
        return 0;
    return err_set_retriable(err, ERR_UNREACHABLE,
                             "a committed transaction is not visible to other sessions yet");
}

int readback_connect(struct pg **pg, const char *uri, const char *app, struct err *err) {
    struct err failure = {0};
    int rc = *pg ? 0 : pg_connect(uri, PG_SQL, app, pg, &failure);
    if (rc == 0)
        return 0;
    if (!failure.retriable && rc != ERR_STOPPED)
        failure.code = ERR_ACCESS;
    if (err)
        *err = failure;
    return failure.code;
}

int readback_begin(struct pg *pg, const uint32_t *xids, size_t count, struct err *err) {
    int rc = pg_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT banyan_read",
                     NULL, err);
    if (rc < 0 || count == 0)
        return rc;
    rc = check_snapshot(pg, xids, count, err);
    if (rc < 0) {
        struct err ignored;
        (void)!readback_end(pg, &ignored);
    }
    return rc;
}

int readback_begin_in(struct pg *pg, const char *snapshot, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 1024};
    buf_add_text(&sql,
                 "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ");
    pg_add_literal(&sql, span_of(snapshot));
    buf_add_text(&sql, "; SAVEPOINT banyan_read");
    return pg_exec(pg, buf_text(&sql), NULL, err);
}

/* The table is pg_class as the snapshot sees it, what the functions answer is of now; and now it is
 * locked by what was read. */
static void ask_tables(struct buf *sql, const struct plan_node *const *nodes, size_t count) {
    buf_add_text(sql, "SELECT t.shown, pg_catalog.to_regclass(t.name)::oid IS DISTINCT FROM t.id "
                      "FROM (VALUES ");
    for (size_t i = 0; i < count; i++) {
        const struct pg_table *table = nodes[i]->table;
        _cleanup_(buf_release) struct buf name = {.max = 4096};
        _cleanup_(buf_release) struct buf shown = {.max = 4096};
        pg_add_table(&name, table->schema, table->name);
        buf_printf(&shown, "%s.%s", table->schema, table->name);
        buf_printf(sql, "%s(%lu::oid, ", i ? ", " : "", (unsigned long)table->oid);
        pg_add_literal(sql, buf_span(&name));
        buf_add_text(sql, ", ");
        pg_add_literal(sql, buf_span(&shown));
        buf_add_char(sql, ')');
    }
    buf_add_text(sql, ") t(id, name, shown) LEFT JOIN pg_catalog.pg_class c ON c.oid = t.id "
                      "WHERE pg_catalog.to_regclass(t.name)::oid IS DISTINCT FROM t.id "
                      "OR c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid) "
                      "ORDER BY 2 DESC LIMIT 1");
}

int readback_check_tables(struct pg *pg, const struct plan_node *const *nodes, size_t count,
                          struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 1024 * 1024};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    ask_tables(&sql, nodes, count);
    int rc = pg_exec(pg, buf_text(&sql), &r, err);
    if (rc < 0 || pg_rows(r) == 0)
        return rc;
    if (span_is(pg_value(r, 0, 1), "t"))
        return err_set(err, ERR_CONF,
                       "table %.*s was dropped or made again, or renamed: its changes are not in "
                       "the log",
                       SPAN_ARG(pg_value(r, 0, 0)));
    return err_set_retriable(err, ERR_NO,
                             "table %.*s was written anew (ALTER TABLE, TRUNCATE, VACUUM FULL) "
                             "while it was read",
                             SPAN_ARG(pg_value(r, 0, 0)));
}

int readback_rewind(struct pg *pg, struct err *err) {
    return pg_exec(pg, "ROLLBACK TO SAVEPOINT banyan_read", NULL, err);
}

int readback_end(struct pg *pg, struct err *err) {
    return pg_exec(pg, "ROLLBACK", NULL, err);
}

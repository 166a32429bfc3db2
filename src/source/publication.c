/* Publications: exactly our tables, every operation, no filters. */
#include "source/repl.h"

#define SQL_MAX ((size_t)16 * 1024 * 1024)

static int run(struct pg *pg, struct buf *sql, struct err *err) {
    if (!buf_ok(sql))
        return err_set(err, ERR_LIMIT, "its list of tables is longer than %zu bytes", SQL_MAX);
    return pg_exec(pg, buf_text(sql), NULL, err);
}

static void add_tables(struct buf *sql, const struct repl_publication_table *tables, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_add_text(sql, i ? ", ONLY " : "ONLY ");
        pg_add_table(sql, tables[i].schema, tables[i].name);
    }
}

static int create(struct pg *pg, const char *publication,
                  const struct repl_publication_table *tables, size_t count, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = SQL_MAX};
    buf_add_text(&sql, "CREATE PUBLICATION ");
    pg_add_ident(&sql, publication);
    buf_add_text(&sql, " FOR TABLE ");
    add_tables(&sql, tables, count);
    buf_add_text(&sql, " WITH (publish = 'insert, update, delete, truncate')");
    return run(pg, &sql, err);
}

/* Only what differs is changed: ALTER PUBLICATION takes locks that an unchanged one need not. */
static int set_tables(struct pg *pg, const char *publication,
                      const struct repl_publication_table *tables, size_t count, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = SQL_MAX};
    buf_add_text(&sql, "ALTER PUBLICATION ");
    pg_add_ident(&sql, publication);
    buf_add_text(&sql, " SET TABLE ");
    add_tables(&sql, tables, count);
    return run(pg, &sql, err);
}

static int set_options(struct pg *pg, const char *publication, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 4096};
    buf_add_text(&sql, "ALTER PUBLICATION ");
    pg_add_ident(&sql, publication);
    buf_add_text(&sql, " SET (publish = 'insert, update, delete, truncate'");
    if (pg_server_version(pg) >= 130000)
        buf_add_text(&sql, ", publish_via_partition_root = false");
    buf_add_char(&sql, ')');
    return run(pg, &sql, err);
}

static bool has_table(const struct pg_result *r, const struct repl_publication_table *t) {
    for (size_t i = 0; i < pg_rows(r); i++)
        if (span_is(pg_value(r, i, 0), t->schema) && span_is(pg_value(r, i, 1), t->name))
            return true;
    return false;
}

/* Row filters and column lists (15 and later) would hide changes. */
static bool is_filtered(const struct pg_result *r) {
    for (size_t i = 0; i < pg_rows(r); i++)
        if (span_is(pg_value(r, i, 2), "t"))
            return true;
    return false;
}

static int read_tables(struct pg *pg, const char *publication, struct pg_result **ret,
                       struct err *err) {
    struct span params[] = {span_of(publication)};
    const char *filtered =
        pg_server_version(pg) >= 150000
            ? "SELECT n.nspname, c.relname, r.prqual IS NOT NULL OR r.prattrs IS NOT NULL "
            : "SELECT n.nspname, c.relname, false ";
    _cleanup_(buf_release) struct buf sql = {.max = 4096};
    buf_add_text(&sql, filtered);
    buf_add_text(&sql, "FROM pg_catalog.pg_publication p "
                       "JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid "
                       "JOIN pg_catalog.pg_class c ON c.oid = r.prrelid "
                       "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                       "WHERE p.pubname = $1");
    return pg_query(pg, buf_text(&sql), 1, params, ret, err);
}

static int adjust(struct pg *pg, const char *publication, const struct pg_result *options,
                  const struct repl_publication_table *tables, size_t count, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *now = NULL;
    if (span_is(pg_value(options, 0, 0), "t"))
        return err_set(
            err, ERR_CONF,
            "it is FOR ALL TABLES or for whole schemas, which would send tables nobody maps; set "
            "source.publication to another name");
    int rc = read_tables(pg, publication, &now, err);
    if (rc < 0)
        return rc;
    if (is_filtered(now))
        return err_set(err, ERR_CONF,
                       "it has row filters or column lists, so somebody made it for another "
                       "purpose; set source.publication to another name, or drop it");
    bool same = pg_rows(now) == count;
    for (size_t i = 0; same && i < count; i++)
        same = has_table(now, &tables[i]);
    if (!same)
        rc = set_tables(pg, publication, tables, count, err);
    if (rc == 0 && !span_is(pg_value(options, 0, 1), "t"))
        rc = set_options(pg, publication, err);
    return rc;
}

int repl_ensure_publication(struct pg *pg, const char *publication,
                            const struct repl_publication_table *tables, size_t count,
                            struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct span params[] = {span_of(publication)};
    int version = pg_server_version(pg);
    _cleanup_(buf_release) struct buf sql = {.max = 4096};
    buf_add_text(&sql, "SELECT p.puballtables");
    if (version >= 150000)
        buf_add_text(&sql, " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s "
                           "WHERE s.pnpubid = p.oid)");
    buf_add_text(&sql, ", p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate");
    if (version >= 130000)
        buf_add_text(&sql, " AND NOT p.pubviaroot");
    buf_add_text(&sql, " FROM pg_catalog.pg_publication p WHERE p.pubname = $1");
    int rc = pg_query(pg, buf_text(&sql), 1, params, &r, err);
    if (rc == 0)
        rc = pg_rows(r) == 0 ? create(pg, publication, tables, count, err)
                             : adjust(pg, publication, r, tables, count, err);
    return rc < 0 ? err_prefix(err, "publication %s", publication) : 0;
}

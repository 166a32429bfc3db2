#include "db/pg_catalog.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

/* Names, types and keys of a database with very many tables still fit; see also PLAN limits. */
#define CATALOG_MAX ((size_t)512 * 1024 * 1024)
#define TYPE_DEPTH_MAX 16
#define COLUMNS_MAX 1600 /* PostgreSQL 15 docs, appendix K */
#define INDEX_ROWS_MAX 100000

struct known_table {
    struct known_table *next;
    struct pg_table table;
};

struct known_type {
    struct known_type *next;
    struct pg_type type;
};

struct pg_catalog {
    struct arena memory;
    struct known_table *tables;
    struct known_type *types;
};

struct pg_catalog *pg_catalog_new(void) {
    struct pg_catalog *c = mem_zalloc(1, sizeof *c);
    arena_init(&c->memory, CATALOG_MAX);
    return c;
}

void pg_catalog_free(struct pg_catalog *c) {
    if (!c)
        return;
    arena_release(&c->memory);
    free(c);
}

static void *keep(struct pg_catalog *c, size_t count, size_t size) {
    size_t bytes = count * size;
    void *p = arena_alloc(&c->memory, bytes);
    if (!p)
        abort(); /* half a gigabyte of catalogue: no database has that */
    memset(p, 0, bytes);
    return p;
}

static const char *keep_text(struct pg_catalog *c, struct span s) {
    char *p = keep(c, s.len + 1, 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return p;
}

/* ---- values of a result ---- */

static uint32_t get_oid(const struct pg_result *r, size_t row, size_t column) {
    struct span v = pg_value(r, row, column);
    return v.ptr ? (uint32_t)strtoul(v.ptr, NULL, 10) : 0;
}

static int64_t get_int64(const struct pg_result *r, size_t row, size_t column) {
    struct span v = pg_value(r, row, column);
    return v.ptr ? strtoll(v.ptr, NULL, 10) : 0;
}

static int get_int(const struct pg_result *r, size_t row, size_t column) {
    struct span v = pg_value(r, row, column);
    return v.ptr ? (int)strtol(v.ptr, NULL, 10) : 0;
}

static bool get_bool(const struct pg_result *r, size_t row, size_t column) {
    return span_is(pg_value(r, row, column), "t");
}

static char get_char(const struct pg_result *r, size_t row, size_t column) {
    struct span v = pg_value(r, row, column);
    return v.len ? v.ptr[0] : '\0';
}

static int query_oid(struct pg *pg, const char *sql, uint32_t oid, struct pg_result **ret,
                     struct err *err) {
    char text[16];
    (void)snprintf(text, sizeof text, "%u", oid);
    struct span params[] = {span_of(text)};
    return pg_query(pg, sql, 1, params, ret, err);
}

/* ---- types ---- */

/* A row of pg_type; a domain's base is followed, so `kind` and `element` are of the base. */
static const char type_sql[] =
    "SELECT t.typtype, t.typbasetype, t.typelem, "
    "  coalesce(e.typdelim, t.typdelim), pg_catalog.format_type(t.oid, -1), "
    "  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname), "
    "  t.typname, e.typarray = t.oid, "
    "  (SELECT pg_catalog.quote_ident(s.nspname) "
    "   FROM pg_catalog.pg_opclass c "
    "   JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname IN ('btree', 'hash') "
    "   JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype "
    "     AND a.amoprighttype = c.opcintype "
    "   JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr AND o.oprname = '=' "
    "   JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace "
    "   WHERE c.opcintype = t.oid AND c.opcdefault AND s.nspname <> 'pg_catalog' "
    "   ORDER BY m.amname LIMIT 1) "
    "FROM pg_catalog.pg_type t "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
    "LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem "
    "WHERE t.oid = $1::oid";

static int load_type(struct pg_catalog *c, struct pg *pg, uint32_t oid, int depth,
                     const struct pg_type **ret, struct err *err);

/* An extension's type has no fixed OID, so citext is known by its name. */
static enum pg_kind kind_of(const struct pg_result *r, uint32_t oid) {
    char typtype = get_char(r, 0, 0);
    if (get_bool(r, 0, 7)) /* int2vector and oidvector have elements, but a text of their own */
        return PG_KIND_ARRAY;
    if (typtype == 'e' || span_is(pg_value(r, 0, 6), "citext"))
        return PG_KIND_TEXT;
    return pg_kind_of_builtin(oid);
}

static int fill_type(struct pg_catalog *c, struct pg *pg, const struct pg_result *r, uint32_t oid,
                     int depth, struct pg_type *type, struct err *err) {
    *type = (struct pg_type){.oid = oid,
                             .name = keep_text(c, pg_value(r, 0, 4)),
                             .sql_name = keep_text(c, pg_value(r, 0, 5)),
                             .kind = kind_of(r, oid),
                             .delimiter = get_char(r, 0, 3),
                             .composite = get_char(r, 0, 0) == 'c'};
    if (pg_value(r, 0, 8).ptr)
        type->operator_schema = keep_text(c, pg_value(r, 0, 8));
    int rc = 0;
    if (get_char(r, 0, 0) == 'd') {
        const struct pg_type *base = NULL;
        rc = load_type(c, pg, get_oid(r, 0, 1), depth + 1, &base, err);
        if (rc == 0) {
            type->kind = base->kind;
            type->element = base->element;
            type->delimiter = base->delimiter;
            type->operator_schema = base->operator_schema;
            type->composite = base->composite;
        }
    } else if (type->kind == PG_KIND_ARRAY) {
        rc = load_type(c, pg, get_oid(r, 0, 2), depth + 1, &type->element, err);
    }
    return rc;
}

static int load_type(struct pg_catalog *c, struct pg *pg, uint32_t oid, int depth,
                     const struct pg_type **ret, struct err *err) {
    for (struct known_type *k = c->types; k; k = k->next)
        if (k->type.oid == oid) {
            *ret = &k->type;
            return 0;
        }
    if (depth > TYPE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "type %u is nested deeper than %d levels", oid,
                       TYPE_DEPTH_MAX);
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = query_oid(pg, type_sql, oid, &r, err);
    if (rc == 0 && pg_rows(r) != 1)
        rc = err_set(err, ERR_WIRE, "the source's catalogue has no type %u", oid);
    if (rc < 0)
        return rc;
    struct known_type *k = keep(c, 1, sizeof *k);
    rc = fill_type(c, pg, r, oid, depth, &k->type, err);
    if (rc < 0)
        return rc;
    k->next = c->types;
    c->types = k;
    *ret = &k->type;
    return 0;
}

int pg_catalog_type(struct pg_catalog *c, struct pg *pg, uint32_t oid,
                    const struct pg_type **ret_type, struct err *err) {
    return load_type(c, pg, oid, 0, ret_type, err);
}

/* ---- columns ---- */

static const char column_sql[] =
    "SELECT a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '', "
    "  coalesce(l.collisdeterministic, true), a.attcollation <> 0 "
    "FROM pg_catalog.pg_attribute a "
    "LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation "
    "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped "
    "ORDER BY a.attnum";

static int load_columns(struct pg_catalog *c, struct pg *pg, struct pg_table *t, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = query_oid(pg, column_sql, t->oid, &r, err);
    if (rc < 0)
        return rc;
    if (pg_rows(r) > COLUMNS_MAX)
        return err_set(err, ERR_WIRE, "table %s.%s has more than %d columns", t->schema, t->name,
                       COLUMNS_MAX);
    struct pg_column *columns = keep(c, pg_rows(r), sizeof *columns);
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct pg_column *column = &columns[i];
        column->name = keep_text(c, pg_value(r, i, 0));
        column->attnum = get_int(r, i, 1);
        column->type_oid = get_oid(r, i, 2);
        column->typmod = get_int(r, i, 3);
        column->not_null = get_bool(r, i, 4);
        column->generated = get_bool(r, i, 5);
        column->deterministic = get_bool(r, i, 6);
        rc = load_type(c, pg, column->type_oid, 0, &column->type, err);
        if (rc < 0)
            return err_prefix(err, "column %s of %s.%s", column->name, t->schema, t->name);
    }
    t->columns = columns;
    t->column_count = pg_rows(r);
    return 0;
}

/* ---- indexes ---- */

/* One row for each key column of each usable index. */
static const char index_sql[] =
    "SELECT i.indexrelid, x.relname, i.indisunique AND i.indimmediate, i.indisprimary, "
    "  i.indisreplident, k.attnum "
    "FROM pg_catalog.pg_index i "
    "JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid "
    "JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree' "
    "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n) "
    "WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
    "  AND k.n <= i.indnkeyatts "
    "ORDER BY i.indisprimary DESC, i.indexrelid, k.n";

static int column_by_attnum(const struct pg_table *t, int attnum) {
    for (size_t i = 0; i < t->column_count; i++)
        if (t->columns[i].attnum == attnum)
            return (int)i;
    return -1;
}

static int load_indexes(struct pg_catalog *c, struct pg *pg, struct pg_table *t, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = query_oid(pg, index_sql, t->oid, &r, err);
    if (rc < 0)
        return rc;
    if (pg_rows(r) > INDEX_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "the indexes of table %s.%s have more than %d columns",
                       t->schema, t->name, INDEX_ROWS_MAX);
    struct pg_index_info *indexes = keep(c, pg_rows(r), sizeof *indexes);
    uint32_t current = 0;
    struct pg_index_info *index = NULL;
    for (size_t i = 0; i < pg_rows(r); i++) {
        int column = column_by_attnum(t, get_int(r, i, 5));
        if (!index || get_oid(r, i, 0) != current) {
            current = get_oid(r, i, 0);
            index = &indexes[t->index_count++];
            index->name = keep_text(c, pg_value(r, i, 1));
            index->unique = get_bool(r, i, 2);
            index->primary = get_bool(r, i, 3);
            index->replica_identity = get_bool(r, i, 4);
            index->columns = keep(c, PG_INDEX_COLUMNS_MAX, sizeof *index->columns);
        }
        if (column < 0 || index->column_count == PG_INDEX_COLUMNS_MAX)
            return err_set(err, ERR_WIRE, "index %s has a column that %s.%s has not", index->name,
                           t->schema, t->name);
        ((int *)index->columns)[index->column_count++] = column;
    }
    t->indexes = indexes;
    return 0;
}

static void set_keys(struct pg_catalog *c, struct pg_table *t) {
    for (size_t i = 0; i < t->index_count; i++) {
        const struct pg_index_info *index = &t->indexes[i];
        if (!index->unique) /* deferrable: for a moment two rows may have one key */
            continue;
        if (index->primary) {
            t->primary_key = index->columns;
            t->primary_key_count = index->column_count;
        }
        if ((t->replica_identity == 'd' && index->primary) ||
            (t->replica_identity == 'i' && index->replica_identity)) {
            t->identity = index->columns;
            t->identity_count = index->column_count;
        }
    }
    if (t->replica_identity != 'f')
        return;
    int *all = keep(c, t->column_count, sizeof *all);
    for (size_t i = 0; i < t->column_count; i++)
        if (!t->columns[i].generated)
            all[t->identity_count++] = (int)i;
    t->identity = all;
}

/* ---- tables ---- */

static const char table_sql[] =
    "SELECT c.oid, c.relkind, c.relreplident, "
    /* before 14 a table that was never analysed has 0 rows in 0 pages */
    "  CASE WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples::bigint END, "
    "  c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = "
    "c.oid) "
    "FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

static const struct pg_table *find_known(const struct pg_catalog *c, const char *schema,
                                         const char *name) {
    for (const struct known_table *k = c->tables; k; k = k->next)
        if (strcmp(k->table.schema, schema) == 0 && strcmp(k->table.name, name) == 0)
            return &k->table;
    return NULL;
}

static int load_table(struct pg_catalog *c, struct pg *pg, const struct pg_result *r,
                      const char *schema, const char *name, struct pg_table *t, struct err *err) {
    t->oid = get_oid(r, 0, 0);
    t->schema = keep_text(c, span_of(schema));
    t->name = keep_text(c, span_of(name));
    t->kind = get_char(r, 0, 1);
    t->replica_identity = get_char(r, 0, 2);
    t->estimated_rows = get_int64(r, 0, 3);
    t->inherits = get_bool(r, 0, 4);
    int rc = load_columns(c, pg, t, err);
    if (rc == 0)
        rc = load_indexes(c, pg, t, err);
    if (rc == 0)
        set_keys(c, t);
    return rc;
}

int pg_catalog_table(struct pg_catalog *c, struct pg *pg, const char *schema, const char *name,
                     const struct pg_table **ret_table, struct err *err) {
    *ret_table = find_known(c, schema, name);
    if (*ret_table)
        return 0;
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    struct span params[] = {span_of(schema), span_of(name)};
    int rc = pg_query(pg, table_sql, 2, params, &r, err);
    if (rc < 0 || pg_rows(r) == 0)
        return rc;
    struct known_table *k = keep(c, 1, sizeof *k);
    rc = load_table(c, pg, r, schema, name, &k->table, err);
    if (rc < 0)
        return rc;
    k->next = c->tables;
    c->tables = k;
    *ret_table = &k->table;
    return 0;
}

int pg_table_column(const struct pg_table *t, const char *name) {
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- did you mean ---- */

static bool is_similar(const char *wanted, size_t d) {
    return d <= 1 + strlen(wanted) / 4;
}

const char *pg_table_similar_column(const struct pg_table *t, const char *name) {
    const char *best = NULL;
    size_t best_distance = TEXT_DISTANCE_MAX;
    for (size_t i = 0; i < t->column_count; i++) {
        size_t d = text_distance(span_of(name), span_of(t->columns[i].name));
        if (d < best_distance) {
            best_distance = d;
            best = t->columns[i].name;
        }
    }
    return is_similar(name, best_distance) ? best : NULL;
}

int pg_catalog_similar_table(struct pg *pg, const char *schema, const char *name, struct buf *out,
                             struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    _cleanup_(mem_freep) char *wanted = mem_printf("%s.%s", schema, name);
    int rc =
        pg_exec(pg,
                "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
                "AND n.nspname NOT LIKE 'pg\\_toast%' LIMIT 10000",
                &r, err);
    if (rc < 0)
        return rc;
    size_t best_distance = TEXT_DISTANCE_MAX, best = 0;
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct span found = pg_value(r, i, 0);
        size_t d = text_distance(span_of(wanted), found);
        if (d < best_distance) {
            best_distance = d;
            best = i;
        }
    }
    if (is_similar(wanted, best_distance))
        buf_add_span(out, pg_value(r, best, 0));
    return 0;
}

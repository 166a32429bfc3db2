/*
 * What PostgreSQL's catalogue says about a table: columns, types, keys, replica identity.
 *
 * A struct pg_table is immutable and owned by the struct pg_catalog that read it; any thread may
 * read it while the catalogue lives. Reading needs a session and runs in one thread.
 */
#ifndef BANYAN_DB_PG_CATALOG_H
#define BANYAN_DB_PG_CATALOG_H

#include "db/pg.h"
#include "db/pg_type.h"

/* PostgreSQL 15 docs, appendix K: columns of an index, and so of a key. */
#define PG_INDEX_COLUMNS_MAX 32

struct pg_column {
    const char *name;
    int attnum;
    uint32_t type_oid; /* as the log names it: a domain's own, not its base type's */
    const struct pg_type *type;
    int32_t typmod;
    bool not_null;
    bool generated;     /* GENERATED ALWAYS AS ... STORED: not in the stream before PostgreSQL 18 */
    bool deterministic; /* its collation is deterministic, or it has none */
};

/* Column positions are indexes into pg_table.columns. */
struct pg_index_info {
    const char *name;
    bool unique; /* valid, immediate, not partial, no expressions */
    bool primary;
    bool replica_identity;
    const int *columns;
    size_t column_count;
};

struct pg_table {
    uint32_t oid;
    const char *schema;
    const char *name;
    char kind;                       /* pg_class.relkind: 'r', 'p', ... */
    char replica_identity;           /* pg_class.relreplident: 'd' 'n' 'f' 'i' */
    bool inherits;                   /* has children by plain inheritance: read with ONLY */
    int64_t estimated_rows;          /* pg_class.reltuples; -1: never analysed */
    const struct pg_column *columns; /* live columns in attnum order */
    size_t column_count;
    const int *primary_key;
    size_t primary_key_count; /* 0: none */
    /* columns the old row image holds on UPDATE and DELETE; all of them with identity full */
    const int *identity;
    size_t identity_count;               /* 0: UPDATE and DELETE cannot be replicated */
    const struct pg_index_info *indexes; /* usable b-tree indexes without predicate or expression */
    size_t index_count;
};

struct pg_catalog;

struct pg_catalog *pg_catalog_new(void);
void pg_catalog_free(struct pg_catalog *c);

/* The table, read once and kept. *ret_table is NULL when there is none of that name (no error). */
int pg_catalog_table(struct pg_catalog *c, struct pg *pg, const char *schema, const char *name,
                     const struct pg_table **ret_table, struct err *err) must_check;

/* The type, read once and kept. */
int pg_catalog_type(struct pg_catalog *c, struct pg *pg, uint32_t oid,
                    const struct pg_type **ret_type, struct err *err) must_check;

/* Index of the column; -1 if there is none. */
int pg_table_column(const struct pg_table *t, const char *name);

/* The column whose name is most like `name`, for "did you mean"; NULL: none is like it. Borrowed
 * from the catalogue. */
const char *pg_table_similar_column(const struct pg_table *t, const char *name);

/* "schema.name" of the most similar table name in the database into `out`; empty if none. */
int pg_catalog_similar_table(struct pg *pg, const char *schema, const char *name, struct buf *out,
                             struct err *err) must_check;

#endif

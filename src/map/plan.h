/*
 * Mapping rules, checked against the catalogue and compiled: what a row becomes.
 *
 * A plan is a tree for each collection: the root node is the table whose rows are documents, the
 * other nodes are tables embedded in it. Everything is resolved to indexes: a row of a node is an
 * array of spans in the order of node->columns, whoever read it (snapshot, stream, refresh,
 * verify). Immutable after plan_compile; any thread may read it while conf and catalogue live.
 */
#ifndef BANYAN_MAP_PLAN_H
#define BANYAN_MAP_PLAN_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "db/pg_catalog.h"

struct plan_node;
struct plan_collection;

enum plan_field_kind { PLAN_COLUMN, PLAN_CONSTANT, PLAN_NOW, PLAN_EMBED };

struct plan_field {
    enum plan_field_kind kind;
    struct span name;             /* as in the document, escaped */
    int column;                   /* PLAN_COLUMN: index into the node's columns */
    enum pg_retype retype;        /* PLAN_COLUMN */
    const struct conf_add *add;   /* PLAN_CONSTANT */
    const struct plan_node *node; /* PLAN_EMBED */
};

struct plan_column {
    const char *name;
    const struct pg_column *source;
    int table_column; /* index into table->columns */
};

/* Where the parent of a deleted or moved child is found (pipeline rules, section 5). */
enum plan_old_parent {
    PLAN_OLD_FROM_LOG,   /* the old row image has the join columns */
    PLAN_OLD_FROM_TARGET /* the documents that hold the child, by its own key */
};

struct plan_node {
    const struct plan_collection *collection;
    const struct plan_node *parent; /* NULL: the root */
    const struct conf_mapping *conf;
    const struct pg_table *table;
    struct span name; /* field in the parent's document */
    const char *path; /* dotted, from the root: "items.product"; "" for the root */
    bool one;
    bool omit_nulls;

    const struct plan_column *columns; /* all that must be read: mapped, keys, joins, order */
    size_t column_count;
    const struct plan_field *fields; /* in document order */
    size_t field_count;
    const struct plan_node *const *children;
    size_t child_count;

    /* Indexes into `columns` (of the parent for join_parent). */
    const int *key; /* unique, not null: primary key or what stands for it */
    size_t key_count;
    const int *join_child;
    const int *join_parent;
    size_t join_count;
    const int *order; /* ends with the key */
    size_t order_count;

    /* not the root: */
    enum plan_old_parent old_parent;
    const char *const *key_paths; /* PLAN_OLD_FROM_TARGET: where documents hold the key */
    bool join_is_root_key; /* the join columns are the root's key, comparable as text: no look-up */
    const int *root_key_from; /* join_is_root_key: for each id column of the root, own column */
};

enum plan_id { PLAN_ID_SCALAR, PLAN_ID_DOCUMENT, PLAN_ID_OBJECTID };

struct plan_collection {
    const char *module;
    const char *name;
    const struct conf_mapping *conf;
    const struct conf_types *types;
    enum plan_id id_kind;
    const int *id;               /* indexes into root->columns, in key order */
    const struct span *id_names; /* PLAN_ID_DOCUMENT: field names inside _id */
    const char *const *id_paths; /* PLAN_ID_OBJECTID: field that holds each key column, or NULL */
    size_t id_count;
    bool flat; /* the change alone makes the document; else it is assembled from the source */
    const struct plan_node *root;
    const struct plan_node *const *nodes; /* the root first, parents before children */
    size_t node_count;
    char fingerprint[33]; /* of everything that shapes documents */
};

/* A table and where it is used. */
struct plan_use {
    const struct pg_table *table;
    const struct plan_node *const *nodes;
    size_t node_count;
};

struct plan {
    struct arena memory;
    const struct plan_collection *const *collections;
    size_t collection_count;
    const struct plan_use *uses;
    size_t use_count;
};

/* How plan_compile asks for a table; *ret_table NULL: there is none, and `similar` (cleared
 * before) may get the name of one that looks like it. */
typedef int (*plan_table_fn)(void *context, const char *schema, const char *name,
                             const struct pg_table **ret_table, struct buf *similar,
                             struct err *err);

/* Compiles the modules (count of them). Errors are ERR_CONF and begin with file:line:column. */
int plan_compile(const struct conf *conf, const struct conf_module *const *modules, size_t count,
                 plan_table_fn find_table, void *context, struct plan **ret_plan,
                 struct err *err) must_check;
void plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan *, plan_free)

/* Its index; collection_count: there is none of that name. */
size_t plan_collection_index(const struct plan *plan, const char *name);

/* Index in `node->columns` of a table's column; -1 when the node does not read it. */
int plan_node_column(const struct plan_node *node, const char *name);

#endif

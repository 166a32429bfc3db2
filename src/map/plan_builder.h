/*
 * What the files that compile a plan share (plan_compile.c, plan_node.c, plan_checks.c). Private
 * to map/. One thread.
 */
#ifndef BANYAN_MAP_PLAN_BUILDER_H
#define BANYAN_MAP_PLAN_BUILDER_H

#include "map/plan.h"

#define PLAN_NODES_MAX 256 /* tables of one collection; conf limits how deep they nest */

struct builder {
    const struct conf *conf;
    struct plan *plan;
    plan_table_fn find_table;
    void *context;
    struct plan_collection *collection; /* being compiled */
    struct plan_node *nodes[PLAN_NODES_MAX];
    size_t node_count;
    struct err *err;
};

/* Zeroed memory of the plan. Aborts like mem_alloc: a plan is bounded by the file it comes from. */
void *builder_alloc(struct builder *b, size_t count, size_t size);
char *builder_copy(struct builder *b, const char *text);
int builder_error(struct builder *b, struct conf_at at, const char *fmt, ...) printf_like(3, 4);

/* Compiles a mapping and everything embedded in it; parent NULL for a root. */
int builder_node(struct builder *b, const struct conf_mapping *m, struct plan_node *parent,
                 struct plan_node **ret_node);

/* Index in node->columns of the column, added if it was not there. */
int builder_use_column(struct builder *b, struct plan_node *node, int table_column);

/* The columns that identify a row of `t` in the log and in the database: primary key, else the
 * replica identity's index, else (identity full) a unique index over not-null columns. Error with
 * the repair if there is none. ret_key points into the table. */
int builder_table_key(struct builder *b, const struct pg_table *t, struct conf_at at,
                      const int **ret_key, size_t *ret_count);

/* Whether the old row image in the log holds these columns of the table. */
bool table_identity_has(const struct pg_table *t, const int *columns, size_t count);

/* After the tree is there: how old parents are found; error where neither way exists. */
int builder_old_parents(struct builder *b);

/* Index paths begin with a field; unique ones are not over columns that may be NULL. */
int builder_check_indexes(struct builder *b);

/* Hash of everything that shapes the documents. */
void builder_fingerprint(struct builder *b);

#endif

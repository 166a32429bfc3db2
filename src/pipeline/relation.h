/*
 * The log's view of a table, and how its columns feed the plan's nodes.
 *
 * A Relation message comes before the first change of a table and again after each change of its
 * definition; identical ones come again and again. Tables are matched by their id: the log may
 * still have one that was dropped, of the same name. Columns are matched by name. @thread receiver
 */
#ifndef BANYAN_PIPELINE_RELATION_H
#define BANYAN_PIPELINE_RELATION_H

#include "map/document.h"
#include "source/pgoutput.h"

struct binding {
    const struct plan_node *node;
    size_t collection;
    int *from; /* for each node column: index in the relation; -1: not there */
};

struct relation {
    uint32_t oid;
    char *schema, *name;
    struct pgo_column *columns;
    size_t column_count;
    char *names; /* backing of column names */
    struct binding *bindings;
    size_t binding_count;
};

/* Copies the message and binds it to the plan. */
struct relation *relation_new(const struct plan *plan, const struct pgo_relation *m);
void relation_free(struct relation *r);

/* Whether the message says what is known already. */
bool relation_equals(const struct relation *r, const struct pgo_relation *m);

/* Why the node can no longer be fed by this relation (a column is gone, changed its type, or is new
 * and would be mapped), into `reason`; false if it can. A column that is only missing is no reason
 * before the collection is caught up: an old change simply doesn't have it yet. */
bool relation_misfits(const struct relation *r, const struct binding *b, bool caught_up,
                      struct buf *reason);

/* The node's columns of a row in the log. What the log leaves out (unchanged TOAST, columns of an
 * old row beside its key, columns the relation lacks) is row_unchanged(); with `fallback` (the old
 * row, may be NULL) a left-out value is taken from there. */
void relation_row(const struct relation *r, const struct binding *b, const struct pgo_tuple *tuple,
                  bool keys_only, const struct span *fallback, struct span *ret_values);

#endif

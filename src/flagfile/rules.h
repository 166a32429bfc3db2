/*
 * Conditions of other systems as JSONLogic, which flagd's targeting is written in: each helper
 * makes one node. Private to flagfile/. NULL anywhere in gives NULL out, and the error is set
 * once, so that a reader checks only the end.
 */
#ifndef BANYAN_FLAGFILE_RULES_H
#define BANYAN_FLAGFILE_RULES_H

#include "flagfile/reader.h"

/* The one who is asked for: flagd's name for the user. */
#define LOGIC_USER SPAN_LIT("targetingKey")

const struct flags_node *node_of_null(struct reader *r);
const struct flags_node *node_of_text(struct reader *r, struct span text);
const struct flags_node *node_of_number(struct reader *r, double number);
const struct flags_node *node_of_var(struct reader *r, struct span name);
/* {"op": [a, b, ...]} with 1 to 3 arguments; the last ones may be absent (count). */
const struct flags_node *node_of_op(struct reader *r, const char *op, size_t count,
                                    const struct flags_node *a, const struct flags_node *b,
                                    const struct flags_node *c);
const struct flags_node *node_of_list(struct reader *r, const struct flags_node *const *items,
                                      size_t count);
/* {"op": [items...]}; with one item the item itself, for "and" and "or". */
const struct flags_node *node_of_many(struct reader *r, const char *op,
                                      const struct flags_node *const *items, size_t count);
const struct flags_node *node_of_not(struct reader *r, const struct flags_node *node);
/* The node is the value. */
void node_take(struct flags_node *n, const struct flags_value *v);
/* A node of the file as it is. */
const struct flags_node *node_of_literal(struct reader *r, const struct tree_node *node);

#endif

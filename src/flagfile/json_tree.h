/*
 * JSON text -> the same tree of nodes that YAML gives, with places. Private to flagfile/.
 *
 * Strict RFC 8259: no comments, no trailing commas, no duplicate names, UTF-8 only. Stricter where
 * a flag could come out as something else than was meant: a NUL and half of a surrogate pair are
 * refused. Nodes are in the caller's arena. Pure, any thread.
 */
#ifndef BANYAN_FLAGFILE_JSON_TREE_H
#define BANYAN_FLAGFILE_JSON_TREE_H

#include "base/buf.h"
#include "conf/conf_tree.h"

int json_tree_parse(const struct tree_input *in, struct arena *arena,
                    const struct tree_node **ret_root, struct err *err) must_check;

/* A node (of JSON or YAML) as JSON text. Numbers stay as they are written where that is JSON. */
void json_tree_write(const struct tree_node *node, struct buf *out);

/* A plain scalar that is a number: its value. Quoted text never is. */
bool tree_is_number(const struct tree_node *node, double *ret_number);

#endif

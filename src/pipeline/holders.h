/*
 * Which documents hold a row of an embedded table: the target's answer, as keys of roots.
 */
#ifndef BANYAN_PIPELINE_HOLDERS_H
#define BANYAN_PIPELINE_HOLDERS_H

#include "db/mongo.h"
#include "map/plan.h"

/* Gets the texts of the id columns of one root; borrowed until it returns. */
typedef int (*holder_fn)(void *context, const struct span *key, struct err *err);

/* Calls `fn` for the root of each document that holds one of the rows (count tuples of key texts);
 * perhaps for a few more, which costs a refresh and changes nothing. */
int holders_find(struct mongo *m, const char *database, const struct plan_node *node,
                 const struct span *keys, size_t count, holder_fn fn, void *context,
                 struct err *err) must_check;

/* The index that holders_find uses: {path of the first key column: 1}. */
int holders_ensure_index(struct mongo *m, const char *database, const struct plan_node *node,
                         struct err *err) must_check;

#endif

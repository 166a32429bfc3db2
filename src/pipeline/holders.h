/*
 * Which documents hold a row of an embedded table: the target's answer, as keys of roots.
 */
#ifndef BANYAN_PIPELINE_HOLDERS_H
#define BANYAN_PIPELINE_HOLDERS_H

#include "db/mongo.h"
#include "map/plan.h"

/* Gets one document: its `_id` as a document of one field, and the texts of the id columns of its
 * row (NULL: it is not a document of ours). Borrowed until it returns. */
typedef int (*holder_fn)(void *context, struct span id, const struct span *key, struct err *err);

/* Which of them: those whose `_id` is above `after` (as `id` above; ptr NULL: from the first), at
 * most `limit`. Pages that follow each other must be ordered, by `_id`. */
struct holders_page {
    struct span after;
    size_t limit;
    bool ordered;
};

/* Calls `fn` for each document of the page that holds one of the rows (count tuples of key texts);
 * perhaps for a few more, which costs a refresh and changes nothing. */
int holders_find(struct mongo *m, const char *database, const struct plan_node *node,
                 const struct span *keys, size_t count, const struct holders_page *page,
                 holder_fn fn, void *context, struct err *err) must_check;

/* The index that holders_find uses: {path of the first key column: 1}. */
int holders_ensure_index(struct mongo *m, const char *database, const struct plan_node *node,
                         struct err *err) must_check;

#endif

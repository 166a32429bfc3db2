/*
 * Step 6 of 8: gets a row (with the rows embedded in it), gives a BSON document.
 *
 * Rows are spans in the order of node->columns; ptr NULL is SQL NULL, row_unchanged() marks a
 * TOASTed value that an UPDATE left out. Pure: the time for stamps is an argument.
 */
#ifndef BANYAN_MAP_DOCUMENT_H
#define BANYAN_MAP_DOCUMENT_H

#include "map/plan.h"
#include "model/bsonw.h"

/* A row and, for each child node, the first of its rows (linked by `next`). Sub-trees may be
 * shared by several parents; nothing here is changed after it is linked. */
struct map_row {
    const struct map_row *next;
    const struct span *values;             /* node->column_count of them */
    const struct map_row *const *children; /* node->child_count of them; NULL where it is 0 */
};

extern const char row_unchanged_mark[1];

static inline struct span row_unchanged(void) {
    return (struct span){row_unchanged_mark, 0};
}

static inline bool row_is_unchanged(struct span s) {
    return s.ptr == row_unchanged_mark;
}

/* {"_id": canonical value}: the identity of the document that the row belongs to. `key_values`
 * are the id columns' texts in key order (never NULL). Appended to `out` as one BSON document. */
int map_identity(const struct plan_collection *c, const struct span *key_values, struct buf *out,
                 struct err *err) must_check;

/* The id columns of a root row, in key order. ERR_VALUE if one is missing or unchanged. */
int map_key_values(const struct plan_collection *c, const struct span *row, struct span *ret_values,
                   struct err *err) must_check;

/* The whole document, appended to `out`. `identity` is what map_identity gave for the row. */
int map_document(const struct plan_collection *c, struct span identity, const struct map_row *row,
                 int64_t now_ms, struct buf *out, struct err *err) must_check;

/* {"$set": {...}, "$unset": {...}} for a flat row of which some columns are unchanged; an empty
 * document when there is nothing to write. Stamps alone are not written. */
int map_update(const struct plan_collection *c, const struct span *row, int64_t now_ms,
               struct buf *out, struct err *err) must_check;

#endif

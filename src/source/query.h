/*
 * SQL that reads rows in the order and shape of a plan. Pure: text in, text out.
 *
 * Identifiers are quoted. Values stand in the text as escaped literals, because COPY takes no
 * parameters; they are cast to the type of the column they came from, so the server compares as
 * the application's own joins do. Every table is read with ONLY.
 */
#ifndef BANYAN_SOURCE_QUERY_H
#define BANYAN_SOURCE_QUERY_H

#include "map/plan.h"

/* The longest statement we send: a batch of keys at most. */
#define QUERY_MAX ((size_t)64 * 1024 * 1024)

/* Bounds of a chunk of roots, as texts of the id columns: above `after`, up to `upto`. NULL: open.
 */
struct key_range {
    const struct span *after;
    const struct span *upto;
};

/* Which of the keys that a look-up finds: those above `after` (NULL: from the first), at most
 * `limit`. Pages that follow each other must be ordered. */
struct key_page {
    const struct span *after;
    size_t limit;
    bool ordered;
};

/* COPY of all root rows of the range, in no particular order. */
void query_range(struct buf *q, const struct plan_collection *c, const struct key_range *range);

/* COPY of the first `limit` root rows of the range, in key order. */
void query_range_page(struct buf *q, const struct plan_collection *c, const struct key_range *range,
                      size_t limit);

/* SELECT of the key that `rows` rows above `after` lead to: the end of the next chunk. */
void query_chunk_end(struct buf *q, const struct plan_collection *c, const struct span *after,
                     int64_t rows);

/* COPY of the root rows with these keys; count tuples of c->id_count texts. With versions, here and
 * below: one column more, the xmin of the row (PostgreSQL 15 docs, 5.5 System Columns). */
void query_keys(struct buf *q, const struct plan_collection *c, const struct span *keys,
                size_t count, bool versions);

/* COPY of the ids, as they stand in the table, of those of these keys that exist. */
void query_existing_keys(struct buf *q, const struct plan_collection *c, const struct span *keys,
                         size_t count);

/* COPY of the ids of about `count` roots, chosen at random over the whole table. */
void query_sample_keys(struct buf *q, const struct plan_collection *c, int64_t count);

/* COPY of (group number from 1, the node's columns) for the rows that join with groups of parent
 * values, by group and in the node's order; count tuples of node->join_count texts. */
void query_children(struct buf *q, const struct plan_node *node, const struct span *groups,
                    size_t count, bool versions);

/* COPY of the ids of roots in which a row of `node` with these join values stands now; count
 * tuples of node->join_count texts (the child's own columns). */
void query_climb(struct buf *q, const struct plan_node *node, const struct span *joins,
                 size_t count, const struct key_page *page);

/* A statement that reads no row but is planned: fails where the node's join is impossible. */
void query_join_check(struct buf *q, const struct plan_node *node);

/* COPY of the ids of all roots. */
void query_all_keys(struct buf *q, const struct plan_collection *c, const struct key_page *page);

#endif

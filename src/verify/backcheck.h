/*
 * Whether a document says what its rows say, checked backwards: BSON is turned into PostgreSQL's
 * text by code that shares nothing with the decoder, and must be the row's own text but for the
 * declared loss. A decoder's mistake shows here, where comparing two decoded values cannot. Pure.
 */
#ifndef BANYAN_VERIFY_BACKCHECK_H
#define BANYAN_VERIFY_BACKCHECK_H

#include "map/document.h"

/* One value that BSON does not say as the row does. Borrowed until the function returns. */
struct backcheck_finding {
    const struct plan_node *node;
    const char *column;
    struct span path; /* dotted, without array indexes */
    struct span text; /* the row's */
    struct span back; /* made from BSON */
};
typedef int (*backcheck_fn)(void *context, const struct backcheck_finding *finding);

/* Checks every mapped column of the tree against `document`, which was made from it. 0, or what
 * `fn` answered first if not 0. */
int backcheck_document(const struct plan_collection *c, const struct map_row *row,
                       struct span document, backcheck_fn fn, void *context);

#endif

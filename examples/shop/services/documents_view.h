/*
 * Documents as the API shows them.
 *
 * A view is a table of members: name in the answer, path in the document. What a document does not
 * have is null, as it is for a NULL of SQL.
 */
#ifndef SHOP_DOCUMENTS_VIEW_H
#define SHOP_DOCUMENTS_VIEW_H

#include "base/json_write.h"

#include <bson/bson.h>

struct view;

struct view_member {
    const char *name, *path;
    const struct view *inside; /* of an embedded document, or of each in an array */
    bool day;                  /* a date without a time */
};

struct view {
    const struct view_member *members;
    size_t count;
};

extern const struct view view_product, view_listed_product, view_order, view_customer;

/* The members, into an object that the caller has opened. */
void view_write(struct json_out *j, const struct view *view, const bson_t *document);

/* Any value, as JSON: dates ISO 8601, UUIDs as text, other bytes in hex, decimals with every digit.
 */
void view_value(struct json_out *j, const char *name, const bson_iter_t *value);

/* What the items of an order cost. `bug`: added up in binary floating point, and cut to cents. */
void view_total(struct json_out *j, const bson_t *order, bool bug);

#endif

/*
 * Field names from column names. Pure.
 *
 * The stated rule: a full stop becomes U+FF0E and a dollar sign at the front U+FF04 (their
 * full-width forms), because MongoDB reads "." as a path and "$" as an operator in queries.
 */
#ifndef BANYAN_MAP_NAMES_H
#define BANYAN_MAP_NAMES_H

#include "base/buf.h"

/* unit_price -> unitPrice; underscores at the front or the end and doubled ones stay. */
void name_camel(struct buf *out, const char *name);

/* The stated rule, above. */
void name_escape(struct buf *out, const char *name);

/* Whether a name given by the user can stand as it is: not empty, no ".", no "$" at the front. */
bool name_is_plain(const char *name);

#endif

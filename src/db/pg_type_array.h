/*
 * PostgreSQL's array text -> BSON array, nested arrays nested (PostgreSQL 15 docs, 8.15.6).
 *
 * Lower bounds ("[0:1]={...}") are dropped: BSON arrays count from 0. Pure; allocates only for
 * escaped elements over 512 bytes.
 */
#ifndef BANYAN_DB_PG_TYPE_ARRAY_H
#define BANYAN_DB_PG_TYPE_ARRAY_H

#include "db/pg_type.h"

#define PG_ARRAY_DIMENSIONS_MAX 6 /* PostgreSQL's MAXDIM */

/* ERR_VALUE when `text` is no array or an element is not of its type. */
int pg_array_append(const struct pg_type *type, const struct conf_types *policy, struct span text,
                    struct bsonw *w, struct span key, struct err *err) must_check;

/* ERR_VALUE: 'invalid value of type <type>: "<start of text>"'. */
int pg_type_bad_value(const struct pg_type *type, struct span text, const char *why,
                      struct err *err) must_check;

#endif

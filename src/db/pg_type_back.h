/*
 * From BSON back to PostgreSQL's text form: written apart from pg_type.c on purpose, it shares
 * no parsing code with it, so a mistake in one shows as a difference in verification.
 * Pure, any thread.
 */
#ifndef BANYAN_DB_PG_TYPE_BACK_H
#define BANYAN_DB_PG_TYPE_BACK_H

#include "db/pg_type.h"

/* Whether the BSON value says what PostgreSQL's text says, but for the loss that `policy`
 * declares (microseconds cut, json re-spacing and number forms, ...). `back` receives the text
 * made from BSON, for the report; it is cleared first. */
bool pg_type_back_agrees(const struct pg_type *type, enum pg_retype retype,
                         const struct conf_types *policy, const bson_iter_t *value,
                         struct span text, struct buf *back);

/* Same for a key value inside `_id`, which is canonical (model/canon.h): integers are int64,
 * numeric is compared by value without its scale. */
bool pg_type_back_key_agrees(const struct pg_type *type, const struct conf_types *policy,
                             const bson_iter_t *value, struct span text, struct buf *back);

#endif

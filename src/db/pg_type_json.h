/*
 * JSON text -> BSON, strictly by RFC 8259, straight into a bsonw: a plain document stays a plain
 * document, whatever its keys look like ({"$oid": ...} is no ObjectId here).
 *
 * Rules (docs/types.md): integers that fit are int64 (or Decimal128 by policy), other numbers
 * Decimal128 as written, or their text where Decimal128 cannot hold them; of equal keys the last
 * one stays, as in jsonb; a value with a NUL in a key or nested deeper than PG_JSON_DEPTH_MAX
 * becomes its whole text as a string. Pure; allocates only for escaped keys over 512 bytes and
 * for objects of more than 64 keys that are not in jsonb's key order.
 */
#ifndef BANYAN_DB_PG_TYPE_JSON_H
#define BANYAN_DB_PG_TYPE_JSON_H

#include "conf/conf.h"
#include "model/bsonw.h"

/* Leaves 36 of MongoDB's 100 levels to the documents that a value is embedded in. */
#define PG_JSON_DEPTH_MAX 64

/* False when `text` is not JSON or not UTF-8; what was appended until then is taken back. */
bool pg_json_append(struct span text, const struct conf_types *policy, struct bsonw *w,
                    struct span key) must_check;

#endif

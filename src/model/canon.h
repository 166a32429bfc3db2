/*
 * One form for equal values: canonical keys, their hash, and the comparison of two documents.
 *
 * Canonical form of a key value: int32 becomes int64; Decimal128 has no zeros behind the point, no
 * positive exponent where 34 digits can do without, and no negative zero; a double has no
 * negative zero and one NaN; documents and arrays likewise, element by element; everything else
 * stays. `_id` is written in this form, so equal keys are equal bytes.
 *
 * Pure; any thread.
 */
#ifndef BANYAN_MODEL_CANON_H
#define BANYAN_MODEL_CANON_H

#include "base/buf.h"
#include "base/span.h"
#include "model/bsonw.h"

#include <stdint.h>

/* Appends the value under `value` in canonical form. Nesting over BSONW_DEPTH_MAX fails the
 * writer, as always. */
void canon_append(struct bsonw *w, struct span key, const bson_iter_t *value);

/* XXH3-64 of the bytes. For routing and tables in memory, never stored. */
uint64_t canon_hash(struct span bson);

/* A stable ObjectId: the first 12 bytes of XXH3-128 (seed 0, canonical big-endian form) over the
 * collection's name, a NUL and the canonical {"_id": ...} document. Documents in the field carry
 * it, so it must never change. 96 bits: among 10^9 keys two collide with a probability of 10^-11.
 */
void canon_object_id(struct span collection, struct span canonical_id_doc, bson_oid_t *ret);

enum canon_diff_kind {
    CANON_MISSING,        /* SQL has it, MongoDB does not */
    CANON_EXTRA,          /* MongoDB has it, SQL does not */
    CANON_MISMATCH,       /* same BSON type, another value; also: same fields in another order */
    CANON_TYPE_DIFFERENCE /* another BSON type */
};

/* "missing", "extra", "mismatch", "type_difference": the names of the reports. */
const char *canon_diff_kind_name(enum canon_diff_kind kind);

/* Longer paths end in "...". */
#define CANON_PATH_MAX 512

/* `path` is dotted, with array indexes: "items.3.price"; it and the iterators are valid until the
 * callback returns. `sql` is NULL for CANON_EXTRA, `mongo` for CANON_MISSING. A non-zero answer
 * ends the comparison. */
typedef int (*canon_diff_fn)(void *context, struct span path, enum canon_diff_kind kind,
                             const bson_iter_t *sql, const bson_iter_t *mongo);

struct canon_diff_options {
    const struct span *ignored; /* names of top-level fields that are not compared (stamps) */
    size_t ignored_count;
};

/* 0: equal; 1: different; ERR_VALUE: one of them is not BSON. `options` and `fn` may be NULL.
 *
 * The order of top-level fields is not compared, that inside embedded documents is. Values are
 * compared bit by bit and types exactly: 0.0 differs from -0.0, 1.50 from 1.5, int32 from int64; a
 * NaN equals one of the same bits. Below CANON_DEPTH_MAX levels bytes are compared as a whole. */
#define CANON_DEPTH_MAX 128
int canon_diff(struct span sql_doc, struct span mongo_doc, const struct canon_diff_options *options,
               canon_diff_fn fn, void *context) must_check;

/* Appends the value as short text, at most CANON_TEXT_MAX bytes, cut with "...": relaxed extended
 * JSON, except that a UUID is {"$uuid": ...} and other binary data is in hex. */
#define CANON_TEXT_MAX 256
void canon_value_text(const bson_iter_t *value, struct buf *out);

/* "int64", "decimal128", ...: for reports of a type difference. Static. */
const char *canon_type_name(bson_type_t type);

#endif

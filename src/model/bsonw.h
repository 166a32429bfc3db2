/*
 * Writes one BSON document into a buffer, front to back, without an allocation of its own.
 *
 *   struct bsonw w;
 *   bsonw_begin(&w, &buf);
 *   bsonw_int64(&w, SPAN_LIT("_id"), 7);
 *   bsonw_array_open(&w, SPAN_LIT("tags")); ... bsonw_close(&w);
 *   bsonw_end(&w);                         -> buf holds the document behind what it held before
 *
 * Invariant: nothing read back, lengths are patched at close. A failure (buffer full, nesting over
 * BSONW_DEPTH_MAX) latches: test bsonw_ok after bsonw_end. Keys must hold no NUL (the BSON format
 * ends them with one); values may. Caller makes sure that strings are UTF-8. Pure, one thread.
 * Format: bsonspec.org, version 1.1.
 */
#ifndef BANYAN_MODEL_BSONW_H
#define BANYAN_MODEL_BSONW_H

#include "base/buf.h"
#include "base/span.h"

#include <bson/bson.h>

/* MongoDB's servers accept 100 levels of nesting (MongoDB manual, "MongoDB Limits"). */
#define BSONW_DEPTH_MAX 100

struct bsonw {
    struct buf *out;
    size_t start[BSONW_DEPTH_MAX]; /* offset of each open document's length field */
    size_t depth;
    bool failed;
};

void bsonw_begin(struct bsonw *w, struct buf *out);
void bsonw_end(struct bsonw *w);

static inline bool bsonw_ok(const struct bsonw *w) {
    return !w->failed && buf_ok(w->out);
}

void bsonw_doc_open(struct bsonw *w, struct span key);
void bsonw_array_open(struct bsonw *w, struct span key);
void bsonw_close(struct bsonw *w);

void bsonw_null(struct bsonw *w, struct span key);
void bsonw_bool(struct bsonw *w, struct span key, bool v);
void bsonw_int32(struct bsonw *w, struct span key, int32_t v);
void bsonw_int64(struct bsonw *w, struct span key, int64_t v);
void bsonw_double(struct bsonw *w, struct span key, double v);
void bsonw_date_ms(struct bsonw *w, struct span key, int64_t ms_since_epoch);
void bsonw_utf8(struct bsonw *w, struct span key, struct span v);
void bsonw_binary(struct bsonw *w, struct span key, bson_subtype_t subtype, struct span v);
void bsonw_decimal128(struct bsonw *w, struct span key, bson_decimal128_t v);
void bsonw_oid(struct bsonw *w, struct span key, const bson_oid_t *v);

/* A finished document or array as a value. `doc` is its bytes, length field included. */
void bsonw_raw_doc(struct bsonw *w, struct span key, struct span doc, bool is_array);

/* The value under an iterator, under another key. */
void bsonw_iter(struct bsonw *w, struct span key, const bson_iter_t *it);

/* Room for an array index as a key; the result points into `room`. */
struct bsonw_index {
    char text[12];
};
struct span bsonw_index_key(struct bsonw_index *room, uint32_t index);

#endif

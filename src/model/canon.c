#include "model/canon.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <math.h>

typedef unsigned __int128 u128;

#define DECIMAL_SIGN (UINT64_C(1) << 63)
#define DECIMAL_SPECIAL UINT64_C(0x7800000000000000) /* infinities and NaN have these bits */
#define DECIMAL_NAN UINT64_C(0x7c00000000000000)
#define DECIMAL_LARGE UINT64_C(0x6000000000000000) /* a coefficient over 34 digits: means zero */
#define DECIMAL_ZERO_EXPONENT 6176

/* IEEE 754-2008, 3.5.2, binary integer encoding. */
static bson_decimal128_t canonical_decimal(bson_decimal128_t v) {
    const u128 limit = (u128)10000000000000000000ULL * 1000000000000000ULL; /* 10^34 */
    if ((v.high & DECIMAL_SPECIAL) == DECIMAL_SPECIAL) {
        bool nan = (v.high & DECIMAL_NAN) == DECIMAL_NAN;
        v.high = nan ? DECIMAL_NAN : v.high & (DECIMAL_SIGN | DECIMAL_SPECIAL);
        v.low = 0;
        return v;
    }
    u128 c = (u128)(v.high & ((UINT64_C(1) << 49) - 1)) << 64 | v.low;
    int exponent = (int)(v.high >> 49 & 0x3fff) - DECIMAL_ZERO_EXPONENT;
    uint64_t sign = v.high & DECIMAL_SIGN;
    if ((v.high & DECIMAL_LARGE) == DECIMAL_LARGE || c >= limit)
        c = 0;
    if (c == 0)
        sign = 0, exponent = 0;
    for (; exponent < 0 && c % 10 == 0; exponent++)
        c /= 10;
    for (; exponent > 0 && c < limit / 10; exponent--)
        c *= 10;
    v.low = (uint64_t)c;
    v.high = sign | (uint64_t)(exponent + DECIMAL_ZERO_EXPONENT) << 49 | (uint64_t)(c >> 64);
    return v;
}

static double canonical_double(double v) {
    if (isnan(v))
        return (double)NAN;
    return v == 0.0 ? 0.0 : v;
}

static void append_children(struct bsonw *w, const bson_iter_t *value) {
    bson_iter_t child;
    if (!bson_iter_recurse(value, &child)) {
        w->failed = true;
        return;
    }
    while (!w->failed && bson_iter_next(&child))
        canon_append(w, span_make(bson_iter_key(&child), bson_iter_key_len(&child)), &child);
    if (child.err_off)
        w->failed = true;
}

void canon_append(struct bsonw *w, struct span key, const bson_iter_t *value) {
    bson_decimal128_t decimal;
    switch ((int)bson_iter_type(value)) {
    case BSON_TYPE_INT32:
        bsonw_int64(w, key, bson_iter_int32(value));
        return;
    case BSON_TYPE_DOUBLE:
        bsonw_double(w, key, canonical_double(bson_iter_double(value)));
        return;
    case BSON_TYPE_DECIMAL128:
        if (bson_iter_decimal128(value, &decimal))
            bsonw_decimal128(w, key, canonical_decimal(decimal));
        return;
    case BSON_TYPE_DOCUMENT:
        bsonw_doc_open(w, key);
        append_children(w, value);
        bsonw_close(w);
        return;
    case BSON_TYPE_ARRAY:
        bsonw_array_open(w, key);
        append_children(w, value);
        bsonw_close(w);
        return;
    default:
        bsonw_iter(w, key, value);
    }
}

uint64_t canon_hash(struct span bson) {
    return XXH3_64bits(bson.ptr, bson.len);
}

void canon_object_id(struct span collection, struct span canonical_id_doc, bson_oid_t *ret) {
    XXH3_state_t state;
    XXH128_canonical_t bytes;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, collection.ptr, collection.len);
    XXH3_128bits_update(&state, "", 1);
    XXH3_128bits_update(&state, canonical_id_doc.ptr, canonical_id_doc.len);
    XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&state));
    memcpy(ret->bytes, bytes.digest, sizeof ret->bytes);
}

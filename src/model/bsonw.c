#include "model/bsonw.h"

#include <endian.h>

/* One element's header: type, key, NUL. Gives room for `more` bytes of value, or NULL. */
static char *element(struct bsonw *w, bson_type_t type, struct span key, size_t more) {
    char *p = w->failed ? NULL : buf_reserve(w->out, 1 + key.len + 1 + more);
    if (!p) {
        w->failed = true;
        return NULL;
    }
    p[0] = (char)type;
    if (key.len)
        memcpy(p + 1, key.ptr, key.len);
    p[1 + key.len] = '\0';
    w->out->len += 1 + key.len + 1 + more;
    return p + 1 + key.len + 1;
}

static void put_le32(char *at, uint32_t v) {
    v = htole32(v);
    memcpy(at, &v, 4);
}

static void put_le64(char *at, uint64_t v) {
    v = htole64(v);
    memcpy(at, &v, 8);
}

static void open_level(struct bsonw *w) {
    if (w->failed || w->depth == BSONW_DEPTH_MAX || !buf_reserve(w->out, 4)) {
        w->failed = true;
        return;
    }
    w->start[w->depth++] = w->out->len;
    w->out->len += 4;
}

void bsonw_begin(struct bsonw *w, struct buf *out) {
    w->out = out;
    w->depth = 0;
    w->failed = false;
    open_level(w);
}

void bsonw_close(struct bsonw *w) {
    if (w->failed)
        return;
    buf_add_char(w->out, '\0');
    size_t start = w->start[--w->depth];
    size_t len = w->out->len - start;
    if (!buf_ok(w->out) || len > INT32_MAX) {
        w->failed = true;
        return;
    }
    put_le32(w->out->data + start, (uint32_t)len);
}

void bsonw_end(struct bsonw *w) {
    if (!w->failed && w->depth != 1)
        w->failed = true;
    bsonw_close(w);
}

void bsonw_doc_open(struct bsonw *w, struct span key) {
    if (element(w, BSON_TYPE_DOCUMENT, key, 0))
        open_level(w);
}

void bsonw_array_open(struct bsonw *w, struct span key) {
    if (element(w, BSON_TYPE_ARRAY, key, 0))
        open_level(w);
}

void bsonw_null(struct bsonw *w, struct span key) {
    (void)element(w, BSON_TYPE_NULL, key, 0);
}

void bsonw_bool(struct bsonw *w, struct span key, bool v) {
    char *p = element(w, BSON_TYPE_BOOL, key, 1);
    if (p)
        *p = v ? 1 : 0;
}

void bsonw_int32(struct bsonw *w, struct span key, int32_t v) {
    char *p = element(w, BSON_TYPE_INT32, key, 4);
    if (p)
        put_le32(p, (uint32_t)v);
}

static void put_64(struct bsonw *w, bson_type_t type, struct span key, uint64_t v) {
    char *p = element(w, type, key, 8);
    if (p)
        put_le64(p, v);
}

void bsonw_int64(struct bsonw *w, struct span key, int64_t v) {
    put_64(w, BSON_TYPE_INT64, key, (uint64_t)v);
}

void bsonw_date_ms(struct bsonw *w, struct span key, int64_t ms_since_epoch) {
    put_64(w, BSON_TYPE_DATE_TIME, key, (uint64_t)ms_since_epoch);
}

void bsonw_double(struct bsonw *w, struct span key, double v) {
    uint64_t bits;
    memcpy(&bits, &v, 8);
    put_64(w, BSON_TYPE_DOUBLE, key, bits);
}

void bsonw_utf8(struct bsonw *w, struct span key, struct span v) {
    char *p = element(w, BSON_TYPE_UTF8, key, 4 + v.len + 1);
    if (!p)
        return;
    put_le32(p, (uint32_t)v.len + 1);
    if (v.len)
        memcpy(p + 4, v.ptr, v.len);
    p[4 + v.len] = '\0';
}

void bsonw_binary(struct bsonw *w, struct span key, bson_subtype_t subtype, struct span v) {
    char *p = element(w, BSON_TYPE_BINARY, key, 5 + v.len);
    if (!p)
        return;
    put_le32(p, (uint32_t)v.len);
    p[4] = (char)subtype;
    if (v.len)
        memcpy(p + 5, v.ptr, v.len);
}

void bsonw_decimal128(struct bsonw *w, struct span key, bson_decimal128_t v) {
    char *p = element(w, BSON_TYPE_DECIMAL128, key, 16);
    if (!p)
        return;
    put_le64(p, v.low);
    put_le64(p + 8, v.high);
}

void bsonw_oid(struct bsonw *w, struct span key, const bson_oid_t *v) {
    char *p = element(w, BSON_TYPE_OID, key, sizeof v->bytes);
    if (p)
        memcpy(p, v->bytes, sizeof v->bytes);
}

void bsonw_raw_doc(struct bsonw *w, struct span key, struct span doc, bool is_array) {
    char *p = element(w, is_array ? BSON_TYPE_ARRAY : BSON_TYPE_DOCUMENT, key, doc.len);
    if (p)
        memcpy(p, doc.ptr, doc.len);
}

void bsonw_iter(struct bsonw *w, struct span key, const bson_iter_t *it) {
    uint32_t value_len = it->next_off - it->d1;
    char *p = element(w, bson_iter_type(it), key, value_len);
    if (p && value_len)
        memcpy(p, it->raw + it->d1, value_len);
}

struct span bsonw_index_key(struct bsonw_index *room, uint32_t index) {
    char *end = room->text + sizeof room->text;
    char *p = end;
    do {
        *--p = (char)('0' + index % 10);
        index /= 10;
    } while (index);
    return span_make(p, (size_t)(end - p));
}

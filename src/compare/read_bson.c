/* BSON (bsonspec.org, version 1.1) as nodes. By hand: an iterator that is called for each question
 * about each field costs more than the comparison. */
#include "compare/decimal.h"
#include "compare/value.h"

#include <string.h>

/* Types of elements, bsonspec.org. */
enum bson {
    BSON_DOUBLE = 0x01,
    BSON_STRING = 0x02,
    BSON_OBJECT = 0x03,
    BSON_ARRAY = 0x04,
    BSON_BINARY = 0x05,
    BSON_UNDEFINED = 0x06,
    BSON_OBJECT_ID = 0x07,
    BSON_BOOL = 0x08,
    BSON_DATE = 0x09,
    BSON_NULL = 0x0a,
    BSON_REGEX = 0x0b,
    BSON_DB_POINTER = 0x0c,
    BSON_CODE = 0x0d,
    BSON_SYMBOL = 0x0e,
    BSON_CODE_SCOPE = 0x0f,
    BSON_INT32 = 0x10,
    BSON_TIMESTAMP = 0x11,
    BSON_INT64 = 0x12,
    BSON_DECIMAL = 0x13,
    BSON_MAX = 0x7f,
    BSON_MIN = 0xff
};

#define DOCUMENT_MIN 5 /* length and the last zero */
#define UUID_SUBTYPE 4

struct reader {
    struct arena *arena;
    struct err *err;
    const char *p, *end; /* end: of the document being read, before its last zero */
    /* Grows by halves; the arena keeps what was before until it is reset. */
    struct compare_value *items;
    uint32_t count, room;
    int rc;
};

static void *limit(struct reader *r) {
    r->rc = err_set(r->err, ERR_LIMIT,
                    "too large to compare: more than %d values, or than memory for "
                    "them",
                    COMPARE_NODES_MAX);
    return NULL;
}

static bool damaged(struct reader *r) {
    r->rc = err_set(r->err, ERR_VALUE, "the BSON document is damaged");
    return false;
}

static struct compare_value *add(struct reader *r) {
    if (r->count == r->room) {
        uint32_t room = r->room ? r->room + r->room / 2 : 64;
        if (room > COMPARE_NODES_MAX)
            room = COMPARE_NODES_MAX;
        if (r->count == room)
            return limit(r);
        struct compare_value *items = arena_alloc(r->arena, room * sizeof *items);
        if (!items)
            return limit(r);
        if (r->count)
            memcpy(items, r->items, r->count * sizeof *items);
        r->items = items;
        r->room = room;
    }
    struct compare_value *v = &r->items[r->count++];
    *v = (struct compare_value){.size = 1};
    return v;
}

/* ---- values ---- */

/* The next `len` bytes; NULL: they are not there. */
static const char *take(struct reader *r, size_t len) {
    const char *p = r->p;
    if ((size_t)(r->end - p) < len) {
        (void)damaged(r);
        return NULL;
    }
    r->p += len;
    return p;
}

static bool take_int32(struct reader *r, int32_t *ret) {
    const char *p = take(r, sizeof *ret);
    if (p)
        memcpy(ret, p, sizeof *ret);
    return p;
}

static bool take_int64(struct reader *r, int64_t *ret) {
    const char *p = take(r, sizeof *ret);
    if (p)
        memcpy(ret, p, sizeof *ret);
    return p;
}

static bool take_bytes(struct reader *r, size_t len, struct span *ret) {
    const char *p = take(r, len);
    if (p)
        *ret = span_make(p, len);
    return p;
}

/* NULL: there is none. */
static struct span take_name(struct reader *r, uint32_t *ret_hash) {
    struct span name = compare_name(r->p, r->end, ret_hash);
    if (name.ptr)
        r->p += name.len + 1;
    else
        (void)damaged(r);
    return name;
}

/* A length that counts the zero behind the text. */
static bool take_string(struct reader *r, struct span *ret) {
    int32_t len;
    if (!take_int32(r, &len) || len < 1)
        return r->rc == 0 ? damaged(r) : false;
    if (!take_bytes(r, (size_t)len, ret))
        return false;
    ret->len--;
    return ret->ptr[ret->len] == 0 || damaged(r);
}

static bool take_binary(struct reader *r, struct compare_value *v) {
    int32_t len;
    const char *subtype;
    if (!take_int32(r, &len) || !(subtype = take(r, 1)))
        return false;
    if (len < 0)
        return damaged(r);
    v->number = (unsigned char)*subtype;
    v->type = v->number == UUID_SUBTYPE && len == 16 ? COMPARE_UUID : COMPARE_BINARY;
    return take_bytes(r, (size_t)len, &v->text);
}

static bool take_decimal(struct reader *r, struct compare_value *v) {
    int64_t low, high;
    if (!take_int64(r, &low) || !take_int64(r, &high))
        return false;
    char *text = arena_alloc(r->arena, DECIMAL_TEXT);
    if (!text)
        return limit(r);
    v->type = COMPARE_DECIMAL;
    v->text = span_make(text, decimal_text((uint64_t)high, (uint64_t)low, text));
    return true;
}

/* What has no counterpart elsewhere is compared by its bytes. */
static bool take_other(struct reader *r, enum bson type, struct compare_value *v) {
    const char *from = r->p;
    struct span ignored;
    uint32_t hash;
    int32_t len;
    bool ok = true;
    v->type = COMPARE_OTHER;
    v->number = type;
    switch ((unsigned)type) {
    case BSON_UNDEFINED:
    case BSON_MIN:
    case BSON_MAX:
        break;
    case BSON_TIMESTAMP:
        ok = take(r, 8);
        break;
    case BSON_REGEX:
        ok = take_name(r, &hash).ptr; /* the pattern, the options */
        ok = ok && take_name(r, &hash).ptr;
        break;
    case BSON_DB_POINTER:
        ok = take_string(r, &ignored) && take(r, 12);
        break;
    case BSON_CODE:
    case BSON_SYMBOL:
        ok = take_string(r, &ignored);
        break;
    case BSON_CODE_SCOPE:
        if (!take_int32(r, &len))
            return false;
        if (len < 4)
            return damaged(r);
        ok = take(r, (size_t)len - 4);
        break;
    default:
        r->rc = err_set(r->err, ERR_VALUE,
                        "the BSON document has a value of the unknown type 0x%02x", type);
        return false;
    }
    v->text = span_make(from, (size_t)(r->p - from));
    return ok;
}

static bool take_scalar(struct reader *r, enum bson type, struct compare_value *v) {
    const char *p;
    int32_t small;
    switch ((unsigned)type) {
    case BSON_NULL:
        v->type = COMPARE_NULL;
        return true;
    case BSON_BOOL:
        v->type = COMPARE_BOOL;
        if (!(p = take(r, 1)))
            return false;
        v->number = *p != 0;
        return (*p & ~1) == 0 || damaged(r);
    case BSON_INT32:
        v->type = COMPARE_INT;
        if (!take_int32(r, &small))
            return false;
        v->number = small;
        return true;
    case BSON_INT64:
        v->type = COMPARE_INT;
        return take_int64(r, &v->number);
    case BSON_DATE:
        v->type = COMPARE_DATE;
        return take_int64(r, &v->number);
    case BSON_DOUBLE:
        v->type = COMPARE_DOUBLE;
        if ((p = take(r, sizeof v->real)))
            memcpy(&v->real, p, sizeof v->real);
        return p;
    case BSON_STRING:
        v->type = COMPARE_STRING;
        return take_string(r, &v->text);
    case BSON_OBJECT_ID:
        v->type = COMPARE_OBJECT_ID;
        return take_bytes(r, 12, &v->text);
    case BSON_BINARY:
        return take_binary(r, v);
    case BSON_DECIMAL:
        return take_decimal(r, v);
    default:
        return take_other(r, type, v);
    }
}

/* ---- documents ---- */

struct level {
    const char *end; /* of the document around */
    uint32_t at;     /* the object or array */
};

/* From its length on; what is read next is in it. */
static bool enter(struct reader *r, struct level *l, uint32_t at) {
    const char *from = r->p;
    int32_t len;
    if (!take_int32(r, &len))
        return false;
    if (len < DOCUMENT_MIN || (size_t)(r->end - from) < (size_t)len || from[len - 1] != 0)
        return damaged(r);
    *l = (struct level){.end = r->end, .at = at};
    r->end = from + len - 1;
    return true;
}

static void leave(struct reader *r, const struct level *l) {
    r->items[l->at].size = r->count - l->at;
    r->p = r->end + 1;
    r->end = l->end;
}

/* Without recursion: what comes from outside does not choose how deep our stack gets. */
static void read_levels(struct reader *r, struct level *levels) {
    size_t depth = 0;
    for (;;) {
        const struct level *l = &levels[depth];
        if (r->p == r->end) {
            leave(r, l);
            if (depth-- == 0)
                return;
            continue;
        }
        enum bson type = (enum bson)(unsigned char)*r->p++;
        struct compare_value *v = add(r);
        if (!v)
            return;
        uint32_t hash;
        const struct span name = take_name(r, &hash);
        if (!name.ptr)
            return;
        r->items[l->at].count++;
        if (r->items[l->at].type == COMPARE_OBJECT) {
            v->name = name;
            v->hash = hash;
        }
        if (type != BSON_OBJECT && type != BSON_ARRAY) {
            if (!take_scalar(r, type, v))
                return;
            continue;
        }
        v->type = type == BSON_OBJECT ? COMPARE_OBJECT : COMPARE_ARRAY;
        if (++depth == COMPARE_DEPTH_MAX) {
            r->rc = err_set(r->err, ERR_LIMIT, "more than %d levels deep", COMPARE_DEPTH_MAX);
            return;
        }
        if (!enter(r, &levels[depth], r->count - 1))
            return;
    }
}

/* One document, which is the node at `at`. */
static bool read_document(struct reader *r, struct span bson, struct level *levels, uint32_t at) {
    r->p = bson.ptr;
    r->end = bson.ptr + bson.len;
    r->items[at].type = COMPARE_OBJECT;
    if (!enter(r, &levels[0], at))
        return false;
    if (r->end + 1 != bson.ptr + bson.len)
        return damaged(r);
    read_levels(r, levels);
    return r->rc == 0;
}

int compare_read_bson(struct span bson, struct arena *arena, struct compare_tree *ret,
                      struct err *err) {
    struct reader r = {.arena = arena, .err = err};
    struct level levels[COMPARE_DEPTH_MAX];
    if (add(&r) && read_document(&r, bson, levels, 0))
        *ret = (struct compare_tree){r.items, r.count};
    return r.rc;
}

int compare_read_bson_list(const struct span *documents, size_t count, struct arena *arena,
                           struct compare_tree *ret, struct err *err) {
    struct reader r = {.arena = arena, .err = err};
    struct level levels[COMPARE_DEPTH_MAX];
    if (!add(&r))
        return r.rc;
    r.items[0].type = COMPARE_ARRAY;
    for (size_t i = 0; i < count; i++) {
        r.items[0].count++;
        if (!add(&r))
            return r.rc;
        if (!read_document(&r, documents[i], levels, r.count - 1))
            return err_prefix(err, "document %zu", i + 1);
    }
    r.items[0].size = r.count;
    *ret = (struct compare_tree){r.items, r.count};
    return 0;
}

#include "db/pg_type_json.h"

#include "base/mem.h"
#include "base/spanmap.h"
#include "base/text.h"
#include "base/utf8.h"
#include "db/pg_type_number.h"

#define KEY_ROOM 512
#define SMALL_OBJECT 64

struct json {
    const char *p, *end;
    struct bsonw *w;
    const struct conf_types *policy;
    int depth;
    bool as_text; /* valid, but BSON cannot hold it: the caller appends the text */
    char key_room[KEY_ROOM];
    char *key_heap;
};

/* A string in the source, quotes left out. */
struct json_string {
    struct span raw;
    bool escaped;
};

static bool value(struct json *j, struct span key);

static void skip_space(struct json *j) {
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r'))
        j->p++;
}

static bool at(const struct json *j, char c) {
    return j->p < j->end && *j->p == c;
}

static bool word(struct json *j, const char *text, size_t len) {
    if ((size_t)(j->end - j->p) < len || memcmp(j->p, text, len) != 0)
        return false;
    j->p += len;
    return true;
}

/* From behind the opening quote to behind the closing one. Escapes are checked by unescape. */
static bool scan_string(struct json *j, struct json_string *ret) {
    const char *from = j->p;
    bool escaped = false;
    for (const char *p = from; p < j->end; p++) {
        if (*p == '"') {
            j->p = p + 1;
            *ret = (struct json_string){span_make(from, (size_t)(p - from)), escaped};
            return true;
        }
        if ((unsigned char)*p < 0x20)
            return false;
        if (*p == '\\') {
            escaped = true;
            p++;
        }
    }
    return false;
}

/* Four hex digits at `p`, or -1. */
static int hex4(const char *p, const char *end) {
    if (end - p < 4)
        return -1;
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int d = text_hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *to, unsigned c) {
    return to + utf8_put(c, to);
}

/* \uXXXX or a surrogate pair of two; `*p` is behind the 'u'. A half pair is no character. */
static char *unescape_u(const char **p, const char *end, char *to) {
    int high = hex4(*p, end);
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return NULL;
    *p += 4;
    if (high < 0xd800 || high > 0xdbff)
        return put_utf8(to, (unsigned)high);
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return NULL;
    int low = hex4(*p + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return NULL;
    *p += 6;
    return put_utf8(to, 0x10000U + ((unsigned)(high - 0xd800) << 10) + (unsigned)(low - 0xdc00));
}

/* `to` may be where `raw` is: no escape is shorter than its character. False on a bad escape. */
static bool unescape(struct span raw, char *to, size_t *ret_len) {
    static const char from_letter[] = "\"\\/bfnrt", to_char[] = "\"\\/\b\f\n\r\t";
    char *start = to;
    for (const char *p = raw.ptr, *end = p + raw.len; p < end;) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (++p == end)
            return false;
        char c = *p++;
        if (c == 'u') {
            to = unescape_u(&p, end, to);
            if (!to)
                return false;
            continue;
        }
        const char *known = memchr(from_letter, c, sizeof from_letter - 1);
        if (!known)
            return false;
        *to++ = to_char[known - from_letter];
    }
    *ret_len = (size_t)(to - start);
    return true;
}

/* Writes the raw bytes as the value, then unescapes them where they are and shortens it: no
 * second buffer, one pass more only for strings with escapes. */
static bool string_value(struct json *j, struct span key) {
    struct json_string s;
    j->p++;
    if (!scan_string(j, &s))
        return false;
    bsonw_utf8(j->w, key, s.raw);
    if (!s.escaped || !bsonw_ok(j->w))
        return true;
    struct buf *out = j->w->out;
    char *text = out->data + out->len - 1 - s.raw.len;
    size_t len;
    if (!unescape(span_make(text, s.raw.len), text, &len))
        return false;
    text[len] = '\0';
    uint32_t size = BSON_UINT32_TO_LE((uint32_t)len + 1);
    memcpy(text - 4, &size, 4);
    out->len -= s.raw.len - len;
    return true;
}

/* A key; valid until the next call. */
static bool key_text(struct json *j, struct span *ret) {
    struct json_string s;
    if (!at(j, '"'))
        return false;
    j->p++;
    if (!scan_string(j, &s))
        return false;
    *ret = s.raw;
    if (!s.escaped)
        return true;
    char *room = j->key_room;
    if (s.raw.len > KEY_ROOM)
        room = j->key_heap = mem_realloc(j->key_heap, s.raw.len, 1);
    size_t len;
    if (!unescape(s.raw, room, &len))
        return false;
    *ret = span_make(room, len);
    return true;
}

static bool number_value(struct json *j, struct span key) {
    const char *from = j->p;
    while (j->p < j->end && ((*j->p >= '0' && *j->p <= '9') || *j->p == '-' || *j->p == '+' ||
                             *j->p == '.' || *j->p == 'e' || *j->p == 'E'))
        j->p++;
    struct span text = span_make(from, (size_t)(j->p - from));
    struct pg_number n;
    if (!pg_number_scan(text, &n))
        return false;
    const char *first = from + n.negative;
    if (*first == '0' && first + 1 < j->p && first[1] >= '0' && first[1] <= '9')
        return false; /* JSON has no leading zeros */
    int64_t integer;
    bson_decimal128_t decimal;
    if (n.plain && j->policy->bigint_json == CONF_BIGINT_INT64 && pg_number_int64(&n, &integer))
        bsonw_int64(j->w, key, integer);
    else if (pg_number_decimal(&n, &decimal))
        bsonw_decimal128(j->w, key, decimal);
    else
        bsonw_utf8(j->w, key, text);
    return true;
}

/* True when `dead` was set for at least one of the elements. Few keys: compares all pairs. */
static bool mark_small(bson_iter_t *it, size_t count, char *dead) {
    struct span keys[SMALL_OBJECT];
    bool any = false;
    for (size_t i = 0; i < count && bson_iter_next(it); i++) {
        keys[i] = span_make(bson_iter_key(it), bson_iter_key_len(it));
        for (size_t k = 0; k < i; k++) {
            if (span_eq(keys[k], keys[i])) {
                dead[k] = 1;
                any = true;
            }
        }
    }
    return any;
}

static bool mark_large(bson_iter_t *it, size_t count, char *dead) {
    _cleanup_(spanmap_release) struct spanmap last = {0};
    bool any = false;
    for (size_t i = 0; i < count && bson_iter_next(it); i++) {
        bool fresh;
        uint32_t *at_index =
            spanmap_put(&last, span_make(bson_iter_key(it), bson_iter_key_len(it)), &fresh);
        if (!fresh) {
            dead[*at_index] = 1;
            any = true;
        }
        *at_index = (uint32_t)i;
    }
    return any;
}

/* Moves the elements that stay over those that go. `len` is that of the whole object. */
static size_t compact(char *doc, size_t len, size_t count, const char *dead) {
    bson_iter_t it;
    size_t to = 4, from = 4;
    if (!bson_iter_init_from_data(&it, (const uint8_t *)doc, len))
        return len;
    for (size_t i = 0; i < count && bson_iter_next(&it); i++) {
        size_t next = it.next_off; /* read before the move: the iterator looks ahead only */
        if (!dead[i]) {
            memmove(doc + to, doc + from, next - from);
            to += next - from;
        }
        from = next;
    }
    doc[to] = '\0';
    return to + 1;
}

/* `start` is the offset of the closed object's length field; it ends at the end of the buffer. */
static void drop_duplicates(struct bsonw *w, size_t start, size_t count) {
    if (!bsonw_ok(w))
        return;
    char *doc = w->out->data + start;
    size_t len = w->out->len - start;
    bson_iter_t it;
    if (!bson_iter_init_from_data(&it, (const uint8_t *)doc, len))
        return;
    char small[SMALL_OBJECT] = {0};
    _cleanup_(mem_freep) char *large = count > SMALL_OBJECT ? mem_zalloc(count, 1) : NULL;
    char *dead = large ? large : small;
    if (!(large ? mark_large(&it, count, dead) : mark_small(&it, count, dead)))
        return;
    size_t kept = compact(doc, len, count, dead);
    uint32_t size = BSON_UINT32_TO_LE((uint32_t)kept);
    memcpy(doc, &size, 4);
    w->out->len = start + kept;
}

static bool key_after(struct span before, struct span key) {
    if (key.len != before.len)
        return key.len > before.len;
    return memcmp(key.ptr, before.ptr, key.len) > 0;
}

/* The key written last: behind the type byte at `offset`. */
static struct span written_key(const struct bsonw *w, size_t offset, size_t len) {
    return span_make(w->out->data + offset + 1, len);
}

static bool members(struct json *j, size_t *ret_count, bool *ret_ascending) {
    size_t before_at = 0, before_len = 0, count = 0;
    bool ascending = true;
    for (;;) {
        struct span key;
        skip_space(j);
        if (!key_text(j, &key))
            return false;
        skip_space(j);
        if (!at(j, ':'))
            return false;
        if (key.len && memchr(key.ptr, '\0', key.len)) {
            j->as_text = true; /* what follows is not looked at */
            return false;
        }
        j->p++;
        if (ascending && count && bsonw_ok(j->w))
            ascending = key_after(written_key(j->w, before_at, before_len), key);
        before_at = j->w->out->len;
        before_len = key.len;
        count++;
        if (!value(j, key))
            return false;
        skip_space(j);
        if (!at(j, ','))
            break;
        j->p++;
    }
    *ret_count = count;
    *ret_ascending = ascending;
    return at(j, '}');
}

static bool object_value(struct json *j, struct span key) {
    bsonw_doc_open(j->w, key);
    size_t start = bsonw_ok(j->w) ? j->w->start[j->w->depth - 1] : 0;
    size_t count = 0;
    bool ascending = true;
    j->p++;
    skip_space(j);
    if (!at(j, '}') && !members(j, &count, &ascending))
        return false;
    j->p++;
    bsonw_close(j->w);
    if (!ascending)
        drop_duplicates(j->w, start, count);
    return true;
}

static bool array_value(struct json *j, struct span key) {
    bsonw_array_open(j->w, key);
    j->p++;
    skip_space(j);
    if (!at(j, ']')) {
        for (uint32_t i = 0;; i++) {
            struct bsonw_index room;
            if (!value(j, bsonw_index_key(&room, i)))
                return false;
            skip_space(j);
            if (!at(j, ','))
                break;
            j->p++;
        }
    }
    if (!at(j, ']'))
        return false;
    j->p++;
    bsonw_close(j->w);
    return true;
}

static bool container(struct json *j, struct span key) {
    if (j->depth == PG_JSON_DEPTH_MAX) {
        j->as_text = true;
        return false;
    }
    j->depth++;
    bool ok = *j->p == '{' ? object_value(j, key) : array_value(j, key);
    j->depth--;
    return ok;
}

static bool value(struct json *j, struct span key) {
    skip_space(j);
    if (j->p == j->end)
        return false;
    switch (*j->p) {
    case '{':
    case '[':
        return container(j, key);
    case '"':
        return string_value(j, key);
    case 't':
        bsonw_bool(j->w, key, true);
        return word(j, "true", 4);
    case 'f':
        bsonw_bool(j->w, key, false);
        return word(j, "false", 5);
    case 'n':
        bsonw_null(j->w, key);
        return word(j, "null", 4);
    default:
        return number_value(j, key);
    }
}

bool pg_json_append(struct span text, const struct conf_types *policy, struct bsonw *w,
                    struct span key) {
    if (!utf8_valid(text))
        return false;
    struct json j;
    j.p = text.ptr;
    j.end = text.ptr + text.len;
    j.w = w;
    j.policy = policy;
    j.depth = 0;
    j.as_text = false;
    j.key_heap = NULL;
    size_t len_before = w->out->len, depth_before = w->depth;
    bool ok = value(&j, key);
    skip_space(&j);
    ok = ok && j.p == j.end;
    free(j.key_heap);
    if (ok || !bsonw_ok(w)) /* a full buffer is the caller's to report, not bad JSON */
        return true;
    w->out->len = len_before;
    w->depth = depth_before;
    if (j.as_text)
        bsonw_utf8(w, key, text);
    return j.as_text;
}

#include "base/spanmap.h"
#include "db/pg_type_back_parts.h"

#include <inttypes.h>
#include <stdio.h>

#define DEPTH_MAX 64 /* stated in docs/types.md */

struct text {
    const char *p, *end;
    const struct conf_types *policy;
    bool unique_keys;
    int depth;
    struct buf string; /* the string read last, unescaped */
};

static bool agrees(struct text *t, const bson_iter_t *v);

static char peek(struct text *t) {
    while (t->p < t->end && memchr(" \t\r\n", *t->p, 4))
        t->p++;
    return t->p < t->end ? *t->p : '\0';
}

static bool take(struct text *t, char c) {
    if (peek(t) != c)
        return false;
    t->p++;
    return true;
}

static uint32_t code_unit(struct text *t) {
    uint32_t v = 0;
    for (int i = 0; i < 4 && t->p < t->end; i++, t->p++) {
        char c = *t->p;
        v = v * 16 + (uint32_t)(c <= '9' ? c - '0' : (c & 0x5f) - 'A' + 10);
    }
    return v;
}

static void add_character(struct buf *b, uint32_t c) {
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    char bytes[4];
    for (int i = len - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(lead[len > 1 ? len : 0] | c);
    buf_add(b, bytes, (size_t)len);
}

static void add_escaped(struct text *t) {
    char c = *t->p++;
    if (c != 'u') {
        char plain = c == 'n'   ? '\n'
                     : c == 't' ? '\t'
                     : c == 'r' ? '\r'
                     : c == 'b' ? '\b'
                     : c == 'f' ? '\f'
                                : c;
        buf_add_char(&t->string, plain);
        return;
    }
    uint32_t unit = code_unit(t);
    if (unit >= 0xd800 && unit < 0xdc00 && t->end - t->p >= 6) {
        t->p += 2;
        unit = 0x10000 + (unit - 0xd800) * 0x400 + (code_unit(t) - 0xdc00);
    }
    add_character(&t->string, unit);
}

/* Into t->string. The text came from the server, which has checked it: no second check here. */
static bool read_string(struct text *t) {
    buf_clear(&t->string);
    if (!take(t, '"'))
        return false;
    while (t->p < t->end && *t->p != '"') {
        const char *from = t->p;
        while (t->p < t->end && *t->p != '"' && *t->p != '\\')
            t->p++;
        buf_add(&t->string, from, (size_t)(t->p - from));
        if (t->end - t->p >= 2 && *t->p == '\\') {
            t->p++;
            add_escaped(t);
        } else if (t->p < t->end && *t->p == '\\') {
            return false;
        }
    }
    if (t->p >= t->end)
        return false;
    t->p++;
    return buf_ok(&t->string);
}

/* Over one value, whatever it is: brackets are counted outside of strings. */
static bool skip_value(struct text *t) {
    int open = 0;
    do {
        char c = peek(t);
        if (c == '"') {
            if (!read_string(t))
                return false;
        } else if (c == '{' || c == '[') {
            open++;
            t->p++;
        } else if (c == '}' || c == ']') {
            open--;
            t->p++;
        } else if (c == ',' || c == ':') {
            if (open == 0)
                return false;
            t->p++;
        } else if (c == '\0') {
            return false;
        } else {
            while (t->p < t->end && !memchr(" \t\r\n,:]}\"[{", *t->p, 11))
                t->p++;
        }
    } while (open > 0);
    return open == 0;
}

/* Where each key of the object at t->p comes last. The keys are kept in `keys`, one behind the
 * other; spans are made when it no longer moves. */
struct last_places {
    struct buf keys;
    struct buf ends; /* size_t each: where a key ends in `keys` */
    struct spanmap map;
};

static void places_release(struct last_places *l) {
    buf_release(&l->keys);
    buf_release(&l->ends);
    spanmap_release(&l->map);
}

static bool find_last_places(struct text *t, struct last_places *l) {
    const char *start = t->p;
    size_t count = 0;
    buf_init(&l->keys, (size_t)(t->end - t->p));
    (void)buf_reserve(&l->keys, 1);
    buf_init(&l->ends, SIZE_MAX / 2);
    do {
        if (!read_string(t))
            return false;
        buf_add_span(&l->keys, buf_span(&t->string));
        buf_add(&l->ends, &l->keys.len, sizeof l->keys.len);
        count++;
        if (!take(t, ':') || !skip_value(t))
            return false;
    } while (take(t, ','));
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        size_t end;
        bool fresh;
        memcpy(&end, l->ends.data + i * sizeof end, sizeof end);
        *spanmap_put(&l->map, span_make(l->keys.data + from, end - from), &fresh) = (uint32_t)i;
        from = end;
    }
    t->p = start;
    return true;
}

static bool members_agree(struct text *t, bson_iter_t *child, const struct last_places *last) {
    uint32_t i = 0;
    do {
        if (!read_string(t) || !take(t, ':'))
            return false;
        struct span key = buf_span(&t->string);
        const uint32_t *place = last ? spanmap_get(&last->map, key) : NULL;
        if (place && *place != i++) {
            if (!skip_value(t))
                return false;
            continue;
        }
        if (!bson_iter_next(child) ||
            !span_eq(key, span_make(bson_iter_key(child), bson_iter_key_len(child))))
            return false;
        if (!agrees(t, child))
            return false;
    } while (take(t, ','));
    return take(t, '}') && !bson_iter_next(child);
}

static bool object_agrees(struct text *t, const bson_iter_t *v) {
    bson_iter_t child;
    if (!BSON_ITER_HOLDS_DOCUMENT(v) || !bson_iter_recurse(v, &child) || !take(t, '{'))
        return false;
    if (take(t, '}'))
        return !bson_iter_next(&child);
    if (t->unique_keys)
        return members_agree(t, &child, NULL);
    _cleanup_(places_release) struct last_places last = {.keys = {0}};
    return find_last_places(t, &last) && members_agree(t, &child, &last);
}

static bool array_agrees(struct text *t, const bson_iter_t *v) {
    bson_iter_t child;
    if (!BSON_ITER_HOLDS_ARRAY(v) || !bson_iter_recurse(v, &child) || !take(t, '['))
        return false;
    if (take(t, ']'))
        return !bson_iter_next(&child);
    uint32_t i = 0;
    do {
        char key[12];
        if (!bson_iter_next(&child))
            return false;
        int len = snprintf(key, sizeof key, "%" PRIu32, i++);
        if (!span_eq(span_make(key, (size_t)len),
                     span_make(bson_iter_key(&child), bson_iter_key_len(&child))))
            return false;
        if (!agrees(t, &child))
            return false;
    } while (take(t, ','));
    return take(t, ']') && !bson_iter_next(&child);
}

static bool fits_int64(const struct back_number *n, struct span text) {
    size_t digits = text.len - n->negative;
    if (!n->integer || digits > 19)
        return false;
    const char *limit = n->negative ? "9223372036854775808" : "9223372036854775807";
    return digits < 19 || memcmp(text.ptr + n->negative, limit, 19) <= 0;
}

static bool number_agrees(struct text *t, const bson_iter_t *v) {
    const char *from = t->p;
    while (t->p < t->end && memchr("0123456789+-.eE", *t->p, 15))
        t->p++;
    struct span text = span_make(from, (size_t)(t->p - from));
    struct back_number n;
    if (!back_number_read(text, &n))
        return false;
    if (t->policy->bigint_json == CONF_BIGINT_INT64 && fits_int64(&n, text)) {
        char made[24];
        int len = BSON_ITER_HOLDS_INT64(v)
                      ? snprintf(made, sizeof made, "%" PRId64, bson_iter_int64(v))
                      : 0;
        return span_eq(span_make(made, (size_t)len), text) ||
               (len == 1 && made[0] == '0' && n.count == 0);
    }
    if (back_number_is_decimal(&n)) {
        bson_decimal128_t d;
        return BSON_ITER_HOLDS_DECIMAL128(v) && bson_iter_decimal128(v, &d) &&
               back_decimal_agrees(&d, text);
    }
    uint32_t len;
    const char *s = BSON_ITER_HOLDS_UTF8(v) ? bson_iter_utf8(v, &len) : NULL;
    return s && span_eq(span_make(s, len), text);
}

static bool word_agrees(struct text *t, const char *word, bool same) {
    size_t len = strlen(word);
    bool there = (size_t)(t->end - t->p) >= len && memcmp(t->p, word, len) == 0;
    t->p += there ? len : 0;
    return there && same;
}

static bool string_agrees(struct text *t, const bson_iter_t *v) {
    uint32_t len;
    const char *s = BSON_ITER_HOLDS_UTF8(v) ? bson_iter_utf8(v, &len) : NULL;
    return s && read_string(t) && span_eq(buf_span(&t->string), span_make(s, len));
}

static bool agrees(struct text *t, const bson_iter_t *v) {
    bool ok;
    char c = peek(t);
    switch (c) {
    case '{':
    case '[':
        if (t->depth == DEPTH_MAX)
            return false;
        t->depth++;
        ok = c == '{' ? object_agrees(t, v) : array_agrees(t, v);
        t->depth--;
        return ok;
    case '"':
        return string_agrees(t, v);
    case 't':
        return word_agrees(t, "true", BSON_ITER_HOLDS_BOOL(v) && bson_iter_bool(v));
    case 'f':
        return word_agrees(t, "false", BSON_ITER_HOLDS_BOOL(v) && !bson_iter_bool(v));
    case 'n':
        return word_agrees(t, "null", BSON_ITER_HOLDS_NULL(v));
    default:
        return number_agrees(t, v);
    }
}

/* Whether a rule keeps the value as its text: too deep, or a NUL in a key. */
static bool must_stay_text(struct text *t) {
    int open = 0;
    for (char c = peek(t); c != '\0'; c = peek(t)) {
        if (c != '"') {
            open += (c == '{' || c == '[') - (c == '}' || c == ']');
            if (open > DEPTH_MAX)
                return true;
            t->p++;
            continue;
        }
        if (!read_string(t))
            return false;
        if (t->string.len && memchr(t->string.data, '\0', t->string.len) && peek(t) == ':')
            return true;
    }
    return false;
}

bool back_json_agrees(const bson_iter_t *value, struct span text, const struct conf_types *policy,
                      bool unique_keys) {
    struct text t = {
        .p = text.ptr, .end = text.ptr + text.len, .policy = policy, .unique_keys = unique_keys};
    buf_init(&t.string, text.len + 8);
    (void)buf_reserve(&t.string, 1); /* an empty string is not NULL */
    bool ok = agrees(&t, value) && peek(&t) == '\0' && t.p == t.end;
    if (!ok && BSON_ITER_HOLDS_UTF8(value)) {
        uint32_t len;
        const char *s = bson_iter_utf8(value, &len);
        t.p = text.ptr;
        ok = span_eq(span_make(s, len), text) && must_stay_text(&t);
    }
    buf_release(&t.string);
    return ok;
}

#include "base/json_text.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/canon.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

#define DEPTH_MAX 6
#define BINARY_SHOWN 32

/* Cut at a character, so that the text stays valid. */
static size_t whole_characters(struct span s, size_t most) {
    if (s.len <= most)
        return s.len;
    size_t n = 0;
    for (;;) {
        size_t next = utf8_char_len(span_make(s.ptr + n, s.len - n));
        if (n + (next ? next : 1) > most)
            return n;
        n += next ? next : 1;
    }
}

static void add_string(struct buf *out, struct span s) {
    size_t n = whole_characters(s, CANON_TEXT_MAX / 2);
    json_text_string(out, span_make(s.ptr, n));
    if (n < s.len)
        buf_add_text(out, "...");
}

static void add_double(struct buf *out, double v) {
    if (!isfinite(v)) {
        buf_printf(out, "{\"$numberDouble\": \"%s\"}",
                   isnan(v) ? "NaN" : (v < 0 ? "-Infinity" : "Infinity"));
        return;
    }
    char room[TEXT_DOUBLE_MAX];
    buf_add(out, room, text_double(v, room));
    if (!strpbrk(room, ".e"))
        buf_add_text(out, ".0"); /* not an integer */
}

static void add_date(struct buf *out, int64_t ms) {
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || tm.tm_year < -1899 || tm.tm_year > 8099) {
        buf_printf(out, "{\"$date\": {\"$numberLong\": \"%" PRId64 "\"}}", ms);
        return;
    }
    buf_printf(out, "{\"$date\": \"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"}", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(ms - seconds * 1000));
}

static void add_binary(struct buf *out, const bson_iter_t *it) {
    bson_subtype_t subtype;
    uint32_t len;
    const uint8_t *bytes;
    bson_iter_binary(it, &subtype, &len, &bytes);
    bool uuid = subtype == BSON_SUBTYPE_UUID && len == 16;
    buf_add_text(out, uuid ? "{\"$uuid\": \"" : "{\"$binary\": \"");
    for (uint32_t i = 0; i < len && i < BINARY_SHOWN; i++) {
        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            buf_add_char(out, '-');
        buf_printf(out, "%02x", bytes[i]);
    }
    buf_add_text(out, len > BINARY_SHOWN ? "...\"" : "\"");
    if (!uuid)
        buf_printf(out, ", \"subType\": %d, \"length\": %u", (int)subtype, len);
    buf_add_char(out, '}');
}

static void add_value(struct buf *out, const bson_iter_t *it, size_t start, int depth);

static void add_children(struct buf *out, const bson_iter_t *it, size_t start, int depth) {
    bool array = bson_iter_type(it) == BSON_TYPE_ARRAY;
    bson_iter_t child;
    buf_add_char(out, array ? '[' : '{');
    if (depth == DEPTH_MAX || !bson_iter_recurse(it, &child)) {
        buf_add_text(out, "...");
    } else {
        for (int i = 0; bson_iter_next(&child) && out->len - start < CANON_TEXT_MAX; i++) {
            if (i)
                buf_add_text(out, ", ");
            if (!array) {
                add_string(out, span_make(bson_iter_key(&child), bson_iter_key_len(&child)));
                buf_add_text(out, ": ");
            }
            add_value(out, &child, start, depth + 1);
        }
    }
    buf_add_char(out, array ? ']' : '}');
}

static void add_scalar(struct buf *out, const bson_iter_t *it) {
    char room[64];
    bson_decimal128_t decimal;
    uint32_t len;
    const char *text;
    switch ((int)bson_iter_type(it)) {
    case BSON_TYPE_INT32:
        buf_printf(out, "%" PRId32, bson_iter_int32(it));
        return;
    case BSON_TYPE_INT64:
        buf_printf(out, "%" PRId64, bson_iter_int64(it));
        return;
    case BSON_TYPE_DOUBLE:
        add_double(out, bson_iter_double(it));
        return;
    case BSON_TYPE_BOOL:
        buf_add_text(out, bson_iter_bool(it) ? "true" : "false");
        return;
    case BSON_TYPE_NULL:
        buf_add_text(out, "null");
        return;
    case BSON_TYPE_UTF8:
        text = bson_iter_utf8(it, &len);
        add_string(out, span_make(text, len));
        return;
    case BSON_TYPE_DATE_TIME:
        add_date(out, bson_iter_date_time(it));
        return;
    case BSON_TYPE_DECIMAL128:
        bson_iter_decimal128(it, &decimal);
        bson_decimal128_to_string(&decimal, room);
        buf_printf(out, "{\"$numberDecimal\": \"%s\"}", room);
        return;
    case BSON_TYPE_OID:
        bson_oid_to_string(bson_iter_oid(it), room);
        buf_printf(out, "{\"$oid\": \"%s\"}", room);
        return;
    case BSON_TYPE_BINARY:
        add_binary(out, it);
        return;
    default: /* never written by Banyan; the type says enough */
        buf_printf(out, "{\"$type\": \"%s\"}", canon_type_name(bson_iter_type(it)));
    }
}

static void add_value(struct buf *out, const bson_iter_t *it, size_t start, int depth) {
    if (bson_iter_type(it) == BSON_TYPE_DOCUMENT || bson_iter_type(it) == BSON_TYPE_ARRAY)
        add_children(out, it, start, depth);
    else
        add_scalar(out, it);
}

void canon_value_text(const bson_iter_t *value, struct buf *out) {
    size_t start = out->len;
    add_value(out, value, start, 0);
    if (!buf_ok(out) || out->len - start <= CANON_TEXT_MAX)
        return;
    struct span all = span_make(out->data + start, out->len - start);
    out->len = start + whole_characters(all, CANON_TEXT_MAX - 3);
    buf_add_text(out, "...");
}

const char *canon_type_name(bson_type_t type) {
    static const char *const names[] = {
        "?",         "double",     "string",    "document",
        "array",     "binary",     "undefined", "oid",
        "bool",      "date",       "null",      "regex",
        "dbPointer", "javascript", "symbol",    "javascriptWithScope",
        "int32",     "timestamp",  "int64",     "decimal128",
    };
    if ((unsigned)type < sizeof names / sizeof names[0])
        return names[type];
    return type == BSON_TYPE_MINKEY ? "minKey" : type == BSON_TYPE_MAXKEY ? "maxKey" : "?";
}

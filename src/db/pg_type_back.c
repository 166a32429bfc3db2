#include "db/pg_type_back.h"

#include "base/utf8.h"
#include "db/pg_type_back_parts.h"
#include "model/canon.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OID_JSONB 3802

struct back {
    const struct pg_type *type;
    const struct conf_types *policy;
    const bson_iter_t *value;
    struct span text;
    struct buf *out; /* the text made from BSON */
};

static bool made_is_text(const struct back *b) {
    return buf_ok(b->out) && span_eq(buf_span(b->out), b->text);
}

static bool is_string(const struct back *b) {
    if (!BSON_ITER_HOLDS_UTF8(b->value))
        return false;
    uint32_t len;
    const char *s = bson_iter_utf8(b->value, &len);
    buf_add(b->out, s, len);
    return made_is_text(b) && utf8_valid(b->text);
}

static bool bool_agrees(const struct back *b) {
    if (!BSON_ITER_HOLDS_BOOL(b->value))
        return false;
    buf_add_char(b->out, bson_iter_bool(b->value) ? 't' : 'f');
    return made_is_text(b);
}

static bool int32_agrees(const struct back *b) {
    if (!BSON_ITER_HOLDS_INT32(b->value))
        return false;
    buf_printf(b->out, "%" PRId32, bson_iter_int32(b->value));
    return made_is_text(b);
}

static bool int64_agrees(const struct back *b) {
    if (!BSON_ITER_HOLDS_INT64(b->value))
        return false;
    buf_printf(b->out, "%" PRId64, bson_iter_int64(b->value));
    return made_is_text(b);
}

static double c_strtod(const char *text, char **ret_end) {
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double v = strtod_l(text, ret_end, c_locale);
    freelocale(c_locale);
    return v;
}

static const char *special_name(double v) {
    return isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
}

/* The C library reads the text: not the decoder's arithmetic. */
static bool is_nearest(double v, struct span text) {
    char room[512], *end;
    if (text.len == 0 || text.len >= sizeof room || memchr("NIi", text.ptr[0], 3))
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    double read = c_strtod(room, &end);
    return end == room + text.len && memcmp(&read, &v, sizeof v) == 0;
}

static bool float_agrees(const struct back *b) {
    if (!BSON_ITER_HOLDS_DOUBLE(b->value))
        return false;
    double v = bson_iter_double(b->value);
    if (!isfinite(v)) {
        buf_add_text(b->out, special_name(v));
        return made_is_text(b);
    }
    buf_printf(b->out, "%.17g", v);
    return is_nearest(v, b->text);
}

static bool numeric_agrees(const struct back *b) {
    bson_decimal128_t d;
    struct back_number n;
    if (BSON_ITER_HOLDS_DECIMAL128(b->value) && bson_iter_decimal128(b->value, &d)) {
        back_decimal_text(&d, b->out);
        return back_decimal_agrees(&d, b->text);
    }
    return b->policy->numeric_overflow == CONF_OVERFLOW_STRING && is_string(b) &&
           back_number_read(b->text, &n) && !back_number_is_decimal(&n);
}

static bool binary_agrees(const struct back *b, bson_subtype_t want, const char *prefix,
                          bool dashes) {
    bson_subtype_t subtype;
    uint32_t len;
    const uint8_t *bytes;
    if (!BSON_ITER_HOLDS_BINARY(b->value))
        return false;
    bson_iter_binary(b->value, &subtype, &len, &bytes);
    buf_add_text(b->out, prefix);
    for (uint32_t i = 0; i < len; i++) {
        static const char hex[] = "0123456789abcdef";
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10))
            buf_add_char(b->out, '-');
        buf_add_char(b->out, hex[bytes[i] / 16]);
        buf_add_char(b->out, hex[bytes[i] % 16]);
    }
    return subtype == want && made_is_text(b);
}

static bool infinite(struct span text) {
    return text.len >= 8 && memcmp(text.ptr + text.len - 8, "infinity", 8) == 0;
}

static bool infinity_agrees(const struct back *b) {
    if (b->policy->infinity == CONF_INFINITY_NULL && BSON_ITER_HOLDS_NULL(b->value)) {
        buf_add_text(b->out, "infinity or -infinity");
        return true;
    }
    return b->policy->infinity == CONF_INFINITY_STRING && is_string(b);
}

static bool date_agrees(const struct back *b) {
    if (infinite(b->text))
        return infinity_agrees(b);
    if (!BSON_ITER_HOLDS_DATE_TIME(b->value))
        return false;
    back_date_text(bson_iter_date_time(b->value), b->out);
    return made_is_text(b);
}

/* The text as it would be with milliseconds only: what `truncate` declares. */
static struct span without_micros(struct span text, char room[64]) {
    const char *point = memchr(text.ptr, '.', text.len);
    if (!point || text.len > 60)
        return text;
    size_t start = (size_t)(point - text.ptr), end = start + 1;
    while (end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9')
        end++;
    size_t kept = end - start > 4 ? start + 4 : end;
    while (kept > start && (text.ptr[kept - 1] == '0' || text.ptr[kept - 1] == '.'))
        kept--;
    memcpy(room, text.ptr, kept);
    memcpy(room + kept, text.ptr + end, text.len - end);
    return span_make(room, kept + text.len - end);
}

static bool cut_agrees(const struct back *b) {
    if (!BSON_ITER_HOLDS_DATE_TIME(b->value))
        return false;
    char room[64];
    back_timestamp_text(bson_iter_date_time(b->value), 0,
                        b->type->kind == PG_KIND_TIMESTAMPTZ ? "+00" : "", b->out);
    return span_eq(buf_span(b->out), without_micros(b->text, room));
}

static bool split_agrees(const struct back *b) {
    bson_iter_t date, micros;
    if (!BSON_ITER_HOLDS_DOCUMENT(b->value) || !bson_iter_recurse(b->value, &date) ||
        !bson_iter_next(&date) || !BSON_ITER_HOLDS_DATE_TIME(&date))
        return false;
    micros = date;
    if (!bson_iter_next(&micros) || !BSON_ITER_HOLDS_INT32(&micros))
        return false;
    if (strcmp(bson_iter_key(&date), "date") != 0 || strcmp(bson_iter_key(&micros), "micros") != 0)
        return false;
    int below = bson_iter_int32(&micros);
    bson_iter_t more = micros;
    if (below < 0 || below > 999 || bson_iter_next(&more))
        return false;
    back_timestamp_text(bson_iter_date_time(&date), below,
                        b->type->kind == PG_KIND_TIMESTAMPTZ ? "+00" : "", b->out);
    return made_is_text(b);
}

static bool timestamp_agrees(const struct back *b) {
    if (infinite(b->text))
        return infinity_agrees(b);
    switch (b->policy->microseconds) {
    case CONF_MICROS_TRUNCATE:
        return cut_agrees(b);
    case CONF_MICROS_STRING:
        return is_string(b);
    case CONF_MICROS_SPLIT:
        return split_agrees(b);
    }
    return false;
}

static bool json_agrees(const struct back *b) {
    canon_value_text(b->value, b->out);
    return back_json_agrees(b->value, b->text, b->policy, b->type->oid == OID_JSONB);
}

/* One element's text at *p, unescaped into `out`; false for NULL. */
static bool next_element(const char **p, const char *end, char delimiter, struct buf *out) {
    const char *from = *p;
    buf_clear(out);
    if (*p < end && **p == '"') {
        for (++*p; *p < end && **p != '"'; ++*p) {
            if (**p == '\\' && *p + 1 < end)
                ++*p;
            buf_add_char(out, **p);
        }
        *p += *p < end;
        return true;
    }
    while (*p < end && **p != delimiter && **p != '}')
        ++*p;
    buf_add(out, from, (size_t)(*p - from));
    return !span_is(buf_span(out), "NULL");
}

/* Braces and BSON arrays open and close together. `depth` is bounded by the number of braces,
 * which PostgreSQL bounds by 6. */
static bool items_agree(const struct back *b, const char **p, const char *end,
                        const bson_iter_t *value, int depth) {
    bson_iter_t child;
    uint32_t i = 0;
    _cleanup_(buf_release) struct buf text = {.max = b->text.len + 1}, made = {.max = SIZE_MAX / 2};
    if (depth > 6 || !BSON_ITER_HOLDS_ARRAY(value) || !bson_iter_recurse(value, &child))
        return false;
    (void)buf_reserve(&text, 1); /* an empty element is not NULL */
    for (++*p; *p < end && **p != '}'; i++) {
        char key[12];
        (void)snprintf(key, sizeof key, "%" PRIu32, i);
        if (!bson_iter_next(&child) || strcmp(bson_iter_key(&child), key) != 0)
            return false;
        if (**p == '{') {
            if (!items_agree(b, p, end, &child, depth + 1))
                return false;
        } else if (!next_element(p, end, b->type->delimiter, &text)) {
            if (!BSON_ITER_HOLDS_NULL(&child))
                return false;
        } else if (!pg_type_back_agrees(b->type->element, PG_RETYPE_NONE, b->policy, &child,
                                        buf_span(&text), &made)) {
            return false;
        }
        if (*p < end && **p == b->type->delimiter)
            ++*p;
    }
    *p += *p < end;
    return !bson_iter_next(&child);
}

static bool array_agrees(const struct back *b) {
    const char *end = b->text.ptr + b->text.len;
    const char *p = b->text.len ? memchr(b->text.ptr, '{', b->text.len) : NULL;
    canon_value_text(b->value, b->out);
    return p && items_agree(b, &p, end, b->value, 1) && p == end;
}

static bool natural_agrees(const struct back *b) {
    switch (b->type->kind) {
    case PG_KIND_BOOL:
        return bool_agrees(b);
    case PG_KIND_INT32:
        return int32_agrees(b);
    case PG_KIND_INT64:
        return int64_agrees(b);
    case PG_KIND_FLOAT:
        return float_agrees(b);
    case PG_KIND_NUMERIC:
        return numeric_agrees(b);
    case PG_KIND_TEXT:
    case PG_KIND_OTHER:
        return is_string(b);
    case PG_KIND_BYTEA:
        return binary_agrees(b, BSON_SUBTYPE_BINARY, "\\x", false);
    case PG_KIND_DATE:
        return date_agrees(b);
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        return timestamp_agrees(b);
    case PG_KIND_UUID:
        return binary_agrees(b, BSON_SUBTYPE_UUID, "", true);
    case PG_KIND_JSON:
        return json_agrees(b);
    case PG_KIND_ARRAY:
        return array_agrees(b);
    }
    return false;
}

/* Both texts are numbers of one value. */
static bool same_number(struct span made, struct span text) {
    struct back_number a, c;
    return back_number_read(made, &a) && back_number_read(text, &c) && back_number_equal(&a, &c);
}

static bool retyped_integer(const struct back *b, bson_type_t want) {
    if (bson_iter_type(b->value) != want)
        return false;
    buf_printf(b->out, "%" PRId64, bson_iter_as_int64(b->value));
    return same_number(buf_span(b->out), b->text);
}

static bool retyped_double(const struct back *b) {
    struct back_number n;
    if (!BSON_ITER_HOLDS_DOUBLE(b->value))
        return false;
    double v = bson_iter_double(b->value);
    if (!isfinite(v)) {
        buf_add_text(b->out, special_name(v));
        return made_is_text(b);
    }
    size_t digits = back_number_read(b->text, &n) && n.count <= 40 ? n.count : 17;
    buf_printf(b->out, "%.*e", digits ? (int)digits - 1 : 0, v);
    return is_nearest(v, b->text) && same_number(buf_span(b->out), b->text);
}

static bool retyped_decimal(const struct back *b) {
    bson_decimal128_t d;
    if (!BSON_ITER_HOLDS_DECIMAL128(b->value) || !bson_iter_decimal128(b->value, &d))
        return false;
    back_decimal_text(&d, b->out);
    return back_decimal_agrees(&d, b->text);
}

static bool retyped_bool(const struct back *b) {
    if (!BSON_ITER_HOLDS_BOOL(b->value))
        return false;
    bool v = bson_iter_bool(b->value);
    buf_add_text(b->out, v ? "t" : "f");
    return span_is(b->text, v ? "t" : "f") || span_is(b->text, v ? "1" : "0");
}

static bool retyped_date(const struct back *b) {
    int64_t ms;
    if (infinite(b->text))
        return infinity_agrees(b);
    if (b->type->kind == PG_KIND_DATE)
        return date_agrees(b);
    if (b->type->kind != PG_KIND_TEXT)
        return cut_agrees(b);
    if (!BSON_ITER_HOLDS_DATE_TIME(b->value))
        return false;
    back_timestamp_text(bson_iter_date_time(b->value), 0, "Z", b->out);
    return back_iso_ms(b->text, &ms) && ms == bson_iter_date_time(b->value);
}

static bool retyped_binary(const struct back *b) {
    if (b->type->kind != PG_KIND_TEXT)
        return natural_agrees(b);
    bson_subtype_t subtype;
    uint32_t len;
    const uint8_t *bytes;
    if (!BSON_ITER_HOLDS_BINARY(b->value))
        return false;
    bson_iter_binary(b->value, &subtype, &len, &bytes);
    buf_add(b->out, bytes, len);
    return subtype == BSON_SUBTYPE_BINARY && made_is_text(b);
}

bool pg_type_back_agrees(const struct pg_type *type, enum pg_retype retype,
                         const struct conf_types *policy, const bson_iter_t *value,
                         struct span text, struct buf *back) {
    const struct back b = {type, policy, value, text, back};
    buf_clear(back);
    (void)buf_reserve(back, 1); /* from here on its data is not NULL, even for an empty text */
    switch (retype) {
    case PG_RETYPE_NONE:
        return natural_agrees(&b);
    case PG_RETYPE_STRING:
        return is_string(&b);
    case PG_RETYPE_INT32:
        return retyped_integer(&b, BSON_TYPE_INT32);
    case PG_RETYPE_INT64:
        return retyped_integer(&b, BSON_TYPE_INT64);
    case PG_RETYPE_DOUBLE:
        return retyped_double(&b);
    case PG_RETYPE_DECIMAL:
        return retyped_decimal(&b);
    case PG_RETYPE_BOOL:
        return retyped_bool(&b);
    case PG_RETYPE_DATE:
        return retyped_date(&b);
    case PG_RETYPE_BINARY:
        return retyped_binary(&b);
    case PG_RETYPE_JSON:
        return json_agrees(&b);
    }
    return false;
}

static bool numeric_key_agrees(const struct back *b) {
    bson_decimal128_t d;
    if (!BSON_ITER_HOLDS_DECIMAL128(b->value) || !bson_iter_decimal128(b->value, &d))
        return numeric_agrees(b);
    back_decimal_text(&d, b->out);
    bool negative_zero = d.high >> 63 && strspn(buf_text(b->out), "-0.") == b->out->len;
    return !negative_zero && (same_number(buf_span(b->out), b->text) || made_is_text(b));
}

bool pg_type_back_key_agrees(const struct pg_type *type, const struct conf_types *policy,
                             const bson_iter_t *value, struct span text, struct buf *back) {
    const struct back b = {type, policy, value, text, back};
    buf_clear(back);
    (void)buf_reserve(back, 1);
    if (type->kind == PG_KIND_INT32)
        return int64_agrees(&b);
    return type->kind == PG_KIND_NUMERIC ? numeric_key_agrees(&b) : natural_agrees(&b);
}

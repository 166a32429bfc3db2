#include "operation/scalar.h"

#include "base/text.h"
#include "db/pg_type.h"
#include "db/pg_type_time.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    const struct conf_param *param;
    const struct json_doc *doc;
    const struct json_node *node;
    struct scalar_out *out;
    struct err *err;
};

static int wrong(struct reader *r, const char *wanted) {
    return err_set(r->err, ERR_VALUE, "must be %s", wanted);
}

static int no_room(struct reader *r) {
    return err_set(r->err, ERR_LIMIT, "is too long");
}

/* A string's characters, or a number as it is written; ptr NULL: neither. */
static struct span text_of(struct reader *r) {
    struct span s = {0};
    if (r->node->type == JSON_NUMBER)
        return json_raw(r->doc, r->node);
    if (!json_string_in(r->doc, r->node, r->out->arena, &s))
        return (struct span){0};
    return s.ptr ? s : (struct span){"", 0};
}

static int keep(struct reader *r, struct span text) {
    r->out->text = arena_copy(r->out->arena, text);
    return r->out->text.ptr ? 0 : no_room(r);
}

/* ---- bool, numbers ---- */

static int read_bool(struct reader *r) {
    bool v;
    if (!json_bool(r->node, &v))
        return wrong(r, "true or false");
    bsonw_bool(r->out->bson, r->out->key, v);
    return keep(r, v ? SPAN_LIT("true") : SPAN_LIT("false"));
}

/* Digits with a sign, nothing else. */
static bool to_int(struct span s, int64_t *ret) {
    char text[24];
    size_t sign = s.len && s.ptr[0] == '-';
    if (s.len - sign == 0 || s.len >= sizeof text)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (strspn(text + sign, "0123456789") != s.len - sign)
        return false;
    errno = 0;
    *ret = strtoll(text, NULL, 10);
    return errno == 0;
}

static int read_int(struct reader *r) {
    bool small = r->param->type == CONF_PARAM_INT32;
    struct span s = text_of(r);
    char text[24];
    int64_t v;
    if (!s.ptr || !to_int(s, &v) || (small && (v < INT32_MIN || v > INT32_MAX)))
        return wrong(r, small ? "a whole number from -2147483648 to 2147483647"
                              : "a whole number of 64 bits");
    if (r->param->max && !r->param->array && v > r->param->max)
        return err_set(r->err, ERR_VALUE, "must be at most %lld", (long long)r->param->max);
    if (small)
        bsonw_int32(r->out->bson, r->out->key, (int32_t)v);
    else
        bsonw_int64(r->out->bson, r->out->key, v);
    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    return keep(r, span_of(text));
}

/* Digits from *at on; false: there is none. */
static bool skip_digits(struct span s, size_t *at) {
    size_t first = *at;
    while (*at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9')
        ++*at;
    return *at > first;
}

static bool skip_one_of(struct span s, size_t *at, const char *any) {
    bool there = *at < s.len && s.ptr[*at] && strchr(any, s.ptr[*at]);
    *at += there;
    return there;
}

/* -?digits[.digits][(e|E)[+-]digits], as JSON has it, leading zeros aside. */
static bool is_number(struct span s) {
    size_t i = 0;
    (void)skip_one_of(s, &i, "-");
    bool good = skip_digits(s, &i);
    if (good && skip_one_of(s, &i, "."))
        good = skip_digits(s, &i);
    if (good && skip_one_of(s, &i, "eE")) {
        (void)skip_one_of(s, &i, "+-");
        good = skip_digits(s, &i);
    }
    return good && i == s.len && s.len <= JSON_NUMBER_MAX;
}

static int over_max(struct reader *r, double v) {
    if (r->param->max && !r->param->array && v > (double)r->param->max)
        return err_set(r->err, ERR_VALUE, "must be at most %lld", (long long)r->param->max);
    return 0;
}

static int read_double(struct reader *r) {
    struct span s = text_of(r);
    if (!s.ptr || !is_number(s) || keep(r, s) < 0)
        return wrong(r, "a number");
    double v = strtod(r->out->text.ptr, NULL);
    if (!isfinite(v))
        return wrong(r, "a number that a double can hold");
    bsonw_double(r->out->bson, r->out->key, v);
    return over_max(r, v);
}

static int read_decimal(struct reader *r) {
    struct span s = text_of(r);
    bson_decimal128_t v;
    if (!s.ptr || !is_number(s) || keep(r, s) < 0)
        return wrong(r, "a number");
    if (!bson_decimal128_from_string(r->out->text.ptr, &v))
        return wrong(r, "a number of at most 34 digits");
    bsonw_decimal128(r->out->bson, r->out->key, v);
    return over_max(r, strtod(r->out->text.ptr, NULL));
}

/* ---- texts ---- */

static size_t characters(struct span s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static int read_string(struct reader *r) {
    struct span s = {0};
    if (r->node->type != JSON_STRING)
        return wrong(r, "a string");
    s = text_of(r);
    if (!s.ptr)
        return no_room(r);
    if (memchr(s.ptr, '\0', s.len))
        return wrong(r, "a string without NUL");
    if (r->param->max && !r->param->array && characters(s) > (size_t)r->param->max)
        return err_set(r->err, ERR_VALUE, "must have at most %lld characters",
                       (long long)r->param->max);
    bsonw_utf8(r->out->bson, r->out->key, s);
    return keep(r, s);
}

static int read_uuid(struct reader *r) {
    unsigned char bytes[16];
    struct span s = r->node->type == JSON_STRING ? text_of(r) : (struct span){0};
    if (!s.ptr || !text_uuid(s, bytes))
        return wrong(r, "a UUID such as 0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a");
    bsonw_binary(r->out->bson, r->out->key, BSON_SUBTYPE_UUID, span_make(bytes, sizeof bytes));
    return keep(r, s);
}

static int read_objectid(struct reader *r) {
    bson_oid_t id;
    struct span s = r->node->type == JSON_STRING ? text_of(r) : (struct span){0};
    if (!s.ptr || s.len != 24 || !bson_oid_is_valid(s.ptr, s.len))
        return wrong(r, "an ObjectId of 24 hex digits");
    bson_oid_init_from_string_unsafe(&id, s.ptr);
    bsonw_oid(r->out->bson, r->out->key, &id);
    return keep(r, s);
}

/* ---- bytes ---- */

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 4648, section 4: padded, no line breaks, no bits set in what is padding. -1: not that. */
static int64_t read_base64(struct span s, unsigned char *out) {
    size_t n = 0, pad = 0;
    uint32_t bits = 0;
    if (s.len % 4 != 0)
        return -1;
    if (s.len && s.ptr[s.len - 1] == '=')
        pad = s.ptr[s.len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < s.len; i++) {
        int digit = i >= s.len - pad ? 0 : base64_digit(s.ptr[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3)
            continue;
        for (int k = 2; k >= 0; k--)
            out[n++] = (unsigned char)(bits >> (8 * k));
        bits = 0;
    }
    for (size_t i = n - pad; i < n; i++)
        if (out[i])
            return -1;
    return (int64_t)(n - pad);
}

static int read_bytes(struct reader *r) {
    static const char digits[] = "0123456789abcdef";
    struct span s = r->node->type == JSON_STRING ? text_of(r) : (struct span){0};
    unsigned char *bytes = s.ptr ? arena_alloc(r->out->arena, s.len + 4) : NULL;
    int64_t n = bytes ? read_base64(s, bytes) : -1;
    if (n < 0)
        return wrong(r, "bytes in base64");
    if (r->param->max && !r->param->array && n > r->param->max)
        return err_set(r->err, ERR_VALUE, "must have at most %lld bytes", (long long)r->param->max);
    char *text = arena_alloc(r->out->arena, 2 * (size_t)n + 3);
    if (!text)
        return no_room(r);
    bsonw_binary(r->out->bson, r->out->key, BSON_SUBTYPE_BINARY, span_make(bytes, (size_t)n));
    memcpy(text, "\\x", 2);
    for (int64_t i = 0; i < n; i++) {
        text[2 + 2 * i] = digits[bytes[i] >> 4];
        text[3 + 2 * i] = digits[bytes[i] & 15];
    }
    text[2 + 2 * n] = '\0';
    r->out->text = span_make(text, 2 + 2 * (size_t)n);
    return 0;
}

/* ---- dates ---- */

static bool fits(struct span s, const char *form) {
    size_t n = strlen(form);
    if (s.len < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (form[i] == '0' ? s.ptr[i] < '0' || s.ptr[i] > '9' : s.ptr[i] != form[i])
            return false;
    return true;
}

static int read_date(struct reader *r) {
    struct pg_moment m;
    struct span s = r->node->type == JSON_STRING ? text_of(r) : (struct span){0};
    if (!s.ptr || s.len != 10 || !fits(s, "0000-00-00") || memcmp(s.ptr, "0000", 4) == 0 ||
        !pg_text_date(s, &m))
        return wrong(r, "a date such as 2027-02-01");
    bsonw_date_ms(r->out->bson, r->out->key, m.ms);
    return keep(r, s);
}

/* "2027-02-01T10:00:00", a fraction of up to six digits, "Z" or an offset. */
static bool is_timestamp(struct span s) {
    size_t i = strlen("0000-00-00T00:00:00");
    if (!fits(s, "0000-00-00T00:00:00") || memcmp(s.ptr, "0000", 4) == 0)
        return false;
    if (i < s.len && s.ptr[i] == '.') {
        size_t digits = strspn(s.ptr + i + 1, "0123456789");
        if (digits < 1 || digits > 6)
            return false;
        i += 1 + digits;
    }
    struct span zone = span_make(s.ptr + i, s.len - i);
    return span_is(zone, "Z") || (zone.len == 6 && (fits(zone, "+00:00") || fits(zone, "-00:00")));
}

static int read_timestamp(struct reader *r) {
    struct pg_moment m;
    struct span s = r->node->type == JSON_STRING ? text_of(r) : (struct span){0};
    s = s.ptr ? arena_copy(r->out->arena, s) : s; /* ends in NUL */
    if (!s.ptr || !is_timestamp(s) || !pg_text_iso(s, &m))
        return wrong(r, "a time with its zone, such as 2027-02-01T10:00:00Z");
    bsonw_date_ms(r->out->bson, r->out->key, m.ms);
    r->out->text = s;
    return 0;
}

/* ---- json ---- */

/* A key that begins with '$', however it is written. */
static bool is_operator(const struct json_doc *d, const struct json_node *name) {
    const char *raw = d->text.ptr + name->start;
    static const char escaped[] = "\\u0024";
    return (name->len && raw[0] == '$') ||
           (name->len >= 6 && name->escaped && memcmp(raw, escaped, 6) == 0);
}

static bool has_operator(const struct json_doc *d, const struct json_node *n) {
    if (n->type != JSON_OBJECT && n->type != JSON_ARRAY)
        return false;
    for (const struct json_node *c = json_first(d, n); c; c = json_next(d, n, c)) {
        bool named = n->type == JSON_OBJECT;
        if ((named && is_operator(d, c)) || has_operator(d, named ? json_value(c) : c))
            return true;
    }
    return false;
}

static int read_json(struct reader *r) {
    static const struct pg_type type = {.oid = 3802, .name = "jsonb", .kind = PG_KIND_JSON};
    struct span s = json_raw(r->doc, r->node);
    if (r->param->max && !r->param->array && s.len > (size_t)r->param->max)
        return err_set(r->err, ERR_VALUE, "must have at most %lld bytes", (long long)r->param->max);
    if (has_operator(r->doc, r->node))
        return wrong(r, "JSON in which no key begins with '$'");
    int rc = pg_type_append(&type, r->out->policy, s, r->out->bson, r->out->key, r->err);
    return rc < 0 ? rc : keep(r, s);
}

int scalar_read(const struct conf_param *p, const struct json_doc *d, const struct json_node *n,
                struct scalar_out *out, struct err *err) {
    struct reader r = {p, d, n, out, err};
    switch (p->type) {
    case CONF_PARAM_BOOL:
        return read_bool(&r);
    case CONF_PARAM_INT32:
    case CONF_PARAM_INT64:
        return read_int(&r);
    case CONF_PARAM_DOUBLE:
        return read_double(&r);
    case CONF_PARAM_DECIMAL:
        return read_decimal(&r);
    case CONF_PARAM_STRING:
        return read_string(&r);
    case CONF_PARAM_DATE:
        return read_date(&r);
    case CONF_PARAM_TIMESTAMP:
        return read_timestamp(&r);
    case CONF_PARAM_UUID:
        return read_uuid(&r);
    case CONF_PARAM_OBJECTID:
        return read_objectid(&r);
    case CONF_PARAM_BYTES:
        return read_bytes(&r);
    case CONF_PARAM_JSON:
        return read_json(&r);
    }
    return err_set(err, ERR_INTERNAL, "has no type");
}

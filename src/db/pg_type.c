#include "db/pg_type.h"

#include "base/text.h"
#include "base/utf8.h"
#include "db/pg_type_array.h"
#include "db/pg_type_json.h"
#include "db/pg_type_number.h"
#include "db/pg_type_time.h"

/* pg_type.dat of PostgreSQL 15. */
static const struct {
    uint32_t oid;
    enum pg_kind kind;
} builtins[] = {
    {16, PG_KIND_BOOL},      {17, PG_KIND_BYTEA},       {18, PG_KIND_TEXT}, /* "char" */
    {19, PG_KIND_TEXT},                                                     /* name */
    {20, PG_KIND_INT64},     {21, PG_KIND_INT32},       {23, PG_KIND_INT32},
    {25, PG_KIND_TEXT},      {26, PG_KIND_INT64}, /* oid */
    {114, PG_KIND_JSON},     {700, PG_KIND_FLOAT},      {701, PG_KIND_FLOAT},
    {1042, PG_KIND_TEXT}, /* bpchar */
    {1043, PG_KIND_TEXT}, /* varchar */
    {1082, PG_KIND_DATE},    {1114, PG_KIND_TIMESTAMP}, {1184, PG_KIND_TIMESTAMPTZ},
    {1700, PG_KIND_NUMERIC}, {2950, PG_KIND_UUID},      {3802, PG_KIND_JSON},
};

/* Types without a kind of their own whose text is the same exactly when the value is: time,
 * timetz, inet, cidr, macaddr, macaddr8, money, bit, varbit, pg_lsn, xid, xid8 and the ranges of
 * integers and dates (which have a canonical form; ranges of numeric do not). */
static const uint32_t one_to_one_texts[] = {1083, 1266, 869, 650,  829,  774,  790, 1560,
                                            1562, 3220, 28,  5069, 3904, 3926, 3912};

enum pg_kind pg_kind_of_builtin(uint32_t oid) {
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++)
        if (builtins[i].oid == oid)
            return builtins[i].kind;
    return PG_KIND_OTHER;
}

/* The start of the text, printable ASCII only: the message may land anywhere. */
int pg_type_bad_value(const struct pg_type *type, struct span text, const char *why,
                      struct err *err) {
    char shown[41];
    size_t n = text.len < sizeof shown - 1 ? text.len : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = (char)(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?');
    shown[n] = '\0';
    return err_set(err, ERR_VALUE, "value \"%s\"%s of type %s %s", shown, n < text.len ? "..." : "",
                   type->name, why);
}

static int append_text(const struct pg_type *type, struct span text, struct bsonw *w,
                       struct span key, struct err *err) {
    if (!utf8_valid(text))
        return pg_type_bad_value(type, text, "is not valid UTF-8", err);
    bsonw_utf8(w, key, text);
    return 0;
}

static int append_bool(const struct pg_type *type, struct span text, struct bsonw *w,
                       struct span key, struct err *err) {
    if (!span_is(text, "t") && !span_is(text, "f"))
        return pg_type_bad_value(type, text, "is not a boolean", err);
    bsonw_bool(w, key, text.ptr[0] == 't');
    return 0;
}

static int append_int32(const struct pg_type *type, struct span text, struct bsonw *w,
                        struct span key, struct err *err) {
    int64_t v;
    if (!pg_text_int64(text, &v) || v < INT32_MIN || v > INT32_MAX)
        return pg_type_bad_value(type, text, "is not a 32-bit integer", err);
    bsonw_int32(w, key, (int32_t)v);
    return 0;
}

static int append_int64(const struct pg_type *type, struct span text, struct bsonw *w,
                        struct span key, struct err *err) {
    int64_t v;
    if (!pg_text_int64(text, &v))
        return pg_type_bad_value(type, text, "is not a 64-bit integer", err);
    bsonw_int64(w, key, v);
    return 0;
}

static int append_float(const struct pg_type *type, struct span text, struct bsonw *w,
                        struct span key, struct err *err) {
    double v;
    if (!pg_text_double(text, &v))
        return pg_type_bad_value(type, text, "is not a floating-point number", err);
    bsonw_double(w, key, v);
    return 0;
}

static int append_numeric(const struct pg_type *type, const struct conf_types *policy,
                          struct span text, struct bsonw *w, struct span key, struct err *err) {
    bson_decimal128_t v;
    bool too_long;
    if (pg_text_decimal(text, &v, &too_long)) {
        bsonw_decimal128(w, key, v);
        return 0;
    }
    if (!too_long)
        return pg_type_bad_value(type, text, "is not a number", err);
    if (policy->numeric_overflow == CONF_OVERFLOW_FAIL)
        return pg_type_bad_value(
            type, text, "does not fit into Decimal128; set types.numeric_overflow: string", err);
    bsonw_utf8(w, key, text);
    return 0;
}

/* The bytes are decoded where they will stay: bsonw_binary makes room by copying as many bytes of
 * the text, which are then written over. */
static int append_hex(const struct pg_type *type, struct span text, struct bsonw *w,
                      struct span key, struct err *err) {
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x')
        return pg_type_bad_value(type, text, "is not in bytea's hex format", err);
    size_t n = text.len / 2 - 1;
    bsonw_binary(w, key, BSON_SUBTYPE_BINARY, span_make(text.ptr, n));
    if (!bsonw_ok(w))
        return 0;
    unsigned char *to = (unsigned char *)w->out->data + w->out->len - n;
    static const signed char digit[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};
    const unsigned char *from = (const unsigned char *)text.ptr + 2;
    for (size_t i = 0; i < n; i++) {
        int high = digit[from[2 * i]] - 1, low = digit[from[2 * i + 1]] - 1;
        if (high < 0 || low < 0)
            return pg_type_bad_value(type, text, "is not in bytea's hex format", err);
        to[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static int append_uuid(const struct pg_type *type, struct span text, struct bsonw *w,
                       struct span key, struct err *err) {
    unsigned char bytes[16];
    if (!text_uuid(text, bytes))
        return pg_type_bad_value(type, text, "is not a UUID", err);
    bsonw_binary(w, key, BSON_SUBTYPE_UUID, span_make(bytes, sizeof bytes));
    return 0;
}

static int append_infinity(const struct pg_type *type, const struct conf_types *policy,
                           struct span text, struct bsonw *w, struct span key, struct err *err) {
    switch (policy->infinity) {
    case CONF_INFINITY_STRING:
        bsonw_utf8(w, key, text);
        return 0;
    case CONF_INFINITY_NULL:
        bsonw_null(w, key);
        return 0;
    case CONF_INFINITY_FAIL:
        break;
    }
    return pg_type_bad_value(type, text, "has no BSON date; set types.infinity: string or null",
                             err);
}

static int append_date(const struct pg_type *type, const struct conf_types *policy,
                       struct span text, struct bsonw *w, struct span key, struct err *err) {
    struct pg_moment m;
    if (pg_text_is_infinity(text))
        return append_infinity(type, policy, text, w, key, err);
    if (!pg_text_date(text, &m))
        return pg_type_bad_value(type, text, "is not a date in ISO format", err);
    bsonw_date_ms(w, key, m.ms);
    return 0;
}

static int append_timestamp(const struct pg_type *type, const struct conf_types *policy,
                            struct span text, struct bsonw *w, struct span key, struct err *err) {
    struct pg_moment m;
    if (pg_text_is_infinity(text))
        return append_infinity(type, policy, text, w, key, err);
    if (!pg_text_timestamp(text, type->kind == PG_KIND_TIMESTAMPTZ, &m))
        return pg_type_bad_value(type, text, "is not a timestamp in ISO format", err);
    switch (policy->microseconds) {
    case CONF_MICROS_TRUNCATE:
        bsonw_date_ms(w, key, m.ms);
        break;
    case CONF_MICROS_STRING:
        bsonw_utf8(w, key, text);
        break;
    case CONF_MICROS_SPLIT:
        bsonw_doc_open(w, key);
        bsonw_date_ms(w, SPAN_LIT("date"), m.ms);
        bsonw_int32(w, SPAN_LIT("micros"), m.micros);
        bsonw_close(w);
        break;
    }
    return 0;
}

static int append_json(const struct pg_type *type, const struct conf_types *policy,
                       struct span text, struct bsonw *w, struct span key, struct err *err) {
    if (!pg_json_append(text, policy, w, key))
        return pg_type_bad_value(type, text, "is not valid JSON", err);
    return 0;
}

static int append_kind(const struct pg_type *type, const struct conf_types *policy,
                       struct span text, struct bsonw *w, struct span key, struct err *err) {
    switch (type->kind) {
    case PG_KIND_BOOL:
        return append_bool(type, text, w, key, err);
    case PG_KIND_INT32:
        return append_int32(type, text, w, key, err);
    case PG_KIND_INT64:
        return append_int64(type, text, w, key, err);
    case PG_KIND_FLOAT:
        return append_float(type, text, w, key, err);
    case PG_KIND_NUMERIC:
        return append_numeric(type, policy, text, w, key, err);
    case PG_KIND_TEXT:
    case PG_KIND_OTHER:
        return append_text(type, text, w, key, err);
    case PG_KIND_BYTEA:
        return append_hex(type, text, w, key, err);
    case PG_KIND_DATE:
        return append_date(type, policy, text, w, key, err);
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        return append_timestamp(type, policy, text, w, key, err);
    case PG_KIND_UUID:
        return append_uuid(type, text, w, key, err);
    case PG_KIND_JSON:
        return append_json(type, policy, text, w, key, err);
    case PG_KIND_ARRAY:
        return pg_array_append(type, policy, text, w, key, err);
    }
    return err_set(err, ERR_INTERNAL, "type %s has no known kind", type->name);
}

/* On failure the document is as it was: whoever goes on writing into it finds it whole. */
static int restore(struct bsonw *w, size_t len, size_t depth, int rc) {
    if (rc < 0 && bsonw_ok(w)) {
        w->out->len = len;
        w->depth = depth;
    }
    return rc;
}

int pg_type_append(const struct pg_type *type, const struct conf_types *policy, struct span text,
                   struct bsonw *w, struct span key, struct err *err) {
    size_t len = w->out->len, depth = w->depth;
    return restore(w, len, depth, append_kind(type, policy, text, w, key, err));
}

static const char *const retype_names[] = {
    [PG_RETYPE_STRING] = "string", [PG_RETYPE_INT32] = "int32",     [PG_RETYPE_INT64] = "int64",
    [PG_RETYPE_DOUBLE] = "double", [PG_RETYPE_DECIMAL] = "decimal", [PG_RETYPE_BOOL] = "bool",
    [PG_RETYPE_DATE] = "date",     [PG_RETYPE_BINARY] = "binary",   [PG_RETYPE_JSON] = "json",
};

bool pg_retype_parse(const char *name, enum pg_retype *ret) {
    for (size_t i = PG_RETYPE_STRING; i < sizeof retype_names / sizeof retype_names[0]; i++) {
        if (strcmp(retype_names[i], name) == 0) {
            *ret = (enum pg_retype)i;
            return true;
        }
    }
    return false;
}

#define KIND(k) (1U << PG_KIND_##k)
#define KINDS_INTEGER (KIND(INT32) | KIND(INT64))
#define KINDS_NUMBER (KINDS_INTEGER | KIND(FLOAT) | KIND(NUMERIC))

bool pg_retype_possible(const struct pg_type *type, enum pg_retype retype) {
    static const unsigned kinds[] = {
        [PG_RETYPE_NONE] = ~0U,
        [PG_RETYPE_STRING] = ~0U,
        [PG_RETYPE_INT32] = KINDS_NUMBER | KIND(TEXT),
        [PG_RETYPE_INT64] = KINDS_NUMBER | KIND(TEXT),
        [PG_RETYPE_DOUBLE] = KINDS_NUMBER | KIND(TEXT),
        [PG_RETYPE_DECIMAL] = KINDS_NUMBER | KIND(TEXT),
        [PG_RETYPE_BOOL] = KIND(BOOL) | KINDS_INTEGER | KIND(NUMERIC) | KIND(TEXT),
        [PG_RETYPE_DATE] = KIND(DATE) | KIND(TIMESTAMP) | KIND(TIMESTAMPTZ) | KIND(TEXT),
        [PG_RETYPE_BINARY] = KIND(UUID) | KIND(BYTEA) | KIND(TEXT),
        [PG_RETYPE_JSON] = KIND(JSON) | KIND(TEXT),
    };
    return (kinds[retype] >> type->kind & 1) != 0;
}

static int as_integer(const struct pg_type *type, enum pg_retype retype, struct span text,
                      struct bsonw *w, struct span key, struct err *err) {
    struct pg_number n;
    int64_t v;
    bool ok = pg_number_scan(text, &n) && pg_number_int64(&n, &v);
    if (retype == PG_RETYPE_INT32) {
        if (!ok || v < INT32_MIN || v > INT32_MAX)
            return pg_type_bad_value(type, text, "is not exactly an int32", err);
        bsonw_int32(w, key, (int32_t)v);
        return 0;
    }
    if (!ok)
        return pg_type_bad_value(type, text, "is not exactly an int64", err);
    bsonw_int64(w, key, v);
    return 0;
}

static int as_double(const struct pg_type *type, struct span text, struct bsonw *w, struct span key,
                     struct err *err) {
    double v;
    if (!pg_text_double_exact(text, &v))
        return pg_type_bad_value(type, text, "would lose digits as a double", err);
    bsonw_double(w, key, v);
    return 0;
}

static int as_decimal(const struct pg_type *type, struct span text, struct bsonw *w,
                      struct span key, struct err *err) {
    bson_decimal128_t v;
    bool too_long;
    if (!pg_text_decimal(text, &v, &too_long))
        return pg_type_bad_value(type, text, "is not exactly a Decimal128", err);
    bsonw_decimal128(w, key, v);
    return 0;
}

static int as_bool(const struct pg_type *type, struct span text, struct bsonw *w, struct span key,
                   struct err *err) {
    if (text.len != 1 || !memchr("tf01", text.ptr[0], 4))
        return pg_type_bad_value(type, text, "is none of t, f, 0 and 1", err);
    bsonw_bool(w, key, text.ptr[0] == 't' || text.ptr[0] == '1');
    return 0;
}

static int as_date(const struct pg_type *type, const struct conf_types *policy, struct span text,
                   struct bsonw *w, struct span key, struct err *err) {
    struct pg_moment m;
    if (pg_text_is_infinity(text))
        return append_infinity(type, policy, text, w, key, err);
    bool ok = type->kind == PG_KIND_DATE          ? pg_text_date(text, &m)
              : type->kind == PG_KIND_TIMESTAMP   ? pg_text_timestamp(text, false, &m)
              : type->kind == PG_KIND_TIMESTAMPTZ ? pg_text_timestamp(text, true, &m)
                                                  : pg_text_iso(text, &m);
    if (!ok)
        return pg_type_bad_value(type, text, "is not a date or time in ISO 8601 format", err);
    bsonw_date_ms(w, key, m.ms);
    return 0;
}

static int as_binary(const struct pg_type *type, struct span text, struct bsonw *w, struct span key,
                     struct err *err) {
    if (type->kind == PG_KIND_UUID)
        return append_uuid(type, text, w, key, err);
    if (type->kind == PG_KIND_BYTEA)
        return append_hex(type, text, w, key, err);
    bsonw_binary(w, key, BSON_SUBTYPE_BINARY, text);
    return 0;
}

static int append_as(const struct pg_type *type, enum pg_retype retype,
                     const struct conf_types *policy, struct span text, struct bsonw *w,
                     struct span key, struct err *err) {
    switch (retype) {
    case PG_RETYPE_NONE:
        return append_kind(type, policy, text, w, key, err);
    case PG_RETYPE_STRING:
        return append_text(type, text, w, key, err);
    case PG_RETYPE_INT32:
    case PG_RETYPE_INT64:
        return as_integer(type, retype, text, w, key, err);
    case PG_RETYPE_DOUBLE:
        return as_double(type, text, w, key, err);
    case PG_RETYPE_DECIMAL:
        return as_decimal(type, text, w, key, err);
    case PG_RETYPE_BOOL:
        return as_bool(type, text, w, key, err);
    case PG_RETYPE_DATE:
        return as_date(type, policy, text, w, key, err);
    case PG_RETYPE_BINARY:
        return as_binary(type, text, w, key, err);
    case PG_RETYPE_JSON:
        return append_json(type, policy, text, w, key, err);
    }
    return err_set(err, ERR_INTERNAL, "no such declared type");
}

int pg_type_append_as(const struct pg_type *type, enum pg_retype retype,
                      const struct conf_types *policy, struct span text, struct bsonw *w,
                      struct span key, struct err *err) {
    size_t len = w->out->len, depth = w->depth;
    if (!pg_retype_possible(type, retype))
        return err_set(err, ERR_VALUE, "type %s cannot become %s", type->name,
                       retype_names[retype]);
    return restore(w, len, depth, append_as(type, retype, policy, text, w, key, err));
}

bool pg_type_is_one_to_one(const struct pg_type *type, const struct conf_types *policy) {
    switch (type->kind) {
    case PG_KIND_BOOL:
    case PG_KIND_INT32:
    case PG_KIND_INT64:
    case PG_KIND_NUMERIC:
    case PG_KIND_TEXT:
    case PG_KIND_BYTEA:
    case PG_KIND_UUID:
        return true;
    case PG_KIND_DATE: /* under `null` both infinities become one value */
        return policy->infinity != CONF_INFINITY_NULL;
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        return policy->infinity != CONF_INFINITY_NULL &&
               policy->microseconds != CONF_MICROS_TRUNCATE;
    case PG_KIND_FLOAT: /* -0 equals 0 and NaN equals NaN in SQL */
    case PG_KIND_JSON:
    case PG_KIND_ARRAY:
        return false;
    case PG_KIND_OTHER:
        break;
    }
    for (size_t i = 0; i < sizeof one_to_one_texts / sizeof one_to_one_texts[0]; i++)
        if (one_to_one_texts[i] == type->oid)
            return true;
    return false;
}

#include "operation/result.h"

#include "base/json_text.h"
#include "base/text.h"
#include "model/bsonw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static void add_number(struct buf *out, enum operation_numbers numbers, const char *text) {
    if (numbers == OPERATION_NUMBERS_STRING)
        buf_printf(out, "\"%s\"", text);
    else
        buf_add_text(out, text);
}

static void add_int(struct buf *out, enum operation_numbers numbers, int64_t v) {
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    add_number(out, numbers, text);
}

/* A whole double that int64 has too is written as that is: equal values have equal bytes. */
static void add_double(struct buf *out, double v) {
    char text[TEXT_DOUBLE_MAX];
    if (!isfinite(v)) {
        buf_add_text(out, isnan(v) ? "\"NaN\"" : v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    if (v == 0)
        v = 0; /* not -0 */
    if (v == trunc(v) && v >= -0x1p63 && v < 0x1p63) {
        buf_printf(out, "%.0f", v);
        return;
    }
    buf_add(out, text, text_double(v, text));
}

/* "1.5E+3" -> "1500": digits and a power of ten, written out. */
static void add_plain(struct buf *out, const char *text) {
    const char *e = strchr(text, 'E');
    size_t len = e ? (size_t)(e - text) : strlen(text);
    long exponent = e ? strtol(e + 1, NULL, 10) : 0;
    bool negative = text[0] == '-';
    char digits[48];
    size_t n = 0;
    for (size_t i = negative; i < len && n < sizeof digits; i++) {
        if (text[i] == '.')
            exponent -= (long)(len - i - 1);
        else
            digits[n++] = text[i];
    }
    if (negative)
        buf_add_char(out, '-');
    long whole = (long)n + exponent; /* digits before the point */
    size_t first = 0;
    while (first + 1 < n && digits[first] == '0' && (long)first + 1 < whole)
        first++;
    if (whole <= 0)
        buf_add_text(out, "0.");
    for (long i = whole; i < 0; i++)
        buf_add_char(out, '0');
    for (size_t i = first; i < n; i++) {
        if ((long)i == whole && whole > 0)
            buf_add_char(out, '.');
        buf_add_char(out, digits[i]);
    }
    for (long i = 0; i < exponent; i++)
        buf_add_char(out, '0');
}

/* A zero has no sign, and a power of ten only where it says how many digits there are: 0.00. */
static void add_finite(struct buf *out, const char *text) {
    const char *rest = text + strspn(text, "-0.");
    bool zero = *rest == '\0' || *rest == 'E';
    if (zero && strstr(rest, "E+"))
        buf_add_char(out, '0');
    else
        add_plain(out, zero && text[0] == '-' ? text + 1 : text);
}

static void add_decimal(struct buf *out, enum operation_numbers numbers,
                        const bson_decimal128_t *v) {
    char text[BSON_DECIMAL128_STRING];
    bson_decimal128_to_string(v, text);
    bool finite = strchr("-0123456789", text[0]) && (text[0] != '-' || text[1] != 'I');
    bool quoted = !finite || numbers == OPERATION_NUMBERS_STRING;
    if (quoted)
        buf_add_char(out, '"');
    if (finite)
        add_finite(out, text);
    else
        buf_add_text(out, text);
    if (quoted)
        buf_add_char(out, '"');
}

/* ---- dates, bytes ---- */

#define DAY INT64_C(86400000)

/* Days since 1970-01-01 -> year, month, day: proleptic Gregorian, counted from March. */
static void civil(int64_t days, int64_t *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

/* Years outside of 0000 to 9999 with a sign and six digits or more, as ISO 8601 extends them. */
static void add_date(struct buf *out, int64_t ms) {
    int64_t days = ms / DAY - (ms % DAY < 0), rest = ms - days * DAY, year;
    int month, day;
    civil(days, &year, &month, &day);
    if (year >= 0 && year <= 9999)
        buf_printf(out, "\"%04d", (int)year);
    else
        buf_printf(out, "\"%c%06lld", year < 0 ? '-' : '+', (long long)llabs(year));
    int second = (int)(rest / 1000);
    buf_printf(out, "-%02d-%02dT%02d:%02d:%02d.%03dZ\"", month, day, second / 3600,
               second / 60 % 60, second % 60, (int)(rest % 1000));
}

static void add_base64(struct buf *out, const uint8_t *bytes, uint32_t len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_add_char(out, '"');
    for (uint32_t i = 0; i < len; i += 3) {
        uint32_t left = len - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0);
        buf_add_char(out, digits[bits >> 18]);
        buf_add_char(out, digits[bits >> 12 & 63]);
        buf_add_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        buf_add_char(out, left > 2 ? digits[bits & 63] : '=');
    }
    buf_add_char(out, '"');
}

static void add_binary(struct buf *out, const bson_iter_t *it) {
    bson_subtype_t subtype;
    uint32_t len;
    const uint8_t *bytes;
    bson_iter_binary(it, &subtype, &len, &bytes);
    if (subtype != BSON_SUBTYPE_UUID || len != 16) {
        add_base64(out, bytes, len);
        return;
    }
    buf_add_char(out, '"');
    for (int i = 0; i < 16; i++)
        buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    buf_add_char(out, '"');
}

/* ---- the rest ---- */

/* Nothing that PostgreSQL has. */
static void add_foreign(struct buf *out, const bson_iter_t *it) {
    bson_t one = BSON_INITIALIZER;
    size_t len = 0;
    bson_append_iter(&one, "v", 1, it);
    char *json = bson_as_canonical_extended_json(&one, &len);
    bson_destroy(&one);
    /* {"v" : ...} */
    const char *colon = json ? strchr(json, ':') : NULL;
    const char *end = json ? strrchr(json, '}') : NULL;
    if (colon && end > colon)
        buf_add(out, colon + 1, (size_t)(end - colon - 1));
    else
        buf_add_text(out, "null");
    bson_free(json);
}

static bool add_members(const bson_iter_t *value, enum operation_numbers numbers, int depth,
                        struct buf *out) {
    bool array = BSON_ITER_HOLDS_ARRAY(value), first = true;
    bson_iter_t it;
    if (depth > BSONW_DEPTH_MAX || !bson_iter_recurse(value, &it))
        return false;
    buf_add_char(out, array ? '[' : '{');
    while (bson_iter_next(&it)) {
        if (!first)
            buf_add_char(out, ',');
        first = false;
        if (!array) {
            json_text_string(out, span_make(bson_iter_key(&it), bson_iter_key_len(&it)));
            buf_add_char(out, ':');
        }
        if (!result_add_value(&it, numbers, depth + 1, out))
            return false;
    }
    buf_add_char(out, array ? ']' : '}');
    return true;
}

static void add_text(struct buf *out, const bson_iter_t *it) {
    uint32_t len;
    const char *text = bson_iter_utf8(it, &len);
    json_text_string(out, span_make(text, len));
}

static void add_oid(struct buf *out, const bson_iter_t *it) {
    char text[25];
    bson_oid_to_string(bson_iter_oid(it), text);
    buf_printf(out, "\"%s\"", text);
}

bool result_add_value(const bson_iter_t *it, enum operation_numbers numbers, int depth,
                      struct buf *out) {
    bson_decimal128_t decimal;
    switch (bson_iter_type(it)) {
    case BSON_TYPE_DOUBLE:
        add_double(out, bson_iter_double(it));
        return true;
    case BSON_TYPE_UTF8:
        add_text(out, it);
        return true;
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        return add_members(it, numbers, depth, out);
    case BSON_TYPE_BINARY:
        add_binary(out, it);
        return true;
    case BSON_TYPE_OID:
        add_oid(out, it);
        return true;
    case BSON_TYPE_BOOL:
        buf_add_text(out, bson_iter_bool(it) ? "true" : "false");
        return true;
    case BSON_TYPE_DATE_TIME:
        add_date(out, bson_iter_date_time(it));
        return true;
    case BSON_TYPE_NULL:
    case BSON_TYPE_UNDEFINED:
        buf_add_text(out, "null");
        return true;
    case BSON_TYPE_INT32:
        add_int(out, numbers, bson_iter_int32(it));
        return true;
    case BSON_TYPE_INT64:
        add_int(out, numbers, bson_iter_int64(it));
        return true;
    case BSON_TYPE_DECIMAL128:
        bson_iter_decimal128(it, &decimal);
        add_decimal(out, numbers, &decimal);
        return true;
    default:
        add_foreign(out, it);
        return true;
    }
}

/* ---- an answer ---- */

int operation_json(const struct conf_operation *operation, const struct operation_answer *answer,
                   enum operation_numbers numbers, struct buf *out, struct err *err) {
    bson_t rows;
    bson_iter_t it;
    bool one = operation->returns == CONF_RETURNS_ONE, first = true, good = true;
    if (!answer->bson.len ||
        !bson_init_static(&rows, (const uint8_t *)answer->bson.data, answer->bson.len) ||
        !bson_iter_init(&it, &rows))
        return err_set(err, ERR_INTERNAL, "an answer without rows");
    if (!one)
        buf_add_char(out, '[');
    while (good && bson_iter_next(&it)) {
        if (!first)
            buf_add_char(out, ',');
        first = false;
        good = result_add_value(&it, numbers, 1, out);
    }
    if (one && first)
        buf_add_text(out, "null");
    if (!one)
        buf_add_char(out, ']');
    if (!good || !buf_ok(out))
        return err_set(err, ERR_LIMIT, "the answer is longer than %d MiB, or too deep",
                       OPERATION_RESULT_MAX / (1024 * 1024));
    return 0;
}

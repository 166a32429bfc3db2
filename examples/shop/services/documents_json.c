/* Any BSON value as JSON. */
#include "documents_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static void write_date(struct json_out *j, const char *name, int64_t ms) {
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(ms - (int64_t)seconds * 1000));
    json_out_text(j, name, text);
}

static void write_bytes(struct json_out *j, const char *name, const bson_iter_t *value) {
    _cleanup_(buf_release) struct buf text = {.max = (size_t)32 << 20};
    bson_subtype_t subtype;
    uint32_t len;
    const uint8_t *bytes;
    bson_iter_binary(value, &subtype, &len, &bytes);
    for (uint32_t i = 0; i < len; i++) {
        bool dash = subtype == BSON_SUBTYPE_UUID && (i == 4 || i == 6 || i == 8 || i == 10);
        buf_printf(&text, "%s%02x", dash ? "-" : "", bytes[i]);
    }
    json_out_text(j, name, buf_text(&text));
}

/* The shortest text that is this number again. */
static void write_double(struct json_out *j, const char *name, double v) {
    char text[40];
    if (!isfinite(v)) {
        json_out_text(j, name, NULL);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    json_out_raw(j, name, span_of(text));
}

static void write_decimal(struct json_out *j, const char *name, const bson_iter_t *value) {
    char text[BSON_DECIMAL128_STRING];
    bson_decimal128_t v;
    bson_iter_decimal128(value, &v);
    bson_decimal128_to_string(&v, text);
    bool number = text[0] == '-' || (text[0] >= '0' && text[0] <= '9'); /* NaN, Infinity */
    if (number && text[1] != 'I')
        json_out_raw(j, name, span_of(text));
    else
        json_out_text(j, name, NULL);
}

static void write_inside(struct json_out *j, const char *name, const bson_iter_t *value) {
    bool array = BSON_ITER_HOLDS_ARRAY(value);
    bson_iter_t it;
    json_out_open(j, name, array ? '[' : '{');
    if (bson_iter_recurse(value, &it))
        while (bson_iter_next(&it))
            view_value(j, array ? NULL : bson_iter_key(&it), &it);
    json_out_close(j, array ? ']' : '}');
}

/* NOLINTNEXTLINE(misc-no-recursion): the server bounds the nesting of a document */
void view_value(struct json_out *j, const char *name, const bson_iter_t *value) {
    uint32_t len;
    switch (bson_iter_type(value)) {
    case BSON_TYPE_UTF8: {
        const char *text = bson_iter_utf8(value, &len);
        json_out_span(j, name, span_make(text, len));
        break;
    }
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        json_out_int(j, name, bson_iter_as_int64(value));
        break;
    case BSON_TYPE_DOUBLE:
        write_double(j, name, bson_iter_double(value));
        break;
    case BSON_TYPE_DECIMAL128:
        write_decimal(j, name, value);
        break;
    case BSON_TYPE_BOOL:
        json_out_bool(j, name, bson_iter_bool(value));
        break;
    case BSON_TYPE_DATE_TIME:
        write_date(j, name, bson_iter_date_time(value));
        break;
    case BSON_TYPE_BINARY:
        write_bytes(j, name, value);
        break;
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        write_inside(j, name, value);
        break;
    default: /* null, and what the shop does not store */
        json_out_text(j, name, NULL);
        break;
    }
}

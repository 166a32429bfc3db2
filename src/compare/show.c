/* Values as JSON. What JSON does not have is written as in MongoDB's extended JSON, relaxed form
 * (specifications/source/extended-json). */
#include "compare/scalar.h"

#include "base/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

/* OpenSSL's own headers have a type with the name of one of our errors. */
#define ERR_STATE ERR_STATE_of_openssl
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#define YEAR_9999_END INT64_C(253402300799999) /* ms; later dates have no ISO form */

/* ---- plain texts ---- */

static struct span hex(struct span bytes, bool dashes, char space[SCALAR_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < bytes.len && n + 3 < SCALAR_TEXT; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10))
            space[n++] = '-';
        space[n++] = digits[(unsigned char)bytes.ptr[i] >> 4];
        space[n++] = digits[(unsigned char)bytes.ptr[i] & 15];
    }
    return span_make(space, n);
}

static struct span date_text(int64_t ms, char space[SCALAR_TEXT]) {
    int64_t rest = (ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((ms - rest) / 1000);
    struct tm tm;
    int n;
    if (ms < -INT64_C(62135596800000) || ms > YEAR_9999_END || !gmtime_r(&seconds, &tm))
        n = snprintf(space, SCALAR_TEXT, "%" PRId64, ms);
    else
        n = snprintf(space, SCALAR_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)rest);
    return span_make(space, (size_t)n);
}

struct span scalar_text(const struct compare_value *v, char space[SCALAR_TEXT]) {
    switch ((enum compare_type)v->type) {
    case COMPARE_NULL:
        return SPAN_LIT("null");
    case COMPARE_BOOL:
        return v->number ? SPAN_LIT("true") : SPAN_LIT("false");
    case COMPARE_INT:
        return span_make(space, (size_t)snprintf(space, SCALAR_TEXT, "%" PRId64, v->number));
    case COMPARE_DOUBLE:
        return number_of_double(v->real, space);
    case COMPARE_DECIMAL:
    case COMPARE_STRING:
        return v->text;
    case COMPARE_DATE:
        return date_text(v->number, space);
    case COMPARE_UUID:
        return hex(v->text, true, space);
    case COMPARE_OBJECT_ID:
    case COMPARE_BINARY:
    case COMPARE_OTHER:
        return hex(v->text, false, space);
    case COMPARE_OBJECT:
    case COMPARE_ARRAY:
        break;
    }
    return (struct span){0};
}

/* ---- JSON ---- */

struct shower {
    struct buf *out;
    size_t end; /* of the buffer: beyond it things are left out */
};

static size_t left(const struct shower *s) {
    return s->out->len < s->end ? s->end - s->out->len : 0;
}

static void show_text(const struct shower *s, struct span text) {
    size_t room = left(s), n = room;
    if (text.len <= room) {
        json_text_string(s->out, text);
        return;
    }
    while (n > 0 && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    json_text_string(s->out, span_make(text.ptr, n));
    if (buf_ok(s->out))
        s->out->len--; /* the quote */
    buf_add_text(s->out, "...\"");
}

static void show_as(const struct shower *s, const char *name, struct span text) {
    buf_printf(s->out, "{\"%s\":", name);
    show_text(s, text);
    buf_add_char(s->out, '}');
}

static void show_bytes(const struct shower *s, const struct compare_value *v, const char *name) {
    buf_printf(s->out, "{\"%s\":{\"hex\":\"", name);
    size_t most = left(s) / 2;
    for (size_t i = 0; i < v->text.len; i++) {
        if (i == most) {
            buf_add_text(s->out, "...");
            break;
        }
        buf_printf(s->out, "%02x", (unsigned char)v->text.ptr[i]);
    }
    buf_printf(s->out, "\",\"%s\":\"%02x\"}}", v->type == COMPARE_BINARY ? "subType" : "type",
               (unsigned)v->number);
}

static void show_scalar(const struct shower *s, const struct compare_value *v) {
    char space[SCALAR_TEXT];
    struct span text = scalar_text(v, space);
    switch ((enum compare_type)v->type) {
    case COMPARE_STRING:
        show_text(s, text);
        return;
    case COMPARE_DOUBLE:
        if (!isfinite(v->real))
            show_as(s, "$numberDouble", text);
        else if (memchr(text.ptr, '.', text.len) || memchr(text.ptr, 'e', text.len))
            buf_add_span(s->out, text);
        else /* 1.0 is no integer */
            buf_printf(s->out, "%.*s.0", SPAN_ARG(text));
        return;
    case COMPARE_DECIMAL:
        if (v->json)
            buf_add_span(s->out, text);
        else
            show_as(s, "$numberDecimal", text);
        return;
    case COMPARE_DATE:
        show_as(s, "$date", text);
        return;
    case COMPARE_UUID:
        show_as(s, "$uuid", text);
        return;
    case COMPARE_OBJECT_ID:
        show_as(s, "$oid", text);
        return;
    case COMPARE_BINARY:
        show_bytes(s, v, "$binary");
        return;
    case COMPARE_OTHER:
        show_bytes(s, v, "$bson");
        return;
    case COMPARE_NULL:
    case COMPARE_BOOL:
    case COMPARE_INT:
    case COMPARE_OBJECT:
    case COMPARE_ARRAY:
        break;
    }
    buf_add_span(s->out, text);
}

/* Trees are COMPARE_DEPTH_MAX deep at most. */
static void show(const struct shower *s, const struct compare_value *v) {
    bool object = v->type == COMPARE_OBJECT;
    if (!object && v->type != COMPARE_ARRAY) {
        show_scalar(s, v);
        return;
    }
    buf_add_char(s->out, object ? '{' : '[');
    for (const struct compare_value *in = v + 1, *end = v + v->size; in < end; in += in->size) {
        if (in > v + 1)
            buf_add_char(s->out, ',');
        if (left(s) == 0) {
            buf_add_text(s->out, object ? "\"...\":\"...\"" : "\"...\"");
            break;
        }
        if (object) {
            show_text(s, in->name);
            buf_add_char(s->out, ':');
        }
        show(s, in);
    }
    buf_add_char(s->out, object ? '}' : ']');
}

void compare_show(const struct compare_value *value, size_t max, struct buf *out) {
    size_t end;
    if (!value)
        return;
    if (__builtin_add_overflow(out->len, max, &end))
        end = SIZE_MAX;
    const struct shower s = {out, end};
    show(&s, value);
}

/* ---- masked ---- */

#define CANONICAL_MAX ((size_t)64 << 20)

/* The same for equal numbers of any type: their digits. */
static void canonical_number(const struct compare_value *v, struct buf *out) {
    char space[SCALAR_TEXT];
    struct number n;
    struct span text = scalar_text(v, space);
    if (!number_of_text(text, &n)) {
        buf_add_span(out, text);
        return;
    }
    buf_add_text(out, n.negative ? "-0." : "0.");
    for (const char *p = n.first; p < n.end; p++)
        if (*p != '.')
            buf_add_char(out, *p);
    buf_printf(out, "e%" PRId64, n.exponent);
}

static bool is_number(const struct compare_value *v) {
    return v->type == COMPARE_INT || v->type == COMPARE_DOUBLE || v->type == COMPARE_DECIMAL;
}

void compare_show_masked(const struct compare_value *value, struct span key, struct buf *out) {
    _cleanup_(buf_release) struct buf canonical;
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    unsigned hash_len;
    char space[SCALAR_TEXT];
    buf_init(&canonical, CANONICAL_MAX);
    if (!value)
        return;
    if (is_number(value)) {
        buf_add_char(&canonical, (char)COMPARE_DECIMAL);
        canonical_number(value, &canonical);
    } else {
        buf_add_char(&canonical, (char)value->type);
        compare_show(value, SIZE_MAX, &canonical);
    }
    bool nested = value->type == COMPARE_OBJECT || value->type == COMPARE_ARRAY;
    size_t length = nested ? value->count : scalar_text(value, space).len;
    if (value->type == COMPARE_BINARY || value->type == COMPARE_OTHER)
        length = value->text.len;
    buf_printf(out, "{\"masked\":\"%s\",\"length\":%zu,\"hash\":",
               compare_type_name((enum compare_type)value->type), length);
    struct span bytes = buf_span(&canonical);
    if (buf_ok(&canonical) && HMAC(EVP_sha256(), key.ptr ? key.ptr : "", (int)key.len,
                                   (const unsigned char *)bytes.ptr, bytes.len, hash, &hash_len))
        json_text_string(out, hex(span_make(hash, 8), false, space));
    else
        buf_add_text(out, "null");
    buf_add_char(out, '}');
}

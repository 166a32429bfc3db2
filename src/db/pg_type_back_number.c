#include "db/pg_type_back_parts.h"

static size_t digits_before(const char *p, const char *end) {
    size_t n = 0;
    while (p + n < end && p[n] >= '0' && p[n] <= '9')
        n++;
    return n;
}

static int64_t exponent_at(const char *p, const char *end, bool *ok) {
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '+' || *p == '-'))
        p++;
    size_t n = digits_before(p, end);
    *ok = n > 0 && p + n == end;
    int64_t e = 0;
    for (size_t i = 0; *ok && i < n; i++)
        e = e > 100000000 ? e : e * 10 + (p[i] - '0');
    return minus ? -e : e;
}

/* Finds the parts first, then the digits that count from both ends. */
bool back_number_read(struct span text, struct back_number *ret) {
    const char *p = text.ptr, *end = p + text.len;
    struct back_number n = {0};
    n.negative = p < end && *p == '-';
    p += n.negative;
    const char *whole = p;
    size_t whole_len = digits_before(p, end), fraction_len = 0;
    p += whole_len;
    if (whole_len == 0)
        return false;
    n.integer = p == end;
    const char *mantissa_end = p;
    if (p < end && *p == '.') {
        fraction_len = digits_before(p + 1, end);
        if (fraction_len == 0)
            return false;
        mantissa_end = p = p + 1 + fraction_len;
    }
    int64_t e = 0;
    if (p < end) {
        bool ok = *p == 'e' || *p == 'E';
        e = ok ? exponent_at(p + 1, end, &ok) : 0;
        if (!ok)
            return false;
    }
    n.first = whole;
    n.last = mantissa_end;
    while (n.first < n.last && (*n.first == '0' || *n.first == '.'))
        n.first++;
    while (n.last > n.first && (n.last[-1] == '0' || n.last[-1] == '.'))
        n.last--;
    const char *point = whole + whole_len;
    bool spans_point = n.first < point && n.last > point;
    n.count = (size_t)(n.last - n.first) - spans_point;
    n.top = n.first < point ? point - n.first + e : e - (n.first - point - 1);
    n.scale = e - (int64_t)fraction_len;
    *ret = n;
    return true;
}

bool back_number_equal(const struct back_number *a, const struct back_number *b) {
    if (a->count == 0 || b->count == 0)
        return a->count == b->count;
    if (a->negative != b->negative || a->count != b->count || a->top != b->top)
        return false;
    const char *p = a->first, *q = b->first;
    for (size_t i = 0; i < a->count; i++, p++, q++) {
        p += *p == '.';
        q += *q == '.';
        if (*p != *q)
            return false;
    }
    return true;
}

bool back_number_is_decimal(const struct back_number *n) {
    if (n->count == 0)
        return true;
    int64_t lowest = n->top - (int64_t)n->count;
    return n->count <= 34 && lowest >= -6176 && n->top <= 6111 + 34;
}

/* Digits of the coefficient from libbson's own text, laid out around the point. */
void back_decimal_text(const bson_decimal128_t *v, struct buf *out) {
    if ((v->high >> 58 & 0x1f) >= 0x1e) {
        buf_add_text(out, (v->high >> 58 & 0x1f) == 0x1f ? "NaN"
                          : v->high >> 63                ? "-Infinity"
                                                         : "Infinity");
        return;
    }
    char library[BSON_DECIMAL128_STRING], digits[BSON_DECIMAL128_STRING];
    bson_decimal128_to_string(v, library);
    int count = 0;
    for (const char *p = library; *p && *p != 'E'; p++)
        if (*p >= '0' && *p <= '9' && (count > 0 || *p != '0'))
            digits[count++] = *p;
    if (count == 0)
        digits[count++] = '0';
    int exponent = (int)(v->high >> 49 & 0x3fff) - 6176;
    if (v->high >> 63)
        buf_add_char(out, '-');
    if (exponent > 0) {
        buf_add(out, digits, (size_t)count);
        buf_printf(out, "E+%d", exponent);
        return;
    }
    int whole = count + exponent;
    if (whole <= 0)
        buf_add_char(out, '0');
    else
        buf_add(out, digits, (size_t)whole);
    if (exponent < 0)
        buf_add_char(out, '.');
    for (int zeros = whole; zeros < 0; zeros++)
        buf_add_char(out, '0');
    if (exponent < 0)
        buf_add(out, digits + (whole > 0 ? whole : 0), (size_t)(whole > 0 ? -exponent : count));
}

bool back_decimal_agrees(const bson_decimal128_t *v, struct span text) {
    _cleanup_(buf_release) struct buf made = {.max = 8192};
    struct back_number a, b;
    back_decimal_text(v, &made);
    if (!back_number_read(text, &a))
        return span_eq(buf_span(&made), text);
    if (!back_number_read(buf_span(&made), &b) || !back_number_equal(&a, &b))
        return false;
    if (a.negative != (v->high >> 63 != 0))
        return false;
    bool as_written =
        (a.count == 0 ? 1 : a.top - a.scale) <= 34 && a.scale >= -6176 && a.scale <= 6111;
    return !as_written || a.scale == b.scale;
}

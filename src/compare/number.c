/* Decimal numbers of any length, exactly. */
#include "compare/scalar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPONENT_MAX 100000 /* beyond it a text is no number to us */
#define DIGITS_MAX 800      /* more cannot change which double is nearest */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct scan {
    const char *p, *end;
};

static size_t digits(struct scan *s) {
    const char *from = s->p;
    while (s->p < s->end && is_digit(*s->p))
        s->p++;
    return (size_t)(s->p - from);
}

static bool sign(struct scan *s) {
    bool minus = s->p < s->end && *s->p == '-';
    if (s->p < s->end && (*s->p == '-' || *s->p == '+'))
        s->p++;
    return minus;
}

static bool exponent(struct scan *s, int64_t *ret) {
    *ret = 0;
    if (s->p == s->end || (*s->p != 'e' && *s->p != 'E'))
        return true;
    s->p++;
    bool minus = sign(s);
    const char *from = s->p;
    if (digits(s) == 0)
        return false;
    for (const char *p = from; p < s->p; p++) {
        *ret = *ret * 10 + (*p - '0');
        if (*ret > EXPONENT_MAX)
            return false;
    }
    *ret = minus ? -*ret : *ret;
    return true;
}

/* From `first` on, `before` digits stand before the point; zeros at both ends say nothing. */
static void trim(struct number *n, size_t before, int64_t power) {
    int64_t left = (int64_t)before;
    while (n->first < n->end && (*n->first == '0' || *n->first == '.')) {
        left -= *n->first == '0';
        n->first++;
    }
    while (n->end > n->first && (n->end[-1] == '0' || n->end[-1] == '.'))
        n->end--;
    n->exponent = n->first == n->end ? 0 : left + power;
    if (n->first == n->end)
        n->negative = false; /* there is one zero */
}

bool number_of_text(struct span text, struct number *ret) {
    struct scan s = {text.ptr, text.ptr + text.len};
    int64_t power;
    ret->negative = sign(&s);
    ret->first = s.p;
    size_t before = digits(&s), after = 0;
    if (s.p < s.end && *s.p == '.') {
        s.p++;
        after = digits(&s);
    }
    ret->end = s.p;
    if (before + after == 0 || !exponent(&s, &power) || s.p != s.end)
        return false;
    trim(ret, before, power);
    return true;
}

void number_of_int(int64_t v, struct number *ret) {
    int n = snprintf(ret->own, sizeof ret->own, "%" PRId64, v);
    ret->negative = v < 0;
    ret->first = ret->own + (v < 0);
    ret->end = ret->own + n;
    trim(ret, (size_t)(ret->end - ret->first), 0);
}

bool number_equal(const struct number *a, const struct number *b) {
    if (a->negative != b->negative || a->exponent != b->exponent)
        return false;
    const char *p = a->first, *q = b->first;
    for (;;) {
        p += p < a->end && *p == '.';
        q += q < b->end && *q == '.';
        if (p == a->end || q == b->end)
            return p == a->end && q == b->end;
        if (*p++ != *q++)
            return false;
    }
}

/* Zeros at both ends are gone, so the digits that are kept are the ones that weigh. */
double number_to_double(struct span text) {
    struct number n;
    if (!number_of_text(text, &n))
        return span_is(text, "Infinity")    ? (double)INFINITY
               : span_is(text, "-Infinity") ? -(double)INFINITY
                                            : (double)NAN;
    char copy[DIGITS_MAX + 32];
    size_t len = 0;
    copy[len++] = n.negative ? '-' : '+';
    copy[len++] = '0';
    copy[len++] = '.';
    for (const char *p = n.first; p < n.end && len < DIGITS_MAX; p++)
        if (*p != '.')
            copy[len++] = *p;
    if (n.first == n.end)
        copy[len++] = '0';
    snprintf(copy + len, sizeof copy - len, "e%" PRId64, n.exponent);
    double v = strtod(copy, NULL);
    return isfinite(v) ? v : (double)NAN;
}

/* The shortest text that reads back as the same double. */
struct span number_of_double(double v, char out[TEXT_DOUBLE_MAX]) {
    if (!isfinite(v))
        return span_of(isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
    return span_make(out, text_double(v, out));
}

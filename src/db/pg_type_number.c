#include "db/pg_type_number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 u128;

#define HEAD_DIGITS 19
#define EXPONENT_TEXT_MAX INT64_C(100000000)

static const uint64_t powers[] = {
    1ULL,
    10ULL,
    100ULL,
    1000ULL,
    10000ULL,
    100000ULL,
    1000000ULL,
    10000000ULL,
    100000000ULL,
    1000000000ULL,
    10000000000ULL,
    100000000000ULL,
    1000000000000ULL,
    10000000000000ULL,
    100000000000000ULL,
    1000000000000000ULL,
    10000000000000000ULL,
    100000000000000000ULL,
    1000000000000000000ULL,
    10000000000000000000ULL,
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Takes the digits from `p` on. *dropped counts zeros that no longer had room. */
static const char *take_digits(const char *p, const char *end, struct pg_number *n,
                               int64_t *dropped) {
    for (; p < end && is_digit(*p); p++) {
        unsigned d = (unsigned)(*p - '0');
        if (n->digits < HEAD_DIGITS) {
            n->head = n->head * 10 + d;
            n->digits += n->head != 0;
        } else if (n->digits < PG_DECIMAL_DIGITS) {
            n->tail = n->tail * 10 + d;
            n->tail_digits++;
            n->digits++;
        } else if (d == 0) {
            (*dropped)++;
        } else {
            n->too_long = true;
        }
    }
    return p;
}

static const char *take_exponent(const char *p, const char *end, int64_t *ret) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !is_digit(*p))
        return NULL;
    int64_t e = 0;
    for (; p < end && is_digit(*p); p++)
        if (e < EXPONENT_TEXT_MAX)
            e = e * 10 + (*p - '0');
    *ret = negative ? -e : e;
    return p;
}

bool pg_number_scan(struct span text, struct pg_number *ret) {
    struct pg_number n = {.plain = true};
    const char *p = text.ptr, *end = p + text.len;
    int64_t dropped = 0;
    if (p < end && *p == '-') {
        n.negative = true;
        p++;
    }
    const char *from = p;
    p = take_digits(p, end, &n, &dropped);
    if (p == from)
        return false;
    if (p < end && *p == '.') {
        from = ++p;
        p = take_digits(p, end, &n, &dropped);
        if (p == from)
            return false;
        n.exponent -= p - from;
        n.plain = false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        int64_t e;
        p = take_exponent(p + 1, end, &e);
        if (!p)
            return false;
        n.exponent += e;
        n.plain = false;
    }
    n.exponent += dropped;
    *ret = n;
    return p == end;
}

static u128 coefficient(const struct pg_number *n) {
    return (u128)n->head * powers[n->tail_digits] + n->tail;
}

bool pg_number_int64(const struct pg_number *n, int64_t *ret) {
    if (n->too_long)
        return false;
    u128 c = coefficient(n);
    int64_t e = n->exponent;
    for (; e < 0 && c % 10 == 0 && c != 0; e++)
        c /= 10;
    u128 limit = (u128)INT64_MAX + n->negative;
    for (; e > 0 && c != 0 && c <= limit; e--)
        c *= 10;
    if (c != 0 && (e != 0 || c > limit))
        return false;
    *ret = n->negative ? (int64_t)(0 - (uint64_t)c) : (int64_t)c;
    return true;
}

bool pg_number_decimal(const struct pg_number *n, bson_decimal128_t *ret) {
    if (n->too_long)
        return false;
    u128 c = coefficient(n);
    int64_t e = n->exponent;
    u128 padded_max = (u128)powers[19] * powers[14]; /* 10^33: one digit more still fits */
    if (c == 0 && e > PG_DECIMAL_EXPONENT_MAX)
        e = PG_DECIMAL_EXPONENT_MAX;
    if (c == 0 && e < PG_DECIMAL_EXPONENT_MIN)
        e = PG_DECIMAL_EXPONENT_MIN;
    for (; e > PG_DECIMAL_EXPONENT_MAX && c < padded_max; e--)
        c *= 10;
    for (; e < PG_DECIMAL_EXPONENT_MIN && c % 10 == 0; e++)
        c /= 10;
    if (e > PG_DECIMAL_EXPONENT_MAX || e < PG_DECIMAL_EXPONENT_MIN)
        return false;
    ret->low = (uint64_t)c;
    ret->high = (uint64_t)(c >> 64) | (uint64_t)(e - PG_DECIMAL_EXPONENT_MIN) << 49 |
                (uint64_t)n->negative << 63;
    return true;
}

bool pg_text_int64(struct span text, int64_t *ret) {
    const char *p = text.ptr, *end = p + text.len;
    bool negative = p < end && *p == '-';
    p += negative;
    if (p == end || end - p > HEAD_DIGITS)
        return false;
    uint64_t v = 0; /* 19 digits stay below 2^64 */
    for (; p < end; p++) {
        if (!is_digit(*p))
            return false;
        v = v * 10 + (unsigned)(*p - '0');
    }
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* m * 2^e rounded to nearest, ties to even; `sticky`: something below m was cut off. m has its top
 * bit set and the result is far from both ends of the range. */
static double round_to_double(uint64_t m, int e, bool sticky) {
    uint64_t kept = m >> 11, cut = m & 0x7ff;
    if (cut > 0x400 || (cut == 0x400 && (sticky || (kept & 1))))
        kept++;
    return ldexp((double)kept, e + 11);
}

/* head * 10^exponent for exponents of -19 to 19 is a product or quotient that 128 bits hold
 * exactly. */
static double small_power(uint64_t m, int exponent) {
    if (m == 0)
        return 0.0;
    int shift = __builtin_clzll(m);
    if (exponent >= 0) {
        u128 product = (u128)m * powers[exponent];
        uint64_t high = (uint64_t)(product >> 64);
        if (high == 0) {
            int s = __builtin_clzll((uint64_t)product);
            return round_to_double((uint64_t)product << s, -s, false);
        }
        int s = __builtin_clzll(high);
        product <<= s;
        return round_to_double((uint64_t)(product >> 64), 64 - s, (uint64_t)product != 0);
    }
    /* Both normalised; the dividend is moved right if it is not the smaller, so that the quotient
     * has 64 bits with the top one set. */
    uint64_t divisor = powers[-exponent];
    int divisor_shift = __builtin_clzll(divisor);
    uint64_t top = m << shift, d = divisor << divisor_shift;
    u128 dividend = (u128)top << 64;
    int e = divisor_shift - shift - 64;
    bool sticky = false;
    if (top >= d) {
        dividend >>= 1;
        e++;
    }
    uint64_t q = (uint64_t)(dividend / d);
    sticky = dividend % d != 0;
    return round_to_double(q, e, sticky);
}

/* Any length and exponent, by the C library under the C locale: the process may have another. */
static bool strtod_c(struct span text, double *ret) {
    char room[512];
    if (text.len >= sizeof room)
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    *ret = strtod_l(room, NULL, c_locale);
    freelocale(c_locale);
    return isfinite(*ret);
}

bool pg_text_double(struct span text, double *ret) {
    struct pg_number n;
    if (!pg_number_scan(text, &n)) {
        if (span_is(text, "NaN"))
            *ret = (double)NAN;
        else if (span_is(text, "Infinity"))
            *ret = HUGE_VAL;
        else if (span_is(text, "-Infinity"))
            *ret = -HUGE_VAL;
        else
            return false;
        return true;
    }
    if (n.tail_digits > 0 || n.too_long || n.exponent < -19 || n.exponent > 19)
        return strtod_c(text, ret);
    double v = small_power(n.head, (int)n.exponent);
    *ret = n.negative ? -v : v;
    return true;
}

/* Significant digits without trailing zeros, as text; the exponent of the first one. */
static int significant(const struct pg_number *n, char digits[PG_DECIMAL_DIGITS]) {
    u128 c = coefficient(n);
    for (; c != 0 && c % 10 == 0;)
        c /= 10;
    int count = 0;
    for (u128 rest = c; rest; rest /= 10)
        count++;
    for (int i = count; i-- > 0; c /= 10)
        digits[i] = (char)('0' + (int)(c % 10));
    return count;
}

bool pg_text_double_exact(struct span text, double *ret) {
    double v;
    struct pg_number n, again;
    if (!pg_text_double(text, &v))
        return false;
    if (!isfinite(v)) {
        *ret = v;
        return true;
    }
    if (!pg_number_scan(text, &n) || n.too_long)
        return false;
    char digits[PG_DECIMAL_DIGITS], digits_again[PG_DECIMAL_DIGITS], room[64];
    int count = significant(&n, digits);
    int len = snprintf(room, sizeof room, "%.*e", count > 0 ? count - 1 : 0, v);
    char *point = count > 1 ? room + (v < 0 || signbit(v)) + 1 : NULL;
    if (point) /* one byte in every locale that glibc has but a few; a longer one fails the scan */
        *point = '.';
    if (len < 0 || !pg_number_scan(span_make(room, (size_t)len), &again))
        return false;
    int count_again = significant(&again, digits_again);
    *ret = v;
    return count == count_again && memcmp(digits, digits_again, (size_t)count) == 0 &&
           (count == 0 || n.exponent + n.digits == again.exponent + again.digits);
}

bool pg_text_decimal(struct span text, bson_decimal128_t *ret, bool *ret_too_long) {
    struct pg_number n;
    *ret_too_long = false;
    if (pg_number_scan(text, &n)) {
        *ret_too_long = !pg_number_decimal(&n, ret);
        return !*ret_too_long;
    }
    ret->low = 0;
    if (span_is(text, "NaN"))
        ret->high = 0x7c00000000000000ULL;
    else if (span_is(text, "Infinity"))
        ret->high = 0x7800000000000000ULL;
    else if (span_is(text, "-Infinity"))
        ret->high = 0xf800000000000000ULL;
    else
        return false;
    return true;
}

/* Source: specifications/source/bson-decimal128 of MongoDB (IEEE 754-2008 decimal128, binary
 * integer significand). */
#include "compare/decimal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef unsigned __int128 u128;

#define BIAS 6176
#define DIGITS 34

static size_t put(char out[DECIMAL_TEXT], bool negative, const char *text) {
    return (size_t)snprintf(out, DECIMAL_TEXT, "%s%s", negative ? "-" : "", text);
}

/* The digits, without zeros before them; "0" of 0. */
static size_t digits_of(u128 v, char out[DIGITS + 6]) {
    char reversed[DIGITS + 6];
    size_t n = 0;
    while (v > UINT64_MAX) {
        reversed[n++] = (char)('0' + (int)(v % 10));
        v /= 10;
    }
    uint64_t small = (uint64_t)v;
    do {
        reversed[n++] = (char)('0' + (int)(small % 10));
        small /= 10;
    } while (small > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

static size_t scientific(char *to, const char *digits, size_t n, int power) {
    size_t len = 0;
    to[len++] = digits[0];
    if (n > 1) {
        to[len++] = '.';
        memcpy(to + len, digits + 1, n - 1);
        len += n - 1;
    }
    return len + (size_t)snprintf(to + len, 8, "E%+d", power);
}

/* `before` digits stand before the point; it may be 0 or less. */
static size_t plain(char *to, const char *digits, size_t n, int before) {
    size_t len = 0;
    if (before <= 0) {
        to[len++] = '0';
        to[len++] = '.';
        memset(to + len, '0', (size_t)-before);
        len += (size_t)-before;
        memcpy(to + len, digits, n);
        return len + n;
    }
    memcpy(to, digits, (size_t)before);
    len = (size_t)before;
    if (len < n) {
        to[len] = '.';
        memcpy(to + len + 1, digits + len, n - len);
        return n + 1;
    }
    return len;
}

size_t decimal_text(uint64_t high, uint64_t low, char out[DECIMAL_TEXT]) {
    bool negative = high >> 63;
    unsigned combination = (unsigned)(high >> 58 & 0x1f);
    if (combination == 0x1f)
        return put(out, false, "NaN");
    if (combination == 0x1e)
        return put(out, negative, "Infinity");
    u128 v = (u128)(high & UINT64_C(0x1ffffffffffff)) << 64 | low;
    int exponent = (int)(high >> 49 & 0x3fff) - BIAS;
    if (combination >= 0x18) { /* a significand beyond 34 digits: is 0 */
        v = 0;
        exponent = (int)(high >> 47 & 0x3fff) - BIAS;
    }
    char digits[DIGITS + 6];
    size_t n = digits_of(v, digits), len = 0;
    if (n > DIGITS) {
        digits[0] = '0';
        n = 1;
    }
    if (negative)
        out[len++] = '-';
    int before = (int)n + exponent;
    if (exponent > 0 || before - 1 < -6)
        return len + scientific(out + len, digits, n, before - 1);
    return len + plain(out + len, digits, n, before);
}

/*
 * Decimal text -> int64, double, Decimal128: exact or refused, whatever the locale.
 *
 * The grammar is what PostgreSQL prints: -?digits[.digits][e[+-]digits]. Pure, no allocation.
 */
#ifndef BANYAN_DB_PG_TYPE_NUMBER_H
#define BANYAN_DB_PG_TYPE_NUMBER_H

#include "base/compiler.h"
#include "base/span.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

/* IEEE 754-2008 decimal128 in its binary integer encoding. */
#define PG_DECIMAL_DIGITS 34
#define PG_DECIMAL_EXPONENT_MIN (-6176)
#define PG_DECIMAL_EXPONENT_MAX 6111

/* A scanned number: (-1)^negative * (head * 10^tail_digits + tail) * 10^exponent. */
struct pg_number {
    bool negative;
    bool plain;      /* neither fraction nor exponent were written */
    bool too_long;   /* more than 34 significant digits: head and tail hold the first ones only */
    uint64_t head;   /* the first 19 significant digits */
    uint64_t tail;   /* the next 15 */
    int tail_digits; /* digits in `tail` */
    int digits;      /* in head and tail, without leading zeros */
    int64_t exponent;
};

/* False when `text` is not exactly one number. */
bool pg_number_scan(struct span text, struct pg_number *ret) must_check;

/* False when the value is not an integer of 64 bits (5.00 and 5e2 are). */
bool pg_number_int64(const struct pg_number *n, int64_t *ret) must_check;

/* Keeps trailing zeros as scale as far as 34 digits hold them; false when the value cannot be
 * held exactly. */
bool pg_number_decimal(const struct pg_number *n, bson_decimal128_t *ret) must_check;

/* Digits only, the fast path for integer columns: -?digits. False on overflow too. */
bool pg_text_int64(struct span text, int64_t *ret) must_check;

/* The nearest double (ties to even). False when `text` is no number or passes the range. */
bool pg_text_double(struct span text, double *ret) must_check;

/* Same, but false as well when the double, printed with as many significant digits as `text` has,
 * does not give `text` again: the conversion would lose something. */
bool pg_text_double_exact(struct span text, double *ret) must_check;

/* NaN, Infinity, -Infinity and numbers. *ret_too_long is set when `text` is a number that
 * Decimal128 cannot hold (the result is false then). */
bool pg_text_decimal(struct span text, bson_decimal128_t *ret, bool *ret_too_long) must_check;

#endif

#include "compare/scalar.h"

#include <math.h>
#include <xxhash.h>

static bool is_number(const struct compare_value *v) {
    return v->type == COMPARE_INT || v->type == COMPARE_DOUBLE || v->type == COMPARE_DECIMAL;
}

/* JSON has one type of number, which is exact. */
static bool is_same_type(const struct compare_value *a, const struct compare_value *b) {
    if (a->type == b->type)
        return true;
    return (a->json || b->json) && is_number(a) && is_number(b) && a->type != COMPARE_DOUBLE &&
           b->type != COMPARE_DOUBLE;
}

/* ---- numbers ---- */

static double as_double(const struct compare_value *v) {
    if (v->type == COMPARE_DOUBLE)
        return v->real;
    return v->type == COMPARE_INT ? (double)v->number : number_to_double(v->text);
}

static bool as_digits(const struct compare_value *v, struct number *ret) {
    if (v->type == COMPARE_INT) {
        number_of_int(v->number, ret);
        return true;
    }
    return number_of_text(v->text, ret);
}

/* What is not finite, or too large for number.c, is equal where it is written alike. */
static bool are_exactly_equal(const struct compare_value *a, const struct compare_value *b) {
    struct number x, y;
    if (a->type == COMPARE_INT && b->type == COMPARE_INT)
        return a->number == b->number;
    if (a->type == b->type && span_eq(a->text, b->text))
        return true;
    bool x_ok = as_digits(a, &x), y_ok = as_digits(b, &y);
    if (x_ok && y_ok)
        return number_equal(&x, &y);
    return !x_ok && !y_ok && span_eq(a->text, b->text);
}

/* Without the rounding of an integer to a double: 2^53 + 1 is not 2^53. */
static double distance_to_int(double x, int64_t i) {
    int64_t between;
    if (isnan(x))
        return x;
    if (!(x >= -0x1p63 && x < 0x1p63))
        return fmax(fabs(x - (double)i), 1); /* no integer is as large */
    double whole = trunc(x);
    if (__builtin_sub_overflow((int64_t)whole, i, &between))
        return fabs(x - (double)i);
    return fabs((double)between + (x - whole));
}

/* NaN: one of them is. */
static double distance(const struct compare_value *a, const struct compare_value *b) {
    int64_t between;
    if (a->type == COMPARE_INT && b->type == COMPARE_INT &&
        !__builtin_sub_overflow(a->number, b->number, &between))
        return fabs((double)between);
    if (a->type == COMPARE_INT)
        return distance_to_int(as_double(b), a->number);
    if (b->type == COMPARE_INT)
        return distance_to_int(as_double(a), b->number);
    return fabs(as_double(a) - as_double(b));
}

static bool is_nan(const struct compare_value *v) {
    return v->type == COMPARE_DOUBLE ? isnan(v->real)
                                     : v->type == COMPARE_DECIMAL && span_is(v->text, "NaN");
}

static bool are_equal(const struct compare_value *a, const struct compare_value *b) {
    if (a->type != COMPARE_DOUBLE && b->type != COMPARE_DOUBLE)
        return are_exactly_equal(a, b);
    if (is_nan(a) || is_nan(b))
        return is_nan(a) && is_nan(b);
    double x = as_double(a), y = as_double(b);
    return x == y && (isinf(x) || distance(a, b) == 0);
}

static enum verdict compare_numbers(const struct compare_rules *rules,
                                    const struct compare_value *a, const struct compare_value *b,
                                    enum compare_rule *rule) {
    *rule = COMPARE_BY_NUMBER;
    if (are_equal(a, b))
        return is_same_type(a, b) ? VERDICT_SAME : VERDICT_EXPLAINED;
    bool binary = a->type == COMPARE_DOUBLE || b->type == COMPARE_DOUBLE;
    bool tolerant = rules->mode == COMPARE_REFERENCE || (rules->mode == COMPARE_MAPPED && binary);
    if (!tolerant || !(distance(a, b) <= rules->tolerance))
        return VERDICT_MISMATCH;
    *rule = COMPARE_BY_TOLERANCE;
    return VERDICT_EXPLAINED;
}

/* ---- the same type ---- */

static enum verdict compare_same(const struct compare_rules *rules, const struct compare_value *a,
                                 const struct compare_value *b, enum compare_rule *rule) {
    bool same = true;
    switch ((enum compare_type)a->type) {
    case COMPARE_INT:
    case COMPARE_DOUBLE:
    case COMPARE_DECIMAL:
        return compare_numbers(rules, a, b, rule);
    case COMPARE_NULL:
        break;
    case COMPARE_BOOL:
    case COMPARE_DATE:
        same = a->number == b->number;
        break;
    case COMPARE_BINARY:
    case COMPARE_OTHER:
        if (a->number != b->number)
            return VERDICT_TYPE;
        same = span_eq(a->text, b->text);
        break;
    case COMPARE_STRING:
    case COMPARE_UUID:
    case COMPARE_OBJECT_ID:
        same = span_eq(a->text, b->text);
        break;
    case COMPARE_OBJECT:
    case COMPARE_ARRAY:
        return VERDICT_TYPE; /* they have parts */
    }
    return same ? VERDICT_SAME : VERDICT_MISMATCH;
}

/* ---- other forms of the same ---- */

static bool number_form(const struct compare_value *v, struct compare_value *as) {
    struct number ignored;
    *as = *v;
    if (v->type == COMPARE_STRING &&
        (number_of_text(v->text, &ignored) || span_is(v->text, "NaN") ||
         span_is(v->text, "Infinity") || span_is(v->text, "-Infinity")))
        as->type = COMPARE_DECIMAL;
    return is_number(as);
}

/* 0 and 1 are false and true; -1: neither. */
static int boolean_form(const struct compare_value *v) {
    if (v->type != COMPARE_BOOL && !is_number(v))
        return -1;
    for (int i = 0; i < 2; i++) {
        const struct compare_value is = {.type = COMPARE_INT, .number = i};
        if (v->type == COMPARE_BOOL ? v->number == i : are_equal(v, &is))
            return i;
    }
    return -1;
}

static bool time_form(const struct compare_value *v, int64_t *us) {
    if (v->type == COMPARE_DATE)
        return !__builtin_mul_overflow(v->number, INT64_C(1000), us);
    return v->type == COMPARE_STRING && date_of_text(v->text, us);
}

static int64_t whole_ms(int64_t us) {
    return us / 1000 - (us % 1000 < 0);
}

/* Sixteen bytes, or their text with dashes. */
static bool uuid_form(const struct compare_value *v, unsigned char out[16]) {
    if (v->type == COMPARE_UUID) {
        memcpy(out, v->text.ptr, 16);
        return true;
    }
    return v->type == COMPARE_STRING && text_uuid(v->text, out);
}

static enum verdict said(bool equal, enum compare_rule by, enum compare_rule *rule) {
    *rule = by;
    return equal ? VERDICT_EXPLAINED : VERDICT_MISMATCH;
}

static enum verdict compare_times(const struct compare_rules *rules, const struct compare_value *a,
                                  const struct compare_value *b, enum compare_rule *rule) {
    int64_t x, y;
    if (!time_form(a, &x) || !time_form(b, &y))
        return VERDICT_TYPE;
    /* A date of BSON has milliseconds only, one of JavaScript, too. */
    if (a->type == COMPARE_DATE || b->type == COMPARE_DATE || rules->mode == COMPARE_REFERENCE)
        return said(whole_ms(x) == whole_ms(y), COMPARE_BY_DATE, rule);
    return said(x == y, COMPARE_BY_DATE, rule);
}

/* VERDICT_TYPE: one of them cannot be of this form. */
static enum verdict compare_form(const struct compare_rules *rules, enum compare_form form,
                                 const struct compare_value *a, const struct compare_value *b,
                                 enum compare_rule *rule) {
    struct compare_value x, y;
    unsigned char u[2][16];
    enum verdict v;
    switch (form) {
    case COMPARE_ANY:
        break;
    case COMPARE_NUMBER:
        if (!number_form(a, &x) || !number_form(b, &y))
            break;
        v = compare_numbers(rules, &x, &y, rule);
        return v == VERDICT_SAME ? said(true, COMPARE_BY_NUMBER, rule) : v;
    case COMPARE_BOOLEAN:
        if (boolean_form(a) < 0 || boolean_form(b) < 0)
            break;
        return said(boolean_form(a) == boolean_form(b), COMPARE_BY_BOOLEAN, rule);
    case COMPARE_TIME:
        return compare_times(rules, a, b, rule);
    case COMPARE_UUIDS:
        if (!uuid_form(a, u[0]) || !uuid_form(b, u[1]))
            break;
        return said(memcmp(u[0], u[1], 16) == 0, COMPARE_BY_UUID, rule);
    }
    return VERDICT_TYPE;
}

/* The reference tries every form. */
static enum verdict compare_loosely(const struct compare_rules *rules,
                                    const struct compare_value *a, const struct compare_value *b,
                                    enum compare_rule *rule) {
    enum verdict best = VERDICT_TYPE;
    for (enum compare_form form = COMPARE_NUMBER; form <= COMPARE_UUIDS; form++) {
        enum verdict v = compare_form(rules, form, a, b, rule);
        if (v == VERDICT_EXPLAINED)
            return v;
        if (v == VERDICT_MISMATCH)
            best = v;
    }
    return best;
}

enum verdict scalar_compare(const struct compare_rules *rules, enum compare_form form,
                            const struct compare_value *a, const struct compare_value *b,
                            enum compare_rule *rule) {
    bool comparable =
        is_same_type(a, b) || (rules->mode != COMPARE_EXACT && is_number(a) && is_number(b));
    enum verdict v = comparable ? compare_same(rules, a, b, rule) : VERDICT_TYPE;
    if (v == VERDICT_SAME || v == VERDICT_EXPLAINED || rules->mode == COMPARE_EXACT)
        return v;
    enum verdict other = rules->mode == COMPARE_REFERENCE ? compare_loosely(rules, a, b, rule)
                                                          : compare_form(rules, form, a, b, rule);
    return other == VERDICT_TYPE ? v : other;
}

/* ---- hashes ---- */

static uint64_t hash_bytes(enum compare_type type, const void *bytes, size_t len) {
    return XXH3_64bits_withSeed(bytes, len, type);
}

/* Of all numbers, and of booleans, which are 0 and 1. */
static uint64_t hash_number(double v) {
    if (isnan(v))
        v = (double)NAN;
    if (v == 0)
        v = 0; /* not -0 */
    return hash_bytes(COMPARE_DOUBLE, &v, sizeof v);
}

static bool takes(const struct compare_rules *rules, enum compare_form given,
                  enum compare_form form) {
    return rules->mode == COMPARE_REFERENCE || (rules->mode == COMPARE_MAPPED && given == form);
}

static uint64_t hash_text(const struct compare_rules *rules, enum compare_form form,
                          const struct compare_value *v) {
    struct compare_value as;
    unsigned char uuid[16];
    int64_t us;
    if (takes(rules, form, COMPARE_NUMBER) && number_form(v, &as))
        return hash_number(as_double(&as));
    if (takes(rules, form, COMPARE_UUIDS) && uuid_form(v, uuid))
        return hash_bytes(COMPARE_UUID, uuid, sizeof uuid);
    if (takes(rules, form, COMPARE_TIME) && time_form(v, &us)) {
        us = whole_ms(us);
        return hash_bytes(COMPARE_DATE, &us, sizeof us);
    }
    return hash_bytes(COMPARE_STRING, v->text.ptr, v->text.len);
}

uint64_t scalar_hash(const struct compare_rules *rules, enum compare_form form,
                     const struct compare_value *v) {
    switch ((enum compare_type)v->type) {
    case COMPARE_BOOL:
        return hash_number((double)v->number);
    case COMPARE_INT:
    case COMPARE_DOUBLE:
    case COMPARE_DECIMAL:
        return hash_number(as_double(v));
    case COMPARE_STRING:
        return hash_text(rules, form, v);
    case COMPARE_DATE:
        return hash_bytes(COMPARE_DATE, &v->number, sizeof v->number);
    case COMPARE_NULL:
    case COMPARE_UUID:
    case COMPARE_BINARY:
    case COMPARE_OBJECT_ID:
    case COMPARE_OTHER:
    case COMPARE_OBJECT:
    case COMPARE_ARRAY:
        break;
    }
    return hash_bytes(v->type, v->text.ptr, v->text.len);
}

enum tolerance scalar_tolerance(const struct compare_rules *rules, enum compare_form form,
                                const struct compare_value *v) {
    struct compare_value as;
    bool number = takes(rules, form, COMPARE_NUMBER) ? number_form(v, &as) : is_number(v);
    if (rules->mode == COMPARE_EXACT || !number)
        return TOLERANCE_STRICT;
    return rules->mode == COMPARE_REFERENCE || v->type == COMPARE_DOUBLE ? TOLERANCE_TOLERANT
                                                                         : TOLERANCE_GUEST;
}

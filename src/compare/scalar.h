/* Two values without parts. Private to compare/. */
#ifndef BANYAN_COMPARE_SCALAR_H
#define BANYAN_COMPARE_SCALAR_H

#include "base/text.h"
#include "compare/pattern.h"

/* Without parts, and alike in all. */
static inline bool scalar_is_identical(const struct compare_value *a,
                                       const struct compare_value *b) {
    return a->type == b->type && a->size == 1 && b->size == 1 && a->number == b->number &&
           memcmp(&a->real, &b->real, sizeof a->real) == 0 && span_eq(a->text, b->text);
}

enum verdict { VERDICT_SAME, VERDICT_EXPLAINED, VERDICT_MISMATCH, VERDICT_TYPE };

/* *ret_rule: of VERDICT_EXPLAINED. */
enum verdict scalar_compare(const struct compare_rules *rules, enum compare_form form,
                            const struct compare_value *a, const struct compare_value *b,
                            enum compare_rule *ret_rule);

/* Values that scalar_compare holds for the same or explains, except by tolerance, have one hash. */
uint64_t scalar_hash(const struct compare_rules *rules, enum compare_form form,
                     const struct compare_value *v);
/* Tolerance may hold between two values of which neither is strict and one is tolerant: they may be
 * the same and have two hashes. */
enum tolerance { TOLERANCE_STRICT, TOLERANCE_GUEST, TOLERANCE_TOLERANT };
enum tolerance scalar_tolerance(const struct compare_rules *rules, enum compare_form form,
                                const struct compare_value *v);

/* -- number.c -- */

/* A number as its digits: 0.d1d2d3 x 10^exponent, without zeros at either end. */
struct number {
    bool negative;
    const char *first, *end; /* digits, perhaps with a point among them; first == end: zero */
    int64_t exponent;
    char own[TEXT_DOUBLE_MAX];
};
/* False: no number in the forms of JSON and PostgreSQL (no NaN, no infinity). */
bool number_of_text(struct span text, struct number *ret);
void number_of_int(int64_t v, struct number *ret);
bool number_equal(const struct number *a, const struct number *b);
/* Also of Infinity and -Infinity; NaN: no number, or none that a double could be near. */
double number_to_double(struct span text);
struct span number_of_double(double v, char out[TEXT_DOUBLE_MAX]);

/* -- date.c -- */

/* Microseconds since 1970 UTC of "2026-11-24", "2026-11-24T10:00:00.5Z", "2026-11-24 10:00:00+02",
 * ... (ISO 8601 and PostgreSQL's output; without an offset: UTC). */
bool date_of_text(struct span text, int64_t *ret_us);

/* -- show.c -- */

/* A value without parts as a plain text, in `space` or its own; ptr NULL: it has none. */
#define SCALAR_TEXT 64
struct span scalar_text(const struct compare_value *v, char space[SCALAR_TEXT]);

#endif

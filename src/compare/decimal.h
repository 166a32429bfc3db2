/* Decimal128 as text. Private to compare/. */
#ifndef BANYAN_COMPARE_DECIMAL_H
#define BANYAN_COMPARE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_TEXT 48

/* As the specification of BSON's Decimal128 writes it: 34 digits at most, "12.50", "1.2E+50",
 * "NaN",
 * "-Infinity". Returns the length. */
size_t decimal_text(uint64_t high, uint64_t low, char out[DECIMAL_TEXT]);

#endif

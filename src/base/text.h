/* Small questions about text that several layers ask. Pure, any thread. */
#ifndef BANYAN_BASE_TEXT_H
#define BANYAN_BASE_TEXT_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* Texts longer than this are unlike anything. */
#define TEXT_DISTANCE_MAX 64

/* Levenshtein's distance over bytes, for "did you mean"; TEXT_DISTANCE_MAX for a longer text. */
size_t text_distance(struct span a, struct span b);

#define TEXT_DOUBLE_MAX 32

/* The fewest digits (15 to 17) that read back as the same finite number, with a NUL behind them;
 * gives their count. As the C locale has it, which all threads have (base/thread.h). */
size_t text_double(double v, char out[TEXT_DOUBLE_MAX]);

/* "0b2f4f2c-7d1a-4c7e-9a55-0e2d1f3c4b5a"; false: it is not that. */
bool text_uuid(struct span text, unsigned char out[16]);

/* 1 to `most` digits and nothing else; `most` is at most 18, which always fits. False: it is not
 * that. */
bool text_digits(struct span text, size_t most, uint64_t *ret);

/* 0 to 15; -1: not a hexadecimal digit. */
static inline int text_hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif

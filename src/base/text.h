/* Small questions about text that several layers ask. Pure, any thread. */
#ifndef BANYAN_BASE_TEXT_H
#define BANYAN_BASE_TEXT_H

#include "base/span.h"

/* Texts longer than this are unlike anything. */
#define TEXT_DISTANCE_MAX 64

/* Levenshtein's distance over bytes, for "did you mean"; TEXT_DISTANCE_MAX for a longer text. */
size_t text_distance(struct span a, struct span b);

/* 0 to 15; -1: not a hexadecimal digit. */
static inline int text_hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif

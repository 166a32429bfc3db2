#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

size_t text_distance(struct span a, struct span b) {
    size_t row[TEXT_DISTANCE_MAX + 1];
    if (a.len > TEXT_DISTANCE_MAX || b.len > TEXT_DISTANCE_MAX)
        return TEXT_DISTANCE_MAX;
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t above = row[k];
            size_t best = corner + (a.ptr[i - 1] != b.ptr[k - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[k] = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            corner = above;
        }
    }
    return row[b.len];
}

size_t text_double(double v, char out[TEXT_DOUBLE_MAX]) {
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, TEXT_DOUBLE_MAX, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    return (size_t)n;
}

bool text_digits(struct span text, size_t most, uint64_t *ret) {
    uint64_t v = 0;
    if (text.len == 0 || text.len > most)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

bool text_uuid(struct span text, unsigned char out[16]) {
    size_t at = 0;
    if (text.len != 36)
        return false;
    for (size_t i = 0; i < 16; i++, at += 2) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text.ptr[at++] != '-')
            return false;
        int high = text_hex_digit(text.ptr[at]), low = text_hex_digit(text.ptr[at + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

#include "base/text.h"

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

#include "model/lsn.h"

#include "base/text.h"

#include <stdio.h>

struct lsn_text lsn_format(lsn_t lsn) {
    struct lsn_text t;
    (void)snprintf(t.text, sizeof t.text, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return t;
}

static bool parse_half(struct span s, uint64_t *ret) {
    if (s.len < 1 || s.len > 8)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = text_hex_digit(s.ptr[i]);
        if (digit < 0)
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *ret = v;
    return true;
}

bool lsn_parse(struct span s, lsn_t *ret_lsn) {
    const char *slash = s.len ? memchr(s.ptr, '/', s.len) : NULL;
    if (!slash)
        return false;
    size_t left = (size_t)(slash - s.ptr);
    uint64_t high, low;
    if (!parse_half(span_make(s.ptr, left), &high) ||
        !parse_half(span_make(slash + 1, s.len - left - 1), &low))
        return false;
    *ret_lsn = high << 32 | low;
    return true;
}

/*
 * Reads wire bytes with bounds checks; the first failure latches.
 *
 * After a failed read every later read gives 0 or an empty span, so a decoder reads a whole
 * message and tests cursor_done once. Numbers are big-endian (network order), as in PostgreSQL's
 * protocol. Pure; spans handed out point into the input.
 */
#ifndef BANYAN_BASE_CURSOR_H
#define BANYAN_BASE_CURSOR_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool failed;
};

static inline struct cursor cursor_over(struct span s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    return (struct cursor){p, p ? p + s.len : p, false};
}

static inline size_t cursor_left(const struct cursor *c) {
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

/* Exactly `n` bytes, or an empty span and failure. */
static inline struct span cursor_take(struct cursor *c, size_t n) {
    if (c->failed || (size_t)(c->end - c->at) < n) {
        c->failed = true;
        return (struct span){"", 0};
    }
    struct span s = span_make(c->at, n);
    c->at += n;
    return s;
}

static inline uint64_t cursor_uint(struct cursor *c, size_t bytes) {
    struct span s = cursor_take(c, bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | (unsigned char)s.ptr[i];
    return v;
}

static inline uint8_t cursor_u8(struct cursor *c) {
    return (uint8_t)cursor_uint(c, 1);
}
static inline uint16_t cursor_u16(struct cursor *c) {
    return (uint16_t)cursor_uint(c, 2);
}
static inline uint32_t cursor_u32(struct cursor *c) {
    return (uint32_t)cursor_uint(c, 4);
}
static inline uint64_t cursor_u64(struct cursor *c) {
    return cursor_uint(c, 8);
}

/* Bytes up to a NUL, which is consumed and not part of the span. */
static inline struct span cursor_cstring(struct cursor *c) {
    size_t left = cursor_left(c);
    const void *nul = left ? memchr(c->at, 0, left) : NULL;
    if (!nul) {
        c->failed = true;
        return (struct span){"", 0};
    }
    struct span s = span_make(c->at, (size_t)((const unsigned char *)nul - c->at));
    c->at += s.len + 1;
    return s;
}

/* Everything was read and nothing failed: leftover bytes are an error too. */
static inline bool cursor_done(const struct cursor *c) {
    return !c->failed && c->at == c->end;
}

#endif

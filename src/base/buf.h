/*
 * A growing byte buffer with a hard maximum.
 *
 * Invariant: `len` <= `cap`, `len` <= `max`. The first append that would pass `max` latches `full`;
 * later appends do nothing, so a caller may append many times and test buf_ok once. Owner: one
 * thread.
 */
#ifndef BANYAN_BASE_BUF_H
#define BANYAN_BASE_BUF_H

#include "base/compiler.h"
#include "base/span.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool full;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/* Empties it and clears `full`; keeps the memory. */
static inline void buf_clear(struct buf *b) {
    b->len = 0;
    b->full = false;
}

/* Takes back what was appended since it had this length, and what did not fit. */
static inline void buf_cut(struct buf *b, size_t len) {
    b->len = len;
    b->full = false;
}

static inline bool buf_ok(const struct buf *b) {
    return !b->full;
}

static inline struct span buf_span(const struct buf *b) {
    return span_make(b->data, b->len);
}

/* Room for `more` bytes behind `len`, not yet counted in `len`; NULL (and full) past the maximum.
 */
char *buf_reserve(struct buf *b, size_t more);

/* Where there is no room yet, or none at all. */
void buf_add_grown(struct buf *b, const void *bytes, size_t len);

static inline void buf_add(struct buf *b, const void *bytes, size_t len) {
    if (len > 0 && len <= b->cap - b->len && b->len + len <= b->max && !b->full) {
        memcpy(b->data + b->len, bytes, len);
        b->len += len;
    } else {
        buf_add_grown(b, bytes, len);
    }
}

static inline void buf_add_span(struct buf *b, struct span s) {
    buf_add(b, s.ptr, s.len);
}

static inline void buf_add_text(struct buf *b, const char *text) {
    buf_add(b, text, strlen(text));
}

static inline void buf_add_char(struct buf *b, char c) {
    buf_add(b, &c, 1);
}

/* Big-endian, in its lowest 1 to 8 bytes. */
void buf_add_uint(struct buf *b, uint64_t v, size_t bytes);

void buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list args) printf_like(2, 0);

/* The text so far with a NUL behind it (not counted); "" when full or empty. Valid until the next
 * call that changes the buffer. */
const char *buf_text(struct buf *b);

DEFINE_CLEANUP(struct buf *, buf_release)

#endif

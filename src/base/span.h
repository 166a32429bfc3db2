/*
 * Bytes that somebody else owns: a pointer and a length.
 *
 * A span never owns memory and need not end in NUL. Its header says, wherever a span is handed
 * out, how long the bytes stay valid. Pure, any thread.
 */
#ifndef BANYAN_BASE_SPAN_H
#define BANYAN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

/* For printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

#define SPAN_LIT(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline struct span span_of(const char *text) {
    return (struct span){text, text ? strlen(text) : 0};
}

static inline struct span span_make(const void *ptr, size_t len) {
    return (struct span){ptr, len};
}

static inline bool span_eq(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Below 0, 0, above 0: the order of bytes; what another begins with stands before it. */
static inline int span_compare(struct span a, struct span b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int r = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static inline bool span_is(struct span a, const char *text) {
    return span_eq(a, span_of(text));
}

#endif

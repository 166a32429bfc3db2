#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b) {
    free(b->data);
    *b = (struct buf){.max = b->max};
}

char *buf_reserve(struct buf *b, size_t more) {
    if (b->full)
        return NULL;
    if (more > b->max || b->len > b->max - more) {
        b->full = true;
        return NULL;
    }
    size_t need = b->len + more;
    if (need > b->cap || !b->data) {
        size_t cap = b->cap ? b->cap : BUF_FIRST;
        while (cap < need)
            cap = cap > b->max / 2 ? b->max : cap * 2;
        b->data = mem_realloc(b->data, cap, 1);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_add_grown(struct buf *b, const void *bytes, size_t len) {
    char *to = buf_reserve(b, len);
    if (!to || len == 0)
        return;
    memcpy(to, bytes, len);
    b->len += len;
}

void buf_add_uint(struct buf *b, uint64_t v, size_t bytes) {
    char raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (char)(v >> (8 * (bytes - 1 - i)));
    buf_add(b, raw, bytes);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (to) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    buf_vprintf(b, fmt, args);
    va_end(args);
}

const char *buf_text(struct buf *b) {
    char *end = buf_reserve(b, 1);
    if (!end)
        return "";
    *end = '\0';
    return b->data;
}

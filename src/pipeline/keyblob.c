#include "pipeline/keyblob.h"

#include "base/cursor.h"

void keyblob_write(struct buf *out, const struct span *texts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t n = (uint32_t)texts[i].len;
        unsigned char len[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                (unsigned char)(n >> 8), (unsigned char)n};
        buf_add(out, len, sizeof len);
        buf_add_span(out, texts[i]);
    }
}

bool keyblob_read(struct span blob, struct arena *memory, struct span *ret_texts, size_t count) {
    struct cursor c = cursor_over(blob);
    for (size_t i = 0; i < count; i++) {
        uint32_t n = cursor_u32(&c);
        ret_texts[i] = arena_copy(memory, cursor_take(&c, n));
        if (!ret_texts[i].ptr)
            return false;
    }
    return cursor_done(&c);
}

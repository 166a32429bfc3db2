#include "base/json_text.h"

#include "base/utf8.h"

static void add_ascii(struct buf *b, char c) {
    switch (c) {
    case '"':
        buf_add_text(b, "\\\"");
        return;
    case '\\':
        buf_add_text(b, "\\\\");
        return;
    case '\n':
        buf_add_text(b, "\\n");
        return;
    case '\r':
        buf_add_text(b, "\\r");
        return;
    case '\t':
        buf_add_text(b, "\\t");
        return;
    default:
        if ((unsigned char)c < 0x20 || c == 0x7f)
            buf_printf(b, "\\u%04x", (unsigned)c);
        else
            buf_add_char(b, c);
    }
}

void json_text_string(struct buf *b, struct span s) {
    buf_add_char(b, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_char_len(span_make(s.ptr + i, s.len - i));
        if (n == 1)
            add_ascii(b, s.ptr[i]);
        else if (n == 0)
            buf_add_text(b, "\xef\xbf\xbd");
        else
            buf_add(b, s.ptr + i, n);
        i += n ? n : 1;
    }
    buf_add_char(b, '"');
}

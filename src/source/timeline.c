#include "source/timeline.h"

#include <string.h>

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s) {
    while (s.len && is_blank(s.ptr[0]))
        s = span_make(s.ptr + 1, s.len - 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static struct span take_line(struct span *rest) {
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct span line = span_make(rest->ptr, len);
    size_t used = len + (end != NULL);
    *rest = span_make(rest->ptr + used, rest->len - used);
    return line;
}

static struct span take_word(struct span *rest) {
    size_t len = 0;
    *rest = trim(*rest);
    while (len < rest->len && !is_blank(rest->ptr[len]))
        len++;
    struct span word = span_make(rest->ptr, len);
    *rest = span_make(rest->ptr + len, rest->len - len);
    return word;
}

static bool read_timeline(struct span s, uint32_t *ret) {
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.ptr[i] - '0');
        if (v > UINT32_MAX)
            return false;
    }
    *ret = (uint32_t)v;
    return s.len > 0 && v > 0;
}

/* "1	0/3000060	no recovery target specified"; ids grow from line to line. */
int timeline_left_at(struct span history, uint32_t timeline, bool *ret_found, lsn_t *ret_left,
                     struct err *err) {
    uint32_t last = 0, parent;
    lsn_t left;
    *ret_found = false;
    while (history.len) {
        struct span line = trim(take_line(&history));
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (!read_timeline(take_word(&line), &parent) || !lsn_parse(take_word(&line), &left) ||
            parent <= last)
            return err_set(err, ERR_WIRE, "the server's timeline history cannot be read");
        last = parent;
        if (parent == timeline) {
            *ret_found = true;
            *ret_left = left;
        }
    }
    return 0;
}

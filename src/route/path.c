#include "route/path.h"

#include "base/text.h"

#include <string.h>

static bool owns(struct span prefix, struct span path) {
    if (prefix.len == 1)
        return path.len > 0 && path.ptr[0] == '/';
    return path.len >= prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) == 0 &&
           (path.len == prefix.len || path.ptr[prefix.len] == '/');
}

size_t route_find(const struct span *prefixes, size_t count, struct span path) {
    size_t best = ROUTE_NONE;
    for (size_t i = 0; i < count; i++)
        if (owns(prefixes[i], path) && (best == ROUTE_NONE || prefixes[i].len > prefixes[best].len))
            best = i;
    return best;
}

size_t route_decode(struct span path, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        bool room = path.ptr[i] == '%' && i + 2 < path.len;
        int high = room ? text_hex_digit(path.ptr[i + 1]) : -1;
        int low = room ? text_hex_digit(path.ptr[i + 2]) : -1;
        bool escaped = high >= 0 && low >= 0;
        out[n++] = escaped ? (char)(high * 16 + low) : path.ptr[i];
        i += escaped ? 2 : 0;
    }
    return n;
}

static size_t back_to_parent(const char *path, size_t len) {
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

size_t route_resolve(char *path, size_t len) {
    size_t n = 0; /* what is written ends without a slash */
    bool directory = false;
    if (len == 0 || path[0] != '/')
        return len;
    for (size_t i = 0; i < len;) {
        while (i < len && path[i] == '/')
            i++;
        size_t begin = i;
        while (i < len && path[i] != '/')
            i++;
        size_t segment = i - begin;
        bool dot = segment == 1 && path[begin] == '.';
        bool dots = segment == 2 && path[begin] == '.' && path[begin + 1] == '.';
        directory = segment == 0 || dot || dots;
        if (dots)
            n = back_to_parent(path, n);
        if (directory)
            continue;
        path[n++] = '/';
        memmove(path + n, path + begin, segment);
        n += segment;
    }
    if (directory || n == 0)
        path[n++] = '/';
    return n;
}

static bool is_another(const struct span *prefixes, size_t count, char *path, size_t len,
                       size_t chosen) {
    size_t as_it_is = route_find(prefixes, count, span_make(path, len));
    size_t resolved = route_find(prefixes, count, span_make(path, route_resolve(path, len)));
    return (as_it_is != ROUTE_NONE && as_it_is != chosen) ||
           (resolved != ROUTE_NONE && resolved != chosen);
}

bool route_is_ambiguous(const struct span *prefixes, size_t count, struct span raw, size_t chosen) {
    char once[ROUTE_PATH_MAX], work[ROUTE_PATH_MAX];
    if (raw.len > sizeof once)
        return true;
    size_t len = route_decode(raw, once);
    memcpy(work, once, len);
    if (is_another(prefixes, count, work, len, chosen))
        return true;
    size_t twice = route_decode(span_make(once, len), work);
    return is_another(prefixes, count, work, twice, chosen);
}

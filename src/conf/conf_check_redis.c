/* Where Redis is. */
#include "conf/conf_check.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static bool decode(struct span s, char *to, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];
        if (c == '%') {
            if (i + 2 >= s.len)
                return false;
            int high = text_hex_digit(s.ptr[i + 1]), low = text_hex_digit(s.ptr[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        to[n++] = (char)c;
    }
    to[n] = '\0';
    return true;
}

/* Digits up to the end of `s`. */
static bool read_number(struct span s, int max, int *ret) {
    int v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || v > max)
            return false;
        v = v * 10 + (s.ptr[i] - '0');
    }
    *ret = v;
    return s.len > 0 && v <= max;
}

/* Splits at the first (or last) `c`; false: there is none. */
static bool split(struct span s, char c, bool last, struct span *before, struct span *after) {
    const char *at = s.len ? last ? memrchr(s.ptr, c, s.len) : memchr(s.ptr, c, s.len) : NULL;
    if (!at)
        return false;
    size_t n = (size_t)(at - s.ptr);
    *before = span_make(s.ptr, n);
    *after = span_make(at + 1, s.len - n - 1);
    return true;
}

static bool read_login(struct span login, struct conf_redis *ret) {
    struct span user = {"", 0}, password = login;
    (void)split(login, ':', false, &user, &password);
    return decode(user, ret->user, sizeof ret->user) &&
           decode(password, ret->password, sizeof ret->password);
}

static bool read_host(struct span s, struct conf_redis *ret) {
    struct span host = s, port;
    bool v6 = s.len && s.ptr[0] == '[';
    if (v6) {
        if (!split(span_make(s.ptr + 1, s.len - 1), ']', false, &host, &port))
            return false;
        if (port.len && (port.ptr[0] != ':' ||
                         !read_number(span_make(port.ptr + 1, port.len - 1), 65535, &ret->port)))
            return false;
    } else if (split(s, ':', true, &host, &port) && !read_number(port, 65535, &ret->port)) {
        return false;
    }
    return host.len > 0 && decode(host, ret->host, sizeof ret->host) && ret->port > 0;
}

bool conf_read_redis(const char *uri, struct conf_redis *ret) {
    *ret = (struct conf_redis){.port = 6379};
    if (strncmp(uri, "redis://", 8) != 0)
        return false;
    struct span rest = span_of(uri + 8), login, host, database;
    if (split(rest, '@', true, &login, &host)) {
        if (!read_login(login, ret))
            return false;
        rest = host;
    }
    if (split(rest, '/', false, &host, &database)) {
        if (database.len && !read_number(database, 1000000, &ret->database))
            return false;
        rest = host;
    }
    return read_host(rest, ret);
}

const char *conf_check_redis(const char *value) {
    struct conf_redis ignored;
    if (strncmp(value, "rediss://", 9) == 0)
        return "begins with rediss://, which is not built (TLS); use redis:// over a protected "
               "network or a tunnel";
    return conf_read_redis(value, &ignored)
               ? NULL
               : "is not redis://[[user]:password@]host[:port][/database]";
}

/* Checks of what the gateway and its routes are told. */
#include "conf/conf_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *conf_check_workers(const char *value) {
    size_t digits = strspn(value, "0123456789");
    if (strcmp(value, "auto") == 0)
        return NULL;
    if (digits == 0 || value[digits] || digits > 4 || strtol(value, NULL, 10) < 1 ||
        strtol(value, NULL, 10) > 1024)
        return "must be auto, or a number from 1 to 1024";
    return NULL;
}

#define PREFIX_MAX 1024

/* As a path looks after nginx has decoded it and has resolved its dots. */
const char *conf_check_prefix(const char *value) {
    size_t len = strlen(value);
    if (value[0] != '/')
        return "must begin with /";
    if (len > 1 && value[len - 1] == '/')
        return "must not end with /: it owns what is below it anyway";
    if (len > PREFIX_MAX)
        return "must have at most 1024 bytes";
    if (strstr(value, "//") || strstr(value, "/./") || strstr(value, "/../") ||
        strchr(value, '?') || strchr(value, '%') || strchr(value, '#'))
        return "must be a plain path: no empty segments, dots, escapes, query or fragment";
    return conf_check_quotable(value);
}

const char *conf_check_quotable(const char *value) {
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '"' || *p == '\\')
            return "has a quote, a backslash or a control character";
    return NULL;
}

static bool is_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    long v = strtol(text, NULL, 10);
    return digits > 0 && digits <= 5 && !text[digits] && v > 0 && v <= 65535;
}

/* http://host, http://host:port, http://[v6]:port */
const char *conf_check_upstream(const char *value) {
    static const char wrong[] = "must be http://host:port, without a path";
    if (strncmp(value, "https://", 8) == 0)
        return "is https, which is not built for services; the gateway speaks plain HTTP to them";
    if (strncmp(value, "http://", 7) != 0)
        return wrong;
    const char *host = value + 7;
    size_t len = host[0] == '['
                     ? strspn(host + 1, "0123456789abcdefABCDEF:.") + 2
                     : strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789.-_");
    if (len == 0 || strlen(host) < len || (host[0] == '[' && (len < 4 || host[len - 1] != ']')))
        return wrong;
    return host[len] == '\0' || (host[len] == ':' && is_port(host + len + 1)) ? NULL : wrong;
}

/* It becomes the value of a header. */
const char *conf_check_service(const char *value) {
    size_t len = strlen(value);
    if (len > 128 || strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "._-") != len)
        return "must be at most 128 letters, digits, dots, dashes and underscores";
    return NULL;
}

bool conf_read_date(struct span s, struct conf_date *ret) {
    static const char form[] = "0000-00-00";
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int part[3] = {0};
    size_t n = 0;
    if (s.len != sizeof form - 1)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (digit != (form[i] == '0') || (!digit && s.ptr[i] != '-'))
            return false;
        if (digit)
            part[n] = part[n] * 10 + (s.ptr[i] - '0');
        else
            n++;
    }
    *ret = (struct conf_date){part[0], part[1], part[2]};
    bool leap = (ret->year % 4 == 0 && ret->year % 100 != 0) || ret->year % 400 == 0;
    return ret->month >= 1 && ret->month <= 12 && ret->day >= 1 &&
           ret->day <= days[ret->month - 1] + (leap && ret->month == 2);
}

const char *conf_check_date(const char *value) {
    struct conf_date ignored;
    return conf_read_date(span_of(value), &ignored) ? NULL : "must be a date, as 2027-02-01";
}

bool conf_read_size(struct span s, int64_t *ret_bytes) {
    static const char units[] = "kmg";
    const char *unit = s.len > 1 ? strchr(units, s.ptr[s.len - 1] | 0x20) : NULL;
    int shift = unit && *unit ? 10 * (int)(unit - units + 1) : 0;
    int64_t n;
    if (!conf_read_int(span_make(s.ptr, shift ? s.len - 1 : s.len), &n))
        return false;
    return !__builtin_mul_overflow(n, INT64_C(1) << shift, ret_bytes);
}

struct conf_duration conf_size_text(int64_t bytes) {
    static const char units[] = "kmg";
    struct conf_duration d;
    int shift = 0;
    while (shift < 30 && bytes != 0 && bytes % (INT64_C(1) << (shift + 10)) == 0)
        shift += 10;
    (void)snprintf(d.text, sizeof d.text, "%lld%.*s", (long long)(bytes >> shift), shift ? 1 : 0,
                   shift ? units + shift / 10 - 1 : "");
    return d;
}

/* Which text format a client wants. */
#include "obs/metrics.h"

#include <strings.h>

const char *obs_content_type(enum obs_format format) {
    return format == OBS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                     : "text/plain; version=0.0.4; charset=utf-8";
}

static struct span trim(struct span s) {
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t'))
        s = span_make(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The part before `separator`; `rest` goes on behind it. */
static struct span part(struct span *rest, char separator) {
    const char *end = memchr(rest->ptr, separator, rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct span s = span_make(rest->ptr, len);
    size_t used = end ? len + 1 : len;
    *rest = span_make(rest->ptr + used, rest->len - used);
    return trim(s);
}

static bool is(struct span s, const char *word) {
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* "q=0.75" -> 750; what cannot be read counts as 0: not wanted. */
static int quality(struct span value) {
    if (value.len == 0 || (value.ptr[0] != '0' && value.ptr[0] != '1'))
        return 0;
    int thousandths = (value.ptr[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < value.len && i < 5; i++, unit /= 10) {
        if (value.ptr[1] != '.' || value.ptr[i] < '0' || value.ptr[i] > '9')
            return 0;
        thousandths += (value.ptr[i] - '0') * unit;
    }
    return thousandths > 1000 ? 0 : thousandths;
}

enum obs_format obs_format_accepted(const char *accept) {
    struct span rest = span_of(accept);
    int open = 0, plain = 0;
    while (rest.len > 0) {
        struct span range = part(&rest, ',');
        struct span type = part(&range, ';');
        int q = 1000;
        bool other_version = false;
        while (range.len > 0) {
            struct span value = part(&range, ';');
            struct span name = part(&value, '=');
            if (is(name, "q"))
                q = quality(value);
            if (is(name, "version"))
                other_version = !is(value, "1.0.0") && !is(value, "\"1.0.0\"");
        }
        if (is(type, "application/openmetrics-text") && !other_version && q > open)
            open = q;
        if (is(type, "text/plain") && q > plain)
            plain = q;
    }
    return open > 0 && open >= plain ? OBS_OPENMETRICS : OBS_PROMETHEUS;
}

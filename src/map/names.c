#include "map/names.h"

#include <string.h>

static bool is_lower(char c) {
    return (c >= 'a' && c <= 'z');
}

void name_camel(struct buf *out, const char *name) {
    for (const char *p = name; *p; p++) {
        bool joint = *p == '_' && p > name && p[-1] != '_' && is_lower(p[1]);
        if (joint)
            buf_add_char(out, (char)(*++p - 'a' + 'A'));
        else
            buf_add_char(out, *p);
    }
}

void name_escape(struct buf *out, const char *name) {
    for (const char *p = name; *p; p++) {
        if (*p == '.')
            buf_add_text(out, "\xef\xbc\x8e");
        else if (*p == '$' && p == name)
            buf_add_text(out, "\xef\xbc\x84");
        else
            buf_add_char(out, *p);
    }
}

bool name_is_plain(const char *name) {
    return name[0] != '\0' && name[0] != '$' && !strchr(name, '.');
}

/* Paths as text. */
#include "compare/walk.h"

#include <stdio.h>

static void put(struct place_text *t, const char *bytes, size_t len) {
    size_t left = COMPARE_PATH_MAX - t->len;
    if (t->cut)
        return;
    if (len <= left) {
        memcpy(t->bytes + t->len, bytes, len);
        t->len += len;
        return;
    }
    memcpy(t->bytes + t->len, bytes, left);
    size_t end = COMPARE_PATH_MAX - 3;
    while (end > 0 && ((unsigned char)t->bytes[end] & 0xc0) == 0x80)
        end--; /* not in the middle of a character */
    memcpy(t->bytes + end, "...", 3);
    t->len = end + 3;
    t->cut = true;
}

/* With a backslash before each of `special`. */
static void put_escaped(struct place_text *t, struct span s, const char *special) {
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!s.ptr[i] || !strchr(special, s.ptr[i]))
            continue;
        put(t, s.ptr + from, i - from);
        put(t, "\\", 1);
        from = i;
    }
    if (s.len)
        put(t, s.ptr + from, s.len - from);
}

static void put_name(struct place_text *t, struct span name) {
    if (t->len)
        put(t, ".", 1);
    put_escaped(t, name, ".*[]\\");
}

static void put_key(struct place_text *t, const struct place *p) {
    char space[SCALAR_TEXT];
    put(t, "[", 1);
    put_escaped(t, p->name, "=[]\\");
    put(t, "=", 1);
    put_escaped(t, scalar_text(p->key, space), "[]\\");
    put(t, "]", 1);
}

static void put_path(struct place_text *t, const struct place *p) {
    char position[16];
    if (!p)
        return;
    put_path(t, p->up);
    switch (p->kind) {
    case PLACE_NAME:
        put_name(t, p->name);
        return;
    case PLACE_POSITION:
        put(t, position, (size_t)snprintf(position, sizeof position, "[%u]", p->position));
        return;
    case PLACE_KEY:
        put_key(t, p);
        return;
    }
}

static void put_shape(struct place_text *t, const struct place *p) {
    if (!p)
        return;
    put_shape(t, p->up);
    if (p->kind == PLACE_NAME)
        put_name(t, p->name);
    else
        put(t, "[]", 2);
}

void place_path(const struct place *p, struct place_text *ret) {
    ret->len = 0;
    ret->cut = false;
    put_path(ret, p);
}

void place_shape(const struct place *p, struct place_text *ret) {
    ret->len = 0;
    ret->cut = false;
    put_shape(ret, p);
}

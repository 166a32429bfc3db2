#include "db/pg_type_array.h"

#include "base/mem.h"

#define ELEMENT_ROOM 512

struct array {
    const char *p, *end;
    const struct pg_type *type;
    const struct conf_types *policy;
    struct bsonw *w;
    struct err *err;
    int depth;
    int leaf_depth; /* where elements are; 0: none seen yet. All are at one depth. */
    char room[ELEMENT_ROOM];
    char *heap;
    size_t heap_size;
};

static bool at(const struct array *a, char c) {
    return a->p < a->end && *a->p == c;
}

static bool skip_bound(struct array *a) {
    if (at(a, '-') || at(a, '+'))
        a->p++;
    const char *from = a->p;
    while (a->p < a->end && *a->p >= '0' && *a->p <= '9')
        a->p++;
    return a->p != from;
}

/* "[2:3][-1:0]=" in front of the braces; nothing is fine too. */
static bool skip_bounds(struct array *a) {
    if (!at(a, '['))
        return true;
    while (at(a, '[')) {
        a->p++;
        if (!skip_bound(a) || !at(a, ':'))
            return false;
        a->p++;
        if (!skip_bound(a) || !at(a, ']'))
            return false;
        a->p++;
    }
    if (!at(a, '='))
        return false;
    a->p++;
    return true;
}

static char *room_for(struct array *a, size_t len) {
    if (len <= ELEMENT_ROOM)
        return a->room;
    if (len > a->heap_size) {
        a->heap = mem_realloc(a->heap, len, 1);
        a->heap_size = len;
    }
    return a->heap;
}

static struct span unescape(struct array *a, struct span raw) {
    char *room = room_for(a, raw.len), *to = room;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '\\')
            i++; /* the scan made sure that a character follows */
        *to++ = raw.ptr[i];
    }
    return span_make(room, (size_t)(to - room));
}

/* "..." with backslashes in front of quotes and backslashes; valid until the next element. */
static bool quoted(struct array *a, struct span *ret) {
    const char *from = ++a->p;
    bool escaped = false;
    for (; a->p < a->end && *a->p != '"'; a->p++) {
        if (*a->p == '\\') {
            escaped = true;
            a->p++;
        }
    }
    if (a->p >= a->end)
        return false;
    struct span raw = span_make(from, (size_t)(a->p - from));
    a->p++;
    *ret = escaped ? unescape(a, raw) : raw;
    return true;
}

static bool unquoted(struct array *a, struct span *ret) {
    const char *from = a->p;
    for (; a->p < a->end && *a->p != a->type->delimiter && *a->p != '}'; a->p++)
        if (*a->p == '{' || *a->p == '"' || *a->p == '\\')
            return false;
    *ret = span_make(from, (size_t)(a->p - from));
    return ret->len > 0;
}

static int malformed(struct array *a) {
    return err_set(a->err, ERR_VALUE, "invalid array text for type %s", a->type->name);
}

static int element(struct array *a, struct span key) {
    if (a->leaf_depth != 0 && a->leaf_depth != a->depth)
        return malformed(a);
    a->leaf_depth = a->depth;
    struct span text;
    bool has_quotes = at(a, '"');
    if (!(has_quotes ? quoted(a, &text) : unquoted(a, &text)))
        return malformed(a);
    if (!has_quotes && span_is(text, "NULL")) {
        bsonw_null(a->w, key);
        return 0;
    }
    return pg_type_append(a->type->element, a->policy, text, a->w, key, a->err);
}

static int braces(struct array *a, struct span key);

static int items(struct array *a) {
    for (uint32_t i = 0;; i++) {
        struct bsonw_index room;
        struct span key = bsonw_index_key(&room, i);
        int rc = at(a, '{') ? braces(a, key) : element(a, key);
        if (rc < 0)
            return rc;
        if (at(a, '}'))
            return 0;
        if (!at(a, a->type->delimiter))
            return malformed(a);
        a->p++;
    }
}

static int braces(struct array *a, struct span key) {
    if (!at(a, '{') || a->depth == PG_ARRAY_DIMENSIONS_MAX ||
        (a->leaf_depth != 0 && a->depth >= a->leaf_depth))
        return malformed(a);
    bsonw_array_open(a->w, key);
    a->depth++;
    a->p++;
    bool empty = at(a, '}') && a->depth == 1;
    int rc = empty ? 0 : items(a);
    if (rc < 0)
        return rc;
    a->p++;
    a->depth--;
    bsonw_close(a->w);
    return 0;
}

int pg_array_append(const struct pg_type *type, const struct conf_types *policy, struct span text,
                    struct bsonw *w, struct span key, struct err *err) {
    struct array a;
    a.p = text.ptr;
    a.end = text.ptr + text.len;
    a.type = type;
    a.policy = policy;
    a.w = w;
    a.err = err;
    a.depth = a.leaf_depth = 0;
    a.heap = NULL;
    a.heap_size = 0;
    int rc = skip_bounds(&a) ? braces(&a, key) : malformed(&a);
    if (rc == 0 && a.p != a.end)
        rc = malformed(&a);
    free(a.heap);
    return rc;
}

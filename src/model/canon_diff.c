#include "base/err.h"
#include "base/mem.h"
#include "base/spanmap.h"
#include "model/canon.h"

#define SMALL 64

/* A document's bytes. Offsets in elements count from `data`. */
struct doc {
    const uint8_t *data;
    uint32_t len;
};

struct element {
    uint32_t at; /* its type byte */
    uint32_t key_len;
    uint32_t value;
    uint32_t next;
};

/* Where we are, from the inside out; the path is only made when something is reported. */
struct frame {
    const struct frame *up;
    struct span key;
};

struct walk {
    const struct canon_diff_options *options;
    canon_diff_fn fn;
    void *context;
    bool differs, stop, broken;
};

static uint32_t le32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return BSON_UINT32_FROM_LE(v);
}

/* A document needs its length, and a NUL at the end. */
static bool doc_at(const uint8_t *data, size_t left, struct doc *ret) {
    if (left < 5)
        return false;
    uint32_t len = le32(data);
    if (len < 5 || len > left || len > INT32_MAX || data[len - 1] != 0)
        return false;
    *ret = (struct doc){data, len};
    return true;
}

/* Bytes up to and with the NUL; 0 when there is none. */
static size_t cstring(const uint8_t *p, size_t left) {
    const uint8_t *nul = left ? memchr(p, 0, left) : NULL;
    return nul ? (size_t)(nul - p) + 1 : 0;
}

static size_t counted(const uint8_t *p, size_t left, size_t more) {
    return left < 4 ? SIZE_MAX : (size_t)le32(p) + more;
}

/* Length of a value of `type` (bsonspec.org, version 1.1); more than `left` when it is broken. */
static size_t value_length(uint8_t type, const uint8_t *p, size_t left) {
    size_t first, second;
    switch (type) {
    case BSON_TYPE_UNDEFINED:
    case BSON_TYPE_NULL:
    case BSON_TYPE_MINKEY:
    case BSON_TYPE_MAXKEY:
        return 0;
    case BSON_TYPE_BOOL:
        return 1;
    case BSON_TYPE_INT32:
        return 4;
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_DATE_TIME:
    case BSON_TYPE_TIMESTAMP:
    case BSON_TYPE_INT64:
        return 8;
    case BSON_TYPE_OID:
        return 12;
    case BSON_TYPE_DECIMAL128:
        return 16;
    case BSON_TYPE_UTF8:
    case BSON_TYPE_CODE:
    case BSON_TYPE_SYMBOL:
        return counted(p, left, 4);
    case BSON_TYPE_BINARY:
        return counted(p, left, 5);
    case BSON_TYPE_DBPOINTER:
        return counted(p, left, 16);
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
    case BSON_TYPE_CODEWSCOPE:
        return counted(p, left, 0) < 5 ? SIZE_MAX : counted(p, left, 0);
    case BSON_TYPE_REGEX:
        first = cstring(p, left);
        second = first ? cstring(p + first, left - first) : 0;
        return second ? first + second : SIZE_MAX;
    default:
        return SIZE_MAX;
    }
}

/* The element at `at`; false at the end and when the document is broken. */
static bool element_at(struct walk *w, struct doc d, uint32_t at, struct element *ret) {
    if (at == d.len - 1)
        return false;
    uint32_t end = d.len - 1;
    size_t key = cstring(d.data + at + 1, end - at - 1);
    if (key == 0) {
        w->broken = true;
        return false;
    }
    uint32_t value = at + 1 + (uint32_t)key;
    size_t len = value_length(d.data[at], d.data + value, end - value);
    if (len > end - value) {
        w->broken = true;
        return false;
    }
    *ret = (struct element){at, (uint32_t)key - 1, value, value + (uint32_t)len};
    return true;
}

static struct span element_key(struct doc d, const struct element *e) {
    return span_make(d.data + e->at + 1, e->key_len);
}

static size_t path_text(const struct frame *f, char room[CANON_PATH_MAX]) {
    const struct frame *frames[CANON_DEPTH_MAX + 2];
    size_t count = 0, len = 0;
    for (; f && count < CANON_DEPTH_MAX + 2; f = f->up)
        frames[count++] = f;
    while (count-- > 0) {
        struct span key = frames[count]->key;
        if (key.len + 1 > CANON_PATH_MAX - 3 - len) {
            memcpy(room + len, "...", 3);
            return len + 3;
        }
        if (len)
            room[len++] = '.';
        if (key.len)
            memcpy(room + len, key.ptr, key.len);
        len += key.len;
    }
    return len;
}

static const bson_iter_t *iter_at(struct doc d, const struct element *e, bson_iter_t *room) {
    if (!e || !bson_iter_init_from_data_at_offset(room, d.data, d.len, e->at, e->key_len))
        return NULL;
    return room;
}

static void report(struct walk *w, const struct frame *f, enum canon_diff_kind kind, struct doc sql,
                   const struct element *s, struct doc mongo, const struct element *m) {
    w->differs = true;
    if (!w->fn) {
        w->stop = true; /* the answer is known */
        return;
    }
    char room[CANON_PATH_MAX];
    bson_iter_t s_iter, m_iter;
    const bson_iter_t *s_value = iter_at(sql, s, &s_iter), *m_value = iter_at(mongo, m, &m_iter);
    if ((s && !s_value) || (m && !m_value)) {
        w->broken = true;
        return;
    }
    size_t len = path_text(f, room);
    if (w->fn(w->context, span_make(room, len), kind, s_value, m_value) != 0)
        w->stop = true;
}

static bool diff_fields(struct walk *w, const struct frame *up, int depth, struct doc sql,
                        struct doc mongo);
static void diff_items(struct walk *w, const struct frame *up, int depth, struct doc sql,
                       struct doc mongo);

static void diff_values(struct walk *w, const struct frame *f, int depth, struct doc sql,
                        const struct element *s, struct doc mongo, const struct element *m) {
    uint8_t type = sql.data[s->at];
    uint32_t len = s->next - s->value;
    if (type != mongo.data[m->at]) {
        report(w, f, CANON_TYPE_DIFFERENCE, sql, s, mongo, m);
        return;
    }
    if (len == m->next - m->value && memcmp(sql.data + s->value, mongo.data + m->value, len) == 0)
        return;
    bool nested = type == BSON_TYPE_DOCUMENT || type == BSON_TYPE_ARRAY;
    if (!nested || depth == CANON_DEPTH_MAX) {
        report(w, f, CANON_MISMATCH, sql, s, mongo, m);
        return;
    }
    struct doc sql_child, mongo_child;
    if (!doc_at(sql.data + s->value, len, &sql_child) ||
        !doc_at(mongo.data + m->value, m->next - m->value, &mongo_child)) {
        w->broken = true;
        return;
    }
    if (type == BSON_TYPE_ARRAY)
        diff_items(w, f, depth + 1, sql_child, mongo_child);
    else if (!diff_fields(w, f, depth + 1, sql_child, mongo_child) && !w->stop && !w->broken)
        report(w, f, CANON_MISMATCH, sql, s, mongo, m);
}

static bool going(const struct walk *w) {
    return !w->stop && !w->broken;
}

/* Arrays: by position, whatever the keys say. */
static void diff_items(struct walk *w, const struct frame *up, int depth, struct doc sql,
                       struct doc mongo) {
    uint32_t s_at = 4, m_at = 4;
    for (uint32_t i = 0; going(w); i++) {
        struct element s, m;
        bool has_s = element_at(w, sql, s_at, &s), has_m = element_at(w, mongo, m_at, &m);
        if (w->broken || (!has_s && !has_m))
            return;
        struct bsonw_index room;
        struct frame f = {up, bsonw_index_key(&room, i)};
        if (has_s && has_m)
            diff_values(w, &f, depth, sql, &s, mongo, &m);
        else if (has_s)
            report(w, &f, CANON_MISSING, sql, &s, mongo, NULL);
        else
            report(w, &f, CANON_EXTRA, sql, NULL, mongo, &m);
        s_at = has_s ? s.next : s_at;
        m_at = has_m ? m.next : m_at;
    }
}

static bool ignored(const struct walk *w, int depth, struct span key) {
    for (size_t i = 0; depth == 0 && w->options && i < w->options->ignored_count; i++)
        if (span_eq(w->options->ignored[i], key))
            return true;
    return false;
}

/* The next element that is compared. */
static bool next_field(struct walk *w, int depth, struct doc d, uint32_t *at, struct element *ret) {
    while (element_at(w, d, *at, ret)) {
        if (!ignored(w, depth, element_key(d, ret)))
            return true;
        *at = ret->next;
    }
    return false;
}

/* What is left of MongoDB's document when the order begins to differ. */
struct rest {
    struct element *elements;
    bool *taken;
    size_t count;
    size_t expected; /* where the next match is, if the orders agree again */
    struct spanmap index;
};

static bool key_is(struct doc d, const struct element *e, struct span key) {
    return e->key_len == key.len && memcmp(d.data + e->at + 1, key.ptr, key.len) == 0;
}

/* Index of the element, or `count`. Few elements are searched from the expected place on. */
static size_t rest_find(const struct rest *r, struct doc d, struct span key) {
    if (r->index.slots) {
        const uint32_t *i = spanmap_get(&r->index, key);
        return i && !r->taken[*i] ? *i : r->count;
    }
    for (size_t n = 0, i = r->expected; n < r->count; n++, i++) {
        if (i >= r->count)
            i = 0;
        if (!r->taken[i] && key_is(d, &r->elements[i], key))
            return i;
    }
    return r->count;
}

/* Counts, then collects; heap memory only for more than SMALL fields. */
static void rest_collect(struct walk *w, int depth, struct doc d, uint32_t at, struct rest *r) {
    struct element e;
    size_t count = 0;
    for (uint32_t p = at; next_field(w, depth, d, &p, &e); p = e.next)
        count++;
    if (count > SMALL) {
        r->elements = mem_zalloc(count, sizeof *r->elements);
        r->taken = mem_zalloc(count, sizeof *r->taken);
    }
    for (uint32_t p = at; next_field(w, depth, d, &p, &e); p = e.next) {
        if (count > SMALL) {
            bool fresh;
            uint32_t *i = spanmap_put(&r->index, element_key(d, &e), &fresh);
            if (fresh) /* a second field of one name stays over and is reported as extra */
                *i = (uint32_t)r->count;
        }
        r->taken[r->count] = false;
        r->elements[r->count++] = e;
    }
}

/* Both documents from where their order differs; true when fields are missing or extra. */
static bool diff_rest(struct walk *w, const struct frame *up, int depth, struct doc sql,
                      uint32_t s_at, struct doc mongo, struct rest *r) {
    struct element s;
    bool unequal = false;
    for (; going(w) && next_field(w, depth, sql, &s_at, &s); s_at = s.next) {
        struct frame f = {up, element_key(sql, &s)};
        size_t i = rest_find(r, mongo, f.key);
        if (i == r->count) {
            unequal = true;
            report(w, &f, CANON_MISSING, sql, &s, mongo, NULL);
            continue;
        }
        r->taken[i] = true;
        r->expected = i + 1;
        diff_values(w, &f, depth, sql, &s, mongo, &r->elements[i]);
    }
    for (size_t i = 0; i < r->count && going(w); i++) {
        if (r->taken[i])
            continue;
        struct frame f = {up, element_key(mongo, &r->elements[i])};
        unequal = true;
        report(w, &f, CANON_EXTRA, sql, NULL, mongo, &r->elements[i]);
    }
    return unequal;
}

static bool diff_unordered(struct walk *w, const struct frame *up, int depth, struct doc sql,
                           uint32_t s_at, struct doc mongo, uint32_t m_at) {
    struct element small[SMALL];
    bool small_taken[SMALL];
    struct rest r = {.elements = small, .taken = small_taken};
    rest_collect(w, depth, mongo, m_at, &r);
    bool unequal = diff_rest(w, up, depth, sql, s_at, mongo, &r);
    if (r.elements != small) {
        free(r.elements);
        free(r.taken);
        spanmap_release(&r.index);
    }
    return unequal;
}

/* False when an embedded document has the same fields in another order. */
static bool diff_fields(struct walk *w, const struct frame *up, int depth, struct doc sql,
                        struct doc mongo) {
    uint32_t s_at = 4, m_at = 4;
    while (going(w)) {
        struct element s, m;
        bool has_s = next_field(w, depth, sql, &s_at, &s);
        bool has_m = next_field(w, depth, mongo, &m_at, &m);
        if (!has_s && !has_m)
            return true;
        struct frame f = {up, has_s ? element_key(sql, &s) : span_make("", 0)};
        if (!has_s || !has_m || !key_is(mongo, &m, f.key))
            return diff_unordered(w, up, depth, sql, s_at, mongo, m_at) || depth == 0;
        diff_values(w, &f, depth, sql, &s, mongo, &m);
        s_at = s.next;
        m_at = m.next;
    }
    return true;
}

int canon_diff(struct span sql_doc, struct span mongo_doc, const struct canon_diff_options *options,
               canon_diff_fn fn, void *context) {
    struct walk w = {.options = options, .fn = fn, .context = context};
    struct doc sql, mongo;
    if (!doc_at((const uint8_t *)sql_doc.ptr, sql_doc.len, &sql) || sql.len != sql_doc.len ||
        !doc_at((const uint8_t *)mongo_doc.ptr, mongo_doc.len, &mongo) ||
        mongo.len != mongo_doc.len)
        return ERR_VALUE;
    if (span_eq(sql_doc, mongo_doc))
        return 0;
    (void)diff_fields(&w, NULL, 0, sql, mongo);
    if (w.broken)
        return ERR_VALUE;
    return w.differs ? 1 : 0;
}

const char *canon_diff_kind_name(enum canon_diff_kind kind) {
    switch (kind) {
    case CANON_MISSING:
        return "missing";
    case CANON_EXTRA:
        return "extra";
    case CANON_MISMATCH:
        return "mismatch";
    case CANON_TYPE_DIFFERENCE:
        return "type_difference";
    }
    return "?";
}

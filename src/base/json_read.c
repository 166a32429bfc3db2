#include "base/json_read.h"

#include "base/text.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

struct reader {
    struct json_doc *d;
    const char *text;
    size_t at, len;
    int depth;
    struct err *err;
};

void json_place(struct span text, size_t offset, unsigned *ret_line, unsigned *ret_column) {
    unsigned line = 1;
    size_t start = 0;
    if (offset > text.len)
        offset = text.len;
    for (size_t i = 0; i < offset; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    *ret_line = line;
    *ret_column = (unsigned)(offset - start) + 1;
}

static int fail_at(struct reader *r, size_t at, int code, const char *what) {
    unsigned line, column;
    json_place(r->d->text, at, &line, &column);
    return err_set(r->err, code, "line %u, column %u: %s", line, column, what);
}

static int wrong(struct reader *r, const char *what) {
    return fail_at(r, r->at, ERR_VALUE, what);
}

static char peek(const struct reader *r) {
    return r->at < r->len ? r->text[r->at] : '\0';
}

static void skip_blanks(struct reader *r) {
    while (r->at < r->len) {
        char c = r->text[r->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        r->at++;
    }
}

static int add_node(struct reader *r, enum json_type type, size_t *ret_index) {
    struct json_doc *d = r->d;
    if (d->count == d->max)
        return fail_at(r, r->at, ERR_LIMIT, "too many values in one text");
    d->nodes[d->count] = (struct json_node){.start = (uint32_t)r->at, .type = (uint8_t)type};
    *ret_index = d->count++;
    return 0;
}

static void end_node(struct reader *r, size_t index, size_t end) {
    struct json_node *n = &r->d->nodes[index];
    n->len = (uint32_t)(end - n->start);
    n->next = (uint32_t)r->d->count;
}

/* ---- strings ---- */

/* Four hexadecimal digits; -1: they are not. */
static int32_t hex4(const char *p, const char *end) {
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = text_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* The escape at `p` ("\..." with what follows): its length in the text, its bytes in `out`; 0: not
 * valid JSON. */
static size_t read_escape(const char *p, const char *end, char out[4], size_t *ret_out) {
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return 0;
    *ret_out = 1;
    if (p[1] != 'u') {
        const char *found = p[1] ? strchr(plain, p[1]) : NULL;
        if (!found)
            return 0;
        out[0] = meant[found - plain];
        return 2;
    }
    int32_t c = hex4(p + 2, end);
    if (c < 0 || (c >= 0xdc00 && c <= 0xdfff))
        return 0;
    if (c < 0xd800 || c > 0xdbff) {
        *ret_out = utf8_put((uint32_t)c, out);
        return 6;
    }
    if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t low = hex4(p + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *ret_out = utf8_put(0x10000 + (((uint32_t)c & 0x3ff) << 10) + ((uint32_t)low & 0x3ff), out);
    return 12;
}

static int read_string(struct reader *r, size_t *ret_index) {
    r->at++; /* the quote */
    size_t index;
    int rc = add_node(r, JSON_STRING, &index);
    if (rc < 0)
        return rc;
    while (r->at < r->len) {
        unsigned char c = (unsigned char)r->text[r->at];
        if (c == '"') {
            end_node(r, index, r->at++);
            *ret_index = index;
            return 0;
        }
        if (c == '\\') {
            char out[4];
            size_t out_len;
            size_t n = read_escape(r->text + r->at, r->text + r->len, out, &out_len);
            if (n == 0)
                return wrong(r, "not an escape that JSON has (half a surrogate pair is none)");
            r->d->nodes[index].escaped = true;
            r->at += n;
        } else if (c < 0x20) {
            return wrong(r, "a control character in a string must be escaped");
        } else if (c < 0x80) {
            r->at++;
        } else {
            size_t n = utf8_char_len(span_make(r->text + r->at, r->len - r->at));
            if (n == 0)
                return wrong(r, "not UTF-8");
            r->at += n;
        }
    }
    return wrong(r, "the text ends inside a string");
}

/* Hands out a string piece by piece: plain runs and single escapes. */
struct pieces {
    const char *at, *end;
    char decoded[4];
};

static struct span next_piece(struct pieces *p) {
    if (p->at == p->end)
        return (struct span){"", 0};
    if (*p->at == '\\') {
        size_t n = 0;
        size_t used = read_escape(p->at, p->end, p->decoded, &n);
        p->at = used ? p->at + used : p->end; /* was checked when it was parsed */
        return span_make(p->decoded, used ? n : 0);
    }
    const char *from = p->at;
    const char *stop = memchr(from, '\\', (size_t)(p->end - from));
    p->at = stop ? stop : p->end;
    return span_make(from, (size_t)(p->at - from));
}

static struct span inside(const struct json_doc *d, const struct json_node *n) {
    return span_make(d->text.ptr + n->start, n->len);
}

static struct pieces pieces_of(const struct json_doc *d, const struct json_node *n) {
    struct span s = inside(d, n);
    return (struct pieces){.at = s.ptr, .end = s.ptr + s.len};
}

/* Same characters, however each is written. */
static bool same_string(const struct json_doc *d, const struct json_node *a,
                        const struct json_node *b) {
    if (!a->escaped && !b->escaped)
        return a->len == b->len && memcmp(inside(d, a).ptr, inside(d, b).ptr, a->len) == 0;
    struct pieces pa = pieces_of(d, a), pb = pieces_of(d, b);
    struct span sa = {"", 0}, sb = {"", 0};
    for (;;) {
        if (sa.len == 0)
            sa = next_piece(&pa);
        if (sb.len == 0)
            sb = next_piece(&pb);
        if (sa.len == 0 || sb.len == 0)
            return sa.len == sb.len;
        size_t n = sa.len < sb.len ? sa.len : sb.len;
        if (memcmp(sa.ptr, sb.ptr, n) != 0)
            return false;
        sa = span_make(sa.ptr + n, sa.len - n);
        sb = span_make(sb.ptr + n, sb.len - n);
    }
}

/* ---- numbers and words ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t skip_digits(struct reader *r) {
    size_t from = r->at;
    while (is_digit(peek(r)))
        r->at++;
    return r->at - from;
}

static int read_number(struct reader *r) {
    size_t index;
    int rc = add_node(r, JSON_NUMBER, &index);
    if (rc < 0)
        return rc;
    size_t from = r->at;
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0') {
        r->at++;
        if (is_digit(peek(r)))
            return wrong(r, "a number must not begin with 0");
    } else if (skip_digits(r) == 0) {
        return wrong(r, "a digit is missing");
    }
    if (peek(r) == '.') {
        r->at++;
        if (skip_digits(r) == 0)
            return wrong(r, "a digit is missing behind the point");
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (skip_digits(r) == 0)
            return wrong(r, "the exponent has no digit");
    }
    if (r->at - from > JSON_NUMBER_MAX)
        return fail_at(r, from, ERR_LIMIT, "the number is too long");
    end_node(r, index, r->at);
    return 0;
}

static int read_word(struct reader *r) {
    static const struct {
        struct span word;
        enum json_type type;
    } words[] = {{SPAN_LIT("true"), JSON_BOOL},
                 {SPAN_LIT("false"), JSON_BOOL},
                 {SPAN_LIT("null"), JSON_NULL}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = words[i].word.len;
        if (r->len - r->at < n || memcmp(r->text + r->at, words[i].word.ptr, n) != 0)
            continue;
        size_t index;
        int rc = add_node(r, words[i].type, &index);
        if (rc < 0)
            return rc;
        r->d->nodes[index].is_true = i == 0;
        r->at += n;
        end_node(r, index, r->at);
        return 0;
    }
    return wrong(r, r->at == r->len ? "the text ends where a value should be" : "not a value");
}

/* ---- objects and arrays ---- */

static int read_value(struct reader *r);

static int read_array(struct reader *r) {
    size_t index;
    int rc = add_node(r, JSON_ARRAY, &index);
    if (rc < 0)
        return rc;
    r->at++;
    skip_blanks(r);
    while (peek(r) != ']') {
        if (r->d->nodes[index].count > 0) {
            if (peek(r) != ',')
                return wrong(r, "a comma or ] is missing");
            r->at++;
        }
        rc = read_value(r);
        if (rc < 0)
            return rc;
        r->d->nodes[index].count++;
        skip_blanks(r);
    }
    r->at++;
    end_node(r, index, r->at);
    return 0;
}

static bool has_name(const struct json_doc *d, size_t object, size_t name) {
    for (size_t i = object + 1; i < name; i = d->nodes[i + 1].next) {
        if (same_string(d, &d->nodes[i], &d->nodes[name]))
            return true;
    }
    return false;
}

static int read_member(struct reader *r, size_t object) {
    size_t name, at = r->at;
    if (peek(r) != '"')
        return wrong(r, "a name in quotes is missing");
    int rc = read_string(r, &name);
    if (rc < 0)
        return rc;
    if (has_name(r->d, object, name))
        return fail_at(r, at, ERR_VALUE, "the name is there twice");
    if (++r->d->nodes[object].count > JSON_MEMBERS_MAX)
        return fail_at(r, at, ERR_LIMIT, "too many members in one object");
    skip_blanks(r);
    if (peek(r) != ':')
        return wrong(r, "a colon is missing");
    r->at++;
    return read_value(r);
}

static int read_object(struct reader *r) {
    size_t index;
    int rc = add_node(r, JSON_OBJECT, &index);
    if (rc < 0)
        return rc;
    r->at++;
    skip_blanks(r);
    while (peek(r) != '}') {
        if (r->d->nodes[index].count > 0) {
            if (peek(r) != ',')
                return wrong(r, "a comma or } is missing");
            r->at++;
            skip_blanks(r);
        }
        rc = read_member(r, index);
        if (rc < 0)
            return rc;
        skip_blanks(r);
    }
    r->at++;
    end_node(r, index, r->at);
    return 0;
}

static int read_value(struct reader *r) {
    skip_blanks(r);
    char c = peek(r);
    size_t index;
    if (c == '"')
        return read_string(r, &index);
    if (c == '-' || is_digit(c))
        return read_number(r);
    if (c != '{' && c != '[')
        return read_word(r);
    if (++r->depth > JSON_DEPTH_MAX)
        return fail_at(r, r->at, ERR_LIMIT, "too deep");
    int rc = c == '{' ? read_object(r) : read_array(r);
    r->depth--;
    return rc;
}

int json_parse(struct json_doc *d, struct span text, struct json_node *nodes, size_t max,
               struct err *err) {
    *d = (struct json_doc){.text = text, .nodes = nodes, .max = max};
    struct reader r = {.d = d, .text = text.ptr, .len = text.len, .err = err};
    if (text.len >= UINT32_MAX)
        return err_set(err, ERR_LIMIT, "the text is too long");
    int rc = read_value(&r);
    if (rc < 0)
        return rc;
    skip_blanks(&r);
    return r.at == r.len ? 0 : wrong(&r, "something follows the value");
}

/* ---- access ---- */

const struct json_node *json_first(const struct json_doc *d, const struct json_node *parent) {
    (void)d;
    bool inner = parent && (parent->type == JSON_OBJECT || parent->type == JSON_ARRAY);
    return inner && parent->count > 0 ? parent + 1 : NULL;
}

const struct json_node *json_next(const struct json_doc *d, const struct json_node *parent,
                                  const struct json_node *child) {
    const struct json_node *value = parent->type == JSON_OBJECT ? child + 1 : child;
    return value->next < parent->next ? &d->nodes[value->next] : NULL;
}

const struct json_node *json_member(const struct json_doc *d, const struct json_node *object,
                                    const char *name) {
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    for (const struct json_node *n = json_first(d, object); n; n = json_next(d, object, n)) {
        if (json_is(d, n, name))
            return json_value(n);
    }
    return NULL;
}

struct span json_raw(const struct json_doc *d, const struct json_node *n) {
    size_t quote = n->type == JSON_STRING;
    return span_make(d->text.ptr + n->start - quote, n->len + 2 * quote);
}

bool json_string(const struct json_doc *d, const struct json_node *n, char *space, size_t size,
                 struct span *ret) {
    if (!n || n->type != JSON_STRING)
        return false;
    if (!n->escaped) {
        *ret = inside(d, n);
        return true;
    }
    struct pieces p = pieces_of(d, n);
    size_t len = 0;
    for (struct span s = next_piece(&p); s.len > 0; s = next_piece(&p)) {
        if (s.len > size - len)
            return false;
        memcpy(space + len, s.ptr, s.len);
        len += s.len;
    }
    *ret = span_make(space, len);
    return true;
}

bool json_copy(const struct json_doc *d, const struct json_node *n, char *to, size_t size) {
    struct span text;
    if (!json_string(d, n, to, size - 1, &text) || text.len > size - 1 ||
        (text.len > 0 && memchr(text.ptr, 0, text.len)))
        return false;
    memmove(to, text.ptr, text.len); /* of escapes: there already */
    to[text.len] = '\0';
    return true;
}

bool json_string_in(const struct json_doc *d, const struct json_node *n, struct arena *arena,
                    struct span *ret) {
    if (!n || n->type != JSON_STRING)
        return false;
    char *space = n->escaped ? arena_alloc(arena, n->len) : NULL;
    return (space || !n->escaped) && json_string(d, n, space, n->len, ret);
}

bool json_is(const struct json_doc *d, const struct json_node *n, const char *text) {
    if (!n || n->type != JSON_STRING)
        return false;
    if (!n->escaped)
        return span_is(inside(d, n), text);
    struct pieces p = pieces_of(d, n);
    size_t left = strlen(text);
    for (struct span s = next_piece(&p); s.len > 0; s = next_piece(&p)) {
        if (s.len > left || memcmp(s.ptr, text, s.len) != 0)
            return false;
        text += s.len;
        left -= s.len;
    }
    return left == 0;
}

bool json_int(const struct json_doc *d, const struct json_node *n, int64_t *ret) {
    if (!n || n->type != JSON_NUMBER)
        return false;
    struct span s = inside(d, n);
    bool negative = s.ptr[0] == '-';
    int64_t v = 0; /* counted downwards: the lowest number has no positive counterpart */
    for (size_t i = negative; i < s.len; i++) {
        if (!is_digit(s.ptr[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, s.ptr[i] - '0', &v))
            return false;
    }
    if (!negative && v == INT64_MIN)
        return false;
    *ret = negative ? v : -v;
    return true;
}

bool json_double(const struct json_doc *d, const struct json_node *n, double *ret) {
    if (!n || n->type != JSON_NUMBER)
        return false;
    char text[JSON_NUMBER_MAX + 1];
    struct span s = inside(d, n);
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    char *end;
    double v = strtod(text, &end);
    if (*end != '\0' || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

bool json_bool(const struct json_node *n, bool *ret) {
    if (!n || n->type != JSON_BOOL)
        return false;
    *ret = n->is_true;
    return true;
}

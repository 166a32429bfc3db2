#include "flagfile/json_tree.h"

#include "base/json_text.h"
#include "base/spanmap.h"
#include "base/text.h"
#include "base/utf8.h"
#include "conf/conf_check.h"

#include <math.h>

struct parser {
    const struct tree_input *in;
    struct arena *arena;
    size_t i;          /* next byte */
    size_t line_start; /* byte at which the line begins */
    int line;
    size_t column_byte; /* columns are counted from here ... */
    int column;         /* ... where it is this one */
    size_t depth, nodes;
    struct err *err;
};

/* Columns are characters; counted on demand, and never twice over the same bytes. */
static struct conf_at here(struct parser *p) {
    if (p->column_byte < p->line_start || p->column_byte > p->i) {
        p->column_byte = p->line_start;
        p->column = 1;
    }
    for (; p->column_byte < p->i; p->column_byte++)
        p->column += ((unsigned char)p->in->text[p->column_byte] & 0xc0) != 0x80;
    return (struct conf_at){p->line, p->column};
}

static int fail(struct parser *p, const char *fmt, ...) printf_like(2, 3);
static int fail(struct parser *p, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = tree_verror(p->in->name, here(p), p->err, fmt, args);
    va_end(args);
    return rc;
}

static void *parser_alloc(struct parser *p, size_t size) {
    void *m = arena_alloc(p->arena, size);
    if (m)
        memset(m, 0, size);
    else
        (void)fail(p, "the file needs more than %zu MiB of memory; make it smaller",
                   p->arena->max / ((size_t)1024 * 1024));
    return m;
}

/* 0 at the end: a NUL in the text is refused wherever it is looked at. */
static char peek(const struct parser *p) {
    return p->i < p->in->len ? p->in->text[p->i] : '\0';
}

static void skip_space(struct parser *p) {
    for (;; p->i++) {
        char c = peek(p);
        if (c == '\n') {
            p->line++;
            p->line_start = p->i + 1;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
    }
}

static int unexpected(struct parser *p, const char *wanted) {
    if (p->i >= p->in->len)
        return fail(p, "not JSON: the file ends where %s should be", wanted);
    unsigned char c = (unsigned char)peek(p);
    if (c < 0x20 || c >= 0x7f)
        return fail(p, "not JSON: byte 0x%02x where %s should be", c, wanted);
    return fail(p, "not JSON: '%c' where %s should be", c, wanted);
}

static int new_node(struct parser *p, enum tree_kind kind, struct tree_node **ret) {
    if (++p->nodes > p->in->limits->nodes)
        return fail(p, "more than %zu values; split the file", p->in->limits->nodes);
    struct tree_node *node = parser_alloc(p, sizeof *node);
    if (!node)
        return ERR_CONF;
    node->kind = kind;
    node->at = here(p);
    node->weight = 1;
    *ret = node;
    return 0;
}

/* ---- strings ---- */

static int read_hex4(struct parser *p, unsigned *ret) {
    unsigned v = 0;
    for (int n = 0; n < 4; n++) {
        int digit = text_hex_digit(peek(p));
        if (digit < 0)
            return unexpected(p, "a hexadecimal digit");
        v = v << 4 | (unsigned)digit;
        p->i++;
    }
    *ret = v;
    return 0;
}

static void add_utf8(struct buf *out, unsigned c) {
    if (c < 0x80) {
        buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        buf_add_char(out, (char)(0xc0 | c >> 6));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_add_char(out, (char)(0xe0 | c >> 12));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | c >> 18));
        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* Behind "\u". */
static int read_unicode(struct parser *p, struct buf *out) {
    unsigned c, low;
    int rc = read_hex4(p, &c);
    if (rc < 0)
        return rc;
    if (c == 0)
        return fail(p, "a NUL in a text; remove it");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (peek(p) != '\\' || p->i + 1 >= p->in->len || p->in->text[p->i + 1] != 'u')
            return fail(p, "half of a surrogate pair; the other half must follow");
        p->i += 2;
        rc = read_hex4(p, &low);
        if (rc < 0)
            return rc;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(p, "half of a surrogate pair; the other half must follow");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return fail(p, "half of a surrogate pair; its first half is missing");
    }
    add_utf8(out, c);
    return 0;
}

static int read_escape(struct parser *p, struct buf *out) {
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char c = peek(p);
    if (c == 'u') {
        p->i++;
        return read_unicode(p, out);
    }
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return unexpected(p, "an escape (one of \" \\ / b f n r t u)");
    buf_add_char(out, to[found - from]);
    p->i++;
    return 0;
}

/* At the opening quote. */
static int read_string(struct parser *p, struct span *ret) {
    _cleanup_(buf_release) struct buf text = {.max = CONF_VALUE_MAX};
    p->i++;
    while (peek(p) != '"') {
        unsigned char c = (unsigned char)peek(p);
        int rc = 0;
        if (c < 0x20)
            return p->i >= p->in->len ? fail(p, "not JSON: a text that does not end")
                                      : fail(p, "control character 0x%02x in a text", c);
        if (c == '\\') {
            p->i++;
            rc = read_escape(p, &text);
        } else {
            size_t n = utf8_char_len(span_make(p->in->text + p->i, p->in->len - p->i));
            if (n == 0)
                return fail(p, "not UTF-8 (byte 0x%02x); save the file as UTF-8", c);
            buf_add(&text, p->in->text + p->i, n);
            p->i += n;
        }
        if (rc < 0)
            return rc;
        if (!buf_ok(&text))
            return fail(p, "a value of more than %d bytes", CONF_VALUE_MAX);
    }
    p->i++;
    *ret = arena_copy(p->arena, span_make(text.len ? text.data : "", text.len));
    return ret->ptr ? 0
                    : fail(p, "the file needs more than %zu MiB of memory; make it smaller",
                           p->arena->max / ((size_t)1024 * 1024));
}

/* ---- numbers and words ---- */

static size_t digits(struct parser *p) {
    size_t n = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->i++)
        n++;
    return n;
}

static int read_number(struct parser *p) {
    if (peek(p) == '-')
        p->i++;
    if (peek(p) == '0')
        p->i++;
    else if (digits(p) == 0)
        return unexpected(p, "a digit");
    if (peek(p) == '.') {
        p->i++;
        if (digits(p) == 0)
            return unexpected(p, "a digit");
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->i++;
        if (peek(p) == '+' || peek(p) == '-')
            p->i++;
        if (digits(p) == 0)
            return unexpected(p, "a digit");
    }
    return 0;
}

static int read_plain(struct parser *p, struct tree_node *node) {
    static const char *const words[] = {"true", "false", "null"};
    size_t start = p->i;
    char c = peek(p);
    int rc = 0;
    if (c == '-' || (c >= '0' && c <= '9')) {
        rc = read_number(p);
    } else {
        size_t w = 0;
        while (w < 3 && (p->in->len - p->i < strlen(words[w]) ||
                         memcmp(p->in->text + p->i, words[w], strlen(words[w])) != 0))
            w++;
        if (w == 3)
            return unexpected(p, "a value");
        p->i += strlen(words[w]);
    }
    if (rc < 0)
        return rc;
    node->plain = true;
    node->text = arena_copy(p->arena, span_make(p->in->text + start, p->i - start));
    return node->text.ptr ? 0 : fail(p, "the file needs too much memory; make it smaller");
}

/* ---- containers ---- */

static int read_value(struct parser *p, const struct tree_node **ret);

static int read_name(struct parser *p, struct tree_entry *e, struct spanmap *seen) {
    bool fresh;
    e->key_at = here(p);
    if (peek(p) != '"')
        return unexpected(p, "a name in quotes");
    size_t start = p->i;
    int rc = read_string(p, &e->key);
    if (rc < 0)
        return rc;
    (void)spanmap_put(seen, e->key, &fresh);
    if (!fresh) {
        p->i = start;
        return fail(p, "'%.200s' is given twice; remove one", e->key.ptr);
    }
    skip_space(p);
    if (peek(p) != ':')
        return unexpected(p, "':'");
    p->i++;
    skip_space(p);
    return 0;
}

static int read_entries(struct parser *p, struct tree_node *node, char close,
                        struct spanmap *seen) {
    struct tree_entry *last = NULL;
    skip_space(p);
    for (bool first = true; !first || peek(p) != close; first = false) {
        struct tree_entry *e = parser_alloc(p, sizeof *e);
        int rc = e ? 0 : ERR_CONF;
        if (rc == 0 && node->kind == TREE_MAP)
            rc = read_name(p, e, seen);
        if (rc == 0)
            rc = read_value(p, &e->value);
        if (rc < 0)
            return rc;
        *(last ? &last->next : &node->first) = e;
        last = e;
        node->count++;
        node->weight += e->value->weight;
        skip_space(p);
        if (peek(p) == close)
            break;
        if (peek(p) != ',')
            return unexpected(p, close == '}' ? "',' or '}'" : "',' or ']'");
        p->i++;
        skip_space(p);
    }
    p->i++;
    return 0;
}

static int read_container(struct parser *p, struct tree_node *node, char close) {
    struct spanmap seen = {0};
    if (p->depth == TREE_DEPTH_MAX)
        return fail(p, "nested more than %d levels deep", TREE_DEPTH_MAX);
    p->depth++;
    p->i++;
    int rc = read_entries(p, node, close, &seen);
    p->depth--;
    spanmap_release(&seen);
    return rc;
}

static int read_value(struct parser *p, const struct tree_node **ret) {
    struct tree_node *node = NULL;
    char c = peek(p);
    int rc = new_node(p, c == '{' ? TREE_MAP : c == '[' ? TREE_LIST : TREE_SCALAR, &node);
    if (rc < 0)
        return rc;
    if (c == '{' || c == '[')
        rc = read_container(p, node, c == '{' ? '}' : ']');
    else
        rc = c == '"' ? read_string(p, &node->text) : read_plain(p, node);
    *ret = node;
    return rc;
}

int json_tree_parse(const struct tree_input *in, struct arena *arena,
                    const struct tree_node **ret_root, struct err *err) {
    struct parser p = {.in = in, .arena = arena, .line = 1, .column = 1, .err = err};
    if (in->len > in->limits->bytes)
        return fail(&p, "the file has more than %zu MiB; split it",
                    in->limits->bytes / ((size_t)1024 * 1024));
    if (in->len >= 3 && memcmp(in->text, "\xef\xbb\xbf", 3) == 0) {
        p.i = p.line_start = p.column_byte = 3; /* a byte order mark */
    }
    const struct tree_node *root = NULL;
    skip_space(&p);
    int rc = read_value(&p, &root);
    if (rc < 0)
        return rc;
    skip_space(&p);
    if (p.i < in->len)
        return unexpected(&p, "the end of the file");
    *ret_root = root;
    return 0;
}

/* ---- writing ---- */

bool tree_is_number(const struct tree_node *node, double *ret_number) {
    enum conf_scalar_kind kind;
    int64_t integer = 0;
    double real = 0;
    if (node->kind != TREE_SCALAR || !node->plain || node->text.len == 0 ||
        !conf_read_number(node->text, &kind, &integer, &real))
        return false;
    *ret_number = kind == CONF_INT ? (double)integer : real;
    return true;
}

/* As JSON writes numbers: no sign before, no leading zeros, digits around the point. */
static bool is_json_number(struct span s) {
    struct tree_limits limits = {s.len, 1, ""};
    struct tree_input in = {"", s.ptr, s.len, &limits};
    struct parser p = {.in = &in, .line = 1, .column = 1};
    return read_number(&p) == 0 && p.i == s.len;
}

static void write_scalar(const struct tree_node *node, struct buf *out) {
    double number;
    bool truth;
    if (tree_is_null(node))
        buf_add_text(out, "null");
    else if (tree_is_bool(node, &truth))
        buf_add_text(out, truth ? "true" : "false");
    else if (!tree_is_number(node, &number))
        json_text_string(out, node->text);
    else if (is_json_number(node->text))
        buf_add_span(out, node->text);
    else if (isfinite(number))
        buf_printf(out, "%.17g", number);
    else
        json_text_string(out, node->text);
}

void json_tree_write(const struct tree_node *node, struct buf *out) {
    if (node->kind == TREE_SCALAR) {
        write_scalar(node, out);
        return;
    }
    bool map = node->kind == TREE_MAP;
    buf_add_char(out, map ? '{' : '[');
    for (const struct tree_entry *e = node->first; e && buf_ok(out); e = e->next) {
        if (e != node->first)
            buf_add_char(out, ',');
        if (map) {
            json_text_string(out, e->key);
            buf_add_char(out, ':');
        }
        json_tree_write(e->value, out);
    }
    buf_add_char(out, map ? '}' : ']');
}

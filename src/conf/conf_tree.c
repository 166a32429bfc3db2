#include "conf/conf_tree.h"

#include "base/spanmap.h"
#include "base/utf8.h"

#include <libfyaml.h>
#include <stdio.h>

struct frame {
    struct tree_node *node;
    struct tree_entry *last;
    struct span anchor; /* empty: none */
    struct span key;    /* map: the key that waits for its value */
    struct conf_at key_at;
    bool has_key;
};

struct anchor {
    struct anchor *next;
    struct span name;
    const struct tree_node *node;
};

struct builder {
    const struct tree_input *in;
    const struct tree_limits *limits;
    struct arena *arena;
    struct fy_parser *parser;
    struct fy_diag *diag;
    struct frame stack[TREE_DEPTH_MAX];
    size_t depth;
    struct anchor *anchors;
    size_t anchor_count;
    struct conf_at at; /* of the event at hand */
    size_t weight;     /* of all nodes so far */
    const struct tree_node *root;
    struct err *err;
};

int tree_verror(const char *name, struct conf_at at, struct err *err, const char *fmt,
                va_list args) {
    char text[ERR_TEXT_MAX];
    (void)vsnprintf(text, sizeof text, fmt, args);
    return err_set(err, ERR_CONF, "%s:%d:%d: %s", name, at.line, at.column, text);
}

int tree_error(const char *name, struct conf_at at, struct err *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = tree_verror(name, at, err, fmt, args);
    va_end(args);
    return rc;
}

static int fail(struct builder *b, const char *fmt, ...) printf_like(2, 3);
static int fail(struct builder *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = tree_verror(b->in->name, b->at, b->err, fmt, args);
    va_end(args);
    return rc;
}

/* --- input ------------------------------------------------------------------------------- */

/* YAML allows no control characters but tab and line ends (spec, "c-printable"); checked here, with
 * UTF-8, so that the place is exact and libfyaml sees well-formed text only. */
static int check_bytes(struct builder *b) {
    const struct tree_input *in = b->in;
    struct conf_at at = {1, 1};
    for (size_t i = 0; i < in->len;) {
        size_t n = utf8_char_len(span_make(in->text + i, in->len - i));
        unsigned char c = (unsigned char)in->text[i];
        b->at = at;
        if (n == 0)
            return fail(b, "not UTF-8 (byte 0x%02x); save the file as UTF-8", c);
        bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
        if (control)
            return fail(b, "control character 0x%02x; remove it", c);
        i += n;
        at.column++;
        if (c == '\n')
            at = (struct conf_at){at.line + 1, 1};
    }
    return 0;
}

/* --- nodes ------------------------------------------------------------------------------- */

static void *builder_alloc(struct builder *b, size_t size) {
    void *p = arena_alloc(b->arena, size);
    if (p)
        memset(p, 0, size);
    return p;
}

static int too_big(struct builder *b) {
    return fail(b, "the file needs more than %zu MiB of memory; make it smaller",
                b->arena->max / (1024 * 1024));
}

static int check_weight(struct builder *b, size_t more) {
    if (more > b->limits->nodes || b->weight > b->limits->nodes - more)
        return fail(b,
                    "more than %zu values (aliases count with all they stand for); split the file",
                    b->limits->nodes);
    b->weight += more;
    return 0;
}

static int remember_anchor(struct builder *b, struct span name, const struct tree_node *node) {
    if (name.len == 0)
        return 0;
    if (++b->anchor_count > TREE_ANCHORS_MAX)
        return fail(b, "more than %d anchors", TREE_ANCHORS_MAX);
    struct anchor *a = builder_alloc(b, sizeof *a);
    if (!a)
        return too_big(b);
    *a = (struct anchor){b->anchors, name, node};
    b->anchors = a; /* the newest of a name wins, as YAML wants it */
    return 0;
}

/* Puts a complete node under the container that is open. */
static int attach(struct builder *b, const struct tree_node *node) {
    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    struct frame *f = &b->stack[b->depth - 1];
    if (f->node->kind == TREE_MAP && !f->has_key) {
        if (node->kind != TREE_SCALAR)
            return fail(b, "a key must be text, not %s", tree_kind_name(node));
        f->key = node->text;
        f->key_at = b->at;
        f->has_key = true;
        return 0;
    }
    struct tree_entry *e = builder_alloc(b, sizeof *e);
    if (!e)
        return too_big(b);
    *e = (struct tree_entry){.key = f->key, .key_at = f->key_at, .value = node};
    f->has_key = false;
    if (f->last)
        f->last->next = e;
    else
        f->node->first = e;
    f->last = e;
    f->node->count++;
    f->node->weight += node->weight;
    return 0;
}

static int check_unique(struct builder *b, const struct tree_node *map) {
    struct spanmap seen = {0};
    int rc = 0;
    for (const struct tree_entry *e = map->first; rc == 0 && e; e = e->next) {
        bool fresh;
        (void)spanmap_put(&seen, e->key, &fresh);
        if (fresh)
            continue;
        const struct tree_entry *first = map->first;
        while (!span_eq(first->key, e->key))
            first = first->next;
        b->at = e->key_at;
        rc = fail(b, "'%s' is given twice, first at %d:%d; remove one", e->key.ptr,
                  first->key_at.line, first->key_at.column);
    }
    spanmap_release(&seen);
    return rc;
}

/* --- events ------------------------------------------------------------------------------ */

static int token_text(struct builder *b, struct fy_token *token, struct span *ret) {
    size_t len = 0;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;
    struct span s = span_make(text ? text : "", text ? len : 0);
    if (s.len > CONF_VALUE_MAX)
        return fail(b, "a value of %zu bytes; at most %d are allowed", s.len, CONF_VALUE_MAX);
    /* An escape such as "\0" or "\xd800" makes what the file itself cannot hold. */
    if (!utf8_valid(s) || (s.len && memchr(s.ptr, 0, s.len)))
        return fail(b, "a value with a NUL or that is not UTF-8; remove the escape");
    *ret = arena_copy(b->arena, s);
    return ret->ptr ? 0 : too_big(b);
}

static int anchor_name(struct builder *b, struct fy_token *token, struct span *ret) {
    *ret = (struct span){0};
    return token ? token_text(b, token, ret) : 0;
}

static int new_node(struct builder *b, enum tree_kind kind, struct tree_node **ret) {
    int rc = check_weight(b, 1);
    if (rc < 0)
        return rc;
    struct tree_node *node = builder_alloc(b, sizeof *node);
    if (!node)
        return too_big(b);
    node->kind = kind;
    node->at = b->at;
    node->weight = 1;
    *ret = node;
    return 0;
}

static int on_scalar(struct builder *b, const struct fy_event_scalar_data *data) {
    if (data->tag)
        return fail(b, "tags (!...) have no meaning here; remove it");
    enum fy_scalar_style style = data->value ? fy_token_scalar_style(data->value) : FYSS_PLAIN;
    /* libfyaml's mark is behind the opening quote. */
    if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED)
        b->at.column--;
    struct tree_node *node = NULL;
    struct span anchor;
    int rc = new_node(b, TREE_SCALAR, &node);
    if (rc == 0)
        rc = token_text(b, data->value, &node->text);
    if (rc == 0)
        rc = anchor_name(b, data->anchor, &anchor);
    if (rc < 0)
        return rc;
    node->plain = style == FYSS_PLAIN;
    rc = remember_anchor(b, anchor, node);
    return rc < 0 ? rc : attach(b, node);
}

static int on_open(struct builder *b, enum tree_kind kind, struct fy_token *tag,
                   struct fy_token *anchor) {
    if (tag)
        return fail(b, "tags (!...) have no meaning here; remove it");
    if (b->depth == TREE_DEPTH_MAX)
        return fail(b, "nested more than %d levels deep", TREE_DEPTH_MAX);
    struct frame f = {0};
    int rc = new_node(b, kind, &f.node);
    if (rc == 0)
        rc = anchor_name(b, anchor, &f.anchor);
    if (rc == 0)
        b->stack[b->depth++] = f;
    return rc;
}

static int on_close(struct builder *b) {
    struct frame f = b->stack[--b->depth];
    int rc = f.node->kind == TREE_MAP ? check_unique(b, f.node) : 0;
    if (rc == 0)
        rc = remember_anchor(b, f.anchor, f.node);
    if (rc == 0) {
        b->at = f.node->at;
        rc = attach(b, f.node);
    }
    return rc;
}

static int on_alias(struct builder *b, const struct fy_event_alias_data *data) {
    struct span name;
    b->at.column--; /* libfyaml's mark is behind the "*" */
    int rc = token_text(b, data->anchor, &name);
    if (rc < 0)
        return rc;
    const struct anchor *a = b->anchors;
    while (a && !span_eq(a->name, name))
        a = a->next;
    if (!a)
        return fail(b, "alias '*%s' has no anchor before it", name.ptr);
    rc = check_weight(b, a->node->weight);
    return rc < 0 ? rc : attach(b, a->node);
}

static int on_event(struct builder *b, struct fy_event *e) {
    const struct fy_mark *mark = fy_event_start_mark(e);
    if (mark)
        b->at = (struct conf_at){mark->line + 1, mark->column + 1};
    switch (e->type) {
    case FYET_SCALAR:
        return on_scalar(b, &e->scalar);
    case FYET_ALIAS:
        return on_alias(b, &e->alias);
    case FYET_SEQUENCE_START:
        return on_open(b, TREE_LIST, e->sequence_start.tag, e->sequence_start.anchor);
    case FYET_MAPPING_START:
        return on_open(b, TREE_MAP, e->mapping_start.tag, e->mapping_start.anchor);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        return on_close(b);
    case FYET_DOCUMENT_START:
        return b->root ? fail(b, "a second document ('---'); one file is one configuration") : 0;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return 0;
    }
    return fail(b, "unknown kind of YAML event");
}

/* --- libfyaml's own errors --------------------------------------------------------------- */

/* Nothing of libfyaml's reaches standard error; its messages are collected and read below. */
static void swallow(struct fy_diag *diag, void *user, const char *text, size_t len) {
    (void)diag, (void)user, (void)text, (void)len;
}

static int syntax_error(struct builder *b) {
    void *prev = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(b->diag, &prev);
    if (!e)
        return fail(b, "not YAML");
    b->at = (struct conf_at){e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 1};
    return fail(b, "not YAML: %s", e->msg ? e->msg : "?");
}

static int open_parser(struct builder *b) {
    struct fy_diag_cfg diag;
    fy_diag_cfg_default(&diag);
    diag.fp = NULL;
    diag.output_fn = swallow;
    diag.colorize = false;
    b->diag = fy_diag_create(&diag);
    if (!b->diag)
        return err_set(b->err, ERR_INTERNAL, "no YAML diagnostics");
    fy_diag_set_collect_errors(b->diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
                                        FYPCF_DEFAULT_VERSION_1_2,
                               .diag = b->diag};
    b->parser = fy_parser_create(&cfg);
    if (!b->parser || fy_parser_set_string(b->parser, b->in->text, b->in->len) != 0)
        return err_set(b->err, ERR_INTERNAL, "no YAML parser");
    return 0;
}

static int read_events(struct builder *b) {
    int rc = 0;
    struct fy_event *e = NULL;
    while (rc == 0 && (e = fy_parser_parse(b->parser))) {
        rc = on_event(b, e);
        fy_parser_event_free(b->parser, e);
    }
    if (rc == 0 && fy_parser_get_stream_error(b->parser))
        rc = syntax_error(b);
    return rc;
}

int tree_parse(const struct tree_input *in, struct arena *arena, const struct tree_node **ret_root,
               struct err *err) {
    static const struct tree_limits configuration = {CONF_FILE_MAX, CONF_NODES_MAX,
                                                     "'source', 'target' and 'modules' are needed"};
    struct builder b = {.in = in,
                        .limits = in->limits ? in->limits : &configuration,
                        .arena = arena,
                        .at = {1, 1},
                        .err = err};
    if (in->len > b.limits->bytes)
        return fail(&b, "the file has more than %zu MiB; split it",
                    b.limits->bytes / ((size_t)1024 * 1024));
    int rc = check_bytes(&b);
    b.at = (struct conf_at){1, 1};
    if (rc == 0)
        rc = open_parser(&b);
    if (rc == 0)
        rc = read_events(&b);
    b.at = (struct conf_at){1, 1};
    if (rc == 0 && (!b.root || tree_is_null(b.root)))
        rc = fail(&b, "the file is empty; %s", b.limits->empty);
    fy_parser_destroy(b.parser);
    fy_diag_destroy(b.diag);
    if (rc == 0)
        *ret_root = b.root;
    return rc;
}

/* --- reading ----------------------------------------------------------------------------- */

const struct tree_entry *tree_find(const struct tree_node *map, const char *key) {
    const struct tree_entry *e = map->kind == TREE_MAP ? map->first : NULL;
    while (e && !span_is(e->key, key))
        e = e->next;
    return e;
}

static bool is_one_of(const struct tree_node *node, const char *a, const char *b, const char *c) {
    return node->kind == TREE_SCALAR && node->plain &&
           (span_is(node->text, a) || span_is(node->text, b) || span_is(node->text, c));
}

bool tree_is_null(const struct tree_node *node) {
    return is_one_of(node, "null", "Null", "NULL") || is_one_of(node, "~", "", "");
}

bool tree_is_bool(const struct tree_node *node, bool *ret_value) {
    bool yes = is_one_of(node, "true", "True", "TRUE");
    if (yes || is_one_of(node, "false", "False", "FALSE")) {
        *ret_value = yes;
        return true;
    }
    return false;
}

const char *tree_kind_name(const struct tree_node *node) {
    bool value;
    switch (node->kind) {
    case TREE_LIST:
        return "a list";
    case TREE_MAP:
        return "a mapping";
    case TREE_SCALAR:
        break;
    }
    if (tree_is_null(node))
        return "nothing";
    return tree_is_bool(node, &value) ? "true or false" : "text";
}

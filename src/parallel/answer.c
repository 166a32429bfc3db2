#include "parallel/answer.h"

#include "http/keep.h"
#include "http/request.h"

#include <bson/bson.h>
#include <stdio.h>
#include <strings.h>

const char *parallel_reason_name(enum parallel_reason reason) {
    static const char *const names[PARALLEL_REASON_COUNT] = {[COMPARABLE] = "",
#define PARALLEL_REASON_NAME(id, text) [id] = text,
                                                             PARALLEL_REASONS(PARALLEL_REASON_NAME)
#undef PARALLEL_REASON_NAME
    };
    return names[reason];
}

/* ---- what can be compared ---- */

/* Without its parameters. */
static struct span type_of(const struct answer *a) {
    struct span value = http_head_value(a->head, "content-type", NULL);
    const char *end = value.len ? memchr(value.ptr, ';', value.len) : NULL;
    if (end)
        value.len = (size_t)(end - value.ptr);
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static bool is_identity(struct span encoding) {
    return encoding.len == 0 || http_same_text(encoding, SPAN_LIT("identity"));
}

static bool is_inflatable(struct span encoding) {
    return http_same_text(encoding, SPAN_LIT("gzip")) ||
           http_same_text(encoding, SPAN_LIT("x-gzip")) ||
           http_same_text(encoding, SPAN_LIT("deflate"));
}

/* The bodies of failures are not looked at. */
static bool has_failed(const struct answer *a) {
    return a->status >= 500;
}

enum parallel_reason answer_comparable(const struct answer *a, bool is_head) {
    struct span encoding = http_head_value(a->head, "content-encoding", NULL);
    if (is_head)
        return NOT_COMPARED_HEAD;
    if (a->status == 304)
        return NOT_COMPARED_UNCHANGED;
    if (a->status == 206)
        return NOT_COMPARED_PARTIAL;
    if (http_same_text(type_of(a), SPAN_LIT("text/event-stream")))
        return NOT_COMPARED_EVENTS;
    if (has_failed(a))
        return COMPARABLE;
    if (!is_identity(encoding) && !is_inflatable(encoding))
        return NOT_COMPARED_ENCODING;
    return a->cut ? NOT_COMPARED_TOO_LARGE : COMPARABLE;
}

enum parallel_reason answer_open(struct answer *a, bool is_head, struct buf *inflated) {
    enum parallel_reason reason = answer_comparable(a, is_head);
    struct span encoding = http_head_value(a->head, "content-encoding", NULL);
    bool too_large = false;
    if (reason != COMPARABLE || is_identity(encoding) || has_failed(a))
        return reason;
    if (!answer_inflate(a->body, inflated, &too_large))
        return too_large ? NOT_COMPARED_TOO_LARGE : NOT_COMPARED_DAMAGED;
    a->body = buf_span(inflated);
    return COMPARABLE;
}

/* ---- comparing ---- */

struct job {
    const struct answer_rules *rules;
    struct span mask_key;
    bool details;
    struct arena *memory;
    struct answer_compared *ret;
};

static struct span keep(struct job *j, struct buf *text) {
    return buf_ok(text) && text->len ? arena_copy(j->memory, buf_span(text)) : (struct span){0};
}

static void add_difference(struct job *j, struct span path, struct span shape,
                           enum compare_kind kind, struct span sql, struct span mongodb) {
    struct answer_compared *r = j->ret;
    r->equal = false;
    r->found++;
    if (!j->details || r->count == ANSWER_DIFFERENCES_MAX)
        return;
    if (!r->differences)
        r->differences = arena_alloc(j->memory, ANSWER_DIFFERENCES_MAX * sizeof *r->differences);
    if (!r->differences)
        return;
    r->differences[r->count++] = (struct answer_difference){.path = arena_copy(j->memory, path),
                                                            .shape = arena_copy(j->memory, shape),
                                                            .kind = kind,
                                                            .sql = sql,
                                                            .mongodb = mongodb};
}

static struct span shown(struct job *j, const struct compare_value *value, bool masked) {
    _cleanup_(buf_release) struct buf text = {.max = ANSWER_SHOWN_MAX * 8};
    if (!value)
        return (struct span){0};
    if (masked)
        compare_show_masked(value, j->mask_key, &text);
    else
        compare_show(value, ANSWER_SHOWN_MAX, &text);
    return keep(j, &text);
}

static int on_difference(void *context, const struct compare_difference *d) {
    struct job *j = context;
    bool more = j->details && j->ret->count < ANSWER_DIFFERENCES_MAX;
    add_difference(j, d->path, d->shape, d->kind,
                   more ? shown(j, d->sql, d->masked) : (struct span){0},
                   more ? shown(j, d->mongodb, d->masked) : (struct span){0});
    return j->details ? 0 : 1;
}

static struct span shown_number(struct job *j, int number) {
    _cleanup_(buf_release) struct buf text = {.max = 32};
    buf_printf(&text, "%d", number);
    return keep(j, &text);
}

/* A text of which only hash and length may be kept. */
static struct span shown_hash(struct job *j, struct span text) {
    const struct compare_value value = {.type = COMPARE_STRING, .text = text, .size = 1};
    return shown(j, &value, true);
}

static struct span shown_text(struct job *j, struct span text) {
    const struct compare_value value = {.type = COMPARE_STRING, .text = text, .size = 1};
    return shown(j, &value, false);
}

/* A 404 of one side, and an answer of the other: something is missing as a whole. */
static void compare_status(struct job *j, const struct answer *sql, const struct answer *mongodb) {
    enum compare_kind kind = COMPARE_MISMATCH;
    if (sql->status == mongodb->status)
        return;
    if (sql->status / 100 == 2 && mongodb->status == 404)
        kind = COMPARE_MISSING;
    else if (sql->status == 404 && mongodb->status / 100 == 2)
        kind = COMPARE_EXTRA;
    add_difference(j, SPAN_LIT("(status)"), SPAN_LIT("(status)"), kind,
                   shown_number(j, sql->status), shown_number(j, mongodb->status));
}

/* All of that name, in their order; told is the first that differs. */
static void compare_header(struct job *j, const struct answer *sql, const struct answer *mongodb,
                           const char *name) {
    char path[128];
    struct span s = {0}, m = {0};
    if (strcasecmp(name, "set-cookie") == 0)
        return;
    do {
        s = http_head_value(sql->head, name, s.ptr);
        m = http_head_value(mongodb->head, name, m.ptr);
        if (!s.ptr && !m.ptr)
            return;
    } while (s.ptr && m.ptr && span_eq(s, m));
    (void)snprintf(path, sizeof path, "(header %s)", name);
    add_difference(j, span_of(path), span_of(path),
                   !m.ptr   ? COMPARE_MISSING
                   : !s.ptr ? COMPARE_EXTRA
                            : COMPARE_MISMATCH,
                   s.ptr ? shown_hash(j, s) : (struct span){0},
                   m.ptr ? shown_hash(j, m) : (struct span){0});
}

static bool is_json_type(struct span type) {
    return http_same_text(type, SPAN_LIT("application/json")) ||
           (type.len > 5 &&
            http_same_text(span_make(type.ptr + type.len - 5, 5), SPAN_LIT("+json")));
}

static bool is_json(const struct answer *a) {
    return a->form != ANSWER_HTTP || is_json_type(type_of(a));
}

/* ---- trees ---- */

/* The rows of an array of BSON; false: it is none. */
static bool read_rows(struct span array, struct arena *memory, struct span **ret,
                      size_t *ret_count) {
    bson_iter_t it;
    size_t n = 0, room = 0;
    if (!array.len) /* a failure's answer has none */
        return false;
    for (int pass = 0; pass < 2; pass++) {
        if (!bson_iter_init_from_data(&it, (const uint8_t *)array.ptr, array.len))
            return false;
        for (n = 0; bson_iter_next(&it); n++) {
            const uint8_t *data;
            uint32_t len;
            if (!BSON_ITER_HOLDS_DOCUMENT(&it))
                return false;
            if (pass == 0)
                continue;
            if (n == room)
                return false;
            bson_iter_document(&it, &len, &data);
            (*ret)[n] = span_make(data, len);
        }
        room = n;
        if (pass == 0)
            *ret = arena_alloc(memory, (n + 1) * sizeof **ret);
        if (!*ret)
            return false;
    }
    *ret_count = n;
    return true;
}

int answer_tree(const struct answer *a, struct arena *memory, struct compare_tree *ret,
                struct err *err) {
    struct span *rows = NULL;
    size_t count = 0;
    if (a->form == ANSWER_HTTP)
        return compare_read_json(a->body, memory, ret, err);
    if (!read_rows(a->body, memory, &rows, &count) || (a->form == ANSWER_ROW && count != 1))
        return err_set(err, ERR_VALUE, "no list of rows");
    return a->form == ANSWER_ROW ? compare_read_bson(rows[0], memory, ret, err)
                                 : compare_read_bson_list(rows, count, memory, ret, err);
}

/* Type and hash. */
static void compare_bytes(struct job *j, const struct answer *sql, const struct answer *mongodb) {
    struct span s = type_of(sql), m = type_of(mongodb);
    if (!http_same_text(s, m))
        add_difference(j, SPAN_LIT("(type)"), SPAN_LIT("(type)"), COMPARE_TYPE_DIFFERENCE,
                       shown_text(j, s), shown_text(j, m));
    if (!span_eq(sql->body, mongodb->body))
        add_difference(j, SPAN_LIT("(body)"), SPAN_LIT("(body)"), COMPARE_MISMATCH,
                       shown_hash(j, sql->body), shown_hash(j, mongodb->body));
}

/* ---- documents that are kept ---- */

struct showing {
    struct buf *out;
    struct span mask_key;
    size_t max;
    bool comma;
    bool named;
};

static int show_member(void *context, const struct compare_difference *d) {
    struct showing *s = context;
    const struct compare_value *value = d->sql;
    size_t left = s->max > s->out->len ? s->max - s->out->len : 0;
    if (!value)
        return 0;
    if (s->comma)
        buf_add_char(s->out, ',');
    s->comma = true;
    if (s->named) {
        const struct compare_value name = {.type = COMPARE_STRING, .text = value->name, .size = 1};
        compare_show(&name, ANSWER_SHOWN_MAX, s->out);
        buf_add_char(s->out, ':');
    }
    if (d->masked)
        compare_show_masked(value, s->mask_key, s->out);
    else
        compare_show(value, left, s->out);
    return s->out->len > s->max;
}

/* Compared with nothing, so that every member is a difference that knows whether it is masked. */
static void show_tree(const struct compare_rules *rules, const struct compare_tree *tree,
                      struct span mask_key, size_t max, struct arena *scratch, struct buf *out) {
    const struct compare_value *root = &tree->nodes[0];
    const struct compare_value nothing = {.type = root->type, .size = 1};
    const struct compare_tree empty = {.nodes = &nothing, .count = 1};
    bool object = root->type == COMPARE_OBJECT;
    struct showing s = {.out = out, .mask_key = mask_key, .max = max, .named = object};
    struct compare_result ignored;
    struct err err;
    if (!object && root->type != COMPARE_ARRAY) {
        compare_show(root, max, out);
        return;
    }
    buf_add_char(out, object ? '{' : '[');
    if (compare_trees(rules, tree, &empty, scratch, show_member, &s, &ignored, &err) < 0) {
        buf_clear(out);
        buf_add_text(out, "null");
        return;
    }
    buf_add_char(out, object ? '}' : ']');
}

static struct span show_document(const struct compare_rules *rules, const struct compare_tree *tree,
                                 struct span mask_key, size_t max, struct arena *memory,
                                 struct arena *scratch) {
    _cleanup_(buf_release) struct buf out = {.max = 16 * max + 4096};
    show_tree(rules, tree, mask_key, max, scratch, &out);
    return buf_ok(&out) ? arena_copy(memory, buf_span(&out)) : SPAN_LIT("null");
}

struct span answer_show(const struct compare_rules *rules, struct span json, struct span mask_key,
                        size_t max, struct arena *memory, struct arena *scratch) {
    struct arena tree_memory;
    struct compare_tree tree;
    struct err err;
    struct span shown = SPAN_LIT("null");
    arena_init(&tree_memory, ANSWER_ARENA_MAX);
    if (compare_read_json(json, &tree_memory, &tree, &err) == 0)
        shown = show_document(rules, &tree, mask_key, max, memory, scratch);
    arena_release(&tree_memory);
    return shown;
}

/* ---- JSON ---- */

static int compare_json(struct job *j, const struct compare_tree *sql,
                        const struct compare_tree *mongodb, struct arena *scratch,
                        struct err *err) {
    struct compare_result result;
    int rc = compare_trees(j->rules->rules, sql, mongodb, scratch, on_difference, j, &result, err);
    if (rc < 0)
        return rc;
    memcpy(j->ret->explained, result.explained, sizeof result.explained);
    if (j->details && !j->ret->equal && j->rules->store_documents) {
        j->ret->sql_document = show_document(j->rules->rules, sql, j->mask_key, ANSWER_DOCUMENT_MAX,
                                             j->memory, scratch);
        j->ret->mongodb_document = show_document(j->rules->rules, mongodb, j->mask_key,
                                                 ANSWER_DOCUMENT_MAX, j->memory, scratch);
    }
    return 0;
}

/* What says that it is JSON and is not is compared as bytes; not what is too large to be read: the
 * same values may stand there in another order. */
static int compare_as_json(struct job *j, const struct answer *sql, const struct answer *mongodb,
                           struct arena *trees, struct arena *scratch, struct err *err) {
    struct compare_tree s, m;
    int rc = answer_tree(sql, trees, &s, err);
    if (rc == 0)
        rc = answer_tree(mongodb, trees, &m, err);
    if (rc == 0)
        return compare_json(j, &s, &m, scratch, err);
    if (rc == ERR_LIMIT)
        return rc;
    compare_bytes(j, sql, mongodb);
    return 0;
}

static int compare_bodies(struct job *j, const struct answer *sql, const struct answer *mongodb,
                          struct arena *scratch, struct err *err) {
    struct arena trees;
    if (!is_json(sql) || !is_json(mongodb) || span_eq(sql->body, mongodb->body)) {
        compare_bytes(j, sql, mongodb);
        return 0;
    }
    arena_init(&trees, ANSWER_ARENA_MAX);
    int rc = compare_as_json(j, sql, mongodb, &trees, scratch, err);
    arena_release(&trees);
    return rc;
}

int answer_compare(const struct answer_rules *rules, const struct answer *sql,
                   const struct answer *mongodb, bool details, struct span mask_key,
                   struct arena *memory, struct arena *scratch, struct answer_compared *ret,
                   struct err *err) {
    struct job j = {
        .rules = rules, .mask_key = mask_key, .details = details, .memory = memory, .ret = ret};
    *ret = (struct answer_compared){.equal = true};
    if (has_failed(sql) || has_failed(mongodb)) {
        if (sql->status / 100 != mongodb->status / 100)
            compare_status(&j, sql, mongodb);
        return 0;
    }
    compare_status(&j, sql, mongodb);
    if (!ret->equal) /* what they say cannot be the same thing */
        return 0;
    for (size_t i = 0; i < rules->header_count; i++)
        compare_header(&j, sql, mongodb, rules->headers[i]);
    return compare_bodies(&j, sql, mongodb, scratch, err);
}

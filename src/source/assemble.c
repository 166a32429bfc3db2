#include "source/assemble.h"

#include "base/mem.h"
#include "base/spanmap.h"
#include "source/readback.h"

#include <xxhash.h>

/* A group of roots grows until its rows fill this, and shrinks when they pass it. */
#define GROUP_BYTES ((size_t)2 * 1024 * 1024)
/* One of several roots that needs more is read again in smaller ones. */
#define GROUP_BYTES_MAX (GROUP_BYTES * 8)
#define GROUP_ROOTS_FIRST 200
#define GROUP_ROOTS_MAX 10000

/* A row under construction: what map_row promises, but not const yet. */
struct row {
    const struct map_row *next;
    const struct span *values;
    const struct map_row **children;
};
_Static_assert(sizeof(struct row) == sizeof(struct map_row), "struct row is map_row without const");

struct rows {
    struct row **items;
    size_t count;
    size_t cap;
};

struct assembler {
    struct pg *pg;
    const struct plan_collection *c;
    struct arena memory; /* rows of one group of roots */
    struct buf sql;
    struct buf document;
    struct buf identity;
    struct span *values;
    struct spanmap groups;
    size_t group_roots;
    bool versions; /* rows have one column more: who wrote them */
};

struct assembler *assembler_new(struct pg *pg, const struct plan_collection *c) {
    struct assembler *a = mem_zalloc(1, sizeof *a);
    a->pg = pg;
    a->c = c;
    size_t widest = 0;
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i]->column_count > widest)
            widest = c->nodes[i]->column_count;
    a->values = mem_zalloc(widest + 2, sizeof *a->values); /* a group's number, a version */
    arena_init(&a->memory, ASSEMBLE_ROOT_MAX);
    buf_init(&a->sql, QUERY_MAX);
    buf_init(&a->document, ASSEMBLE_DOCUMENT_MAX);
    buf_init(&a->identity, 1024 * 1024);
    a->group_roots = GROUP_ROOTS_FIRST;
    return a;
}

void assembler_free(struct assembler *a) {
    if (!a)
        return;
    arena_release(&a->memory);
    buf_release(&a->sql);
    buf_release(&a->document);
    buf_release(&a->identity);
    spanmap_release(&a->groups);
    free(a->values);
    free(a);
}

int query_check(const struct buf *q, struct err *err) {
    if (buf_ok(q))
        return 0;
    return err_set(err, ERR_LIMIT, "statement would be longer than %zu bytes", QUERY_MAX);
}

static int too_large(struct err *err) {
    return err_set(err, ERR_LIMIT, "rows of one document need more than %zu bytes",
                   ASSEMBLE_ROOT_MAX);
}

/* ---- rows of one level ---- */

static size_t width_of(const struct assembler *a, const struct plan_node *node) {
    return node->column_count + a->versions;
}

static struct row *copy_row(struct assembler *a, const struct plan_node *node,
                            const struct span *values) {
    struct row *row = arena_alloc(&a->memory, sizeof *row);
    size_t width = width_of(a, node);
    struct span *copies = arena_alloc(&a->memory, width * sizeof *copies);
    const struct map_row **children =
        arena_alloc(&a->memory, (node->child_count + 1) * sizeof *children);
    if (!row || !copies || !children)
        return NULL;
    for (size_t i = 0; i < width; i++) {
        copies[i] = values[i].ptr ? arena_copy(&a->memory, values[i]) : (struct span){0};
        if (values[i].ptr && !copies[i].ptr)
            return NULL;
    }
    memset(children, 0, (node->child_count + 1) * sizeof *children);
    *row = (struct row){.values = copies, .children = children};
    return row;
}

static int rows_add(struct assembler *a, struct rows *rows, struct row *row) {
    if (!row)
        return -1;
    if (rows->count == rows->cap) {
        size_t cap = rows->cap ? rows->cap * 2 : 256;
        struct row **items = arena_alloc(&a->memory, cap * sizeof(struct row *));
        if (!items)
            return -1;
        if (rows->count)
            memcpy(items, rows->items, rows->count * sizeof(struct row *));
        rows->items = items;
        rows->cap = cap;
    }
    rows->items[rows->count++] = row;
    return 0;
}

/* ---- children ---- */

/* Parents with the same join values form one group and share its rows. */
struct grouping {
    struct span *tuples; /* group_count * join_count */
    size_t group_count;
    uint32_t *of_parent; /* group number from 1; 0: a NULL joins nothing */
    struct row **first;  /* by group number */
    struct row **last;
};

static int join_key(struct assembler *a, const struct plan_node *node, const struct row *parent,
                    struct span *tuple, struct span *ret_key) {
    size_t len = 0;
    for (size_t i = 0; i < node->join_count; i++) {
        tuple[i] = parent->values[node->join_parent[i]];
        if (!tuple[i].ptr)
            return 0;
        len += tuple[i].len + sizeof(size_t);
    }
    char *key = arena_alloc(&a->memory, len);
    if (!key)
        return -1;
    *ret_key = span_make(key, len);
    for (size_t i = 0; i < node->join_count; i++) {
        memcpy(key, &tuple[i].len, sizeof(size_t));
        memcpy(key + sizeof(size_t), tuple[i].ptr, tuple[i].len);
        key += sizeof(size_t) + tuple[i].len;
    }
    return 1;
}

static int group_parents(struct assembler *a, const struct plan_node *node,
                         const struct rows *parents, struct grouping *g) {
    *g = (struct grouping){0};
    g->tuples = arena_alloc(&a->memory, parents->count * node->join_count * sizeof *g->tuples);
    g->of_parent = arena_alloc(&a->memory, parents->count * sizeof *g->of_parent);
    if (!g->tuples || !g->of_parent)
        return -1;
    spanmap_clear(&a->groups);
    for (size_t i = 0; i < parents->count; i++) {
        struct span key;
        struct span *tuple = g->tuples + g->group_count * node->join_count;
        int rc = join_key(a, node, parents->items[i], tuple, &key);
        if (rc < 0)
            return rc;
        g->of_parent[i] = 0;
        if (rc == 0)
            continue;
        bool fresh;
        uint32_t *number = spanmap_put(&a->groups, key, &fresh);
        if (fresh)
            *number = (uint32_t)++g->group_count;
        g->of_parent[i] = *number;
    }
    size_t bytes = (g->group_count + 1) * sizeof(struct row *);
    g->first = arena_alloc(&a->memory, bytes);
    g->last = arena_alloc(&a->memory, bytes);
    if (!g->first || !g->last)
        return -1;
    memset(g->first, 0, bytes);
    return 0;
}

static int parse_group(struct span text, size_t count, size_t *ret, struct err *err) {
    size_t n = 0;
    for (size_t i = 0; i < text.len && n <= count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return err_set(err, ERR_WIRE, "row number is not a number");
        n = n * 10 + (size_t)(text.ptr[i] - '0');
    }
    if (n < 1 || n > count)
        return err_set(err, ERR_WIRE, "row number %zu is out of range", n);
    *ret = n;
    return 0;
}

static int read_children(struct assembler *a, const struct plan_node *node, struct grouping *g,
                         struct rows *children, struct err *err) {
    buf_clear(&a->sql);
    query_children(&a->sql, node, g->tuples, g->group_count, a->versions);
    int rc = query_check(&a->sql, err);
    if (rc == 0)
        rc = pg_copy_start(a->pg, buf_text(&a->sql), err);
    if (rc < 0)
        return rc;
    while ((rc = pg_copy_next(a->pg, a->values, width_of(a, node) + 1, err)) > 0) {
        size_t group = 0;
        rc = parse_group(a->values[0], g->group_count, &group, err);
        struct row *row = rc == 0 ? copy_row(a, node, a->values + 1) : NULL;
        if (rc == 0 && rows_add(a, children, row) < 0)
            rc = too_large(err);
        if (rc < 0) {
            pg_copy_abort(a->pg);
            return rc;
        }
        if (g->first[group])
            g->last[group]->next = (const struct map_row *)row;
        else
            g->first[group] = row;
        g->last[group] = row;
    }
    return rc;
}

static int fill_node(struct assembler *a, const struct plan_node *node, struct rows *parents,
                     struct err *err);

static int fill_child(struct assembler *a, const struct plan_node *child, size_t position,
                      struct rows *parents, struct err *err) {
    struct grouping g;
    struct rows children = {0};
    if (group_parents(a, child, parents, &g) < 0)
        return too_large(err);
    int rc = g.group_count ? read_children(a, child, &g, &children, err) : 0;
    if (rc == 0)
        rc = fill_node(a, child, &children, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < parents->count; i++)
        if (g.of_parent[i])
            parents->items[i]->children[position] = (const struct map_row *)g.first[g.of_parent[i]];
    return 0;
}

/* Reads everything embedded in these rows of `node`, to the leaves. */
static int fill_node(struct assembler *a, const struct plan_node *node, struct rows *parents,
                     struct err *err) {
    for (size_t i = 0; parents->count && i < node->child_count; i++) {
        int rc = fill_child(a, node->children[i], i, parents, err);
        if (rc < 0)
            return err_prefix(err, "read %s", node->children[i]->path);
    }
    return 0;
}

/* ---- documents ---- */

void assembler_versions(struct assembler *a, bool on) {
    a->versions = on;
}

/* Of the row, all that is embedded in it, and those behind it. */
static uint64_t version_of(const struct plan_node *node, const struct map_row *row,
                           uint64_t so_far) {
    for (; row; row = row->next) {
        struct span xmin = row->values[node->column_count];
        so_far = XXH3_64bits_withSeed(xmin.ptr, xmin.len, so_far);
        for (size_t i = 0; i < node->child_count; i++)
            so_far = version_of(node->children[i], row->children[i], so_far);
    }
    return so_far;
}

static int emit(struct assembler *a, const struct map_row *row, int64_t now_ms, assemble_fn fn,
                void *context, struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct err failure = {0};
    struct assembled out = {.row = row};
    buf_clear(&a->identity);
    buf_clear(&a->document);
    int rc = map_key_values(a->c, row->values, key, err);
    if (rc == 0)
        rc = map_identity(a->c, key, &a->identity, err);
    if (rc < 0)
        return rc;
    out.identity = buf_span(&a->identity);
    if (a->versions)
        out.version = version_of(a->c->root, row, 0);
    if (map_document(a->c, out.identity, row, now_ms, &a->document, &failure) < 0)
        out.failure = &failure;
    else
        out.document = buf_span(&a->document);
    return fn(context, &out, err);
}

static int emit_all(struct assembler *a, const struct rows *roots, int64_t now_ms, assemble_fn fn,
                    void *context, struct err *err) {
    for (size_t i = 0; i < roots->count; i++) {
        int rc = emit(a, (const struct map_row *)roots->items[i], now_ms, fn, context, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A flat collection needs no memory for rows: each goes on as it comes. */
static int stream_roots(struct assembler *a, int64_t now_ms, assemble_fn fn, void *context,
                        struct err *err) {
    int rc = query_check(&a->sql, err);
    if (rc == 0)
        rc = pg_copy_start(a->pg, buf_text(&a->sql), err);
    if (rc < 0)
        return rc;
    while ((rc = pg_copy_next(a->pg, a->values, a->c->root->column_count, err)) > 0) {
        struct map_row row = {.values = a->values};
        rc = emit(a, &row, now_ms, fn, context, err);
        if (rc < 0) {
            pg_copy_abort(a->pg);
            return rc;
        }
    }
    return rc;
}

/* ERR_LIMIT: the rows do not fit into the memory of a group. */
static int read_roots(struct assembler *a, struct rows *roots, struct err *err) {
    int rc = query_check(&a->sql, err);
    if (rc == 0)
        rc = pg_copy_start(a->pg, buf_text(&a->sql), err);
    if (rc < 0)
        return rc;
    while ((rc = pg_copy_next(a->pg, a->values, width_of(a, a->c->root), err)) > 0)
        if (rows_add(a, roots, copy_row(a, a->c->root, a->values)) < 0) {
            pg_copy_abort(a->pg);
            return too_large(err);
        }
    return rc;
}

static void adapt_group(struct assembler *a, size_t roots) {
    size_t used = a->memory.used;
    if (used > GROUP_BYTES * 2 && roots > 1)
        a->group_roots = roots / 2;
    else if (used < GROUP_BYTES / 2 && roots >= a->group_roots)
        a->group_roots = a->group_roots * 2;
    if (a->group_roots > GROUP_ROOTS_MAX)
        a->group_roots = GROUP_ROOTS_MAX;
    if (a->group_roots < 1)
        a->group_roots = 1;
}

/* Reads the group that a->sql asks for, with its children, and hands out the documents. A group
 * that is too large for memory is tried again smaller: *ret_again. */
static int assemble_group(struct assembler *a, struct rows *roots, bool *ret_again,
                          struct err *err) {
    arena_reset(&a->memory);
    a->memory.max = a->group_roots > 1 ? GROUP_BYTES_MAX : ASSEMBLE_ROOT_MAX;
    *roots = (struct rows){0};
    *ret_again = false;
    int rc = read_roots(a, roots, err);
    if (rc == 0)
        rc = fill_node(a, a->c->root, roots, err);
    if (rc == ERR_LIMIT && a->group_roots > 1) {
        a->group_roots = a->group_roots / 8 + 1 < a->group_roots ? a->group_roots / 8 + 1 : 1;
        *ret_again = true;
        return readback_rewind(a->pg, err); /* the COPY that was ended early took the rest along */
    }
    return rc;
}

int assemble_keys(struct assembler *a, const struct span *keys, size_t count, int64_t now_ms,
                  assemble_fn fn, void *context, struct err *err) {
    for (size_t at = 0; at < count;) {
        size_t n = count - at < a->group_roots ? count - at : a->group_roots;
        struct rows roots;
        bool again;
        buf_clear(&a->sql);
        query_keys(&a->sql, a->c, keys + at * a->c->id_count, n, a->versions);
        int rc = assemble_group(a, &roots, &again, err);
        if (rc < 0)
            return rc;
        if (again)
            continue;
        rc = emit_all(a, &roots, now_ms, fn, context, err);
        if (rc < 0)
            return rc;
        adapt_group(a, n);
        at += n;
    }
    return 0;
}

/* Where the next page of a range begins: behind the last root of this one. */
static int remember_last(struct assembler *a, const struct rows *roots, struct arena *keep,
                         struct span *last, struct err *err) {
    arena_reset(keep);
    struct span key[PG_INDEX_COLUMNS_MAX];
    int rc = map_key_values(a->c, roots->items[roots->count - 1]->values, key, err);
    for (size_t i = 0; rc == 0 && i < a->c->id_count; i++) {
        last[i] = arena_copy(keep, key[i]);
        if (!last[i].ptr)
            rc = too_large(err);
    }
    return rc;
}

static int assemble_pages(struct assembler *a, const struct key_range *range, struct arena *keep,
                          int64_t now_ms, assemble_fn fn, void *context, struct err *err) {
    struct span last[PG_INDEX_COLUMNS_MAX];
    struct key_range page = *range;
    for (;;) {
        struct rows roots;
        bool again;
        size_t asked = a->group_roots;
        buf_clear(&a->sql);
        query_range_page(&a->sql, a->c, &page, asked);
        int rc = assemble_group(a, &roots, &again, err);
        if (rc < 0)
            return rc;
        if (again)
            continue;
        rc = emit_all(a, &roots, now_ms, fn, context, err);
        if (rc < 0 || roots.count < asked)
            return rc;
        adapt_group(a, asked);
        rc = remember_last(a, &roots, keep, last, err);
        if (rc < 0)
            return rc;
        page.after = last;
    }
}

int assemble_range(struct assembler *a, const struct key_range *range, int64_t now_ms,
                   assemble_fn fn, void *context, struct err *err) {
    if (a->c->root->child_count == 0) {
        buf_clear(&a->sql);
        query_range(&a->sql, a->c, range);
        return stream_roots(a, now_ms, fn, context, err);
    }
    struct arena keep;
    arena_init(&keep, 1024 * 1024);
    int rc = assemble_pages(a, range, &keep, now_ms, fn, context, err);
    arena_release(&keep);
    return rc;
}

int assemble_read_keys(struct pg *pg, const char *sql, size_t width, assemble_key_fn fn,
                       void *context, struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    int rc = pg_copy_start(pg, sql, err);
    if (rc < 0)
        return rc;
    while ((rc = pg_copy_next(pg, key, width, err)) > 0) {
        rc = fn(context, key, err);
        if (rc < 0) {
            pg_copy_abort(pg);
            return rc;
        }
    }
    return rc;
}

#include "verify/backcheck.h"

#include "db/pg_type_back.h"

#define BACK_MAX ((size_t)64 * 1024 * 1024)
#define PATH_MAX_BYTES 1024

struct check {
    const struct plan_collection *c;
    backcheck_fn fn;
    void *context;
    struct buf back, path;
};

static int report(struct check *k, const struct plan_node *node, const struct plan_field *f,
                  struct span text) {
    buf_clear(&k->path);
    buf_printf(&k->path, "%s%s%.*s", node->path, node->path[0] ? "." : "", SPAN_ARG(f->name));
    struct backcheck_finding finding = {.node = node,
                                        .column = node->columns[f->column].name,
                                        .path = buf_span(&k->path),
                                        .text = text,
                                        .back = buf_span(&k->back)};
    return k->fn(k->context, &finding);
}

/* The next field of the document must be this one: it was written in the order of the plan. */
static bool step_to(bson_iter_t *it, struct span name) {
    return bson_iter_next(it) && span_is(name, bson_iter_key(it));
}

static int check_column(struct check *k, const struct plan_node *node, const struct plan_field *f,
                        const struct map_row *row, bson_iter_t *it) {
    struct span text = row->values[f->column];
    const struct pg_type *type = node->columns[f->column].source->type;
    buf_clear(&k->back);
    if (!text.ptr && node->omit_nulls)
        return 0;
    if (!step_to(it, f->name))
        return report(k, node, f, text);
    bool agrees = text.ptr ? pg_type_back_agrees(type, f->retype, k->c->types, it, text, &k->back)
                           : BSON_ITER_HOLDS_NULL(it);
    return agrees ? 0 : report(k, node, f, text);
}

static int check_row(struct check *k, const struct plan_node *node, const struct map_row *row,
                     bson_iter_t *it);

/* An object or an array of them, beside the rows it was made from. */
static int check_embedded(struct check *k, const struct plan_node *node,
                          const struct map_row *first, bson_iter_t *it) {
    bson_iter_t below, element;
    if (node->one && !first && node->parent->omit_nulls)
        return 0;
    if (!step_to(it, node->name) || (node->one && !first))
        return 0; /* comparing with the target's document shows a field that is not there */
    if (!bson_iter_recurse(it, &below))
        return 0;
    if (node->one)
        return check_row(k, node, first, &below);
    for (const struct map_row *r = first; r && bson_iter_next(&below); r = r->next) {
        int rc = bson_iter_recurse(&below, &element) ? check_row(k, node, r, &element) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_row(struct check *k, const struct plan_node *node, const struct map_row *row,
                     bson_iter_t *it) {
    size_t child = 0;
    for (size_t i = 0; i < node->field_count; i++) {
        const struct plan_field *f = &node->fields[i];
        int rc = 0;
        switch (f->kind) {
        case PLAN_COLUMN:
            rc = check_column(k, node, f, row, it);
            break;
        case PLAN_EMBED:
            rc = check_embedded(k, f->node, row->children[child++], it);
            break;
        case PLAN_CONSTANT:
        case PLAN_NOW:
            (void)bson_iter_next(it);
            break;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int backcheck_document(const struct plan_collection *c, const struct map_row *row,
                       struct span document, backcheck_fn fn, void *context) {
    struct check k = {.c = c, .fn = fn, .context = context};
    bson_iter_t it;
    buf_init(&k.back, BACK_MAX);
    buf_init(&k.path, PATH_MAX_BYTES);
    int rc = 0;
    if (bson_iter_init_from_data(&it, (const uint8_t *)document.ptr, document.len) &&
        bson_iter_next(&it)) /* `_id` */
        rc = check_row(&k, c->root, row, &it);
    buf_release(&k.back);
    buf_release(&k.path);
    return rc;
}

#include "map/document.h"

#include "model/canon.h"

const char row_unchanged_mark[1] = {0};

/* Identities and keys are small: PostgreSQL's index rows hold at most 2704 bytes (a third of a
 * page), so this only bounds what nobody can index. */
#define IDENTITY_MAX ((size_t)64 * 1024)

/* The canonical form has one integer type, so int4 keys are read as int8. */
static const struct pg_type integer_type = {.oid = 20, .name = "bigint", .kind = PG_KIND_INT64};

static int append_canonical(const struct plan_collection *c, const struct pg_column *column,
                            struct span text, struct bsonw *w, struct span key, struct err *err) {
    if (column->type->kind == PG_KIND_INT32)
        return pg_type_append(&integer_type, c->types, text, w, key, err);
    if (column->type->kind != PG_KIND_NUMERIC)
        return pg_type_append(column->type, c->types, text, w, key, err);
    _cleanup_(buf_release) struct buf scratch = {.max = IDENTITY_MAX};
    struct bsonw sw;
    bsonw_begin(&sw, &scratch);
    int rc = pg_type_append(column->type, c->types, text, &sw, SPAN_LIT("v"), err);
    bsonw_end(&sw);
    bson_iter_t it;
    if (rc < 0)
        return rc;
    if (!bsonw_ok(&sw) ||
        !bson_iter_init_from_data(&it, (const uint8_t *)scratch.data, scratch.len) ||
        !bson_iter_next(&it))
        return err_set(err, ERR_LIMIT, "key value is longer than %zu bytes", IDENTITY_MAX);
    canon_append(w, key, &it);
    return 0;
}

static int append_id(const struct plan_collection *c, const struct span *key_values,
                     struct bsonw *w, struct span key, struct err *err) {
    bool nested = c->id_kind != PLAN_ID_SCALAR && c->id_count > 1;
    if (nested)
        bsonw_doc_open(w, key);
    for (size_t i = 0; i < c->id_count; i++) {
        const struct plan_column *column = &c->root->columns[c->id[i]];
        int rc = append_canonical(c, column->source, key_values[i], w,
                                  nested ? c->id_names[i] : key, err);
        if (rc < 0)
            return err_prefix(err, "key column %s", column->name);
    }
    if (nested)
        bsonw_close(w);
    return 0;
}

static int hash_identity(const struct plan_collection *c, size_t start, struct buf *out) {
    bson_oid_t oid;
    struct span plain = span_make(out->data + start, out->len - start);
    canon_object_id(span_of(c->name), plain, &oid);
    out->len = start;
    struct bsonw w;
    bsonw_begin(&w, out);
    bsonw_oid(&w, SPAN_LIT("_id"), &oid);
    bsonw_end(&w);
    return 0;
}

int map_identity(const struct plan_collection *c, const struct span *key_values, struct buf *out,
                 struct err *err) {
    size_t start = out->len;
    struct bsonw w;
    bsonw_begin(&w, out);
    int rc = append_id(c, key_values, &w, SPAN_LIT("_id"), err);
    bsonw_end(&w);
    if (rc < 0)
        return rc;
    if (!bsonw_ok(&w))
        return err_set(err, ERR_LIMIT, "document key does not fit into its batch");
    return c->id_kind == PLAN_ID_OBJECTID ? hash_identity(c, start, out) : 0;
}

int map_key_values(const struct plan_collection *c, const struct span *row, struct span *ret_values,
                   struct err *err) {
    for (size_t i = 0; i < c->id_count; i++) {
        struct span v = row[c->id[i]];
        if (!v.ptr || row_is_unchanged(v))
            return err_set(err, ERR_VALUE, "key column %s has no value",
                           c->root->columns[c->id[i]].name);
        ret_values[i] = v;
    }
    return 0;
}

static void append_constant(struct bsonw *w, struct span name, const struct conf_add *add) {
    switch (add->scalar) {
    case CONF_NULL:
        bsonw_null(w, name);
        return;
    case CONF_BOOL:
        bsonw_bool(w, name, add->boolean);
        return;
    case CONF_INT:
        if (add->integer >= INT32_MIN && add->integer <= INT32_MAX)
            bsonw_int32(w, name, (int32_t)add->integer);
        else
            bsonw_int64(w, name, add->integer);
        return;
    case CONF_DOUBLE:
        bsonw_double(w, name, add->real);
        return;
    case CONF_STRING:
        bsonw_utf8(w, name, span_of(add->string));
        return;
    }
}

static int append_column(const struct plan_node *node, const struct plan_field *f, struct span text,
                         struct bsonw *w, struct err *err) {
    const struct plan_column *column = &node->columns[f->column];
    const struct conf_types *types = node->collection->types;
    int rc = f->retype == PG_RETYPE_NONE
                 ? pg_type_append(column->source->type, types, text, w, f->name, err)
                 : pg_type_append_as(column->source->type, f->retype, types, text, w, f->name, err);
    if (rc < 0)
        return err_prefix(err, "column %s of %s.%s", column->name, node->table->schema,
                          node->table->name);
    return 0;
}

static int append_fields(const struct plan_node *node, const struct map_row *row, int64_t now_ms,
                         struct bsonw *w, struct err *err);

static int append_object(const struct plan_node *node, const struct map_row *row, int64_t now_ms,
                         struct bsonw *w, struct span name, struct err *err) {
    bsonw_doc_open(w, name);
    int rc = append_fields(node, row, now_ms, w, err);
    bsonw_close(w);
    return rc;
}

static int append_embed(const struct plan_node *node, const struct map_row *first, int64_t now_ms,
                        struct bsonw *w, struct err *err) {
    if (node->one) {
        if (first)
            return append_object(node, first, now_ms, w, node->name, err);
        if (!node->parent->omit_nulls)
            bsonw_null(w, node->name);
        return 0;
    }
    bsonw_array_open(w, node->name);
    uint32_t n = 0;
    for (const struct map_row *r = first; r; r = r->next) {
        struct bsonw_index room;
        int rc = append_object(node, r, now_ms, w, bsonw_index_key(&room, n++), err);
        if (rc < 0)
            return rc;
    }
    bsonw_close(w);
    return 0;
}

static int append_fields(const struct plan_node *node, const struct map_row *row, int64_t now_ms,
                         struct bsonw *w, struct err *err) {
    size_t child = 0;
    for (size_t i = 0; i < node->field_count; i++) {
        const struct plan_field *f = &node->fields[i];
        int rc = 0;
        switch (f->kind) {
        case PLAN_COLUMN:
            if (row->values[f->column].ptr)
                rc = append_column(node, f, row->values[f->column], w, err);
            else if (!node->omit_nulls)
                bsonw_null(w, f->name);
            break;
        case PLAN_CONSTANT:
            append_constant(w, f->name, f->add);
            break;
        case PLAN_NOW:
            bsonw_date_ms(w, f->name, now_ms);
            break;
        case PLAN_EMBED:
            rc = append_embed(f->node, row->children[child++], now_ms, w, err);
            break;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int map_document(const struct plan_collection *c, struct span identity, const struct map_row *row,
                 int64_t now_ms, struct buf *out, struct err *err) {
    struct bsonw w;
    bson_iter_t id;
    if (!bson_iter_init_from_data(&id, (const uint8_t *)identity.ptr, identity.len) ||
        !bson_iter_next(&id))
        return err_set(err, ERR_INTERNAL, "document identity is not BSON");
    bsonw_begin(&w, out);
    bsonw_iter(&w, SPAN_LIT("_id"), &id);
    int rc = append_fields(c->root, row, now_ms, &w, err);
    bsonw_end(&w);
    if (rc < 0)
        return rc;
    if (!bsonw_ok(&w))
        return err_set(err, ERR_LIMIT,
                       "document is larger than %zu bytes or nested deeper than %d levels",
                       out->max, BSONW_DEPTH_MAX);
    return 0;
}

/* Whether the row says something new about this field of a partial update. */
static bool is_given(const struct plan_field *f, const struct span *row) {
    return f->kind == PLAN_COLUMN && !row_is_unchanged(row[f->column]);
}

static int append_set(const struct plan_node *root, const struct span *row, int64_t now_ms,
                      struct bsonw *w, bool *ret_any_unset, struct err *err) {
    bsonw_doc_open(w, SPAN_LIT("$set"));
    for (size_t i = 0; i < root->field_count; i++) {
        const struct plan_field *f = &root->fields[i];
        int rc = 0;
        if (f->kind == PLAN_NOW)
            bsonw_date_ms(w, f->name, now_ms);
        else if (f->kind == PLAN_CONSTANT)
            append_constant(w, f->name, f->add);
        else if (!is_given(f, row))
            continue;
        else if (row[f->column].ptr)
            rc = append_column(root, f, row[f->column], w, err);
        else if (root->omit_nulls)
            *ret_any_unset = true;
        else
            bsonw_null(w, f->name);
        if (rc < 0)
            return rc;
    }
    bsonw_close(w);
    return 0;
}

static bool has_content(const struct plan_node *root, const struct span *row) {
    for (size_t i = 0; i < root->field_count; i++)
        if (is_given(&root->fields[i], row))
            return true;
    return false;
}

int map_update(const struct plan_collection *c, const struct span *row, int64_t now_ms,
               struct buf *out, struct err *err) {
    const struct plan_node *root = c->root;
    struct bsonw w;
    bool any_unset = false;
    int rc = 0;
    bsonw_begin(&w, out);
    if (has_content(root, row))
        rc = append_set(root, row, now_ms, &w, &any_unset, err);
    if (any_unset) {
        bsonw_doc_open(&w, SPAN_LIT("$unset"));
        for (size_t i = 0; i < root->field_count; i++)
            if (is_given(&root->fields[i], row) && !row[root->fields[i].column].ptr)
                bsonw_bool(&w, root->fields[i].name, true);
        bsonw_close(&w);
    }
    bsonw_end(&w);
    if (rc < 0)
        return rc;
    if (!bsonw_ok(&w))
        return err_set(err, ERR_LIMIT, "update is larger than %zu bytes", out->max);
    return 0;
}

/* Plans: keys, replica identities, where old parents are found, fingerprints. */
#include "base/mem.h"
#include "map/plan_builder.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

bool table_identity_has(const struct pg_table *t, const int *columns, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < t->identity_count && !found; k++)
            found = t->identity[k] == columns[i];
        if (!found)
            return false;
    }
    return true;
}

static bool all_not_null(const struct pg_table *t, const struct pg_index_info *index) {
    for (size_t i = 0; i < index->column_count; i++)
        if (!t->columns[index->columns[i]].not_null)
            return false;
    return true;
}

int builder_table_key(struct builder *b, const struct pg_table *t, struct conf_at at,
                      const int **ret_key, size_t *ret_count) {
    *ret_key = NULL;
    *ret_count = 0;
    if (t->primary_key_count && table_identity_has(t, t->primary_key, t->primary_key_count)) {
        *ret_key = t->primary_key;
        *ret_count = t->primary_key_count;
        return 0;
    }
    for (size_t i = 0; i < t->index_count; i++) {
        const struct pg_index_info *index = &t->indexes[i];
        if (index->unique && all_not_null(t, index) &&
            table_identity_has(t, index->columns, index->column_count)) {
            *ret_key = index->columns;
            *ret_count = index->column_count;
            return 0;
        }
    }
    if (t->identity_count == 0)
        return builder_error(
            b, at,
            "table %s.%s has no replica identity, so PostgreSQL cannot say which "
            "row an UPDATE or DELETE touched; add a primary key, or a unique index "
            "over NOT NULL columns and ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY "
            "USING INDEX it",
            t->schema, t->name, t->schema, t->name);
    return builder_error(b, at,
                         "table %s.%s has no key that its replica identity carries, so equal rows "
                         "would become one document; add a primary key, or a unique index over NOT "
                         "NULL columns, and set ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY DEFAULT "
                         "or USING INDEX it",
                         t->schema, t->name, t->schema, t->name);
}

/* int2, int4, int8; 0: none of them. */
static int integer_width(const struct pg_type *type) {
    return type->oid == 21 ? 2 : type->oid == 23 ? 4 : type->oid == 20 ? 8 : 0;
}

/* Types whose equal values have one text, so that the root's key is read off the child without
 * asking SQL. Each text of the child's must be a value of the root's: its row is read by it. */
static bool is_text_comparable(const struct pg_column *root, const struct pg_column *child) {
    int width = integer_width(child->type);
    if (width && width <= integer_width(root->type))
        return true;
    if (root->type->oid != child->type->oid)
        return false;
    if (root->type->kind == PG_KIND_UUID || root->type->kind == PG_KIND_INT64) /* oid */
        return true;
    /* text and varchar; not char(n), whose blanks do not count, not citext */
    return (root->type->oid == 25 || root->type->oid == 1043) && root->deterministic &&
           child->deterministic;
}

/* Join columns that are the root's id, one to one: the root's key can be read off the child. */
static void find_root_key(struct builder *b, struct plan_node *node) {
    const struct plan_collection *c = b->collection;
    if (!node->parent || node->parent->parent || node->join_count != c->id_count)
        return;
    int *from = builder_alloc(b, c->id_count, sizeof *from);
    for (size_t i = 0; i < c->id_count; i++) {
        bool found = false;
        for (size_t k = 0; k < node->join_count && !found; k++) {
            const struct plan_column *up = &node->parent->columns[node->join_parent[k]];
            const struct plan_column *own = &node->columns[node->join_child[k]];
            if (node->join_parent[k] != c->id[i] || !is_text_comparable(up->source, own->source))
                continue;
            from[i] = node->join_child[k];
            found = true;
        }
        if (!found)
            return;
    }
    node->root_key_from = from;
    node->join_is_root_key = true;
}

static bool join_in_identity(const struct plan_node *node) {
    for (size_t i = 0; i < node->join_count; i++) {
        int column = node->columns[node->join_child[i]].table_column;
        if (!table_identity_has(node->table, &column, 1))
            return false;
    }
    return true;
}

/* Dotted path of the field that holds a key column losslessly; NULL if none does. */
static const char *key_path(struct builder *b, const struct plan_node *node, int column) {
    const struct pg_type *type = node->columns[column].source->type;
    if (!pg_type_is_one_to_one(type, &b->conf->types))
        return NULL;
    for (size_t i = 0; i < node->field_count; i++) {
        const struct plan_field *f = &node->fields[i];
        if (f->kind != PLAN_COLUMN || f->column != column || f->retype != PG_RETYPE_NONE)
            continue;
        _cleanup_(mem_freep) char *path = mem_printf("%s.%.*s", node->path, SPAN_ARG(f->name));
        return builder_copy(b, path);
    }
    return NULL;
}

static int old_parent_error(struct builder *b, const struct plan_node *node) {
    return builder_error(b, node->conf->table.at,
                         "when a row of %s.%s is deleted or moves to another parent, neither the "
                         "log nor the documents say where it was; run ALTER TABLE \"%s\".\"%s\" "
                         "REPLICA IDENTITY FULL, or keep its key columns in '%s' as they are (in "
                         "'only', not ~, without 'type')",
                         node->table->schema, node->table->name, node->table->schema,
                         node->table->name, node->path);
}

/* With an ObjectId `_id` a document names its row only through fields. */
static bool documents_name_their_rows(const struct plan_collection *c) {
    for (size_t i = 0; c->id_kind == PLAN_ID_OBJECTID && i < c->id_count; i++)
        if (!c->id_paths[i])
            return false;
    return true;
}

int builder_old_parents(struct builder *b) {
    for (size_t n = 1; n < b->node_count; n++) {
        struct plan_node *node = b->nodes[n];
        find_root_key(b, node);
        node->old_parent = PLAN_OLD_FROM_LOG;
        if (join_in_identity(node))
            continue;
        node->old_parent = PLAN_OLD_FROM_TARGET;
        const char **paths = builder_alloc(b, node->key_count, sizeof *paths);
        for (size_t k = 0; k < node->key_count; k++) {
            paths[k] = key_path(b, node, node->key[k]);
            if (!paths[k] || !documents_name_their_rows(b->collection))
                return old_parent_error(b, node);
        }
        node->key_paths = paths;
    }
    return 0;
}

/* The field that a dotted index path begins with; NULL: none. */
static const struct plan_field *first_field(const struct plan_node *root, const char *path) {
    struct span head = span_make(path, strcspn(path, "."));
    for (size_t i = 0; i < root->field_count; i++)
        if (span_eq(root->fields[i].name, head))
            return &root->fields[i];
    return NULL;
}

static bool may_be_null(const struct plan_node *root, const struct plan_field *f) {
    return f->kind == PLAN_COLUMN && !root->columns[f->column].source->not_null;
}

int builder_check_indexes(struct builder *b) {
    const struct conf_mapping *m = b->collection->conf;
    const struct plan_node *root = b->collection->root;
    for (size_t i = 0; i < m->index_count; i++)
        for (size_t k = 0; k < m->indexes[i].key_count; k++) {
            const struct conf_text *path = &m->indexes[i].keys[k].path;
            if (strncmp(path->text, "_id", 3) == 0 && (!path->text[3] || path->text[3] == '.'))
                continue;
            const struct plan_field *f = first_field(root, path->text);
            if (!f)
                return builder_error(b, path->at, "index path '%s' begins with no field of '%s'",
                                     path->text, b->collection->name);
            if (m->indexes[i].unique && may_be_null(root, f))
                return builder_error(
                    b, path->at,
                    "column '%s' may be NULL, and MongoDB counts null as a value: "
                    "two such rows would violate the unique index; make the column "
                    "NOT NULL or the index not unique",
                    root->columns[f->column].name);
        }
    return 0;
}

static void describe_field(struct buf *out, const struct plan_node *node,
                           const struct plan_field *f) {
    buf_printf(out, "f %d %.*s", (int)f->kind, SPAN_ARG(f->name));
    if (f->kind == PLAN_COLUMN)
        buf_printf(out, " %s %s %d", node->columns[f->column].name,
                   node->columns[f->column].source->type->name, (int)f->retype);
    if (f->kind == PLAN_CONSTANT)
        buf_printf(out, " %d %d %" PRId64 " %a %s", (int)f->add->scalar, f->add->boolean,
                   f->add->integer, f->add->real, f->add->string ? f->add->string : "");
    buf_add_char(out, '\n');
}

static void describe_node(struct buf *out, const struct plan_node *node) {
    buf_printf(out, "n %s %s.%s %d %d\n", node->path, node->table->schema, node->table->name,
               node->one, node->omit_nulls);
    for (size_t i = 0; i < node->join_count; i++)
        buf_printf(out, "j %s %s\n", node->columns[node->join_child[i]].name,
                   node->parent->columns[node->join_parent[i]].name);
    for (size_t i = 0; i < node->order_count; i++)
        buf_printf(out, "o %s\n", node->columns[node->order[i]].name);
    for (size_t i = 0; i < node->field_count; i++)
        describe_field(out, node, &node->fields[i]);
}

void builder_fingerprint(struct builder *b) {
    struct plan_collection *c = b->collection;
    const struct conf_types *t = c->types;
    _cleanup_(buf_release) struct buf text = {.max = 64 * 1024 * 1024};
    buf_printf(&text, "banyan-1 %s %d %d %d %d %d\n", c->name, (int)c->id_kind,
               (int)t->microseconds, (int)t->numeric_overflow, (int)t->infinity,
               (int)t->bigint_json);
    for (size_t i = 0; i < c->id_count; i++)
        buf_printf(&text, "k %s\n", c->root->columns[c->id[i]].name);
    for (size_t n = 0; n < b->node_count; n++)
        describe_node(&text, b->nodes[n]);
    XXH128_hash_t hash = XXH3_128bits(text.data, text.len);
    (void)snprintf(c->fingerprint, sizeof c->fingerprint, "%016" PRIx64 "%016" PRIx64,
                   (uint64_t)hash.high64, (uint64_t)hash.low64);
}

/* Plans: collections, their identities, and where each table is used. */
#include "map/plan.h"

#include "base/mem.h"
#include "map/names.h"
#include "map/plan_builder.h"

#include <stdio.h>

#define PLAN_MEMORY_MAX ((size_t)256 * 1024 * 1024)

void *builder_alloc(struct builder *b, size_t count, size_t size) {
    size_t bytes;
    void *p = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes))
        p = arena_alloc(&b->plan->memory, bytes ? bytes : 1);
    if (!p)
        return mem_zalloc(SIZE_MAX / 2, 1); /* ends the program, as any allocation that fails */
    memset(p, 0, bytes);
    return p;
}

char *builder_copy(struct builder *b, const char *text) {
    size_t len = strlen(text);
    char *copy = builder_alloc(b, len + 1, 1);
    memcpy(copy, text, len);
    return copy;
}

int builder_error(struct builder *b, struct conf_at at, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return conf_error(b->conf, at, b->err, "%s", text);
}

/* Whether the columns are the columns of one unique index (in any order). */
static bool is_unique(const struct pg_table *t, const int *columns, size_t count) {
    for (size_t i = 0; i < t->index_count; i++) {
        const struct pg_index_info *index = &t->indexes[i];
        if (!index->unique || index->column_count != count)
            continue;
        size_t found = 0;
        for (size_t k = 0; k < count; k++)
            for (size_t j = 0; j < count; j++)
                found += index->columns[k] == columns[j];
        if (found == count)
            return true;
    }
    return false;
}

/* `id: [a, b]`: not null, unique together, and in the old row image. */
static int check_declared_id(struct builder *b, const struct pg_table *t, const int *columns,
                             const struct conf_list *id) {
    for (size_t i = 0; i < id->count; i++)
        if (!t->columns[columns[i]].not_null)
            return builder_error(b, id->items[i].at,
                                 "column '%s' may be NULL and cannot be part of _id; make it NOT "
                                 "NULL or choose other columns",
                                 id->items[i].text);
    if (!is_unique(t, columns, id->count))
        return builder_error(
            b, id->at,
            "the columns of 'id' are not the columns of one unique index of %s.%s; "
            "create it: two rows must never be one document",
            t->schema, t->name);
    if (!table_identity_has(t, columns, id->count))
        return builder_error(b, id->at,
                             "the log does not carry the old values of these columns; run ALTER "
                             "TABLE \"%s\".\"%s\" REPLICA IDENTITY USING INDEX (the unique index "
                             "over them), or REPLICA IDENTITY FULL",
                             t->schema, t->name);
    return 0;
}

static int id_columns(struct builder *b, const struct conf_mapping *m, const struct pg_table *t,
                      const int **ret_columns, size_t *ret_count) {
    if (m->id.count == 0)
        return builder_table_key(b, t, m->table.at, ret_columns, ret_count);
    int *columns = builder_alloc(b, m->id.count, sizeof *columns);
    for (size_t i = 0; i < m->id.count; i++) {
        columns[i] = pg_table_column(t, m->id.items[i].text);
        if (columns[i] < 0)
            return builder_error(b, m->id.items[i].at, "unknown column '%s' in table %s.%s",
                                 m->id.items[i].text, t->schema, t->name);
        for (size_t j = 0; j < i; j++)
            if (columns[j] == columns[i])
                return builder_error(b, m->id.items[i].at, "column '%s' is named twice in 'id'",
                                     m->id.items[i].text);
    }
    int rc = check_declared_id(b, t, columns, &m->id);
    if (rc < 0)
        return rc;
    *ret_columns = columns;
    *ret_count = m->id.count;
    return 0;
}

/* Equal values must have equal identities, and different ones different identities. */
static int check_id_type(struct builder *b, const struct pg_table *t, const struct pg_column *c,
                         struct conf_at at) {
    if (!pg_type_is_one_to_one(c->type, &b->conf->types))
        return builder_error(b, at,
                             "column '%s' of %s.%s (%s) cannot be part of _id: two values could "
                             "become one; choose other columns with 'id', or (for a timestamp) set "
                             "types.microseconds: string",
                             c->name, t->schema, t->name, c->type->name);
    if (c->generated)
        return builder_error(
            b, at,
            "column '%s' of %s.%s is generated and not in the change stream, so it "
            "cannot be part of _id; choose other columns with 'id'",
            c->name, t->schema, t->name);
    return 0;
}

/* Field that holds column `i` of the root (NULL: none): an `add: {column}` or the field itself. */
static const char *field_of_column(const struct plan_node *root, int column) {
    for (size_t i = 0; i < root->field_count; i++)
        if (root->fields[i].kind == PLAN_COLUMN && root->fields[i].column == column &&
            root->fields[i].retype == PG_RETYPE_NONE)
            return root->fields[i].name.ptr;
    return NULL;
}

static int compile_identity(struct builder *b, struct plan_collection *c) {
    const struct conf_mapping *m = c->conf;
    struct plan_node *root = b->nodes[0];
    const int *columns = NULL;
    int rc = id_columns(b, m, root->table, &columns, &c->id_count);
    if (rc < 0)
        return rc;
    c->id_kind = m->id_objectid     ? PLAN_ID_OBJECTID
                 : c->id_count == 1 ? PLAN_ID_SCALAR
                                    : PLAN_ID_DOCUMENT;
    int *id = builder_alloc(b, c->id_count, sizeof *id);
    struct span *names = builder_alloc(b, c->id_count, sizeof *names);
    const char **paths = builder_alloc(b, c->id_count, sizeof *paths);
    _cleanup_(buf_release) struct buf name = {.max = 4096};
    for (size_t i = 0; i < c->id_count; i++) {
        const struct pg_column *column = &root->table->columns[columns[i]];
        rc = check_id_type(b, root->table, column, m->id.count ? m->id.at : m->table.at);
        if (rc < 0)
            return rc;
        id[i] = builder_use_column(b, root, columns[i]);
        buf_clear(&name);
        name_escape(&name, column->name);
        names[i] = span_of(builder_copy(b, buf_text(&name)));
        paths[i] = field_of_column(root, id[i]);
    }
    c->id = id;
    c->id_names = names;
    c->id_paths = paths;
    return 0;
}

/* A generated column is not in the stream (before PostgreSQL 18), so its table is assembled. */
static bool is_flat(const struct plan_node *root) {
    for (size_t i = 0; i < root->column_count; i++)
        if (root->columns[i].source->generated)
            return false;
    return root->child_count == 0;
}

static int compile_collection(struct builder *b, const struct conf_module *module,
                              const struct conf_mapping *m, struct plan_collection **ret) {
    struct plan_collection *c = builder_alloc(b, 1, sizeof *c);
    c->module = module->name.text;
    c->name = m->name.text;
    c->conf = m;
    c->types = &b->conf->types;
    b->collection = c;
    b->node_count = 0;
    struct plan_node *root = NULL;
    int rc = builder_node(b, m, NULL, &root);
    if (rc == 0)
        rc = compile_identity(b, c);
    if (rc < 0)
        return rc;
    struct plan_node **nodes = builder_alloc(b, b->node_count, sizeof *nodes);
    memcpy(nodes, b->nodes, b->node_count * sizeof *nodes);
    c->root = root;
    c->nodes = (const struct plan_node *const *)nodes;
    c->node_count = b->node_count;
    c->flat = is_flat(root);
    rc = builder_old_parents(b);
    if (rc == 0)
        rc = builder_check_indexes(b);
    if (rc < 0)
        return rc;
    builder_fingerprint(b);
    *ret = c;
    return 0;
}

static void collect_uses(struct builder *b) {
    struct plan *plan = b->plan;
    size_t total = 0;
    for (size_t i = 0; i < plan->collection_count; i++)
        total += plan->collections[i]->node_count;
    struct plan_use *uses = builder_alloc(b, total, sizeof *uses);
    for (size_t i = 0; i < plan->collection_count; i++) {
        const struct plan_collection *c = plan->collections[i];
        for (size_t n = 0; n < c->node_count; n++) {
            size_t u = 0;
            while (u < plan->use_count && uses[u].table != c->nodes[n]->table)
                u++;
            if (u == plan->use_count) {
                plan->use_count++;
                uses[u].table = c->nodes[n]->table;
                uses[u].nodes = builder_alloc(b, total, sizeof *uses[u].nodes);
            }
            ((const struct plan_node **)uses[u].nodes)[uses[u].node_count++] = c->nodes[n];
        }
    }
    plan->uses = uses;
}

static int compile_all(struct builder *b, const struct conf_module *const *modules, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += modules[i]->collection_count;
    struct plan_collection **all = builder_alloc(b, total, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < modules[i]->collection_count; k++) {
            int rc = compile_collection(b, modules[i], &modules[i]->collections[k], &all[n++]);
            if (rc < 0)
                return rc;
        }
    b->plan->collections = (const struct plan_collection *const *)all;
    b->plan->collection_count = total;
    collect_uses(b);
    return 0;
}

int plan_compile(const struct conf *conf, const struct conf_module *const *modules, size_t count,
                 plan_table_fn find_table, void *context, struct plan **ret_plan, struct err *err) {
    _cleanup_(plan_freep) struct plan *plan = mem_zalloc(1, sizeof *plan);
    arena_init(&plan->memory, PLAN_MEMORY_MAX);
    struct builder *b = mem_zalloc(1, sizeof *b);
    *b = (struct builder){
        .conf = conf, .plan = plan, .find_table = find_table, .context = context, .err = err};
    int rc = compile_all(b, modules, count);
    free(b);
    if (rc < 0)
        return rc;
    *ret_plan = plan;
    plan = NULL;
    return 0;
}

void plan_free(struct plan *plan) {
    if (!plan)
        return;
    arena_release(&plan->memory);
    free(plan);
}

size_t plan_collection_index(const struct plan *plan, const char *name) {
    size_t i = 0;
    while (i < plan->collection_count && strcmp(plan->collections[i]->name, name) != 0)
        i++;
    return i;
}

int plan_node_column(const struct plan_node *node, const char *name) {
    for (size_t i = 0; i < node->column_count; i++)
        if (strcmp(node->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

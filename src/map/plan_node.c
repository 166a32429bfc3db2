/* Plans: one mapping, its columns and fields, and what is embedded in it. */
#include "base/mem.h"
#include "map/names.h"
#include "map/plan_builder.h"

static int resolve_table(struct builder *b, const struct conf_mapping *m,
                         const struct pg_table **ret_table) {
    _cleanup_(buf_release) struct buf similar = {.max = 4096};
    const struct pg_table *t = NULL;
    int rc = b->find_table(b->context, m->table.schema, m->table.name, &t, &similar, b->err);
    if (rc < 0)
        return rc;
    if (!t && similar.len)
        return builder_error(b, m->table.at, "unknown table '%s.%s', did you mean '%s'?",
                             m->table.schema, m->table.name, buf_text(&similar));
    if (!t)
        return builder_error(b, m->table.at, "unknown table '%s.%s'", m->table.schema,
                             m->table.name);
    if (t->kind != 'r')
        return builder_error(b, m->table.at,
                             "'%s.%s' is %s; only ordinary tables can be mapped in this version",
                             t->schema, t->name,
                             t->kind == 'p'                     ? "a partitioned table"
                             : t->kind == 'v' || t->kind == 'm' ? "a view"
                             : t->kind == 'f'                   ? "a foreign table"
                                                                : "not a table");
    *ret_table = t;
    return 0;
}

static int column_of(struct builder *b, const struct pg_table *t, const struct conf_text *name,
                     int *ret_column) {
    int column = pg_table_column(t, name->text);
    if (column >= 0) {
        *ret_column = column;
        return 0;
    }
    const char *similar = pg_table_similar_column(t, name->text);
    if (similar)
        return builder_error(b, name->at, "unknown column '%s' in table %s.%s, did you mean '%s'?",
                             name->text, t->schema, t->name, similar);
    return builder_error(b, name->at, "unknown column '%s' in table %s.%s", name->text, t->schema,
                         t->name);
}

int builder_use_column(struct builder *b, struct plan_node *node, int table_column) {
    for (size_t i = 0; i < node->column_count; i++)
        if (node->columns[i].table_column == table_column)
            return (int)i;
    const struct pg_column *source = &node->table->columns[table_column];
    (void)b;
    ((struct plan_column *)node->columns)[node->column_count] =
        (struct plan_column){.name = source->name, .source = source, .table_column = table_column};
    return (int)node->column_count++;
}

/* Mappings inherit `case` and `nulls`; conf has resolved that already. */
static struct span default_name(struct builder *b, const struct conf_mapping *m,
                                const char *column) {
    _cleanup_(buf_release) struct buf cased = {.max = 4096};
    _cleanup_(buf_release) struct buf name = {.max = 4096};
    if (m->casing == CONF_CASE_CAMEL)
        name_camel(&cased, column);
    else
        buf_add_text(&cased, column);
    name_escape(&name, buf_text(&cased));
    return span_of(builder_copy(b, buf_text(&name)));
}

static int user_name(struct builder *b, const struct conf_text *name, struct span *ret_name) {
    if (!name_is_plain(name->text))
        return builder_error(
            b, name->at,
            "field name '%s' cannot be used: MongoDB reads '.' as a path and '$' at "
            "the front as an operator",
            name->text);
    *ret_name = span_of(builder_copy(b, name->text));
    return 0;
}

static int add_field(struct builder *b, struct plan_node *node, struct plan_field field,
                     struct conf_at at) {
    if (!node->parent && span_is(field.name, "_id"))
        return builder_error(b, at,
                             "field '_id' is the document's identity; give this one another "
                             "name under 'fields'");
    for (size_t i = 0; i < node->field_count; i++)
        if (span_eq(node->fields[i].name, field.name))
            return builder_error(b, at,
                                 "two fields of %s.%s are called '%.*s'; rename one under "
                                 "'fields'",
                                 node->table->schema, node->table->name, SPAN_ARG(field.name));
    ((struct plan_field *)node->fields)[node->field_count++] = field;
    return 0;
}

static const struct conf_field *exception_for(const struct conf_mapping *m, const char *column) {
    for (size_t i = 0; i < m->field_count; i++)
        if (strcmp(m->fields[i].column.text, column) == 0)
            return &m->fields[i];
    return NULL;
}

static bool list_has(const struct conf_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].text, name) == 0)
            return true;
    return false;
}

/* Key columns of a root that are in `_id` already. With an ObjectId the key is nowhere else, so
 * it stays, unless an `add: {column}` gives it. */
static bool is_in_id(struct builder *b, const struct plan_node *node, int column) {
    const struct conf_mapping *m = node->conf;
    const struct pg_table *t = node->table;
    const char *name = t->columns[column].name;
    if (m->keep_id)
        return false;
    if (m->id_objectid) {
        for (size_t i = 0; i < m->add_count; i++)
            if (m->add[i].kind == CONF_ADD_COLUMN && strcmp(m->add[i].column.text, name) == 0)
                return true;
        return false;
    }
    if (m->id.count)
        return list_has(&m->id, name);
    const int *key = NULL;
    size_t count = 0;
    struct err *outer = b->err;
    b->err = NULL; /* a table without a key is reported with its identity */
    int rc = builder_table_key(b, t, m->table.at, &key, &count);
    b->err = outer;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (key[i] == column)
            return true;
    return false;
}

static bool is_join_column(const struct plan_node *node, const char *name) {
    const struct conf_mapping *m = node->conf;
    for (size_t i = 0; i < m->join_count; i++)
        if (strcmp(m->join[i].child.text, name) == 0)
            return true;
    return false;
}

/* Whether a column without an exception of its own becomes a field. */
static bool is_mapped_by_default(struct builder *b, const struct plan_node *node, int column) {
    const struct conf_mapping *m = node->conf;
    const char *name = node->table->columns[column].name;
    if (m->only.at.line && !list_has(&m->only, name))
        return false;
    if (!node->parent)
        return !is_in_id(b, node, column);
    return m->keep_join || !is_join_column(node, name);
}

static int retype_of(struct builder *b, const struct pg_column *column,
                     const struct conf_text *type, enum pg_retype *ret) {
    *ret = PG_RETYPE_NONE;
    if (!type->text)
        return 0;
    if (!pg_retype_parse(type->text, ret))
        return builder_error(
            b, type->at,
            "unknown type '%s'; known: string, int32, int64, double, decimal, bool, "
            "date, binary, json",
            type->text);
    if (!pg_retype_possible(column->type, *ret))
        return builder_error(b, type->at, "column '%s' (%s) cannot become '%s'", column->name,
                             column->type->name, type->text);
    return 0;
}

static int column_field(struct builder *b, struct plan_node *node, int table_column) {
    const struct pg_column *column = &node->table->columns[table_column];
    const struct conf_field *exception = exception_for(node->conf, column->name);
    if (exception ? exception->omit : !is_mapped_by_default(b, node, table_column))
        return 0;
    if (exception && !exception->as.text && !is_mapped_by_default(b, node, table_column))
        return 0;
    struct plan_field field = {.kind = PLAN_COLUMN};
    struct conf_at at = exception ? exception->column.at : node->conf->table.at;
    int rc = 0;
    if (exception && exception->as.text)
        rc = user_name(b, &exception->as, &field.name);
    else
        field.name = default_name(b, node->conf, column->name);
    if (rc == 0 && exception)
        rc = retype_of(b, column, &exception->type, &field.retype);
    if (rc < 0)
        return rc;
    field.column = builder_use_column(b, node, table_column);
    return add_field(b, node, field, at);
}

static int check_names_exist(struct builder *b, const struct plan_node *node) {
    const struct conf_mapping *m = node->conf;
    int column;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->only.count; i++)
        rc = column_of(b, node->table, &m->only.items[i], &column);
    for (size_t i = 0; rc == 0 && i < m->field_count; i++)
        rc = column_of(b, node->table, &m->fields[i].column, &column);
    return rc;
}

static int add_fields(struct builder *b, struct plan_node *node) {
    const struct conf_mapping *m = node->conf;
    for (size_t i = 0; i < m->add_count; i++) {
        const struct conf_add *add = &m->add[i];
        struct plan_field field = {.add = add};
        int rc = user_name(b, &add->name, &field.name);
        if (rc < 0)
            return rc;
        switch (add->kind) {
        case CONF_ADD_CONSTANT:
            field.kind = PLAN_CONSTANT;
            break;
        case CONF_ADD_NOW:
            field.kind = PLAN_NOW;
            break;
        case CONF_ADD_COLUMN: {
            int column;
            field.kind = PLAN_COLUMN;
            rc = column_of(b, node->table, &add->column, &column);
            if (rc < 0)
                return rc;
            field.column = builder_use_column(b, node, column);
            break;
        }
        }
        rc = add_field(b, node, field, add->name.at);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int join_columns(struct builder *b, struct plan_node *node, struct plan_node *parent) {
    const struct conf_mapping *m = node->conf;
    if (m->join_count > PG_INDEX_COLUMNS_MAX)
        return builder_error(b, m->name.at, "more than %d columns in the join of '%s'",
                             PG_INDEX_COLUMNS_MAX, m->name.text);
    int *child = builder_alloc(b, m->join_count, sizeof *child);
    int *up = builder_alloc(b, m->join_count, sizeof *up);
    for (size_t i = 0; i < m->join_count; i++) {
        int column;
        int rc = column_of(b, node->table, &m->join[i].child, &column);
        if (rc < 0)
            return rc;
        child[i] = builder_use_column(b, node, column);
        rc = column_of(b, parent->table, &m->join[i].parent, &column);
        if (rc < 0)
            return rc;
        up[i] = builder_use_column(b, parent, column);
    }
    node->join_child = child;
    node->join_parent = up;
    node->join_count = m->join_count;
    return 0;
}

/* The declared order, then the key: a total order, so that arrays are the same every time. */
static int order_columns(struct builder *b, struct plan_node *node) {
    const struct conf_list *declared = &node->conf->order;
    int *order = builder_alloc(b, declared->count + node->key_count, sizeof *order);
    for (size_t i = 0; i < declared->count; i++) {
        int column;
        int rc = column_of(b, node->table, &declared->items[i], &column);
        if (rc < 0)
            return rc;
        order[node->order_count++] = builder_use_column(b, node, column);
    }
    for (size_t i = 0; i < node->key_count; i++)
        order[node->order_count++] = node->key[i];
    node->order = order;
    return 0;
}

static int key_columns(struct builder *b, struct plan_node *node) {
    const int *key = NULL;
    int rc = builder_table_key(b, node->table, node->conf->table.at, &key, &node->key_count);
    if (rc < 0)
        return rc;
    int *own = builder_alloc(b, node->key_count, sizeof *own);
    for (size_t i = 0; i < node->key_count; i++)
        own[i] = builder_use_column(b, node, key[i]);
    node->key = own;
    return 0;
}

static int embed_children(struct builder *b, struct plan_node *node) {
    const struct conf_mapping *m = node->conf;
    const struct plan_node **children = builder_alloc(b, m->embed_count, sizeof *children);
    for (size_t i = 0; i < m->embed_count; i++) {
        struct plan_node *child = NULL;
        int rc = builder_node(b, &m->embed[i], node, &child);
        if (rc < 0)
            return rc;
        children[node->child_count++] = child;
        rc = add_field(b, node,
                       (struct plan_field){.kind = PLAN_EMBED, .name = child->name, .node = child},
                       m->embed[i].name.at);
        if (rc < 0)
            return rc;
    }
    node->children = children;
    return 0;
}

static struct plan_node *new_node(struct builder *b, const struct conf_mapping *m,
                                  struct plan_node *parent, const struct pg_table *table) {
    struct plan_node *node = builder_alloc(b, 1, sizeof *node);
    node->collection = b->collection;
    node->parent = parent;
    node->conf = m;
    node->table = table;
    node->one = m->one;
    node->omit_nulls = m->nulls == CONF_NULLS_OMIT;
    node->columns = builder_alloc(b, table->column_count, sizeof *node->columns);
    node->fields =
        builder_alloc(b, table->column_count + m->add_count + m->embed_count, sizeof *node->fields);
    b->nodes[b->node_count++] = node;
    return node;
}

static int name_node(struct builder *b, struct plan_node *node, const struct plan_node *parent) {
    node->path = "";
    if (!parent)
        return 0;
    int rc = user_name(b, &node->conf->name, &node->name);
    if (rc < 0)
        return rc;
    _cleanup_(mem_freep) char *path =
        mem_printf("%s%s%s", parent->path, parent->path[0] ? "." : "", node->name.ptr);
    node->path = builder_copy(b, path);
    return 0;
}

int builder_node(struct builder *b, const struct conf_mapping *m, struct plan_node *parent,
                 struct plan_node **ret_node) {
    const struct pg_table *table = NULL;
    int rc = resolve_table(b, m, &table);
    if (rc < 0)
        return rc;
    if (b->node_count == PLAN_NODES_MAX)
        return builder_error(b, m->name.at, "more than %d tables in one collection",
                             PLAN_NODES_MAX);
    struct plan_node *node = new_node(b, m, parent, table);
    rc = name_node(b, node, parent);
    if (rc == 0)
        rc = check_names_exist(b, node);
    for (size_t i = 0; rc == 0 && i < table->column_count; i++)
        rc = column_field(b, node, (int)i);
    if (rc == 0)
        rc = add_fields(b, node);
    if (rc == 0)
        rc = key_columns(b, node);
    if (rc == 0 && parent)
        rc = join_columns(b, node, parent);
    if (rc == 0)
        rc = order_columns(b, node);
    if (rc == 0)
        rc = embed_children(b, node);
    if (rc < 0)
        return rc;
    *ret_node = node;
    return 0;
}

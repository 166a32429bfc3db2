#include "source/query.h"

#include "db/pg.h"

#include <stdio.h>
#include <string.h>

static void add_columns(struct buf *q, const char *alias, const struct plan_node *node) {
    for (size_t i = 0; i < node->column_count; i++) {
        buf_printf(q, "%s%s.", i ? ", " : "", alias);
        pg_add_ident(q, node->columns[i].name);
    }
}

static void add_ids(struct buf *q, const char *alias, const struct plan_collection *c) {
    for (size_t i = 0; i < c->id_count; i++) {
        buf_printf(q, "%s%s.", i ? ", " : "", alias);
        pg_add_ident(q, c->root->columns[c->id[i]].name);
    }
}

static void add_table(struct buf *q, const struct plan_node *node, const char *alias) {
    buf_add_text(q, "ONLY ");
    pg_add_table(q, node->table->schema, node->table->name);
    buf_printf(q, " %s", alias);
}

static const struct pg_type *id_type(const void *context, size_t i) {
    const struct plan_collection *c = context;
    return c->root->columns[c->id[i]].source->type;
}

/* The operator by which values of the type are compared, sorted and unique. */
static void add_operator(struct buf *q, const struct pg_type *type, const char *op) {
    if (type->operator_schema)
        buf_printf(q, " OPERATOR(%s.%s) ", type->operator_schema, op);
    else
        buf_printf(q, " %s ", op);
}

static void add_id(struct buf *q, const char *alias, const struct plan_collection *c, size_t i) {
    buf_printf(q, "%s.", alias);
    pg_add_ident(q, c->root->columns[c->id[i]].name);
}

static void add_id_value(struct buf *q, const struct plan_collection *c, const struct span *key,
                         size_t i) {
    pg_add_literal(q, key[i]);
    buf_printf(q, "::%s", id_type(c, i)->sql_name);
}

/* Whether all id columns are compared by operators of one schema. */
static bool has_one_operator(const struct plan_collection *c) {
    const char *first = id_type(c, 0)->operator_schema;
    for (size_t i = 1; i < c->id_count; i++) {
        const char *schema = id_type(c, i)->operator_schema;
        if ((first && schema) ? strcmp(first, schema) != 0 : first != schema)
            return false;
    }
    return true;
}

/* (a, b) > (x, y): what an index can answer. */
static void add_row_bound(struct buf *q, const char *alias, const struct plan_collection *c,
                          const char *op, const struct span *key) {
    buf_add_char(q, '(');
    add_ids(q, alias, c);
    buf_add_char(q, ')');
    add_operator(q, id_type(c, 0), op);
    buf_add_char(q, '(');
    for (size_t i = 0; i < c->id_count; i++) {
        if (i)
            buf_add_text(q, ", ");
        add_id_value(q, c, key, i);
    }
    buf_add_char(q, ')');
}

/* (a > x OR (a = x AND (b > y))): a row comparison takes one operator for all its columns. */
static void add_bound_by_column(struct buf *q, const char *alias, const struct plan_collection *c,
                                const char *op, const struct span *key) {
    static const char strict[][2] = {"<", ">"};
    for (size_t i = 0; i < c->id_count; i++) {
        bool last = i + 1 == c->id_count;
        buf_add_char(q, '(');
        add_id(q, alias, c, i);
        add_operator(q, id_type(c, i), last ? op : strict[op[0] == '>']);
        add_id_value(q, c, key, i);
        if (last)
            break;
        buf_add_text(q, " OR (");
        add_id(q, alias, c, i);
        add_operator(q, id_type(c, i), "=");
        add_id_value(q, c, key, i);
        buf_add_text(q, " AND ");
    }
    for (size_t i = 1; i < c->id_count; i++)
        buf_add_text(q, "))");
    buf_add_char(q, ')');
}

static void add_bound(struct buf *q, const char *alias, const struct plan_collection *c,
                      const char *op, const struct span *key) {
    if (has_one_operator(c))
        add_row_bound(q, alias, c, op, key);
    else
        add_bound_by_column(q, alias, c, op, key);
}

static void add_range(struct buf *q, const struct plan_collection *c,
                      const struct key_range *range) {
    if (range->after) {
        buf_add_text(q, " WHERE ");
        add_bound(q, "r", c, ">", range->after);
    }
    if (range->upto) {
        buf_add_text(q, range->after ? " AND " : " WHERE ");
        add_bound(q, "r", c, "<=", range->upto);
    }
}

static void add_root_rows(struct buf *q, const struct plan_collection *c,
                          const struct key_range *range) {
    buf_add_text(q, "COPY (SELECT ");
    add_columns(q, "r", c->root);
    buf_add_text(q, " FROM ");
    add_table(q, c->root, "r");
    add_range(q, c, range);
}

void query_range(struct buf *q, const struct plan_collection *c, const struct key_range *range) {
    add_root_rows(q, c, range);
    buf_add_text(q, ") TO STDOUT");
}

void query_range_page(struct buf *q, const struct plan_collection *c, const struct key_range *range,
                      size_t limit) {
    add_root_rows(q, c, range);
    buf_add_text(q, " ORDER BY ");
    add_ids(q, "r", c);
    buf_printf(q, " LIMIT %zu) TO STDOUT", limit);
}

void query_chunk_end(struct buf *q, const struct plan_collection *c, const struct span *after,
                     int64_t rows) {
    buf_add_text(q, "SELECT ");
    add_ids(q, "r", c);
    buf_add_text(q, " FROM ");
    add_table(q, c->root, "r");
    add_range(q, c, &(struct key_range){.after = after});
    buf_add_text(q, " ORDER BY ");
    add_ids(q, "r", c);
    buf_printf(q, " OFFSET %lld LIMIT 1", (long long)rows - 1);
}

/* Every `stride`-th text as one array literal. Both quotings at once: the array's (backslash before
 * quote and backslash) and the string's (doubled quote; standard_conforming_strings is pinned). */
static void add_array(struct buf *q, const struct span *first, size_t count, size_t stride) {
    buf_add_text(q, "'{");
    for (size_t i = 0; i < count; i++) {
        struct span s = first[i * stride];
        buf_add_text(q, i ? ",\"" : "\"");
        for (size_t k = 0; k < s.len; k++) {
            if (s.ptr[k] == '"' || s.ptr[k] == '\\')
                buf_add_char(q, '\\');
            if (s.ptr[k] == '\'')
                buf_add_char(q, '\'');
            buf_add_char(q, s.ptr[k]);
        }
        buf_add_char(q, '"');
    }
    buf_add_text(q, "}'");
}

/* The types of a tuple's columns. */
typedef const struct pg_type *(*tuple_type_fn)(const void *context, size_t column);

/* There are no arrays of arrays, and rows are taken apart by unnest(): lists of them are of texts.
 */
static bool is_listed_as_text(const struct pg_type *type) {
    return type->kind == PG_KIND_ARRAY || type->composite;
}

/* unnest('{...}'::t1[], '{...}'::t2[]): tuple values, turned into one array for each column. */
static void add_tuples(struct buf *q, const struct span *tuples, size_t count, size_t width,
                       tuple_type_fn type_of, const void *context) {
    buf_add_text(q, "unnest(");
    for (size_t column = 0; column < width; column++) {
        const struct pg_type *type = type_of(context, column);
        if (column)
            buf_add_text(q, ", ");
        add_array(q, tuples + column, count, width);
        buf_printf(q, "::%s[]", is_listed_as_text(type) ? "pg_catalog.text" : type->sql_name);
    }
    buf_add_char(q, ')');
}

static void add_tuple_names(struct buf *q, size_t width) {
    for (size_t i = 0; i < width; i++)
        buf_printf(q, "%sk%zu", i ? ", " : "", i);
}

static const struct pg_type *parent_join_type(const void *context, size_t i) {
    const struct plan_node *node = context;
    return node->parent->columns[node->join_parent[i]].source->type;
}

static const struct pg_type *child_join_type(const void *context, size_t i) {
    const struct plan_node *node = context;
    return node->columns[node->join_child[i]].source->type;
}

/* Values of two types are compared as PostgreSQL's own rules say. */
static void add_equal(struct buf *q, const struct pg_type *left, const struct pg_type *right) {
    bool alike = left->operator_schema && right->operator_schema &&
                 strcmp(left->operator_schema, right->operator_schema) == 0;
    if (alike)
        add_operator(q, left, "=");
    else
        buf_add_text(q, " = ");
}

/* alias.column = k.kN for each of the columns; the tuples' types as in add_tuples. */
static void add_match(struct buf *q, const char *alias, const struct plan_node *node,
                      const int *columns, size_t count, tuple_type_fn type_of,
                      const void *context) {
    for (size_t i = 0; i < count; i++) {
        const struct pg_type *type = type_of(context, i);
        buf_printf(q, "%s%s.", i ? " AND " : "", alias);
        pg_add_ident(q, node->columns[columns[i]].name);
        add_equal(q, node->columns[columns[i]].source->type, type);
        buf_printf(q, "k.k%zu", i);
        if (is_listed_as_text(type))
            buf_printf(q, "::%s", type->sql_name);
    }
}

/* FROM the keys as a table k, joined with the root table r. */
static void add_key_join(struct buf *q, const struct plan_collection *c, const struct span *keys,
                         size_t count) {
    buf_add_text(q, " FROM ");
    add_tuples(q, keys, count, c->id_count, id_type, c);
    buf_add_text(q, " k(");
    add_tuple_names(q, c->id_count);
    buf_add_text(q, ") JOIN ");
    add_table(q, c->root, "r");
    buf_add_text(q, " ON ");
    add_match(q, "r", c->root, c->id, c->id_count, id_type, c);
}

void query_existing_keys(struct buf *q, const struct plan_collection *c, const struct span *keys,
                         size_t count) {
    buf_add_text(q, "COPY (SELECT ");
    add_ids(q, "r", c);
    add_key_join(q, c, keys, count);
    buf_add_text(q, ") TO STDOUT");
}

/* A share of the table where its size is known and large; else every row in random order. */
void query_sample_keys(struct buf *q, const struct plan_collection *c, int64_t count) {
    int64_t rows = c->root->table->estimated_rows;
    bool share = rows > 0 && count < rows / 20;
    buf_add_text(q, "COPY (SELECT ");
    add_ids(q, "r", c);
    buf_add_text(q, " FROM ");
    add_table(q, c->root, "r");
    if (share)
        buf_printf(q, " TABLESAMPLE BERNOULLI (%.6f)", 150.0 * (double)count / (double)rows);
    buf_printf(q, " ORDER BY pg_catalog.random() LIMIT %lld) TO STDOUT", (long long)count);
}

void query_keys(struct buf *q, const struct plan_collection *c, const struct span *keys,
                size_t count, bool versions) {
    buf_add_text(q, "COPY (SELECT ");
    add_columns(q, "r", c->root);
    buf_add_text(q, versions ? ", r.xmin" : "");
    add_key_join(q, c, keys, count);
    buf_add_text(q, ") TO STDOUT");
}

void query_children(struct buf *q, const struct plan_node *node, const struct span *groups,
                    size_t count, bool versions) {
    buf_add_text(q, "COPY (SELECT k.n, ");
    add_columns(q, "c", node);
    buf_add_text(q, versions ? ", c.xmin" : "");
    buf_add_text(q, " FROM ");
    add_tuples(q, groups, count, node->join_count, parent_join_type, node);
    buf_add_text(q, " WITH ORDINALITY k(");
    add_tuple_names(q, node->join_count);
    buf_add_text(q, ", n) JOIN ");
    add_table(q, node, "c");
    buf_add_text(q, " ON ");
    add_match(q, "c", node, node->join_child, node->join_count, parent_join_type, node);
    buf_add_text(q, " ORDER BY k.n");
    for (size_t i = 0; i < node->order_count; i++) {
        buf_add_text(q, ", c.");
        pg_add_ident(q, node->columns[node->order[i]].name);
    }
    buf_add_text(q, ") TO STDOUT");
}

/* JOIN ONLY parent pN ON below.join_child = pN.join_parent */
static void add_step_up(struct buf *q, const struct plan_node *node, size_t level) {
    char alias[24];
    (void)snprintf(alias, sizeof alias, "p%zu", level + 1);
    buf_add_text(q, " JOIN ");
    add_table(q, node->parent, alias);
    buf_add_text(q, " ON ");
    for (size_t i = 0; i < node->join_count; i++) {
        buf_printf(q, "%sp%zu.", i ? " AND " : "", level);
        pg_add_ident(q, node->columns[node->join_child[i]].name);
        add_equal(q, child_join_type(node, i), parent_join_type(node, i));
        buf_printf(q, "%s.", alias);
        pg_add_ident(q, node->parent->columns[node->join_parent[i]].name);
    }
}

/* The end of a statement that reads keys: those above `after`, in key order; at most `limit`. */
static void end_key_page(struct buf *q, const char *alias, const struct plan_collection *c,
                         const struct key_page *page) {
    if (page->after) {
        buf_add_text(q, " WHERE ");
        add_bound(q, alias, c, ">", page->after);
    }
    if (page->ordered) {
        buf_add_text(q, " ORDER BY ");
        add_ids(q, alias, c);
    }
    buf_printf(q, " LIMIT %zu) TO STDOUT", page->limit);
}

void query_climb(struct buf *q, const struct plan_node *node, const struct span *joins,
                 size_t count, const struct key_page *page) {
    const struct plan_collection *c = node->collection;
    size_t level = 0;
    for (const struct plan_node *n = node; n->parent; n = n->parent)
        level++;
    char alias[24];
    (void)snprintf(alias, sizeof alias, "p%zu", level);
    buf_add_text(q, "COPY (SELECT DISTINCT ");
    add_ids(q, alias, c);
    buf_add_text(q, " FROM ");
    add_tuples(q, joins, count, node->join_count, child_join_type, node);
    buf_add_text(q, " k(");
    add_tuple_names(q, node->join_count);
    buf_add_text(q, ") JOIN ");
    add_table(q, node->parent, "p1");
    buf_add_text(q, " ON ");
    add_match(q, "p1", node->parent, node->join_parent, node->join_count, child_join_type, node);
    level = 1;
    for (const struct plan_node *n = node->parent; n->parent; n = n->parent)
        add_step_up(q, n, level++);
    end_key_page(q, alias, c, page);
}

void query_join_check(struct buf *q, const struct plan_node *node) {
    buf_add_text(q, "EXPLAIN SELECT 1 FROM ");
    add_table(q, node, "p0");
    add_step_up(q, node, 0);
}

void query_all_keys(struct buf *q, const struct plan_collection *c, const struct key_page *page) {
    buf_add_text(q, "COPY (SELECT ");
    add_ids(q, "r", c);
    buf_add_text(q, " FROM ");
    add_table(q, c->root, "r");
    end_key_page(q, "r", c, page);
}

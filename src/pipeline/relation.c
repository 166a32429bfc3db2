#include "pipeline/relation.h"

#include "base/mem.h"

static void bind_node(struct relation *r, struct binding *b) {
    b->from = mem_alloc(b->node->column_count * sizeof *b->from);
    for (size_t i = 0; i < b->node->column_count; i++) {
        b->from[i] = -1;
        for (size_t k = 0; k < r->column_count; k++)
            if (span_is(r->columns[k].name, b->node->columns[i].name))
                b->from[i] = (int)k;
    }
}

static void bind_uses(struct relation *r, const struct plan *plan) {
    for (size_t u = 0; u < plan->use_count; u++) {
        const struct plan_use *use = &plan->uses[u];
        if (use->table->oid != r->oid)
            continue; /* another table, though it may have had the name (pipeline/tables.h) */
        r->bindings = mem_zalloc(use->node_count, sizeof *r->bindings);
        r->binding_count = use->node_count;
        for (size_t i = 0; i < use->node_count; i++) {
            r->bindings[i].node = use->nodes[i];
            r->bindings[i].collection =
                plan_collection_index(plan, use->nodes[i]->collection->name);
            bind_node(r, &r->bindings[i]);
        }
    }
}

static struct span schema_of(const struct pgo_relation *m) {
    return m->schema.len ? m->schema : SPAN_LIT("pg_catalog");
}

struct relation *relation_new(const struct plan *plan, const struct pgo_relation *m) {
    struct relation *r = mem_zalloc(1, sizeof *r);
    r->oid = m->oid;
    r->schema = mem_strndup(schema_of(m).ptr, schema_of(m).len);
    r->name = mem_strndup(m->name.ptr, m->name.len);
    r->columns = mem_zalloc(m->column_count, sizeof *r->columns);
    r->column_count = m->column_count;
    size_t len = 0;
    for (size_t i = 0; i < m->column_count; i++)
        len += m->columns[i].name.len;
    char *at = r->names = mem_alloc(len);
    for (size_t i = 0; i < m->column_count; i++) {
        r->columns[i] = m->columns[i];
        memcpy(at, m->columns[i].name.ptr, m->columns[i].name.len);
        r->columns[i].name.ptr = at;
        at += m->columns[i].name.len;
    }
    bind_uses(r, plan);
    return r;
}

void relation_free(struct relation *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->binding_count; i++)
        free(r->bindings[i].from);
    free(r->bindings);
    free(r->schema);
    free(r->name);
    free(r->columns);
    free(r->names);
    free(r);
}

bool relation_equals(const struct relation *r, const struct pgo_relation *m) {
    if (r->oid != m->oid || r->column_count != m->column_count || !span_is(m->name, r->name) ||
        !span_is(schema_of(m), r->schema))
        return false;
    for (size_t i = 0; i < r->column_count; i++) {
        const struct pgo_column *a = &r->columns[i], *b = &m->columns[i];
        if (a->key != b->key || a->type_oid != b->type_oid || a->typmod != b->typmod ||
            !span_eq(a->name, b->name))
            return false;
    }
    return true;
}

static bool node_misfits(const struct relation *r, const struct binding *b, bool caught_up,
                         struct buf *reason) {
    for (size_t i = 0; i < b->node->column_count; i++) {
        const struct plan_column *c = &b->node->columns[i];
        if (c->source->generated)
            continue;
        if (b->from[i] < 0 && caught_up) {
            buf_printf(reason, "column \"%s\" of %s.%s is gone", c->name, r->schema, r->name);
            return true;
        }
        if (b->from[i] >= 0 && r->columns[b->from[i]].type_oid != c->source->type_oid) {
            buf_printf(reason, "column \"%s\" of %s.%s has another type", c->name, r->schema,
                       r->name);
            return true;
        }
    }
    return false;
}

/* With no `only` list a new column would be part of every document. */
static bool has_new_column(const struct relation *r, const struct binding *b, struct buf *reason) {
    const struct pg_table *t = b->node->table;
    if (b->node->conf->only.at.line)
        return false;
    for (size_t k = 0; k < r->column_count; k++) {
        bool known = false;
        for (size_t i = 0; i < t->column_count && !known; i++)
            known = span_is(r->columns[k].name, t->columns[i].name);
        if (!known) {
            buf_printf(reason, "column \"%.*s\" of %s.%s is new", SPAN_ARG(r->columns[k].name),
                       r->schema, r->name);
            return true;
        }
    }
    return false;
}

bool relation_misfits(const struct relation *r, const struct binding *b, bool caught_up,
                      struct buf *reason) {
    return node_misfits(r, b, caught_up, reason) || (caught_up && has_new_column(r, b, reason));
}

static struct span value_of(const struct relation *r, const struct pgo_tuple *tuple, bool keys_only,
                            int column) {
    if (column < 0 || (size_t)column >= tuple->count || (keys_only && !r->columns[column].key))
        return row_unchanged();
    const struct pgo_value *v = &tuple->values[column];
    switch (v->kind) {
    case PGO_NULL:
        return (struct span){0};
    case PGO_UNCHANGED:
        return row_unchanged();
    case PGO_TEXT:
        return v->text;
    }
    return row_unchanged();
}

void relation_row(const struct relation *r, const struct binding *b, const struct pgo_tuple *tuple,
                  bool keys_only, const struct span *fallback, struct span *ret_values) {
    for (size_t i = 0; i < b->node->column_count; i++) {
        ret_values[i] = value_of(r, tuple, keys_only, b->from[i]);
        if (fallback && row_is_unchanged(ret_values[i]))
            ret_values[i] = fallback[i];
    }
}

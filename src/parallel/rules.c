#include "parallel/rules.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 4096

struct list {
    struct compare_pattern *items;
    size_t count, room;
    bool *disputed; /* two collections do not agree */
};

static void list_release(struct list *l) {
    for (size_t i = 0; i < l->count; i++) {
        free((char *)l->items[i].path);
        free((char *)l->items[i].key);
    }
    free(l->items);
    free(l->disputed);
}

static struct compare_pattern *list_insert(struct list *l, size_t at, const char *path) {
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->items = mem_realloc(l->items, l->room, sizeof *l->items);
        l->disputed = mem_realloc(l->disputed, l->room, sizeof *l->disputed);
    }
    memmove(&l->items[at + 1], &l->items[at], (l->count - at) * sizeof *l->items);
    memmove(&l->disputed[at + 1], &l->disputed[at], (l->count - at) * sizeof *l->disputed);
    l->count++;
    l->disputed[at] = false;
    l->items[at] = (struct compare_pattern){.path = mem_strdup(path)};
    return &l->items[at];
}

static struct compare_pattern *list_add(struct list *l, const char *path) {
    return list_insert(l, l->count, path);
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What is said twice is said once; what is said in two ways is not said. That nothing holds is
 * said too: another collection may say something. Shorter paths come first: of "*.code" and
 * "*.items.code", which both speak of an item's code, the last one holds. */
static void say(struct list *l, const char *path, const struct compare_pattern *what) {
    size_t at = 0, len = strlen(path);
    for (; at < l->count && strlen(l->items[at].path) <= len; at++) {
        const struct compare_pattern *p = &l->items[at];
        if (strcmp(p->path, path) != 0)
            continue;
        l->disputed[at] |= p->form != what->form || !same_text(p->key, what->key) ||
                           p->null_is_absent != what->null_is_absent;
        return;
    }
    struct compare_pattern *p = list_insert(l, at, path);
    p->form = what->form;
    p->key = what->key ? mem_strdup(what->key) : NULL;
    p->null_is_absent = what->null_is_absent;
}

/* ---- what the mapping says ---- */

static void add_name(struct buf *path, struct span name) {
    if (path->len && path->data[path->len - 1] != '.')
        buf_add_char(path, '.');
    for (size_t i = 0; i < name.len; i++) {
        if (strchr(".*\\", name.ptr[i]))
            buf_add_char(path, '\\');
        buf_add_char(path, name.ptr[i]);
    }
}

static enum compare_form form_of(const struct pg_type *type) {
    switch (type->kind) {
    case PG_KIND_BOOL:
        return COMPARE_BOOLEAN;
    case PG_KIND_INT32:
    case PG_KIND_INT64:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        return COMPARE_NUMBER;
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        return COMPARE_TIME;
    case PG_KIND_UUID:
        return COMPARE_UUIDS;
    case PG_KIND_ARRAY:
        return type->element && type->element->kind != PG_KIND_ARRAY ? form_of(type->element)
                                                                     : COMPARE_ANY;
    case PG_KIND_TEXT:
    case PG_KIND_BYTEA:
    case PG_KIND_JSON:
    case PG_KIND_OTHER:
        return COMPARE_ANY;
    }
    return COMPARE_ANY;
}

/* The field that holds the only key column; NULL: there is none. */
static const struct plan_field *key_field(const struct plan_node *n) {
    for (size_t i = 0; n->key_count == 1 && i < n->field_count; i++)
        if (n->fields[i].kind == PLAN_COLUMN && n->fields[i].column == n->key[0])
            return &n->fields[i];
    return NULL;
}

static void say_of_column(struct list *l, const struct plan_node *n, const struct plan_field *f,
                          struct buf *path) {
    const struct plan_column *column = &n->columns[f->column];
    const struct compare_pattern what = {.form = form_of(column->source->type),
                                         .null_is_absent = n->omit_nulls};
    size_t before = path->len;
    add_name(path, f->name);
    if (buf_ok(path))
        say(l, buf_text(path), &what);
    path->len = before;
    path->full = false;
    if (span_is(f->name, column->name))
        return;
    add_name(path, span_of(column->name)); /* a service may call it as the table does */
    if (buf_ok(path))
        say(l, buf_text(path), &what);
    path->len = before;
    path->full = false;
}

static void say_of_node(struct list *l, const struct plan_node *n, struct buf *path) {
    size_t before = path->len;
    for (size_t i = 0; i < n->field_count; i++) {
        const struct plan_field *f = &n->fields[i];
        if (f->kind == PLAN_COLUMN)
            say_of_column(l, n, f, path);
        if (f->kind != PLAN_EMBED)
            continue;
        const struct plan_field *key = f->node->one ? NULL : key_field(f->node);
        _cleanup_(mem_freep) char *name = key ? mem_strndup(key->name.ptr, key->name.len) : NULL;
        add_name(path, f->name);
        if (buf_ok(path))
            say(l, buf_text(path),
                &(struct compare_pattern){.key = name, .null_is_absent = f->node->omit_nulls});
        say_of_node(l, f->node, path); /* CONF_EMBED_DEPTH_MAX bounds it */
        path->len = before;
        path->full = false;
    }
}

/* The key of an operation's document is its _id. */
static void say_of_id(struct list *l, const struct plan_collection *c, struct buf *path) {
    if (c->id_kind != PLAN_ID_SCALAR)
        return;
    const struct plan_column *column = &c->root->columns[c->id[0]];
    const struct compare_pattern what = {.form = form_of(column->source->type),
                                         .null_is_absent = c->root->omit_nulls};
    const char *const names[] = {"_id", column->name};
    size_t before = path->len;
    for (size_t i = 0; i < 2; i++) {
        add_name(path, span_of(names[i]));
        say(l, buf_text(path), &what);
        path->len = before;
    }
}

/* "*.code" stands for "*.items.code" as well. */
static bool stands_for(const char *path, const char *longer) {
    size_t len = strlen(path), longer_len = strlen(longer);
    return path[0] == '*' && longer_len > len &&
           strcmp(longer + longer_len - (len - 1), path + 1) == 0;
}

/* What does not hold for the longer path must not be said of the shorter one: it would loosen both,
 * and a difference would be explained away. */
static void tighten(struct list *l) {
    for (size_t i = l->count; i-- > 0;)
        for (size_t k = i + 1; k < l->count; k++) {
            struct compare_pattern *p = &l->items[i];
            const struct compare_pattern *longer = &l->items[k];
            bool nothing = l->disputed[k];
            if (!stands_for(p->path, longer->path))
                continue;
            if (nothing || longer->form == COMPARE_ANY)
                p->form = COMPARE_ANY;
            if (nothing || !longer->null_is_absent)
                p->null_is_absent = false;
            if (nothing || !longer->key) {
                free((char *)p->key);
                p->key = NULL;
            }
        }
}

static void say_of_mapping(struct list *l, const struct rules_of *of) {
    for (size_t i = 0; of->plan && i < of->plan->collection_count; i++) {
        const struct plan_collection *c = of->plan->collections[i];
        _cleanup_(buf_release) struct buf path = {.max = PATH_MAX_BYTES};
        if (strcmp(c->module, of->module) != 0 ||
            (of->collection && strcmp(c->name, of->collection) != 0))
            continue;
        if (!of->collection)
            buf_add_text(&path, "*.");
        say_of_id(l, c, &path);
        say_of_node(l, c->root, &path);
    }
    tighten(l);
}

/* ---- what `compare` says ---- */

static enum compare_form form_of_word(int form) {
    switch ((enum conf_form)form) {
    case CONF_FORM_NUMBER:
        return COMPARE_NUMBER;
    case CONF_FORM_BOOLEAN:
        return COMPARE_BOOLEAN;
    case CONF_FORM_DATE:
        return COMPARE_TIME;
    case CONF_FORM_UUID:
        return COMPARE_UUIDS;
    }
    return COMPARE_ANY;
}

static void say_of_compare(struct list *l, const struct conf_compare *compare) {
    for (size_t i = 0; i < compare->type_count; i++)
        list_add(l, compare->types[i].name.text)->form = form_of_word(compare->types[i].choice);
    for (size_t i = 0; i < compare->key_count; i++)
        list_add(l, compare->key[i].name.text)->key = mem_strdup(compare->key[i].value.text);
    for (size_t i = 0; i < compare->ignore.count; i++)
        list_add(l, compare->ignore.items[i].text)->ignore = true;
    for (size_t i = 0; i < compare->mask.count; i++)
        list_add(l, compare->mask.items[i].text)->mask = true;
}

static enum compare_mode mode_of(enum conf_compare_rules rules) {
    switch (rules) {
    case CONF_COMPARE_EXACT:
        return COMPARE_EXACT;
    case CONF_COMPARE_MAPPED:
        return COMPARE_MAPPED;
    case CONF_COMPARE_REFERENCE:
        return COMPARE_REFERENCE;
    }
    return COMPARE_MAPPED;
}

/* Of what the mapping says, as much as the rules of `compare`, which come after it, leave room for.
 */
static void put_together(struct list *all, struct list *mapped, struct list *own,
                         size_t *ret_left_out) {
    size_t room = own->count < COMPARE_PATTERNS_MAX ? COMPARE_PATTERNS_MAX - own->count : 0;
    *ret_left_out = 0;
    for (size_t i = 0; i < mapped->count; i++) {
        const struct compare_pattern *m = &mapped->items[i];
        if (mapped->disputed[i] || (m->form == COMPARE_ANY && !m->key && !m->null_is_absent))
            continue;
        if (all->count == room) {
            ++*ret_left_out;
            continue;
        }
        struct compare_pattern *p = list_add(all, m->path);
        p->form = m->form;
        p->null_is_absent = m->null_is_absent;
        p->key = m->key ? mem_strdup(m->key) : NULL;
    }
    for (size_t i = 0; i < own->count; i++) {
        struct compare_pattern *p = list_add(all, own->items[i].path);
        const char *path = p->path;
        *p = own->items[i];
        p->path = path;
        p->key = p->key ? mem_strdup(p->key) : NULL;
    }
}

int rules_compile(const struct rules_of *of, struct compare_rules **ret, size_t *ret_left_out,
                  struct err *err) {
    struct list mapped = {0}, own = {0}, all = {0};
    if (of->compare->rules == CONF_COMPARE_MAPPED)
        say_of_mapping(&mapped, of);
    say_of_compare(&own, of->compare);
    put_together(&all, &mapped, &own, ret_left_out);
    const struct compare_options options = {
        .mode = mode_of(of->compare->rules),
        /* 0 is what compare_compile has for "not said" */
        .tolerance = of->compare->tolerance > 0 ? of->compare->tolerance : 1e-300,
        .any_order = of->any_order,
        .patterns = all.items,
        .pattern_count = all.count};
    int rc = compare_compile(&options, ret, err);
    list_release(&mapped);
    list_release(&own);
    list_release(&all);
    return rc;
}

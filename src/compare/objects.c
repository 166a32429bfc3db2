#include "compare/walk.h"

/* There is only one of the two. */
static void walk_single(struct walk *w, const struct pair *p) {
    const struct compare_value *one = p->sql ? p->sql : p->mongodb;
    if (p->effect.ignore)
        walk_explain(w, COMPARE_BY_IGNORED);
    else if (one->type == COMPARE_NULL &&
             (p->effect.null_is_absent || w->rules->mode == COMPARE_REFERENCE))
        walk_explain(w, COMPARE_BY_NULL);
    else if (walk_is_internal(w, one->name))
        walk_explain(w, COMPARE_BY_INTERNAL);
    else
        walk_report(w, p, p->sql ? COMPARE_MISSING : COMPARE_EXTRA);
}

/* The common case. Nothing that could be said of the two makes them differ. */
static bool is_same_member(const struct walk *w, const struct compare_value *a,
                           const struct compare_value *b) {
    return a && b && scalar_is_identical(a, b) &&
           (w->rules->mode != COMPARE_REFERENCE || span_eq(a->name, b->name));
}

/* A member of both; `a` or `b` may be NULL. */
static void walk_member(struct walk *w, const struct pair *p, const struct compare_value *a,
                        const struct compare_value *b) {
    struct pair m;
    if (walk_is_over(w) || !walk_steps(w, 1) || is_same_member(w, a, b) ||
        !walk_down(w, p, a, b, &m))
        return;
    const struct place place = {.up = p->place, .kind = PLACE_NAME, .name = a ? a->name : b->name};
    m.place = &place;
    if (!a || !b) {
        walk_single(w, &m);
        return;
    }
    bool internal = walk_is_internal(w, a->name) && walk_is_internal(w, b->name);
    if (m.effect.ignore || internal) {
        if (walk_differs(w, &m))
            walk_explain(w, m.effect.ignore ? COMPARE_BY_IGNORED : COMPARE_BY_INTERNAL);
        return;
    }
    if (w->rules->mode == COMPARE_REFERENCE && !span_eq(a->name, b->name))
        walk_explain(w, COMPARE_BY_NAME);
    walk_pair(w, &m);
}

struct members {
    const struct compare_value *first;
    uint32_t *at; /* distances from the first */
    struct table table;
};

/* What is left of MongoDB's object. */
static bool index_members(struct walk *w, const struct compare_value *first,
                          const struct compare_value *end, uint32_t count, struct members *ret) {
    uint32_t *at = walk_take(w, 2 * (size_t)count), *hashes = at + count;
    uint32_t n = 0;
    if (!at || !walk_steps(w, count))
        return false;
    for (const struct compare_value *v = first; v < end; v += v->size) {
        at[n] = (uint32_t)(v - first);
        hashes[n++] = v->hash;
    }
    ret->first = first;
    ret->at = at;
    return table_build(w, hashes, n, &ret->table);
}

/* The first of that name; else the first whose name is held for the same. */
static const struct compare_value *take_member(struct walk *w, struct members *m,
                                               const struct compare_value *like) {
    uint32_t hash = like->hash, *second = NULL;
    for (uint32_t *link = table_chain(&m->table, hash); *link != TABLE_NONE;
         link = &m->table.next[*link]) {
        if (!walk_steps(w, 1))
            return NULL;
        if (m->table.hashes[*link] != hash)
            continue;
        struct span name = m->first[m->at[*link]].name;
        if (span_eq(name, like->name))
            return &m->first[m->at[table_take(&m->table, link)]];
        if (!second && pattern_same_name(w->rules, name, like->name))
            second = link;
    }
    return second ? &m->first[m->at[table_take(&m->table, second)]] : NULL;
}

static void walk_rest(struct walk *w, const struct pair *p, const struct compare_value *a,
                      const struct compare_value *b, uint32_t left) {
    struct stack_mark mark = stack_mark(&w->stack);
    struct members m;
    if (!index_members(w, b, p->mongodb + p->mongodb->size, left, &m))
        return;
    for (const struct compare_value *end = p->sql + p->sql->size; a < end && !walk_is_over(w);
         a += a->size)
        walk_member(w, p, a, take_member(w, &m, a));
    for (uint32_t i = 0; i < m.table.count && !walk_is_over(w); i++)
        if (table_has(&m.table, i))
            walk_member(w, p, NULL, &m.first[m.at[i]]);
    stack_release(&w->stack, mark);
}

void walk_objects(struct walk *w, const struct pair *p) {
    const struct compare_value *a = p->sql + 1, *a_end = p->sql + p->sql->size;
    const struct compare_value *b = p->mongodb + 1, *b_end = p->mongodb + p->mongodb->size;
    uint32_t left = p->mongodb->count;
    while (a < a_end && b < b_end && a->hash == b->hash && span_eq(a->name, b->name)) {
        walk_member(w, p, a, b);
        a += a->size;
        b += b->size;
        left--;
    }
    if (!walk_is_over(w) && (a < a_end || b < b_end))
        walk_rest(w, p, a, b, left);
}

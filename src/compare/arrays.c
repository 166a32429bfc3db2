#include "compare/walk.h"

#define NONE UINT32_MAX

/* One side of an array whose elements are matched. */
struct side {
    const struct compare_value *array;
    uint32_t count;
    uint32_t *at;      /* each element: its distance from the array */
    uint32_t *key;     /* of its key; 0: it has none */
    uint32_t *partner; /* its number on the other side, or NONE */
    uint32_t *hash;
    uint32_t *tolerance; /* enum tolerance */
};

struct match {
    struct walk *w;
    const struct pair *p;
    struct side sql, mongodb;
    bool keys_masked;
};

static const struct compare_value *element(const struct side *s, uint32_t i) {
    return i == NONE ? NULL : s->array + s->at[i];
}

/* The array's patterns hold for its elements, but for what they say of arrays. */
static struct pair pair_of(const struct pair *array, const struct compare_value *a,
                           const struct compare_value *b) {
    struct pair e = *array;
    e.sql = a;
    e.mongodb = b;
    e.effect.key = (struct span){0};
    e.effect.any_order = false;
    return e;
}

static void walk_element(struct walk *w, const struct pair *p, const struct compare_value *a,
                         const struct compare_value *b, const struct place *place) {
    if (walk_is_over(w) || !walk_steps(w, 1))
        return;
    struct pair e = pair_of(p, a, b);
    e.place = place;
    if (a && b)
        walk_pair(w, &e);
    else
        walk_report(w, &e, a ? COMPARE_MISSING : COMPARE_EXTRA);
}

static void walk_by_position(struct walk *w, const struct pair *p) {
    const struct compare_value *a = p->sql + 1, *a_end = p->sql + p->sql->size;
    const struct compare_value *b = p->mongodb + 1, *b_end = p->mongodb + p->mongodb->size;
    struct place place = {.up = p->place, .kind = PLACE_POSITION};
    for (; (a < a_end || b < b_end) && !walk_is_over(w); place.position++) {
        walk_element(w, p, a < a_end ? a : NULL, b < b_end ? b : NULL, &place);
        a += a < a_end ? a->size : 0;
        b += b < b_end ? b->size : 0;
    }
}

/* ---- setting up ---- */

/* A key that is null, or has parts, is none. */
static uint32_t find_key(struct match *m, const struct side *s, const struct compare_value *v) {
    const struct effect *e = &m->p->effect;
    const struct compare_value *like = NULL;
    if (!e->key.ptr || v->type != COMPARE_OBJECT || !walk_steps(m->w, v->count))
        return 0;
    for (const struct compare_value *in = v + 1, *end = v + v->size; in < end; in += in->size) {
        if (in->hash != e->key_hash || !pattern_same_name(m->w->rules, in->name, e->key))
            continue;
        if (!like || span_eq(in->name, e->key))
            like = in;
        if (span_eq(in->name, e->key))
            break;
    }
    bool none = !like || like->type == COMPARE_NULL || like->type == COMPARE_OBJECT ||
                like->type == COMPARE_ARRAY;
    return none ? 0 : (uint32_t)(like - s->array);
}

static bool load(struct match *m, const struct compare_value *array, struct side *s) {
    uint32_t n = array->count, i = 0;
    uint32_t *space = walk_take(m->w, (size_t)n * 5);
    if (!space || !walk_steps(m->w, n))
        return false;
    *s = (struct side){.array = array,
                       .count = n,
                       .at = space,
                       .key = space + n,
                       .partner = space + 2 * (size_t)n,
                       .hash = space + 3 * (size_t)n,
                       .tolerance = space + 4 * (size_t)n};
    for (const struct compare_value *v = array + 1, *end = array + array->size; v < end;
         v += v->size, i++) {
        s->at[i] = (uint32_t)(v - array);
        s->key[i] = find_key(m, s, v);
        s->partner[i] = NONE;
    }
    return m->w->rc == 0;
}

static void join(struct match *m, uint32_t a, uint32_t b) {
    m->sql.partner[a] = b;
    m->mongodb.partner[b] = a;
}

static uint32_t folded(uint64_t hash) {
    return (uint32_t)(hash ^ hash >> 32);
}

/* ---- by key ---- */

/* The pair of two keys; `b` may be NULL. */
static bool key_pair(struct match *m, const struct compare_value *a, const struct compare_value *b,
                     struct pair *ret) {
    const struct pair e = pair_of(m->p, NULL, NULL);
    if (!walk_down(m->w, &e, a, b, ret))
        return false;
    m->keys_masked |= ret->effect.mask;
    return true;
}

static void hash_keys(struct match *m, struct side *s) {
    for (uint32_t i = 0; i < s->count && !walk_is_over(m->w); i++) {
        struct pair key;
        enum tolerance ignored = TOLERANCE_STRICT;
        if (s->key[i] && key_pair(m, s->array + s->key[i], NULL, &key))
            s->hash[i] = folded(tree_hash(m->w, &key, &ignored));
    }
}

static bool same_key(struct match *m, uint32_t a, uint32_t b) {
    struct pair key;
    return key_pair(m, m->sql.array + m->sql.key[a], m->mongodb.array + m->mongodb.key[b], &key) &&
           !walk_differs(m->w, &key);
}

static bool same_element(struct match *m, uint32_t a, uint32_t b) {
    struct pair e = pair_of(m->p, element(&m->sql, a), element(&m->mongodb, b));
    return !walk_differs(m->w, &e);
}

/* Of those that have a hash: all, or those that have a key. */
static void join_by_hash(struct match *m, bool keyed) {
    struct stack_mark mark = stack_mark(&m->w->stack);
    uint32_t *which = walk_take(m->w, 2 * (size_t)m->mongodb.count), n = 0;
    if (!which)
        return;
    uint32_t *hashes = which + m->mongodb.count;
    for (uint32_t i = 0; i < m->mongodb.count; i++) {
        if (keyed && !m->mongodb.key[i])
            continue;
        which[n] = i;
        hashes[n++] = m->mongodb.hash[i];
    }
    struct table t;
    if (!table_build(m->w, hashes, n, &t))
        return;
    for (uint32_t a = 0; a < m->sql.count; a++) {
        if (keyed && !m->sql.key[a])
            continue;
        for (uint32_t *link = table_chain(&t, m->sql.hash[a]); *link != TABLE_NONE;
             link = &t.next[*link]) {
            if (walk_is_over(m->w) || !walk_steps(m->w, 1))
                return;
            uint32_t b = which[*link];
            if (hashes[*link] != m->sql.hash[a] ||
                !(keyed ? same_key(m, a, b) : same_element(m, a, b)))
                continue;
            join(m, a, which[table_take(&t, link)]);
            break;
        }
    }
    stack_release(&m->w->stack, mark);
}

/* ---- sets ---- */

static void hash_elements(struct match *m, struct side *s) {
    for (uint32_t i = 0; i < s->count && !walk_is_over(m->w); i++) {
        const struct pair e = pair_of(m->p, element(s, i), NULL);
        enum tolerance t = TOLERANCE_STRICT;
        s->hash[i] = folded(tree_hash(m->w, &e, &t));
        s->tolerance[i] = t;
    }
}

static bool may_be_close(const struct match *m, uint32_t x, uint32_t y) {
    if (x != TOLERANCE_TOLERANT && y != TOLERANCE_TOLERANT)
        return false;
    return m->w->rules->mode == COMPARE_REFERENCE ||
           (x != TOLERANCE_STRICT && y != TOLERANCE_STRICT);
}

/* Elements of MongoDB's side without a partner, by their tolerance. */
struct open {
    uint32_t count[TOLERANCE_TOLERANT + 1];
};

static bool is_worth_a_look(const struct match *m, const struct open *open, uint32_t tolerance) {
    for (uint32_t y = 0; y <= TOLERANCE_TOLERANT; y++)
        if (open->count[y] && may_be_close(m, tolerance, y))
            return true;
    return false;
}

/* Those that only tolerance makes the same have no hash in common: each with each. */
static void join_close(struct match *m) {
    struct open open = {0};
    for (uint32_t b = 0; b < m->mongodb.count; b++)
        if (m->mongodb.partner[b] == NONE)
            open.count[m->mongodb.tolerance[b]]++;
    for (uint32_t a = 0; a < m->sql.count; a++) {
        uint32_t x = m->sql.tolerance[a];
        if (m->sql.partner[a] != NONE || !is_worth_a_look(m, &open, x))
            continue;
        for (uint32_t b = 0; b < m->mongodb.count; b++) {
            uint32_t y = m->mongodb.tolerance[b];
            if (walk_is_over(m->w) || !walk_steps(m->w, 1))
                return;
            if (m->mongodb.partner[b] != NONE || !may_be_close(m, x, y) || !same_element(m, a, b))
                continue;
            join(m, a, b);
            open.count[y]--;
            break;
        }
    }
}

/* ---- what is left ---- */

/* Keyed: those that have no key. */
static void join_by_position(struct match *m, bool keyed) {
    uint32_t b = 0;
    for (uint32_t a = 0; a < m->sql.count; a++) {
        if (m->sql.partner[a] != NONE || (keyed && m->sql.key[a]))
            continue;
        while (b < m->mongodb.count &&
               (m->mongodb.partner[b] != NONE || (keyed && m->mongodb.key[b])))
            b++;
        if (b == m->mongodb.count)
            return;
        join(m, a, b);
    }
}

static bool in_order(const struct match *m) {
    uint32_t least = 0;
    for (uint32_t a = 0; a < m->sql.count; a++) {
        uint32_t b = m->sql.partner[a];
        if (b == NONE)
            continue;
        if (b < least)
            return false;
        least = b;
    }
    return true;
}

static struct place place_of(const struct match *m, const struct side *s, uint32_t i) {
    struct place place = {.up = m->p->place, .kind = PLACE_POSITION, .position = i};
    if (s->key[i] && !m->keys_masked) {
        place.kind = PLACE_KEY;
        place.name = m->p->effect.key;
        place.key = s->array + s->key[i];
    }
    return place;
}

static void walk_matched(struct match *m) {
    for (uint32_t a = 0; a < m->sql.count && !walk_is_over(m->w); a++) {
        const struct place place = place_of(m, &m->sql, a);
        walk_element(m->w, m->p, element(&m->sql, a), element(&m->mongodb, m->sql.partner[a]),
                     &place);
    }
    for (uint32_t b = 0; b < m->mongodb.count && !walk_is_over(m->w); b++) {
        if (m->mongodb.partner[b] != NONE)
            continue;
        const struct place place = place_of(m, &m->mongodb, b);
        walk_element(m->w, m->p, NULL, element(&m->mongodb, b), &place);
    }
}

static void match_and_walk(struct match *m) {
    bool keyed = m->p->effect.key.ptr != NULL;
    if (keyed) {
        hash_keys(m, &m->sql);
        hash_keys(m, &m->mongodb);
    } else {
        hash_elements(m, &m->sql);
        hash_elements(m, &m->mongodb);
    }
    if (walk_is_over(m->w))
        return;
    join_by_hash(m, keyed);
    if (!keyed)
        join_close(m);
    bool ordered = keyed || in_order(m); /* of a set: what is left has no order */
    join_by_position(m, keyed);
    ordered = ordered && (!keyed || in_order(m));
    if (walk_is_over(m->w))
        return;
    if (!ordered && m->p->effect.any_order)
        walk_explain(m->w, COMPARE_BY_ORDER);
    else if (!ordered)
        walk_report(m->w, m->p, COMPARE_MISMATCH);
    walk_matched(m);
}

void walk_arrays(struct walk *w, const struct pair *p) {
    struct match m = {.w = w, .p = p};
    if (!p->effect.key.ptr && !p->effect.any_order) {
        walk_by_position(w, p);
        return;
    }
    struct stack_mark mark = stack_mark(&w->stack);
    if (load(&m, p->sql, &m.sql) && load(&m, p->mongodb, &m.mongodb))
        match_and_walk(&m);
    stack_release(&w->stack, mark);
}

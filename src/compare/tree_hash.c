#include "compare/walk.h"

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t h = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ h >> 29;
}

static void loosen(enum tolerance *t, enum tolerance by) {
    if (by > *t)
        *t = by;
}

/* 0: it does not count. */
static uint64_t member_hash(struct walk *w, const struct pair *object,
                            const struct compare_value *v, enum tolerance *tolerance) {
    struct pair m;
    if (!walk_down(w, object, v, NULL, &m) || m.effect.ignore)
        return 0;
    if (v->type == COMPARE_NULL && (m.effect.null_is_absent || w->rules->mode == COMPARE_REFERENCE))
        return 0;
    if (walk_is_internal(w, v->name)) {
        loosen(tolerance, TOLERANCE_TOLERANT); /* "_id" may belong to "id" */
        return 0;
    }
    return mix(v->hash, tree_hash(w, &m, tolerance));
}

/* An element is passed through to, so the pair's states are its, too. */
static uint64_t element_hash(struct walk *w, const struct pair *array,
                             const struct compare_value *v, enum tolerance *tolerance) {
    struct pair e = *array;
    e.sql = v;
    e.effect.key = (struct span){0};
    e.effect.any_order = false;
    return tree_hash(w, &e, tolerance);
}

uint64_t tree_hash(struct walk *w, const struct pair *one, enum tolerance *tolerance) {
    const struct compare_value *v = one->sql;
    if (!walk_steps(w, 1))
        return 0;
    if (v->type != COMPARE_OBJECT && v->type != COMPARE_ARRAY) {
        loosen(tolerance, scalar_tolerance(w->rules, one->effect.form, v));
        return scalar_hash(w->rules, one->effect.form, v);
    }
    bool ordered = v->type == COMPARE_ARRAY && !one->effect.any_order;
    uint64_t h = 0;
    for (const struct compare_value *in = v + 1, *end = v + v->size; in < end; in += in->size) {
        uint64_t part = v->type == COMPARE_OBJECT ? member_hash(w, one, in, tolerance)
                                                  : element_hash(w, one, in, tolerance);
        h = ordered ? mix(h, part) + 1 : h + (part ? mix(part, 1) : 0);
    }
    return mix(h, v->type);
}

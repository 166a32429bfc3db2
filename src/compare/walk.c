#include "compare/walk.h"

bool walk_steps(struct walk *w, size_t count) {
    if (count > COMPARE_STEPS_MAX - w->steps) {
        if (w->rc == 0)
            w->rc = err_set(w->err, ERR_LIMIT,
                            "more than %d steps: too large to compare; a key for the elements of "
                            "large arrays helps",
                            COMPARE_STEPS_MAX);
        return false;
    }
    w->steps += (uint32_t)count;
    return true;
}

static int no_room(struct walk *w) {
    if (w->rc == 0)
        w->rc = err_set(w->err, ERR_LIMIT, "too large to compare in %zu bytes of memory",
                        w->stack.arena->max);
    return w->rc;
}

uint32_t *walk_take(struct walk *w, size_t count) {
    uint32_t *items = stack_take(&w->stack, count);
    if (!items)
        (void)no_room(w);
    return items;
}

/* The states of one level: only one value of it is looked at at a time. */
static bool level(struct walk *w, unsigned depth, struct states *ret) {
    *ret = (struct states){0};
    if (w->rules->states_room == 0)
        return true;
    if (!w->levels[depth])
        w->levels[depth] =
            arena_alloc(w->stack.arena, w->rules->states_room * sizeof *w->levels[depth]);
    ret->items = w->levels[depth];
    return ret->items || no_room(w) == 0;
}

static bool is_nested(const struct compare_value *v) {
    return v && (v->type == COMPARE_OBJECT || v->type == COMPARE_ARRAY);
}

bool walk_down(struct walk *w, const struct pair *from, const struct compare_value *sql,
               const struct compare_value *mongodb, struct pair *ret) {
    const struct compare_value *one = sql ? sql : mongodb;
    /* Part by part: as a whole it is so large that gcc clears it with `rep stos`, which takes
     * longer than all the rest here. */
    ret->sql = sql;
    ret->mongodb = mongodb;
    ret->place = NULL;
    ret->depth = from->depth + 1;
    ret->states = (struct states){0};
    ret->effect = (struct effect){.mask = from->effect.mask};
    bool has_parts = is_nested(sql) || is_nested(mongodb);
    if (pattern_is_silent(&from->states, one->hash, has_parts))
        return true;
    if (has_parts && !level(w, ret->depth, &ret->states))
        return false;
    pattern_step(w->rules, &from->states, one->name, one->hash, has_parts, &ret->states,
                 &ret->effect);
    return true;
}

void walk_explain(struct walk *w, enum compare_rule rule) {
    if (!w->muted)
        w->result.explained[rule]++;
}

bool walk_differs(struct walk *w, const struct pair *p) {
    bool outer = w->differs;
    w->differs = false;
    w->muted++;
    walk_pair(w, p);
    w->muted--;
    bool differs = w->differs;
    w->differs = outer;
    return differs;
}

/* ---- reporting ---- */

/* What is too large to be looked through counts as masked. */
static bool holds_masked(struct walk *w, const struct pair *p, const struct compare_value *v) {
    if (!is_nested(v))
        return false;
    const struct compare_value *end = v + v->size;
    for (const struct compare_value *in = v + 1; in < end; in += in->size) {
        struct pair below = *p; /* elements: arrays are passed through */
        if (!walk_steps(w, 1) || (v->type == COMPARE_OBJECT && !walk_down(w, p, in, NULL, &below)))
            return true;
        if (below.effect.mask || holds_masked(w, &below, in))
            return true;
    }
    return false;
}

void walk_report(struct walk *w, const struct pair *p, enum compare_kind kind) {
    if (w->muted) {
        w->differs = true;
        return;
    }
    w->result.differences++;
    if (!w->fn)
        return;
    struct place_text path, shape;
    place_path(p->place, &path);
    place_shape(p->place, &shape);
    bool masked =
        p->effect.mask ||
        (w->rules->masks && (holds_masked(w, p, p->sql) || holds_masked(w, p, p->mongodb)));
    const struct compare_difference d = {.path = span_make(path.bytes, path.len),
                                         .shape = span_make(shape.bytes, shape.len),
                                         .kind = kind,
                                         .sql = p->sql,
                                         .mongodb = p->mongodb,
                                         .masked = masked};
    w->enough = w->fn(w->context, &d) != 0;
}

/* ---- pairs ---- */

static void walk_scalars(struct walk *w, const struct pair *p) {
    enum compare_rule rule;
    switch (scalar_compare(w->rules, p->effect.form, p->sql, p->mongodb, &rule)) {
    case VERDICT_SAME:
        return;
    case VERDICT_EXPLAINED:
        walk_explain(w, rule);
        return;
    case VERDICT_MISMATCH:
        walk_report(w, p, COMPARE_MISMATCH);
        return;
    case VERDICT_TYPE:
        walk_report(w, p, COMPARE_TYPE_DIFFERENCE);
        return;
    }
}

void walk_pair(struct walk *w, const struct pair *p) {
    if (walk_is_over(w) || !walk_steps(w, 1))
        return;
    bool nested = is_nested(p->sql);
    if (!nested && !is_nested(p->mongodb))
        walk_scalars(w, p);
    else if (p->sql->type != p->mongodb->type)
        walk_report(w, p, COMPARE_TYPE_DIFFERENCE);
    else if (p->sql->type == COMPARE_OBJECT)
        walk_objects(w, p);
    else
        walk_arrays(w, p);
}

int compare_trees(const struct compare_rules *rules, const struct compare_tree *sql,
                  const struct compare_tree *mongodb, struct arena *scratch, compare_fn fn,
                  void *context, struct compare_result *ret, struct err *err) {
    arena_reset(scratch);
    struct walk w = {
        .rules = rules, .stack = {.arena = scratch}, .fn = fn, .context = context, .err = err};
    struct pair root = {.sql = sql->nodes, .mongodb = mongodb->nodes};
    if (level(&w, 0, &root.states)) {
        pattern_start(rules, &root.states, &root.effect);
        if (!root.effect.ignore)
            walk_pair(&w, &root);
        else if (walk_differs(&w, &root))
            walk_explain(&w, COMPARE_BY_IGNORED);
    }
    arena_reset(scratch);
    if (w.rc == 0)
        *ret = w.result;
    return w.rc;
}

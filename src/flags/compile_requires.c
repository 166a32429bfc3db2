#include "flags/compiler.h"

/*
 * What a flag requires, and what that requires in turn, as one list, the deepest first: so an
 * evaluation follows nothing, and takes each of at most FLAGS_REQUIRES_MAX flags once.
 */
enum state { UNSEEN, OPEN, DONE };

struct walk {
    struct compiler *c;
    const struct flags_flag *const *flags;
    const struct spanmap *numbers;
    struct arena *arena;
    struct compiler_requires *lists;
    unsigned char *states; /* enum state, a flag */
};

static int add(struct walk *w, struct compiler_requires *to, struct blob_require r) {
    for (size_t i = 0; i < to->count; i++)
        if (to->list[i].flag == r.flag && to->list[i].variant == r.variant)
            return 0;
    if (to->count == FLAGS_REQUIRES_MAX)
        return compiler_error(w->c, ERR_LIMIT, w->c->flag->place,
                              "it requires more than %d flags, directly and through others",
                              FLAGS_REQUIRES_MAX);
    to->list[to->count++] = r;
    return 0;
}

static int too_deep(struct walk *w, uint32_t flag) {
    w->c->flag = w->flags[flag];
    return compiler_error(w->c, ERR_LIMIT, w->flags[flag]->place,
                          "flags require each other more than %d deep", FLAGS_REQUIRES_MAX);
}

static int variant_of(struct walk *w, uint32_t flag, const struct flags_require *require,
                      int32_t *ret_variant) {
    const struct flags_flag *target = w->flags[flag], *self = w->c->flag;
    *ret_variant = BLOB_NO_VARIANT;
    if (require->variant.len == 0)
        return 0;
    w->c->flag = target;
    int r = compiler_variant(w->c, require->variant, ret_variant);
    w->c->flag = self;
    /* Whether such a flag is "off" because of its own requirements, or by its rules, is not kept
     * apart here. */
    if (r == 0 && target->require_count && span_eq(require->variant, target->off_variant))
        return compiler_error(w->c, ERR_CONF, require->place,
                              "it requires the off variant of %.*s, which requires others: this "
                              "is not supported",
                              SPAN_ARG(target->name));
    return r;
}

static int visit(struct walk *w, uint32_t flag, unsigned depth);

static int visit_one(struct walk *w, uint32_t flag, const struct flags_require *require,
                     struct compiler_requires *list, unsigned depth) {
    const struct flags_flag *self = w->flags[flag];
    w->c->flag = self;
    int r = compiler_check_name(w->c, require->place, "a required flag", require->flag);
    if (r < 0)
        return r;
    const uint32_t *target = spanmap_get(w->numbers, require->flag);
    if (!target)
        return compiler_error(w->c, ERR_CONF, require->place,
                              "it requires flag %.*s, which does not exist",
                              SPAN_ARG(require->flag));
    if (w->states[*target] == OPEN)
        return compiler_error(w->c, ERR_CONF, require->place,
                              "it requires flag %.*s, which requires it in turn: remove one of "
                              "the two",
                              SPAN_ARG(require->flag));
    r = visit(w, *target, depth + 1);
    w->c->flag = self;
    for (size_t i = 0; r == 0 && i < w->lists[*target].count; i++)
        r = add(w, list, w->lists[*target].list[i]);
    struct blob_require own = {.flag = *target};
    if (r == 0)
        r = variant_of(w, *target, require, &own.variant);
    return r == 0 ? add(w, list, own) : r;
}

static int visit(struct walk *w, uint32_t flag, unsigned depth) {
    const struct flags_flag *f = w->flags[flag];
    if (w->states[flag] == DONE)
        return 0;
    if (depth > FLAGS_REQUIRES_MAX)
        return too_deep(w, flag);
    w->states[flag] = OPEN;
    struct compiler_requires list = {0};
    if (f->require_count)
        list.list = arena_alloc(w->arena, FLAGS_REQUIRES_MAX * sizeof *list.list);
    for (size_t i = 0; i < f->require_count; i++) {
        int r = visit_one(w, flag, &f->requires[i], &list, depth);
        if (r < 0)
            return r;
    }
    w->lists[flag] = list;
    w->states[flag] = DONE;
    return 0;
}

int compiler_requires(struct compiler *c, const struct flags_flag *const *flags,
                      const struct spanmap *numbers, struct arena *arena,
                      struct compiler_requires *ret_requires) {
    size_t count = c->model->flag_count;
    struct walk w = {c,     flags,        numbers,
                     arena, ret_requires, compiler_scratch(c, count + 1, sizeof *w.states)};
    for (size_t i = 0; i < count; i++) {
        int r = visit(&w, (uint32_t)i, 0);
        if (r < 0)
            return r;
    }
    c->flag = NULL;
    return 0;
}

/* Two trees, side by side. Private to compare/. */
#ifndef BANYAN_COMPARE_WALK_H
#define BANYAN_COMPARE_WALK_H

#include "compare/scalar.h"
#include "compare/stack.h"

/* Where a value is, from there up. */
struct place {
    const struct place *up;
    enum place_kind { PLACE_NAME, PLACE_POSITION, PLACE_KEY } kind;
    struct span name; /* of the member, or of the key */
    uint32_t position;
    const struct compare_value *key;
};

struct walk {
    const struct compare_rules *rules;
    struct stack stack;
    struct state *levels[COMPARE_DEPTH_MAX + 1]; /* by how many names deep; made as needed */
    compare_fn fn;
    void *context;
    struct compare_result result;
    struct err *err;
    int rc; /* the first failure */
    uint32_t steps;
    uint32_t muted; /* somebody only asks whether there is a difference ... */
    bool differs;   /* ... and there is */
    bool enough;    /* fn said so */
};

/* Two values that belong together (NULL: there is none), and what the patterns say of them. */
struct pair {
    const struct compare_value *sql, *mongodb;
    const struct place *place;
    struct states states;
    struct effect effect;
    unsigned depth; /* names above */
};

/* Nothing is to be done any more. */
static inline bool walk_is_over(const struct walk *w) {
    return w->rc < 0 || w->enough || (w->muted && w->differs);
}

/* False: too many. */
bool walk_steps(struct walk *w, size_t count) must_check;
/* Of w->stack; NULL: w->rc says so. */
uint32_t *walk_take(struct walk *w, size_t count) must_check;

/* To members of the pair's objects; one may be NULL. Without a place. False: the walk failed. */
bool walk_down(struct walk *w, const struct pair *from, const struct compare_value *sql,
               const struct compare_value *mongodb, struct pair *ret) must_check;

void walk_pair(struct walk *w, const struct pair *p);
/* Whether they differ, without a word about it. */
bool walk_differs(struct walk *w, const struct pair *p);
void walk_explain(struct walk *w, enum compare_rule rule);
void walk_report(struct walk *w, const struct pair *p, enum compare_kind kind);

/* ---- objects.c, arrays.c ---- */

void walk_objects(struct walk *w, const struct pair *p);
void walk_arrays(struct walk *w, const struct pair *p);

/* The reference: names that begin with an underscore do not count. */
static inline bool walk_is_internal(const struct walk *w, struct span name) {
    return w->rules->mode == COMPARE_REFERENCE && name.len && name.ptr[0] == '_';
}

/* ---- table.c ---- */

/* Numbers 0 to count - 1 by hash; those of one hash in the order of numbers. */
#define TABLE_NONE UINT32_MAX
struct table {
    uint32_t *heads, *next, *hashes; /* on the stack */
    uint32_t mask, count;
};

/* `hashes` are not copied. */
bool table_build(struct walk *w, uint32_t *hashes, uint32_t count, struct table *ret) must_check;
/* Where the chain of a hash begins: to look through as far as TABLE_NONE. */
static inline uint32_t *table_chain(const struct table *t, uint32_t hash) {
    return &t->heads[hash & t->mask];
}
/* Takes the one at `link` out; table_has is false for it from then on. */
uint32_t table_take(struct table *t, uint32_t *link);
bool table_has(const struct table *t, uint32_t i);

/* ---- tree_hash.c ---- */

/* Equal as walk_pair has it, tolerance apart: equal hash. The first of the pair is it, the other is
 * NULL. *ret_tolerance: the loosest of all that is in it. */
uint64_t tree_hash(struct walk *w, const struct pair *one, enum tolerance *ret_tolerance);

/* ---- place.c ---- */

struct place_text {
    char bytes[COMPARE_PATH_MAX];
    size_t len;
    bool cut;
};
void place_path(const struct place *p, struct place_text *ret);
void place_shape(const struct place *p, struct place_text *ret);

#endif

/* Patterns of paths, followed level by level. Private to compare/. */
#ifndef BANYAN_COMPARE_PATTERN_H
#define BANYAN_COMPARE_PATTERN_H

#include "compare/compare.h"

struct segment {
    struct span name;
    uint32_t hash;
    bool star;
};

struct pattern {
    struct segment *segments; /* owned */
    size_t count;
    char *path; /* owned; the segments point into it */
    char *key;  /* owned */
    uint32_t key_hash;
    uint32_t given; /* which of those given */
    bool starred;
    struct compare_pattern effect;
};

/* Everything that patterns say of one value. */
struct effect {
    struct span key;
    uint32_t key_hash;
    uint32_t key_given, form_given; /* of which pattern they are */
    enum compare_form form;
    bool ignore, mask, null_is_absent, any_order;
};

/* Patterns without a star, as a tree of names: what all that begin alike have in common. */
struct node {
    struct span name;
    uint32_t hash;   /* of the name */
    uint32_t parent; /* itself: the root */
    uint32_t next;   /* of its bucket; 0, which is the root: none */
    uint64_t names;  /* those below: bits of their hashes, modulo 64 */
    struct effect effect;
};

struct compare_rules {
    enum compare_mode mode;
    double tolerance;
    bool any_order, masks; /* masks: some pattern does */
    size_t pattern_count;
    size_t plain_count; /* patterns without a star: sorted, so that those which begin alike stand
                         * side by side; the others behind them */
    size_t states_room; /* segments of all patterns with a star */
    struct pattern *patterns;
    struct node *nodes; /* the root is the first */
    uint32_t node_count;
    uint32_t *buckets; /* of nodes by parent and name */
    uint32_t bucket_mask;
};

/* Where the patterns stand at one level. */
struct states {
    const struct node *node; /* of those without a star; NULL: none goes on */
    bool star;               /* one stands at a star: any name may lead further */
    uint64_t names; /* those that lead further or to the end: bits of their hashes, modulo 64 */
    uint32_t count; /* of those with a star: pairs of pattern and segment, in their order */
    struct state {
        uint16_t pattern, segment;
    } * items;
};

/* Nothing can be said of a value of that name, nor of what is in it if it has parts. */
static inline bool pattern_is_silent(const struct states *s, uint32_t hash, bool has_parts) {
    return !(s->names >> (hash & 63) & 1) && !(s->star && has_parts);
}

/* At the root. `ret->items` has room for states_room, here and below. */
void pattern_start(const struct compare_rules *rules, struct states *ret, struct effect *effect);
/* One name down; *ret and *effect are empty before. `hash` is compare_hash of the name. Of a value
 * without parts only *effect counts, and ret->items is not needed. */
void pattern_step(const struct compare_rules *rules, const struct states *from, struct span name,
                  uint32_t hash, bool has_parts, struct states *ret, struct effect *effect);

/* The reference's: without underscores, in lower case. */
bool name_like(struct span a, struct span b);

/* Whether names belong together in this mode; their hashes are equal then. */
static inline bool pattern_same_name(const struct compare_rules *rules, struct span a,
                                     struct span b) {
    return span_eq(a, b) || (rules->mode == COMPARE_REFERENCE && name_like(a, b));
}

#endif

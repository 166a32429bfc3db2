/* Short-lived arrays of numbers, given back in the order in which they were not taken: a mark, and
 * everything taken since is free again. In an arena, which alone would only grow. Private to
 * compare/. */
#ifndef BANYAN_COMPARE_STACK_H
#define BANYAN_COMPARE_STACK_H

#include "base/arena.h"

#include <stdint.h>

struct stack_chunk {
    struct stack_chunk *next;
    uint32_t room;
    uint32_t items[];
};

struct stack {
    struct arena *arena;
    struct stack_chunk *first, *chunk; /* chunk: being filled; NULL: none yet */
    uint32_t used;                     /* of it */
};

struct stack_mark {
    struct stack_chunk *chunk;
    uint32_t used;
};

/* Not cleared. NULL: the arena is full. */
uint32_t *stack_take(struct stack *s, size_t count) must_check;

static inline struct stack_mark stack_mark(const struct stack *s) {
    return (struct stack_mark){s->chunk, s->used};
}

static inline void stack_release(struct stack *s, struct stack_mark mark) {
    s->chunk = mark.chunk;
    s->used = mark.used;
}

#endif

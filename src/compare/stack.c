#include "compare/stack.h"

#define CHUNK_MIN 2048

/* Powers of two: what does not fit the next chunk gets one before it, and all of them together stay
 * within twice the largest. */
static struct stack_chunk *add_chunk(struct stack *s, size_t count) {
    size_t room = CHUNK_MIN;
    while (room < count)
        room *= 2;
    struct stack_chunk *c = arena_alloc(s->arena, sizeof *c + room * sizeof *c->items);
    if (!c)
        return NULL;
    struct stack_chunk **link = s->chunk ? &s->chunk->next : &s->first;
    *c = (struct stack_chunk){.next = *link, .room = (uint32_t)room};
    *link = c;
    return c;
}

uint32_t *stack_take(struct stack *s, size_t count) {
    if (count > UINT32_MAX / 2)
        return NULL;
    if (!s->chunk || s->chunk->room - s->used < count) {
        struct stack_chunk *next = s->chunk ? s->chunk->next : s->first;
        if (!next || next->room < count)
            next = add_chunk(s, count);
        if (!next)
            return NULL;
        s->chunk = next;
        s->used = 0;
    }
    uint32_t *items = s->chunk->items + s->used;
    s->used += (uint32_t)count;
    return items;
}

#include "base/arena.h"

#include "base/mem.h"

#include <stdint.h>

#define BLOCK_MIN ((size_t)64 * 1024)
#define BLOCK_KEEP ((size_t)1024 * 1024)
#define ALIGN ((size_t)16)

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t fill;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *a, size_t max) {
    *a = (struct arena){.max = max};
}

static void free_chain(struct arena_block *b) {
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_release(struct arena *a) {
    free_chain(a->head);
    a->head = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a) {
    struct arena_block *keep = a->head;
    a->used = 0;
    if (!keep)
        return;
    free_chain(keep->next);
    keep->next = NULL;
    keep->fill = 0;
    if (keep->size > BLOCK_KEEP)
        arena_release(a);
}

static struct arena_block *add_block(struct arena *a, size_t need) {
    size_t size = a->head ? a->head->size * 2 : BLOCK_MIN;
    if (size > BLOCK_KEEP)
        size = BLOCK_KEEP;
    if (size < need)
        size = need;
    struct arena_block *b = mem_alloc(sizeof *b + size);
    *b = (struct arena_block){.next = a->head, .size = size};
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > a->max || a->used > a->max - size)
        return NULL;
    size_t rounded = (size + ALIGN - 1) & ~(ALIGN - 1);
    struct arena_block *b = a->head;
    if (!b || b->size - b->fill < rounded)
        b = add_block(a, rounded);
    void *p = b->bytes + b->fill;
    b->fill += rounded;
    a->used += size;
    return p;
}

struct span arena_copy(struct arena *a, struct span s) {
    char *p = arena_alloc(a, s.len + 1);
    if (!p)
        return (struct span){0};
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return span_make(p, s.len);
}

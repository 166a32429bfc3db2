#include "compare/walk.h"

#define TAKEN (UINT32_MAX - 1)

bool table_build(struct walk *w, uint32_t *hashes, uint32_t count, struct table *ret) {
    uint32_t size = 8;
    while (size < count)
        size *= 2;
    uint32_t *space = walk_take(w, (size_t)size + count);
    if (!space)
        return false;
    memset(space, 0xff, size * sizeof *space); /* TABLE_NONE */
    *ret = (struct table){space, space + size, hashes, size - 1, count};
    for (uint32_t i = count; i-- > 0;) {
        uint32_t *head = table_chain(ret, hashes[i]);
        ret->next[i] = *head;
        *head = i;
    }
    return true;
}

uint32_t table_take(struct table *t, uint32_t *link) {
    uint32_t i = *link;
    *link = t->next[i];
    t->next[i] = TAKEN;
    return i;
}

bool table_has(const struct table *t, uint32_t i) {
    return t->next[i] != TAKEN;
}

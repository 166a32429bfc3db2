#include "pipeline/resolve_batch.h"

#include "base/mem.h"

struct resolve_batch *resolve_batch_new(void) {
    struct resolve_batch *b = mem_alloc(sizeof *b);
    arena_init(&b->memory, RESOLVE_BATCH_MAX);
    b->count = 0;
    return b;
}

void resolve_batch_free(struct resolve_batch *b) {
    if (!b)
        return;
    arena_release(&b->memory);
    free(b);
}

size_t resolve_batch_weight(const struct resolve_batch *b) {
    return b->memory.used + b->count * sizeof *b->items;
}

bool resolve_batch_is_full(const struct resolve_batch *b) {
    return b->count == RESOLVE_BATCH_ITEMS || b->memory.used >= RESOLVE_BATCH_BYTES;
}

static bool copy(struct arena *a, const struct span *from, size_t count, const struct span **ret) {
    *ret = NULL;
    if (!from)
        return true;
    struct span *to = arena_alloc(a, count * sizeof *to);
    for (size_t i = 0; to && i < count; i++) {
        to[i] = arena_copy(a, from[i]);
        if (!to[i].ptr)
            return false;
    }
    *ret = to;
    return to != NULL;
}

int resolve_batch_add(struct resolve_batch *b, const struct resolve_item *item, struct err *err) {
    struct resolve_item *to = &b->items[b->count];
    *to = *item;
    if (!copy(&b->memory, item->join, item->node->join_count, &to->join) ||
        !copy(&b->memory, item->key, item->node->key_count, &to->key))
        return err_set(err, ERR_LIMIT, "key of %s.%s is larger than %zu bytes",
                       item->node->table->schema, item->node->table->name, RESOLVE_BATCH_MAX);
    b->count++;
    return 0;
}

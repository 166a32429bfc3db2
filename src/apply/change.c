#include "apply/change.h"

#include "base/mem.h"
#include "map/document.h"

struct change_batch *change_batch_new(void) {
    struct change_batch *b = mem_alloc(sizeof *b);
    arena_init(&b->memory, CHANGE_BATCH_MAX);
    b->count = 0;
    return b;
}

void change_batch_free(struct change_batch *b) {
    if (!b)
        return;
    arena_release(&b->memory);
    free(b);
}

size_t change_batch_weight(const struct change_batch *b) {
    return b->memory.used + b->count * sizeof *b->items;
}

bool change_batch_is_full(const struct change_batch *b) {
    return b->count == CHANGE_BATCH_ITEMS || b->memory.used >= CHANGE_BATCH_BYTES;
}

static bool copy_spans(struct arena *a, const struct span *from, size_t count,
                       const struct span **ret) {
    struct span *to = arena_alloc(a, count * sizeof *to);
    if (!to)
        return false;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        if (!from[i].ptr || row_is_unchanged(from[i]))
            continue;
        to[i] = arena_copy(a, from[i]);
        if (!to[i].ptr)
            return false;
    }
    *ret = to;
    return true;
}

int change_batch_add(struct change_batch *b, const struct change *change, size_t key_count,
                     size_t value_count, struct err *err) {
    struct change *c = &b->items[b->count];
    *c = *change;
    c->identity = arena_copy(&b->memory, change->identity);
    bool ok = c->identity.ptr != NULL;
    if (ok)
        ok = copy_spans(&b->memory, change->key, key_count, &c->key);
    if (ok && change->values)
        ok = copy_spans(&b->memory, change->values, value_count, &c->values);
    if (!ok)
        return err_set(err, ERR_LIMIT, "change is larger than %zu bytes", CHANGE_BATCH_MAX);
    b->count++;
    return 0;
}

#include "base/spanmap.h"

#include "base/mem.h"

#include <xxhash.h>

struct spanmap_slot {
    uint64_t hash;
    struct span key;
    uint32_t value;
    bool used;
};

#define FIRST_SLOTS 64

void spanmap_release(struct spanmap *m) {
    free(m->slots);
    *m = (struct spanmap){0};
}

void spanmap_clear(struct spanmap *m) {
    if (m->count && m->slots)
        memset(m->slots, 0, (m->mask + 1) * sizeof *m->slots);
    m->count = 0;
}

static struct spanmap_slot *find(const struct spanmap *m, struct span key, uint64_t hash) {
    size_t i = (size_t)hash & m->mask;
    while (m->slots[i].used && !(m->slots[i].hash == hash && span_eq(m->slots[i].key, key)))
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static void grow(struct spanmap *m) {
    struct spanmap old = *m;
    size_t slots = old.slots ? (old.mask + 1) * 2 : FIRST_SLOTS;
    m->slots = mem_zalloc(slots, sizeof *m->slots);
    m->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].used)
            *find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

uint32_t *spanmap_put(struct spanmap *m, struct span key, bool *ret_fresh) {
    if (!m->slots || m->count * 2 > m->mask)
        grow(m);
    uint64_t hash = XXH3_64bits(key.ptr, key.len);
    struct spanmap_slot *slot = find(m, key, hash);
    *ret_fresh = !slot->used;
    if (!slot->used) {
        *slot = (struct spanmap_slot){.hash = hash, .key = key, .used = true};
        m->count++;
    }
    return &slot->value;
}

const uint32_t *spanmap_get(const struct spanmap *m, struct span key) {
    if (!m->slots)
        return NULL;
    const struct spanmap_slot *slot = find(m, key, XXH3_64bits(key.ptr, key.len));
    return slot->used ? &slot->value : NULL;
}

#include "pipeline/keylist.h"

#include "base/mem.h"

void keylist_init(struct keylist *l) {
    *l = (struct keylist){0};
    arena_init(&l->memory, KEYLIST_BYTES);
}

void keylist_release(struct keylist *l) {
    arena_release(&l->memory);
    free(l->keys);
    *l = (struct keylist){0};
}

void keylist_begin(struct keylist *l, size_t width, size_t max) {
    arena_reset(&l->memory);
    l->width = width;
    l->max = max;
    l->count = 0;
    l->cut = false;
}

static bool copy(struct keylist *l, const struct span *key) {
    for (size_t i = 0; i < l->width; i++) {
        struct span text = arena_copy(&l->memory, key[i]);
        if (!text.ptr)
            return false;
        l->keys[l->count * l->width + i] = text;
    }
    return true;
}

int keylist_add(void *context, const struct span *key, struct err *err) {
    struct keylist *l = context;
    if (l->cut || l->count == l->max) {
        l->cut = true;
        return 0;
    }
    size_t needed = (l->count + 1) * l->width;
    if (needed > l->room) {
        l->room = needed * 2;
        l->keys = mem_realloc(l->keys, l->room, sizeof *l->keys);
    }
    if (copy(l, key)) {
        l->count++;
        return 0;
    }
    if (l->count == 0)
        return err_set(err, ERR_LIMIT, "a key is larger than %zu bytes", KEYLIST_BYTES);
    l->cut = true;
    return 0;
}

const struct span *keylist_at(const struct keylist *l, size_t i) {
    return l->keys + i * l->width;
}

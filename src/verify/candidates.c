#include "base/mem.h"
#include "verify/session.h"

#define MEMORY_MAX ((size_t)48 * 1024 * 1024)

void candidates_release(struct candidates *c) {
    arena_release(&c->memory);
    spanmap_release(&c->index);
    free(c->items);
    *c = (struct candidates){0};
}

static int full(struct err *err) {
    return err_set(err, ERR_LIMIT, "more than %d documents may differ; the comparison ends here",
                   VERIFY_CANDIDATES_MAX);
}

int candidates_add(struct candidates *c, struct span identity, const struct span *key,
                   size_t key_count, size_t bytes, struct err *err) {
    if (c->memory.max == 0)
        arena_init(&c->memory, MEMORY_MAX);
    if (spanmap_get(&c->index, identity))
        return 0;
    struct span *texts = key ? arena_alloc(&c->memory, key_count * sizeof *texts) : NULL;
    struct span kept = arena_copy(&c->memory, identity);
    bool ok = kept.ptr && (!key || texts);
    for (size_t i = 0; ok && key && i < key_count; i++) {
        texts[i] = arena_copy(&c->memory, key[i]);
        ok = texts[i].ptr != NULL;
    }
    if (!ok || c->count == VERIFY_CANDIDATES_MAX)
        return full(err);
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->items = mem_realloc(c->items, c->cap, sizeof *c->items);
    }
    bool fresh;
    *spanmap_put(&c->index, kept, &fresh) = (uint32_t)++c->count;
    c->items[c->count - 1] = (struct candidate){.identity = kept, .key = texts, .bytes = bytes};
    return 0;
}

int candidates_drop_equal(struct candidates *c, size_t key_count, struct err *err) {
    struct candidates fresh = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const struct candidate *old = &c->items[i];
        if (old->verdict == VERDICT_EQUAL)
            continue;
        rc = candidates_add(&fresh, old->identity, old->key, key_count, old->bytes, err);
        if (rc < 0)
            break;
        struct candidate *kept = &fresh.items[fresh.count - 1];
        kept->retyped = old->retyped;
        kept->rounds = old->rounds;
        kept->verdict = old->verdict;
    }
    struct candidates *gone = rc == 0 ? c : &fresh;
    struct candidates swapped = *gone;
    if (rc == 0)
        *c = fresh;
    candidates_release(&swapped);
    return rc;
}

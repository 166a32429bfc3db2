#include "admin/flagset.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void flagset_holder_init(struct flagset_holder *h) {
    pthread_mutex_init(&h->lock, NULL);
    h->current = NULL;
}

void flagset_holder_release(struct flagset_holder *h) {
    flagset_put(h->current);
    pthread_mutex_destroy(&h->lock);
}

struct flagset *flagset_get(struct flagset_holder *h) {
    pthread_mutex_lock(&h->lock);
    struct flagset *f = h->current;
    if (f)
        atomic_fetch_add_explicit(&f->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&h->lock);
    return f;
}

void flagset_put(struct flagset *f) {
    if (!f || atomic_fetch_sub(&f->references, 1) > 1)
        return;
    free(f->bytes);
    free(f->counts);
    free(f);
}

static void carry_counts(struct flagset *to, const struct flagset *from) {
    for (uint32_t i = 0; i < flags_count(&from->set); i++) {
        struct flags_info info;
        flags_describe(&from->set, i, &info);
        uint32_t there = flags_find(&to->set, info.name);
        if (there == FLAGS_NONE)
            continue;
        atomic_store(&to->counts[there].on, atomic_load(&from->counts[i].on));
        atomic_store(&to->counts[there].off, atomic_load(&from->counts[i].off));
    }
}

static int make(struct span blob, struct flagset **ret, struct err *err) {
    struct flagset *f = mem_zalloc(1, sizeof *f);
    f->bytes = mem_alloc(blob.len ? blob.len : 1); /* malloc's memory is 16-aligned */
    memcpy(f->bytes, blob.ptr, blob.len);
    atomic_init(&f->references, 1);
    int rc = flags_open(f->bytes, blob.len, &f->set, err);
    if (rc < 0) {
        flagset_put(f);
        return rc;
    }
    f->counts = mem_zalloc(flags_count(&f->set) + 1, sizeof *f->counts);
    (void)snprintf(f->etag, sizeof f->etag, "%016" PRIx64, XXH3_64bits(blob.ptr, blob.len));
    *ret = f;
    return 0;
}

int flagset_swap(struct flagset_holder *h, struct span blob, bool *ret_news, struct err *err) {
    struct flagset *fresh = NULL;
    int rc = make(blob, &fresh, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&h->lock);
    struct flagset *old = h->current;
    *ret_news = !old || strcmp(old->etag, fresh->etag) != 0;
    if (old)
        carry_counts(fresh, old);
    h->current = fresh;
    pthread_mutex_unlock(&h->lock);
    flagset_put(old);
    return 0;
}

void flagset_evaluate(const struct flagset *f, uint32_t flag, const struct flags_context *context,
                      struct flags_result *ret) {
    flags_evaluate(&f->set, flag, context, ret);
    if (flag < flags_count(&f->set))
        atomic_fetch_add_explicit(ret->on ? &f->counts[flag].on : &f->counts[flag].off, 1,
                                  memory_order_relaxed);
}

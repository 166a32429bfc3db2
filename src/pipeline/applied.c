#include "pipeline/applied.h"

#include "base/mem.h"

#include <pthread.h>

struct sample {
    int64_t time_us;
    lsn_t lsn;
};

struct applied {
    struct applied_hooks hooks;
    pthread_mutex_t lock; /* all below */
    int64_t wanted_until_us;
    lsn_t lsn;
    int64_t through_us;
    struct sample ring[APPLIED_SAMPLES_MAX];
    size_t head, count;
};

struct applied *applied_new(const struct applied_hooks *hooks) {
    struct applied *a = mem_zalloc(1, sizeof *a);
    if (hooks)
        a->hooks = *hooks;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void applied_free(struct applied *a) {
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- those who wait ---- */

void applied_want(struct applied *a, int64_t until_us) {
    pthread_mutex_lock(&a->lock);
    if (a->wanted_until_us < until_us)
        a->wanted_until_us = until_us;
    pthread_mutex_unlock(&a->lock);
}

int64_t applied_through_us(struct applied *a) {
    pthread_mutex_lock(&a->lock);
    int64_t through = a->through_us;
    pthread_mutex_unlock(&a->lock);
    return through;
}

/* ---- the receiver ---- */

bool applied_is_wanted(struct applied *a, int64_t now_us) {
    pthread_mutex_lock(&a->lock);
    bool wanted = now_us < a->wanted_until_us;
    pthread_mutex_unlock(&a->lock);
    return wanted || (a->hooks.is_wanted && a->hooks.is_wanted(a->hooks.context, now_us));
}

void applied_sample(struct applied *a, int64_t time_us, lsn_t lsn) {
    pthread_mutex_lock(&a->lock);
    if (a->count < APPLIED_SAMPLES_MAX)
        a->count++;
    a->ring[(a->head + a->count - 1) % APPLIED_SAMPLES_MAX] =
        (struct sample){.time_us = time_us, .lsn = lsn};
    pthread_mutex_unlock(&a->lock);
}

int64_t applied_advance(struct applied *a, lsn_t lsn) {
    pthread_mutex_lock(&a->lock);
    if (lsn > a->lsn)
        a->lsn = lsn;
    while (a->count && a->ring[a->head].lsn <= a->lsn) {
        a->through_us = a->ring[a->head].time_us;
        a->head = (a->head + 1) % APPLIED_SAMPLES_MAX;
        a->count--;
    }
    int64_t through = a->through_us;
    pthread_mutex_unlock(&a->lock);
    return through;
}

void applied_tell(struct applied *a, const char *module, int64_t through_us, int64_t now_us) {
    if (a->hooks.passed)
        a->hooks.passed(a->hooks.context, module, through_us, now_us);
}

#include "pipeline/applied.h"

#include "base/mem.h"

#include <pthread.h>
#include <time.h>

struct sample {
    int64_t time_us;
    lsn_t lsn;
};

struct applied {
    struct applied_hooks hooks;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t moved;
    int64_t wanted_until_us;
    lsn_t lsn;
    int64_t through_us;
    struct sample ring[APPLIED_SAMPLES_MAX];
    size_t head, count;
};

struct applied *applied_new(const struct applied_hooks *hooks) {
    struct applied *a = mem_zalloc(1, sizeof *a);
    pthread_condattr_t attributes;
    if (hooks)
        a->hooks = *hooks;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&a->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    return a;
}

void applied_free(struct applied *a) {
    if (!a)
        return;
    pthread_cond_destroy(&a->moved);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- those who wait ---- */

static bool has_passed(const struct applied *a, lsn_t lsn, int64_t since_us) {
    return a->lsn >= lsn && a->through_us >= since_us;
}

/* With the lock held. */
static void want(struct applied *a, int64_t until_us) {
    if (a->wanted_until_us < until_us)
        a->wanted_until_us = until_us;
}

static bool wait_for(struct applied *a, lsn_t lsn, int64_t since_us, int64_t deadline_us) {
    struct timespec until = {.tv_sec = deadline_us / 1000000,
                             .tv_nsec = deadline_us % 1000000 * 1000};
    pthread_mutex_lock(&a->lock);
    want(a, deadline_us);
    int rc = 0;
    while (rc == 0 && !has_passed(a, lsn, since_us))
        rc = pthread_cond_timedwait(&a->moved, &a->lock, &until);
    bool passed = has_passed(a, lsn, since_us);
    pthread_mutex_unlock(&a->lock);
    return passed;
}

bool applied_wait_lsn(struct applied *a, lsn_t lsn, int64_t deadline_us) {
    return wait_for(a, lsn, 0, deadline_us);
}

bool applied_wait_time(struct applied *a, int64_t since_us, int64_t deadline_us) {
    return wait_for(a, 0, since_us, deadline_us);
}

void applied_want(struct applied *a, int64_t until_us) {
    pthread_mutex_lock(&a->lock);
    want(a, until_us);
    pthread_mutex_unlock(&a->lock);
}

lsn_t applied_lsn(struct applied *a) {
    pthread_mutex_lock(&a->lock);
    lsn_t lsn = a->lsn;
    pthread_mutex_unlock(&a->lock);
    return lsn;
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
    bool moved = lsn > a->lsn;
    if (moved)
        a->lsn = lsn;
    while (a->count && a->ring[a->head].lsn <= a->lsn) {
        a->through_us = a->ring[a->head].time_us;
        a->head = (a->head + 1) % APPLIED_SAMPLES_MAX;
        a->count--;
        moved = true;
    }
    int64_t through = a->through_us;
    if (moved)
        pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
    return through;
}

void applied_tell(struct applied *a, const char *module, int64_t through_us, int64_t now_us) {
    if (a->hooks.passed)
        a->hooks.passed(a->hooks.context, module, through_us, now_us);
}

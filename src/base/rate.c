#include "base/rate.h"

#include "base/clock.h"

#define BURST_US 100000
/* A limit that is lifted is noticed within this time. */
#define LOOK_EVERY_US 100000

void rate_init(struct rate *r, int64_t per_second) {
    pthread_mutex_init(&r->lock, NULL);
    r->per_second = per_second;
    r->next_us = 0;
}

void rate_release(struct rate *r) {
    pthread_mutex_destroy(&r->lock);
}

void rate_set(struct rate *r, int64_t per_second) {
    pthread_mutex_lock(&r->lock);
    if (per_second != atomic_load(&r->per_second)) {
        atomic_store(&r->per_second, per_second);
        r->next_us = 0;
    }
    pthread_mutex_unlock(&r->lock);
}

/* When the writes may be made. */
static int64_t book(struct rate *r, int64_t n, int64_t now_us, int64_t *ret_per_second) {
    pthread_mutex_lock(&r->lock);
    int64_t per_second = *ret_per_second = atomic_load(&r->per_second);
    if (r->next_us < now_us - BURST_US)
        r->next_us = now_us - BURST_US;
    int64_t at = r->next_us;
    if (per_second > 0)
        r->next_us += n * 1000000 / per_second;
    pthread_mutex_unlock(&r->lock);
    return at;
}

bool rate_wait(struct rate *r, int64_t n, bool (*wait)(int64_t us)) {
    if (atomic_load(&r->per_second) <= 0)
        return false;
    int64_t now = clock_mono_us(), per_second;
    int64_t at = book(r, n, now, &per_second);
    while (now < at && atomic_load(&r->per_second) == per_second) {
        if (wait(at - now < LOOK_EVERY_US ? at - now : LOOK_EVERY_US))
            return true;
        now = clock_mono_us();
    }
    return false;
}

#include "base/rate.h"

#define BURST_US 100000

void rate_init(struct rate *r, int64_t per_second) {
    pthread_mutex_init(&r->lock, NULL);
    r->per_second = per_second;
    r->next_us = 0;
}

void rate_release(struct rate *r) {
    pthread_mutex_destroy(&r->lock);
}

void rate_set(struct rate *r, int64_t per_second) {
    atomic_store(&r->per_second, per_second);
}

int64_t rate_take(struct rate *r, int64_t n, int64_t now_us) {
    int64_t per_second = atomic_load(&r->per_second);
    if (per_second <= 0)
        return 0;
    pthread_mutex_lock(&r->lock);
    if (r->next_us < now_us - BURST_US)
        r->next_us = now_us - BURST_US;
    int64_t wait = r->next_us - now_us;
    r->next_us += n * 1000000 / per_second;
    pthread_mutex_unlock(&r->lock);
    return wait > 0 ? wait : 0;
}

#include "operation/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <time.h>

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    void (*close)(void *session);
    void **idle;
    size_t idle_count, taken, max, waiting, waiting_max;
};

struct pool *pool_new(size_t max, size_t waiting_max, void (*close)(void *session)) {
    struct pool *p = mem_zalloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->idle = mem_zalloc(max, sizeof *p->idle);
    p->max = max;
    p->waiting_max = waiting_max;
    p->close = close;
    return p;
}

void pool_free(struct pool *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->idle_count; i++)
        p->close(p->idle[i]);
    pthread_cond_destroy(&p->freed);
    pthread_mutex_destroy(&p->lock);
    free(p->idle);
    free(p);
}

/* With the lock. */
static void wait_for_place(struct pool *p, int64_t until_us) {
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    p->waiting++;
    while (p->taken == p->max)
        if (pthread_cond_timedwait(&p->freed, &p->lock, &until) != 0)
            break;
    p->waiting--;
}

bool pool_take(struct pool *p, int64_t until_us, void **ret_session) {
    pthread_mutex_lock(&p->lock);
    if (p->taken == p->max && p->waiting < p->waiting_max)
        wait_for_place(p, until_us);
    bool got = p->taken < p->max;
    if (got) {
        p->taken++;
        *ret_session = p->idle_count ? p->idle[--p->idle_count] : NULL;
    }
    pthread_mutex_unlock(&p->lock);
    return got;
}

void pool_put(struct pool *p, void *session) {
    pthread_mutex_lock(&p->lock);
    p->taken--;
    if (session)
        p->idle[p->idle_count++] = session;
    pthread_cond_signal(&p->freed);
    pthread_mutex_unlock(&p->lock);
}

size_t pool_in_use(struct pool *p) {
    pthread_mutex_lock(&p->lock);
    size_t n = p->taken + p->idle_count;
    pthread_mutex_unlock(&p->lock);
    return n;
}

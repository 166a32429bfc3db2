#include "base/queue.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct entry {
    void *item;
    size_t weight;
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained; /* consumers, producers wait for */
    struct entry *ring;
    size_t max_items, max_weight;
    size_t head, length, weight;
    uint64_t pushed;
    bool closed;
};

struct queue *queue_new(size_t max_items, size_t max_weight) {
    struct queue *q = mem_zalloc(1, sizeof *q);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&q->filled, &attributes);
    pthread_cond_init(&q->drained, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&q->lock, NULL);
    q->ring = mem_zalloc(max_items, sizeof *q->ring);
    q->max_items = max_items;
    q->max_weight = max_weight;
    return q;
}

void queue_free(struct queue *q) {
    if (!q)
        return;
    pthread_cond_destroy(&q->filled);
    pthread_cond_destroy(&q->drained);
    pthread_mutex_destroy(&q->lock);
    free(q->ring);
    free(q);
}

static struct timespec deadline_after(int64_t wait_us) {
    int64_t at = clock_mono_us() + wait_us;
    return (struct timespec){.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
}

static bool has_room(const struct queue *q, size_t weight) {
    if (q->length == 0)
        return true;
    return q->length < q->max_items && weight <= q->max_weight &&
           q->weight <= q->max_weight - weight;
}

static enum queue_result put(struct queue *q, void *item, size_t weight, int64_t wait_us) {
    struct timespec deadline = deadline_after(wait_us);
    enum queue_result result = QUEUE_OK;
    pthread_mutex_lock(&q->lock);
    while (!q->closed && !has_room(q, weight) && result == QUEUE_OK)
        if (pthread_cond_timedwait(&q->drained, &q->lock, &deadline) == ETIMEDOUT)
            result = has_room(q, weight) ? QUEUE_OK : QUEUE_TIMEOUT;
    if (q->closed)
        result = QUEUE_CLOSED;
    if (result == QUEUE_OK) {
        q->ring[(q->head + q->length) % q->max_items] = (struct entry){item, weight};
        q->length++;
        q->weight += weight;
        q->pushed++;
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

enum queue_result queue_push(struct queue *q, void *item, size_t weight, int64_t wait_us) {
    enum queue_result result = put(q, item, weight, wait_us);
    /* One item is for one consumer: waking all of them costs more than most items. Behind the lock,
     * or who wakes runs into it at once. */
    if (result == QUEUE_OK)
        pthread_cond_signal(&q->filled);
    return result;
}

enum queue_result queue_pop(struct queue *q, void **ret_item, int64_t wait_us) {
    struct timespec deadline = deadline_after(wait_us);
    enum queue_result result = QUEUE_OK;
    pthread_mutex_lock(&q->lock);
    while (q->length == 0 && !q->closed && result == QUEUE_OK)
        if (wait_us <= 0 || pthread_cond_timedwait(&q->filled, &q->lock, &deadline) == ETIMEDOUT)
            result = QUEUE_TIMEOUT;
    if (q->length) {
        result = QUEUE_OK;
        *ret_item = q->ring[q->head].item;
        q->weight -= q->ring[q->head].weight;
        q->head = (q->head + 1) % q->max_items;
        q->length--;
    } else if (q->closed) {
        result = QUEUE_CLOSED;
    }
    pthread_mutex_unlock(&q->lock);
    /* All producers: items have weights, and who was waiting first may need more room. */
    if (result == QUEUE_OK)
        pthread_cond_broadcast(&q->drained);
    return result;
}

void queue_close(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
}

uint64_t queue_pushed(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    uint64_t n = q->pushed;
    pthread_mutex_unlock(&q->lock);
    return n;
}

size_t queue_length(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    size_t n = q->length;
    pthread_mutex_unlock(&q->lock);
    return n;
}

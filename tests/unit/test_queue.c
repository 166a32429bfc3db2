/* The bounded queue: everything arrives once, waits end, nobody is forgotten. */
#include "base/queue.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define FOREVER (60 * SECOND)

enum { PRODUCERS = 4, CONSUMERS = 8, ITEMS = 20000 };

struct crowd {
    struct queue *q;
    atomic_int next;
    atomic_int seen[PRODUCERS * ITEMS]; /* the items themselves */
    atomic_int late;                    /* waits that ended without an item */
};

static char some[4];

static void *item(int number) {
    return &some[number];
}

static void *produce(void *argument) {
    struct crowd *c = argument;
    int first = atomic_fetch_add(&c->next, 1) * ITEMS;
    for (int i = first; i < first + ITEMS; i++)
        if (queue_push(c->q, &c->seen[i], 1 + (size_t)i % 5, FOREVER) != QUEUE_OK)
            atomic_fetch_add(&c->late, 1);
    return NULL;
}

static void *consume(void *argument) {
    struct crowd *c = argument;
    void *got;
    enum queue_result result;
    while ((result = queue_pop(c->q, &got, FOREVER)) != QUEUE_CLOSED) {
        if (result == QUEUE_OK)
            atomic_fetch_add((atomic_int *)got, 1);
        else
            atomic_fetch_add(&c->late, 1);
    }
    return NULL;
}

/* A wake-up that got lost would let somebody wait for a minute. */
static void everything_arrives_once(void **state) {
    (void)state;
    static struct crowd c;
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    int64_t start = clock_mono_us();
    c.q = queue_new(4, 7); /* so small that both ends wait all the time */
    for (int i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, &c), 0);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &c), 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i], NULL);
    queue_close(c.q);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i], NULL);
    assert_int_equal(atomic_load(&c.late), 0);
    for (int i = 0; i < PRODUCERS * ITEMS; i++)
        assert_int_equal(atomic_load(&c.seen[i]), 1);
    assert_int_equal(queue_pushed(c.q), PRODUCERS * ITEMS);
    assert_true(clock_mono_us() - start < 50 * SECOND);
    queue_free(c.q);
}

struct one {
    struct queue *q;
    void *got;
    int64_t took_us;
    enum queue_result result;
};

static void *pop_one(void *argument) {
    struct one *o = argument;
    int64_t start = clock_mono_us();
    o->result = queue_pop(o->q, &o->got, 10 * SECOND);
    o->took_us = clock_mono_us() - start;
    return NULL;
}

static void wait_ms(int ms) {
    int64_t until = clock_mono_us() + ms * 1000;
    struct queue *nothing = queue_new(1, 1);
    void *got;
    assert_int_equal(queue_pop(nothing, &got, until - clock_mono_us()), QUEUE_TIMEOUT);
    queue_free(nothing);
}

static void one_item_is_always_accepted(void **state) {
    (void)state;
    struct queue *q = queue_new(2, 10);
    void *got;
    assert_int_equal(queue_push(q, item(1), 100, 0), QUEUE_OK);
    assert_int_equal(queue_push(q, item(2), 1, 0), QUEUE_TIMEOUT);
    assert_int_equal(queue_pop(q, &got, 0), QUEUE_OK);
    assert_int_equal(queue_push(q, item(2), 9, 0), QUEUE_OK);
    assert_int_equal(queue_push(q, item(3), 2, 0), QUEUE_TIMEOUT);
    assert_int_equal(queue_push(q, item(3), 1, 0), QUEUE_OK);
    queue_free(q);
}

static void closing_ends_every_wait(void **state) {
    (void)state;
    struct one waiting[3];
    pthread_t threads[3];
    struct queue *q = queue_new(1, 1);
    for (int i = 0; i < 3; i++) {
        waiting[i] = (struct one){.q = q};
        assert_int_equal(pthread_create(&threads[i], NULL, pop_one, &waiting[i]), 0);
    }
    wait_ms(100);
    queue_close(q);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiting[i].result, QUEUE_CLOSED);
        assert_true(waiting[i].took_us < 9 * SECOND);
    }
    queue_free(q);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_arrives_once),
                                       cmocka_unit_test(one_item_is_always_accepted),
                                       cmocka_unit_test(closing_ends_every_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

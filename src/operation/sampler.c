#include "operation/sampler.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"

#include <stdlib.h>

#define THREADS_MAX 64 /* of a side */
#define NAP_US 500
#define NAPS_IDLE 100 /* without a call, until it sleeps */
#define WAIT_US 1000000

struct module_budget {
    pthread_mutex_t lock;
    int under_way;
    double tokens; /* samples that may start now */
    int64_t filled_us;
};

struct side_threads {
    struct sampler *sampler;
    struct queue *queue; /* struct call, with a reference each */
    pthread_mutex_t lock;
    pthread_t threads[THREADS_MAX];
    size_t started, max;
    atomic_size_t idle;
};

struct sampler {
    struct operations *ops;
    struct queue *later; /* struct call, with a reference each: see pace_main */
    pthread_mutex_t lock;
    pthread_t pacer;
    bool paced; /* it has been started */
    struct side_threads sides[OPERATION_SIDES];
    struct module_budget *budgets; /* by module */
};

size_t sampler_threads(const struct conf *conf) {
    size_t all = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        if (conf->modules[i].operation_count)
            all += (size_t)conf->modules[i].budget.concurrent;
    return all < 1 ? 1 : all < THREADS_MAX ? all : THREADS_MAX;
}

/* ---- budgets ---- */

static const char *budget_take(struct sampler *s, const struct compiled *c) {
    const struct conf_budget *budget = &c->module->budget;
    struct module_budget *b = &s->budgets[c->module_number];
    int64_t now = clock_mono_us();
    const char *why = NULL;
    pthread_mutex_lock(&b->lock);
    b->tokens += (double)(now - b->filled_us) * budget->per_second / 1e6;
    if (b->tokens > budget->per_second)
        b->tokens = budget->per_second;
    b->filled_us = now;
    if (b->tokens < 1)
        why = "budget";
    else if (b->under_way >= budget->concurrent)
        why = "busy";
    if (!why) {
        b->tokens -= 1;
        b->under_way++;
    }
    pthread_mutex_unlock(&b->lock);
    return why;
}

static void budget_put(struct sampler *s, const struct compiled *c) {
    struct module_budget *b = &s->budgets[c->module_number];
    pthread_mutex_lock(&b->lock);
    b->under_way--;
    pthread_mutex_unlock(&b->lock);
}

/* ---- threads ---- */

/* Both have ended. What rescued the call stands where the sample's answer would. */
static void hand_over(struct sampler *s, struct call *call) {
    const struct operation_observer *o = &s->ops->config.observer;
    struct operation_answer *place = &call->public.answers[call->sampled_side];
    if (place->outcome == OPERATION_NOT_ASKED) {
        *place = call->sample;
        call->sample = (struct operation_answer){0};
    }
    if (o->compared)
        o->compared(o->context, &call->public);
    budget_put(s, call->compiled);
    operation_call_unref(&call->public);
}

static void ask(struct sampler *s, struct call *call) {
    struct compiled *c = call->compiled;
    bool mongodb = call->sampled_side == ROUTE_MONGODB, trial = false;
    const struct conf_fallback *f = &c->conf->fallback;
    int64_t now = clock_mono_us();
    if (mongodb && breaker_is_open(&c->breaker, f, now, &trial)) {
        (void)err_set(&call->sample.err, ERR_BUSY, "MongoDB failed too often just now");
        call->sample.outcome = OPERATION_CONNECT;
        return;
    }
    const struct side_times times = {now + c->conf->timeout_us, now + c->conf->timeout_us, true};
    call_ask(s->ops, c, &call->values, call->sampled_side, &times, &call->sample);
    if (mongodb)
        breaker_count(&c->breaker, f, operation_is_failure(call->sample.outcome), trial,
                      clock_mono_us());
}

static void do_part(struct sampler *s, struct call *call) {
    if (atomic_load(&call->parts) > 0) { /* else both have ended */
        ask(s, call);
        if (atomic_fetch_sub(&call->parts, 1) > 1)
            return; /* the caller's part brings it back */
    }
    hand_over(s, call);
}

static void *side_main(void *argument) {
    struct side_threads *t = argument;
    void *item;
    thread_make_way(); /* for who answers */
    for (;;) {
        atomic_fetch_add(&t->idle, 1);
        enum queue_result result = queue_pop(t->queue, &item, WAIT_US);
        atomic_fetch_sub(&t->idle, 1);
        if (result == QUEUE_CLOSED)
            return NULL;
        if (result != QUEUE_OK)
            continue;
        do_part(t->sampler, item);
    }
}

/* One thread more where nobody is free; false: there is none at all. */
static bool have_thread(struct side_threads *t) {
    pthread_mutex_lock(&t->lock);
    if (t->started < t->max && atomic_load(&t->idle) <= queue_length(t->queue) &&
        thread_start(&t->threads[t->started], side_main, t))
        t->started++;
    bool any = t->started > 0;
    pthread_mutex_unlock(&t->lock);
    return any;
}

static void pass_on(struct sampler *s, struct call *call) {
    struct side_threads *t = &s->sides[call->sampled_side];
    /* There is room for all that budgets let through. */
    if (!have_thread(t) || queue_push(t->queue, call, 1, 0) != QUEUE_OK)
        do_part(s, call);
}

/* Between who answers and the threads of the sides: takes what has come twice in a millisecond.
 * While it naps nobody waits in its queue, so who answers wakes nobody, and what is done for the
 * sample does not begin just when the answer is on its way. */
static void *pace_main(void *argument) {
    struct sampler *s = argument;
    int naps = 0;
    thread_make_way();
    for (;;) {
        void *item;
        switch (queue_pop(s->later, &item, naps < NAPS_IDLE ? 0 : WAIT_US)) {
        case QUEUE_OK:
            naps = 0;
            pass_on(s, item);
            break;
        case QUEUE_TIMEOUT:
            if (naps < NAPS_IDLE)
                clock_sleep(NAP_US);
            naps += naps < NAPS_IDLE;
            break;
        case QUEUE_CLOSED:
            return NULL;
        }
    }
}

static bool have_pacer(struct sampler *s) {
    pthread_mutex_lock(&s->lock);
    s->paced = s->paced || thread_start(&s->pacer, pace_main, s);
    bool paced = s->paced;
    pthread_mutex_unlock(&s->lock);
    return paced;
}

const char *sampler_start(struct sampler *s, struct call *call) {
    const char *why = budget_take(s, call->compiled);
    if (why)
        return why;
    (void)operation_call_ref(&call->public);
    atomic_store(&call->parts, 2);
    if (have_pacer(s) && queue_push(s->later, call, 1, 0) == QUEUE_OK)
        return NULL;
    atomic_store(&call->parts, 0);
    budget_put(s, call->compiled);
    operation_call_unref(&call->public);
    return "busy";
}

void sampler_caller_ended(struct sampler *s, struct call *call) {
    if (atomic_fetch_sub(&call->parts, 1) > 1)
        return;
    if (queue_push(s->later, call, 1, 0) != QUEUE_OK)
        hand_over(s, call);
}

struct sampler *sampler_new(struct operations *ops) {
    const struct conf *conf = ops->config.conf;
    struct sampler *s = mem_zalloc(1, sizeof *s);
    size_t room = 1;
    s->ops = ops;
    s->budgets = mem_zalloc(conf->module_count + 1, sizeof *s->budgets);
    for (size_t i = 0; i < conf->module_count; i++) {
        pthread_mutex_init(&s->budgets[i].lock, NULL);
        s->budgets[i].tokens = conf->modules[i].budget.per_second;
        s->budgets[i].filled_us = clock_mono_us();
        room += (size_t)conf->modules[i].budget.concurrent;
    }
    s->later = queue_new(room, room);
    pthread_mutex_init(&s->lock, NULL);
    for (int side = 0; side < OPERATION_SIDES; side++) {
        struct side_threads *t = &s->sides[side];
        t->sampler = s;
        t->max = sampler_threads(conf);
        t->queue = queue_new(room, room);
        pthread_mutex_init(&t->lock, NULL);
    }
    return s;
}

void sampler_free(struct sampler *s) {
    if (!s)
        return;
    queue_close(s->later);
    if (s->paced)
        pthread_join(s->pacer, NULL);
    queue_free(s->later);
    pthread_mutex_destroy(&s->lock);
    for (int side = 0; side < OPERATION_SIDES; side++) {
        struct side_threads *t = &s->sides[side];
        queue_close(t->queue);
        for (size_t i = 0; i < t->started; i++)
            pthread_join(t->threads[i], NULL);
        queue_free(t->queue);
        pthread_mutex_destroy(&t->lock);
    }
    for (size_t i = 0; i < s->ops->config.conf->module_count; i++)
        pthread_mutex_destroy(&s->budgets[i].lock);
    free(s->budgets);
    free(s);
}

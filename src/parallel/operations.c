/*
 * What operations tell of their calls: which are sampled, what a client waited for, and both sides'
 * answers, which are compared in the thread that they have for samples.
 */
#include "base/mem.h"
#include "parallel/core.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHTS 4096 /* calls that can be under way and sampled */

/* The weight of a call, from when it is sampled to when it is compared. One that another took the
 * place of counts for itself only. */
struct weights {
    pthread_mutex_t lock;
    struct {
        uint64_t id, weight;
    } calls[WEIGHTS];
};

struct weights *weights_new(void) {
    struct weights *w = mem_zalloc(1, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

void weights_free(struct weights *w) {
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void keep_weight(struct weights *w, uint64_t id, uint64_t weight) {
    pthread_mutex_lock(&w->lock);
    w->calls[id % WEIGHTS].id = id;
    w->calls[id % WEIGHTS].weight = weight;
    pthread_mutex_unlock(&w->lock);
}

static uint64_t take_weight(struct weights *w, uint64_t id) {
    pthread_mutex_lock(&w->lock);
    uint64_t weight =
        w->calls[id % WEIGHTS].id == id ? w->calls[id % WEIGHTS].weight : SAMPLING_ONE;
    pthread_mutex_unlock(&w->lock);
    return weight;
}

static bool sample(void *context, const struct operation_call *call) {
    struct parallel *p = context;
    struct subject *s = subjects_operation(&p->subjects, call->operation);
    uint64_t weight = SAMPLING_ONE;
    if (!s || atomic_load(&p->stop))
        return false;
    uint32_t share = (uint32_t)(s->compare->sample / 100 * SAMPLING_ONE + 0.5);
    if (sampling_take(&s->sampled, share, span_make(&call->id, sizeof call->id), call->at_us,
                      &weight) == SAMPLING_NO)
        return false;
    keep_weight(p->weights, call->id, weight);
    return true;
}

static void count_side(struct subject *s, const struct operation_call *call, enum route_side side) {
    const struct operation_answer *a = &call->answers[side];
    tally_add(&s->tally, TALLY_CALLS + (int)side, 1);
    tally_add(&s->tally, TALLY_ERRORS + (int)side, operation_is_failure(a->outcome));
    obs_histogram_add(&s->tally.calls_us[side], a->took_us);
}

/* A rescued call is one on each side. */
static void answered(void *context, const struct operation_call *call) {
    struct parallel *p = context;
    struct subject *s = subjects_operation(&p->subjects, call->operation);
    if (!s)
        return;
    count_side(s, call, call->answered);
    if (!call->rescued)
        return;
    count_side(s, call, call->decision.side);
    tally_add(&s->tally, TALLY_RESCUED + (int)call->decision.side, 1);
}

static void compared(void *context, struct operation_call *call) {
    struct parallel *p = context;
    struct subject *s = subjects_operation(&p->subjects, call->operation);
    if (!s)
        return;
    enum route_side other = other_side(call->answered);
    const struct operation_answer *a = &call->answers[other];
    if (!call->rescued && a->outcome != OPERATION_NOT_ASKED)
        tally_shadow(&s->tally, other, operation_is_failure(a->outcome), a->took_us);
    work_on_operation(p, sample_of_operation(s, call, take_weight(p->weights, call->id)));
}

static void dropped(void *context, const struct operation_call *call, const char *reason) {
    struct parallel *p = context;
    struct subject *s = subjects_operation(&p->subjects, call->operation);
    bool budget = strcmp(reason, "budget") == 0;
    if (s)
        tally_add(&s->tally,
                  TALLY_NOT_COMPARED + (int)(budget ? NOT_COMPARED_BUDGET : NOT_COMPARED_FULL), 1);
}

struct operation_observer parallel_observer(struct parallel *p) {
    return (struct operation_observer){.context = p,
                                       .sample = sample,
                                       .answered = answered,
                                       .compared = compared,
                                       .dropped = dropped};
}

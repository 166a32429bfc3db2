#include "operation/call.h"

#include "base/clock.h"
#include "base/mem.h"
#include "operation/sampler.h"

#include <stdlib.h>
#include <sys/random.h>

/* ---- life ---- */

struct operation_call *operation_call_ref(const struct operation_call *view) {
    struct call *call = (struct call *)view; /* made by call_new, never really const */
    atomic_fetch_add(&call->references, 1);
    return &call->public;
}

void operation_call_unref(struct operation_call *view) {
    struct call *call = (struct call *)view;
    if (!call || atomic_fetch_sub(&call->references, 1) > 1)
        return;
    for (int side = 0; side < OPERATION_SIDES; side++)
        operation_answer_release(&call->public.answers[side]);
    operation_answer_release(&call->sample);
    arena_release(&call->arena);
    free(call);
}

static struct span keep(struct call *call, struct span text) {
    return text.len ? arena_copy(&call->arena, text) : (struct span){0};
}

static struct call *call_new(struct operations *ops, struct compiled *c,
                             const struct operation_request *request) {
    struct call *call = mem_zalloc(1, sizeof *call);
    uint64_t id;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        id = (uint64_t)clock_mono_us() * UINT64_C(0x9e3779b97f4a7c15);
    call->ops = ops;
    call->compiled = c;
    atomic_init(&call->references, 1);
    arena_init(&call->arena, 16 * (size_t)OPERATION_REQUEST_MAX);
    call->public = (struct operation_call){.module = c->module,
                                           .operation = c->conf,
                                           .id = id,
                                           .at_us = clock_wall_us(),
                                           .params = keep(call, request->params)};
    if (request->who) {
        call->public.user = keep(call, request->who->user);
        call->public.tenant = keep(call, request->who->tenant);
    }
    return call;
}

/* ---- one side ---- */

void call_ask(struct operations *ops, struct compiled *c, const struct params *p,
              enum route_side side, const struct side_times *times, struct operation_answer *ret) {
    struct compiled_side *counts = &c->sides[side];
    if (side == ROUTE_SQL)
        side_sql_ask(ops->sql, c, p, times, ret);
    else
        side_mongodb_ask(ops->mongodb, c, p, times, ret);
    if (times->sample) {
        atomic_fetch_add(&counts->samples, 1);
        return;
    }
    atomic_fetch_add(&counts->calls, 1);
    atomic_fetch_add(&counts->outcomes[ret->outcome], 1);
    obs_histogram_add(counts->took, ret->took_us);
}

/* For a call that its caller waits for. */
static void ask(struct call *call, enum route_side side, bool guarded) {
    const struct compiled *c = call->compiled;
    const struct conf_fallback *f = &c->conf->fallback;
    int64_t now = clock_mono_us(), timeout = c->conf->timeout_us;
    struct side_times times = {now + timeout, now + timeout, false};
    if (guarded && f->timeout_us < timeout)
        times.session_us = times.until_us = now + f->timeout_us;
    if (guarded && f->connect_us < times.until_us - now)
        times.session_us = now + f->connect_us;
    call_ask(call->ops, call->compiled, &call->values, side, &times, &call->public.answers[side]);
}

/* ---- who answers ---- */

struct plan {
    struct route_decision decision;
    bool trial;      /* of the breaker */
    bool to_mongodb; /* MongoDB may answer where SQL fails */
};

static void decide(struct call *call, const struct operation_request *request, struct plan *ret) {
    struct compiled *c = call->compiled;
    const struct operations_config *config = &call->ops->config;
    struct operation_routing routing = {0};
    static const struct flags_context nobody;
    config->route(config->route_context, c->module, request->who ? request->who : &nobody,
                  &routing);
    struct route_question q = {.reads = routing.reads,
                               .writes = routing.writes,
                               .is_read = true,
                               .known = routing.known,
                               .flag_on = routing.flag_on,
                               .may_fall_back = c->conf->fallback.enabled && routing.fallback &&
                                                routing.writes != WRITES_MONGODB};
    bool wanted = q.reads == READS_MONGODB || (q.reads == READS_FLAG && q.flag_on);
    if (q.known && wanted && q.may_fall_back)
        q.breaker_open =
            breaker_is_open(&c->breaker, &c->conf->fallback, clock_mono_us(), &ret->trial);
    ret->decision = route_decide(&q);
    ret->to_mongodb = c->conf->fallback.enabled && routing.fallback && routing.caught_up &&
                      q.reads != READS_SQL && !q.breaker_open && q.known;
}

static bool covers(const struct conf_fallback *f, enum operation_outcome outcome) {
    if (outcome == OPERATION_OK)
        return false;
    for (size_t i = 0; i < f->on.count; i++)
        if (strcmp(f->on.items[i].text, operation_outcome_name(outcome)) == 0)
            return true;
    return f->on.count == 0;
}

/* The other side, in the place of one that failed. */
static void rescue(struct call *call, enum route_side from) {
    enum route_side to = from == ROUTE_SQL ? ROUTE_MONGODB : ROUTE_SQL;
    struct operation_answer *answers = call->public.answers;
    ask(call, to, false);
    call->public.fell_back = true;
    /* "No row" is an answer; where the other side cannot even say that, it stands. */
    if (operation_is_failure(answers[to].outcome))
        return;
    call->public.answered = to;
    call->public.rescued = true;
    atomic_fetch_add(&call->compiled->sides[from].rescued, 1);
}

static void answer_by_mongodb(struct call *call, const struct plan *plan) {
    struct compiled *c = call->compiled;
    const struct operation_answer *a = &call->public.answers[ROUTE_MONGODB];
    const struct conf_fallback *f = &c->conf->fallback;
    ask(call, ROUTE_MONGODB, plan->decision.guarded);
    /* Where nobody may stand in, nobody asks the breaker, and it could not close again. */
    if (plan->decision.guarded || plan->trial)
        breaker_count(&c->breaker, f, operation_is_failure(a->outcome), plan->trial,
                      clock_mono_us());
    if (plan->decision.guarded && covers(f, a->outcome) && breaker_take_over(&c->breaker))
        rescue(call, ROUTE_MONGODB);
}

static void answer_by_sql(struct call *call, const struct plan *plan) {
    const struct operation_answer *a = &call->public.answers[ROUTE_SQL];
    ask(call, ROUTE_SQL, false);
    if (plan->to_mongodb && operation_is_failure(a->outcome) &&
        covers(&call->compiled->conf->fallback, a->outcome))
        rescue(call, ROUTE_SQL);
}

/* ---- samples ---- */

static void start_sample(struct call *call) {
    const struct operation_observer *o = &call->ops->config.observer;
    struct compiled *c = call->compiled;
    if (!call->public.decision.sampled || !o->sample || !o->sample(o->context, &call->public))
        return;
    call->sampled_side = call->public.decision.side == ROUTE_SQL ? ROUTE_MONGODB : ROUTE_SQL;
    const char *why = sampler_start(call->ops->sampler, call);
    call->public.both = !why;
    if (!why)
        return;
    atomic_fetch_add(strcmp(why, "busy") == 0 ? &c->dropped_busy : &c->dropped_budget, 1);
    if (o->dropped)
        o->dropped(o->context, &call->public, why);
}

/* ---- a call ---- */

static void answer(struct call *call, const struct operation_request *request) {
    const struct operation_observer *o = &call->ops->config.observer;
    struct plan plan = {0};
    if (request->side >= 0) {
        call->public.decision = (struct route_decision){.side = (enum route_side)request->side,
                                                        .reason = ROUTE_BY_SETTING};
        call->public.answered = (enum route_side)request->side;
        ask(call, call->public.answered, false);
        return;
    }
    decide(call, request, &plan);
    call->public.decision = plan.decision;
    call->public.answered = plan.decision.side;
    start_sample(call);
    if (plan.decision.side == ROUTE_MONGODB)
        answer_by_mongodb(call, &plan);
    else
        answer_by_sql(call, &plan);
    if (o->answered)
        o->answered(o->context, &call->public);
    if (call->public.both)
        sampler_caller_ended(call->ops->sampler, call);
}

int operations_call(struct operations *ops, const char *name,
                    const struct operation_request *request, struct operation_call **ret_call,
                    struct err *err) {
    const uint32_t *number = spanmap_get(&ops->by_name, span_of(name));
    if (!number)
        return err_set(err, ERR_NO, "there is no operation '%.128s'", name);
    if (request->params.len > OPERATION_REQUEST_MAX)
        return err_set(err, ERR_USAGE, "the parameters have more than %d KiB",
                       OPERATION_REQUEST_MAX / 1024);
    struct compiled *c = &ops->items[*number];
    struct call *call = call_new(ops, c, request);
    int rc = params_read(c->conf, &ops->config.conf->types, call->public.params, &call->arena,
                         &call->values, err);
    if (rc < 0) {
        operation_call_unref(&call->public);
        return rc;
    }
    answer(call, request);
    *ret_call = &call->public;
    return 0;
}

void operations_ask(struct operations *ops, const struct operation_call *view, enum route_side side,
                    struct operation_answer *ret) {
    const struct call *call = (const struct call *)view;
    int64_t until = clock_mono_us() + call->compiled->conf->timeout_us;
    const struct side_times times = {until, until, true};
    *ret = (struct operation_answer){0};
    call_ask(ops, call->compiled, &call->values, side, &times, ret);
}

/* When MongoDB is left alone: one slot a route in memory that all workers share. */
#include "banyan.h"

#define WINDOW_MAX 64 /* bits of the window: limits.of is at most this */
#define TOKEN 10000   /* a call, in hundredths of a percent of it: what limits.budget is in */
#define BURST 100     /* calls that may be taken over at once, whatever the percentage */

typedef struct {
    ngx_atomic_t lock;
    uint64_t failed; /* one bit a call, the newest lowest */
    ngx_uint_t calls;
    ngx_msec_t open_until;
    ngx_uint_t open;
    ngx_uint_t trying; /* the trial is under way */
    ngx_msec_t trying_since;
    ngx_int_t tokens;
} slot_t;

static slot_t *slot_of(banyan_main_conf_t *conf, const banyan_route_t *route) {
    return (slot_t *)banyan_shared(conf)->breakers + route->number;
}

static void lock(slot_t *s) {
    banyan_lock(&s->lock);
}

static void unlock(slot_t *s) {
    banyan_unlock(&s->lock);
}

void *banyan_breakers_new(ngx_slab_pool_t *pool) {
    return ngx_slab_calloc(pool, BANYAN_ROUTES_MAX * sizeof(slot_t));
}

void banyan_breaker_begin_anew(banyan_shared_t *shared, ngx_uint_t number) {
    slot_t *s = (slot_t *)shared->breakers + number;
    lock(s);
    s->failed = 0;
    s->calls = s->open = s->trying = 0;
    s->tokens = (ngx_int_t)BURST * TOKEN;
    unlock(s);
}

static ngx_uint_t is_past(ngx_msec_t at) {
    return (ngx_msec_int_t)(ngx_current_msec - at) >= 0;
}

ngx_uint_t banyan_breaker_is_open(banyan_main_conf_t *conf, const banyan_route_t *route,
                                  ngx_uint_t *trial) {
    slot_t *s = slot_of(conf, route);
    if (!s->open) /* a word: the common case takes no lock */
        return 0;
    lock(s);
    ngx_uint_t lost = s->trying && is_past(s->trying_since + route->limits.open);
    if (s->open && is_past(s->open_until) && (!s->trying || lost)) {
        s->trying = 1;
        s->trying_since = ngx_current_msec;
        *trial = 1;
    }
    ngx_uint_t open = s->open && !*trial;
    unlock(s);
    return open;
}

static void end_trial(slot_t *s, const banyan_route_t *route, ngx_uint_t failed) {
    s->trying = 0;
    s->open = failed;
    s->open_until = ngx_current_msec + route->limits.open;
    s->failed = 0;
    s->calls = 0;
}

static void add_call(slot_t *s, const banyan_route_t *route, ngx_uint_t failed) {
    ngx_uint_t of = route->limits.of;
    uint64_t window = of >= WINDOW_MAX ? UINT64_MAX : (UINT64_C(1) << of) - 1;
    s->failed = ((s->failed << 1) | failed) & window;
    s->calls += s->calls < of;
    ngx_uint_t failures = (ngx_uint_t)__builtin_popcountll(s->failed);
    if (s->open || s->calls < of || failures * 100 < route->limits.errors * of)
        return;
    s->open = 1;
    s->open_until = ngx_current_msec + route->limits.open;
}

void banyan_breaker_count(banyan_main_conf_t *conf, const banyan_route_t *route, ngx_uint_t failed,
                          ngx_uint_t trial) {
    slot_t *s = slot_of(conf, route);
    lock(s);
    if (trial)
        end_trial(s, route, failed);
    else if (route->limits.errors)
        add_call(s, route, failed);
    s->tokens = ngx_min(s->tokens + (ngx_int_t)route->limits.budget, BURST * TOKEN);
    unlock(s);
}

void banyan_breaker_give_back(banyan_main_conf_t *conf, const banyan_route_t *route) {
    slot_t *s = slot_of(conf, route);
    lock(s);
    s->trying = 0;
    unlock(s);
}

ngx_uint_t banyan_budget_left(banyan_main_conf_t *conf, const banyan_route_t *route) {
    return slot_of(conf, route)->tokens >= TOKEN;
}

void banyan_budget_take(banyan_main_conf_t *conf, const banyan_route_t *route) {
    slot_t *s = slot_of(conf, route);
    lock(s);
    s->tokens -= TOKEN;
    unlock(s);
}
